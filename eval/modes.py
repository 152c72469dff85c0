"""Measure all modes on photos: the bits of each stream, and the similarity of the images to the photos.

    misc eval modes --data FOLDER [--limit N] [--candidates K] [--workers N] [--profile NAME] [--json FILE]

The table has one row per mode: bits of text, regions, pixels and of the rest of the file, the rate of the whole file,
the panel's figures with standard errors, and seconds on this machine. Each photo is described and located once for all
modes. Below the table: the gain in similarity from one row to another, by photo; and the bits of the complete
descriptions in four-bit consonants and, with all letters, by the best coder of `misc text`. With FILE, a stopped run
can be continued: finished photos are kept in FILE.part until the end.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track

from ..bits import container
from ..bits.container import SECTIONS
from ..bits.regions.maps import RegionMaps
from ..bits.text import Coders, shortest
from ..bits.text.consonants import skeletons
from ..bits.text.description import Description
from ..cli.app import run_alone
from ..codec import Codec
from ..errors import BudgetError, InputError
from ..images import decode_image
from ..pool import run_jobs, usual_workers
from .metrics.catalogue import METRICS
from .metrics.panel import Panel
from .modes_table import gains_line, table_of
from .partial import Partial
from .photos import photos_of

__all__ = ["ROWS", "Row", "gains", "measure", "prepare", "summarise"]

CANDIDATES = 64  # for the rows in which the encoder chooses


@dataclass(frozen=True)
class Row:
    """A mode and its limit.

    Attributes:
        name: for the table.
        options: of `Codec.encode`.
    """

    name: str
    options: Mapping[str, Any]


def micro(ubpp: int, reflect: int = 0) -> Row:
    """Mode micro, with a limit in ubpp (millionths of a bit of code per pixel), after rounds of reflection."""
    name = f"micro, {ubpp} ubpp" + (", reflected" if reflect else "")
    return Row(name, {"mode": "micro", "ubpp": ubpp, "reflect": reflect})


def choose(row: Row) -> Row:
    """A row in which the encoder chooses among the likeliest photos of the memory."""
    return Row(f"{row.name}, best of {CANDIDATES}", {**row.options, "candidates": CANDIDATES})


SEMANTIC = (  # modes without pixels
    Row("dlsvc", {"mode": "dlsvc"}),
    micro(500),
    Row("text", {"mode": "text"}),
    Row("text+map", {"mode": "text+map"}),
)
ROWS = (
    SEMANTIC[0],
    *map(micro, (100, 200, 500, 1000, 1800)),
    micro(1000, reflect=1),
    *SEMANTIC[2:],
    *map(choose, SEMANTIC),
    Row("pixel", {"mode": "pixel", "bpp": 0.024}),
    Row("misc", {"mode": "misc", "bpp": 0.024}),
    Row("auto, 0.002 bpp", {"mode": "auto", "bpp": 0.002}),
    Row("auto, 0.024 bpp", {"mode": "auto", "bpp": 0.024}),
)
STEPS = (  # pairs of rows; the second should be better
    ("dlsvc", "text"),
    ("text", "text+map"),
    ("pixel", "misc"),
    ("micro, 1000 ubpp", "micro, 1000 ubpp, reflected"),
    *((row.name, choose(row).name) for row in SEMANTIC),
)
SIMILARITY = ("vit_patch", "vit_mean", "clip")  # the encoder chooses by their sum


@dataclass(frozen=True)
class Seen:
    """Text and regions of a photo, and the time of describer and locator in seconds."""

    text: Description
    regions: RegionMaps | None
    seconds: float


def look(codec: Codec, photo: Image.Image) -> Seen:
    """Text and regions of a photo, RGB."""
    start = time.perf_counter()
    text, regions = codec.see(photo)
    return Seen(text, regions, time.perf_counter() - start)


def measure(
    codec: Codec,
    panel: Panel,
    photo: Image.Image,
    rows: Sequence[Row],
    candidates: int = 1,
    known: Seen | None = None,
) -> dict[str, Any]:
    """Figures of every row for a photo; {"missing": reason} if there is no such file.

    Args:
        photo: RGB.
        candidates: number of seeds that the encoder tries, unless the row gives it.
        known: text and regions of the photo, if they are known.
    """
    known = known or look(codec, photo)
    figures: dict[str, Any] = {}
    drawn: dict[bytes, dict[str, float]] = {}
    for row in rows:
        start = time.perf_counter()
        try:
            options = {"candidates": candidates, **row.options}
            data = codec.encode(photo, description=known.text, regions=known.regions, **options)
        except (BudgetError, InputError) as error:  # for example, a text without items has no regions
            figures[row.name] = {"missing": str(error)}
            continue
        encoded = time.perf_counter()
        if data not in drawn:  # two limits may give the same file
            image = codec.decode(data)
            drawn[data] = {"decode_s": time.perf_counter() - encoded} | panel.compare(photo, image)
        figures[row.name] = {
            **bits_of(data),
            "bpp": 8 * len(data) / (photo.width * photo.height),
            **drawn[data],
            "encode_s": encoded - start + (0.0 if row.options["mode"] == "pixel" else known.seconds),
        }
    return figures


def prepare(setup: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The work of a process of `misc.pool`: figures of every row and costs of the words for the photo at a path.

    Args:
        setup: {"profile": its name, "candidates": their number}.
    """
    codec = Codec(setup["profile"], notice=lambda _: None)
    panel = Panel(codec.semantics)

    def work(job: Mapping[str, Any]) -> dict[str, Any]:
        photo = decode_image(Path(job["path"]).read_bytes()).image
        seen = look(codec, photo)
        rows = measure(codec, panel, photo, ROWS, setup["candidates"], seen)
        return {"rows": rows, "words": costs_of(seen.text, codec.profile.text_coders), "missing": panel.missing}

    return work


def costs_of(text: Description, coders: Coders) -> dict[str, int]:
    """Bits of a description's words: as four-bit consonants, and with all their letters by the best coder."""
    words = " ".join(filter(None, text.fields()))
    return {"consonants": 4 * len(skeletons(words)), "letters": 8 * (len(shortest(words, coders)) - 1)}


def gains(photos: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """{"row to row": gain in the sum of SIMILARITY: mean, standard error and smallest over photos}."""
    result = {}
    for less, more in STEPS:
        pairs = [(photo[less], photo[more]) for photo in photos]
        each = [
            sum(b[name] - a[name] for name in SIMILARITY) for a, b in pairs if not {"missing"} & (a.keys() | b.keys())
        ]
        if len(each) > 1:
            error = stdev(each) / math.sqrt(len(each))
            result[f"{less} to {more}"] = {"mean": fmean(each), "error": error, "least": min(each)}
    return result


def bits_of(data: bytes) -> dict[str, int]:
    """Bits of each stream's bytes, and of the rest of the file."""
    sections = container.read(data)[1]
    bits = {f"{name}_bits": 8 * len(sections[name].payload) if name in sections else 0 for name in SECTIONS}
    return {**bits, "overhead_bits": 8 * len(data) - sum(bits.values())}


def summarise(photos: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> dict[str, Any]:
    """Means over the photos of every row, with standard errors of the panel's figures, and the number of photos."""
    result: dict[str, Any] = {}
    for row in rows:
        measured = [photo[row.name] for photo in photos if "missing" not in photo[row.name]]
        if not measured:
            result[row.name] = {"photos": 0, "missing": photos[0][row.name]["missing"]}
            continue
        result[row.name] = {"photos": len(measured)} | {
            name: fmean(photo[name] for photo in measured) for name in measured[0]
        }
        for name in set(measured[0]) & set(METRICS):
            values = [photo[name] for photo in measured]
            error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
            result[row.name][f"{name}_error"] = None if math.isnan(error) else error
    return result


def main(
    data: Annotated[Path, typer.Option(help="folder of photos")],
    limit: Annotated[int | None, typer.Option(min=1, help="number of photos, at most")] = None,
    candidates: Annotated[int, typer.Option(min=1, help="seeds that the encoder tries where a row does not say")] = 1,
    workers: Annotated[int | None, typer.Option(min=1, help="number of processes (default: one a core)")] = None,
    profile: str = "embedded",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="file for the figures, those of every photo too")
    ] = None,
) -> None:
    """Measure all modes."""
    setup = {"profile": profile, "candidates": candidates}
    partial = Partial(json_file, {**setup, "data": str(data), "rows": [row.name for row in ROWS]})
    paths = photos_of(data, limit)
    jobs = [{"path": str(path)} for path in paths if path.name not in partial.answers]
    outcomes = run_jobs("misc.eval.modes:prepare", setup, jobs, workers or usual_workers())
    for outcome in track(outcomes, "measuring", total=len(jobs), transient=True):
        name = Path(outcome.job["path"]).name
        if outcome.answer is None:
            raise InputError(f"{name}: {outcome.error}")
        partial.add(name, outcome.answer)
    answers = {path.name: partial.answers[path.name] for path in paths}
    photos = {name: answer["rows"] for name, answer in answers.items()}
    words = {key: fmean(answer["words"][key] for answer in answers.values()) for key in ("consonants", "letters")}
    result, steps = summarise(list(photos.values()), ROWS), gains(list(photos.values()))
    if json_file is not None:
        facts = {"profile": profile, "candidates": candidates, "modes": result, "gains": steps, "words": words}
        json_file.write_text(json.dumps({**facts, "photos": photos}, indent=1) + "\n")
        partial.done()
    console = Console(width=200)
    console.print(table_of(result, f"{len(photos)} photos, profile {profile}, {candidates} candidates"))
    for name, gain in steps.items():
        console.print(gains_line(name, gain))
    console.print(
        f"whole descriptions: {words['consonants']:.0f} bits of consonants, {words['letters']:.0f} of letters"
    )
    for name, reason in next(iter(answers.values()))["missing"].items():
        console.print(f"{name} is left out: {reason}")


if __name__ == "__main__":
    run_alone(main)
