"""Import torch without garbage collection.

Importing torch creates some hundred thousand objects, none of which is garbage. Repeated garbage collection takes a
sixth of the two seconds of the import.
"""

from __future__ import annotations

import gc
import sys

__all__ = ["import_torch"]


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
