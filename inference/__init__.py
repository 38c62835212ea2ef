"""Audio in, label out: the audio border, the backends and the live microphone.

This is the ground floor of the project. It imports nothing from ``finetune`` or ``benchmarks``,
and importing it loads no model and no heavy library.

    from inference import recognise

    answer = recognise("seven.wav")
    answer.label, answer.probabilities, answer.reason
"""

import functools
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from inference.audio import AudioSource
    from inference.backends.base import Backend
    from inference.prediction import Answer

# Libraries that would report their use to their makers are told not to before any of them is imported.
# Child processes inherit it; who wants it otherwise sets the variable.
for _variable, _value in {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_variable, _value)

_one_at_a_time = threading.Lock()


def recognise(
    audio: "AudioSource | np.ndarray",
    sampling_rate: int | None = None,
    *,
    backend: str | None = None,
    checkpoint: str | None = None,
    threads: int = 1,
    **options: str,
) -> "Answer":
    """Recognises one spoken word. A backend is loaded at its first call and kept.

    Calls from several threads wait for each other. For other words than the digits, call
    ``inference.vocabulary.use_vocabulary(path)`` first.

    Args:
        audio: A path, encoded bytes or an open binary file in any format, or a float array of shape
            ``(num_samples,)`` in [-1, 1].
        sampling_rate: Of an array, in Hz, any; None for the others.
        backend: A name of ``inference.backends.table.BACKENDS``; ``DEFAULT_BACKEND`` there if None.
        checkpoint: Folder, Hub id or model size; the backend's own if None.
        threads: CPU threads of the prediction.
        options: Of the backend, as in ``runtime="onnxruntime"``.

    Returns:
        ``label`` (None for a reject, with its ``reason``), ``probabilities`` by label, and the
        ``prediction`` they rest on.

    Raises:
        UserError: If a name is unknown; ``AudioError``, ``CheckpointError`` or
            ``BackendUnavailableError`` of its kinds if audio, weights or a package cannot be had.
    """
    from inference.audio import read_waveform
    from inference.backends.table import DEFAULT_BACKEND
    from inference.vocabulary import vocabulary

    waveform = read_waveform(audio, sampling_rate)
    wanted = (backend or DEFAULT_BACKEND, checkpoint, threads, tuple(sorted(options.items())))
    with _one_at_a_time:
        loaded = _loaded(*wanted, vocabulary().fingerprint)
        (prediction,) = loaded.predict([waveform])
    return loaded.operating_point.decide(prediction)


@functools.cache
def _loaded(
    name: str, checkpoint: str | None, threads: int, options: tuple[tuple[str, str], ...], words: str
) -> "Backend":
    from inference.backends.table import load_backend

    return load_backend(name, checkpoint, threads, dict(options))
