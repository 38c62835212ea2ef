"""What the processor can do."""

import pytest

from inference.cpu_features import instruction_sets


def test_a_limit_for_onednn_is_another_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    before = instruction_sets()
    assert before
    assert before == instruction_sets()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert instruction_sets() == (*before, "onednn<=avx2")
