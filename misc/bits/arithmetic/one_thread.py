"""One thread for products of matrices while a text is coded, also if several threads of a program code at once.

A step multiplies one row by a matrix: a second BLAS thread only waits, and doubles the processor time. The limit is of
the whole process, so the first thread that enters sets it, and the last one that leaves restores what was there.
"""

from __future__ import annotations

import threading

from threadpoolctl import threadpool_limits

__all__ = ["one_blas_thread"]


class Limiter:
    """A context that many threads may enter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limits: threadpool_limits | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limits = threadpool_limits(1, "blas")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._limits is not None:
                self._limits.restore_original_limits()
                self._limits = None


one_blas_thread = Limiter()
