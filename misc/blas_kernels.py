"""The kernels of OpenBLAS, numpy's library of matrix products, for this processor.

numpy 1.26 carries OpenBLAS 0.3.23. It takes a processor that is newer than itself for one of 2004, and its products are
then three to four times slower. So we choose the kernels by the instructions that the processor has. The exact layer
gives the same bits with all of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path

__all__ = ["choose_kernels", "kernels_for"]

VARIABLE = "OPENBLAS_CORETYPE"
KERNELS = {  # the fastest first, with the instructions that they need
    "SkylakeX": {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"},
    "Haswell": {"avx2", "fma"},
}


def kernels_for(instructions: Collection[str]) -> str | None:
    """Name of the fastest kernels for a processor with these instructions; None to let OpenBLAS choose."""
    return next((name for name, needed in KERNELS.items() if needed.issubset(instructions)), None)


def processor_instructions() -> set[str]:
    """Instructions that an x86 processor has beyond the first ones, as Linux names them; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def choose_kernels() -> None:
    """Set the variable that OpenBLAS reads when numpy is loaded; nothing if it is set or numpy is loaded already."""
    if VARIABLE in os.environ or "numpy" in sys.modules:
        return
    kernels = kernels_for(processor_instructions())
    if kernels:
        os.environ[VARIABLE] = kernels
