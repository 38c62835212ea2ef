"""The table of comparisons: ours, the plain call, and the checkpoint that both load."""

from dataclasses import dataclass

from benchmarks.run.entries import Entry
from inference.backends.table import BACKENDS, BackendSpec, parse_variant

#: Clips of mixed lengths in one call.
BATCH_SIZE = 32


@dataclass(frozen=True)
class Comparison:
    """One row.

    Attributes:
        variant: Our backend with its options, ``name:option=value``.
        plain_path: ``module:Class`` of the plain call.
        stand_in: Name of the stand-in checkpoint; None where the default checkpoint is loaded.
    """

    variant: str
    plain_path: str
    plain_call: str
    stand_in: str | None = None
    batch_size: int = 1

    @property
    def backend(self) -> str:
        """Our backend's name."""
        return parse_variant(self.variant)[0]

    @property
    def options(self) -> dict[str, str]:
        """Our backend's options."""
        return parse_variant(self.variant)[1]

    def entries(self, checkpoint: str) -> tuple[Entry, Entry]:
        """Our side and the plain one, both with that checkpoint."""
        plain = BackendSpec(
            name="plain",
            import_path=self.plain_path,
            default_checkpoint=checkpoint,
            summary=self.plain_call,
            package="numpy",
        )
        ours = Entry(self.variant, BACKENDS[self.backend], checkpoint, self.options)
        return ours, Entry("plain", plain, checkpoint)


_CALLS = "benchmarks.against_libraries.library_calls"
_PLAIN_WHISPER = f"{_CALLS}:PlainWhisper"
_TOLD = "the same call told English, greedy, no time stamps"
_TRANSCRIBE = "faster_whisper.WhisperModel.transcribe, its defaults"
#: At its defaults it takes a list clip by clip. Told to batch it pads without a mask where an encoder has a
#: group norm, as wav2vec2-base has, and answers otherwise: the default is the call with the same answers.
_PIPELINE = 'transformers.pipeline("audio-classification")'

COMPARISONS = (
    Comparison(
        "mfcc",
        f"{_CALLS}:PlainMfcc",
        "librosa features, calibrated SVC.predict_proba",
    ),
    Comparison(
        "mfcc",
        f"{_CALLS}:PlainMfccLabels",
        "librosa features, SVC.predict: no probabilities",
    ),
    Comparison(
        "logmel-dscnn",
        f"{_CALLS}:PlainCnn",
        "librosa features, ONNX Runtime",
    ),
    Comparison(
        "speech-embedding",
        f"{_CALLS}:PlainCnn",
        "librosa features, ONNX Runtime",
    ),
    Comparison("wav2vec2", f"{_CALLS}:PlainWav2Vec2", _PIPELINE),
    Comparison("wav2vec2", f"{_CALLS}:PlainWav2Vec2", _PIPELINE, "wav2vec2-base"),
    Comparison(
        "wav2vec2",
        f"{_CALLS}:PlainWav2Vec2",
        _PIPELINE,
        "wav2vec2-base",
        batch_size=BATCH_SIZE,
    ),
    Comparison(
        "wav2vec2",
        f"{_CALLS}:PlainWav2Vec2Batched",
        f"{_PIPELINE}, batch_size={BATCH_SIZE}: other answers",
        "wav2vec2-base",
        batch_size=BATCH_SIZE,
    ),
    Comparison("whisper:decode=free", _PLAIN_WHISPER, _TRANSCRIBE),
    Comparison("whisper:decode=free,window=standard", f"{_CALLS}:PlainWhisperGreedy", _TOLD),
    Comparison("whisper", _PLAIN_WHISPER, _TRANSCRIBE),
    Comparison(
        "whisper",
        f"{_CALLS}:PlainWhisperGreedy",
        _TOLD,
    ),
)
