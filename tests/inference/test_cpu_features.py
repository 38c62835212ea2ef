"""What the processor can do."""

import pytest

from inference.cpu_features import instruction_sets, name_instruction_sets


def test_a_limit_for_onednn_is_another_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    before = instruction_sets()
    assert before
    assert before == instruction_sets()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert instruction_sets() == (*before, "onednn<=avx2")


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (("avx", "avx2", "f16c", "fma"), "AVX2"),
        (("avx2", "avx_vnni", "onednn<=avx2"), "AVX2, VNNI, onednn<=avx2"),
        (
            ("amx_bf16", "amx_int8", "avx2", "avx512_bf16", "avx512_vnni", "avx512f"),
            "AVX2, AVX-512, VNNI, BF16, AMX",
        ),
        (("asimd", "asimddp", "i8mm"), "NEON, I8MM"),
        ((), ""),
    ],
)
def test_what_decides_about_speed_has_a_name(found: tuple[str, ...], named: str) -> None:
    assert name_instruction_sets(found) == named
