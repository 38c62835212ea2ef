"""The robustness phase as clips to ask about: corrupted words, and sounds that are none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from benchmarks.conditions.non_words import non_words
from benchmarks.conditions.table import CLEAN, CONDITIONS, Condition, corrupt
from benchmarks.run.inputs import Materials
from benchmarks.run.protocol import Evaluation, Fold, stratified_subset
from benchmarks.worker.waveform_file import StoredClip, StoreWriter, read_waveform

REJECTION = "rejection"
#: The words under their own condition: narrowed to 8 kHz and 16 bit as under all the others.
CLEAN_TRIAL = "clean@8kHz"
#: Training clips that babble and competing words are made of.
NUM_TALKERS = 120
NON_WORDS_PER_KIND = 20
#: Of the levels of a noise, the one that a budget leaves to the last.
CENTRAL_SNR_DB = 10.0


@dataclass(frozen=True)
class Trial:
    """One condition under the protocol that the robustness phase uses.

    Attributes:
        name: As in the records.
        group: What belongs together in a curve.
        level: In the unit of the group; None for a group of one.
        clips: Fold -> clips, made when they are asked for.
        clip_ids: Fold -> what they are called.
    """

    name: str
    group: str
    level: float | None
    clips: Mapping[str | None, Callable[[], Sequence[StoredClip]]]
    clip_ids: Mapping[str | None, Sequence[str]]


def make_trials(materials: Materials, names: Sequence[str]) -> tuple[Evaluation, list[Trial]] | None:
    """The trials of a run.

    They use the first protocol that has training clips, and of each speaker the takes that the official
    test would use.

    Args:
        materials: The decoded clips.
        names: Conditions, as in the records.

    Returns:
        The protocol and its trials; None without such a protocol.
    """
    evaluation = next((e for e in materials.evaluations if e.folds[0].train), None)
    if evaluation is None:
        return None
    return evaluation, [_trial(materials, evaluation, name) for name in names]


def trial_names(conditions: Sequence[Condition]) -> list[str]:
    """Conditions as in the records, those that a budget gives up first at the end."""
    by_group: dict[str, list[Condition]] = {}
    for condition in conditions:
        by_group.setdefault(condition.group, []).append(condition)
    ranked = []
    for place, group in enumerate(by_group.values()):
        if "SNR" in group[0].unit:
            group.sort(key=lambda condition: abs((condition.level or 0.0) - CENTRAL_SNR_DB))
        ranked += [(rank, place, condition.name) for rank, condition in enumerate(group)]
    names = [CLEAN_TRIAL if name == CLEAN else name for *_, name in sorted(ranked)]
    return [CLEAN_TRIAL, REJECTION, *(name for name in names if name != CLEAN_TRIAL)]


def _trial(materials: Materials, evaluation: Evaluation, name: str) -> Trial:
    stored = materials.clips[evaluation.protocol]
    if name == REJECTION:
        first = evaluation.folds[0]
        make = cache(partial(_store_non_words, evaluation, materials.scratch / "non-words.f32"))
        # Nobody says these: one checkpoint answers, that of the first fold.
        return Trial(
            name, REJECTION, None, {first.speaker: make}, {first.speaker: [clip.clip_id for clip in make()]}
        )
    condition = CONDITIONS[CLEAN if name == CLEAN_TRIAL else name]
    clips: dict[str | None, Callable[[], Sequence[StoredClip]]] = {}
    ids: dict[str | None, Sequence[str]] = {}
    for place, fold in enumerate(evaluation.folds):
        official = {clip.clip_id for clip in fold.test if clip.official_test}
        chosen = [clip for clip in stored[fold.speaker] if clip.clip_id in official]
        if chosen:
            path = materials.scratch / f"{name}-{place}.f32"
            clips[fold.speaker] = cache(partial(_store_corrupted, condition, fold, chosen, path))
            ids[fold.speaker] = [clip.clip_id for clip in chosen]
    return Trial(name, condition.group, condition.level, clips, ids)


def _store_corrupted(
    condition: Condition, fold: Fold, clips: Sequence[StoredClip], path: Path
) -> list[StoredClip]:
    talkers = stratified_subset(fold.train, NUM_TALKERS)
    stored = []
    with StoreWriter(path) as store:
        for clip in clips:
            waveform = read_waveform(Path(clip.store), clip.first_sample, clip.num_samples)
            assert clip.label is not None
            changed = corrupt(waveform, condition, clip.clip_id, clip.speaker, clip.label, talkers)
            corruption = {
                "realised_snr_db": changed.realised_snr_db,
                "gain_db": changed.gain_db,
                "clipped_share": changed.clipped_share,
            }
            stored.append(store.add(changed.waveform, clip.clip_id, clip.label, clip.speaker, corruption))
    return stored


def _store_non_words(evaluation: Evaluation, path: Path) -> list[StoredClip]:
    number = min(NON_WORDS_PER_KIND, len(evaluation.clips))
    with StoreWriter(path) as store:
        return [
            store.add(sound.waveform, sound.clip_id, None, sound.kind)
            for sound in non_words(evaluation.clips, number)
        ]
