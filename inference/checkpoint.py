"""Reading a checkpoint folder: every file is checked before a library is asked to load it."""

from dataclasses import fields
from pathlib import Path

from inference.crop import CropContract
from inference.errors import CheckpointError
from inference.files import read_json
from inference.prediction import MOST_PROBABLE, OperatingPoint
from inference.vocabulary import check_labels

OPERATING_POINT_FILE = "calibration.json"


def require_files(folder: Path, names: tuple[str, ...], made_by: str) -> None:
    """Checks that a checkpoint folder is complete.

    Args:
        folder: The checkpoint.
        names: Files that must be there.
        made_by: Command that makes such a checkpoint, for the message.

    Raises:
        CheckpointError: If the folder or a file is missing.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder. Make a checkpoint first: {made_by}")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder} lacks {', '.join(missing)}. Make it again: {made_by}")


def read_labels(folder: Path) -> None:
    """Checks ``labels.json`` (ordered names) against the vocabulary."""
    path = folder / "labels.json"
    names = read_json(path)
    if not isinstance(names, list):
        raise CheckpointError(f"{path} holds {type(names).__name__}, expected a list of label names.")
    check_labels(dict(enumerate(names)), path)


def read_crop_contract(folder: Path) -> CropContract:
    """Reads ``crop.json``; the default contract for a folder without one."""
    path = folder / "crop.json"
    if not path.is_file():
        return CropContract()
    try:
        return CropContract.from_dict(read_json(path))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a crop contract: {error}") from error


def read_operating_point(folder: Path) -> OperatingPoint:
    """Reads the operating point of a checkpoint; ``MOST_PROBABLE`` if it has none.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = folder / OPERATING_POINT_FILE
    if not path.is_file():
        return MOST_PROBABLE
    values = read_json(path)
    names = {field.name for field in fields(OperatingPoint)}
    if not isinstance(values, dict) or set(values) != names:
        raise CheckpointError(
            f"{path} should hold {', '.join(sorted(names))}; calibrate the checkpoint again."
        )
    operating_point = OperatingPoint(**values)
    if not (operating_point.temperature > 0 and 0 <= (operating_point.threshold or 0) <= 1):
        raise CheckpointError(f"{path}: expected a temperature above 0 and a threshold from 0 to 1.")
    return operating_point
