"""Options that do not fit end with a sentence."""

import pytest

from benchmarks.run.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "0"], "0 is not 1 or more"),
        (["--phases", "speed"], "invalid choice: 'speed'"),
        (["--budget", "soon"], "'soon' is no time such as 90s"),
        (["--resume", "--fresh"], "not allowed with"),
        (["--fold", "ann"], "--protocol auto holds nobody out; say --protocol loso"),
    ],
)
def test_wrong_options_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == 2
    assert message in capsys.readouterr().err
