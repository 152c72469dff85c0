"""The names that a description may use: those that detector and tagger are sure of or confirm.

    things (detector) ─────────────┐
    shares, subjects (tagger) ─────┴─► Sight ─┬─► sure names ──────────► first items
                                              └─► evidence of each word ─┬─► captions that name nothing unseen
                                                                         └─► further items

The captioner was trained on photos of people and dogs and names them too often. So a noun that detector or tagger know
needs their evidence. A wrong noun is worse than a missing one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..towers.detector import NAMES, PERSONS, Detection, distinct
from ..towers.subjects import GENERAL, PLACES
from ..towers.tagger import hedge, read_names, sum_shares

__all__ = ["Sight", "plain_sentence", "same", "sight_of"]

SURE, TAG_SURE, SUBJECT_SURE = 0.35, 0.5, 0.5  # least score of an object, share of a tag, probability of a subject
PROBABLE, TAG_PROBABLE, SUBJECT_PROBABLE = 0.2, 0.3, 0.35  # the same for the only name if none is sure
SEEN = 0.2  # least score or share that confirms a word of a caption
ITEM_SEEN = 0.3  # and an item: of 39 photos with boxes but without persons, 5 have a person of score 0.2, none of 0.3
SOMEBODY = "person"
MASSES = "trousers shorts food clothing furniture bread pasta meat hay wool coral soup armor pottery"
WITHOUT_ARTICLE = frozenset(MASSES.split())
MORE_SOMEBODIES = """
bicyclist biker cheerleader climber couple cowboy crowd cyclist driver father guitarist hiker kayaker mother
motorcyclist officer performer photographer policeman racer rider rollerblader runner skateboarder skater skier
snowboarder spectator surfer swimmer teenager toddler worker wrestler
"""
SOMEBODIES = PERSONS | frozenset(MORE_SOMEBODIES.split())
JUDGED = frozenset(["flower", "dandelion", "mountain", "rose", "sunflower", "tulip"])  # named only where seen
KINDS = frozenset(["animal", "vehicle", "musical instrument"])  # kinds that the tagger names if they are present
DETECTED_KINDS = {  # kinds of the detector's names, in the words of the tagger's table
    "animal": "bird cat dog horse sheep cow elephant bear zebra giraffe",
    "vehicle": "bicycle car motorcycle airplane bus train truck boat",
    "furniture": "bench chair couch bed dining_table",
    "food": "banana apple sandwich orange broccoli carrot hot_dog pizza donut cake",
}
LANDSCAPES = frozenset(["beach", "cliff", "coast", "mountain", "rock", "shore", "valley", "volcano"])
AMBIGUOUS = frozenset(["orange", "fly", "light", "organ"])  # words that mostly mean something else


@dataclass(frozen=True)
class Sight:
    """The findings of detector and tagger in an image.

    Attributes:
        things: objects found by the detector, of any score.
        shares: (1000,) of the tagger's classes.
        names: of every class.
        subjects: probabilities of the tagger's subjects.
    """

    things: Sequence[Detection]
    shares: npt.NDArray[np.float64]
    names: Sequence[Sequence[str]]
    subjects: Mapping[str, float] = field(default_factory=dict)

    @functools.cached_property
    def sums(self) -> Mapping[str, float]:
        """Share of every name of the tagger's table."""
        return sum_shares(self.shares, self.names)

    def evidence(self, word: str) -> float:
        """Confidence of detector or tagger in a singular noun, 0 to 1."""
        wanted = SOMEBODY if word in SOMEBODIES else word
        scores = [thing.score for thing in self.things if same(thing.name, wanted)]
        return max([*scores, self.sums.get(wanted, 0.0), self.subjects.get(wanted, 0.0)])

    def sure_names(self) -> list[str]:
        """Names that are sure, tags first; none is a synonym of another or more general."""
        return self._names(TAG_SURE, SURE, SUBJECT_SURE)

    def probable_name(self) -> str | None:
        """The most probable name, if any is probable enough."""
        return next(iter(self._names(TAG_PROBABLE, PROBABLE, SUBJECT_PROBABLE)), None)

    def unseen_nouns(self, text: str) -> list[str]:
        """Nouns of a text, in order, that detector or tagger know but did not detect."""
        return [word for word in known_words(text) if self.evidence(word) < SEEN]

    def bears_out(self, name: str) -> bool:
        """Whether detector or tagger confirm an item of this name."""
        return any(self.evidence(word) >= ITEM_SEEN for word in known_words(name))

    def can_judge(self, name: str) -> bool:
        """Whether detector or tagger know a name."""
        return bool(known_words(name))

    def misleads(self, text: str) -> bool:
        """Whether a text contradicts the findings.

        There are three cases: the first noun that can be judged was not detected; the text names a person and none was
            detected; the text has none of the sure names and its first noun is not sure itself.
        """
        known, unseen = known_words(text), self.unseen_nouns(text)
        if unseen and (known[0] == unseen[0] or any(word in SOMEBODIES for word in unseen)):
            return True
        sure = self.sure_names()
        beside = not any(same(word, name) for word in known for name in sure)
        return bool(sure) and beside and not (known and self.evidence(known[0]) >= SURE)

    def _names(self, share: float, score: float, probability: float) -> list[str]:
        tags = [tag.name for tag in hedge(self.shares, self.names, share)]
        likely = {name: value for name, value in self.subjects.items() if name not in PLACES and value >= probability}
        candidates: list[str] = []
        for name in [*tags, *distinct(self.things, score), *sorted(likely, key=lambda name: -likely[name])]:
            landscape = name in LANDSCAPES and LANDSCAPES.intersection(candidates)  # a landscape gets one name
            if not landscape and not any(same(name, other) for other in candidates):
                candidates.append(name)
        special = {name: above(name, self.names) for name in candidates}
        return [name for name in candidates if not any(name in special[other] for other in candidates)]


def sight_of(
    things: Sequence[Detection], shares: npt.NDArray[np.float64], subjects: Mapping[str, float] | None = None
) -> Sight:
    """The findings of detector and tagger, with the tagger's table of names."""
    return Sight(things, shares, table(), subjects or {})


@functools.cache
def table() -> tuple[tuple[str, ...], ...]:
    """Names of every class of the tagger."""
    return tuple(tuple(chain) for chain in read_names())


@functools.cache
def vocabulary() -> frozenset[str]:
    """Nouns that detector or tagger can name; for names of several words, the last word."""
    tags = {name for chain in table() if KINDS & set(chain) for name in chain}
    return frozenset(name.rsplit(maxsplit=1)[-1] for name in tags.union(NAMES)) - AMBIGUOUS | SOMEBODIES | JUDGED


def above(name: str, names: Sequence[Sequence[str]]) -> set[str]:
    """Names that are more general than a name."""
    kinds = {kind for kind, members in DETECTED_KINDS.items() if name.replace(" ", "_") in members.split()}
    general = {each for chain in names if name in chain for each in chain[chain.index(name) + 1 :]}
    return kinds | general | set(GENERAL.get(name, ()))


def known_words(text: str) -> list[str]:
    """Nouns of a text that detector or tagger know, in the singular, each once, in order."""
    words = re.findall(r"[a-z]+", text.lower())
    singular = [next((form for form in forms(word) if form in vocabulary()), "") for word in words]
    return [word for word in dict.fromkeys(singular) if word]


def forms(word: str) -> list[str]:
    """A word, and its possible singular."""
    return [word, word.removesuffix("s"), word.removesuffix("es")]


def same(name: str, other: str) -> bool:
    """Whether two names may mean the same: their last words are equal apart from a plural, or both are persons."""
    heads = [(each.lower().split() or [""])[-1] for each in (name, other)]
    return len({head.removesuffix("s") for head in heads}) == 1 or set(heads) <= PERSONS


def plain_sentence(names: Sequence[str]) -> str:
    """A sentence of names alone, such as "A macaw and an umbrella"."""
    parts = [with_article(name) for name in names]
    text = " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
    return text[:1].upper() + text[1:]


def with_article(name: str) -> str:
    """A name after the article that it needs, if it needs one."""
    last = name.rsplit(maxsplit=1)[-1]
    plural = last.endswith("s") and not last.endswith(("ss", "us", "is"))
    if plural or last in WITHOUT_ARTICLE:
        return name
    return f"{'an' if name[0] in 'aeiou' and not name.startswith('uni') else 'a'} {name}"
