"""Guided recording of one's own words: the vocabulary says which, the live engine where each ends."""
