"""Runs inputs in a child process under limits of processor time and memory, and says what went wrong with which."""

from __future__ import annotations

import os
import random
import resource
import signal
import struct
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from .mutate import mutate
from .targets import Target

__all__ = ["Fault", "count_inputs", "fuzz", "input_of", "try_input"]

SECONDS = 5.0  # of the processor, for one input
MEMORY = 1 << 30  # bytes beyond what the fuzzer itself has
LOST = 60.0  # seconds without a word from the child


class Hang(BaseException):
    """An input took longer than it may; no reader can catch it."""


@dataclass(frozen=True)
class Fault:
    """An input that a reader did not answer as it should.

    Attributes:
        target, number: what was read; `input_of` makes it again. kind: crash, hang, memory or died. detail: for people.
    """

    target: str
    number: int
    kind: str
    detail: str


def input_of(target: Target, seed: int, number: int) -> bytes:
    """Input `number` of a target; the same wherever it is made."""
    return mutate(random.Random(f"{seed} {target.name} {number}"), target.corpus)


def try_input(target: Target, number: int, data: bytes, seconds: float = SECONDS) -> Fault | None:
    """What is wrong with how the target takes the data, if anything is."""
    try:
        with limited(seconds):
            target.run(data)
    except target.expected:
        return None
    except Hang:
        return Fault(target.name, number, "hang", f"over {seconds} seconds")
    except MemoryError:
        return Fault(target.name, number, "memory", f"over {MEMORY >> 20} MiB")
    except Exception:
        return Fault(target.name, number, "crash", traceback.format_exc(limit=-6))
    return None


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises Hang in the block after so many seconds of the processor."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def count_inputs(target: Target, numbers: int) -> int:
    """How many inputs a target takes of those with numbers below `numbers`."""
    return len(range(0, numbers, target.every))


def fuzz(
    found: Sequence[Target], seed: int, seconds: float, most: int | None = None, say: Callable[[str], None] = print
) -> tuple[list[Fault], int]:
    """Faults of all targets in turn, the first of each target and kind, and the number of the input that was reached.

    Args:
        seed: of the inputs. seconds: how long. most: number at which to end. say: is told what was done.
    """
    faults: list[Fault] = []
    deadline, start = time.monotonic() + seconds, 0
    while time.monotonic() < deadline and (most is None or start < most):
        fault, start = in_child(found, seed, start, deadline, most)
        if fault is None:
            break
        start += 1
        if (fault.target, fault.kind) not in {(each.target, each.kind) for each in faults}:
            faults.append(fault)
            say(f"{fault.kind} in {fault.target}, input {fault.number} of seed {seed}: {fault.detail}")
    inputs = sum(count_inputs(target, start) for target in found)
    say(f"{inputs:,} inputs of {len(found)} targets, {len(faults)} faults")
    return faults, start


def in_child(
    found: Sequence[Target], seed: int, start: int, deadline: float, most: int | None
) -> tuple[Fault | None, int]:
    """The first fault from input `start` on, and the number of the input that was reached."""
    with tempfile.TemporaryDirectory() as folder:
        place, report = Path(folder) / "place", Path(folder) / "report"
        place.write_bytes(struct.pack("qq", start, 0))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                resource.setrlimit(resource.RLIMIT_AS, (size() + MEMORY, resource.RLIM_INFINITY))
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                status = work(found, seed, start, deadline, most, place, report)
            finally:
                os._exit(status)
        died = watch(child, place)
        number, index = struct.unpack("qq", place.read_bytes())
        if report.exists():
            target, kind, detail = report.read_text().split("\n", 2)
            return Fault(target, number, kind, detail), number
        if died:
            return Fault(found[index].name, number, "died", died), number
        return None, number


def size() -> int:
    """Bytes of this process's address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def work(
    found: Sequence[Target], seed: int, start: int, deadline: float, most: int | None, place: Path, report: Path
) -> int:
    """Exit status 0 when the time or the inputs have run out, 3 with a report after a fault."""
    quiet = os.open(os.devnull, os.O_WRONLY)  # readers have nothing to say here
    for stream in (1, 2):
        os.dup2(quiet, stream)
    number = start
    with open(place, "r+b", buffering=0) as mark:
        while time.monotonic() < deadline and (most is None or number < most):
            for index, target in enumerate(found):
                if number % target.every:
                    continue
                os.pwrite(mark.fileno(), struct.pack("qq", number, index), 0)
                fault = try_input(target, number, input_of(target, seed, number))
                if fault is not None:
                    report.write_text("\n".join((fault.target, fault.kind, fault.detail)))
                    return 3
            number += 1
        os.pwrite(mark.fileno(), struct.pack("qq", number, 0), 0)
    return 0


def watch(child: int, place: Path) -> str:
    """Wait for the child; why it died, or nothing. One that reaches no other input for long is killed."""
    last, since = place.read_bytes(), time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return "" if code in (0, 3) else f"exit code {code}"
        now = place.read_bytes()
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > LOST:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"no answer for {LOST} seconds"
        time.sleep(0.05)
