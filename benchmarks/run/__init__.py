"""``python -m benchmarks.run``: what is asked of which backend, on which clips, and what is kept."""
