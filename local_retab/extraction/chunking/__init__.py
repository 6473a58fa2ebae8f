"""Documents that do not fit one prompt: read in parts, and what the parts gave made one value.

``lines`` is the document as lines, ``rows`` which of them look like rows of a table, ``windows`` which lines are read
together, ``planning`` what that will take. ``beside`` runs parts beside one another, ``placing`` finds the line of each
item, ``merging`` makes one value of what the parts gave, ``completeness`` looks for what is missing. ``parts`` and
``keyed`` are the two ways through it.
"""
