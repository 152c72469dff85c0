"""The project holds together: packages, environment, layers, style."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.processor_time import least_seconds

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_environment_and_pyproject_agree() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [each for each in environment["dependencies"] if isinstance(each, str)]
    (pip,) = (each["pip"] for each in environment["dependencies"] if isinstance(each, dict))
    assert f"python{PROJECT['project']['requires-python']}" in conda
    extras = sorted(set(PROJECT["project"]["optional-dependencies"]) - {"ray", "docs", "web"})  # for who needs them
    assert pip == [f"-e .[{','.join(sorted(extras, key=['train', 'eval', 'dev'].index))}]"]


def test_torch_bounds_admit_what_is_promised() -> None:
    (torch,) = (each for each in PROJECT["project"]["dependencies"] if each.startswith("torch>"))
    assert torch == "torch>=2.11,<2.16"


@pytest.mark.parametrize("folder", ["models", "train", "eval", "checkpoints"])
def test_bare_imports_say_what_to_import(folder: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True)
    assert f"import misc.{folder}" in done.stderr


def test_importing_misc_loads_no_torch() -> None:
    script = "import sys, misc, misc.codec, misc.cli, misc.bits.streams; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_needs_no_torch_starts_at_once() -> None:
    """0.03 s and 0.3 s on an idle processor; twice as much is left for others."""

    def run(*words: str) -> None:
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)

    assert least_seconds(lambda: run("-c", "import misc"), limit=0.2) < 0.2
    assert least_seconds(lambda: run("-m", "misc", "info", "tests/golden/all.misc"), limit=0.6) < 0.6


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages as they are installed: one folder misc."""
    top = tmp_path_factory.mktemp("tree")
    for name, folder in PROJECT["tool"]["setuptools"]["package-dir"].items():
        shutil.copytree(
            ROOT / folder, top / name.replace(".", "/"), ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
        )
    shutil.copy(ROOT / "pyproject.toml", top)
    return top


def check(tree: Path, *command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_is_listed() -> None:
    found = {
        ".".join([name, *path.parent.relative_to(ROOT / folder).parts])
        for name, folder in PROJECT["tool"]["setuptools"]["package-dir"].items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


DATA_FILES = """
from setuptools import Distribution
distribution = Distribution()
distribution.parse_config_files(["pyproject.toml"])
distribution.include_package_data = False  # no manifest, which would be written into the tree
build = distribution.get_command_obj("build_py")
build.ensure_finalized()
for _, source, _, files in build.data_files:
    for file in files:
        print(f"{source}/{file}")
"""


def test_a_wheel_holds_all_that_is_no_code() -> None:
    done = subprocess.run([sys.executable, "-c", DATA_FILES], cwd=ROOT, capture_output=True, text=True, check=True)
    folders = PROJECT["tool"]["setuptools"]["package-dir"].values()
    files = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    data = {file for file in files if not file.endswith((".py", ".pyc"))}
    assert "models/configs/hyperprior.json" in data
    assert "models/profiles/embedded.toml" in data
    assert data <= set(done.stdout.splitlines())


def test_no_file_of_code_is_longer_than_300_lines() -> None:
    folders = ["docs", "tests", *PROJECT["tool"]["setuptools"]["package-dir"].values()]
    lengths = {path: path.read_text().count("\n") for folder in folders for path in (ROOT / folder).rglob("*.py")}
    assert len(lengths) > 300
    assert {str(path): length for path, length in lengths.items() if length > 300} == {}


def test_sections_of_a_docstring_have_its_indent() -> None:
    folders = PROJECT["tool"]["setuptools"]["package-dir"].values()
    texts = {path: path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")}
    docstrings = [
        (path, ast.get_docstring(node) or "")
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    assert len(docstrings) > 1000
    assert [path for path, text in docstrings if re.search(r"^ +(Args|Attributes|Raises|Returns):$", text, re.M)] == []


def test_ruff() -> None:
    check(ROOT, "ruff", "check", ".")
    check(ROOT, "ruff", "format", "--check", ".")


@pytest.mark.slow(why="mypy reads torch and diffusers anew in a clean tree")
def test_types(tree: Path) -> None:
    check(tree, "mypy")


def test_layers(tree: Path) -> None:
    script = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", script], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_slow_test_says_why() -> None:
    marks = [line.strip() for path in (ROOT / "tests").rglob("*.py") for line in path.read_text().splitlines()]
    marks = [line for line in marks if line.startswith("@pytest.mark.slow")]
    assert len(marks) >= 10
    assert all(line.startswith("@pytest.mark.slow(why=") for line in marks)
