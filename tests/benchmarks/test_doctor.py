"""The doctor sees what is there and what is not."""

import subprocess
import sys

import pytest

from benchmarks import doctor


def test_it_looks_at_everything_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([]) in (0, doctor.EXIT_UNFIT)
    lines = capsys.readouterr().out.splitlines()
    names = " ".join(lines)
    for name in ("load", "neighbours", "memory", "clock"):
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
