"""Import torch without garbage collection, and check a device.

Importing torch creates some hundred thousand objects, none of which is garbage. Repeated garbage collection takes a
sixth of the two seconds of the import.
"""

from __future__ import annotations

import gc
import sys

from .errors import UsageError

__all__ = ["import_torch", "usable_device"]


def import_torch() -> None:
    """Import torch with the garbage collector off; do nothing if it is already imported."""
    if "torch" in sys.modules:
        return
    resting = not gc.isenabled()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        if not resting:
            gc.enable()


def usable_device(name: str) -> str:
    """The name of a torch device; UsageError if this machine does not have it."""
    import_torch()
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"device {name!r} cannot be used: {reason}") from error
    return name
