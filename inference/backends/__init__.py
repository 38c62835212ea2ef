"""The one table of backends: command-line choices, messages, benchmark and tests derive from it."""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inference.errors import BackendUnavailableError, UserError

if TYPE_CHECKING:
    from inference.backends.base import DigitBackend

SHIPPED_CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"


@dataclass(frozen=True)
class BackendSpec:
    """One row of the table.

    Attributes:
        name: What a user types.
        import_path: ``module:Class``, imported only when the backend is built.
        default_checkpoint: A folder shipped with the code, or the name of public weights.
        summary: One line for ``--help`` and the tables.
        package: The third-party module that must be importable.
        extra: The pip extra that brings the package, None if it is always installed.
        options: Ways to run it: option -> allowed values, the default first. Each becomes a flag of
            the command lines, and ``name:option=value`` a row of its own in the benchmark.
    """

    name: str
    import_path: str
    default_checkpoint: str
    summary: str
    package: str
    extra: str | None = None
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


BACKENDS: dict[str, BackendSpec] = {
    spec.name: spec
    for spec in (
        BackendSpec(
            name="mfcc",
            import_path="inference.backends.mfcc:MfccBackend",
            default_checkpoint=str(SHIPPED_CHECKPOINTS / "mfcc"),
            summary="MFCC statistics + RBF SVM",
            package="safetensors",
        ),
        BackendSpec(
            name="wav2vec2",
            import_path="inference.backends.wav2vec2:Wav2Vec2Backend",
            default_checkpoint=str(SHIPPED_CHECKPOINTS / "wav2vec2"),
            summary="fine-tuned Wav2Vec2 with a classification head",
            package="transformers",
        ),
        BackendSpec(
            name="whisper",
            import_path="inference.backends.whisper:WhisperBackend",
            default_checkpoint="tiny.en",
            summary="zero-shot Whisper (faster-whisper), transcript mapped to a digit",
            package="faster_whisper",
        ),
        BackendSpec(
            name="pocketsphinx",
            import_path="inference.backends.pocketsphinx:PocketSphinxBackend",
            default_checkpoint="en-us",
            summary="zero-shot PocketSphinx with a digit grammar",
            package="pocketsphinx",
            extra="pocketsphinx",
        ),
    )
}


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


def load_backend(
    name: str,
    checkpoint: str | None = None,
    threads: int = 1,
    options: Mapping[str, str] | None = None,
) -> "DigitBackend":
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
        wanted = f"'spoken-digits[{spec.extra}]'" if spec.extra else "spoken-digits"
        raise BackendUnavailableError(
            f"backend {name} needs the package {spec.package}, which is not installed.",
            f"Install it: pip install {wanted}",
        )
    module_name, _, class_name = spec.import_path.partition(":")
    backend_class: type[DigitBackend] = getattr(importlib.import_module(module_name), class_name)
    chosen = spec.default_checkpoint if checkpoint is None else checkpoint
    return backend_class.load(chosen, threads=threads, **(options or {}))
