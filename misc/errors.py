"""Every error that MISC raises on purpose, with the exit code of the command line."""

from __future__ import annotations

__all__ = [
    "BitstreamError",
    "BudgetError",
    "DescriberError",
    "InputError",
    "LimitError",
    "MiscError",
    "ModelMismatchError",
    "UsageError",
    "WeightsError",
]


class MiscError(Exception):
    """Base of every error that MISC raises on purpose. `exit_code` is the command line's."""

    exit_code = 1


class InputError(MiscError):
    """The image, text or option that was given cannot be used."""


class UsageError(InputError):
    """An option is wrong for any image: out of its range, an unknown name, or in contradiction to another option."""

    exit_code = 2


class BudgetError(MiscError):
    """No encoding is small enough for the requested size."""


class DescriberError(MiscError):
    """The describer did not answer, or not with a description within the limits."""


class BitstreamError(MiscError):
    """The data is damaged, cut short or not a MISC file."""

    exit_code = 3


class LimitError(MiscError):
    """The data asks for more than a declared limit."""

    exit_code = 3


class ModelMismatchError(MiscError):
    """The data is intact but was written with other models than those of the profile."""

    exit_code = 4


class WeightsError(MiscError):
    """Weights that a profile needs are missing, or are not those that it names."""

    exit_code = 4
