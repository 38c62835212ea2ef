"""Decoded clips in one Arrow file, so that no epoch, fold or later run decodes them again."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from finetune.corpus.clip import Clip
from inference.audio import SAMPLING_RATE
from inference.errors import CorpusError
from inference.files import cache_folder

#: Raised whenever ``decode_audio`` gives other samples than before.
DECODER_VERSION = 2
#: Clips held in memory while the file is written; a digit takes about 30 kB.
CLIPS_PER_BATCH = 256
#: What is kept of earlier corpora, the last used first.
MAX_FILES = 8
MAX_BYTES = 4_000_000_000


class WaveformCache(Mapping[str, np.ndarray]):
    """Clip id -> read-only float32 waveform ``(num_samples,)`` at 16 kHz.

    The file is memory-mapped: what does not fit is read again by the kernel, and all folds, loader
    workers and processes share one copy.

    Args:
        clips: The clips of a corpus; the first to ask for them decodes them.
        show_progress: Whether decoding draws a progress bar.

    Raises:
        CorpusError: If a clip cannot be decoded, or the file cannot be written.
    """

    def __init__(self, clips: Sequence[Clip], show_progress: bool = False):
        from datasets import Dataset

        path = cache_folder() / f"waveforms-{_signature(clips)}.arrow"
        if path.is_file():
            path.touch()  # The time of its last use.
        else:
            _write(clips, path, show_progress)
            _prune(path)
        table = Dataset.from_file(str(path)).data
        self._waveforms = table.column("waveform")
        self._rows = {clip_id: row for row, clip_id in enumerate(table.column("clip_id").to_pylist())}

    def __getitem__(self, clip_id: str) -> np.ndarray:
        return self._waveforms[self._rows[clip_id]].values.to_numpy()

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _signature(clips: Sequence[Clip]) -> str:
    """Hash of ids and sources: a clip that was added, replaced or repaired means another file."""
    digest = hashlib.sha256(f"{DECODER_VERSION} {SAMPLING_RATE}\n".encode())
    for clip in clips:
        digest.update(f"{clip.clip_id} {_source_signature(clip)}\n".encode())
    return digest.hexdigest()[:16]


def _source_signature(clip: Clip) -> str:
    source = clip.read()
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    try:
        status = os.stat(source)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return "unreadable"  # decoding says why
    return f"{status.st_size} {status.st_mtime_ns}"


def _write(clips: Sequence[Clip], path: Path, show_progress: bool) -> None:
    """Decodes into a temporary file and moves it into place when it is complete."""
    from datasets import Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    features = Features({"clip_id": Value("string"), "waveform": List(Value("float32"))})
    bar = tqdm(clips, desc="decoding", unit="clip", disable=None if show_progress else True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="waveforms-", dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            with ArrowWriter(
                path=str(unfinished), features=features, writer_batch_size=CLIPS_PER_BATCH
            ) as writer:
                for clip in bar:
                    writer.write({"clip_id": clip.clip_id, "waveform": clip.waveform()})
                writer.finalize()
            os.replace(unfinished, path)
    except OSError as error:
        raise CorpusError(
            f"decoded audio cannot be kept in {path.parent}: {error.strerror or error}. Make room, or set "
            "XDG_CACHE_HOME to another folder."
        ) from error


def _prune(newest: Path) -> None:
    """Removes the files that were not used for longest, beyond what is kept; never the newest."""
    files = sorted(newest.parent.glob("waveforms-*.arrow"), key=lambda path: -path.stat().st_mtime_ns)
    total = newest.stat().st_size
    for rank, path in enumerate((path for path in files if path != newest), start=1):
        total += path.stat().st_size
        if rank >= MAX_FILES or total > MAX_BYTES:
            # Who still reads it keeps it open; elsewhere it stays until the next time.
            with contextlib.suppress(OSError):
                path.unlink()
