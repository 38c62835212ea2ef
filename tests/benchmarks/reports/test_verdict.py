"""What to ship: the best within limits, ties by intervals over speakers, the price of each limit."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.report import main
from benchmarks.reports.choice import Requirements
from benchmarks.reports.report_tables import read_report
from benchmarks.reports.verdict import verdict
from inference.errors import UserError
from inference.prediction import PASSED_ON
from tests.benchmarks.made_run import make_run, read_lines, write_lines
from tests.benchmarks.reports.test_unheard import answers as unheard_answers

#: Backend -> milliseconds, MB, of 60 words those right.
FIELD = {"small": (1.0, 1.0, 30), "middle": (3.0, 2.0, 45), "large": (20.0, 80.0, 60)}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The verdict under limits, on made-up answers of 30 speakers and 200 other words."""

    def tell(field: Mapping[str, tuple[float, float, int]] = FIELD, **limits: float) -> str:
        others = np.linspace(0, 0.8, 200).tolist()
        unheard = {
            # Those right are spread over the speakers, the same for all.
            name: unheard_answers([((7 * place) % 60 < right, 0.9) for place in range(60)], others)
            for name, (_, _, right) in field.items()
        }
        rows = [
            {"backend": name, "status": "ok", "p50_ms": ms, "cost_ms": ms, "opened_bytes": 1e6 * megabytes}
            | {"accuracy": right / 60, "accuracy_low": None, "accuracy_high": None}
            for name, (ms, megabytes, right) in field.items()
        ]

        class Fake:
            frame = pd.DataFrame(rows)
            backends = ()
            new_speakers = True

        monkeypatch.setattr("benchmarks.reports.choice.headline_protocol", lambda run: Fake)
        needs = Requirements(**limits)
        return " ".join(verdict(Fake, pd.DataFrame(), Fake, unheard, needs))  # type: ignore[arg-type]

    return tell


def test_without_limits_the_best_is_shipped_and_tighter_limits_have_a_price(
    told: Callable[..., str],
) -> None:
    text = told()
    assert text.startswith("Ship **large**, 100.0 % ")
    assert "(20.0 ms, 80.0 MB): right and shown where 5 % of other words are shown" in text
    assert "every other one is worse by more than chance" in text
    assert "Below 20.0 ms a clip or 80.0 MB the best is **middle**, 75.0 %" in text
    assert "-25.0 points [" in text


def test_limits_choose_and_each_says_what_it_costs(told: Callable[..., str]) -> None:
    text = told(max_ms=2, max_mb=100)
    assert text.startswith("Within 2 ms and 100 MB ship **small**, 50.0 %")
    assert "no other one fits" in text
    assert "Without 2 ms it would be **large**, 100.0 %" in text
    assert "+50.0 points [" in text
    assert text.endswith("100 MB costs nothing.")
    both = told(max_ms=5, max_mb=4)
    assert "Without 5 ms and 4 MB together it would be **large**" in both


def test_the_cheapest_of_those_that_tie_is_shipped(told: Callable[..., str]) -> None:
    text = told({**FIELD, "middle": (3.0, 2.0, 59)})
    assert text.startswith("Ship **middle**, 98.3 %")
    assert "the best, **large**, 100.0 %" in text
    assert "undecided)" in text


def test_a_cheaper_one_that_may_be_much_worse_is_named_and_not_shipped(told: Callable[..., str]) -> None:
    text = told({**FIELD, "middle": (3.0, 2.0, 57)})
    assert text.startswith("Ship **large**, 100.0 %")
    assert (
        "; **middle** costs less, but this test is too small to rule out a loss of more than 5 points."
        in text
    )


def test_where_nothing_fits_the_limits_to_loosen_are_named(told: Callable[..., str]) -> None:
    text = told(max_ms=2, new_speakers=0.7)
    assert text.startswith("Nothing that was measured keeps 2 ms and 70 % right or more.")
    assert "Loosen --max-ms to 3.00 for **middle**, 75.0 %" in text
    assert "to 20.0 for **large**" in text
    assert "or --new-speakers to 0.500 for **small**" in text
    hopeless = told(max_ms=0.1, max_mb=0.1)
    assert "Loosening one is not enough; without any it would be **large**" in hopeless


def test_a_share_that_the_interval_straddles_is_undecided(told: Callable[..., str]) -> None:
    text = told(max_ms=5, new_speakers=0.74)
    assert "ship **middle**" in text
    assert "whether it keeps 74 % on further voices is undecided" in text


def test_showing_every_answer_is_one_of_the_choices(told: Callable[..., str]) -> None:
    assert "right, every answer shown" in told({**FIELD, "middle": (3.0, 2.0, 60)}, max_false_accepts=1.0)
    with pytest.raises(UserError, match="too few other words"):
        told(max_false_accepts=0.001)


def test_a_clip_that_goes_on_to_a_second_model_costs_the_mean(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    for path in (folder / "answers.jsonl.gz", folder / "latency.jsonl"):
        lines = read_lines(path)
        mine = [line for line in lines if line["backend"] == "mfcc"]
        for line in mine[::3]:
            line["reason"] = PASSED_ON
            line["t_ns"] = {name: 40 * value for name, value in (line.get("t_ns") or {}).items()}
        write_lines(path, lines)
    row = read_report(folder).tables["main"].frame.set_index("backend").loc["mfcc"]
    assert row["cost_ms"] == row["mean_ms"] > 5 * row["p50_ms"]
    assert "ms in the mean" in row["flags"]
    others = read_report(folder).tables["main"].frame.set_index("backend").loc["wav2vec2"]
    assert others["cost_ms"] == others["p50_ms"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-false-accepts", "0.05"], "--other-words FOLDER"),
        (["--max-ms", "5"], "--phases accuracy latency"),
        (["--max-false-accepts", "5"], "such as 0.05"),
    ],
)
def test_limits_on_what_was_not_measured_teach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    folder = make_run(tmp_path / "run", rounds=2)
    (folder / "latency.jsonl").unlink()
    try:
        code = main([str(folder), *options])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (folder / "summary.md").exists()
