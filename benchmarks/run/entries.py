"""The entries of a run: backends, variants of them, and several checkpoints of one."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inference.backends.table import BACKENDS, CARD_NAME, BackendSpec, checkpoint_parts, parse_variant
from inference.errors import CheckpointError, UserError
from inference.files import read_json

PROJECT_ROOT = Path(__file__).resolve().parents[2]
#: Marks toy and random weights, so that no figure of theirs is taken for a result.
FIXTURE_NAME = "fixture.json"


@dataclass(frozen=True)
class Entry:
    """A backend as it is measured.

    Attributes:
        name: What it is called in every table: the user's label, or what was typed.
        spec: Its entry of the table of backends.
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
    def fixture(self) -> str | None:
        """What its weights stand in for, from the note beside them; None for real ones.

        Raises:
            CheckpointError: If the note does not say so.
        """
        notes = (Path(part) / FIXTURE_NAME for part in checkpoint_parts(self.spec, self.checkpoint))
        return next((read_fixture_note(note) for note in notes if note.is_file()), None)


def choose_entries(backends: Sequence[str], checkpoints: Sequence[str]) -> list[Entry]:
    """Reads what was typed.

    Args:
        backends: ``NAME``, ``NAME:option=value,...`` or, to call the entry otherwise, ``LABEL=NAME...``.
        checkpoints: ``ENTRY=PATH``: the label, what was typed for the entry, or the name of a backend for
            all its entries. Twice for one entry: a checkpoint, and a folder of fold checkpoints.

    Raises:
        UserError: If a backend or option is unknown, or an entry or checkpoint is given twice.
    """
    chosen: dict[str, tuple[str, dict[str, str]]] = {}
    for text in backends:
        head, colon, options = text.partition(":")
        label, equals, name = head.rpartition("=")
        entry_name = label if equals else text
        if entry_name in chosen or not entry_name:
            raise UserError(
                f"--backends names {entry_name or text} more than once or not at all; give each entry a "
                "label of its own, as in: --backends wav2vec2 large=wav2vec2 --checkpoint large=runs/large"
            )
        chosen[entry_name] = parse_variant(f"{name}{colon}{options}")
    # By entry or backend; an entry's own path counts before that of its backend.
    paths: dict[str, list[str]] = defaultdict(list)
    for found in checkpoints:
        name, path = _assigned(found, chosen)
        paths[name].append(os.path.expanduser(path))  # The shell leaves a ~ behind the = as it is.
    return [
        _entry(name, backend, options, paths[name if name in paths else backend])
        for name, (backend, options) in chosen.items()
    ]


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


def refuse_fixtures(names: Sequence[str], allow_fixture: bool) -> None:
    """Stops before figures of stand-in weights look like results.

    Raises:
        UserError: With the entries and the way out.
    """
    if names and not allow_fixture:
        raise UserError(
            f"{', '.join(names)}: the weights are a fixture, a stand-in for tests, and their figures are no "
            "results. Measure real weights (--checkpoint NAME=PATH), leave the backend out, or say "
            "--allow-fixture: every table and picture is then watermarked."
        )


def portable_path(checkpoint: str) -> str:
    """A checkpoint, or several in one, as printed: relative to the project where they lie inside."""
    return checkpoint.replace(f"{PROJECT_ROOT}{os.sep}", "").replace(os.sep, "/")


def _assigned(found: str, chosen: Mapping[str, tuple[str, dict[str, str]]]) -> tuple[str, str]:
    """The entry or backend that ``ENTRY=PATH`` speaks of, and the path."""
    families = [backend for backend, _ in chosen.values()]
    # An entry's name may hold "=", so the longest name that fits counts.
    for name in sorted((*chosen, *families), key=len, reverse=True):
        path = found.removeprefix(f"{name}=")
        if path != found and path.strip():
            return name, path
    name, equals, path = found.partition("=")
    if equals and path.strip():
        raise UserError(
            f"--checkpoint {found}: {name!r} is not measured here; "
            f"choose one of: {', '.join(chosen)} (see --backends)."
        )
    raise UserError(f"--checkpoint {found}: expected ENTRY=PATH, as in wav2vec2=runs/my-model.")


def _entry(name: str, backend: str, options: Mapping[str, str], paths: Sequence[str]) -> Entry:
    folds = [path for path in paths if is_folder_of_folds(Path(path))]
    single = [path for path in paths if path not in folds]
    if len(folds) > 1 or len(single) > 1:
        raise UserError(
            f"--checkpoint gives {name} more than once; measure the second as an entry of its own, "
            f"as in: --backends {name} second={backend} --checkpoint second=PATH"
        )
    spec = BACKENDS[backend]
    return Entry(
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
