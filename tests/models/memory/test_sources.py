"""Photos of folders and shards, and a memory that the command makes of them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from misc.errors import InputError
from misc.models.memory.sources import find_photos
from tests.support.images import sample_picture


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, licence in (("one", "CC BY 4.0"), ("two", "research use"), ("three", "CC BY-SA 4.0")):
            with io.BytesIO() as coded:
                sample_picture(40, 30).save(coded, "WEBP")
                parts = {"webp": coded.getvalue(), "json": json.dumps({"source": "S", "licence": licence}).encode()}
            for suffix, content in parts.items():
                entry = tarfile.TarInfo(f"{name}.{suffix}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return path


def test_only_free_photos_of_a_shard(shard: Path) -> None:
    assert [photo.name for photo in find_photos([shard])] == ["one", "two", "three"]
    free = list(find_photos([shard], ["CC BY"]))
    assert [(photo.name, photo.source, photo.licence) for photo in free] == [
        ("one", "S", "CC BY 4.0"),
        ("three", "S", "CC BY-SA 4.0"),
    ]
    assert free[0].open().size == (40, 30)


def test_a_folder_takes_the_stated_licence(tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "deep").mkdir(parents=True)
    sample_picture(40, 30).save(folder / "b.png")
    sample_picture(40, 30).save(folder / "deep" / "a.jpg")
    (folder / "notes.txt").write_text("no image")
    found = [(photo.name, photo.source, photo.licence) for photo in find_photos([folder], ["mine"], "all mine")]
    assert found == [("b.png", "holiday", "all mine"), ("deep/a.jpg", "holiday", "all mine")]


def test_faults_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        list(find_photos([tmp_path / "missing"]))
    (tmp_path / "bad.tar").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="no shard"):
        list(find_photos([tmp_path / "bad.tar"]))
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    photo = next(find_photos([tmp_path / "bad.png"]))
    with pytest.raises(InputError, match="no image"):
        photo.open()


def test_photos_are_looked_at_as_the_encoder_does(misc_command, tmp_path: Path, monkeypatch) -> None:
    seen: list[Image.Image] = []
    monkeypatch.setattr("misc.codec.Codec.semantics", SimpleNamespace(tower=None, clip_heads=None))
    monkeypatch.setattr("misc.codec.Codec.hyperprior", None)
    monkeypatch.setattr("misc.models.memory.build.build_memory", lambda images, *_: seen.extend(images) or seen)
    monkeypatch.setattr("misc.models.memory.store.pack_memory", lambda _: b"12345678{")
    photos, own = tmp_path / "photos", tmp_path / "own.safetensors"
    photos.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    sample_picture(40, 30).save(photos / "turned.jpg", exif=exif)
    Image.new("RGBA", (40, 30)).save(photos / "clear.png")
    (photos / "bad.png").write_bytes(b"nonsense")
    (photos / "folder.png").mkdir()
    for _ in range(2):  # the second time it replaces its own files
        code, out, err = misc_command("memory", "build", photos, "--out", own, "--json")
        assert (code, json.loads(out)["photos"]) == (0, 2), err
        assert "left out: bad.png: the input is not an image of a known format" in err
        clear, turned = seen
        assert (turned.size, clear.getpixel((0, 0))) == ((30, 40), (255, 255, 255))
        seen.clear()
    assert own.with_suffix(".csv").read_text() == "photo,source,licence\nclear.png,photos,\nturned.jpg,photos,\n"


@pytest.mark.parametrize("name", ["", ".", "/", "-", "own.csv", "photos/0.png", "own"])
def test_a_memory_has_a_name_of_its_own(misc_command, tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = misc_command("memory", "build", ".", "--out", name)
    assert (code, out) == (2, "")
    assert err.startswith("misc: a memory is a file of the ending .safetensors, not ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("taken", "kind"), [("own.csv", "a table of photos"), ("own.safetensors", "a memory")])
def test_a_memory_replaces_nothing_else(misc_command, tmp_path: Path, taken: str, kind: str) -> None:
    (tmp_path / taken).write_text("price,bread\n")
    code, _, err = misc_command("memory", "build", tmp_path, "--out", tmp_path / "own.safetensors")
    assert (code, err) == (1, f"misc: {tmp_path / taken} is there and is not {kind}; --force replaces it\n")
    assert (tmp_path / taken).read_text() == "price,bread\n"
    code, _, err = misc_command("memory", "build", tmp_path, "--out", tmp_path / "own.safetensors", "--force")
    assert (code, "misc pull" in err) == (4, True)  # no networks are here to look at photos


def test_a_shard_that_was_cut_is_one_sentence(shard: Path) -> None:
    cut = shard.with_name("cut.tar")
    cut.write_bytes(gzip.compress(shard.read_bytes())[:-100])
    with pytest.raises(InputError, match=r"cut\.tar is no shard of photos"):
        list(find_photos([cut]))
