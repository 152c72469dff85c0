"""Processes that load their models once and then take one job after another.

    jobs ─► queue ─┬─► process: prepare(setup), then work(job), work(job) ... ─┬─► outcomes, as they come
                   └─► process: ...                                           ─┘

A failing job does not affect the others. If a process dies, by a signal or for lack of memory, a new process tries the
same job once more. Jobs and answers are JSON, one per line. If the parent process ends, each process ends after its
current job.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from . import errors
from .errors import MiscError

__all__ = ["Outcome", "Runner", "run_jobs", "usual_workers"]

ATTEMPTS = 2

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        job: as it was given.
        answer: the result of `work`, or None if the job failed.
        error: one sentence about the failure.
        kind: the name of its class, or `died`.
    """

    job: Json
    answer: Json | None = None
    error: str | None = None
    kind: str | None = None


Runner = Callable[[str, Json, Sequence[Json], int], Iterator[Outcome]]
"""What runs jobs, as `run_jobs` does on this machine: target, setup, jobs and number of workers to outcomes."""


def usual_workers() -> int:
    """The default number of processes, from the number of cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    target: str, setup: Json, jobs: Sequence[Json], workers: int = 1, log: Path | None = None
) -> Iterator[Outcome]:
    """Outcomes of all jobs, in the order in which the jobs end.

    Args:
        target: `module:function`, called once in each process with the setup; it returns `work`, which takes a job and
            returns an answer.
        jobs: in the order in which they are started.
        workers: largest number of processes.
        log: file to which the output of the processes is appended; without one it is lost.

    Raises:
        MiscError: a process could not be prepared; the error is the one that was raised in it.
    """
    if not jobs:
        return
    pending: queue.SimpleQueue[Json] = queue.SimpleQueue()
    for job in jobs:
        pending.put(job)
    ended: queue.SimpleQueue[Outcome | MiscError] = queue.SimpleQueue()
    count = max(1, min(workers, len(jobs)))
    tenders = [Tender(target, setup, pending, ended, max(1, usual_workers() // count), log) for _ in range(count)]
    for tender in tenders:
        tender.start()
    try:
        for _ in jobs:
            outcome = ended.get()
            if isinstance(outcome, MiscError):
                raise outcome
            yield outcome
    finally:
        for tender in tenders:
            tender.stop()


class Tender(threading.Thread):
    """Gives the jobs of a queue to one process, and starts a new process if that one dies."""

    def __init__(
        self,
        target: str,
        setup: Json,
        pending: queue.SimpleQueue[Json],
        ended: queue.SimpleQueue[Outcome | MiscError],
        threads: int,
        log: Path | None,
    ) -> None:
        super().__init__(daemon=True)
        self.target, self.setup, self.pending, self.ended = target, setup, pending, ended
        self.threads, self.log = threads, log
        self.process: subprocess.Popen[str] | None = None
        self.stopped = False

    def run(self) -> None:
        """Until the queue is empty."""
        try:
            while not self.stopped:
                try:
                    job = self.pending.get_nowait()
                except queue.Empty:
                    break
                self.ended.put(self.outcome_of(job))
        except MiscError as error:
            self.ended.put(error)
        except OSError as error:
            self.ended.put(MiscError(f"a process cannot be started: {error.strerror}"))
        self.stop()

    def outcome_of(self, job: Json) -> Outcome:
        """The outcome of a job, with as many processes as it may use."""
        died = "the process died"
        for _ in range(ATTEMPTS):
            process = self.process or self.begin()
            answer = ask(process, job)
            if answer is not None:
                return Outcome(job, **answer)
            died = f"the process died with status {process.wait()}"
            self.process = None
            if self.stopped:
                break
        return Outcome(job, error=died, kind="died")

    def begin(self) -> subprocess.Popen[str]:
        """A process that is ready for jobs.

        Raises:
            MiscError: it could not be prepared.
        """
        command = [sys.executable, "-P", "-m", "misc.pool", self.target]  # -P: no modules of the current folder
        environment = {"OMP_NUM_THREADS": str(self.threads), **os.environ}
        with open(self.log or os.devnull, "a", encoding="utf-8") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        self.process = process
        answer = ask(process, self.setup)
        if answer is None:
            raise MiscError(f"{self.target} died with status {process.wait()} while it was prepared")
        if "error" in answer:
            raise getattr(errors, answer["kind"], MiscError)(answer["error"])
        return process

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self.stopped = True
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def ask(process: subprocess.Popen[str], question: Json) -> dict[str, Any] | None:
    """The answer to a line, or None if the process is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except OSError:
        return None
    return json.loads(line) if line.endswith("\n") else None


def serve(target: str, questions: IO[str], answers: IO[str]) -> None:
    """Prepare, then answer every line."""

    def reply(value: Json) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    module, _, name = target.partition(":")
    work = None
    for line in questions:
        try:
            if work is None:
                work = getattr(importlib.import_module(module), name)(json.loads(line))
                reply({})
            else:
                reply({"answer": work(json.loads(line))})
        except Exception as error:  # after any error, the next job must still run
            traceback.print_exc()
            reply({"error": sentence(error), "kind": type(error).__name__})
            if work is None:
                return


def sentence(error: Exception) -> str:
    """An error as a sentence: its own message if MISC raised it on purpose."""
    if isinstance(error, MiscError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}".splitlines()[0] if str(error) else type(error).__name__


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its processes
    own_output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print
    serve(sys.argv[1], sys.stdin, own_output)
