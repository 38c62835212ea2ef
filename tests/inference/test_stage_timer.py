import pytest

from inference.stage_timer import collect_stages, stage


def test_time_is_added_by_name_and_only_while_somebody_collects() -> None:
    with stage("model"):
        pass
    with collect_stages() as stages_ns:
        for name in ("features", "model", "model"):
            with stage(name):
                sum(range(1000))
    with stage("post"):
        pass
    assert list(stages_ns) == ["features", "model"]
    assert stages_ns["model"] > stages_ns["features"] > 0


def test_an_unknown_stage_is_a_programming_error() -> None:
    with pytest.raises(AssertionError, match="cooking"):
        stage("cooking")
