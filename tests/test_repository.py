"""Files beside the code (workflows, hooks, templates, citation, changelog) keep their form and name what is there."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .support.commands import check_command

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))
CHANGES = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]  # those of Keep a Changelog


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def lines_of(workflow: dict[str, Any]) -> Iterator[str]:
    """Every line that a workflow's steps run."""
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            yield from step.get("run", "").splitlines()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_what_there_is(path: Path) -> None:
    lines = list(lines_of(load(path)))
    assert lines
    for line in lines:
        check_command(ROOT, line.replace("alone/bin/", ""))


def test_workflows_cover_lint_tests_docs_and_wheel_on_every_python_that_is_promised() -> None:
    jobs = load(ROOT / ".github/workflows/ci.yml")["jobs"]
    assert {"lint", "tests", "docs", "wheel"} <= set(jobs)
    pythons = jobs["tests"]["strategy"]["matrix"]["python"]
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d", each)]
    assert pythons == named == ["3.11", "3.12"]
    assert PROJECT["requires-python"] == f">={pythons[0]},<3.13"


def test_workflows_write_nothing_to_the_repository() -> None:
    for path in WORKFLOWS:
        assert load(path)["permissions"] == {"contents": "read"}, path.name


def test_hooks_run_what_there_is() -> None:
    (local,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [each["id"] for each in local["hooks"]] == ["ruff-check", "ruff-format", "project"]
    for hook in local["hooks"]:
        check_command(ROOT, hook["entry"])
        for word in shlex.split(hook["entry"]):
            if word.startswith("tests/"):
                path, *names = word.split("::")
                assert all(f"def {name}(" in (ROOT / path).read_text() for name in names), word


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_are_complete(path: Path) -> None:
    form = load(path)
    assert form["name"]
    assert form["description"]
    fields = [each for each in form["body"] if each["type"] != "markdown"]
    assert fields
    assert len({each["id"] for each in fields}) == len(fields)
    assert all(each["attributes"]["label"] for each in fields)
    assert any(each.get("validations", {}).get("required") for each in fields)
    for command in re.findall(r"`(misc [^`]+)`", path.read_text()):
        check_command(ROOT, command)


def test_templates_name_files_that_are_there() -> None:
    text = "".join(path.read_text() for path in (ROOT / ".github").rglob("*TEMPLATE*") if path.is_file())
    for name in re.findall(r"[\w/]+\.md\b|\b\w+/[\w/]+/", text):
        assert (ROOT / name).exists(), name
    for target in re.findall(r"`make (\w+)`", text):
        check_command(ROOT, f"make {target}")


def test_citation_and_package_agree() -> None:
    citation = load(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "type"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    (paper,) = citation["references"]
    assert paper["url"].endswith("2402.16749")


def test_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## (.*)$", text, re.M)
    assert releases[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", each) for each in releases[1:])
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= set(CHANGES)
    lines = text.partition("### ")[2].splitlines()[1:]
    assert all(re.match(r"- \S|#{2,3} |  \S|$", line) for line in lines)
    assert len(set(lines)) == len([line for line in lines if line]) + 1, "a line stands there twice"


def test_a_target_or_command_that_is_not_there_is_noticed() -> None:
    for command in ["make nothing", "misc encodes a b", "misc encode --brightness 3 a b", "python -m misc.nothing",
                    "misc text pick", "python -m misc.eval.decoder --flavour x"]:  # fmt: skip
        with pytest.raises(AssertionError):
            check_command(ROOT, command)


def test_help_lists_every_target() -> None:
    command = ["make", "--no-print-directory", "help"]  # make tells its directory when make itself runs the tests
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert phony
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == phony[1].split()
