"""Jobs of the page, which their visitors can stop between two steps.

    visitor's Stop ─► Stops ─► asked before each step and each image that is drawn ─► StoppedError ─► the next job

A job that still waits for its turn ends when that comes: what counts is whether it was asked for before the Stop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from ..bits.streams import Streams
from ..codec import Codec
from ..decoder_profile import SamplingChanges

__all__ = ["Job", "PageCodec", "StoppedError", "Stops"]

REMEMBERED = 1000  # visitors whose last Stop is known


class StoppedError(Exception):
    """The visitor wants no more of this job."""


class Stops:
    """When each visitor last pressed Stop, by the visitor's own clock."""

    def __init__(self) -> None:
        self._moments: OrderedDict[str, float] = OrderedDict()

    def stop(self, visitor: str, moment: float) -> None:
        """End all that a visitor asked for until a moment."""
        self._moments[visitor] = max(moment, self._moments.pop(visitor, moment))
        while len(self._moments) > REMEMBERED:
            self._moments.popitem(last=False)

    def after(self, visitor: str, moment: float) -> bool:
        """Whether the visitor pressed Stop at a moment or after it."""
        return self._moments.get(visitor, float("-inf")) >= moment


@dataclass(frozen=True)
class Job:
    """What a visitor asked for at a moment."""

    stops: Stops
    visitor: str
    moment: float

    def check(self) -> None:
        """Raise StoppedError if the visitor has pressed Stop since."""
        if self.stops.after(self.visitor, self.moment):
            raise StoppedError


class PageCodec(Codec):
    """A codec that asks before each image that it draws, candidates of the encoder too, whether to go on.

    `check` raises StoppedError if not; it is of the one job that is at work.
    """

    check: Callable[[], None] = staticmethod(lambda: None)

    def draw_many(
        self,
        contents: Sequence[Streams],
        *,
        seed: int | None = None,
        draft: bool = False,
        progress: Callable[[int, int], None] | None = None,
        sampling: SamplingChanges | None = None,
    ) -> list[Image.Image]:
        """As `Codec.draw_many`; StoppedError if the job is to end."""
        self.check()
        return super().draw_many(contents, seed=seed, draft=draft, progress=progress, sampling=sampling)
