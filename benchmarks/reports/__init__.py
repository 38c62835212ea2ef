"""Makes tables, pictures and pages from the records of a run; loads no model."""
