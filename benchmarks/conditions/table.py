"""The conditions under which recognisers are tried, and how a clip is brought into one.

Every condition is made at 8 kHz and 16 bit, the clean one included, so that a condition differs from
it by nothing but its name. All random choices are seeded by clip and condition: the result does not
depend on order, backend or process.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.conditions import distortions, noises
from benchmarks.conditions.noises import NARROWBAND_HZ, Draw, Mixture, Noise
from benchmarks.records.measurements import Corruption
from benchmarks.records.run_record import CLEAN
from finetune.corpus.clip import Clip
from inference.audio import MIN_SECONDS, SAMPLING_RATE, resample

#: Changed whenever a condition sounds different; part of every seed.
VERSION = 1
SUITES = ("smoke", "standard", "full")
SNR_UNIT = "dB SNR"
SNR_LEVELS_DB = (20.0, 15.0, 10.0, 5.0, 0.0, -5.0)

Change = Callable[[np.ndarray, float, Draw], Mixture]


@dataclass(frozen=True)
class ConditionFamily:
    """Conditions that differ by a level.

    Attributes:
        name: First part of the conditions' names.
        unit: Of the levels, empty where there is only one condition.
        change: Does it to speech at 8 kHz, given the level.
        levels: All of them, the mildest first.
        standard: Those of the suite ``standard``.
        smoke: Those of the suite ``smoke``.
    """

    name: str
    unit: str
    change: Change
    levels: tuple[float, ...] = (0.0,)
    standard: tuple[float, ...] = ()
    smoke: tuple[float, ...] = ()


@dataclass(frozen=True)
class Condition:
    """One condition: a level of a family."""

    family: ConditionFamily
    value: float

    @property
    def name(self) -> str:
        """Unique, such as ``babble@10``."""
        return f"{self.family.name}@{self.value:g}" if self.family.unit else self.family.name

    @property
    def level(self) -> float | None:
        """In the unit of the family; None where the family has only one condition."""
        return self.value if self.family.unit else None


def _unchanged(speech: np.ndarray, level: float, draw: Draw) -> Mixture:
    return Mixture(speech)


def _additive(noise: Noise) -> Change:
    return lambda speech, level, draw: noises.mix(speech, noise(speech.size, draw), level)


def _floor(speech: np.ndarray, level_dbfs: float, draw: Draw) -> Mixture:
    """White noise of a fixed level, which drowns quiet voices first."""
    floor = noises.white(speech.size, draw) * 10 ** (level_dbfs / 20)
    return Mixture(speech + floor, speech)


FAMILIES: tuple[ConditionFamily, ...] = (
    ConditionFamily(CLEAN, "", _unchanged, standard=(0.0,), smoke=(0.0,)),
    ConditionFamily("white", SNR_UNIT, _additive(noises.white), SNR_LEVELS_DB, SNR_LEVELS_DB, (10.0,)),
    ConditionFamily("babble", SNR_UNIT, _additive(noises.babble_of_talkers), SNR_LEVELS_DB, SNR_LEVELS_DB),
    ConditionFamily("floor", "dBFS", _floor, (-60.0, -50.0, -40.0), (-60.0, -50.0, -40.0)),
    ConditionFamily(
        "gain", "dB", distortions.gain, (-10.0, -20.0, -30.0, 10.0), (-20.0, -30.0, 10.0), (-20.0,)
    ),
    ConditionFamily("polarity", "", distortions.inverted, standard=(0.0,), smoke=(0.0,)),
    ConditionFamily("telephone-band", "", distortions.telephone, standard=(0.0,)),
    ConditionFamily("silence-around", "s", distortions.silence_around, (0.25, 1.0, 3.0), (1.0,)),
    ConditionFamily("noise-around", "s", distortions.noise_around, (0.25, 1.0, 3.0), (1.0,)),
    ConditionFamily("speed", "x", distortions.speed, (0.9, 0.8, 1.1, 1.25), (0.8, 1.25)),
    ConditionFamily("reverberation", "s RT60", distortions.reverberation, (0.2, 0.4, 0.8), (0.4,)),
    ConditionFamily("mu-law", "", distortions.mu_law, standard=(0.0,)),
    ConditionFamily("packet-loss", "%", distortions.packet_loss, (5.0, 10.0, 20.0), (10.0,)),
    ConditionFamily("clipping", "%", distortions.clipped, (5.0, 10.0, 25.0), (10.0,)),
)


#: Every condition by name, ``clean`` first.
CONDITIONS: dict[str, Condition] = {
    condition.name: condition
    for family in FAMILIES
    for condition in (Condition(family, level) for level in family.levels)
}


def conditions_of(suite: str) -> list[Condition]:
    """The conditions of one of ``SUITES``, ``clean`` first."""
    return [
        condition
        for condition in CONDITIONS.values()
        if suite == "full" or condition.value in getattr(condition.family, suite)
    ]


def corrupt(
    waveform: np.ndarray,
    condition: Condition,
    clip_id: str,
    speaker: str,
    talkers: Sequence[Clip],
) -> tuple[np.ndarray, Corruption]:
    """Brings a clip into a condition.

    Args:
        waveform: Float32 at 16 kHz, shape ``(num_samples,)``.
        clip_id: Its name, which seeds every random choice.
        speaker: Who speaks; babble is made of others.
        talkers: Clips for babble: of training folds, never of the test.

    Returns:
        Float32 at 16 kHz, shape ``(num_samples,)``, and what was done; the ratio is that at 8 kHz and 16 bit.
    """
    draw = Draw(condition_generator(clip_id, condition.name), speaker, talkers)
    mixture = condition.family.change(noises.narrow(waveform), condition.value, draw)
    clipped_share = float(np.mean(np.abs(mixture.waveform) >= 1.0))
    heard = np.clip(np.round(mixture.waveform * 32768), -32768, 32767) / 32768
    # What is too short for every recogniser after a cut gets silence, as a recorder would add it.
    least = round(MIN_SECONDS * NARROWBAND_HZ) + 1
    heard = np.pad(heard, (0, max(0, least - heard.size)))
    wide = resample(heard.astype(np.float32), NARROWBAND_HZ, SAMPLING_RATE)
    snr_db = noises.snr_db(Mixture(heard[: mixture.waveform.size], mixture.speech))
    return np.clip(wide, -1.0, 1.0), Corruption(
        realised_snr_db=None if snr_db is None else round(snr_db, 3),
        gain_db=round(mixture.gain_db, 3),
        clipped_share=round(clipped_share, 6),
    )


def condition_generator(clip_id: str, condition: str) -> np.random.Generator:
    """The random generator of one clip under one condition, independent of everything else."""
    digest = hashlib.sha256(f"{clip_id}|{condition}|{VERSION}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
