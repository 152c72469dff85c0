"""Photos of folders and shards, and a memory that the command makes of them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

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
    assert found == [("b", "holiday", "all mine"), ("a", "holiday", "all mine")]


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
