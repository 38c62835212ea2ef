"""The table of training throughput, from the records of made-up segments."""

from benchmarks.records.run_record import Environment
from benchmarks.training_throughput.__main__ import summary
from benchmarks.training_throughput.contenders import CONTENDERS, DEFAULTS, PLAIN

ENVIRONMENT = Environment(threads_per_backend=2)
FACTS = {"first_decoding_s": 0.0}


def segments(*gains: float) -> list[dict]:
    """Segments of which each meets a machine slower than the one before; ours are faster by the gain."""
    return [
        {
            "contender": name,
            "segment": segment,
            "clips": 100,
            "seconds": 10.0 * (segment + 1) / (1.0 if name == PLAIN else gain),
            "loss": 2.0,
            "contended": segment == 1,
        }
        for segment, gain in enumerate(gains)
        for name in CONTENDERS
    ]


def row(text: str, name: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.strip("| ").split("|")[0].strip() == name)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_ratio_is_that_of_segments_that_met_the_same_machine() -> None:
    text = summary(segments(1.6, 2.5), "some clips", ENVIRONMENT, FACTS)
    assert row(text, PLAIN)[1:3] == [f"{200 / 30:.2f}", "1"]
    # The t interval of two logarithms, log(2) -+ log(1.25): 12.7 standard errors of log(1.25).
    low, high = (2 * 1.25**places for places in (-12.706, 12.706))
    assert row(text, DEFAULTS)[2] == f"2.00 [{low:.2f}, {high:.2f}]"
    assert "during 3 of 6 segments" in text


def test_validation_losses_are_there_once_all_have_ended() -> None:
    assert row(summary(segments(2.0), "some clips", ENVIRONMENT, FACTS), PLAIN)[-1] == "-"
    losses = {"validation_loss": {name: 1.5 for name in CONTENDERS}}
    assert row(summary(segments(2.0), "some clips", ENVIRONMENT, FACTS | losses), PLAIN)[-2:] == [
        "2.000",
        "1.500",
    ]
