"""Import torch without garbage collection, check a device, and keep to torch's usual settings.

Importing torch creates some hundred thousand objects, none of which is garbage. Repeated garbage collection takes a
sixth of the two seconds of the import.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .errors import UsageError
from .shared_setting import SharedSetting

__all__ = ["import_torch", "usable_device", "with_torch_defaults"]

P = ParamSpec("P")
T = TypeVar("T")


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
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise UsageError(f"device {name!r} cannot be used: {reason}") from error
    return name


def with_torch_defaults(call: Callable[P, T]) -> Callable[P, T]:
    """The function, during which torch has its usual settings, whatever the caller's program has set.

    New tensors are float32 and on the CPU, and there is no autocast but the codec's own.
    """

    @functools.wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        if "torch" not in sys.modules:
            return call(*args, **kwargs)
        import torch

        with contextlib.ExitStack() as settings:
            settings.enter_context(float32_by_default)
            for kind in ("cpu", "cuda"):
                if torch.is_autocast_enabled(kind):
                    settings.enter_context(torch.autocast(kind, enabled=False))
            if torch.get_default_device().type != "cpu":
                settings.enter_context(torch.device("cpu"))
            return call(*args, **kwargs)

    return called


def set_float32() -> Callable[[], None]:
    """Make float32 torch's default type; returns what restores the one before."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    return functools.partial(torch.set_default_dtype, before)


float32_by_default = SharedSetting(set_float32)
