"""The embedded describer: a LLaVA-style model of the project's own small language model.

image ─► ViT-S/14 ─► 16x16 tokens ─► 2x2 joined, MLP ─► 64 tokens ─┐
                                           text tokens so far ─────┴─► Llama (7.4 M) ─► beam search ─► Description

The model writes one text in the same form as a file's text stream: the overall sentence, then name and detail of
every item, one per line. Beam search gives several overall sentences. The probability of the language model and the
similarity by the embedded CLIP together choose one.

A noun that detector or tagger know may be used only if they detect it (`naming`). Their own names become the first
items, and the language model writes the details. If no caption agrees with them, the overall sentence is built from
these names and from a phrase for the place (`surroundings`).

Two text tasks use the same model without an image: words from consonant skeletons, and the facts of one description
that another lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...bits.text.byte_pairs import BytePairs
from ...bits.text.description import Description, Item
from ...errors import DescriberError
from ..language_model.llama import Cache
from ..locator import SCORE, EmbeddedClip
from ..towers.detector import Detector
from ..towers.tagger import Tagger
from ..towers.vision import patch_tokens, to_input
from ..towers.vit import VisionTransformer
from .naming import Sight, plain_sentence, same, sight_of
from .network import DescriberNetwork
from .surroundings import add_surroundings

__all__ = ["DIFFERENCES", "WORDS", "EmbeddedDescriber", "Prompts"]

MAX_CAPTION, MAX_ITEMS_TOKENS, MAX_DETAIL = 40, 64, 16
BREVITY = 0.5  # length exponent of captions; with 1 they are longer and have more wrong facts
WHOLES = 12  # captions to choose from
AGREEMENT = 4.0  # weight of the similarity of caption and image against the caption's log probability
UNSEEN, NAMED = 1.0, 0.5  # penalty of a caption for an undetected noun, reward for a detected one
ALIKE = 0.4  # least similarity to the image for an item's name that neither detector nor tagger know
PLAIN_NAMES = 2  # names in a sentence of names alone
ITEM_WORDS, DETAIL_WORDS, WHOLE_WORDS = 3, 10, 50
WORDS, DIFFERENCES = "words: ", "differences: "


@dataclass(frozen=True)
class Prompts:
    """Numbers of the tokens that shape a sequence."""

    line_break: int
    terminator: int

    @classmethod
    def of(cls, vocabulary: BytePairs) -> Prompts:
        """The two tokens' numbers in a vocabulary."""
        return cls(vocabulary.number("\n"), vocabulary.number("\n\n"))


class EmbeddedDescriber:
    """Describes images with the embedded profile's weights; loaded by the caller.

    Args:
        tower: of `misc.models.towers.vision`.
        model: projector and language model.
        vocabulary: the language model's.
        detector, tagger: of `misc.models.towers`; without both, the captions are not checked.
        clip: helps to choose the overall sentence; without it, the likeliest one is taken.
    """

    def __init__(
        self,
        tower: VisionTransformer,
        model: DescriberNetwork,
        vocabulary: BytePairs,
        detector: Detector | None = None,
        clip: EmbeddedClip | None = None,
        tagger: Tagger | None = None,
    ) -> None:
        self.tower, self.model, self.vocabulary = tower, model, vocabulary
        self.detector, self.clip, self.tagger = detector, clip, tagger
        self.prompts = Prompts.of(vocabulary)

    def describe(self, image: Image.Image, items: int = 3) -> Description:
        """The description of an image with at most `items` items.

        Raises:
            DescriberError: the model found no words.
        """
        patches = patch_tokens(self.tower, to_input(image)[None])[0]
        return self.describe_patches(patches, items, self.sight(image))

    def sight(self, image: Image.Image) -> Sight | None:
        """The findings of detector and tagger in an image; None without both."""
        if self.detector is None or self.tagger is None:
            return None
        rgb = image.convert("RGB")
        return sight_of(self.detector.find(rgb, SCORE), *self.tagger.look(rgb))

    @torch.inference_mode()
    def describe_patches(self, patches: Tensor, items: int = 3, sight: Sight | None = None) -> Description:
        """As `describe`, from the tower's patch tokens (16, 16, 384) and the findings of detector and tagger."""
        visual = self.model.look(patches[None].to(self._device()))
        caption = self._whole(visual, patches, sight)
        overall = " ".join(self._text(caption).split()[:WHOLE_WORDS])
        if not overall:
            raise DescriberError("the describer found no words for the image")
        prefix = [self.prompts.terminator, *caption, self.prompts.line_break]
        rest = self._say(visual, prefix, self.prompts.terminator, MAX_ITEMS_TOKENS, beams=3)
        own = read_items(self._text(rest), items)
        if sight is None:
            return Description(overall, tuple(own))
        result: list[Item] = []
        for name in sight.sure_names()[:items]:
            match = next((item for item in own if same(item.name, name)), None)
            result.append(match or Item(name, self._detail(visual, prefix, name)))
        for item in self._borne_out(own, patches, sight):
            if not any(same(item.name, other.name) for other in result):
                result.append(item)
        probable = sight.probable_name()
        if not result and probable:
            result.append(Item(probable, self._detail(visual, prefix, probable)))
        return Description(overall, tuple(result[:items]))

    def _borne_out(self, own: Sequence[Item], patches: Tensor, sight: Sight) -> list[Item]:
        """The captioner's items that detector or tagger confirm, or that they do not know and that CLIP confirms."""
        judged = {item.name: sight.bears_out(item.name) for item in own}
        open_names = [item.name for item in own if not sight.can_judge(item.name)]
        if self.clip is not None and open_names:
            alike = self.clip.embed_texts(open_names) @ self.clip.look(patches[None])[0][0]
            judged |= {name: value >= ALIKE for name, value in zip(open_names, alike.tolist(), strict=True)}
        return [item for item in own if judged.get(item.name)]

    def _whole(self, visual: Tensor, patches: Tensor, sight: Sight | None) -> list[int]:
        """The best caption by probability, similarity and detected nouns; else a sentence of sure names."""
        captions = self._likeliest(
            visual,
            [self.prompts.terminator],
            self.prompts.line_break,
            MAX_CAPTION,
            WHOLES,
            beams=WHOLES,
            brevity=BREVITY,
        )
        captions = [each for each in captions if self._text(each[1]).strip()] or captions[:1]
        texts = [self._text(caption) for _, caption in captions]
        scores = torch.tensor([score for score, _ in captions])
        if self.clip is not None:
            embedding = self.clip.look(patches[None])[0][0]
            scores = scores + AGREEMENT * (self.clip.embed_texts(texts) @ embedding).cpu()
        if sight is None:
            return captions[int(scores.argmax())][1]
        names = sight.sure_names()
        for place, text in enumerate(texts):
            named = sum(name in text.lower() for name in names)
            scores[place] += NAMED * named - UNSEEN * len(sight.unseen_nouns(text))
        best = int(scores.argmax())
        if not sight.misleads(texts[best]):
            return captions[best][1]
        names = names or [name for name in [sight.probable_name()] if name]
        if not names:
            return captions[best][1]
        sentence = plain_sentence(names[:PLAIN_NAMES])
        if self.clip is not None:
            sentence = add_surroundings(sentence, embedding.float().cpu().numpy(), self.clip.embed_texts)
        return self.vocabulary.encode(sentence)

    def _detail(self, visual: Tensor, prefix: list[int], name: str) -> str:
        """The model's detail for an item of this name."""
        question = [*prefix, *self.vocabulary.encode(name), self.prompts.line_break]
        text = self._text(self._say(visual, question, self.prompts.line_break, MAX_DETAIL, beams=1))
        return shorten_detail(text)

    @torch.inference_mode()
    def words(self, skeletons: str) -> str:
        """English for a text of consonant skeletons (`misc.bits.text.consonants`)."""
        return self._answer(WORDS + skeletons)

    @torch.inference_mode()
    def differences(self, wanted: Description, drawn: Description) -> list[str]:
        """Noun phrases of `wanted` that `drawn` lacks; empty if they agree."""
        answer = self._answer(f"{DIFFERENCES}{wanted.overall}\n{drawn.overall}")
        return [part for part in answer.split(", ") if part and part != "none"]

    def _answer(self, question: str) -> str:
        lines = [self.vocabulary.encode(line) for line in question.split("\n")]
        question_tokens = [token for line in lines for token in (*line, self.prompts.line_break)]
        empty = torch.zeros(1, 0, self.model.language.config.width, device=self._device())
        tokens = self._say(
            empty, [self.prompts.terminator, *question_tokens], self.prompts.terminator, MAX_ITEMS_TOKENS, beams=3
        )
        return " ".join(self._text(tokens).split())

    def _text(self, tokens: Sequence[int]) -> str:
        """Text of tokens, without special tokens."""
        return self.vocabulary.decode(tokens, errors="ignore")

    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _say(self, visual: Tensor, prefix: list[int], end: int, limit: int, *, beams: int) -> list[int]:
        """The likeliest continuation; arguments as in `_likeliest`."""
        return self._likeliest(visual, prefix, end, limit, 1, beams=beams)[0][1]

    def _likeliest(
        self, visual: Tensor, prefix: list[int], end: int, limit: int, count: int, *, beams: int, brevity: float = 1.0
    ) -> list[tuple[float, list[int]]]:
        """Continuations of `prefix` by beam search, up to the token `end` (excluded), the likeliest first.

        Args:
            visual: (1, S, width) embeddings before the text.
            limit: largest number of tokens.
            count: largest number of continuations.
            brevity: length exponent: the log probability is divided by length ** brevity; 0 prefers the shortest texts.

        Returns:
            pairs of the divided log probability and the tokens; at least one pair, which may have no tokens.
        """
        language = self.model.language
        start = torch.cat([visual, self.model.embed(torch.tensor([prefix], device=visual.device))], 1)
        cache = Cache()
        logits = language.lm_head(language.model(start, cache=cache)[:, -1])
        scores = torch.zeros(1, device=visual.device)
        rows: list[list[int]] = [[]]
        finished: list[tuple[float, list[int]]] = []
        for length in range(1, limit + 1):
            shares = scores[:, None] + F.log_softmax(logits.float(), -1)
            ended = [share / length**brevity for share in shares[:, end].tolist()]
            finished = sorted([*finished, *zip(ended, rows, strict=True)], reverse=True)[:count]
            shares[:, end] = float("-inf")
            top = shares.flatten().topk(beams)
            parents, tokens = top.indices // shares.shape[1], top.indices % shares.shape[1]
            rows = [[*rows[p], t] for p, t in zip(parents.tolist(), tokens.tolist(), strict=True)]
            scores = top.values
            if len(finished) == count and finished[-1][0] > float(scores.max()) / length**brevity and length > 1:
                break
            cache.select(parents)
            logits = language(tokens[:, None], cache)[:, -1]
        return finished


def read_items(text: str, most: int) -> list[Item]:
    """Items from lines of alternating names and details, cut to the limits; repeated and empty names are dropped."""
    lines = text.split("\n")
    lines += [""] * (len(lines) % 2)
    items: dict[str, Item] = {}
    for name, detail in zip(lines[::2], lines[1::2], strict=True):
        short = " ".join(name.split()[:ITEM_WORDS])
        if short and short not in items:
            items[short] = Item(short, shorten_detail(detail))
    return list(items.values())[:most]


def shorten_detail(detail: str) -> str:
    """A detail within its limit and without repetitions."""
    first = detail.partition("\n")[0]
    text = ", ".join(dict.fromkeys(first.split(", ")))
    return " ".join(text.split()[:DETAIL_WORDS])
