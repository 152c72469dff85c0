"""Measure the share of the describer's item names that are correct.

    python -m misc.eval.names --data FOLDER [--nouns FILE] [--limit N] [--json FILE]

With FILE, FOLDER holds images, and FILE (JSON) has the correct nouns for each image, by its name without the ending.
`tests/data/kodak_nouns.json` has those of Kodak's photos; they were written from the photos before any measurement.
Without FILE, FOLDER holds `boxes-*.tar`, and the nouns are the box names and the nouns of the captions.

A name is correct in three cases: the singular of its last word, or the whole name, is among the nouns; it is more
general than one of them in the tagger's table (a bird for a macaw); it means a person and there is a person. For the
overall sentence, only the first noun counts. A sentence without a noun is wrong.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.text.description import Description
from ..cli.app import run_alone
from ..errors import InputError
from ..models.semantics import Semantics
from ..models.towers.tagger import read_names
from ..profiles import load_profile
from ..train.data.noun_phrases import NO_THINGS, lemma, nouns, phrases
from ..train.prepare.features import labelled_photos
from .semantics import PEOPLE

__all__ = ["Counts", "count", "first_noun", "is_right", "with_general"]

Photos = Iterable[tuple[str, Image.Image, set[str]]]


@dataclass(frozen=True)
class Counts:
    """Counts over photos: item names, correct ones, correct first names, correct sentences."""

    photos: int
    names: int
    right: int
    first_right: int
    sentences_right: int

    @property
    def shares(self) -> dict[str, float]:
        """Share of correct names among all names; the other shares are among all photos."""
        return {
            "names right": self.right / max(1, self.names),
            "first name right": self.first_right / max(1, self.photos),
            "sentence right": self.sentences_right / max(1, self.photos),
            "names a photo": self.names / max(1, self.photos),
        }


def with_general(known: Iterable[str]) -> set[str]:
    """Nouns and more general names in the tagger's table; with a person, also every word for a person."""
    right = set(known)
    for chain in read_names():
        at = next((place for place, name in enumerate(chain) if name in right), None)
        if at is not None:
            right.update(chain[at:])
    return right | PEOPLE if right & PEOPLE else right


def is_right(name: str, known: set[str]) -> bool:
    """Whether a name is correct; known: from `with_general`."""
    words = name.lower().split()
    return bool(words) and (" ".join(words) in known or lemma(words[-1]) in known)


def first_noun(sentence: str) -> str:
    """The singular of a sentence's first noun that names an object; empty if there is none."""
    return next((phrase.lemma for phrase in phrases(sentence) if phrase.lemma not in NO_THINGS), "")


def count(said: Sequence[Description], known: Sequence[set[str]]) -> Counts:
    """Count the correct names of descriptions, given the nouns of each photo."""
    wide = [with_general(each) for each in known]
    right = [[is_right(item.name, there) for item in d.items] for d, there in zip(said, wide, strict=True)]
    return Counts(
        photos=len(said),
        names=sum(map(len, right)),
        right=sum(map(sum, right)),
        first_right=sum(each[0] for each in right if each),
        sentences_right=sum(is_right(first_noun(d.overall), there) for d, there in zip(said, wide, strict=True)),
    )


def listed_photos(data: Path, file: Path) -> Iterator[tuple[str, Image.Image, set[str]]]:
    """Images of a folder, of which a file has the nouns; in the order of the file."""
    paths = {path.stem: path for path in data.iterdir()}
    for name, known in json.loads(file.read_text()).items():
        if name not in paths:
            raise InputError(f"there is no photo {name} in {data}")
        with Image.open(paths[name]) as image:
            yield name, image.convert("RGB"), set(known)


def boxed_photos(data: Path) -> Iterator[tuple[str, Image.Image, set[str]]]:
    """Photos of the boxes shards, with the words of their boxes' names and the nouns of their captions."""
    for image, facts in labelled_photos(sorted(data.glob("boxes-*.tar"))):
        known = {box["name"] for box in facts["boxes"]} | {box["name"].split()[-1] for box in facts["boxes"]}
        yield facts["photo"], image.convert("RGB"), known.union(*(nouns(caption) for caption in facts["captions"]))


def show(counts: Counts, lines: list[dict[str, Any]], console: Console) -> None:
    for line in lines:
        names = ", ".join(f"{name}{'' if right else ' (wrong)'}" for name, right in line["names"])
        console.print(f"{line['photo']}: {line['overall']} [{names}]", markup=False, highlight=False)
    table = Table("measure", "figure", title=f"{counts.photos} photos, {counts.names} names")
    for name, value in counts.shares.items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)


def main(
    data: Annotated[Path, typer.Option(help="folder of images, or of boxes shards")],
    nouns_file: Annotated[Path | None, typer.Option("--nouns", help="JSON file of the nouns of every image")] = None,
    limit: Annotated[int, typer.Option(min=1, help="number of photos, at most")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    profile: str = "embedded",
) -> None:
    """Count the names that are right."""
    photos: Photos = listed_photos(data, nouns_file) if nouns_file else boxed_photos(data)
    seen = Semantics(load_profile(profile))
    said, known, lines = [], [], []
    for name, image, there in track(itertools.islice(photos, limit), "describing", transient=True):
        said.append(seen.see(image)[0])
        known.append(there)
        wide = with_general(there)
        judged = [(item.name, is_right(item.name, wide)) for item in said[-1].items]
        lines.append({"photo": name, "overall": said[-1].overall, "names": judged})
    if not said:
        raise InputError(f"there is no photo to describe in {data}")
    counts = count(said, known)
    show(counts, lines, Console())
    if json_file:
        json_file.write_text(json.dumps({**asdict(counts), **counts.shares, "lines": lines}, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
