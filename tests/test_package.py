"""The wheel: what is in it, and that it works where nothing else of the project is.

The wheels here are built without the large weights, which zip for nothing; an empty file stands for each of them.
"""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = PROJECT["tool"]["setuptools"]["package-dir"]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.py[cod]")
BUILD = "from setuptools import build_meta; print(build_meta.build_{kind}('out'))"


def inside(path: Path) -> str:
    """Where a file of the tree lies in the wheel."""
    packages = {folder: name.replace(".", "/") for name, folder in FOLDERS.items()}
    top, *rest = path.relative_to(ROOT).parts
    return "/".join([packages[top], *rest])


def files_of_packages() -> list[Path]:
    return [
        path
        for folder in FOLDERS.values()
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree whose weights are empty files."""
    top = tmp_path_factory.mktemp("source")
    for folder in (*FOLDERS.values(), "docs", "tests"):
        shutil.copytree(ROOT / folder, top / folder, ignore=LEFT_OUT, copy_function=copy_without_weights)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, top)
    return top


def copy_without_weights(source: str, target: str) -> str:
    if source.endswith(".safetensors"):
        Path(target).touch()
        return target
    return str(shutil.copy(source, target))


def build(source: Path, kind: str) -> Path:
    (source / "out").mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD.format(kind=kind)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "would be ignored" not in done.stderr
    return source / "out" / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    return build(source, "wheel")


def test_every_file_of_the_packages_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {each for each in archive.namelist() if ".dist-info/" not in each and ".data/" not in each}
        others = {each.partition(".data/")[2] for each in archive.namelist()} - {""}
    assert others == {"data/share/man/man1/misc.1"}
    wanted = {inside(path) for path in files_of_packages()}
    assert names == wanted
    for name in ("misc/py.typed", "misc/models/profiles/embedded.toml", "misc/models/towers/names.tsv",
                 "misc/checkpoints/embedded/hyperprior/hyperprior.safetensors",
                 "misc/checkpoints/embedded/decoder/README.md",
                 "misc/checkpoints/embedded/memory/attribution.csv"):  # fmt: skip
        assert name in names


def test_licence_notice_and_commands_are_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = {name.partition(".dist-info/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        assert archive.read(info["licenses/LICENSE"]) == (ROOT / "LICENSE").read_bytes()
        assert archive.read(info["licenses/NOTICE"]) == (ROOT / "NOTICE").read_bytes()
        assert "misc = misc.cli:main" in archive.read(info["entry_points.txt"]).decode()
        metadata = archive.read(info["METADATA"]).decode()
    assert "License-Expression: Apache-2.0" in metadata
    for extra in PROJECT["project"]["optional-dependencies"]:
        assert f"Provides-Extra: {extra}\n" in metadata


def test_notice_names_what_is_there() -> None:
    words = (ROOT / "NOTICE").read_text().replace(";", " ").split()
    named = [word.strip(".,") for word in words if word.startswith(("checkpoints/", "models/"))]
    assert len(named) >= 5
    for name in named:
        assert list(ROOT.glob(name)), name


def test_the_source_distribution_has_what_a_wheel_is_built_from(source: Path) -> None:
    import tarfile

    with tarfile.open(build(source, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {path.relative_to(ROOT).as_posix() for path in files_of_packages()} <= names
    assert {"LICENSE", "NOTICE", "CHANGELOG.md", "docs/FORMAT.md", "tests/golden/all.misc", "Makefile"} <= names


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose `misc` is the unpacked wheel, with the weights in their places, and no cache."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for path in files_of_packages():
        if path.suffix == ".safetensors":
            (site / inside(path)).unlink()
            (site / inside(path)).symlink_to(path)
    return os.environ | {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(site / "cache"), "OMP_NUM_THREADS": "1"}


def run(environment: dict[str, str], folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_alone_encodes_and_decodes(installed: dict[str, str], tmp_path: Path) -> None:
    from PIL import Image

    from tests.support.images import sample_picture

    sample_picture(96, 64).save(tmp_path / "photo.png")
    where = run(installed, tmp_path, "-c", "import misc; print(misc.__file__)")
    assert where.startswith(installed["PYTHONPATH"])
    run(installed, tmp_path, "-m", "misc", "encode", "--mode", "pixel", "photo.png", "photo.misc")
    assert run(installed, tmp_path, "-m", "misc", "info", "photo.misc").startswith("96x64, ")
    assert run(installed, tmp_path, "-m", "misc", "--version") == f"misc {PROJECT['project']['version']}\n"
    run(installed, tmp_path, "-m", "misc", "decode", "--draft", "photo.misc", "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.size == (96, 64)


def test_the_shell_completes_commands_and_modes(tmp_path: Path) -> None:
    def completions(words: str) -> list[str]:
        script = "import sys; sys.argv[0] = 'misc'; from misc.cli import main; main()"
        settings = {"_MISC_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        return run(os.environ | settings, tmp_path, "-c", script).split()

    assert completions("misc enc") == ["encode"]
    assert completions("misc encode --mode text") == ["text", "text+map"]
