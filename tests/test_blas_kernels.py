"""OpenBLAS runs the kernels that suit the processor."""

import os
import subprocess
import sys

import pytest

from misc.blas_kernels import VARIABLE, kernels_for, processor_instructions

AVX2 = {"sse2", "avx", "avx2", "fma"}
AVX512 = AVX2 | {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}
SHOW = "from threadpoolctl import threadpool_info; import numpy; print(threadpool_info()[0]['architecture'])"


def kernels_after(code: str, chosen: str | None = None) -> str:
    """Name of the kernels that numpy's OpenBLAS runs in a process after some code."""
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    environment |= {VARIABLE: chosen} if chosen else {}
    command = [sys.executable, "-c", f"{code}; {SHOW}"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    ("instructions", "kernels"),
    [
        (AVX512, "SkylakeX"),
        (AVX512 - {"avx512vl"}, "Haswell"),
        (AVX2, "Haswell"),
        (AVX2 - {"fma"}, None),
        (set(), None),
    ],
)
def test_the_fastest_kernels_that_a_processor_can_run(instructions: set[str], kernels: str | None) -> None:
    assert kernels_for(instructions) == kernels


@pytest.mark.skipif(kernels_for(processor_instructions()) is None, reason="OpenBLAS chooses on this processor")
def test_the_package_chooses_the_kernels_when_it_is_imported_first() -> None:
    assert kernels_after("import misc") == kernels_for(processor_instructions())


@pytest.mark.skipif("pni" not in processor_instructions(), reason="no processor of this kind")
def test_a_choice_of_the_user_stays() -> None:
    assert kernels_after("import misc", "Prescott") == "Prescott"


def test_nothing_changes_after_numpy_is_loaded() -> None:
    code = "import numpy, os; before = dict(os.environ); import misc; assert before == dict(os.environ)"
    assert kernels_after(code) == kernels_after("pass")
