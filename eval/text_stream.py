"""Measure the text coders on descriptions and captions.

    python -m misc.eval.text_stream --data FOLDER [--limit N] [--json FILE]

FOLDER holds `text/lmm_descriptions.jsonl` (LMM descriptions; only `misc.train.data.texts.held_out_half` is measured,
because lm-small was trained on the other half) and `captioned-test-*.tar` (WebDataset, Flickr8k captions). Sizes are
bytes of `misc text pack` without the coder's number, over the texts that a coder can write. `shortest` is the coder
that a file uses: the one with the fewest bytes among those that lose nothing of the text. `SmolLM2, floats` is an
estimate from its probabilities after the same examples.
"""

from __future__ import annotations

import contextlib
import json
import lzma
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import brotli
import numpy as np
import typer
import zstandard
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.text import Coders, TextCoder, coder_of, shortest
from ..bits.text.consonants import skeletons
from ..bits.text.language_model import load_model
from ..bits.text.lzw import fold
from ..cli.app import run_alone
from ..errors import LimitError
from ..models.language_model.prefixes import PREFIXES
from ..models.language_model.skeleton import Lexicon, expand, word_accuracy
from ..profiles import Profile, load_profile
from ..train.data.texts import captions as captions_of
from ..train.data.texts import held_out_half, read_descriptions

__all__ = ["DLSVC_SENTENCE", "captions", "coder_cost", "markdown_of", "measure", "shortest_cost"]

DLSVC_SENTENCE = "a cat sitting on top of a wooden bench"
OTHERS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(data, 9),
    "brotli": lambda data: brotli.compress(data, brotli.MODE_TEXT, 11),
    "zstd": lambda data: zstandard.ZstdCompressor(22).compress(data),
    "xz": lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9}]),
}


Row = dict[str, float | None]


@dataclass(frozen=True)
class Cost:
    """Bits and seconds of a coder over some texts."""

    bits: float
    characters: int
    texts: int
    pack_s: float
    unpack_s: float | None

    def row(self) -> Row:
        """Figures for a table."""
        return {
            "texts": self.texts,
            "bits_per_character": self.bits / self.characters,
            "bits_per_text": self.bits / self.texts,
            "pack_characters_per_s": self.characters / self.pack_s,
            "unpack_characters_per_s": self.characters / self.unpack_s if self.unpack_s else None,
        }


def captions(data: Path) -> list[str]:
    """All captions of the test photos."""
    shards = sorted(data.glob("captioned-test-*.tar"))
    return [caption for texts in captions_of(shards) for caption in texts]


def coder_cost(coder: TextCoder, texts: Sequence[str]) -> Cost | None:
    """A text coder's cost over the texts that it can write, or None; checks that a lossless coder is lossless."""
    carried: dict[str, bytes] = {}
    start = time.perf_counter()
    for text in track(texts, coder.name, transient=True):
        with contextlib.suppress(LimitError):
            carried[text] = coder.pack(text)
    middle = time.perf_counter()
    for text, data in carried.items():
        if coder.unpack(data) != text and (coder.lossless or coder.keeps(text)):
            raise AssertionError(f"{coder.name} lost {text!r}")
    end = time.perf_counter()
    bits = 8.0 * sum(map(len, carried.values()))
    return Cost(bits, sum(map(len, carried)), len(carried), middle - start, end - middle) if carried else None


def shortest_cost(coders: Coders, texts: Sequence[str]) -> Cost:
    """Cost with the coder that a file uses: for each text, the one with the fewest bytes."""
    start = time.perf_counter()
    packed = [shortest(text, coders) for text in track(texts, "shortest", transient=True)]
    middle = time.perf_counter()
    for text, data in zip(texts, packed, strict=True):
        if coder_of(data[0], coders).unpack(data[1:]) != text:
            raise AssertionError(f"the coder {data[0]} lost {text!r}")
    bits = 8.0 * sum(len(data) - 1 for data in packed)
    return Cost(bits, sum(map(len, texts)), len(texts), middle - start, time.perf_counter() - middle)


def other_cost(pack: Callable[[bytes], bytes], texts: list[str]) -> Cost:
    start = time.perf_counter()
    bits = 8.0 * sum(len(pack(text.encode())) for text in texts)
    return Cost(bits, sum(map(len, texts)), len(texts), time.perf_counter() - start, None)


def floating_cost(profile: Profile, texts: list[str]) -> Cost:
    """Estimated bits of SmolLM2 in floating point, with transformers, after the same examples."""
    import torch
    from transformers import AutoModelForCausalLM

    source = profile.packages[profile.language_model.source].sound_path()
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name).eval()
    exact = load_model(profile.language_model.sound_path())
    read = [[exact.terminator, *(token for text in texts for token in exact.tokens(text))] for texts in PREFIXES]
    bits = 0.0
    start = time.perf_counter()
    with torch.inference_mode():
        for text in track(texts, "floats", transient=True):
            tokens = exact.tokens(text)
            costs = []
            for before in read:
                logits = model(torch.tensor([before + tokens])).logits[0, len(before) - 1 : -1].double()
                costs.append(-float(logits.log_softmax(-1)[range(len(tokens)), tokens].sum()) / np.log(2))
            bits += min(costs) + np.log2(len(read))
    return Cost(bits, sum(map(len, texts)), len(texts), time.perf_counter() - start, None)


def words_again(profile: Profile, texts: list[str]) -> dict[str, float]:
    """Share of the captions' words that are recovered from their skeletons, and seconds per caption."""
    model = load_model(profile.language_model.sound_path())
    lexicon = Lexicon(model)
    start = time.perf_counter()
    expanded = [expand(skeletons(text), model, lexicon) for text in track(texts, "skeletons", transient=True)]
    seconds = (time.perf_counter() - start) / len(texts)
    accuracy = [word_accuracy(fold(text), words) for text, words in zip(texts, expanded, strict=True)]
    return {"captions": float(len(texts)), "word_accuracy": float(np.mean(accuracy)), "seconds_a_caption": seconds}


def measure(data: Path, limit: int, profile_name: str, *, floats: bool) -> dict[str, Any]:
    """All figures; `limit` number of texts of each kind, spread evenly over the data."""
    profile = load_profile(profile_name)
    held_out = held_out_half(read_descriptions(data))
    result: dict[str, Any] = {}
    for kind, texts in (("descriptions", held_out), ("captions", captions(data))):
        some = texts[:: max(1, len(texts) // limit)][:limit]
        rows = {"raw": Cost(8.0 * sum(len(t.encode()) for t in some), sum(map(len, some)), len(some), 1e-9, None).row()}
        rows |= {name: other_cost(pack, some).row() for name, pack in OTHERS.items()}
        coders = {number: coder for number, coder in profile.text_coders.items() if coder.available}
        costs = {coder.name: coder_cost(coder, some) for coder in coders.values()}
        rows |= {name: cost.row() for name, cost in costs.items() if cost is not None}
        rows["shortest"] = shortest_cost(coders, some).row()
        if floats and profile.language_model.path.is_file():
            rows["SmolLM2, floats (estimate)"] = floating_cost(profile, some).row()
        result[kind] = {"texts": len(some), "of": len(texts), "coders": rows}
    result["dlsvc_sentence_bits"] = {
        c.name: 8 * len(c.pack(DLSVC_SENTENCE)) for c in profile.text_coders.values() if c.available
    }
    if profile.language_model.path.is_file():
        result["skeletons"] = words_again(profile, some[: max(1, limit // 5)])
    return result


def show(result: dict[str, Any], console: Console) -> None:
    for kind in ("descriptions", "captions"):
        table = Table("coder", "texts", "bits/char", "bits/text", "pack char/s", "unpack char/s")
        table.title = f"{result[kind]['texts']} of {result[kind]['of']} {kind}"
        for name, row in result[kind]["coders"].items():
            cells = [str(row["texts"]), f"{row['bits_per_character']:.3f}", f"{row['bits_per_text']:.1f}"]
            speeds = [row["pack_characters_per_s"] if name != "raw" else None, row["unpack_characters_per_s"]]
            table.add_row(name, *cells, *(f"{speed:,.0f}" if speed else "-" for speed in speeds))
        console.print(table)
    if "skeletons" in result:
        console.print("skeletons to words: " + ", ".join(f"{k} {v:.3g}" for k, v in result["skeletons"].items()))
    bits = ", ".join(f"{name} {value}" for name, value in result["dlsvc_sentence_bits"].items())
    console.print(f"bits of {DLSVC_SENTENCE!r}: {bits}")


def markdown_of(result: dict[str, Any]) -> str:
    """The table in the README; `-` if a coder can write none of the texts."""
    kinds = {"descriptions": ("bits_per_character", 3), "captions": ("bits_per_text", 1)}
    titles = ("coder", "descriptions", "bits per character", "captions", "bits per caption")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name in dict.fromkeys(name for kind in kinds for name in result[kind]["coders"]):
        cells = []
        for kind, (figure, digits) in kinds.items():
            row = result[kind]["coders"].get(name)
            cells += ["-", "-"] if row is None else [str(row["texts"]), f"{row[figure]:.{digits}f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(
    data: Annotated[Path, typer.Option(help="folder with text/ and the captioned shards")],
    limit: Annotated[int, typer.Option(min=1, help="number of texts of each kind, spread evenly over the data")] = 100,
    floats: Annotated[bool, typer.Option(help="measure SmolLM2 in floating point too")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    profile: str = "embedded",
) -> None:
    """Measure the text coders."""
    result = measure(data, limit, profile, floats=floats)
    show(result, Console())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
