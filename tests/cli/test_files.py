"""Nothing is lost: what is written is whole, what is there is not replaced by mistake, nothing is left behind."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from misc.cli import whole_files
from misc.cli.files import ANY_FILE, IMAGE_FILE, JSON_FILE, MISC_FILE, check_target, write_bytes
from misc.cli.whole_files import remove_litter, write_whole
from misc.errors import InputError
from misc.images import FORMATS, encode_image
from tests.golden.make import FOLDER as GOLDEN

MISC = [sys.executable, "-m", "misc"]
TEXT = GOLDEN / "text.misc"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A `.misc` file that is there already."""
    path = tmp_path / "old.misc"
    path.write_bytes(TEXT.read_bytes())
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("link", ["same", "hard", "symbolic", "relative"])
@pytest.mark.parametrize("command", ["encode", "decode", "roundtrip", "describe"])
def test_the_input_is_never_the_output(misc_command, photo: Path, link: str, command: str) -> None:
    before, target = photo.read_bytes(), photo.parent / "other.png"
    if link == "hard":
        target.hardlink_to(photo)
    elif link == "symbolic":
        target.symlink_to(photo.name)
    else:
        target = photo if link == "same" else photo.parent / ".." / photo.parent.name / photo.name
    for force in ([], ["--force"]):
        arguments = [photo, *(["--out"] if command == "describe" else []), target]
        code, out, err = misc_command(command, *arguments, *force)
        assert (code, out, err) == (1, "", f"misc: {target} is the input too: it would be lost\n")
    assert photo.read_bytes() == before


def test_a_described_texts_file_is_an_input(misc_command, photo: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.json"
    text.write_text('{"overall": "a cat"}')
    code, _, err = misc_command("encode", photo, text, "--describe", text, "--force")
    assert (code, err) == (1, f"misc: {text} is the input too: it would be lost\n")
    assert json.loads(text.read_text()) == {"overall": "a cat"}


def test_standard_streams_count_as_inputs(photo: Path) -> None:
    before = photo.read_bytes()
    with photo.open("rb") as source:
        done = subprocess.run([*MISC, "encode", "-", photo, "--force"], stdin=source, capture_output=True)
    assert (done.returncode, photo.read_bytes()) == (1, before)
    assert b"is the input too" in done.stderr


def test_what_is_no_misc_file_is_replaced_by_force_only(misc_command, photo: Path, tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Ada")
    arguments = ["encode", photo, letter, "--mode", "pixel", "--quality", "3"]
    code, _, err = misc_command(*arguments)
    assert (code, letter.read_text()) == (1, "Dear Ada")
    assert err == f"misc: {letter} is there and is not a .misc file; --force replaces it\n"
    assert misc_command(*arguments, "--force")[0] == 0
    assert MISC_FILE.begins(letter.read_bytes())
    assert misc_command(*arguments)[0] == 0  # it is one now


def test_a_drawn_image_is_replaced_as_other_decoders_do_it(misc_command, photo: Path, tmp_path: Path) -> None:
    coded, drawn = tmp_path / "a.misc", tmp_path / "a.png"
    assert misc_command("encode", photo, coded, "--mode", "pixel", "--quality", "3")[0] == 0
    drawn.write_bytes(photo.read_bytes())
    assert misc_command("decode", coded, drawn, "--draft")[0] == 0
    assert Image.open(drawn).size == (192, 128)
    (tmp_path / "folder.png").mkdir()
    code, _, err = misc_command("decode", coded, tmp_path / "folder.png", "--draft", "--force")
    assert (code, err) == (1, f"misc: cannot write {tmp_path / 'folder.png'}: it is a folder\n")


def test_an_empty_file_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    check_target(str(tmp_path / "a"), (), MISC_FILE)
    check_target(str(tmp_path / "a"), (), JSON_FILE)


def test_a_read_only_file_is_replaced_by_force_only(old: Path) -> None:
    old.chmod(0o444)
    with pytest.raises(InputError, match="is read-only; --force replaces it"):
        check_target(str(old), (), MISC_FILE)
    check_target(str(old), (), MISC_FILE, force=True)
    write_bytes(str(old), b"new")
    assert (old.read_bytes(), stat.S_IMODE(old.stat().st_mode)) == (b"new", 0o444)


def test_writing_goes_through_symbolic_links(tmp_path: Path, old: Path) -> None:
    link, dangling = tmp_path / "link", tmp_path / "dangling"
    link.symlink_to("old.misc")
    dangling.symlink_to("sub/new.misc")
    (tmp_path / "sub").mkdir()
    for path, target in ((link, old), (dangling, tmp_path / "sub" / "new.misc")):
        check_target(str(path), (), MISC_FILE)
        write_bytes(str(path), b"new")
        assert path.is_symlink()
        assert target.read_bytes() == b"new"
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(InputError, match="cannot write"):
        check_target(str(loop), ())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sub", "it is a folder"),
        ("nosuch/a", "there is no folder nosuch"),
        ("old.misc/a", "Not a directory"),
        ("a\0b", "null"),
    ],
)
def test_what_cannot_be_written_is_said_first(tmp_path: Path, old: Path, name: str, words: str) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match=words):
        check_target(str(tmp_path / name), ())


def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    check_target(str(pipe), ())
    write_bytes(str(pipe), b"through")
    reader.join()
    write_bytes("/dev/null", b"gone")
    assert found == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_files.os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot write .*old\.misc: No space left on device"):
        write_bytes(str(old), b"new")
    assert (old.read_bytes(), names(tmp_path)) == (TEXT.read_bytes(), ["old.misc"])


def test_litter_of_the_killed_is_removed_and_nobody_elses(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from misc.cli.whole_files import locked_part\n"
        f"print(locked_part(Path({str(tmp_path)!r}))[1].name, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        part = writer.stdout.readline().strip()
        others = [".misc-mine", "x.part", ".misc-folder.part"]
        (tmp_path / others[0]).touch()
        (tmp_path / others[1]).touch()
        (tmp_path / others[2]).mkdir()
        check_target(str(tmp_path / "new.misc"), ())
        assert names(tmp_path) == sorted([part, *others])  # its process lives
        writer.kill()
        writer.wait()
    check_target(str(tmp_path / "new.misc"), ())
    assert names(tmp_path) == sorted(others)


def test_a_part_that_is_taken_for_litter_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, taken = whole_files.lock, []

    def late(handle: int) -> bool:
        if not taken:
            taken.append(1)
            remove_litter(tmp_path)  # another command starts before the part is locked
        return lock(handle)

    monkeypatch.setattr(whole_files, "lock", late)
    write_whole(tmp_path / "a", b"whole")
    assert taken
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert names(tmp_path) == ["a"]


def test_a_locked_part_stays_also_without_a_process_of_ours(tmp_path: Path) -> None:
    part = tmp_path / ".misc-other.part"
    with part.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_litter(tmp_path)
        assert part.exists()
    remove_litter(tmp_path)
    assert not part.exists()


@pytest.mark.parametrize("name", sorted(set(FORMATS.values())))
def test_an_image_of_every_format_is_an_image_file(name: str) -> None:
    assert IMAGE_FILE.begins(encode_image(Image.new("RGB", (16, 16)), name)[:64])


@pytest.mark.parametrize("command", ["decode", "roundtrip"])
def test_what_is_no_image_is_replaced_by_force_only(misc_command, photo: Path, tmp_path: Path, command: str) -> None:
    source, letter = tmp_path / "photo.misc", tmp_path / "letter.png"
    assert misc_command("encode", photo, source, "--mode", "pixel", "--quality", "3")[0] == 0
    letter.write_text("Dear Ada")
    arguments = [command, source if command == "decode" else photo, letter, "--draft"]
    arguments += ["--mode", "pixel", "--quality", "3"] if command == "roundtrip" else []
    code, _, err = misc_command(*arguments)
    assert (code, letter.read_text()) == (1, "Dear Ada")
    assert err == f"misc: {letter} is there and is not an image; --force replaces it\n"
    assert misc_command(*arguments, "--force")[0] == 0
    assert IMAGE_FILE.begins(letter.read_bytes())
    assert misc_command(*arguments)[0] == 0  # it is one now


def test_kinds_are_known_by_their_beginnings() -> None:
    assert ANY_FILE.begins(b"")
    assert not IMAGE_FILE.begins(b"Dear colleague")
    assert not MISC_FILE.begins(b"\xb5")
    assert not MISC_FILE.begins(b"\x89PNG")
    assert JSON_FILE.begins(b" {")
    assert not JSON_FILE.begins(b"[")
