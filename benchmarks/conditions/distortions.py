"""What lies between a mouth and a recogniser: rooms, lines, a codec, levels, rates; all at 8 kHz."""

import io
from typing import Any

import numpy as np
import soxr

from benchmarks.conditions.noises import NARROWBAND_HZ, Draw, Mixture, telephone_band

PACKET_S = 0.02


def gain(speech: np.ndarray, gain_db: float, draw: Draw) -> Mixture:
    """Another level; what exceeds full scale is clipped, as a microphone does."""
    return Mixture(speech * 10 ** (gain_db / 20), gain_db=gain_db)


def inverted(speech: np.ndarray, level: float, draw: Draw) -> Mixture:
    """The other polarity, which no listener notices."""
    return Mixture(-speech)


def clipped(speech: np.ndarray, percent: float, draw: Draw) -> Mixture:
    """The loudest samples cut off at a common amplitude."""
    limit = float(np.quantile(np.abs(speech), 1 - percent / 100))
    return Mixture(np.clip(speech, -limit, limit))


def silence_around(speech: np.ndarray, seconds: float, draw: Draw) -> Mixture:
    """Digital silence on both sides."""
    return Mixture(np.pad(speech, round(seconds * NARROWBAND_HZ)))


def noise_around(speech: np.ndarray, seconds: float, draw: Draw) -> Mixture:
    """White noise 30 dB below the speech on both sides."""
    length = round(seconds * NARROWBAND_HZ)
    level = float(np.sqrt(np.mean(np.square(speech)))) * 10 ** (-30 / 20)
    before, after = level * draw.generator.standard_normal((2, length))
    return Mixture(np.concatenate([before, speech, after]))


def speed(speech: np.ndarray, factor: float, draw: Draw) -> Mixture:
    """Played faster or slower by resampling, pitch included."""
    return Mixture(soxr.resample(speech, NARROWBAND_HZ, NARROWBAND_HZ / factor))


def telephone(speech: np.ndarray, level: float, draw: Draw) -> Mixture:
    """300 to 3400 Hz."""
    return Mixture(telephone_band(speech))


def reverberation(speech: np.ndarray, rt60_s: float, draw: Draw) -> Mixture:
    """A room: exponentially decaying noise as tail, as strong as the direct sound in all.

    (Statistical room model of J. D. Polack, 1988: white noise whose power falls by 60 dB in ``rt60_s``.)
    """
    length = round(rt60_s * NARROWBAND_HZ)
    tail = draw.generator.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[0] = 0.0
    response = tail / np.sqrt(np.sum(np.square(tail)))
    response[0] = 1.0
    return Mixture(np.convolve(speech, response))


def packet_loss(speech: np.ndarray, percent: float, draw: Draw) -> Mixture:
    """Packets of 20 ms lost independently and played as silence."""
    length = round(PACKET_S * NARROWBAND_HZ)
    kept = draw.generator.random(-(-speech.size // length)) >= percent / 100
    return Mixture(speech * np.repeat(kept, length)[: speech.size])


def mu_law(speech: np.ndarray, level: float, draw: Draw) -> Mixture:
    """The codec of telephones, G.711, encoded and decoded by FFmpeg."""
    import av  # A tenth of a second that --help does not need.

    samples = np.clip(np.round(speech * 32768), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as output:
        # Typed loosely: the stubs of PyAV do not know that this is a stream of audio.
        stream: Any = output.add_stream("pcm_mulaw", rate=NARROWBAND_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = NARROWBAND_HZ
        for part in (frame, None):
            output.mux(stream.encode(part))
    file.seek(0)
    with av.open(file, "r") as source:
        decoded = [part.to_ndarray()[0] for part in source.decode(audio=0)]
    return Mixture(np.concatenate(decoded) / 32768)
