"""What lies between a mouth and a recogniser: rooms, lines, codecs, levels, rates; all at 8 kHz."""

import io
from typing import Any

import numpy as np
import soxr
from scipy import signal

from benchmarks.conditions.noises import NARROWBAND_HZ, Draw, Mixture, telephone_band

PACKET_S = 0.02
#: Codec -> container, encoder of FFmpeg, bits per second where it asks for them.
CODECS: dict[str, tuple[str, str, int | None]] = {
    "mu-law": ("wav", "pcm_mulaw", None),
    "a-law": ("wav", "pcm_alaw", None),
    "ima-adpcm": ("wav", "adpcm_ima_wav", None),
    "opus-8k": ("ogg", "libopus", 8_000),
    "amr-nb-12k": ("amr", "libopencore_amrnb", 12_200),
    "gsm": ("wav", "libgsm_ms", None),
}


def gain(speech: np.ndarray, gain_db: float, draw: Draw) -> Mixture:
    """Another level; what exceeds full scale is clipped, as a microphone does."""
    return Mixture(speech * 10 ** (gain_db / 20), gain_db=gain_db)


def inverted(speech: np.ndarray, level: float, draw: Draw) -> Mixture:
    """The other polarity, which no listener notices."""
    return Mixture(-speech)


def offset(speech: np.ndarray, level: float, draw: Draw) -> Mixture:
    """A constant added, as by a bad microphone input."""
    return Mixture(speech + level)


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


def head_cut(speech: np.ndarray, percent: float, draw: Draw) -> Mixture:
    """The beginning is missing."""
    return Mixture(speech[round(speech.size * percent / 100) :])


def tail_cut(speech: np.ndarray, percent: float, draw: Draw) -> Mixture:
    """The end is missing."""
    return Mixture(speech[: speech.size - round(speech.size * percent / 100)])


def telephone(speech: np.ndarray, level: float, draw: Draw) -> Mixture:
    """300 to 3400 Hz."""
    return Mixture(telephone_band(speech))


def low_pass(speech: np.ndarray, cutoff_hz: float, draw: Draw) -> Mixture:
    """Butterworth low-pass of order 4."""
    return Mixture(signal.sosfilt(signal.butter(4, cutoff_hz, fs=NARROWBAND_HZ, output="sos"), speech))


def high_pass(speech: np.ndarray, cutoff_hz: float, draw: Draw) -> Mixture:
    """Butterworth high-pass of order 4."""
    sections = signal.butter(4, cutoff_hz, "highpass", fs=NARROWBAND_HZ, output="sos")
    return Mixture(signal.sosfilt(sections, speech))


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


def coarse(speech: np.ndarray, bits: float, draw: Draw) -> Mixture:
    """Fewer bits per sample."""
    steps = 2 ** (bits - 1)
    return Mixture(np.round(speech * steps) / steps)


def through_codec(speech: np.ndarray, name: str) -> Mixture:
    """Encoded and decoded by FFmpeg.

    Args:
        speech: At 8 kHz.
        name: One of ``CODECS``.
    """
    import av  # A tenth of a second that --help does not need.

    container_format, encoder, bit_rate = CODECS[name]
    samples = np.clip(np.round(speech * 32768), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as output:
        # Typed loosely: the stubs of PyAV do not know that this is a stream of audio.
        stream: Any = output.add_stream(encoder, rate=NARROWBAND_HZ, layout="mono")
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = NARROWBAND_HZ
        for part in (frame, None):
            output.mux(stream.encode(part))
    file.seek(0)
    resampler = av.AudioResampler("s16", "mono", NARROWBAND_HZ)
    with av.open(file, "r") as source:
        decoded = [part for frame in source.decode(audio=0) for part in resampler.resample(frame)]
    decoded += resampler.resample(None)
    heard = np.concatenate([part.to_ndarray()[0] for part in decoded]) / 32768
    return Mixture(np.pad(heard, (0, max(0, speech.size - heard.size)))[: speech.size])


def available_codecs() -> list[str]:
    """The codecs of ``CODECS`` that this FFmpeg can encode."""
    import av

    return [name for name, (_, encoder, _) in CODECS.items() if encoder in av.codecs_available]


def codec_version() -> str:
    """Version of FFmpeg's codec library, for the record."""
    import av

    return "libavcodec " + ".".join(map(str, av.library_versions["libavcodec"]))
