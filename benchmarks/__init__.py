"""Measures accuracy, latency and size of every backend through the path a user's audio takes."""
