"""When a file is looked at whole, and when its stamp is believed."""

import os
from pathlib import Path

import pytest

from misc.errors import WeightsError
from misc.weights.checks import SAMPLE, State, require, sha256, stamp_of, state_of


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two million bytes, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(250)) * 8000)
    return path


def put(path: Path, place: int, *, keep_time: bool) -> None:
    """Change a byte."""
    before = path.stat()
    with path.open("r+b") as opened:
        opened.seek(place)
        opened.write(b"\xff")
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_sound_file_is_read_whole_once(file: Path) -> None:
    pinned, reads = sha256(file), []

    def whole(path: Path) -> str:
        reads.append(path)
        return sha256(path)

    for _ in range(3):
        assert require(file, pinned, whole=whole) == file
    assert len(reads) == 1
    assert state_of(file, pinned, whole=whole, thorough=True) is State.HERE
    os.utime(file, ns=(1, 1))
    assert state_of(file, pinned, whole=whole) is State.HERE
    assert len(reads) == 3
    stamp_of(file).write_text('{"half": ')
    assert state_of(file, pinned, whole=whole) is State.HERE
    assert len(reads) == 4


@pytest.mark.parametrize("place", [0, SAMPLE - 1, 1_999_999])
def test_samples_notice_what_keeps_its_time(file: Path, place: int) -> None:
    pinned = sha256(file)
    require(file, pinned)
    put(file, place, keep_time=True)
    assert state_of(file, pinned) is State.DAMAGED


def test_between_the_samples_the_time_or_a_thorough_look_tells(file: Path) -> None:
    pinned, between = sha256(file), SAMPLE + 100
    require(file, pinned)
    put(file, between, keep_time=True)
    assert state_of(file, pinned) is State.HERE
    assert state_of(file, pinned, thorough=True) is State.DAMAGED
    assert state_of(file, pinned) is State.DAMAGED  # its stamp is gone
    file.write_bytes(bytes(range(250)) * 8000)
    require(file, pinned)
    put(file, between, keep_time=False)
    with pytest.raises(WeightsError, match=r"weights\.bin are damaged"):
        require(file, pinned)


def test_files_that_are_cut_or_missing_are_told_apart(file: Path) -> None:
    pinned = sha256(file)
    require(file, pinned)
    os.truncate(file, 1_000_000)
    assert state_of(file, pinned) is State.DAMAGED
    file.unlink()
    assert state_of(file, pinned) is State.MISSING


def test_a_cache_that_cannot_be_written_is_no_hindrance(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = file.parent / "blocked"
    blocked.write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    pinned = sha256(file)
    assert require(file, pinned) == file
    put(file, 0, keep_time=False)
    assert state_of(file, pinned) is State.DAMAGED


def test_a_folder_whose_name_is_not_utf_8_has_stamps_too(file: Path) -> None:
    odd = file.parent / os.fsdecode(b"caf\xe9") / "weights.bin"
    odd.parent.mkdir()
    file.rename(odd)
    assert state_of(odd, sha256(odd)) is State.HERE
    assert stamp_of(odd).is_file()
