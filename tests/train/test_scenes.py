"""Scenes of photos, and the batches that the generator's trainer makes of them."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from misc.bits.regions.maps import RegionMaps
from misc.bits.text.description import Description
from misc.errors import InputError
from misc.train.data.scene_batches import mask_crop, scene_loader
from misc.train.prepare import scenes
from misc.train.prepare.scenes import read_scenes
from tests.support.images import sample_picture

SIDE = 64


def test_masks_are_cut_as_pictures_are() -> None:
    masks = np.zeros((1, 8, 8), bool)
    masks[0, :4, 4:] = True
    maps = RegionMaps(masks)
    quarter = mask_crop(maps, (0.5, 0.0, 1.0, 0.5), 8)
    assert quarter.shape == (3, 8, 8)
    assert quarter[0, :6, 2:].min() > 0.9
    assert not quarter[1:].any()
    assert mask_crop(maps, (0.0, 0.5, 0.5, 1.0), 8)[0, 2:, :6].max() < 0.1
    assert not mask_crop(None, (0, 0, 1, 1), 4).any()


def test_scenes_of_other_photos_are_refused(data: Path, tmp_path: Path) -> None:
    others = tmp_path / "others.jsonl"
    others.write_text((data / "scenes.jsonl").read_text().replace("_1", "_7").replace("_2", "_8"))
    with pytest.raises(InputError, match=r"others\.jsonl describes no photo"):
        scene_loader([data], others, SIDE, 2, seed=0, workers=0)


def picture_bytes() -> bytes:
    with io.BytesIO() as coded:
        sample_picture(20, 10).convert("L").save(coded, "WEBP")
        return coded.getvalue()


def test_batches_hold_scenes(data: Path) -> None:
    batch = next(iter(scene_loader([data], data / "scenes.jsonl", SIDE, 12, 0, 0)))
    assert batch.images.shape == (12, 3, SIDE, SIDE)
    assert 0 <= float(batch.images.min()) < float(batch.images.max()) <= 1
    assert {len(texts) for texts in batch.texts} == {1, 2}
    for texts, located, masks in zip(batch.texts, batch.located, batch.masks, strict=True):
        assert texts == (["a dog", "dog, brown"] if located else [""])
        assert bool(located) or not masks.any()
    assert batch.masks.any()
    assert batch.masks.shape == (12, 3, SIDE // 4, SIDE // 4)
    assert set(read_scenes(data / "scenes.jsonl")) == {
        f"{s}_{i}" for s in ("captioned-train-00", "photos-00") for i in (1, 2)
    }


class Seer:
    """In place of `misc.models.semantics.Semantics`."""

    tower = detector = None

    class embedded_describer:  # noqa: N801
        @staticmethod
        def sight(_: object) -> str:
            return "what is seen"

        @staticmethod
        def describe_patches(_: torch.Tensor, sight: object) -> Description:
            assert sight == "what is seen"
            return Description("seen by the describer")

    class clip:  # noqa: N801
        @staticmethod
        def look(_: torch.Tensor) -> tuple[None, torch.Tensor]:
            return None, torch.zeros(1, 16, 16, 2)

        @staticmethod
        def write(dense: torch.Tensor, _: object) -> torch.Tensor:
            dense[:8, :8, 0] = 1
            return dense

        @staticmethod
        def embed_texts(names: list[str]) -> torch.Tensor:
            return torch.eye(2)[: len(names)]


def test_scenes_take_captions_then_labels_then_the_describer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "patch_tokens", lambda *_: torch.zeros(1, 16, 16, 384))
    photo = sample_picture(64, 64)
    facts = [{"captions": ["A brown dog"]}, {"label": "golden_retriever, dog"}, {}]
    lines = [{"photo": str(k)} | scenes.scene_of(Seer(), photo, known) for k, known in enumerate(facts)]  # type: ignore[arg-type]
    path = tmp_path / "scenes.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"photo": "cut off')
    found = read_scenes(path)
    assert [found[str(k)][0].overall for k in range(3)] == [
        "A brown dog",
        "a golden retriever",
        "seen by the describer",
    ]
    assert [item.name for item in found["1"][0].items] == ["golden retriever"]
    maps = found["0"][1]
    assert maps is not None
    assert maps.masks[0, :4, :4].all()
    assert not maps.masks[0, 5:].any()
    assert found["2"][1] is None
    assert len(found) == 3


def test_the_describer_sees_every_other_labelled_photo_or_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "patch_tokens", lambda *_: torch.zeros(1, 16, 16, 384))
    monkeypatch.setattr(scenes, "Semantics", lambda _: Seer())
    shard = tmp_path / "photos.tar"
    facts = [{"label": "cat"}, {"label": "dog"}, {"captions": ["A brown dog"]}]
    with tarfile.open(shard, "w") as archive:
        for k, known in enumerate(facts):
            for suffix, content in (("json", json.dumps(known).encode()), ("webp", picture_bytes())):
                entry = tarfile.TarInfo(f"{k}.{suffix}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    own = "seen by the describer"
    for described, said in ((False, [own, "a dog", "A brown dog"]), (True, [own] * 3)):
        out = tmp_path / f"{described}.jsonl"
        scenes.main([shard], out, described=described)
        assert [description.overall for description, _ in read_scenes(out).values()] == said
