"""Many images: every image of a folder to a file, or back, in processes that load their models once.

    DIR/a.jpg, DIR/sub/b.png ─► processes ─► OUT/a.jpg.misc, OUT/sub/b.png.misc and OUT/manifest.csv

Existing results are not made again, so the same command continues a stopped batch. A failing image does not affect the
others. The manifest is written at the end from the existing files: one row per image, with checksums or the error. For
a result that was not made again, the checksum of its source is that of the old manifest.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..images import decode_image, encode_image
from ..pool import Runner, run_jobs
from .files import text_bytes, write_bytes
from .whole_files import remove_litter

__all__ = ["COLUMNS", "MANIFEST", "Batch", "find_jobs", "run_batch", "write_manifest"]

MANIFEST = "manifest.csv"
COLUMNS = ("source", "target", "state", "source_sha256", "target_sha256", "source_bytes", "target_bytes", "error")
IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".ppm"}
ENDING = ".misc"
MOST_NOTICES = 10

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
        """The path of an image's file: the whole name plus an ending, so that a.png and a.jpg give two files."""
        relative = path.relative_to(self.source)
        name = f"{relative}{ENDING}" if self.action == "encode" else f"{str(relative).removesuffix(ENDING)}.png"
        return self.target / name


def find_jobs(batch: Batch) -> list[dict[str, str]]:
    """{"source", "target"} of every image or file below the source, by name.

    Raises:
        InputError: the folder does not exist, or has nothing to work on.
    """
    if not batch.source.is_dir():
        raise InputError(f"there is no folder {batch.source}")
    endings = IMAGES if batch.action == "encode" else {ENDING}
    paths = sorted(p for p in batch.source.rglob("*") if p.suffix.lower() in endings and p.is_file())
    if not paths:
        raise InputError(f"there is nothing to {batch.action} in {batch.source} ({', '.join(sorted(endings))})")
    return [{"source": str(path), "target": str(batch.target_of(path))} for path in paths]


def run_batch(
    batch: Batch,
    workers: int,
    progress: Callable[[int, int], None],
    runner: Runner = run_jobs,
    notice: Callable[[str], None] = lambda sentence: None,
) -> dict[str, str]:
    """Do the jobs that are not done yet and write the manifest; first remove files that a killed batch left.

    Args:
        workers: number of processes.
        progress: called with the number of finished images and of all images to do.
        runner: runs the jobs; `misc.pool.run_jobs`, or many machines.
        notice: called at the end, with a sentence for each way in which files hold or images show less than they could.

    Returns:
        {source: error}.

    Raises:
        InputError: as `find_jobs`.
        WeightsError: the models cannot be loaded.
    """
    jobs = find_jobs(batch)
    if batch.target.exists() and not batch.target.is_dir():
        raise InputError(f"cannot write to {batch.target}: it is not a folder")
    for folder in {batch.target, *(Path(job["target"]).parent for job in jobs)}:
        remove_litter(folder)
    todo = [job for job in jobs if not os.path.isfile(job["target"])]  # False for a name that is too long
    for job in todo:
        Path(job["target"]).parent.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    notices: dict[str, list[str]] = {}
    setup = {"action": batch.action, "options": dict(batch.options)}
    try:
        for done, outcome in enumerate(runner("misc.cli.many_images:worker", setup, todo, workers), 1):
            if outcome.error:
                failed[str(outcome.job["source"])] = outcome.error
            for sentence in dict.fromkeys((outcome.answer or {}).get("notices", ())):
                notices.setdefault(sentence, []).append(str(outcome.job["source"]))
            progress(done, len(todo))
    finally:
        batch.target.mkdir(parents=True, exist_ok=True)
        made = {job["target"] for job in todo}
        changed = write_manifest(batch, jobs, failed, made)
    if len(made) < len(jobs):
        notice(f"{len(jobs) - len(made)} of {len(jobs)} results were there already and were not made again")
    if changed:
        notices["it has changed since its result was made: delete the result to make it again"] = changed
    for sentence in sum_up(notices):
        notice(sentence)
    return failed


def sum_up(notices: Mapping[str, Sequence[str]]) -> list[str]:
    """Sentences about the images that each notice was of, the most frequent first; a large folder gets a few."""
    common = sorted(notices, key=lambda sentence: -len(notices[sentence]))
    lines = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {sentence}"
        for sentence, names in ((each, notices[each]) for each in common[:MOST_NOTICES])
    ]
    if len(common) > MOST_NOTICES:
        lines.append(f"{len(common) - MOST_NOTICES} more notices are not shown")
    return lines


def write_manifest(
    batch: Batch, jobs: Sequence[Mapping[str, str]], failed: Mapping[str, str], made: Collection[str]
) -> list[str]:
    """One row per image: `done` with checksums, `failed` with the error, or `open`.

    Args:
        failed: {source: error}.
        made: the targets that this batch made or tried to make.

    Returns:
        sources that have changed since their targets were made, as far as the old manifest tells.
    """
    known, changed = read_manifest(batch.target), []
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for job in jobs:
        source, target = Path(job["source"]), Path(job["target"])
        row = {"source": str(source.relative_to(batch.source)), "target": str(target.relative_to(batch.target))}
        if os.path.isfile(target):
            pairs = (("source", source.read_bytes()), ("target", target.read_bytes()))
            for name, data in pairs:
                row |= {f"{name}_sha256": hashlib.sha256(data).hexdigest(), f"{name}_bytes": str(len(data))}
            row["state"] = "done"
            old = known.get(row["source"], {})
            if job["target"] not in made and old.get("target_sha256") == row["target_sha256"]:
                if old["source_sha256"] != row["source_sha256"]:
                    changed.append(job["source"])
                row |= {name: old[name] for name in ("source_sha256", "source_bytes")}
        else:
            error = failed.get(job["source"])
            row |= {"state": "failed", "error": error} if error else {"state": "open"}
        writer.writerow(row)
    write_bytes(str(batch.target / MANIFEST), text_bytes(text.getvalue()))
    return changed


def read_manifest(folder: Path) -> dict[str, dict[str, str]]:
    """{source: row} of the manifest in a folder; empty if there is none that can be read."""
    try:
        with (folder / MANIFEST).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            return {row["source"]: row for row in rows} if tuple(rows.fieldnames or ()) == COLUMNS else {}
    except (OSError, ValueError, csv.Error):
        return {}


def worker(setup: Json) -> Work:
    """The function that encodes or decodes one image, for `misc.pool`."""
    from ..codec import Codec

    options = dict(setup["options"])
    notices: list[str] = []
    codec = Codec(options.pop("profile", "embedded"), notice=notices.append)

    def encode(job: Json) -> dict[str, Any]:
        original = decode_image(Path(job["source"]).read_bytes())
        notices[:] = original.notices
        write_bytes(job["target"], codec.encode(original.image, **options))
        return {"notices": list(notices)}

    def decode(job: Json) -> dict[str, Any]:
        notices.clear()
        image = codec.decode(Path(job["source"]).read_bytes(), **options)
        write_bytes(job["target"], encode_image(image))
        return {"notices": list(notices)}

    return encode if setup["action"] == "encode" else decode
