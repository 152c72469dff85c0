"""Everyday names of ImageNet's classes, specific to general: python -m misc.train.prepare.names --wordnet FOLDER

    classes (timm) ─► hypernyms (WordNet 3.0, data.noun) ─► everyday words (everyday.toml) ─► names.tsv, a line a class

FOLDER holds WordNet's dictionary files, as in Debian's package `wordnet-base`. The tagger reads the result, so
describing an image does not need WordNet.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from timm.data import ImageNetInfo

from ...cli.app import run_alone

__all__ = ["Everyday", "Synset", "chains", "read_everyday", "read_nouns"]

HEADER = """# Everyday names of ImageNet's 1000 classes in their order, the most special first, parted by tabs.
# Made by misc.train.prepare.names from WordNet 3.0, Copyright 2006 by Princeton University, which is free for any use:
# https://wordnet.princeton.edu/license-and-commercial-use
"""


@dataclass(frozen=True)
class Synset:
    """words: the most usual first. above: numbers of its hypernyms, such as n02084071."""

    words: tuple[str, ...]
    above: tuple[str, ...]


@dataclass(frozen=True)
class Everyday:
    """Everyday words: for synsets above the classes, for classes, and the synsets whose classes share one name."""

    above: Mapping[str, str]
    classes: Mapping[str, str]
    alike: frozenset[str]

    def of(self, table: Mapping[str, str], number: str, synset: Synset) -> str | None:
        """The entry of a synset, by its number or else by its first word."""
        return table.get(number, table.get(synset.words[0]))


def read_everyday() -> Everyday:
    """The table everyday.toml."""
    table = tomllib.loads((resources.files("misc.train") / "prepare" / "everyday.toml").read_text())
    return Everyday(table["above"], table["classes"], frozenset(table["alike"]["synsets"]))


def read_nouns(path: Path) -> dict[str, Synset]:
    """Nouns of WordNet's file data.noun, by number; wndb(5) of WordNet describes the format."""
    nouns: dict[str, Synset] = {}
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith(" "):  # the licence
            continue
        fields = line.partition(" | ")[0].split()
        count = int(fields[3], 16)
        words = [word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]]
        pointers = fields[5 + 2 * count :]
        above = [f"n{pointers[i + 1]}" for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")]
        nouns[f"n{fields[0]}"] = Synset(tuple(words), tuple(above))
    return nouns


def ascent(number: str, nouns: Mapping[str, Synset]) -> Iterator[str]:
    """A synset and all its hypernyms, nearer ones first, each once."""
    waiting, met = [number], {number}
    while waiting:
        here = waiting.pop(0)
        yield here
        for each in nouns[here].above:
            if each not in met:
                met.add(each)
                waiting.append(each)


def chains(classes: list[str], nouns: Mapping[str, Synset], everyday: Everyday) -> list[list[str]]:
    """Names of every class, specific to general: from names of few classes to names of many.

    Args:
        classes: numbers of synsets.
    """
    rows: list[list[str]] = []
    for number in classes:
        above = [each for each in ascent(number, nouns) if each != number]
        own = everyday.of(everyday.classes, number, nouns[number])
        if own is not None:
            names = own.split(", ")
            above = [] if names[-1] == "-" else above
            names = [name for name in names if name != "-"]
        elif any(nouns[each].words[0] in everyday.alike for each in above):
            names = []
        else:
            names = [nouns[number].words[0].lower()]
        general = [everyday.of(everyday.above, each, nouns[each]) for each in above]
        rows.append(list(dict.fromkeys([*names, *(name for name in general if name)])))
    count = Counter(name for names in rows for name in names)
    return [sorted(names, key=count.__getitem__) for names in rows]


def main(
    wordnet: Annotated[Path, typer.Option(help="folder with WordNet 3.0's data.noun")],
    out: Annotated[Path, typer.Option(help="file for the table, models/towers/names.tsv")],
) -> None:
    """Write the table of names."""
    classes = ImageNetInfo().label_names()
    lines = ["\t".join(names) for names in chains(classes, read_nouns(wordnet / "data.noun"), read_everyday())]
    out.write_text(HEADER + "".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    run_alone(main)
