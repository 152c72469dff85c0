"""SECURITY.md names a test for each of its promises; the tests are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text()


def test_promises_have_tests_that_are_there() -> None:
    """A name without a file is in the file that was named last."""
    file, found = "", 0
    for path, name in re.findall(r"`(tests/[\w/]+\.py)?::(\w+)`", TEXT):
        file = path or file
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"
        found += 1
    assert found >= 25


def test_every_promise_names_a_test() -> None:
    promises = re.findall(r"^- (?:.|\n(?!- |\n|#))*", TEXT, re.MULTILINE)
    assert len(promises) >= 13
    for promise in promises:
        assert re.search(r"::test_\w+`", promise), promise[:60]
