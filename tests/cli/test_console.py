"""What people and programs read: nothing in a file, a name or an answer commands the terminal."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from misc.bits import streams
from misc.bits.text.description import Description, Item
from misc.cli.app import exit_code_of
from misc.cli.console import json_text, printable, report
from misc.profiles import load_profile

MISC = [sys.executable, "-m", "misc"]
ATTACK = "\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp.exe\x00\x7f\r\b"
FORBIDDEN = set(ATTACK) - set("]0;title[2J31mgnp.exe")


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    """A file whose text holds terminal commands."""
    path = tmp_path / "attack.misc"
    text = Description(f"a cat{ATTACK}", (Item(f"cat{ATTACK}", ATTACK),))
    path.write_bytes(streams.encode(streams.Streams(128, 128, 0, text), load_profile().exact_models))
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a grey cat", "a grey cat"),
        ("Grüße, 猫, 👩‍🚀, می‌خواهم", "Grüße, 猫, 👩‍🚀, می‌خواهم"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("\u202e\u2066\u2028\ufeff", r"\u202e\u2066\u2028\ufeff"),
        ("\udc80\U000e0041", r"\udc80\U000e0041"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_json_escapes_what_commands_and_stays_json() -> None:
    value = {"a": f"é{ATTACK}\U000e0041\n"}
    for options in ({}, {"indent": 2}, {"ascii_only": True}):
        text = json_text(value, **options)
        assert json.loads(text) == value
        assert not FORBIDDEN & set(text)
        assert "\U000e0041" not in text
    assert "é" in json_text(value)
    assert json_text(value, ascii_only=True).isascii()


@pytest.mark.parametrize("arguments", [[], ["--text"], ["--json"], ["--text", "--json"]])
def test_info_shows_text_without_obeying_it(misc_command, coded: Path, arguments: list[str]) -> None:
    code, out, err = misc_command("info", coded, *arguments)
    assert code == 0, err
    assert "gnp.exe" in out
    assert not FORBIDDEN & set(out)
    if "--json" in arguments:
        assert json.loads(out)["text"]["items"][0]["detail"] == ATTACK
    else:
        assert r"\x1b]0;title\x07" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", f"no{ATTACK[:5]}\n"],
        ["decode", f"no{ATTACK[:5]}\n", "a.png"],
        ["encode", f"no{ATTACK[:5]}\n", "a.misc"],
        ["decode", "ATTACK", f"a{ATTACK[:5]}\n/a.png"],
        ["info", "ATTACK", "--profile", f"{ATTACK[:5]}"],
        ["verify", f"no{ATTACK[:5]}", "more", f"{ATTACK[:5]}"],
    ],
)
def test_names_in_messages_are_shown(misc_command, coded: Path, monkeypatch, arguments: list[str]) -> None:
    monkeypatch.chdir(coded.parent)
    code, out, err = misc_command(*(str(coded) if each == "ATTACK" else each for each in arguments))
    assert code in (1, 2)
    assert "\x1b" not in out + err
    if code == 1:
        assert err.count("\n") == 1


def test_verify_shows_the_files_name(misc_command, coded: Path) -> None:
    name = coded.with_name("a\x1b[2J.misc")
    coded.rename(name)
    code, out, _ = misc_command("verify", name)
    assert (code, out) == (0, f"{name.parent}/a\\x1b[2J.misc: intact\n")


def test_unpacked_text_is_raw_for_programs_and_shown_to_eyes() -> None:
    text = "a cat\x1b[2J"
    packed = subprocess.run([*MISC, "text", "pack"], input=text.encode(), capture_output=True, check=True).stdout
    done = subprocess.run([*MISC, "text", "unpack"], input=packed, capture_output=True, check=True)
    assert done.stdout == f"{text}\n".encode()
    screen, terminal = pty.openpty()
    subprocess.run([*MISC, "text", "unpack"], input=packed, stdout=terminal, check=True)
    os.close(terminal)
    seen = os.read(screen, 100)
    os.close(screen)
    assert seen.decode().strip() == r"a cat\x1b[2J"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii:strict"])
def test_every_encoding_of_the_terminal(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.misc"
    text = Description("a café, 猫")
    path.write_bytes(streams.encode(streams.Streams(128, 128, 0, text), load_profile().exact_models))
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    encoding = encoding.removesuffix(":strict")
    done = subprocess.run([*MISC, "info", path, "--text"], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "text: a caf" in done.stdout.decode(encoding)
    done = subprocess.run([*MISC, "info", path, "--text", "--json"], env=environment, capture_output=True)
    assert json.loads(done.stdout.decode(encoding))["text"]["overall"] == "a café, 猫"
    done = subprocess.run([*MISC, "info", "猫"], env=environment, capture_output=True)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


def test_a_report_for_people_has_a_line_each(capfd: pytest.CaptureFixture[str]) -> None:
    report({}, False, "a\nb", "c", to_stdout=True)
    report({}, False, "d\ne", "f")
    assert tuple(capfd.readouterr()) == ("a\\nb\nc\n", "misc: d\\ne\nmisc: f\n")


@pytest.mark.parametrize("words", ["DefaultCPUAllocator: can't allocate memory: you tried 8 GB", "CUDA out of memory."])
def test_too_little_memory_for_torch_is_one_sentence(words: str, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(sentence: str) -> None:
        raise RuntimeError(sentence)

    assert exit_code_of(lambda: fail(words)) == 1
    assert capfd.readouterr().err == "misc: there is not enough memory for this image\n"
    with pytest.raises(RuntimeError, match="a bug"):
        exit_code_of(lambda: fail("a bug"))


def test_a_folder_that_was_deleted_is_one_sentence(tmp_path: Path) -> None:
    script = "import os, sys; from misc.cli.app import run; os.rmdir(os.getcwd()); sys.argv[1:] = ['info', 'a']; run()"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "misc: the current folder is not there any more: go to another one\n"
