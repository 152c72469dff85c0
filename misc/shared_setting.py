"""A setting of the whole process, for as long as any of its threads needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["SharedSetting"]


class SharedSetting:
    """A context that many threads may enter: the first one in changes the setting, the last one out restores it.

    Args:
        change: changes the setting, and returns a function that restores what was there.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self.change = change
        self._lock = threading.Lock()
        self._inside = 0
        self._restore: Callable[[], None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._restore = self.change()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._restore is not None:
                self._restore()
                self._restore = None
