"""Jobs of the page, which a visitor can stop between two steps.

    visitor's Stop ─► Stops ─► asked before each step and each image that is drawn ─► StoppedError ─► the next job

A waiting job that was requested before the Stop ends when its turn comes.
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
    """The visitor has stopped this job."""


class Stops:
    """When each visitor last pressed Stop, by the visitor's own clock."""

    def __init__(self) -> None:
        self._moments: OrderedDict[str, float] = OrderedDict()

    def stop(self, visitor: str, moment: float) -> None:
        """End all jobs that a visitor requested up to a moment."""
        self._moments[visitor] = max(moment, self._moments.pop(visitor, moment))
        while len(self._moments) > REMEMBERED:
            self._moments.popitem(last=False)

    def after(self, visitor: str, moment: float) -> bool:
        """Whether the visitor pressed Stop at a moment or after it."""
        return self._moments.get(visitor, float("-inf")) >= moment


@dataclass(frozen=True)
class Job:
    """A visitor's request at a moment."""

    stops: Stops
    visitor: str
    moment: float

    def check(self) -> None:
        """Raise StoppedError if the visitor has pressed Stop since."""
        if self.stops.after(self.visitor, self.moment):
            raise StoppedError


class PageCodec(Codec):
    """A codec that can be stopped before each image that it draws, also before the encoder's candidates.

    `check`, which the running job sets, raises StoppedError to stop.
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
        """As `Codec.draw_many`; StoppedError if the job was stopped."""
        self.check()
        return super().draw_many(contents, seed=seed, draft=draft, progress=progress, sampling=sampling)
