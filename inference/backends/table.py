"""The one table of backends: command-line choices, messages, benchmark and tests derive from it."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.backends.outside import OpenTable, import_module
from inference.errors import BackendUnavailableError, CheckpointError, UserError
from inference.extras import install_command
from inference.files import read_json

if TYPE_CHECKING:
    from inference.backends.base import Backend

#: What answers where none is named: of the small ones the best on new speakers.
DEFAULT_BACKEND = "speech-embedding"
SHIPPED_CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
#: Its presence says that a trained checkpoint is complete: it is written last.
CARD_NAME = "split_card.json"
#: In a folder of ``finetune.calibrate``: the members of the composite that was calibrated.
MEMBERS_FILE = "members.json"


@dataclass(frozen=True)
class BackendSpec:
    """One row of the table.

    Attributes:
        name: What a user types.
        import_path: ``module:Class`` or ``path/to/file.py:Class``, imported only when the backend is built.
        default_checkpoint: A folder shipped with the code, or the name of public weights.
        summary: One line for ``--help`` and the tables.
        package: The third-party module that must be importable.
        extra: The pip extra that brings the package, None if it is always installed.
        options: Ways to run it: option -> allowed values, the default first. Each becomes a flag of
            the command lines, and ``name:option=value`` a row of its own in the benchmark.
        composite: Whether its checkpoint names other backends, see ``read_members``.
    """

    name: str
    import_path: str
    default_checkpoint: str
    summary: str
    package: str
    extra: str | None = None
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    composite: bool = False


_ENCODER_OPTIONS = {
    "runtime": ("auto", "openvino", "onnxruntime", "torch"),
    "precision": ("auto", "fp32", "bf16", "int8"),
}
_WHISPER_OPTIONS = {
    "decode": ("prompted", "constrained", "free"),
    "window": ("short", "standard"),
    "homophones": ("off", "on"),
}


def _shipped(name: str, module: str, summary: str, package: str = "onnxruntime", **more: Any) -> BackendSpec:
    """A row whose checkpoint is shipped under its name."""
    return BackendSpec(
        name, f"inference.backends.{module}", str(SHIPPED_CHECKPOINTS / name), summary, package, **more
    )


def _composite(name: str, module: str, summary: str) -> BackendSpec:
    """A row made of the small and the large model that are shipped."""
    members = "speech-embedding+whisper-encoder"
    return BackendSpec(name, f"inference.backends.{module}", members, summary, "onnxruntime", composite=True)


#: Rows by name; those from outside join them when the table is read.
BACKENDS = OpenTable(
    BackendSpec,
    (
        _shipped("mfcc", "mfcc:MfccBackend", "MFCC statistics + RBF SVM", "safetensors"),
        _shipped(
            "mfcc-cnn",
            "cnn:CnnBackend",
            "log-mel window + separable convolutions over its cosine transform (ONNX Runtime)",
        ),
        _shipped("logmel-dscnn", "cnn:CnnBackend", "log-mel window + depthwise-separable CNN (ONNX Runtime)"),
        _shipped(
            "speech-embedding",
            "cnn:CnnBackend",
            "log-mel window + Google's speech embedding, fine-tuned (ONNX Runtime)",
        ),
        _composite(
            "ensemble",
            "ensemble:EnsembleBackend",
            "speech-embedding and whisper-encoder asked together, log-probabilities averaged",
        ),
        _shipped(
            "wav2vec2",
            "encoder.backend:EncoderBackend",
            "fine-tuned Wav2Vec2 with a classification head",
            "safetensors",
            options=_ENCODER_OPTIONS,
        ),
        _shipped(
            "whisper-encoder",
            "encoder.backend:EncoderBackend",
            "log-mel window + Whisper's encoder, fine-tuned with a classification head",
            options=_ENCODER_OPTIONS,
        ),
        BackendSpec(
            "whisper",
            "inference.backends.whisper.backend:WhisperBackend",
            "tiny.en",
            "zero-shot Whisper (faster-whisper), the words scored in a short window",
            "faster_whisper",
            extra="whisper",
            options=_WHISPER_OPTIONS,
        ),
        _composite(
            "cascade",
            "cascade:CascadeBackend",
            "speech-embedding, and whisper-encoder too where it is in doubt",
        ),
        BackendSpec(
            "pocketsphinx",
            "inference.backends.pocketsphinx:PocketSphinxBackend",
            "en-us",
            "zero-shot PocketSphinx with a digit grammar",
            "pocketsphinx",
            extra="pocketsphinx",
        ),
    ),
)


def parse_variant(text: str) -> tuple[str, dict[str, str]]:
    """Splits ``name`` or ``name:option=value,option=value`` and checks it against the table.

    Raises:
        UserError: If the backend, an option or a value is unknown.
    """
    name, separator, rest = text.partition(":")
    options: dict[str, str] = {}
    for assignment in rest.split(",") if separator else ():
        option, equals, value = assignment.partition("=")
        if not equals or option in options:
            raise UserError(f"{text!r}: expected NAME:OPTION=VALUE[,OPTION=VALUE], each option once.")
        options[option] = value
    check_options(name, options)
    return name, options


def check_options(name: str, options: Mapping[str, str]) -> None:
    """Checks a backend's name and options against the table.

    Raises:
        UserError: With what is allowed.
    """
    if name not in BACKENDS:
        raise UserError(f"unknown backend {name!r}; choose one of: {', '.join(BACKENDS)}.")
    known = BACKENDS[name].options
    for option, value in options.items():
        if option not in known:
            offer = f"; it has: {', '.join(known)}" if known else ""
            raise UserError(f"backend {name} has no option {option!r}{offer}.")
        if value not in known[option]:
            raise UserError(
                f"{option}={value} is unknown to {name}; choose one of: {', '.join(known[option])}."
            )


def read_members(checkpoint: str) -> list[tuple[str, str]]:
    """The backends that a composite checkpoint names: ``NAME`` or ``NAME=CHECKPOINT``, joined by "+".

    Args:
        checkpoint: Such names, or a folder of ``finetune.calibrate``, which holds them.

    Returns:
        Name and checkpoint of each, in the order given.

    Raises:
        CheckpointError: If fewer than two are named.
        UserError: If one is unknown.
    """
    checkpoint = member_names(checkpoint)
    members = []
    for text in checkpoint.split("+"):
        name, _, folder = text.partition("=")
        check_options(name, {})
        members.append((name, folder or BACKENDS[name].default_checkpoint))
    if len(members) < 2:
        raise CheckpointError(
            f"{checkpoint!r} names too few backends: expected two or more, such as mfcc+speech-embedding "
            "or mfcc=FOLDER+speech-embedding=FOLDER."
        )
    return members


def member_names(checkpoint: str) -> str:
    """A composite checkpoint as its names joined by "+", also where it is a folder that holds them."""
    return str(read_json(Path(checkpoint) / MEMBERS_FILE)) if _is_calibrated(checkpoint) else checkpoint


def calibration_folder(name: str, checkpoint: str) -> Path | None:
    """Where the operating point of a composite lies; None if these members were not calibrated together.

    Args:
        name: Of the composite.
        checkpoint: As for ``read_members``.
    """
    if _is_calibrated(checkpoint):
        return Path(checkpoint)
    return SHIPPED_CHECKPOINTS / name if checkpoint == BACKENDS[name].default_checkpoint else None


def _is_calibrated(checkpoint: str) -> bool:
    return (Path(checkpoint) / MEMBERS_FILE).is_file()


def checkpoint_parts(spec: BackendSpec, checkpoint: str) -> list[str]:
    """What is really loaded: the checkpoint itself, or those of the backends that it names."""
    if not spec.composite:
        return [checkpoint]
    members = read_members(checkpoint)
    return [part for name, folder in members for part in checkpoint_parts(BACKENDS[name], folder)]


def load_backend(
    name: str,
    checkpoint: str | None = None,
    threads: int = 1,
    options: Mapping[str, str] | None = None,
) -> "Backend":
    """Imports and loads a backend.

    Args:
        name: A key of ``BACKENDS``.
        checkpoint: Folder, Hub id or model size; the backend's default if None.
        threads: CPU threads that one prediction may use.
        options: Ways to run it, as its row of the table allows; defaults for those left out.

    Raises:
        UserError: If a name or value is unknown; subclasses of it if the backend cannot be loaded.
    """
    check_options(name, options or {})
    if checkpoint == "":
        raise UserError("an empty checkpoint name was given; name a folder or leave --checkpoint out.")
    spec = BACKENDS[name]
    if importlib.util.find_spec(spec.package) is None:
        command = install_command(spec.extra) if spec.extra else "pip install spoken-digits"
        raise BackendUnavailableError(
            f"backend {name} needs the package {spec.package}, which is not installed.",
            f"Install it: {command}",
        )
    chosen = spec.default_checkpoint if checkpoint is None else checkpoint
    return backend_class(spec).load(chosen, threads=threads, **(options or {}))


def backend_class(spec: BackendSpec) -> "type[Backend]":
    """Imports the class of a row of the table, from a module or from a file ``path/to/file.py``.

    Raises:
        UserError: If there is no such class.
        ModuleNotFoundError: If a library that it stands on is not installed.
    """
    module_name, _, class_name = spec.import_path.rpartition(":")
    try:
        found: type[Backend] = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        if isinstance(error, ModuleNotFoundError) and not module_name.startswith(str(error.name)):
            raise
        raise UserError(f"backend {spec.name} ({spec.import_path}) cannot be imported: {error}.") from error
    return found
