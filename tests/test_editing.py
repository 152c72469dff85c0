"""Edits of a file: the other sections keep their bytes, and what does not fit is refused."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from misc.bits import container
from misc.bits.container import Section, symbol_check
from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import Streams, decode, pack, write
from misc.bits.text.description import Description, Item, to_json
from misc.editing import edit_file
from misc.errors import BitstreamError, InputError
from misc.profiles import load_profile
from tests.support.cli import misc_command
from tests.support.models import random_latents

__all__ = ["misc_command"]

CAT = Description("a cat on a bench", (Item("cat", "grey"),))
DOG = Description("a dog under a bench", (Item("dog"),))
BOXES = np.zeros((1, 8, 12), bool)
BOXES[0, 1:3, 1:4] = True


@functools.cache
def file(*names: str, seed: int = 5, text: Description = CAT) -> bytes:
    models = load_profile().exact_models
    parts = {
        "text": text,
        "regions": RegionMaps(BOXES),
        "pixels": random_latents(models.latents, 192, 128),
    }
    streams = Streams(192, 128, seed, **{name: parts[name] for name in names})  # type: ignore[arg-type]
    coder = "lm-small" if text is CAT else ""  # one that is here without `misc pull`
    return write(streams, pack(streams, models, coder=coder), models)


def edited(data: bytes, **changes: object) -> tuple[Streams, dict[str, bytes]]:
    models = load_profile().exact_models
    new = edit_file(data, models, **changes)  # type: ignore[arg-type]
    return decode(new, models), {name: section.payload for name, section in container.read(new)[1].items()}


def payloads(data: bytes) -> dict[str, bytes]:
    return {name: section.payload for name, section in container.read(data)[1].items()}


def test_a_new_text_leaves_the_others_as_they_are() -> None:
    data = file("text", "regions", "pixels")
    content, sections = edited(data, text=DOG)
    assert content.text == DOG
    assert content.seed == 5
    before = payloads(data)
    assert sections["text"] != before["text"]
    assert (sections["regions"], sections["pixels"]) == (before["regions"], before["pixels"])


@pytest.mark.parametrize(
    ("names", "drop"),
    [
        (("text", "regions", "pixels"), ("regions",)),
        (("text", "regions", "pixels"), ("text", "regions")),
        (("text", "regions"), ("regions",)),
        (("text", "pixels"), ("text",)),
        (("text", "regions", "pixels"), ("pixels",)),
    ],
)
def test_dropped_streams_are_gone(names: tuple[str, ...], drop: tuple[str, ...]) -> None:
    before = payloads(file(*names))
    _, sections = edited(file(*names), drop=drop)
    assert sections == {name: before[name] for name in names if name not in drop}


def test_without_pixels_a_new_text_gives_a_new_image() -> None:
    assert edited(file("text"), text=DOG)[0].seed == 0
    assert edited(file("text", "pixels"), drop=("pixels",))[0].seed == 0
    assert edited(file("text", "regions"), drop=("regions",))[0].seed == 5


def test_a_text_can_be_added() -> None:
    content, sections = edited(file("pixels"), text=CAT)
    assert content.text == CAT
    assert sections["pixels"] == payloads(file("pixels"))["pixels"]


def test_skeletons_stay_skeletons() -> None:
    data = file("text", text=Description("ct n bnch", consonants=True))
    assert edited(data, text=DOG)[0].text == Description("dg ndr bnch dg", consonants=True)


@pytest.mark.parametrize(
    ("names", "changes", "words"),
    [
        (("text", "regions", "pixels"), {"drop": ("sound",)}, "no stream 'sound'"),
        (("text", "pixels"), {"drop": ("regions",)}, "has no regions"),
        (("text", "pixels"), {"drop": ("text", "pixels")}, "no stream would be left"),
        (("text", "pixels"), {}, "there is nothing to change"),
        (("text", "pixels"), {"text": DOG, "drop": ("text",)}, "change the text or drop it, not both"),
        (("text", "pixels"), {"text": Description()}, "text is empty"),
        (("text", "regions", "pixels"), {"drop": ("text",)}, "drop both"),
        (("regions", "pixels"), {"text": DOG}, "without a text"),
        (("text", "regions", "pixels"), {"text": Description("two dogs")}, "regions of 1 items and the text 0"),
    ],
)
def test_what_does_not_fit_is_refused(names: tuple[str, ...], changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        edited(file(*names), **changes)


def test_damage_is_refused_before_anything_is_changed() -> None:
    data = file("text", "pixels")
    with pytest.raises(BitstreamError):
        edited(data[:-4] + bytes([data[-4] ^ 1]) + data[-3:], text=DOG)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["FILE", "new.misc", "--text", "DOG", "--drop", "regions"], 0, "192x128"),
        (["DAMAGED", "new.misc", "--text", "DOG"], 3, "checksum"),
        (["FILE", "FILE", "--text", "DOG"], 1, "would be lost"),
        (["FILE", "new.misc", "--drop", "sound"], 2, "no stream 'sound'"),
        (["FILE", "new.misc"], 2, "nothing to change"),
        (["FILE", "new.misc", "--text", "DOG", "--drop", "text"], 2, "not both"),
        (["FILE", "new.misc", "--drop", "regions,pixels,text"], 1, "no stream would be left"),
        (["FILE", "new.misc", "--text", "LONG"], 1, "at most 64 words"),
        (["FILE", "new.misc", "--text", "EMPTY"], 1, "text is empty"),
    ],
)
def test_the_command(
    misc_command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    data = file("text", "regions", "pixels")
    Path("FILE").write_bytes(data)
    Path("DAMAGED").write_bytes(data[:-3])
    Path("DOG").write_text(json.dumps(to_json(DOG)))
    Path("LONG").write_text(json.dumps({"overall": "dog " * 65}))
    Path("EMPTY").write_text("{}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done, out, err = misc_command("edit", *arguments)
    assert (done, out) == (code, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    new = after.pop("new.misc", None)
    assert after == before
    assert (new is not None) == (code == 0)


def test_info_counts_as_the_papers_do(misc_command, tmp_path: Path) -> None:
    path = tmp_path / "a.misc"
    path.write_bytes(file("text", seed=0, text=Description("ct n bnch", consonants=True)))
    code = json.loads(misc_command("info", path, "--json")[1])["code"]
    bits = 8 * path.stat().st_size
    assert code == {"bits": 36, "ubpp": 1464.84, "file_bits": bits, "file_ubpp": round(1e6 * bits / 192 / 128, 2)}
    assert "code 36 bits, 1465 ubpp; the file" in misc_command("info", path)[1]


def test_info_shows_a_caption_of_no_letters(misc_command, tmp_path: Path) -> None:
    path, models = tmp_path / "a.misc", load_profile("embedded").exact_models
    content = Streams(192, 128, text=Description("a dog"))
    lzw = bytes(pack(content, models, coder="lzw")["text"].payload[:1])
    path.write_bytes(write(content, {"text": Section(lzw, symbol_check("text", b""))}, models))
    assert misc_command("verify", path)[0] == 0
    code, out, err = misc_command("info", path)
    assert (code, err) == (0, "")
    assert "caption 0 bits; the file 80 bits" in out
    assert json.loads(misc_command("info", path, "--json")[1])["code"]["ratio"] is None
