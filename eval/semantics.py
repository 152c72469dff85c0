"""Measure describer, locator and region stream.

    python -m misc.eval.semantics --data FOLDER [--limit N] [--json FILE]

FOLDER holds `captioned-test-*.tar` (photos with five captions) and `boxes-*.tar` (photos with captions and boxes).

- Captions: BLEU-4 and CIDEr by pycocoevalcap, in lower case and without punctuation.
- Item names, on the photos with boxes: a name is correct if the singular of its last word is a noun of the photo's
captions or a word of a box name, or stands for one (PEOPLE: a man is a person).
- Retrieval: every caption of the test photos against all test photos.
- Localisation: for every box name of a photo, the map of that name on 16 cells. Pointing: the place with the highest
similarity lies in a box of the name. IoU: map against the boxes' union, on a grid of 64x64. The centre prior points to
the centre; its map is the centred square, of one size for all photos, with the best mean IoU. The locator is also
measured without the detector.
- Text tasks of the describer, on first captions: the share of words recovered from their skeletons at the right
position; and precision and recall of the nouns that one caption has and the next photo's caption lacks, by the singular
of their last words.
- Region stream: maps of the describer's three items on 8x8 cells, by `misc.eval.regions`.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..bits.regions.maps import RegionMaps
from ..bits.text.consonants import skeletons
from ..bits.text.description import Description
from ..bits.text.lzw import fold
from ..cli.app import run_alone
from ..errors import InputError
from ..models.describer.embedded import EmbeddedDescriber
from ..models.language_model.skeleton import word_accuracy
from ..models.locator import EmbeddedClip, locate, maps_of, similarity
from ..models.semantics import Semantics
from ..models.towers.vision import GRID, patch_tokens, to_input
from ..profiles import load_profile
from ..train.data.noun_phrases import difference, lemma, nouns, tidy
from ..train.prepare.features import labelled_photos
from .regions import compare

__all__ = ["caption_scores", "localisation", "name_counts", "retrieval", "text_tasks"]

RASTER = 64
TEXTS = 100
SOMEBODY = "man woman boy girl child kid baby guy lady player person people skier surfer rider"
PEOPLE = frozenset(SOMEBODY.split())

Photos = list[tuple[Image.Image, dict[str, Any]]]
Raster = npt.NDArray[np.bool_]


def plain(text: str) -> str:
    """Lower case, single spaces between words, no punctuation."""
    return " ".join(re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace(" '", "'")))


def caption_scores(said: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """BLEU-4 and CIDEr of one caption per photo against its references."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider

    wanted = {i: [plain(text) for text in texts] for i, texts in enumerate(references)}
    given = {i: [plain(text)] for i, text in enumerate(said)}
    bleu, _ = Bleu(4).compute_score(wanted, given, verbose=0)
    cider, _ = Cider().compute_score(wanted, given)
    return {"bleu_4": float(bleu[3]), "cider": float(cider)}


def name_counts(name: str, facts: dict[str, Any]) -> bool:
    """Whether a photo's captions or boxes mention an item's name."""
    words = name.lower().split()
    known = set().union(*(nouns(caption) for caption in facts["captions"]))
    known |= {word for box in facts["boxes"] for word in box["name"].split()}
    head = lemma(words[-1]) if words else ""
    return head in known or (head in PEOPLE and bool(known & PEOPLE))


def retrieval(images: torch.Tensor, texts: torch.Tensor, owner: Sequence[int]) -> dict[str, float]:
    """Recall at 1, 5 and 10 of texts (T, C), each of image `owner[t]`, among images (N, C)."""
    scores = texts @ images.T
    own = scores[torch.arange(len(owner)), torch.tensor(owner)]
    rank = (scores > own[:, None]).sum(1)
    return {f"recall_{k}": float((rank < k).float().mean()) for k in (1, 5, 10)}


def box_raster(boxes: Sequence[Sequence[float]], size: tuple[int, int]) -> Raster:
    """The union of boxes (x, y, width, height) of an image of this size, on 64x64."""
    raster = np.zeros((RASTER, RASTER), bool)
    middles = (np.arange(RASTER) + 0.5) / RASTER
    for x, y, w, h in boxes:
        inside_x = (middles >= x / size[0]) & (middles < (x + w) / size[0])
        inside_y = (middles >= y / size[1]) & (middles < (y + h) / size[1])
        raster |= inside_y[:, None] & inside_x[None, :]
    return raster


def to_raster(mask: npt.NDArray[np.bool_]) -> Raster:
    """A mask (rows, columns), stretched to 64x64."""
    rows, columns = ((np.arange(RASTER) * side) // RASTER for side in mask.shape)
    return np.asarray(mask[rows][:, columns])


def iou(a: Raster, b: Raster) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def middle_box(side: int) -> Raster:
    """A centred square of this side on 64x64."""
    raster = np.zeros((RASTER, RASTER), bool)
    start = (RASTER - side) // 2
    raster[start : start + side, start : start + side] = True
    return raster


def localisation(clip: EmbeddedClip, photos: Photos) -> dict[str, dict[str, float]]:
    """Pointing accuracy and mean IoU over all names of all photos, beside the centre prior."""
    points, overlaps, unions = [], [], []
    for image, facts in track(photos, "locating", transient=True):
        names = sorted({box["name"] for box in facts["boxes"]})
        texts, dense = clip.embed_texts(names), clip.embed_patches(image.convert("RGB"))
        maps = maps_of(dense, texts, image.size, GRID)
        fine = similarity(dense, texts, RASTER, RASTER)
        for i, name in enumerate(names):
            union = box_raster([box["xywh"] for box in facts["boxes"] if box["name"] == name], image.size)
            row, column = np.unravel_index(int(fine[i].argmax()), fine[i].shape)
            points.append(bool(union[row, column]))
            overlaps.append(iou(to_raster(maps.masks[i]), union))
            unions.append(union)
    priors = [np.mean([iou(middle_box(side), union) for union in unions]) for side in range(4, RASTER + 1, 4)]
    middle = np.mean([union[RASTER // 2, RASTER // 2] for union in unions])
    return {
        "locator": {"names": len(points), "pointing": float(np.mean(points)), "iou": float(np.mean(overlaps))},
        "centre prior": {"names": len(points), "pointing": float(middle), "iou": float(max(priors))},
    }


def text_tasks(describer: EmbeddedDescriber, captions: Sequence[str]) -> dict[str, float]:
    """Figures of the describer's text tasks."""
    back = [describer.words(skeletons(text)) for text in track(captions, "words", transient=True)]
    accuracy = [word_accuracy(fold(text), words) for text, words in zip(captions, back, strict=True)]
    hits = told = wanted = 0
    for one, other in track(list(itertools.pairwise(captions)), "differences", transient=True):
        right = {lemma(part.split()[-1]) for part in difference(one, other).split(", ")} - {"none"}
        said = describer.differences(Description(one), Description(other))
        names = {lemma(part.split()[-1]) for part in said if part.split()}
        hits, told, wanted = hits + len(names & right), told + len(names), wanted + len(right)
    return {
        "texts": len(captions),
        "words back": float(np.mean(accuracy)),
        "differences: precision": hits / max(1, told),
        "differences: recall": hits / max(1, wanted),
    }


def photos_of(data: Path, pattern: str, limit: int) -> Photos:
    """The first photos of the shards of a name; InputError if there are none."""
    photos = list(itertools.islice(labelled_photos(sorted(data.glob(pattern))), limit))
    if not photos:
        raise InputError(f"there are no photos in {data / pattern}")
    return photos


def measure(data: Path, limit: int, profile: str) -> dict[str, Any]:
    """All figures; `limit` photos of each kind at most."""
    semantics = Semantics(load_profile(profile))
    describer, clip = semantics.embedded_describer, semantics.clip
    captioned = photos_of(data, "captioned-test-*.tar", limit)
    boxed = photos_of(data, "boxes-*.tar", limit)
    patches = [
        patch_tokens(semantics.tower, to_input(image)[None]) for image, _ in track(captioned, "looking", transient=True)
    ]
    said = [
        describer.describe_patches(each[0], sight=describer.sight(image))
        for each, (image, _) in zip(track(patches, "describing", transient=True), captioned, strict=True)
    ]
    result: dict[str, Any] = {"photos": len(captioned), "boxes_photos": len(boxed)}
    result["captions"] = caption_scores([d.overall for d in said], [facts["captions"] for _, facts in captioned])
    firsts = [tidy(facts["captions"][0]) for _, facts in captioned[:TEXTS]]
    result["text tasks"] = text_tasks(describer, firsts)
    images = torch.cat([clip.look(each)[0] for each in patches])
    texts = clip.embed_texts([text for _, facts in captioned for text in facts["captions"]])
    owner = [i for i, (_, facts) in enumerate(captioned) for _ in facts["captions"]]
    result["retrieval"] = retrieval(images, texts, owner)
    named = [(describer.describe(image.convert("RGB")), image, facts) for image, facts in boxed]
    counts = [name_counts(item.name, facts) for description, _, facts in named for item in description.items]
    result["names"] = {"items": len(counts), "mentioned": float(np.mean(counts))}
    alone = EmbeddedClip(clip.tower, clip.text, clip.heads)
    result["localisation"] = localisation(clip, boxed)
    result["localisation"]["without the detector"] = localisation(alone, boxed)["locator"]
    maps: list[RegionMaps] = []
    for description, image, _ in named:
        square = image.convert("RGB").resize((512, 512))
        maps.append(locate(clip, square, [item.name for item in description.items]))
    result["regions"] = compare([each for each in maps if len(each.masks) == 3])
    result["seconds"] = seconds(semantics, captioned[0][0].convert("RGB").resize((768, 512)))
    return result


def seconds(semantics: Semantics, image: Image.Image) -> dict[str, float]:
    """Shortest of three times to describe and to locate a photo, with models loaded."""
    names = ["dog", "man", "grass"]

    def fastest(action: Any) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            action()
            times.append(time.perf_counter() - start)
        return min(times)

    return {
        "describe": fastest(lambda: semantics.embedded_describer.describe(image)),
        "locate": fastest(lambda: locate(semantics.clip, image, names)),
    }


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("measure", "figure", title=f"{result['photos']} captioned and {result['boxes_photos']} boxes photos")
    for group in ("captions", "names", "text tasks", "retrieval", "seconds"):
        for name, value in result[group].items():
            table.add_row(f"{group}: {name}", f"{value:.3f}" if isinstance(value, float) else str(value))
    for who, row in result["localisation"].items():
        table.add_row(f"{who}: pointing", f"{row['pointing']:.3f}")
        table.add_row(f"{who}: IoU", f"{row['iou']:.3f}")
    for name, row in result["regions"].items():
        table.add_row(f"three masks of 8x8, {name}", ", ".join(f"{k} {v:.1f}" for k, v in row.items()))
    console.print(table)


def main(
    data: Annotated[Path, typer.Option(help="folder with captioned-test and boxes shards")],
    limit: Annotated[int, typer.Option(min=1, help="number of photos of each kind, at most")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    profile: str = "embedded",
) -> None:
    """Measure describer and locator."""
    result = measure(data, limit, profile)
    show(result, Console())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(main)
