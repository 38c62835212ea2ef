"""Figures of the live microphone: ``python -m benchmarks.live``."""
