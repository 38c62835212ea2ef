"""Clips per second of fine-tuning beside the usual example: ``python -m benchmarks.training_throughput``."""
