"""What a recording looks like: waveform and log-mel in one picture, with the word marked."""

import base64
import io

import numpy as np
from PIL import Image

from inference.audio import SAMPLING_RATE
from inference.features import FeatureSettings, log_mel

WIDTH, WAVE_HEIGHT, MEL_HEIGHT = 600, 90, 120
COLUMNS = 300
#: From dark to light through blue and green, readable by the colour-blind and in grey.
_PALETTE = np.array(
    [[13, 22, 48], [28, 84, 120], [56, 150, 130], [160, 205, 110], [250, 240, 180]], np.float32
)


def draw_recording(waveform: np.ndarray, start_s: float, end_s: float) -> str:
    """Draws a recording.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.
        start_s: Where the word begins, in seconds.
        end_s: Where it ends.

    Returns:
        An HTML element that scales with the page.
    """
    seconds = waveform.size / SAMPLING_RATE
    height = WAVE_HEIGHT + MEL_HEIGHT
    left, right = (WIDTH * moment / seconds for moment in (start_s, end_s))
    step = next(step for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0) if seconds / step <= 8)
    ticks = "".join(
        f'<span style="left:{100 * moment / seconds:.1f}%">{moment:g} s</span>'
        for moment in np.arange(0, seconds - step / 4, step).round(3)
    )
    return (
        f'<div class="recording"><svg viewBox="0 0 {WIDTH} {height}" role="img" preserveAspectRatio="none" '
        f'aria-label="waveform and log-mel of {seconds:.2f} s, word from {start_s:.2f} to {end_s:.2f} s">'
        f'<path class="wave" d="{_outline(waveform)}"/>'
        f'<image x="0" y="{WAVE_HEIGHT}" width="{WIDTH}" height="{MEL_HEIGHT}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{_mel_png(waveform)}"/>'
        f'<rect class="crop" x="{left:.1f}" y="1" width="{max(right - left, 1):.1f}" '
        f'height="{height - 2}"/></svg><div class="ticks">{ticks}</div></div>'
    )


def _outline(waveform: np.ndarray) -> str:
    """The path around the extremes of each column, scaled to the loudest sample."""
    columns = np.array_split(waveform, min(COLUMNS, waveform.size))
    x = np.linspace(0, WIDTH, len(columns))
    scale = WAVE_HEIGHT / 2 / max(float(np.abs(waveform).max()), 1e-4)
    upper = [WAVE_HEIGHT / 2 - scale * column.max() for column in columns]
    lower = [WAVE_HEIGHT / 2 - scale * column.min() for column in columns]
    points = [*zip(x, upper, strict=True), *zip(x[::-1], lower[::-1], strict=True)]
    return "M" + "L".join(f"{px:.1f},{py:.1f}" for px, py in points) + "Z"


def _mel_png(waveform: np.ndarray) -> str:
    mel = log_mel(waveform, FeatureSettings()).T[::-1]
    share = (mel - mel.min()) / max(float(mel.max() - mel.min()), 1e-6)
    position = share * (len(_PALETTE) - 1)
    low = np.minimum(position.astype(int), len(_PALETTE) - 2)
    weight = (position - low)[..., None]
    pixels = (1 - weight) * _PALETTE[low] + weight * _PALETTE[low + 1]
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
