"""torch, imported without pauses.

Importing torch makes some hundred thousand objects, none of which is garbage; looking for garbage among them again and
again takes a sixth of the two seconds.
"""

from __future__ import annotations

import gc
import sys

__all__ = ["import_torch"]


def import_torch() -> None:
    """Import torch now, while the collector of garbage rests; nothing if it is imported already."""
    if "torch" in sys.modules:
        return
    resting = not gc.isenabled()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        if not resting:
            gc.enable()
