"""Processor time that some work needs, on a machine that does other things too."""

import resource
import time
from collections.abc import Callable

TRIES = 10
PAUSE = 1  # second: what slows the processor down, such as another virtual machine, may soon be over


def least_seconds(work: Callable[[], object], limit: float) -> float:
    """The least processor seconds, child processes included, of up to ten runs; the first below the limit ends them.

    Other programs only add to the time of a run, because caches and cores are shared.
    """
    least = float("inf")
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        before = processor_seconds()
        work()
        least = min(least, processor_seconds() - before)
        if least < limit:
            break
    return least


def processor_seconds() -> float:
    """Of this process and its children so far."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
