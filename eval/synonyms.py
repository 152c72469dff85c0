"""Check the synonyms of mode micro, and measure their gain.

    misc eval synonyms [--data FOLDER] [--limit 200] [--bound 0.45] [--json FILE]

    pair ─► MiniLM and the embedded CLIP: cosine of "a photo of WORD"    ─┐
         ─► lexicon of the decoder: place of the word among those of its ─┴─► pairs below the bound
            skeleton

FOLDER holds `text/lmm_descriptions.jsonl`. On `--limit` descriptions it measures the share that is changed and the
number of additional words that fit into 500 and 1000 ubpp of 1024x1024. Descriptions are joined to fill these limits,
as in `misc eval words`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.console import Console

from ..bits.text.consonants import SYMBOL_BITS, skeleton
from ..bits.text.description import Description
from ..cli.app import run_alone
from ..codec import Codec
from ..micro import choose_words
from ..models.language_model.skeleton import Lexicon, load_lexicon
from ..synonyms import shorter_words
from ..train.data.texts import held_out_half, read_descriptions
from .metrics.panel import Panel
from .photos import spread
from .words import Weighed, choose_all, weighed

__all__ = ["gain", "likeness", "place_of"]

TARGETS = (100, 200, 500, 1000)
FRAME = "a photo of {}"
FIRST = 4  # a word is safely recovered from its skeleton if at most this many words come before it

Figures = dict[str, float]


def place_of(word: str, lexicon: Lexicon) -> int | None:
    """Number of words before this one among those with its skeleton; None if it is not in the lexicon."""
    candidates = [each for _, each in lexicon.later[skeleton(word)]]
    return candidates.index(word) if word in candidates else None


def likeness(panel: Panel, pairs: Mapping[str, str]) -> dict[str, Figures]:
    """{"word shorter": cosine by MiniLM and by the embedded CLIP}."""
    result = {}
    for word, shorter in pairs.items():
        both = [FRAME.format(each) for each in (word, shorter)]
        sentence = panel.vision.embed_sentence(both[0]) @ panel.vision.embed_sentence(both[1])
        images = panel.vision.embed_texts(both)
        result[f"{word} {shorter}"] = {"minilm": float(sentence), "clip": float(images[0] @ images[1])}
    return result


def gain(texts: Sequence[Weighed], ubpp: int) -> Figures:
    """Gain of the synonyms at a target: texts, share of changed texts, number of words without and with synonyms."""
    plain = choose_all(texts, ubpp)
    shorter = set(shorter_words().values())
    changed, before, after, start = 0, [], [], 0
    for each in plain:
        run = texts[start : start + each.joined]
        start += each.joined
        words = [word for text in run for word in text[0]]
        weights = [weight for text in run for weight in text[1]]
        kept = choose_words(words, weights, each.room // SYMBOL_BITS, shorter_words())
        changed += any(word in shorter and kept.count(word) > words.count(word) for word in kept)
        before.append(len(each.words))
        after.append(len(kept))
    return {"texts": len(plain), "changed": changed / len(plain), "words": fmean(before), "with": fmean(after)}


def main(
    data: Annotated[Path | None, typer.Option(help="folder with text/lmm_descriptions.jsonl")] = None,
    limit: Annotated[int, typer.Option(min=1, help="number of descriptions")] = 200,
    bound: Annotated[float, typer.Option(help="cosine under which a pair is printed")] = 0.45,
    profile: str = "embedded",
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Check and measure the synonyms of mode micro."""
    codec, console = Codec(profile, notice=lambda _: None), Console()
    lexicon = load_lexicon(codec.profile.language_model.sound_path())[1]
    pairs = shorter_words()
    alike = likeness(Panel(codec.semantics, ()), pairs)
    for pair, figures in sorted(alike.items(), key=lambda each: min(each[1].values())):
        if min(figures.values()) < bound:
            console.print(f"{pair}: MiniLM {figures['minilm']:.2f}, CLIP {figures['clip']:.2f}")
    places = {word: place_of(word, lexicon) for word in pairs.values()}
    unsure = sorted(word for word, place in places.items() if place is None or place > FIRST)
    console.print(f"{len(pairs)} pairs; not sure to return from their consonants: {', '.join(unsure) or 'none'}")
    result: dict[str, Any] = {"pairs": len(pairs), "unsure": unsure, "bound": bound, "likeness": alike}
    for name in ("minilm", "clip"):
        cosines = [figures[name] for figures in alike.values()]
        result[name] = {"mean": fmean(cosines), "least": min(cosines), "below": sum(each < bound for each in cosines)}
        console.print(f"{name}: mean {fmean(cosines):.2f}, least {min(cosines):.2f}, below: {result[name]['below']}")
    if data is not None:
        importance = codec.semantics.word_importance
        held_out = held_out_half(read_descriptions(data))
        some = [weighed([held_out[k]], Description(), importance) for k in spread(len(held_out), limit)]
        result["gain"] = {str(ubpp): gain(some, ubpp) for ubpp in TARGETS}
        for target, row in result["gain"].items():
            console.print(
                f"{target} ubpp: {100 * row['changed']:.0f} % of {row['texts']} texts changed, "
                f"{row['words']:.1f} to {row['with']:.1f} words"
            )
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
