"""The locator's trainer: its losses reward what is right, the heads learn, and write what is loaded."""

import itertools
import json
import random
from pathlib import Path

import pytest
import torch

from misc.configs import build
from misc.errors import InputError
from misc.models.clip.embedded import ClipHeads, load_clip_heads
from misc.train import locator
from misc.train.data.named_patches import BOXED, NamedPatches, box_places, boxed_names
from misc.train.locator import LocatorTask, Recipe, locator_losses
from misc.train.prepare.features import load_features
from misc.weights.packages import Package
from tests.train.captioned import features_folder
from tests.train.learning import ACCELERATOR, assert_learns

RECIPE = Recipe(batch=8, local_batch=4, names=3, learning_rate=1e-3)
SURE = [
    {"name": "dog", "score": 0.9, "box": [0, 0, 0.5, 0.5]},
    {"name": "person", "score": 0.2, "box": [0, 0, 1, 1]},
]


class Letters:
    """In place of MiniLM: counts of letters."""

    def embed(self, texts: list[str]) -> torch.Tensor:
        counts = torch.zeros(len(texts), 384)
        for row, text in zip(counts, texts, strict=True):
            for letter in text.encode():
                row[letter] += 1
        return torch.nn.functional.normalize(counts, dim=1)


def write_boxes(path: Path, boxes: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps({"photo": str(i), "boxes": boxes}) + "\n" for i in range(8)))
    return path


def patches_of(folder: Path, boxes: list[dict[str, object]]) -> NamedPatches:
    features = load_features(features_folder(folder), write_boxes(folder / "boxes.jsonl", boxes))
    return NamedPatches(features, Letters())  # type: ignore[arg-type]


def test_it_learns(tmp_path: Path) -> None:
    patches = patches_of(tmp_path, SURE)
    batch = next(patches.batches(8, 4, 3, random.Random(0)))
    box_names = patches.embed(BOXED)
    torch.manual_seed(0)
    task = LocatorTask(build(ClipHeads, "clip-heads"), itertools.repeat(batch), box_names, RECIPE, ACCELERATOR)

    def measure(heads: ClipHeads) -> torch.Tensor:
        losses = locator_losses(heads, batch, box_names)
        assert set(losses) == {"captions", "names", "boxes"}
        return torch.stack([*losses.values()]).sum()

    assert_learns(task, tmp_path / "out", 12, measure, share=0.8)  # type: ignore[arg-type]
    heads = load_clip_heads(tmp_path / "out" / "clip.safetensors")
    assert heads.encode_text(torch.zeros(2, 384)).shape == (2, 256)


def test_a_run_goes_on_and_its_weights_are_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locator, "load_text_tower", lambda *_: Letters())
    monkeypatch.setattr(Package, "sound_path", lambda package: package.path)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("batch = 8\nlocal_batch = 4\nnames = 300\n")
    features, boxes = features_folder(tmp_path), write_boxes(tmp_path / "boxes.jsonl", SURE)
    common = {"features": features, "boxes": boxes, "recipe_file": recipe}
    for steps in (1, 2):
        locator.main(out=tmp_path / "out", from_scratch=True, steps=steps, **common)  # type: ignore[arg-type]
        assert torch.load(tmp_path / "out" / "state.pt", weights_only=True)["step"] == steps
    weights = tmp_path / "out" / "clip.safetensors"
    locator.main(out=tmp_path / "on", start=weights, steps=0, **common)  # type: ignore[arg-type]
    first, second = (load_clip_heads(path).state_dict() for path in (weights, tmp_path / "on" / "clip.safetensors"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_boxes_that_nobody_is_sure_of_teach_nothing(tmp_path: Path) -> None:
    patches = patches_of(tmp_path, [{"name": "dog", "score": 0.25, "box": [0, 0, 0.5, 0.5]}])
    batch = next(patches.batches(8, 4, 3, random.Random(0)))
    losses = locator_losses(build(ClipHeads, "clip-heads"), batch, patches.embed(BOXED))
    assert set(losses) == {"captions", "names"}
    assert all(torch.isfinite(loss) for loss in losses.values())
    with pytest.raises(InputError, match="10 photos are fewer than a batch of 11"):
        next(patches.batches(11, 4, 3, random.Random(0)))


def test_contrast_and_names_reward_the_right_pairs() -> None:
    same = torch.eye(4)
    right, wrong = (locator.contrast(same, each, torch.tensor(3.0)) for each in (same, same.roll(1, 0)))
    assert right < 0.01 < wrong
    scale, bias = torch.tensor(3.0), torch.tensor(-5.0)
    dense = same[:, None].repeat(1, 16, 1)
    named = locator.name_loss(dense, same, same, scale, bias)
    assert named < locator.name_loss(dense, same.roll(1, 0), same, scale, bias)
    unknown = torch.where(same > 0, same, torch.nan)
    unknown[0, 1] = 0
    assert locator.name_loss(dense, same, unknown, scale, bias) == pytest.approx(float(named), rel=0.2)


def test_boxes_become_patches() -> None:
    sure = {"name": "dog", "score": 0.9, "box": [0, 0, 0.5, 0.25]}
    maybe = {"name": "dog", "score": 0.2, "box": [0.75, 0.75, 1, 1]}
    tiny = {"name": "cup", "score": 0.8, "box": [0.51, 0.51, 0.52, 0.52]}
    person = {"name": "person", "score": 0.8, "box": [0, 0, 1, 1]}
    known = boxed_names({"captions": ["A woman with a dog"], "found": [sure, maybe, tiny, person]})
    dog = known["dog"].reshape(16, 16)
    assert (dog[:4, :8] == 1).all()
    assert dog[12:, 12:].isnan().all()
    assert dog.nansum() == 32
    assert known["cup"].nonzero().tolist() == [[8 * 16 + 8]]
    assert torch.equal(known["woman"], known["person"])
    inside = box_places([known, {}], ["dog", "cat", "man"])
    assert torch.equal(inside[0, 0].nan_to_num(), known["dog"].nan_to_num())
    assert not inside[0, 1].any()
    assert inside[:, 2].isnan().all()


def test_a_name_is_drawn_into_its_boxes() -> None:
    names, bias = torch.eye(2), torch.tensor(-2.0)
    inside = torch.tensor([[[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]])
    right = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]])
    good = locator.box_loss(right, names, inside, torch.tensor(2.0), bias)
    assert good < locator.box_loss(right.flip(1), names, inside, torch.tensor(2.0), bias)
    assert torch.isfinite(good)
