"""Jobs for `misc.pool`, to be run in other processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from misc.errors import InputError, WeightsError


def doubling(setup: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Twice a number; `how` a job says makes it fail."""
    if setup.get("fail"):
        raise WeightsError("the weights are missing")
    print("a library talks")

    def work(job: Mapping[str, Any]) -> dict[str, Any]:
        if job.get("how") == "input":
            raise InputError("a bad photo")
        if job.get("how") == "bug":
            raise ZeroDivisionError
        if job.get("how") == "die" or (job.get("how") == "die once" and not Path(job["mark"]).exists()):
            if "mark" in job:
                Path(job["mark"]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(job.get("seconds", 0))
        return {"twice": 2 * job["number"], "pid": os.getpid()}

    return work


def copying(setup: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Makes the target of a job; every hundredth fails."""

    def work(job: Mapping[str, Any]) -> dict[str, Any]:
        if Path(job["source"]).stem.endswith("00"):
            raise InputError("a bad photo")
        Path(job["target"]).touch()
        return {}

    return work
