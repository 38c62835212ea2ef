"""Audio in, digit out: the audio border, the backends and the live microphone.

This is the ground floor of the project. It imports nothing from ``finetune`` or ``benchmarks``,
and importing it loads no model and no heavy library.
"""
