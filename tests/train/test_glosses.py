"""Texts of WordNet for the coder words."""

import sys
from pathlib import Path

import pytest

from misc.cli.app import run_alone
from misc.train.prepare.glosses import FILES, glosses, main

LINES = """  1 This is a licence, and is passed over.
00000001 03 n 01 entity 0 000 | what is there; (of a thing) that lives or lived; "the café of all cafés"; "so, it is"
00000002 05 n 01 beast 0 000 | an animal
00000003 05 n 01 pipe 0 000 | a tube | of metal; "that is no pipe"- Rene Magritte
"""


def test_definitions_and_examples_of_three_words_or_more(tmp_path: Path) -> None:
    path = tmp_path / "data.noun"
    path.write_text(LINES, encoding="latin-1")
    assert list(glosses(path)) == [
        "what is there",
        "(of a thing) that lives or lived",
        "the café of all cafés",
        "so, it is",
        "a tube | of metal",
        'that is no pipe"- Rene Magritte',
    ]


def test_all_files_go_into_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in FILES:
        (tmp_path / name).write_text(f"00000001 03 n 01 a 0 000 | one text of {name}\n", encoding="latin-1")
    out = tmp_path / "new" / "texts.txt"
    monkeypatch.setattr(sys, "argv", ["glosses", "--wordnet", str(tmp_path), "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        run_alone(main)
    assert stop.value.code == 0
    assert out.read_text() == "".join(f"one text of {name}\n" for name in FILES)
    assert capsys.readouterr().out == "4 texts\n"
