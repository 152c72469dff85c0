"""A small page about reflection: text, image and score of each round."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from .errors import InputError, UsageError
from .reflection import Round

__all__ = ["check_trace", "write_trace"]

HEAD = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Reflection</title>\n'
PAGE = """<style>body {{ font-family: sans-serif; margin: 2em }} img {{ max-width: 24em }}
td {{ vertical-align: top; padding: 1em }}
.kept {{ background: #e8f4e8 }}</style>
<table><tr><td><img src="photo.png" alt="photo"><td>the photo</tr>
{rounds}</table></html>
"""
ROW = """<tr{kept}><td><img src="round-{number}.png" alt="round {number}"><td>
<p>Round {number}: likeness {score:.4f}, {size} bytes{note}.</p><p>{text}</p><p>Missing: {missing}.</p></tr>
"""


def check_trace(folder: Path) -> None:
    """Make the folder, unless files that are no trace have the names of its files.

    Raises:
        InputError: the folder cannot be written, or holds such files.
    """
    if not isinstance(folder, str | os.PathLike):
        raise UsageError(f"a trace is written into a folder, not into {folder!r}")
    folder = Path(folder)
    page = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = [path for path in (page, folder / "photo.png", *folder.glob("round-*.png")) if path.exists()]
        if there and not (page.is_file() and page.read_bytes().startswith(HEAD.encode())):
            raise InputError(f"{there[0]} is there and is not part of a trace: choose another folder")
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error


def write_trace(folder: Path, photo: Image.Image, rounds: Sequence[Round], kept: Round) -> None:
    """Write index.html, photo.png and round-0.png, round-1.png ... into a folder.

    Raises:
        InputError: it cannot be written.
    """
    folder, rows = Path(folder), []
    try:
        photo.save(folder / "photo.png")
        for number, each in enumerate(rounds):
            each.image.save(folder / f"round-{number}.png")
            text = each.content.text.fields() if each.content.text else []
            rows.append(
                ROW.format(
                    number=number,
                    kept=' class="kept"' if each is kept else "",
                    note=", kept" if each is kept else "",
                    score=each.score,
                    size=len(each.data),
                    text=html.escape("; ".join(filter(None, text))),
                    missing=html.escape(", ".join(each.missing) or "nothing"),
                )
            )
        (folder / "index.html").write_text(HEAD + PAGE.format(rounds="".join(rows)), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error
