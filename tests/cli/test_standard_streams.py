"""Standard streams: pipes, full disks, closed streams and endless input are a whole output or one sentence."""

import io
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from misc.cli import files
from misc.cli.files import read_bytes
from misc.errors import LimitError
from tests.golden.make import FOLDER as GOLDEN

MISC = [sys.executable, "-m", "misc"]
TEXT = GOLDEN / "text.misc"
SLOW_READER = "import sys, time; time.sleep(0.5); sys.stdout.buffer.write(sys.stdin.buffer.read())"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_that_takes_little_gets_all(unbuffered: str) -> None:
    script = (
        "from misc.cli.files import write_bytes; import os; os.set_blocking(1, False); write_bytes('-', bytes(1 << 20))"
    )
    read, write = os.pipe()
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen([sys.executable, "-c", SLOW_READER], stdin=read, stdout=subprocess.PIPE) as reader:
        os.close(read)
        done = subprocess.run([sys.executable, "-c", script], stdout=write, env=environment)
        os.close(write)
        out, _ = reader.communicate()
    assert (done.returncode, len(out)) == (0, 1 << 20)


def test_short_writes_are_gone_on_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole, write = os.urandom(100_000), os.write
    monkeypatch.setattr(files.os, "write", lambda handle, data: write(handle, data[:999]))
    handle = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
    files.write_all(handle, whole)
    os.close(handle)
    assert (tmp_path / "a").read_bytes() == whole


@pytest.mark.parametrize("arguments", [["info", TEXT], ["info", TEXT, "--json"], ["--help"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_broken_pipe_is_a_failure_without_words(arguments: list[str | Path], unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*MISC, *arguments], stdout=write, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": unbuffered}
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_full_disk_is_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*MISC, "info", TEXT], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"misc: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "closing", "code", "words"),
    [
        (["info", TEXT], ">&-", 1, "misc: standard output is closed\n"),
        (["info", TEXT, "--json"], ">&-", 1, "misc: standard output is closed\n"),
        (["info", "-"], "<&-", 1, "misc: standard input is closed\n"),
        (["decode", "-", "a.png"], "<&-", 1, "misc: standard input is closed\n"),
        (["info", "nosuch"], "2>&-", 1, ""),
        (["info", TEXT], "<&- >&- 2>&-", 1, ""),
        (["info", TEXT], "<&- 2>&-", 0, ""),
    ],
)
def test_closed_standard_streams(
    arguments: list[str | Path], closing: str, code: int, words: str, tmp_path: Path
) -> None:
    command = " ".join([*MISC, *map(str, arguments), closing])
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr.decode()) == (code, words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "-", "a.misc", "--describe", "-"],
        ["encode", "PHOTO", "a.misc", "--describe", "-", "--regions", "-"],
        ["roundtrip", "-", "a.png", "--regions", "-"],
        ["edit", "-", "a.misc", "--text", "-"],
    ],
)
def test_standard_input_is_one_input(misc_command, arguments: list[str]) -> None:
    words = "misc: standard input holds one of the inputs, not two: give the other one by its name\n"
    assert misc_command(*arguments) == (2, "", words)


@pytest.mark.parametrize(
    "arguments",
    [["encode", TEXT, "-"], ["decode", TEXT, "-"], ["roundtrip", TEXT, "-"], ["edit", TEXT, "-"], ["text", "pack"]],
)
def test_bytes_are_not_written_to_a_terminal(arguments: list[str | Path]) -> None:
    screen, terminal = pty.openpty()
    done = subprocess.run([*MISC, *arguments], input=b"a cat", stdout=terminal, stderr=subprocess.PIPE)
    os.set_blocking(screen, False)
    os.close(terminal)
    with pytest.raises(OSError, match="error"):  # nothing is there to be read
        os.read(screen, 1)
    os.close(screen)
    assert done.returncode == 1
    assert done.stderr.startswith(b"misc: standard output is a terminal, which shows no such bytes")


def test_two_results_never_share_an_output_by_whatever_name(tmp_path: Path, photo: Path) -> None:
    command = [*MISC, "encode", photo, "/dev/stdout", "--mode", "pixel", "--quality", "3", "--json"]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
    command[5] = "a.misc"
    with (tmp_path / "a.misc").open("wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, cwd=tmp_path)
    assert (done.returncode, (tmp_path / "a.misc").read_bytes()) == (2, b"")
    assert b"would both write to" in done.stderr
    command[5] = os.devnull
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from misc.cli.console import open_standard_streams\n"
        f"open_standard_streams(); handle = os.open({str(tmp_path / 'a')!r}, os.O_CREAT | os.O_WRONLY)\n"
        "sys.exit(handle)"
    )
    done = subprocess.run(["sh", "-c", f'{sys.executable} -c "$0" <&- >&- 2>&-', script])
    assert done.returncode >= 3


def test_endless_input_is_refused_after_the_formats_limit() -> None:
    limit = files.MAX_FILE
    with pytest.raises(LimitError, match=f"/dev/zero has more than {limit} bytes"):
        read_bytes("/dev/zero", limit)
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, 400 << 20))\n"
        "from misc import cli; sys.argv = ['misc', 'info', '/dev/zero']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, f"misc: /dev/zero has more than {limit} bytes\n")


def test_reading_takes_no_more_than_it_may() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    endless = Endless()
    assert len(files.read_at_most(endless, 3_000_001)) == endless.given == 3_000_001


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3, 0.6])
def test_an_interrupted_start_has_no_traceback(delay: float) -> None:
    started = "import sys; from misc.cli import main; sys.argv = ['misc', 'info', '-']; print('.', flush=True); main()"
    with subprocess.Popen(
        [sys.executable, "-c", started], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        time.sleep(delay)
        process.send_signal(2)
        _, err = process.communicate()
    assert process.returncode in (130, -2)
    assert err == b""
