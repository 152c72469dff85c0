"""Change a file's text or drop streams, and keep the bytes of all other sections.

file ─► streams, checked ─► sections ─┬─ new text ─► packed by the coder of the old one ─┐
                                      └─ the others, as they are ────────────────────────┴─► file, decoded again
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from .bits import container, streams
from .bits.container import MAX_PIXELS, SECTIONS, Section, symbol_check
from .bits.streams import ExactModels, Streams
from .bits.text import coder_of, description
from .bits.text.consonants import skeletons
from .bits.text.description import MAX_SKELETONS, MAX_WORDS, Description
from .bits.text.lzw import fold
from .errors import InputError, UsageError

__all__ = ["edit_file"]


def edit_file(
    data: bytes,
    models: ExactModels,
    *,
    text: Description | None = None,
    drop: Collection[str] = (),
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """The file with another text, or without some of its streams.

    The new text is written by the old text's coder if that was `consonants` or `lzw`. If a file without pixels gets a
    new text, its seed is removed, because it selects a photo for the old text.

    Args:
        data: a file.
        models: those that wrote the file.
        text: the new text, also for a file that has none.
        drop: names of streams to leave out.
        max_pixels: the largest image that is accepted.

    Raises:
        InputError: the streams would contradict each other, or none would be left.
        UsageError: no file admits such a change.
        BitstreamError, LimitError, ModelMismatchError: as `misc.bits.streams.decode`.
    """
    content = streams.decode(data, models, max_pixels=max_pixels)
    header, sections = container.read(data, max_pixels=max_pixels)
    check_edit(content, sections, text, drop)
    kept = {name: section for name, section in sections.items() if name not in drop}
    if text is not None:
        kept["text"] = text_section(text, sections.get("text"), models)
    if "pixels" not in kept and (text is not None or "pixels" in drop):
        header = dataclasses.replace(header, seed=0)
    header = dataclasses.replace(header, fingerprint=models.fingerprint_with(streams.coder_number(kept)))
    edited = container.write(header, kept)
    streams.decode(edited, models, max_pixels=max_pixels)
    return edited


def check_edit(content: Streams, sections: Collection[str], text: Description | None, drop: Collection[str]) -> None:
    """Raise InputError if an edit is not possible for this file, or for any; arguments as in `edit_file`."""
    unknown = sorted(set(drop) - set(SECTIONS))
    if unknown:
        raise UsageError(f"there is no stream {unknown[0]!r}; there is {', '.join(SECTIONS)}")
    absent = [name for name in SECTIONS if name in drop and name not in sections]
    if absent:
        raise InputError(f"the file has no {absent[0]} to drop")
    if text is None and not drop:
        raise UsageError("there is nothing to change: give a text, or streams to drop")
    if text is not None and "text" in drop:
        raise UsageError("change the text or drop it, not both")
    if text is not None and not any(text.fields()):
        raise InputError("the text is empty; to have none, drop it")
    if text is None and set(sections) <= set(drop):
        raise InputError("no stream would be left in the file")
    if content.regions is None or "regions" in drop:
        return
    # The region section codes the number of items only if the text has no items.
    if "text" in drop:
        raise InputError("the regions belong to the text's items: drop both, or the regions alone")
    if text is not None and content.text is None:
        raise InputError("the file has regions without a text; drop them to give it one")
    if text is not None and len(text.items) != len(content.regions.masks):
        raise InputError(
            f"the file has regions of {len(content.regions.masks)} items and the text {len(text.items)}: "
            "give as many, or drop the regions"
        )


def text_section(text: Description, old: Section | None, models: ExactModels) -> Section:
    """The section of a text; by the old text's coder if that was `lzw` or `consonants`."""
    name = "" if old is None else coder_of(old.payload[0], models.coders).name
    if name == "consonants":
        words = skeletons(" ".join(text.fields())).split()
        text = Description(" ".join(words[:MAX_SKELETONS]), consonants=True)
    elif name == "lzw" and not text.items:
        text = Description(" ".join(fold(text.overall).split()[:MAX_WORDS]))
    else:
        name = ""
    if not any(text.fields()):
        raise InputError("the file's text coder has none of the letters of this text")
    return Section(description.pack(text, models.coders, name), symbol_check("text", text.symbols()))
