"""Clips as a microphone brings them: the same every time, the word in it, noise in the range promised."""

from pathlib import Path

import numpy as np

from finetune.corpus.in_noise import BACKGROUND, in_noise
from finetune.corpus.loading import load_corpus
from inference.features import trim_silence


def test_copies_keep_label_and_word_and_are_the_same_each_time(spoken_corpus: Path) -> None:
    clips = load_corpus(str(spoken_corpus)).clips[::40]
    copies = in_noise(clips)
    assert [copy.label for copy in copies] == [clip.label for clip in clips]
    assert not {copy.clip_id for copy in copies} & {clip.clip_id for clip in clips}
    for clip, copy in zip(clips, copies, strict=True):
        waveform = copy.waveform()
        np.testing.assert_array_equal(waveform, copy.waveform())
        word = trim_silence(clip.waveform())
        match = np.correlate(waveform, word, mode="valid")
        place = int(match.argmax())
        noise = waveform[place : place + word.size] - word
        snr_db = 10 * np.log10(np.mean(word**2) / np.mean(noise**2))
        low, high = BACKGROUND.snr_db
        assert low - 3 < snr_db < high + 3
