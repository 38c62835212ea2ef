"""A page in the browser and an HTTP service over the same backends; ``python -m inference.app``."""
