"""From pages and a schema to structured data: the product."""
