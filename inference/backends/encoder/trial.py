"""The fastest way to run a checkpoint that answers as torch does: tried once per checkpoint and processor.

Eight-bit kernels differ between processors, in speed and in their answers: on some of them sums of products
overflow. So nothing is assumed of a precision. Each candidate is converted, compared with torch in float32
on check clips, and timed; the fastest that agrees is kept beside the checkpoint with what was measured.
"""

import hashlib
import importlib.metadata
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.backends.encoder.checkpoint import WEIGHTS_FILE, EncoderCheckpoint, read_encoder_checkpoint
from inference.backends.encoder.conversion import convert_checkpoint, load_converted
from inference.backends.encoder.runtime import EncoderRuntime
from inference.backends.encoder.select_runtime import RuntimeChoice
from inference.cpu_features import instruction_sets
from inference.errors import CheckpointError
from inference.extras import require_packages
from inference.files import cache_folder, new_folder, read_json, write_json
from inference.prediction import softmax

#: Beside the checkpoint, hidden: the folder's visible files are what is published.
CACHE_NAME = ".runtimes"
SELECTION_FILE = "selection.json"
#: What answers where no candidate does; slow, and never wrong.
REFERENCE = RuntimeChoice("torch", "fp32")
#: Largest difference of a probability from float32 that rounding may make.
MAX_PROBABILITY_DIFFERENCE = 0.1
#: Voices that ship with the project; noise and loudness make further check clips of them.
CHECK_CLIPS = Path(__file__).parents[2] / "app" / "examples"
CHECK_SNR_DB = 20.0
#: Each candidate is timed for so long, but not more often than that; one thread, one clip.
TRIAL_SECONDS, MAX_CALLS = 1.0, 50

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialResult:
    """How one candidate did.

    Attributes:
        runtime: What computes.
        precision: In which precision.
        max_probability_difference: Largest difference of a probability from torch in float32.
        label_agreement: Share of the check clips with the same most probable class.
        one_clip_ms: Median time of one clip, one thread, candidates in turns.
    """

    runtime: str
    precision: str
    max_probability_difference: float
    label_agreement: float
    one_clip_ms: float

    @property
    def agrees(self) -> bool:
        """Whether its answers are those of the checkpoint."""
        return self.max_probability_difference <= MAX_PROBABILITY_DIFFERENCE


def prepared_folder(
    checkpoint: EncoderCheckpoint, candidates: Sequence[RuntimeChoice]
) -> tuple[RuntimeChoice, Path]:
    """Settles which candidate runs a checkpoint, and where its converted files lie.

    They lie beside the checkpoint or, where that cannot be written, in the user's cache.

    Args:
        checkpoint: With weights of torch.
        candidates: None of them torch.

    Returns:
        The choice and its folder; ``REFERENCE`` if none of several candidates answers as it should.

    Raises:
        BackendUnavailableError: If it must be converted and torch is not installed.
        CheckpointError: If the weights are damaged, or the only candidate answers otherwise.
        OSError: If there is no room for it.
    """
    key = _key(checkpoint.folder, candidates)
    beside = checkpoint.folder / CACHE_NAME
    places = (beside / key, cache_folder() / "runtimes" / key)
    for place in places:
        if place.is_dir():
            return read_selection(place)[0], place
    require_packages(("torch", "transformers"), f"the first use of {checkpoint.folder}")
    names = " or ".join(map(str, candidates))
    _logger.warning("preparing %s for %s, once per checkpoint", checkpoint.folder, names)
    place = places[0] if _is_writable(beside) else places[1]
    with new_folder(place) as unfinished:
        _prepare_apart(checkpoint, candidates, unfinished)
    chosen, results = read_selection(place)
    tried = ", ".join(f"{one.runtime}-{one.precision} {one.one_clip_ms:.3g} ms" for one in results)
    _logger.warning("%s answers: tried were %s", chosen, tried or "none")
    for name, reason in read_json(place / SELECTION_FILE)["refusals"].items():
        _logger.warning("%s does not run on this machine: %s", name, reason)
    return chosen, place


def read_selection(folder: Path) -> tuple[RuntimeChoice, list[TrialResult]]:
    """The choice that was settled for a folder, and how each candidate did.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = folder / SELECTION_FILE
    try:
        selection = read_json(path)
        chosen = RuntimeChoice(**selection["chosen"])
        return chosen, [TrialResult(**candidate) for candidate in selection["candidates"]]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} names no choice; remove {folder}, it will be made again.") from error


def prepare(checkpoint: EncoderCheckpoint, candidates: Sequence[RuntimeChoice], folder: Path) -> None:
    """Converts and tries the candidates; leaves the files of the best, and what was measured, in a folder.

    Raises:
        CheckpointError: If the weights are damaged, or the only candidate answers otherwise.
    """
    from inference.backends.encoder.classifier import load_classifier
    from inference.backends.encoder.torch_runtime import TorchRuntime

    clips = [checkpoint.inputs(waveform) for waveform in check_clips()]
    expected = _probabilities(TorchRuntime(load_classifier(checkpoint)), clips)
    folders = {choice: folder / str(choice) for choice in candidates}
    runtimes, refusals = {}, {}
    for choice, place in folders.items():
        place.mkdir()
        convert_checkpoint(checkpoint, choice, place)
        try:
            runtimes[choice] = load_converted(place, choice, 1, checkpoint.hidden_size)
        except CheckpointError as error:  # a library whose kernels do not suit this processor
            if len(candidates) == 1:
                raise
            refusals[str(choice)] = str(error)
    times = _time_in_turns(runtimes, clips[0])
    results = []
    for choice, runtime in runtimes.items():
        found = _probabilities(runtime, clips)
        difference = float(np.abs(found - expected).max())
        agreement = float(np.mean(found.argmax(axis=1) == expected.argmax(axis=1)))
        results.append(TrialResult(choice.runtime, choice.precision, difference, agreement, times[choice]))
    chosen = choose_fastest(results, len(candidates))
    if chosen in folders:
        for path in folders[chosen].iterdir():
            path.rename(folder / path.name)
    for place in folders.values():
        shutil.rmtree(place)
    selection = {
        "chosen": asdict(chosen),
        "candidates": [asdict(result) for result in results],
        "refusals": refusals,
        "check_clips": len(clips),
        "instruction_sets": instruction_sets(),
    }
    write_json(folder / SELECTION_FILE, selection)


def choose_fastest(results: Sequence[TrialResult], num_candidates: int) -> RuntimeChoice:
    """The fastest candidate that agrees with torch; ``REFERENCE`` if none of several does.

    Raises:
        CheckpointError: If the only candidate does not agree: whoever asked for it is told.
    """
    agreeing = [result for result in results if result.agrees]
    if agreeing:
        fastest = min(agreeing, key=lambda result: result.one_clip_ms)
        return RuntimeChoice(fastest.runtime, fastest.precision)
    if num_candidates > 1:
        return REFERENCE
    (only,) = results
    raise CheckpointError(
        f"{only.runtime} in {only.precision} changes answers of this checkpoint on this processor: a "
        f"probability by {only.max_probability_difference:.2f}, allowed are {MAX_PROBABILITY_DIFFERENCE:g}. "
        "Use --precision fp32, or auto."
    )


def check_clips() -> list[np.ndarray]:
    """Words as recorded, in faint noise and quiet, then noise alone.

    Returns:
        Waveforms ``(num_samples,)`` of several lengths, always the same.
    """
    from inference.audio import decode_audio

    draw = np.random.default_rng(0)
    clips = []
    for path in sorted(CHECK_CLIPS.glob("*.flac")):
        waveform = decode_audio(path)
        noise = draw.standard_normal(waveform.size).astype(np.float32)
        noise *= np.sqrt(np.mean(waveform**2)) / 10 ** (CHECK_SNR_DB / 20)
        clips += [waveform, waveform + noise, 0.1 * waveform]
    return [*clips, 0.01 * draw.standard_normal(16_000).astype(np.float32)]


def main(checkpoint: str, folder: str, *candidates: str) -> None:
    """Tries candidates in a child process; a refusal ends it with its sentence on standard error."""
    try:
        choices = [RuntimeChoice.parse(text) for text in candidates]
        prepare(read_encoder_checkpoint(Path(checkpoint)), choices, Path(folder))
    except CheckpointError as error:
        sys.exit(str(error))


def _probabilities(runtime: EncoderRuntime, clips: Sequence[np.ndarray]) -> np.ndarray:
    """``(num_clips, num_classes)``, clip by clip."""
    rows = [runtime.logits(clip[None], np.array([clip.shape[-1]])) for clip in clips]
    return softmax(np.concatenate(rows))


def _time_in_turns(
    runtimes: Mapping[RuntimeChoice, EncoderRuntime], clip: np.ndarray
) -> dict[RuntimeChoice, float]:
    """Median milliseconds of one call, the candidates in turns so that all meet the same machine."""
    lengths = np.array([clip.shape[-1]])
    taken: dict[RuntimeChoice, list[float]] = {choice: [] for choice in runtimes}
    for _ in range(MAX_CALLS + 1 if runtimes else 0):
        for choice, runtime in runtimes.items():
            start = time.perf_counter()
            runtime.logits(clip[None], lengths)
            taken[choice].append(1e3 * (time.perf_counter() - start))
        if sum(map(sum, taken.values())) > 1e3 * TRIAL_SECONDS * len(runtimes) and len(taken[choice]) > 3:
            break
    # The first call of each prepares kernels.
    return {choice: statistics.median(values[1:]) for choice, values in taken.items()}


def _prepare_apart(checkpoint: EncoderCheckpoint, candidates: Sequence[RuntimeChoice], folder: Path) -> None:
    """Tries candidates in a process of its own: torch and its memory do not stay in this one."""
    call = f"import sys; from {__name__} import main; main(*sys.argv[1:])"
    command: list[Any] = [sys.executable, "-c", call, checkpoint.folder, folder, *map(str, candidates)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    process = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        raise CheckpointError(lines[-1])


def _key(folder: Path, candidates: Sequence[RuntimeChoice]) -> str:
    """Changes with the weights, the settings, the processor, the candidates and their libraries."""
    versions = {choice.runtime: importlib.metadata.version(choice.runtime) for choice in candidates}
    digest = hashlib.sha256(repr((instruction_sets(), versions)).encode())
    for name in ("config.json", WEIGHTS_FILE):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{'+'.join(map(str, candidates))}-{digest.hexdigest()[:16]}"


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
