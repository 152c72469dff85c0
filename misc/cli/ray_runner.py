"""Jobs on a Ray cluster, with the outcomes of `misc.pool`. Actors load their models once; a dead actor is replaced."""

from __future__ import annotations

import importlib
import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import InputError, MiscError
from ..pool import ATTEMPTS, Outcome, Runner, sentence

__all__ = ["runner_at"]

Json = Mapping[str, Any]


class Actor:
    """One process of the cluster; its class and arguments are those of `misc.pool`."""

    def __init__(self, target: str, setup: Json) -> None:
        module, _, name = target.partition(":")
        self.problem: MiscError | None = None
        try:
            self.work = getattr(importlib.import_module(module), name)(setup)
        except MiscError as error:
            self.problem = error

    def do(self, job: Json) -> dict[str, Any]:
        """The fields of an outcome; `problem` if the models could not be loaded."""
        if self.problem is not None:
            return {"problem": self.problem}
        try:
            return {"answer": self.work(job)}
        except Exception as error:  # after any error, the next job must still run
            traceback.print_exc()
            return {"error": sentence(error), "kind": type(error).__name__}


def runner_at(address: str, gpus: float = 0) -> Runner:
    """The function that runs jobs on a cluster.

    Args:
        address: of the cluster; `local` starts one on this machine.
        gpus: share of a GPU for each actor.

    Raises:
        InputError: Ray is not installed, or the cluster does not answer.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError as error:
        raise InputError("--ray needs Ray: pip install 'misc-codec[ray]'") from error
    if not ray.is_initialized():
        try:
            ray.init(address=None if address == "local" else address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(f"the Ray cluster at {address} does not answer") from error
    remote: Any = ray.remote(num_cpus=1, num_gpus=gpus)(Actor)  # Ray's types lack the methods of actors

    def run(target: str, setup: Json, jobs: Sequence[Json], workers: int) -> Iterator[Outcome]:
        waiting = [(job, 1) for job in reversed(jobs)]
        busy: dict[Any, tuple[Any, Json, int]] = {}
        idle = [remote.remote(target, dict(setup)) for _ in range(min(workers, len(jobs)))]
        while waiting or busy:
            while waiting and idle:
                (job, attempt), actor = waiting.pop(), idle.pop()
                busy[actor.do.remote(dict(job))] = (actor, job, attempt)
            (ready,), _ = ray.wait([*busy])
            actor, job, attempt = busy.pop(ready)
            try:
                answer = ray.get(ready)
            except RayError:
                idle.append(remote.remote(target, dict(setup)))
                if attempt < ATTEMPTS:
                    waiting.append((job, attempt + 1))
                    continue
                outcome = Outcome(job, error="the process died", kind="died")
            else:
                if "problem" in answer:  # the models cannot be loaded, which would also happen on other machines
                    raise answer["problem"]
                outcome = Outcome(job, **answer)
                idle.append(actor)
            yield outcome

    return run
