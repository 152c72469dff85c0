"""The command line."""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> None:
    """Entry point. Until the command runs, Ctrl-C ends the process at once, without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .app import run

    signal.signal(signal.SIGINT, before)
    run()
