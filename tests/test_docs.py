"""What the documents say is so: commands exist, examples run, the site builds.

A block of Python that cannot run here has `<!-- not run: why -->` in front of it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from misc.profiles import load_profile
from tests.support.images import sample_picture

from .support.commands import check_command, check_mention, commands_of

ROOT = Path(__file__).parent.parent
CARDS = ROOT.glob("checkpoints/embedded/*/README.md")
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING")), *CARDS])
FENCE = re.compile(r"(?P<mark><!--[^>]*-->\n+)?^```(?P<kind>\w*)\n(?P<body>.*?)^```", re.M | re.S)
RUNS = re.compile(r"(misc|make|python|accelerate launch) ")
PLACEHOLDERS = ("...", "PART")
PULLED = all(package.path.is_file() for package in load_profile().packages.values() if package.use == "coding")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def command_lines(text: str) -> Iterator[str]:
    """Lines of commands in fenced and in indented blocks; what ends in a backslash goes on in the next."""
    fenced = [match["body"] for match in FENCE.finditer(text) if match["kind"] in ("", "sh")]
    indented = [
        line.strip() for line in FENCE.sub("", text).replace("\\\n", " ").splitlines() if line.startswith("    ")
    ]
    for line in [*"\n".join(fenced).replace("\\\n", " ").splitlines(), *indented]:
        if RUNS.match(line.removeprefix(".venv/bin/")) and not any(word in line for word in PLACEHOLDERS):
            yield line


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_are_there(path: Path) -> None:
    text = path.read_text()
    for line in command_lines(text):
        assert check_command(ROOT, line), line
    for mention in re.findall(r"`((?:misc|make|python -m) [^`\n]+)`", FENCE.sub("", text)):
        if not any(word in mention for word in PLACEHOLDERS):
            check_mention(ROOT, mention)


def test_commands_are_found_where_they_stand() -> None:
    lines = list(
        command_lines("text\n\n    misc info a \\\n      --json\n\n```sh\nmake test\n```\n\n    image ─► text\n")
    )
    assert [line.split() for line in lines] == [["make", "test"], ["misc", "info", "a", "--json"]]
    for wrong in ("misc encode --brightness", "misc encodes", "make nothing"):
        with pytest.raises(AssertionError):
            check_mention(ROOT, wrong)


def blocks(path: Path) -> list[str]:
    """The blocks of Python that run."""
    found = [match for match in FENCE.finditer(path.read_text()) if match["kind"] == "python"]
    return [match["body"] for match in found if "not run:" not in (match["mark"] or "")]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, where examples run."""
    monkeypatch.chdir(tmp_path)
    sample_picture(192, 128).save("photo.png")
    return tmp_path


@pytest.mark.parametrize("path", [page for page in PAGES if blocks(page) and page.parent.name == "howto"], ids=name_of)
def test_python_runs(path: Path, room: Path) -> None:
    names = {"__name__": "__main__"}
    for block in blocks(path):
        exec(compile(block, name_of(path), "exec"), names)


def test_the_codec_and_the_metric_of_the_page_work(room: Path) -> None:
    codec, metric = blocks(ROOT / "docs/howto/codec.md")
    names: dict[str, object] = {"__name__": "thumb"}
    exec(compile(codec, "thumb.py", "exec"), names)
    names["encode"]("photo.png", "photo.bin", "0.2")  # type: ignore[operator]
    names["decode"]("photo.bin", "drawn.png")  # type: ignore[operator]
    assert Path("photo.bin").stat().st_size <= 0.2 * 192 * 128 / 8
    exec(compile(metric, "metrics.py", "exec"), names)
    with Image.open("photo.png") as photo, Image.open("drawn.png") as drawn:
        assert drawn.size == (192, 128)
        assert 0 < names["WorstPixel"]()(photo, drawn) < 256  # type: ignore[operator]


@pytest.mark.slow(why="it describes and draws real images")
@pytest.mark.skipif(not PULLED, reason="needs the packages of `misc pull`")
def test_the_readmes_python_runs(room: Path) -> None:
    sample_picture(192, 128).save("photo.jpg")
    names: dict[str, object] = {}
    first, second = blocks(ROOT / "README.md")
    for block in (first.replace("bpp=0.024", "bpp=0.2"), second):
        exec(compile(block, "README.md", "exec"), names)
    assert isinstance(names["strings"], list)


@pytest.mark.slow(why="each command is a process of its own")
@pytest.mark.skipif(not PULLED, reason="needs the packages of `misc pull`")
def test_the_tutorial_runs(room: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every command of it but those that install, fetch or take minutes; a photo so small needs a larger rate."""
    programs = tmp_path_factory.mktemp("bin")
    (programs / "misc").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m misc "$@"\n')
    (programs / "misc").chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    lines = list(command_lines((ROOT / "docs/tutorial.md").read_text()))
    ran = []
    for line in lines:
        words = commands_of(line)[0]
        if words[0] != "misc" or words[1] in ("pull", "doctor", "eval"):
            continue
        command = ["bash", "-c", line.replace("--bpp 0.024", "--bpp 0.2")]
        done = subprocess.run(command, cwd=room, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        ran.append(words[1])
    assert ran == [
        "encode",
        "info",
        "decode",
        "decode",
        "describe",
        "edit",
        "info",
        "encode",
        "info",
        "decode",
        "roundtrip",
    ]
    assert {path.name for path in room.iterdir()} >= {"drawn.png", "draft.png", "text.json", "other.misc", "tiny.png"}


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/reference/commands.html").read_text()
    assert "misc encode" in page
    assert "--candidates" in page
    rows = json.loads((ROOT / "docs/results/decoder.json").read_text())["rows"]
    assert f"{rows['misc']['st_lpips']:.3f}" in (tmp_path / "site/compare.html").read_text()
    assert not list((tmp_path / "site").rglob("hooks*"))
    elsewhere = re.compile(r'<(?:script|img)[^>]+src="(?:https?:)?//|<link[^>]+stylesheet[^>]+href="(?:https?:)?//')
    for path in (tmp_path / "site").rglob("*.html"):
        assert not elsewhere.search(path.read_text()), f"{path.name} needs another host"
