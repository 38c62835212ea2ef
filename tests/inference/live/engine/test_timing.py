"""The clock of the microphone's samples."""

import numpy as np
import pytest

from inference.live.engine.timing import SampleClock


def test_the_sample_clock_believes_the_earliest_callback():
    clock = SampleClock(16_000)
    rng = np.random.default_rng(0)
    for index in range(500):
        late = rng.uniform(0.0, 0.03) if index != 100 else 0.0
        clock.observe(160 * index, called_at=10.0 + 0.01 * (index + 1) + late, lag=0.01)
    assert clock.time_of(160 * 500) == pytest.approx(10.0 + 5.0, abs=0.001)


def test_the_sample_clock_forgets_a_shift_after_its_window():
    clock = SampleClock(16_000)
    for index in range(1000):
        shift = 0.0 if index < 200 else 0.3
        clock.observe(160 * index, called_at=0.01 * (index + 1) + shift, lag=0.01)
    assert clock.time_of(160 * 1000) == pytest.approx(10.0 + 0.3, abs=0.001)
