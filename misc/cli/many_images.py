"""Many images: every image of a folder to a file, or back, by processes that load their models once.

    DIR/a.jpg, DIR/sub/b.png ─► processes ─► OUT/a.jpg.misc, OUT/sub/b.png.misc and OUT/manifest.csv

What is there is not done again, so a batch that was stopped goes on. An image that fails costs nobody else's.
The manifest is written at the end from what is there: one row an image, with checksums, or with what failed.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..images import decode_image, encode_image
from ..pool import Runner, run_jobs
from .files import write_bytes
from .whole_files import remove_litter

__all__ = ["COLUMNS", "MANIFEST", "Batch", "find_jobs", "run_batch", "write_manifest"]

MANIFEST = "manifest.csv"
COLUMNS = ("source", "target", "state", "source_sha256", "target_sha256", "source_bytes", "target_bytes", "error")
IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff"}
ENDING = ".misc"

Json = Mapping[str, Any]
Work = Callable[[Json], dict[str, Any]]


@dataclass(frozen=True)
class Batch:
    """What to do with a folder.

    Attributes:
        action: `encode` or `decode`.
        source, target: folders.
        options: of `Codec` and of its method.
    """

    action: str
    source: Path
    target: Path
    options: Json

    def target_of(self, path: Path) -> Path:
        """Where an image's file goes: the whole name and an ending, so that a.png and a.jpg are two."""
        relative = path.relative_to(self.source)
        name = f"{relative}{ENDING}" if self.action == "encode" else f"{str(relative).removesuffix(ENDING)}.png"
        return self.target / name


def find_jobs(batch: Batch) -> list[dict[str, str]]:
    """{"source", "target"} of every image or file below the source, by name.

    Raises:
        InputError: there is no such folder, or nothing in it to work on.
    """
    if not batch.source.is_dir():
        raise InputError(f"there is no folder {batch.source}")
    endings = IMAGES if batch.action == "encode" else {ENDING}
    paths = sorted(p for p in batch.source.rglob("*") if p.suffix.lower() in endings and p.is_file())
    if not paths:
        raise InputError(f"there is nothing to {batch.action} in {batch.source} ({', '.join(sorted(endings))})")
    return [{"source": str(path), "target": str(batch.target_of(path))} for path in paths]


def run_batch(
    batch: Batch, workers: int, progress: Callable[[int, int], None], runner: Runner = run_jobs
) -> dict[str, str]:
    """Do what is not done yet and write the manifest; first remove what a killed batch left.

    Args:
        workers: processes at once.
        progress: called with the images done and all that were to be done.
        runner: where jobs run; `misc.pool.run_jobs`, or many machines.

    Returns:
        {source: what failed}.

    Raises:
        InputError: as `find_jobs`.
        WeightsError: the models cannot be loaded.
    """
    jobs = find_jobs(batch)
    if batch.target.exists() and not batch.target.is_dir():
        raise InputError(f"cannot write to {batch.target}: it is not a folder")
    for folder in {batch.target, *(Path(job["target"]).parent for job in jobs)}:
        remove_litter(folder)
    todo = [job for job in jobs if not Path(job["target"]).is_file()]
    for job in todo:
        Path(job["target"]).parent.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    setup = {"action": batch.action, "options": dict(batch.options)}
    try:
        for done, outcome in enumerate(runner("misc.cli.many_images:worker", setup, todo, workers), 1):
            if outcome.error:
                failed[str(outcome.job["source"])] = outcome.error
            progress(done, len(todo))
    finally:
        batch.target.mkdir(parents=True, exist_ok=True)
        write_manifest(batch, jobs, failed)
    return failed


def write_manifest(batch: Batch, jobs: Sequence[Mapping[str, str]], failed: Mapping[str, str]) -> None:
    """One row an image: `done` with checksums, `failed` with what failed, or `open`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for job in jobs:
        source, target = Path(job["source"]), Path(job["target"])
        row = {"source": str(source.relative_to(batch.source)), "target": str(target.relative_to(batch.target))}
        if target.is_file():
            pairs = (("source", source.read_bytes()), ("target", target.read_bytes()))
            for name, data in pairs:
                row |= {f"{name}_sha256": hashlib.sha256(data).hexdigest(), f"{name}_bytes": str(len(data))}
            row["state"] = "done"
        else:
            error = failed.get(job["source"])
            row |= {"state": "failed", "error": error} if error else {"state": "open"}
        writer.writerow(row)
    write_bytes(str(batch.target / MANIFEST), text.getvalue().encode())


def worker(setup: Json) -> Work:
    """What encodes or decodes one image after another, for `misc.pool`."""
    from ..codec import Codec

    options = dict(setup["options"])
    codec = Codec(options.pop("profile", "embedded"))

    def encode(job: Json) -> dict[str, Any]:
        image = decode_image(Path(job["source"]).read_bytes()).image
        write_bytes(job["target"], codec.encode(image, **options))
        return {}

    def decode(job: Json) -> dict[str, Any]:
        image = codec.decode(Path(job["source"]).read_bytes(), **options)
        write_bytes(job["target"], encode_image(image))
        return {}

    return encode if setup["action"] == "encode" else decode
