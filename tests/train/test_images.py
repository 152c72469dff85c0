"""Photos of shards and folders: crops, names, seeds, and what is not an image."""

import io
import json
import random
import tarfile
from pathlib import Path

import pytest
import torch
import webdataset

from misc.errors import InputError
from misc.train.data.images import Crops, crop_loader, expand_sources, named_photos, random_crop, random_square
from misc.train.prepare.features import labelled_photos
from tests.support.images import sample_picture as picture


def webp(width: int = 20, height: int = 10, seed: int = 0) -> bytes:
    with io.BytesIO() as coded:
        picture(width, height, seed).save(coded, "WEBP")
        return coded.getvalue()


def write_shard(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Two shards of eight photos each, as webdataset writes them."""
    paths = [tmp_path / f"{name}.tar" for name in "ab"]
    for number, path in enumerate(paths):
        with webdataset.TarWriter(str(path)) as shard:
            for i in range(8):
                known = {"__key__": f"{path.stem}{i}", "json": {"source": "test"}}
                shard.write(known | {"webp": webp(120, 90, 8 * number + i)})
    return paths


def test_crops_have_their_size_and_range() -> None:
    for size in ((300, 200), (40, 50), (64, 64)):
        crop = random_crop(picture(*size), 64, random.Random(0))
        assert crop.shape == (3, 64, 64)
        assert 0 <= float(crop.min()) < float(crop.max()) <= 1


def test_squares_reach_from_a_crop_to_the_whole_photo() -> None:
    draw, photo = random.Random(0), picture(400, 300)
    boxes = [random_square(photo, 160, draw) for _ in range(200)]
    sides = [right - left for left, _, right, _ in boxes]
    assert all(abs(bottom - top - side) < 1e-6 for (_, top, _, bottom), side in zip(boxes, sides, strict=True))
    assert 160 <= min(sides) < 165
    assert 290 < max(sides) <= 300
    small = random_square(picture(100, 90), 160, draw)
    assert 70 < small[2] - small[0] <= 90


def test_sources_are_shards_images_or_folders(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    (tmp_path / "b.tar").touch()
    assert expand_sources([tmp_path]) == ([tmp_path / "b.tar"], [tmp_path / "a.png"])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        expand_sources([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no images"):
        expand_sources([tmp_path / "empty"])


def first_batch(sources: list[Path], seed: int) -> torch.Tensor:
    return next(iter(crop_loader(sources, 64, 6, seed, workers=0)))


def test_the_seed_alone_decides_which_crops_shards_give(shards: list[Path]) -> None:
    batch = first_batch(shards, seed=3)
    assert batch.shape == (6, 3, 64, 64)
    assert batch.std() > 0.05
    assert torch.equal(first_batch(shards, seed=3), batch)
    assert not torch.equal(first_batch(shards, seed=4), batch)


def test_workers_give_different_crops_and_folders_heed_the_seed_too(tmp_path: Path) -> None:
    picture(160, 120).save(tmp_path / "a.png")
    two = iter(crop_loader([tmp_path], 64, 3, seed=0, workers=2))
    assert not torch.equal(next(two), next(two))
    assert torch.equal(first_batch([tmp_path], 1), first_batch([tmp_path], 1))
    assert not torch.equal(first_batch([tmp_path], 1), first_batch([tmp_path], 2))


def test_photos_have_the_names_that_batches_know_them_by(tmp_path: Path) -> None:
    members = {"folder/x.y.json": b'{"label": "dog"}', "folder/x.y.webp": webp(), "z.json": b"{}", "z.webp": webp()}
    shard = write_shard(tmp_path / "a.tar", members)
    assert [name for name, _, _ in named_photos([shard])] == ["x", "z"]
    ((photo, facts),) = labelled_photos([shard])
    assert facts == {"photo": "x", "label": "dog"}
    assert photo.mode == "RGB"


def test_shards_are_found_in_folders(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / "shards" / name).mkdir(parents=True)
        write_shard(tmp_path / "shards" / name / "s.tar", {f"{name}.json": b"{}", f"{name}.webp": webp()})
    assert [name for name, _, _ in named_photos([tmp_path / "shards"])] == ["a", "b"]
    assert [name for name, _, _ in named_photos([tmp_path / "shards/b/s.tar", tmp_path / "shards/a"])] == ["b", "a"]
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no \.tar shards in"):
        next(named_photos([tmp_path / "none"]))


@pytest.mark.parametrize("others", [{"x.txt": b"a dog"}, {"x.cls": b"7", "x.licence.txt": b"CC0"}])
def test_a_member_that_is_no_image_is_not_taken_for_one(tmp_path: Path, others: dict[str, bytes]) -> None:
    for members in (
        others | {"x.json": json.dumps({"label": "dog"}).encode(), "x.webp": webp(30, 20)},
        {"x.json": json.dumps({"label": "dog"}).encode()} | others | {"x.webp": webp(30, 20)},
    ):
        ((name, photo, facts),) = named_photos([write_shard(tmp_path / "a.tar", members)])
        assert (name, photo.size, facts) == ("x", (30, 20), {"label": "dog"})


def test_an_unreadable_image_is_left_out_and_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    picture(96, 96).save(tmp_path / "good.png")
    crops = iter(Crops([tmp_path], 64, seed=0))
    assert [next(crops).shape for _ in range(20)] == [(3, 64, 64)] * 20
    assert capsys.readouterr().err == "bad.png is no image that can be read: left out\n"
    (tmp_path / "good.png").unlink()
    with pytest.raises(InputError, match=r"bad\.png is no image"):
        next(iter(Crops([tmp_path], 64, seed=0)))
