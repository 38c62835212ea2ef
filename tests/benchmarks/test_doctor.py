"""The doctor sees what is there and what is not."""

import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks import doctor
from inference.backends.table import BACKENDS
from tests.benchmarks.fakes import fake_spec


def test_it_looks_at_everything_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([]) in (0, doctor.EXIT_UNFIT)
    lines = capsys.readouterr().out.splitlines()
    names = " ".join(lines)
    for name in ("load", "neighbours", "memory", "clock", *BACKENDS):
        assert name in names
    assert all(line.startswith(("ok", "MEND")) for line in lines)


def test_a_noisy_neighbour_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a machine that is full already the newcomer gets little.
    monkeypatch.setattr(doctor, "MAX_NEIGHBOUR_SHARE", 0.01)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            finding = doctor.neighbours()[0]
        finally:
            busy.kill()
    assert not finding.good
    assert str(busy.pid) in finding.found or finding.found.count(" %") == 5  # The five noisiest.


def test_missing_weights_and_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = fake_spec("Perfect", "weights-that-nobody-has")
    monkeypatch.setitem(BACKENDS, spec.name, spec)
    finding = next(finding for finding in doctor.weights() if finding.name.endswith(spec.name))
    assert not finding.good
    assert "weights-that-nobody-has" in finding.found


def test_composite_rows_are_checked_by_their_members(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._weights_of(BACKENDS["ensemble"]).good
    spec = fake_spec("Perfect", "weights-that-nobody-has")
    monkeypatch.setitem(BACKENDS, spec.name, spec)
    both = replace(BACKENDS["ensemble"], name="both", default_checkpoint=f"mfcc+{spec.name}")
    finding = doctor._weights_of(both)
    assert finding.name == "weights of both"
    assert "weights-that-nobody-has" in finding.found
