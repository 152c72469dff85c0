"""Plants faults one after another in a copy of the tree, and says which of them the tests do not notice.

    python tests/mutants.py [WORD ...] [--part 2/6] [--list]

tests/faults/*.toml has them: a text of a file, what stands in its place, and the tests that should fail then. Words
choose faults by their names and files. The exit code is 1 if a fault survives, if its text is not in the file once,
or if its tests fail without it. The tree itself is never written to.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("models", "train", "eval", "checkpoints")  # packages of misc that stand beside it in the tree
LIBRARIES = (
    "accelerate",
    "compressai.models",
    "compressai.zoo",
    "diffusers.pipelines.controlnet.pipeline_controlnet_img2img",
    "diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl_img2img",
    "hypothesis",
    "onnx",
    "open_clip",
    "pytest",
    "sklearn.datasets",
    "torch.utils.tensorboard",
    "webdataset",
)
LIMIT = 600.0  # seconds; a fault that makes tests run longer is noticed
PASSED, FAILED = 0, 1  # exit codes of pytest
HUNG = -1


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        name: what is broken, as a sentence. file: below the root; `old` stands in it once and becomes `new`.
        tests: files, or tests in them. only: expression of pytest's -k that chooses among them.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    only: str = ""


def read_mutants() -> list[Mutant]:
    """All faults of tests/faults."""
    tables = [tomllib.loads(path.read_text()) for path in sorted((ROOT / "tests" / "faults").glob("*.toml"))]
    return [Mutant(**(each | {"tests": tuple(each["tests"])})) for table in tables for each in table["fault"]]


def copy_tree(target: Path) -> None:
    """Copy what git knows and does not ignore; links let Python import the copy's packages without installing it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for part in PARTS:
        (target / "misc" / part).symlink_to(target / part)


def preload() -> None:
    """Import the large libraries once; every child has them then. Nothing of misc: a child imports the copy's."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import diffusers
    import torch
    import transformers

    for name in ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "UniPCMultistepScheduler", "ControlNetModel"):
        getattr(diffusers, name)
    for name in ("CLIPTextModelWithProjection", "CLIPTokenizer", "Dinov2Model", "LlamaForCausalLM"):
        getattr(transformers, name)
    torch.set_num_threads(1)


def run_tests(tree: Path, mutant: Mutant, report: Path) -> int:
    """Exit code of pytest in a child process, or HUNG."""
    child = os.fork()
    if child == 0:
        os.setsid()  # so that what tests start ends with them
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree)  # for commands that tests start
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.dont_write_bytecode = True
        sys.path[0] = str(tree)
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]  # `python -m tests.mutants` has imported the tree's own package
        with report.open("w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        import pytest

        only = ["-k", mutant.only] if mutant.only else []
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *only, *mutant.tests])
        sys.stdout.flush()
        os._exit(int(code))
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else FAILED
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return HUNG


def judge(tree: Path, mutant: Mutant, sound: dict[tuple[str, ...], int], report: Path) -> str:
    """What became of a fault: `noticed`, or why it does not count.

    Args:
        tree: the copy. sound: exit codes of tests without a fault, filled as they are run.
    """
    path = tree / mutant.file
    text = path.read_text()
    count = text.count(mutant.old)
    if count != 1:
        return f"CANNOT BE PLANTED: its text is in {mutant.file} {count} times"
    key = (*mutant.tests, mutant.only)
    if key not in sound:
        sound[key] = run_tests(tree, mutant, report)
    if sound[key] != PASSED:
        return f"CANNOT BE JUDGED: its tests fail without it: {last_failure(report)}"
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        code = run_tests(tree, mutant, report)
    finally:
        path.write_text(text)
    if code in (FAILED, HUNG):
        return "noticed"
    return "SURVIVED" if code == PASSED else f"CANNOT BE JUDGED: pytest ended with {code}: {last_failure(report)}"


def last_failure(report: Path) -> str:
    """The line of a report that names what failed."""
    lines = [line for line in report.read_text().splitlines() if line.startswith(("FAILED", "ERROR", "E  "))]
    return lines[-1][:200] if lines else "it says nothing"


def choose(mutants: list[Mutant], words: list[str], part: str) -> list[Mutant]:
    """Faults with one of the words in their name or file, or all; of those, the k-th of n parts."""
    chosen = [each for each in mutants if not words or any(word in f"{each.name} {each.file}" for word in words)]
    k, n = map(int, part.split("/"))
    return chosen[k - 1 :: n]


def main() -> int:
    """Plant the faults and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="the k-th of n parts of the faults")
    parser.add_argument("--list", action="store_true", help="name the faults and plant none")
    arguments = parser.parse_args()
    mutants = choose(read_mutants(), arguments.words, arguments.part)
    if arguments.list:
        print(*(f"{each.file}: {each.name}" for each in mutants), sep="\n")
        return 0
    preload()
    bad = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        sound: dict[tuple[str, ...], int] = {}
        for mutant in mutants:
            began = time.monotonic()
            verdict = judge(tree, mutant, sound, Path(folder) / "report")
            print(f"{mutant.name}: {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
            if verdict != "noticed":
                bad.append(mutant.name)
    print(
        f"{len(mutants) - len(bad)} of {len(mutants)} faults are noticed" + "".join(f"\n  not: {each}" for each in bad)
    )
    return 1 if bad or not mutants else 0


if __name__ == "__main__":
    sys.exit(main())
