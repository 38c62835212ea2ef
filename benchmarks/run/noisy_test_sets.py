"""The robustness phase as clips to ask about: corrupted words, and sounds that are none."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from benchmarks.conditions.rejection_sounds import rejection_sounds
from benchmarks.conditions.table import CONDITIONS, SNR_UNIT, Condition, corrupt
from benchmarks.records.run_record import CLEAN, REJECTION
from benchmarks.run.inputs import Fold, Inputs, NoisyTestSet, TestSet
from benchmarks.run.subset import stratified_subset
from benchmarks.worker.waveform_file import StoredClip, StoreWriter, read_waveform

#: The words under their own condition: narrowed to 8 kHz and 16 bit as under all the others.
CLEAN_AT_8_KHZ = "clean@8kHz"
#: Training clips that babble is made of.
NUM_BABBLE_CLIPS = 120
NON_WORDS_PER_KIND = 20
#: Of the levels of a noise, the one that a budget leaves to the last.
CENTRAL_SNR_DB = 10.0


def make_noisy_test_sets(inputs: Inputs, names: Sequence[str]) -> tuple[TestSet, list[NoisyTestSet]] | None:
    """The conditions of a run as test sets.

    They use the first protocol that has training clips, and of each speaker the takes that the official
    test would use.

    Returns:
        The protocol and its noisy test sets; None without such a protocol.
    """
    test_set = next((found for found in inputs.test_sets if found.folds[0].train), None)
    if test_set is None:
        return None
    return test_set, [_noisy_test_set(inputs, test_set, name) for name in names]


def condition_names(conditions: Sequence[Condition]) -> list[str]:
    """Conditions as in the records, those that a budget gives up first at the end."""
    by_family: dict[str, list[Condition]] = {}
    for condition in conditions:
        by_family.setdefault(condition.family.name, []).append(condition)
    ranked = []
    for place, family in enumerate(by_family.values()):
        if family[0].family.unit == SNR_UNIT:
            family.sort(key=lambda condition: abs((condition.level or 0.0) - CENTRAL_SNR_DB))
        ranked += [(rank, place, condition.name) for rank, condition in enumerate(family)]
    names = [CLEAN_AT_8_KHZ if name == CLEAN else name for *_, name in sorted(ranked)]
    return [CLEAN_AT_8_KHZ, REJECTION, *(name for name in names if name != CLEAN_AT_8_KHZ)]


def _noisy_test_set(inputs: Inputs, test_set: TestSet, name: str) -> NoisyTestSet:
    stored = inputs.clips[test_set.protocol]
    if name == REJECTION:
        first = test_set.folds[0]
        make = cache(partial(_store_non_words, test_set, inputs.scratch / "non-words.f32"))
        # Nobody says these: one checkpoint answers, that of the first fold.
        return NoisyTestSet(
            name, REJECTION, None, {first.speaker: make}, {first.speaker: [clip.clip_id for clip in make()]}
        )
    condition = CONDITIONS[CLEAN if name == CLEAN_AT_8_KHZ else name]
    clips: dict[str | None, Callable[[], Sequence[StoredClip]]] = {}
    ids: dict[str | None, Sequence[str]] = {}
    for place, fold in enumerate(test_set.folds):
        official = {clip.clip_id for clip in fold.test if clip.official_test}
        chosen = [clip for clip in stored[fold.speaker] if clip.clip_id in official]
        if chosen:
            path = inputs.scratch / f"{name}-{place}.f32"
            clips[fold.speaker] = cache(partial(_store_corrupted, condition, fold, chosen, path))
            ids[fold.speaker] = [clip.clip_id for clip in chosen]
    return NoisyTestSet(name, condition.family.name, condition.level, clips, ids)


def _store_corrupted(
    condition: Condition, fold: Fold, clips: Sequence[StoredClip], path: Path
) -> list[StoredClip]:
    talkers = stratified_subset(fold.train, NUM_BABBLE_CLIPS)
    stored = []
    with StoreWriter(path) as store:
        for clip in clips:
            waveform = read_waveform(Path(clip.store), clip.first_sample, clip.num_samples)
            changed, corruption = corrupt(waveform, condition, clip.clip_id, clip.speaker, talkers)
            stored.append(store.add(changed, clip.clip_id, clip.label, clip.speaker, corruption))
    return stored


def _store_non_words(test_set: TestSet, path: Path) -> list[StoredClip]:
    number = min(NON_WORDS_PER_KIND, len(test_set.clips))
    with StoreWriter(path) as store:
        return [
            store.add(sound.waveform, sound.clip_id, None, sound.kind)
            for sound in rejection_sounds(test_set.clips, number)
        ]
