"""A measurement that was stopped goes on where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from misc.errors import InputError
from misc.eval.partial import Partial

ASKED = {"rows": ["text"], "candidates": 1}


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    """The file for the figures, beside answers for two photos."""
    path = tmp_path / "a.json"
    partial = Partial(path, ASKED)
    partial.add("a.png", {"text": {"psnr": 20.5}})
    partial.add("b.png", {"text": {"missing": "no text"}})
    return path


def part(figures: Path) -> Path:
    return figures.with_name("a.json.part")


def test_answers_are_there_after_a_stop_and_gone_when_all_is_done(figures: Path) -> None:
    again = Partial(figures, ASKED)
    assert again.answers == {"a.png": {"text": {"psnr": 20.5}}, "b.png": {"text": {"missing": "no text"}}}
    again.done()
    assert not part(figures).exists()
    assert Partial(figures, ASKED).answers == {}


def test_a_line_that_was_cut_is_measured_again(figures: Path) -> None:
    part(figures).write_bytes(part(figures).read_bytes()[:-5])
    again = Partial(figures, ASKED)
    assert list(again.answers) == ["a.png"]
    again.add("c.png", 3)
    assert Partial(figures, ASKED).answers == {"a.png": {"text": {"psnr": 20.5}}, "c.png": 3}


@pytest.mark.parametrize("damage", [b"no JSON\n{}\n", b"no line", b'{"rows": ["text"], "candidates": 1}\n[]\n'])
def test_another_file_of_that_name_is_not_touched(figures: Path, damage: bytes) -> None:
    part(figures).write_bytes(damage)
    with pytest.raises(InputError, match="remove it"):
        Partial(figures, ASKED)
    assert part(figures).read_bytes() == damage


def test_answers_to_another_question_are_refused(figures: Path) -> None:
    with pytest.raises(InputError, match="asked for something else"):
        Partial(figures, {**ASKED, "candidates": 8})


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        Partial(tmp_path / "none" / "a.json", ASKED)


def test_nothing_is_written_where_no_figures_are_asked_for() -> None:
    partial = Partial(None, ASKED)
    partial.add("a.png", 1)
    partial.done()
    assert partial.answers == {"a.png": 1}
