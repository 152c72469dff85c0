"""Descriptions with items, made from a photo's captions: the describer's targets.

    captions ─► part-of-speech tags ─► noun phrases ─► the nouns named most often, with their details

"A brown dog with a stick in its mouth" gives the item "dog" with the detail "brown, with a stick in its mouth".
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textblob.en import tag
from textblob.en.inflect import singularize

from ...bits.text.description import Description, Item

__all__ = ["Phrase", "describe_captions", "difference", "nouns", "phrases", "tidy"]

ITEMS = 3  # of a description
DETAIL_WORDS = 10
NOUN, ADJECTIVE = {"NN", "NNS", "NNP", "NNPS"}, {"JJ", "VBN", "CD"}
ATTACHING = {"with", "in", "wearing", "on", "of", "at", "near", "by"}
VAGUE = """front back top side middle group couple pair lot background foreground left right air day time way kind type
piece other one two three edge bunch number set row line end part bottom corner outside inside something someone others
it thing s t area distance picture photo image view camera while"""
ARTICLES = "a an the his her their its some two three several another other one this that"
NO_THINGS, PLAIN = frozenset(VAGUE.split()), frozenset(ARTICLES.split())
IRREGULAR = {"men": "man", "women": "woman", "people": "person", "children": "child", "feet": "foot", "teeth": "tooth"}


@dataclass(frozen=True)
class Phrase:
    """A noun phrase: its noun as written and in the singular, its adjectives, and the prepositional phrase after it."""

    noun: str
    lemma: str
    adjectives: tuple[str, ...]
    attached: str


def lemma(noun: str) -> str:
    """Singular of a noun."""
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    if not noun.endswith("s") or noun.endswith(("ss", "us", "is")):
        return noun
    return str(singularize(noun))


def phrases(caption: str) -> Iterator[Phrase]:
    """Noun phrases of a caption, in order."""
    words = [(word.lower(), kind) for word, kind in tag(caption)]
    spans = []
    i = 0
    while i < len(words):
        start = i
        while (i < len(words) and words[i][1] in ADJECTIVE | NOUN | {"DT", "PRP$"}) or is_joint(words, i, start):
            i += 1
        end = i
        while end > start and words[end - 1][1] not in NOUN:
            end -= 1
        if end > start:
            spans.append((start, end))
        i = max(i, start + 1)
    for (start, end), after in itertools.pairwise([*spans, (len(words), len(words))]):
        noun = words[end - 1][0]
        before = [word for word, _ in words[start : end - 1] if word not in PLAIN]
        attached = ""
        joint = [word for word, _ in words[end : after[0]]]
        if joint and len(joint) <= 2 and joint[0] in ATTACHING and after[0] < len(words):
            attached = " ".join(word for word, _ in words[end : after[1]])
        yield Phrase(noun, lemma(noun), tuple(before), attached)


def is_joint(words: Sequence[tuple[str, str]], i: int, start: int) -> bool:
    """Whether word i is the "and" between two adjectives."""
    return (
        start < i < len(words) - 1
        and words[i][0] == "and"
        and words[i - 1][1] in ADJECTIVE
        and words[i + 1][1] in ADJECTIVE
    )


def nouns(caption: str) -> set[str]:
    """Singular nouns of a caption that name an object."""
    return {phrase.lemma for phrase in phrases(caption)} - NO_THINGS


def describe_captions(captions: Sequence[str]) -> Description:
    """The objects that most captions name, and the caption with the most of them as the overall description."""
    by_lemma: defaultdict[str, list[Phrase]] = defaultdict(list)
    named: Counter[str] = Counter()
    for caption in captions:
        here = [phrase for phrase in phrases(caption) if phrase.lemma not in NO_THINGS and len(phrase.lemma) > 1]
        named.update({phrase.lemma for phrase in here})
        for phrase in here:
            by_lemma[phrase.lemma].append(phrase)
    order = sorted(named, key=lambda name: -named[name])
    picks: list[Item] = []
    for name in order[:ITEMS]:
        written = Counter(phrase.noun for phrase in by_lemma[name]).most_common(1)[0][0]
        picks.append(Item(written, detail(by_lemma[name])))
    overall = max(captions, key=lambda text: (len(nouns(text) & set(order[:ITEMS])), -len(text)))
    return Description(" ".join(overall.split()), tuple(picks))


def detail(mentions: Sequence[Phrase]) -> str:
    """The detail of an item: its adjectives, most frequent first, then its prepositional phrase; at most 10 words."""
    adjectives = Counter(" ".join(phrase.adjectives) for phrase in mentions if phrase.adjectives)
    attached = Counter(phrase.attached for phrase in mentions if phrase.attached)
    parts: list[str] = []
    for part in [text for text, _ in adjectives.most_common(2)] + [text for text, _ in attached.most_common(2)]:
        new = set(part.split()) - set(" ".join(parts).split())
        if new and len(" ".join([*parts, part]).split()) <= DETAIL_WORDS:
            parts.append(part)
    return ", ".join(parts)


def tidy(caption: str) -> str:
    """A caption without space around its punctuation and without its last stop."""
    return " ".join(caption.split()).replace(" 's", "'s").replace(" ,", ",").rstrip(" .,")


def difference(wanted: str, drawn: str) -> str:
    """Noun phrases of a caption whose noun another caption lacks; "none" if there is none."""
    there = {phrase.lemma for phrase in phrases(drawn)} | NO_THINGS
    missing = [" ".join([*phrase.adjectives, phrase.noun]) for phrase in phrases(wanted) if phrase.lemma not in there]
    return ", ".join(dict.fromkeys(missing)) or "none"
