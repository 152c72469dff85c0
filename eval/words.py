"""Measure the bits of mode micro's words with all letters under a language model, against the four-bit code.

    misc eval words --data FOLDER [--images FOLDER] [--limit 200] [--coders words,lm-small] [--json FILE]

    description ─► micro's words for 100 to 1800 ubpp of 1024x1024 ─┬─► four-bit code: bits, file
                                                                    └─► words, lm-small, lm-large: bits, file

FOLDER holds `text/lmm_descriptions.jsonl`. `--limit` texts of its held-out half (`misc.train.data.texts`) are used,
evenly spaced. For each target they are split into runs with enough words to fill it, mostly one description for 100
ubpp and six for 1800. `--images` adds the embedded describer's texts of photos: there, names have more weight, and a
short description is used as it is. Every tenth text is decoded again. A ratio is one of sums over the texts that a
coder can write; `best` is the shortest of each text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits import streams as exact
from ..bits.container import Section
from ..bits.streams import ExactModels, Streams
from ..bits.text import TextCoder
from ..bits.text.consonants import SYMBOL_BITS, skeleton
from ..bits.text.description import Description
from ..cli.app import run_alone
from ..codec import Codec
from ..errors import InputError, LimitError
from ..images import decode_image
from ..micro import FILL, choose_words, weigh, words_of
from ..models.semantics import Semantics
from ..models.towers.importance import WordImportance
from ..profiles import Profile, load_profile
from ..rate_control import limit_of
from ..train.data.texts import held_out_half, read_descriptions
from .photos import photos_of, spread

__all__ = ["TARGETS", "Chosen", "choose", "measure", "summarise"]

TARGETS = (100, 200, 500, 1000, 1800)
SIDE = 1024
CODERS = "words,lm-small,lm-large"
CHECKED = 10  # one text of this many is decoded again

Row = dict[str, Any]


@dataclass(frozen=True)
class Chosen:
    """The words that mode micro keeps of one or more descriptions.

    Attributes:
        joined: number of these descriptions.
        room: limit in bits of the four-bit code.
    """

    words: list[str]
    joined: int
    room: int

    @property
    def code_bits(self) -> int:
        """Bits of the four-bit code."""
        return SYMBOL_BITS * len(" ".join(map(skeleton, self.words)))


Weighed = tuple[list[str], list[float]]  # words, and the weight per symbol of each


def weighed(fields: Sequence[str], text: Description, importance: WordImportance) -> Weighed:
    """The words of fields with a skeleton, with mode micro's weights for a text with the items of `text`."""
    words = words_of(fields)
    return words, weigh(text, words, importance.of(fields))


def choose(texts: Sequence[Weighed], ubpp: int) -> Chosen:
    """Micro's words of the first text and of the following ones, until the target is filled.

    Args:
        texts: in their order.
        ubpp: limit of the code in millionths of a bit per pixel of 1024x1024.
    """
    symbols = (limit_of((SIDE, SIDE), ubpp=ubpp, pixels=False, of_code=True).code or 0) // SYMBOL_BITS
    words: list[str] = []
    weights: list[float] = []
    joined = 0
    while joined < len(texts) and len(" ".join(map(skeleton, words))) < symbols:
        words, weights = words + texts[joined][0], weights + texts[joined][1]
        joined += 1
    return Chosen(choose_words(words, weights, symbols), joined, SYMBOL_BITS * symbols)


def choose_all(texts: Sequence[Weighed], ubpp: int) -> list[Chosen]:
    """Micro's words of all texts, each in one run; the last texts are dropped if they cannot fill the target."""
    chosen: list[Chosen] = []
    start = 0
    while start < len(texts):
        found = choose(texts[start:], ubpp)
        start += found.joined
        if start < len(texts) or found.code_bits >= FILL * found.room:
            chosen.append(found)
    return chosen


def coders_of(profile: Profile, names: str) -> dict[int, TextCoder]:
    """The coders of these names, separated by commas, by their numbers.

    Raises:
        InputError: there is no such coder, or its weights are missing.
    """
    there = {coder.name: number for number, coder in profile.text_coders.items() if coder.available}
    wanted = names.split(",")
    for name in wanted:
        if name not in there:
            raise InputError(f"there is no coder {name!r} here; there is {', '.join(there)}")
    return {there[name]: profile.text_coders[there[name]] for name in wanted}


def measure(chosen: Chosen, coders: Mapping[int, TextCoder], models: ExactModels, *, unpack: bool = True) -> Row:
    """Bits and bytes of the words by each coder, with a reason for coders that cannot write them.

    Args:
        unpack: decode the bytes again and compare.

    Raises:
        AssertionError: a coder lost a letter.
    """
    text = " ".join(chosen.words)
    row: Row = {"words": len(chosen.words), "joined": chosen.joined, "code_bits": chosen.code_bits, "coders": {}}
    row["code_file_bytes"] = file_bytes(bytes(1 + -(-chosen.code_bits // 8)), models)
    for number, coder in coders.items():
        try:
            payload = coder.pack(text)
        except LimitError as error:
            row["coders"][coder.name] = {"missing": str(error)}
            continue
        if unpack and coder.unpack(payload) != text:
            raise AssertionError(f"{coder.name} lost {text!r}")
        size = file_bytes(bytes([number]) + payload, models)
        row["coders"][coder.name] = {"bits": 8 * len(payload), "file_bytes": size}
    return row


def file_bytes(text: bytes, models: ExactModels) -> int:
    """Bytes of a file of 1024x1024 with this text section alone."""
    return len(exact.write(Streams(SIDE, SIDE), {"text": Section(text, 0)}, models))


def summarise(rows: Sequence[Row]) -> Row:
    """Means over texts; for every coder, the number of its texts and its bits against the four-bit code."""
    result: Row = {"texts": len(rows)}
    result |= {key: fmean(row[key] for row in rows) for key in ("words", "joined", "code_bits", "code_file_bytes")}
    result["least_fill"] = min(row["fill"] for row in rows)
    result["coders"] = {}
    for name in (*rows[0]["coders"], "best"):
        pairs = [(row, figures) for row in rows if (figures := figures_of(row, name)) is not None]
        if pairs:
            result["coders"][name] = {
                "texts": len(pairs),
                "bits": fmean(figures["bits"] for _, figures in pairs),
                "file_bytes": fmean(figures["file_bytes"] for _, figures in pairs),
                "of_code_bits": part(pairs, "bits", "code_bits"),
                "of_code_file": part(pairs, "file_bytes", "code_file_bytes"),
            }
    return result


def figures_of(row: Row, name: str) -> Row | None:
    """A coder's figures for a text, or None if it cannot write it; `best` stands for the coder with the fewest bits."""
    if name == "best":
        return min((each for each in row["coders"].values() if "missing" not in each), key=lambda each: each["bits"])
    figures: Row = row["coders"][name]
    return None if "missing" in figures else figures


def part(pairs: Sequence[tuple[Row, Row]], above: str, below: str) -> float:
    """Ratio of the sums of a coder's figure and of the four-bit code's."""
    return float(sum(figures[above] for _, figures in pairs) / sum(row[below] for row, _ in pairs))


def own_descriptions(folder: Path, profile_name: str) -> list[Description]:
    """The describer's texts for the photos of a folder."""
    codec = Codec(profile_name, notice=lambda _: None)
    return [
        codec.see(decode_image(path.read_bytes()).image)[0]
        for path in track(photos_of(folder, None), "describing", transient=True)
    ]


def show(kind: str, targets: Mapping[str, Row], console: Console) -> None:
    """A table for people."""
    table = Table(
        "ubpp", "texts", "words", "code bits", "coder", "carried", "bits", "of the code", "file", "of the file"
    )
    table.title = kind
    for target, row in targets.items():
        for name, figures in row["coders"].items():
            cells = [f"{row['words']:.1f}", f"{row['code_bits']:.1f}", name, str(figures["texts"])]
            cells += [f"{figures['bits']:.1f}", f"{100 * figures['of_code_bits']:.0f} %"]
            cells += [f"{figures['file_bytes']:.1f}", f"{100 * figures['of_code_file']:.0f} %"]
            table.add_row(target, str(row["texts"]), *cells)
    console.print(table)


def main(
    data: Annotated[Path, typer.Option(help="folder with text/lmm_descriptions.jsonl")],
    images: Annotated[Path | None, typer.Option(help="folder of photos for the own describer")] = None,
    limit: Annotated[int, typer.Option(min=1, help="number of descriptions")] = 200,
    coders: Annotated[str, typer.Option(help="names of coders, separated by commas")] = CODERS,
    profile: str = "embedded",
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
) -> None:
    """Measure the words of mode micro with all their letters."""
    chosen = load_profile(profile)
    measured = coders_of(chosen, coders)
    models, importance = chosen.exact_models, Semantics(chosen).word_importance
    console = Console(width=140)
    result: dict[str, Any] = {}
    held_out = held_out_half(read_descriptions(data))
    some = [weighed([held_out[k]], Description(), importance) for k in spread(len(held_out), limit)]
    picked = {"descriptions": {ubpp: choose_all(some, ubpp) for ubpp in TARGETS}}
    if images is not None:
        own = [weighed(text.fields(), text, importance) for text in own_descriptions(images, profile)]
        picked["own"] = {ubpp: [choose([each], ubpp) for each in own] for ubpp in TARGETS}
    known: dict[str, Row] = {}
    for kind, targets in picked.items():
        result[kind] = {}
        for ubpp, texts in targets.items():
            rows = []
            for k, text in enumerate(track(texts, f"{kind}, {ubpp} ubpp", transient=True)):
                key = " ".join(text.words)
                if key not in known:  # a short description gives the same words at most targets
                    known[key] = measure(text, measured, models, unpack=k % CHECKED == 0)
                rows.append(known[key] | {"fill": text.code_bits / text.room})
            result[kind][str(ubpp)] = summarise(rows)
        show(kind, result[kind], console)
    if json_file:
        json_file.write_text(json.dumps({"profile": profile, **result}, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
