"""The rows of a run: backends, variants of them, and several checkpoints of one."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from finetune.checkpoint.split_card import CARD_NAME
from inference.backends.table import BACKENDS, BackendSpec, checkpoint_parts, parse_variant
from inference.checkpoint import read_json
from inference.errors import CheckpointError, UserError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
#: Marks toy and random weights, so that no figure of theirs is taken for a result.
FIXTURE_NAME = "fixture.json"


@dataclass(frozen=True)
class Row:
    """A backend as it is measured.

    Attributes:
        name: What it is called in every table: the user's label, or what was typed.
        spec: Its row of the table of backends.
        options: Ways to run it.
        checkpoint: Folder, Hub id or model size.
        folds: Folder with one checkpoint per held-out speaker, in sub-folders of their names.
        is_default: Whether nobody chose the checkpoint.
    """

    name: str
    spec: BackendSpec
    checkpoint: str
    options: Mapping[str, str] = field(default_factory=dict)
    folds: Path | None = None
    is_default: bool = False

    @property
    def folder(self) -> str:
        """Its name in the result folder."""
        return re.sub(r"[^\w.-]+", "-", self.name)

    @property
    def fixture(self) -> str | None:
        """What its weights stand in for, from the note beside them; None for real ones.

        Raises:
            CheckpointError: If the note does not say so.
        """
        notes = (Path(part) / FIXTURE_NAME for part in checkpoint_parts(self.spec, self.checkpoint))
        return next((read_fixture_note(note) for note in notes if note.is_file()), None)


def choose_rows(backends: Sequence[str], assignments: Sequence[str]) -> list[Row]:
    """Reads what was typed.

    Args:
        backends: ``NAME``, ``NAME:option=value,...`` or, to call the row otherwise, ``LABEL=NAME...``.
        assignments: ``ROW=PATH``: the label, what was typed for the row, or the name of a backend for
            all its rows. Twice for one row: a checkpoint, and a folder of fold checkpoints.

    Raises:
        UserError: If a backend or option is unknown, or a row or checkpoint is given twice.
    """
    chosen: dict[str, tuple[str, dict[str, str]]] = {}
    for text in backends:
        head, colon, options = text.partition(":")
        label, equals, name = head.rpartition("=")
        row_name = label if equals else text
        if row_name in chosen or not row_name:
            raise UserError(
                f"--backends names {row_name or text} more than once or not at all; give each row a label of "
                "its own, as in: --backends wav2vec2 large=wav2vec2 --checkpoint large=runs/large"
            )
        chosen[row_name] = parse_variant(f"{name}{colon}{options}")
    # By row or backend; a row's own path counts before that of its backend.
    paths: dict[str, list[str]] = defaultdict(list)
    for assignment in assignments:
        name, path = _assigned(assignment, chosen)
        paths[name].append(os.path.expanduser(path))  # The shell leaves a ~ behind the = as it is.
    rows = [
        _row(name, backend, options, paths[name if name in paths else backend])
        for name, (backend, options) in chosen.items()
    ]
    folders = [row.folder for row in rows]
    for row in rows:
        if folders.count(row.folder) > 1:
            raise UserError(f"two rows would be stored as {row.folder}; give one a label: LABEL={row.name}")
    return rows


def read_fixture_note(path: Path) -> str:
    """What the weights beside a fixture note stand in for, as one line.

    Raises:
        CheckpointError: If the note does not say so.
    """
    note = read_json(path)
    text = note.get("fixture") if isinstance(note, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise CheckpointError(f'{path} has no text under "fixture"; say there what the weights stand in for.')
    return " ".join(text.split())


def portable_path(checkpoint: str) -> str:
    """A checkpoint, or several in one, as printed: relative to the project where they lie inside."""
    return checkpoint.replace(f"{PROJECT_ROOT}{os.sep}", "").replace(os.sep, "/")


def _assigned(assignment: str, chosen: Mapping[str, tuple[str, dict[str, str]]]) -> tuple[str, str]:
    """The row or backend that ``ROW=PATH`` speaks of, and the path."""
    families = [backend for backend, _ in chosen.values()]
    # A row's name may hold "=", so the longest name that fits counts.
    for name in sorted((*chosen, *families), key=len, reverse=True):
        path = assignment.removeprefix(f"{name}=")
        if path != assignment and path.strip():
            return name, path
    name, equals, path = assignment.partition("=")
    if equals and path.strip():
        raise UserError(
            f"--checkpoint {assignment}: {name!r} is not measured here; "
            f"choose one of: {', '.join(chosen)} (see --backends)."
        )
    raise UserError(f"--checkpoint {assignment}: expected ROW=PATH, as in wav2vec2=runs/my-model.")


def _row(name: str, backend: str, options: Mapping[str, str], paths: Sequence[str]) -> Row:
    folds = [path for path in paths if is_folder_of_folds(Path(path))]
    single = [path for path in paths if path not in folds]
    if len(folds) > 1 or len(single) > 1:
        raise UserError(
            f"--checkpoint gives {name} more than once; measure the second as a row of its own, "
            f"as in: --backends {name} second={backend} --checkpoint second=PATH"
        )
    spec = BACKENDS[backend]
    return Row(
        name=name,
        spec=spec,
        checkpoint=single[0] if single else spec.default_checkpoint,
        options=options,
        folds=Path(folds[0]) if folds else None,
        is_default=not single,
    )


def is_folder_of_folds(folder: Path) -> bool:
    """Whether a folder is no checkpoint itself but holds some, one per held-out speaker."""
    return not (folder / CARD_NAME).is_file() and any(folder.glob(f"*/{CARD_NAME}"))
