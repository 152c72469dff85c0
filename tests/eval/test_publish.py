"""The README's figures are those of the committed summary."""

import copy
import json
from pathlib import Path

import pytest

from misc.errors import InputError
from misc.eval.report.publish import BEGIN, END, SUMMARY, publish, summary_of, table_of, time_of, with_table
from misc.eval.report.results import Results
from misc.eval.report.tables import NONE, means_table
from tests.eval.test_report import codec

ROOT = Path(__file__).parents[2]
SECONDS = {"encoding": 80.0, "decoding": 46.0, "measuring": 300.0, "codecs": 120.0}


def some_results() -> Results:
    run = {"photos": {"a.png": "0"}, "seed": None, "versions": {}, "rates": [0.01], "seconds": SECONDS}
    return Results(run, {"jpeg": codec("jpeg", "classical"), "misc:misc": codec("misc:misc", "misc", 0.5)})


def test_the_readme_says_what_the_summary_says(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# MISC\n\n{BEGIN}\nold\n{END}\nthe rest\n")
    for _ in range(2):
        publish(some_results(), tmp_path, tmp_path / "results", readme, draws=20)
    summary = json.loads((tmp_path / "results" / SUMMARY).read_text())
    text = readme.read_text()
    assert with_table(text, table_of(summary)) == text
    assert text.startswith("# MISC\n")
    assert text.endswith("\nthe rest\n")
    assert "old" not in text
    assert "| misc:misc | 3 | 0.01000 | 25.00 |" in text
    assert "-50.0 %" in text
    assert "Encoding and decoding took 2 minutes of one process." in text
    other = copy.deepcopy(summary)
    other["bjontegaard against best classical"]["nothing"] = {"psnr": NONE}
    assert table_of(other) == table_of(summary), "a codec without any figure has no row"
    other["codecs"]["misc:misc"]["rates"]["0.02"]["psnr"] += 0.01
    assert with_table(text, table_of(other)) != text


def test_a_row_says_of_how_many_photos_it_is() -> None:
    results = some_results()
    next(iter(results.codecs["jpeg"].points.values())).clear()  # it has no file of this photo
    summary = summary_of(results, draws=5)
    assert {row["photos"] for row in summary["codecs"]["jpeg"]["rates"].values()} == {2}
    assert "| jpeg | 2 | " in table_of(summary)
    assert "| misc:misc | 3 | " in table_of(summary)
    assert "| jpeg | 2 | " in means_table(results)


@pytest.mark.parametrize("seconds", [{}, {**SECONDS, "codecs": 0.0}])
def test_no_time_is_told_where_none_is_known(seconds: dict[str, float]) -> None:
    assert time_of(seconds) == ""


def test_a_readme_without_a_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# MISC\n")
    with pytest.raises(InputError, match="no place for results"):
        publish(some_results(), tmp_path, tmp_path / "results", tmp_path / "README.md", draws=5)
    assert not (tmp_path / "results").exists()


def test_the_committed_readme_has_the_committed_figures() -> None:
    readme, summary = (ROOT / "README.md").read_text(), ROOT / "docs" / "results" / SUMMARY
    assert (BEGIN in readme) == summary.is_file(), "`make results` writes both"
    if summary.is_file():
        assert with_table(readme, table_of(json.loads(summary.read_text()))) == readme
