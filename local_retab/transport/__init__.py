"""Ways to reach a service: in this process, and later over HTTP."""
