"""Clips as a microphone brings them: what decides over refusals must know words that are hard to hear."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from finetune.augmentation import AugmentationSettings, augment, clip_generator
from finetune.corpus.clip import Clip, wav_bytes

#: An endpointer's margins and steady noise of a room; the voice and its level stay as they are.
BACKGROUND = AugmentationSettings(
    speed=(1.0, 1.0),
    formants=(1.0, 1.0),
    equaliser_db=0.0,
    gain_db=(0.0, 0.0),
    pad_ms=(0.0, 160.0),
    reverberation_probability=0.0,
    snr_db=(10.0, 25.0),
    noise_probability=1.0,
    babble_share=0.0,
    low_pass_probability=0.0,
)


def in_noise(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Each clip in a background that is the same every time."""
    return tuple(
        replace(clip, clip_id=f"in-noise/{clip.clip_id}", official_test=False, read=partial(_in_noise, clip))
        for clip in clips
    )


def _in_noise(clip: Clip) -> bytes:
    return wav_bytes(augment(clip.waveform(), BACKGROUND, clip_generator(0, 0, clip.clip_id)))
