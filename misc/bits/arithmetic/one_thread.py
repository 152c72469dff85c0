"""One thread for products of matrices while a text is coded, also if several threads of a program code at once.

A step multiplies one row by a matrix: a second BLAS thread only waits, and doubles the processor time.
"""

from __future__ import annotations

from collections.abc import Callable

from threadpoolctl import threadpool_limits

from ...shared_setting import SharedSetting

__all__ = ["one_blas_thread"]


def limit_blas() -> Callable[[], None]:
    """Limit BLAS to one thread; returns what restores the number before."""
    restore: Callable[[], None] = threadpool_limits(1, "blas").restore_original_limits
    return restore


one_blas_thread = SharedSetting(limit_blas)
