"""Going on after a kill: from which checkpoint, and with which options unchanged."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from inference.errors import UserError

if TYPE_CHECKING:
    from finetune.training.command_line import Arguments

#: Beginnings of Trainer options that change neither the steps nor the choice of the best one.
WITHOUT_EFFECT = (
    "output_dir",
    "log",
    "save_",
    "report_to",
    "run_name",
    "project",
    "trackio",
    "disable_tqdm",
    "dataloader_",
    "hub_",
    "push_to_hub",
    "resume_from_checkpoint",
    "per_device_eval_batch_size",
    "eval_accumulation_steps",
    "local_rank",
    "ddp_",
    "include_",
    "skip_memory_metrics",
)
#: Adam keeps two values per weight beside the weight itself, all in float32.
BYTES_PER_PARAMETER = 12
#: How the libraries say that a file could not be written.
_WRITE_FAILURE = re.compile(r"os error \d+|PytorchStreamWriter|inline_container|iostream error")


def outcome_settings(arguments: "Arguments") -> dict[str, Any]:
    """The options that change the outcome of a training, as JSON keeps them."""
    training = json.loads(arguments.training.to_json_string())
    own = asdict(arguments.data) | asdict(arguments.model) | asdict(arguments.augmentation)
    return {
        **{name: value for name, value in training.items() if not name.startswith(WITHOUT_EFFECT)},
        **json.loads(json.dumps(own)),
        "number of processes": arguments.training.world_size,
    }


def last_checkpoint(output_dir: Path) -> str | None:
    """The newest checkpoint that was saved to its end; a kill while saving leaves a torn one."""
    complete = [folder for folder in _checkpoints(output_dir) if _is_complete(folder)]
    return str(complete[-1]) if complete else None


def checkpoint_to_resume(asked: str | bool | None, output_dir: Path) -> str | None:
    """Where training goes on: the last checkpoint, or the one that was asked for.

    Args:
        asked: ``--resume_from_checkpoint``: a folder, or "true" for the last one, which is also the default.
        output_dir: Where the checkpoints lie.

    Raises:
        UserError: If there is no whole checkpoint in the folder asked for.
    """
    if asked is None or str(asked).lower() == "true":
        return last_checkpoint(output_dir)
    if not _is_complete(Path(str(asked))):
        last = last_checkpoint(output_dir)
        raise UserError(
            f"--resume_from_checkpoint {asked} is no folder with a whole checkpoint of the Trainer. "
            + (f"Leave it out to go on from {last}." if last else f"{output_dir} holds none: leave it out.")
        )
    return str(asked)


def remove_checkpoints(output_dir: Path) -> None:
    """Removes what only going on needs."""
    for folder in _checkpoints(output_dir):
        shutil.rmtree(folder)


def require_space(folder: Path, num_parameters: int, num_checkpoints: int) -> None:
    """Refuses to begin what the disk cannot hold.

    Raises:
        UserError: With the space needed and the space there is.
    """
    needed = num_parameters * BYTES_PER_PARAMETER * num_checkpoints
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder} has {free / 1e9:.2g} GB free, {num_checkpoints} checkpoints of this model take "
            f"{needed / 1e9:.2g} GB: make room or choose another --output_dir."
        )


@contextmanager
def write_failures_explained(output_dir: Path) -> Iterator[None]:
    """Turns a full disk into one sentence and leaves no torn checkpoint behind.

    Raises:
        UserError: If a checkpoint could not be written; the earlier ones are complete.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not isinstance(error, OSError) and not _WRITE_FAILURE.search(str(error)):
            raise
        for folder in _checkpoints(output_dir):
            if not _is_complete(folder):
                shutil.rmtree(folder, ignore_errors=True)
        kept = last_checkpoint(output_dir)
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{output_dir} cannot be written ({reason}). Make room and start the same command again; "
            f"it goes on from {Path(kept).name if kept else 'the beginning'}."
        ) from error


def _checkpoints(output_dir: Path) -> list[Path]:
    """The Trainer's checkpoints, oldest first."""
    folders = (path for path in output_dir.glob("checkpoint-*") if path.name.partition("-")[2].isdigit())
    return sorted(folders, key=lambda folder: int(folder.name.partition("-")[2]))


def _is_complete(folder: Path) -> bool:
    try:
        json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))  # the Trainer writes it last
    except (OSError, ValueError):
        return False
    return True
