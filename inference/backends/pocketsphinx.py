"""Zero-shot PocketSphinx: the bundled US-English model and a grammar that allows one word.

The acoustic model (PTM, wideband speech) and the pronunciation dictionary come with the package,
so this is the zero-shot row that needs no network (Huggins-Daines et al. 2006, "PocketSphinx: a
free, real-time continuous speech recognition system for hand-held devices").

The settings below were chosen on 573 training recordings of the Free Spoken Digit Dataset; they
prepare the audio, the model has learnt nothing from it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inference.audio import SAMPLING_RATE
from inference.backends.base import Backend
from inference.backends.transcripts import match_transcript
from inference.errors import BackendUnavailableError, CheckpointError
from inference.prediction import Prediction
from inference.vocabulary import vocabulary

if TYPE_CHECKING:
    from pocketsphinx import Decoder

BUNDLED_MODEL = "en-us"
#: Silence put around the clip: the decoder wants to see where the word begins and ends.
PADDING_MS = 200
#: Level the clip is brought to, and the most it is amplified.
TARGET_DBFS = -20.0
MAX_GAIN_DB = 40.0
#: White noise added to all of it. Digital silence and the empty upper half of telephone-band speech
#: lie far below anything the model was trained on; a steady floor costs little and helps much.
NOISE_DBFS = -50.5
#: Gaussians scored per frame (the library's default is 4).
TOP_GAUSSIANS = 8

_INT16_FULL_SCALE = 32_767


class PocketSphinxBackend(Backend):
    """PocketSphinx with a grammar of the vocabulary's spoken forms.

    There is no score: a grammar search yields no probability of its single path. The number of
    parameters is unknown, because the mixture weights are stored clustered.
    """

    zero_shot = True

    def __init__(self) -> None:
        from pocketsphinx import Decoder, get_model_path

        acoustic_model = Path(get_model_path("en-us/en-us"))
        dictionary = Path(get_model_path("en-us/cmudict-en-us.dict"))
        self._decoder = Decoder(
            hmm=str(acoustic_model), dict=str(dictionary), lm=None, topn=TOP_GAUSSIANS, loglevel="FATAL"
        )
        self._decoder.add_jsgf_string("words", word_grammar(self._decoder))
        self._decoder.activate_search("words")
        self.checkpoint_files = (
            *sorted(p for p in acoustic_model.iterdir() if p.name != "README"),
            dictionary,
        )

    @classmethod
    def load(cls, checkpoint: str = BUNDLED_MODEL, threads: int = 1) -> "PocketSphinxBackend":
        """Loads the bundled model; the library always computes in one thread.

        Raises:
            CheckpointError: If ``checkpoint`` is anything but ``BUNDLED_MODEL``.
        """
        if checkpoint != BUNDLED_MODEL:
            raise CheckpointError(
                f"backend pocketsphinx has only its bundled model, received {checkpoint!r}: leave "
                f"--checkpoint out, or give {BUNDLED_MODEL}."
            )
        return cls()

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """Recognises each waveform, ``(num_samples,)`` at 16 kHz, on its own."""
        return [self._predict_one(waveform) for waveform in waveforms]

    def _predict_one(self, waveform: np.ndarray) -> Prediction:
        decoder = self._decoder
        # Starting a stream forgets the noise estimate of the clips before; whole utterances are
        # normalised by their own mean. An answer thus depends on nothing but its clip.
        decoder.start_stream()
        decoder.start_utt()
        decoder.process_raw(to_pcm(waveform), full_utt=True)
        decoder.end_utt()
        best = decoder.hyp()
        hypothesis = best.hypstr if best is not None else ""
        match = match_transcript(hypothesis)
        return Prediction(label=match.label, hypothesis=hypothesis, reason=match.reason)


def word_grammar(decoder: "Decoder") -> str:
    """A JSGF grammar of one word: every spoken form that the dictionary knows, labels equally likely.

    Raises:
        BackendUnavailableError: If the dictionary knows no form of a label.
    """
    labels = []
    for label, forms in vocabulary().spoken_forms.items():
        known = [form for form in forms if decoder.lookup_word(form)]
        if not known:
            raise BackendUnavailableError(
                f"backend pocketsphinx has no pronunciation of {' or '.join(forms)} (label {label}).",
                "Add a spoken form that an English dictionary holds, or leave this backend out.",
            )
        labels.append(f"( {' | '.join(known)} )")
    return f"#JSGF V1.0; grammar words; public <word> = {' | '.join(labels)} ;"


def to_pcm(waveform: np.ndarray) -> bytes:
    """Levels, pads and dithers a waveform of shape ``(num_samples,)``; returns 16-bit samples.

    The noise is the same for every clip, so that equal clips get equal answers.
    """
    rms = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    gain = min(10 ** (TARGET_DBFS / 20) / rms, 10 ** (MAX_GAIN_DB / 20)) if rms > 0.0 else 1.0
    padded = np.pad(waveform * gain, PADDING_MS * SAMPLING_RATE // 1000)
    noise = 10 ** (NOISE_DBFS / 20) * np.random.default_rng(0).standard_normal(padded.size)
    return (np.clip(padded + noise, -1.0, 1.0) * _INT16_FULL_SCALE).astype("<i2").tobytes()
