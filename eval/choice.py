"""Compare mode micro's two choices of words, by their meaning and by their rarity, on captions of photos.

    misc eval choice --data SHARD [--limit 100] [--json FILE]

    captions of a photo, joined ─► importance ─► micro's words ─┬─► cosine with the photo by the embedded CLIP
                                                                └─► share of the subjects that they name

SHARD is a `captioned-test-*.tar` or `boxes-*.tar`. A photo's subjects are the nouns in most of its captions: people
agree that these are in the photo. A subject is named if a word has its lemma. Photos are left out if all their words
fit, or if they have no subjects.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.text.consonants import SYMBOL_BITS
from ..bits.text.description import Description
from ..bits.text.lzw import fold
from ..cli.app import run_alone
from ..errors import InputError
from ..micro import choose_words, rarities, weigh, words_of
from ..models.semantics import Semantics
from ..models.towers.look import look_at
from ..profiles import load_profile
from ..rate_control import limit_of
from ..synonyms import shorter_words
from ..train.data.noun_phrases import NO_THINGS, lemma, nouns
from ..train.prepare.features import labelled_photos
from .photos import spread

__all__ = ["kept_words", "named", "subjects"]

TARGETS = (50, 100, 200, 400)
SIDE = 1024

Importance = Callable[[Sequence[str]], Mapping[str, float]]
Figures = dict[str, float]


def subjects(captions: Sequence[str]) -> set[str]:
    """Lemmas of the nouns that more than half of the captions have."""
    counts = Counter(noun for caption in captions for noun in set(nouns(caption)) - NO_THINGS)
    return {noun for noun, count in counts.items() if 2 * count > len(captions)}


def kept_words(captions: Sequence[str], importance: Importance, ubpp: int) -> list[str]:
    """The words of captions that mode micro keeps; all if they fit."""
    symbols = (limit_of((SIDE, SIDE), ubpp=ubpp, pixels=False, of_code=True).code or 0) // SYMBOL_BITS
    words = words_of(captions)
    return choose_words(words, weigh(Description(), words, importance(captions)), symbols, shorter_words())


def named(wanted: set[str], words: Sequence[str]) -> float:
    """The share of subjects whose lemma a word has; a synonym counts."""
    there = {lemma(word) for word in words}
    other = {lemma(word): lemma(shorter) for word, shorter in shorter_words().items()}
    return sum(subject in there or other.get(subject) in there for subject in wanted) / len(wanted)


def measure(data: Path, limit: int, profile: str) -> dict[str, Any]:
    """{"ubpp": {"rarity" or "meaning": photos, words, likeness, named}}."""
    chosen = load_profile(profile)
    semantics = Semantics(chosen)
    rarity = rarities(chosen.small_language_model.sound_path())
    choices: dict[str, Importance] = {"rarity": lambda _: rarity, "meaning": semantics.word_importance.of}
    photos = [(image, facts["captions"]) for image, facts in labelled_photos([data]) if facts.get("captions")]
    figures: dict[int, dict[str, list[Figures]]] = {ubpp: {name: [] for name in choices} for ubpp in TARGETS}
    for k in track(spread(len(photos), limit), "choosing", transient=True):
        image, captions = photos[k]
        wanted, look = subjects(captions), look_at(image, semantics).embedding
        everything = sum(len(fold(caption).split()) for caption in captions)
        for ubpp, rows in figures.items():
            both = {name: kept_words(captions, importance, ubpp) for name, importance in choices.items()}
            if not wanted or min(map(len, both.values())) == everything:
                continue
            for name, words in both.items():
                likeness = float(semantics.embed_texts([" ".join(words)])[0] @ look)
                rows[name].append({"words": len(words), "likeness": likeness, "named": named(wanted, words)})
    return {str(ubpp): {name: mean_of(rows) for name, rows in each.items()} for ubpp, each in figures.items()}


def mean_of(rows: Sequence[Figures]) -> Figures:
    """Number of photos, and means."""
    if not rows:
        raise InputError("no photo has captions with subjects and more words than fit")
    return {"photos": len(rows)} | {key: fmean(row[key] for row in rows) for key in rows[0]}


def main(
    data: Annotated[Path, typer.Option(help="shard of photos with captions (.tar)")],
    limit: Annotated[int, typer.Option(min=1, help="number of photos, evenly apart in the data")] = 100,
    profile: str = "embedded",
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Compare the choices of words."""
    result = measure(data, limit, profile)
    table = Table("ubpp", "photos", "words by", "words", "likeness to the photo", "subjects named")
    for ubpp, rows in result.items():
        for name, row in rows.items():
            cells = [ubpp, str(row["photos"]), name, f"{row['words']:.1f}", f"{row['likeness']:.3f}"]
            table.add_row(*cells, f"{100 * row['named']:.0f} %")
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
