"""The man page is what the commands say of themselves, and names all of them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from misc.cli.app import app
from misc.cli.man import EXIT_CODES, escape, leaves, man_page

PAGE = Path(__file__).parents[2] / "docs/misc.1"


def test_the_committed_page_is_that_of_today() -> None:
    assert PAGE.read_text() == man_page(), "run `make man`"


def test_every_command_and_option_is_named() -> None:
    group: Any = get_command(app)
    parts = re.split(r"^\.SS ", PAGE.read_text().replace(r"\-", "-"), flags=re.M)[1:]
    commands = leaves(group, ["misc"])
    assert len(parts) == len(commands) > 35
    for (path, command), part in zip(commands, parts, strict=True):
        assert re.match(rf"{re.escape(' '.join(path))}( |$)", part.splitlines()[0])
        assert " ".join((command.help or "").split()) in " ".join(part.split())
        for option in command.params:
            if option.param_type_name == "option":
                assert any(name in part for name in option.opts), f"{path}: {option.opts}"
    for name in ("encode", "decode", "batch encode", "text unpack", "eval run", "eval flat-memory", "memory build"):
        assert f".SS misc {name}" in PAGE.read_text().replace(r"\-", "-")


def test_no_help_is_taken_for_markup() -> None:
    """The terminal's help would leave out words in square brackets."""
    for path, command in leaves(get_command(app), ["misc"]):
        for text in (command.help, *(getattr(each, "help", "") for each in command.params)):
            assert "[" not in (text or ""), f"{path}: {text}"


def test_exit_codes_are_those_of_the_errors() -> None:
    from misc import errors

    codes = {getattr(errors, name).exit_code for name in errors.__all__}
    assert codes <= set(EXIT_CODES)


def test_nothing_commands_roff() -> None:
    assert escape(".so /etc/passwd") == r"\&.so /etc/passwd"
    assert escape("'br") == r"\&'br"
    assert escape(r"a\b --c") == r"a\eb \-\-c"
    for line in PAGE.read_text().splitlines():
        assert not line.startswith(".") or re.match(r"\.(TH|SH|SS|TP|B)( |$)", line), line


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_shows_it_without_a_warning() -> None:
    done = subprocess.run(["man", "--warnings", "-l", str(PAGE)], capture_output=True, text=True, env={
        "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "100"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "misc encode" in done.stdout
