"""From text and regions of an image to the file within a limit.

text, regions ─► select_streams ─► shorter forms, or in mode micro a knapsack of words ─┐
image ─► hyperprior, each quality once ────────────────────────────────────────────────┴─► file ─► reflect ─► seed
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .bits import streams as exact
from .bits.container import Section
from .bits.streams import Streams
from .bits.text.consonants import SYMBOL_BITS
from .bits.text.description import Description
from .errors import BitstreamError, BudgetError, UsageError, WeightsError
from .given import natural, whole
from .micro import importance_of, least_symbols, skeleton_text
from .modes import Plan, select_streams
from .rate_control import DEFAULT_EFFORT, OPTIMISED_PIXELS, TEXT_SHARE, Limit, best_file, check_budget
from .shortening import Form, first_that_fits, shorter_forms, tell_shortened
from .trace import check_trace, write_trace

if TYPE_CHECKING:
    from .codec import Codec

__all__ = ["FileMaker", "Wishes", "encode_file"]

SEED_BYTES = 2  # largest size of a seed that a closed loop tries
REFLECTED_UBPP = 500  # above it mode micro reflects once by default

MakeFile = Callable[[int, int | None, int], bytes]
"""Place of a form, quality of the pixels or None for none, and effort, to the bytes of the file."""


@dataclass(frozen=True)
class Wishes:
    """Requirements for a file, apart from its content.

    Attributes:
        plan: which streams it holds, and which of them may be left out.
        limit: bytes of the whole file, and in mode micro bits of the text's code.
        quality: of the pixel stream, 0 to 255, if there is no limit.
        seed: of the decoder's noise; None lets the encoder choose.
        candidates: number of seeds to try.
        verify: decode the file's symbols again and compare them.
        reflect: rounds of reflection; None for the mode's default.
        trace: folder for a page about the rounds.
        effort: rounds in which the pixel stream's symbols are optimised.
        share: largest share of the limit for text and regions, if they are optional and do not change the image.

    Raises:
        UsageError: the requirements contradict each other.
    """

    plan: Plan
    limit: Limit
    quality: int | None = None
    seed: int | None = None
    candidates: int = 1
    verify: bool = True
    reflect: int | None = None
    trace: Path | None = None
    effort: int = DEFAULT_EFFORT
    share: float = TEXT_SHARE

    def __post_init__(self) -> None:
        if self.quality is not None and "pixels" not in self.plan.streams:
            raise UsageError("a file without pixels has no quality: give a limit of its size, or none")
        if natural("number of candidates", self.candidates, 1) > 1 and self.seed is not None:
            raise UsageError("the number of candidates is 1 if a seed is given")
        natural("effort", self.effort)
        whole("number of rounds of reflection", self.reflect)
        if self.reflect is not None and self.reflect < 0:
            raise UsageError(f"the number of rounds of reflection is 0 or more, not {self.reflect}")
        if self.reflect and "text" not in self.plan.streams:
            raise UsageError("there is no text to reflect on in a file of this mode")


@dataclass(frozen=True)
class Fit:
    """A file within the limit.

    Attributes:
        place: index of its form of text and regions, 0 for the complete one.
        data: its bytes.
        most: bytes that were available for text and regions.
    """

    place: int
    data: bytes
    most: int


class FileMaker:
    """Makes files of one image within one limit. The pixel stream of each quality is coded only once.

    Args:
        codec: gives the models.
        image: upright, RGB.
        wishes: requirements for the files.
    """

    def __init__(self, codec: Codec, image: Image.Image, wishes: Wishes) -> None:
        self.codec, self.image, self.wishes = codec, image, wishes
        self.models = codec.profile.exact_models
        self.effort = wishes.effort if image.width * image.height <= OPTIMISED_PIXELS else 0
        self.pixel_section = functools.cache(self._pixel_section)
        self.importance = functools.cache(functools.partial(importance_of, codec.semantics, codec.notice))

    def make(self, full: Streams, missing: Collection[str] = ()) -> tuple[bytes, Streams]:
        """The best file within the limit, and its text and regions.

        Args:
            full: text and regions of the image, before anything is left out.
            missing: words with a higher weight in mode micro.

        Raises:
            BudgetError: no file is small enough.
            InputError: nothing is left of the text.
            WeightsError: the file does not decode to what was encoded.
        """
        plan, limit = self.wishes.plan, self.wishes.limit.file
        content = select_streams(plan, full, self.codec.notice)
        if content.text is not None and plan.coder == "consonants":
            content = dataclasses.replace(content, text=self._skeletons(content, content.text, missing))
        forms = self._forms(Form(content.text, content.regions))
        sections = functools.cache(lambda place: self._sections(content, forms[place]))

        def file(place: int, quality: int | None, effort: int) -> bytes:
            pixels = {} if quality is None else {"pixels": self.pixel_section(quality, effort)}
            return exact.write(content, sections(place) | pixels, self.models)

        def cost(place: int) -> int:
            """Bytes that text and regions add to a file with pixels."""
            empty = {"pixels": Section(b"", 0)}
            with_text, without = (exact.write(content, each, self.models) for each in (sections(place) | empty, empty))
            return len(with_text) - len(without)

        if limit is None:
            fit = Fit(0, file(0, self.wishes.quality, self.effort), 0)
        elif "pixels" in plan.streams:
            fit = self._share_out(len(forms), file, cost, limit)
        else:
            fit = self._longest_fit(len(forms), file, limit, None)
        form = forms[fit.place]
        sentence = tell_shortened(forms[0], form, fit.most)
        if sentence:
            self.codec.notice(sentence)
        return self._verify(fit.data), dataclasses.replace(content, text=form.text, regions=form.regions)

    def make_settled(self, full: Streams, missing: Collection[str] = ()) -> bytes:
        """As `make`; unless a seed was given, a file without pixels gets one that means the same photo everywhere."""
        from .closed_loop import settle

        data, content = self.make(full, missing)
        wishes = self.wishes
        if wishes.seed is not None or wishes.candidates > 1 or "pixels" in wishes.plan.streams:
            return data
        return settle(self.codec, data, content, wishes.limit.file)

    def _share_out(self, count: int, file: MakeFile, cost: Callable[[int], int], limit: int) -> Fit:
        """A file with pixels: text and regions get at most a share of the limit, pixels the rest.

        If not even the lowest quality fits, text and regions are shortened until it does.

        Args:
            count: number of forms.
            file: makes a file.
            cost: bytes of text and regions in a form.
            limit: bytes of the whole file.
        """
        place, share = 0, limit
        if self._has_share() and count > 1:
            share = math.floor(limit * self.wishes.share)
            fitting = first_that_fits(count, cost, share)
            place = count - 1 if fitting is None else fitting
        spare = SEED_BYTES if self.wishes.candidates > 1 else 0
        try:
            code = functools.partial(file, place)
            return Fit(place, best_file(code, self.effort, limit - spare, self.image.size), share)
        except BudgetError:
            return self._longest_fit(count, file, limit, 0)

    def _longest_fit(self, count: int, file: MakeFile, limit: int, quality: int | None) -> Fit:
        """The longest of `count` forms that fits; BudgetError with the bytes of the shortest if none fits."""
        place = first_that_fits(count, lambda each: len(file(each, quality, self.effort)), limit)
        if place is None:
            check_budget(len(file(count - 1, quality, self.effort)), limit, self.image.size)
        assert place is not None
        return Fit(place, file(place, quality, self.effort), limit)

    def _forms(self, whole: Form) -> list[Form]:
        """The forms that the plan allows, the longest first."""
        plan = self.wishes.plan
        if plan.coder == "consonants":
            return [whole]
        return shorter_forms(whole, spare_regions="regions" in plan.optional, spare_text="text" in plan.optional)

    def _has_share(self) -> bool:
        """Whether text and regions are optional and do not change the image, so that a share limits them."""
        return "text" in self.wishes.plan.optional and self.codec.profile.decoder is None

    def _sections(self, content: Streams, form: Form) -> dict[str, Section]:
        """The sections of text and regions in a form."""
        streams = dataclasses.replace(content, text=form.text, regions=form.regions)
        return exact.pack(streams, self.models, coder=self.wishes.plan.coder)

    def _pixel_section(self, quality: int, effort: int) -> Section:
        """The image's pixel section at a quality."""
        classifier = self.codec.semantics.classifier if effort else None
        coded = self.codec.hyperprior.encode(np.asarray(self.image), quality, effort, classifier)
        return exact.pixel_section(*coded)

    def _skeletons(self, content: Streams, text: Description, missing: Collection[str]) -> Description:
        """The words that mode micro keeps within the limit."""
        least = least_symbols(text)
        limit = self.wishes.limit
        symbols = None if limit.code is None else limit.code // SYMBOL_BITS
        if limit.file is not None:
            nothing = Form(Description(consonants=True))
            empty = len(exact.write(content, self._sections(content, nothing), self.models))
            check_budget(empty + -(-least * SYMBOL_BITS // 8), limit.file, self.image.size)
            symbols = 8 * (limit.file - empty) // SYMBOL_BITS
        whole = skeleton_text(text, None, {})
        if symbols is None or len(whole.overall) <= symbols:
            return whole
        if symbols < least:
            raise BudgetError(f"the shortest word has {least * SYMBOL_BITS} bits; {limit.code} were allowed")
        return skeleton_text(text, symbols, self.importance(text), missing)

    def _verify(self, data: bytes) -> bytes:
        """The bytes, after checking that they decode to the symbols that were encoded."""
        try:
            if self.wishes.verify:
                self.codec.streams(data)
        except BitstreamError as error:
            raise WeightsError(f"the file would not decode to what was encoded ({error}): see `misc doctor`") from error
        return data


def encode_file(codec: Codec, image: Image.Image, full: Streams, wishes: Wishes) -> bytes:
    """The file of an image; raises as `FileMaker.make`.

    Args:
        image: upright, RGB.
        full: text and regions of it, before anything is left out.
    """
    from .closed_loop import choose_seed

    rounds = wishes.reflect if wishes.reflect is not None else own_rounds(wishes, image.size)
    if wishes.trace is not None:
        if not rounds:
            raise UsageError("a trace shows rounds of reflection: ask for at least one round")
        check_trace(wishes.trace)
    maker = FileMaker(codec, image, wishes)
    data = maker.make_settled(full)
    if rounds and full.text is not None:
        data = reflect_on(maker, full, data, rounds)
    if wishes.candidates > 1:
        data = choose_seed(codec, data, image, wishes.candidates, wishes.limit.file)
    return data


def own_rounds(wishes: Wishes, size: tuple[int, int]) -> int:
    """Default number of reflection rounds: one in mode micro with a limit above REFLECTED_UBPP, else none."""
    if wishes.plan.coder != "consonants":
        return 0
    bits = wishes.limit.code if wishes.limit.file is None else 8 * wishes.limit.file
    return int(bits is not None and 1e6 * bits > REFLECTED_UBPP * size[0] * size[1])


def reflect_on(maker: FileMaker, full: Streams, data: bytes, rounds: int) -> bytes:
    """The best file after reflection; the first file if reflection is only the default and not possible."""
    from .closed_loop import Likeness
    from .reflection import reflect

    codec, wishes = maker.codec, maker.wishes
    try:
        likeness = Likeness(codec.semantics, maker.image)
        best, history = reflect(codec, full, data, rounds, maker.make_settled, likeness)
    except WeightsError as error:
        if wishes.reflect is not None:
            raise
        codec.notice(f"the text is not reflected on: {error}")
        return data
    if wishes.trace is not None:
        write_trace(wishes.trace, maker.image, history, best)
    return best.data
