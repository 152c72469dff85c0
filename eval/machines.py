"""Imitate other machines on this processor: kernels of OpenBLAS, numpy and torch, and numbers of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..errors import MiscError

__all__ = ["KERNELS", "MACHINES", "TORCH_MACHINES", "result_on"]

NEEDS = {  # kernels of OpenBLAS and the processor flags that they need
    "Prescott": {"pni"},
    "Core2": {"ssse3"},
    "Nehalem": {"sse4_2"},
    "Barcelona": {"sse4a"},
    "Sandybridge": {"avx"},
    "Haswell": {"avx2", "fma"},
    "Zen": {"avx2", "fma"},
    "SkylakeX": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "Cooperlake": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16"},
}
STAND_INS = {  # numpy 2's OpenBLAS has fewer kernels and uses these instead
    "Prescott": "Katmai",
    "Core2": "Katmai",
    "Barcelona": "Nehalem",
    "Zen": "Haswell",
    "Cooperlake": "SkylakeX",
}
TORCH_NEEDS = {"default": set(), "avx2": {"avx2", "fma"}, "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}}


def flags() -> set[str]:
    """The processor's flags; empty on systems that do not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


HAS = flags()
KERNELS = [name for name, needs in NEEDS.items() if needs <= HAS]
MACHINES: list[dict[str, str]] = [
    *({"OPENBLAS_CORETYPE": name, "OPENBLAS_NUM_THREADS": str(1 + i % 3)} for i, name in enumerate(KERNELS)),
    {"OPENBLAS_NUM_THREADS": "4"},
    {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX2 FMA3"},
]
TORCH_MACHINES: list[dict[str, str]] = [
    {"ATEN_CPU_CAPABILITY": name, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    for name, needs in TORCH_NEEDS.items()
    if needs <= HAS
    for threads in ("1", "3")
]


def result_on(machine: dict[str, str], script: str) -> Any:
    """The JSON in the last line of a script's output, run in a process with these environment variables.

    Raises:
        MiscError: OpenBLAS used other kernels than requested, or the script failed.
    """
    environment = os.environ | {"OPENBLAS_VERBOSE": "2"} | machine
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason was given"]
        raise MiscError(f"the process for {machine or 'this machine'} failed: {lines[-1]}")
    kernels = machine.get("OPENBLAS_CORETYPE")
    said = done.stdout + done.stderr
    expected = {f"Core: {name}" for name in (kernels, STAND_INS.get(kernels or ""))}
    if kernels is not None and "Core: " in said and not any(line in said for line in expected):
        raise MiscError(f"OpenBLAS did not take the kernels of {kernels}")
    return json.loads(done.stdout.splitlines()[-1])
