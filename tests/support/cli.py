"""The command line, in this process."""

import sys
from pathlib import Path

import pytest

from misc import cli
from misc.profiles import load_profile
from tests.support.images import sample_picture as picture


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    picture(192, 128).save(path)
    return path


def run(*arguments: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit code of the command, in this process."""
    monkeypatch.setattr(sys, "argv", ["misc", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def misc_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
):
    """The command line on a machine that has pulled nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    # Coders that an earlier test made know where the cache was: a new process has made none.
    monkeypatch.delitem(load_profile("embedded").__dict__, "text_coders", raising=False)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(*arguments, monkeypatch=monkeypatch)
        return code, *capfd.readouterr()

    return call
