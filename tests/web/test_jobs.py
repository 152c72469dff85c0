"""A job of the page ends between two of its steps once its visitor wants no more of it, and nobody else's."""

import pytest

from misc import closed_loop
from misc.bits.text.description import Description
from misc.web.jobs import REMEMBERED, Job, PageCodec, StoppedError, Stops
from tests.support.images import sample_picture
from tests.test_closed_loop import Grey, Painter


def test_stop_ends_what_was_asked_for_before_it() -> None:
    stops = Stops()
    early, late, other = Job(stops, "a", 10), Job(stops, "a", 21), Job(stops, "b", 10)
    for job in (early, late, other):
        job.check()
    stops.stop("a", 20)
    with pytest.raises(StoppedError):
        early.check()
    late.check()
    other.check()
    stops.stop("a", 5)  # a late message of an earlier Stop
    with pytest.raises(StoppedError):
        early.check()


def test_the_last_stops_of_many_visitors_are_remembered() -> None:
    stops = Stops()
    for number in range(REMEMBERED + 1):
        stops.stop(str(number), 1)
    assert not stops.after("0", 1)
    assert stops.after("1", 1)
    stops.stop("1", 2)  # the first of the list is the last again
    stops.stop("new", 2)
    assert stops.after("1", 2)
    assert not stops.after("2", 1)


def test_candidates_end_between_two_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop, "Likeness", Grey)
    codec, stops, drawn = PageCodec(), Stops(), list[int]()
    codec.__dict__.update(decoder=Painter(), semantics=object())
    job = Job(stops, "a", 1)

    def check() -> None:
        drawn.append(len(drawn))
        if len(drawn) == 3:
            stops.stop("a", 1)
        job.check()

    codec.check = check  # type: ignore[method-assign]
    with pytest.raises(StoppedError):
        codec.encode(sample_picture(96, 64), mode="text", description=Description("a cat"), candidates=8)
    assert drawn == [0, 1, 2]
    codec.check = Job(stops, "a", 2).check  # type: ignore[method-assign]
    assert codec.encode(sample_picture(96, 64), mode="text", description=Description("a cat"), candidates=8)
