"""From what a user names to a complete CTranslate2 Whisper folder, or a quick and helpful refusal.

faster-whisper checks little: without ``tokenizer.json`` it asks the Hub, without ``config.json`` it
loads and decodes differently, a mistyped path is taken for a Hub id, and an unreachable Hub is
retried for minutes. All of it is settled here, before a model is built.
"""

import json
from pathlib import Path

from inference.checkpoint import OPERATING_POINT_FILE, read_operating_point
from inference.errors import BackendUnavailableError, CheckpointError
from inference.prediction import MOST_PROBABLE, OperatingPoint
from inference.weights.fetching import fetch_weights, find_weights, identify
from inference.weights.hub import hub_cache_problem, hub_is_reachable, is_hub_id
from inference.weights.table import WEIGHTS

#: Files that decoding depends on. ``preprocessor_config.json`` may be absent: then the usual features
#: of 80 mel bands apply, which is so for all public models but large-v3.
REQUIRED_FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.*")
OPTIONAL_FILES = ("preprocessor_config.json",)
_TRANSFORMERS_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
#: Operating points that were chosen on validation speakers, one folder for each ``NAME-DECODE``.
_SHIPPED = Path(__file__).resolve().parents[2] / "checkpoints" / "whisper"


def find_folder(checkpoint: str) -> Path:
    """Finds or downloads a Whisper model.

    Args:
        checkpoint: A folder, a model size of faster-whisper such as ``"tiny.en"``, or a Hub id.

    Returns:
        A folder that holds all ``REQUIRED_FILES``.

    Raises:
        CheckpointError: If the folder is missing or incomplete, or the name is unknown.
        BackendUnavailableError: If the weights are not in the local cache and the Hub cannot be
            reached or does not deliver them.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        return check_folder(folder)
    if folder.exists():
        raise CheckpointError(f"{checkpoint} is a file, expected the CTranslate2 folder around model.bin.")
    repository = _repository(checkpoint)
    name = next((name for name, weights in WEIGHTS.items() if weights.repository == repository), None)
    cached = (find_weights(name) if name else None) or _cached_folder(repository)
    if cached is not None and not _missing_files(cached):
        return check_folder(cached)
    if name:
        return check_folder(fetch_weights(name))
    if not hub_is_reachable():
        raise BackendUnavailableError(
            f"Whisper {checkpoint!r} is neither a folder nor complete in the local cache, and the Hugging "
            f"Face Hub {_why_not()}.",
            _fix(repository),
        )
    return check_folder(_download(checkpoint, repository))


def check_folder(folder: Path) -> Path:
    """Refuses a folder that is incomplete or holds unreadable settings; returns it otherwise.

    Raises:
        CheckpointError: With the files that are missing and how to make them.
    """
    missing = _missing_files(folder)
    if missing and any((folder / name).is_file() for name in _TRANSFORMERS_WEIGHTS):
        raise CheckpointError(
            f"{folder} is a transformers checkpoint, expected a CTranslate2 folder. Convert it: "
            f"ct2-transformers-converter --model {folder} --output_dir {folder}-ct2 "
            "--copy_files tokenizer.json preprocessor_config.json --quantization int8"
        )
    if missing:
        raise CheckpointError(
            f"{folder} is no complete CTranslate2 Whisper folder: {', '.join(missing)} not found. "
            "Copy the missing files from where the model comes from, or download it again."
        )
    for path in checkpoint_files(folder):
        if path.suffix == ".json":
            _check_json(path)
    return folder


def checkpoint_files(folder: Path) -> tuple[Path, ...]:
    """The files of the folder that inference reads."""
    return tuple(sorted(path for name in REQUIRED_FILES + OPTIONAL_FILES for path in folder.glob(name)))


def calibrated_operating_point(folder: Path, decode: str) -> OperatingPoint:
    """The operating point in the folder, or the shipped one of these weights, else ``MOST_PROBABLE``."""
    if (folder / OPERATING_POINT_FILE).is_file():
        return read_operating_point(folder)
    name = identify(folder)
    return read_operating_point(_SHIPPED / f"{name}-{decode}") if name else MOST_PROBABLE


def _missing_files(folder: Path) -> list[str]:
    return [name for name in REQUIRED_FILES if not any(path.is_file() for path in folder.glob(name))]


def _check_json(path: Path) -> None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}). Copy the file again.") from error


def _repository(checkpoint: str) -> str:
    """The Hub id of a model size, or the Hub id itself."""
    from faster_whisper.utils import _MODELS as repositories

    if checkpoint in repositories:
        return repositories[checkpoint]
    if is_hub_id(checkpoint):
        return checkpoint
    raise CheckpointError(
        f"{checkpoint!r} is no folder, and no model size or Hub id either. Give a CTranslate2 folder, "
        f"a Hub id (OWNER/NAME) or one of: {', '.join(repositories)}."
    )


def _cached_folder(repository: str) -> Path | None:
    from faster_whisper import download_model
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(download_model(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _download(checkpoint: str, repository: str) -> Path:
    from faster_whisper import download_model
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return Path(download_model(repository))
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{checkpoint!r} is no folder, and the Hub shows you no such model. Check the spelling; "
            "for a private model: hf auth login"
        ) from error
    except Exception as error:  # several HTTP libraries, disk and cache errors: all mean "no weights"
        reason = hub_cache_problem(error) or f"{next(iter(str(error).splitlines()), type(error).__name__)}."
        raise BackendUnavailableError(
            f"Whisper {checkpoint!r} could not be downloaded: {reason}", _fix(repository)
        ) from error


def _why_not() -> str:
    from huggingface_hub import constants

    return "is switched off (HF_HUB_OFFLINE)" if constants.HF_HUB_OFFLINE else "cannot be reached"


def _fix(repository: str) -> str:
    name = repository.rpartition("/")[2]
    return (
        f"On a connected machine: hf download {repository} --local-dir {name}; then copy the folder here and "
        f"pass --checkpoint whisper={name} (benchmarks.run) or --checkpoint {name} (inference.predict, "
        "inference.live)."
    )
