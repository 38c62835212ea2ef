"""Audio in, label out: the audio border, the backends and the live microphone.

This is the ground floor of the project. It imports nothing from ``finetune`` or ``benchmarks``,
and importing it loads no model and no heavy library.
"""

import os

# Libraries that would report their use to their makers are told not to before any of them is imported.
# Child processes inherit it; who wants it otherwise sets the variable.
for _variable, _value in {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_variable, _value)
