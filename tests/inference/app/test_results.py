import json
from pathlib import Path

from inference.app.results import newest_run


def write_run(folder: Path, run: str, summary: str) -> None:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"run": run}))
    (folder / "summary.md").write_text(summary)


def test_the_newest_whole_run_is_shown_without_links_to_pictures(tmp_path: Path) -> None:
    assert newest_run(tmp_path / "nothing") is None
    write_run(tmp_path / "z-old", "20260101T000000Z", "old")
    write_run(tmp_path / "a-new", "20260301T000000Z", "| table |\n![plot](plots/x.png)\nnote")
    (tmp_path / "a-new" / "plots").mkdir()
    (tmp_path / "a-new" / "plots" / "x.png").touch()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_text('{"run": "2027')
    run = newest_run(tmp_path)
    assert run is not None
    assert (run.name, run.summary) == ("a-new", "| table |\nnote")
    assert [path.name for path in run.pictures] == ["x.png"]
