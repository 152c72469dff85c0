"""The tagger's layer of subjects: how it is learned, written, read, and asked."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from misc.errors import InputError, WeightsError
from misc.models.towers.efficientnet import EfficientNetLite
from misc.models.towers.subjects import FEATURES, PLACES, Subjects, load_subjects
from misc.models.towers.tagger import CLASSES, Tagger, load_tagger, read_names
from misc.profiles import load_profile
from misc.train.subjects import Subject, fit, look, read_subjects, targets_of, write

PACKAGE = load_profile().packages["efficientnet"]
FLOWER = Subject("flower", frozenset(["roses"]), frozenset(["flower"]), frozenset(), place=False)
SHIRT = Subject("shirt", frozenset(["t-shirt"]), frozenset(), frozenset(), place=False)
BEACH = Subject("beach", frozenset(), frozenset(["beach"]), frozenset(["Shores"]), place=True)
ALL = [FLOWER, SHIRT, BEACH]


def written(path: Path, names: list[str], width: int = FEATURES) -> Path:
    arrays = {"weight": np.zeros((2, width), np.float16), "bias": np.array([0.0, math.log(3)], np.float32)}
    save_file(arrays, path, {"names": json.dumps(names)})
    return path


def test_captions_tell_what_a_photo_is_of() -> None:
    captions = ["Two flowers on a beach", "A flower", "Flowers", "A red flower", "A plant"]
    targets, weights = targets_of({"captions": captions}, ALL)
    assert targets[:2] == [1.0, 0.0]
    assert math.isnan(targets[2]), "one of five says so: it may be"
    assert weights == [1.0, 1.0, 1.0]


def test_labels_tell_little_of_places() -> None:
    assert targets_of({"label": "t-shirt"}, ALL) == ([0.0, 1.0, 0.0], [1.0, 1.0, 0.3])
    assert targets_of({"label": "daisy"}, ALL)[0][0] == 1.0, "names.tsv has a daisy among the flowers"
    targets, _ = targets_of({"source": "Shores"}, ALL)
    assert [math.isnan(target) for target in targets] == [True, True, False]
    assert targets[2] == 1.0


def test_the_layer_learns_from_what_is_known_alone(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(600, FEATURES, generator=generator)
    targets = torch.stack([features[:, 0] > 0, features[:, 1] > 0], 1).float()
    targets[::2, 1] = 1 - targets[::2, 1]
    weights = torch.ones(600, 2)
    weights[::2, 1] = 0.0  # what is wrong counts nothing
    targets[:100, 0] = math.nan
    middle, spread = np.full(FEATURES, 3.0, np.float32), np.full(FEATURES, 2.0, np.float32)
    fitted = fit(features, targets, weights)
    write(fitted, middle, spread, ["a", "b"], tmp_path / "new" / "subjects.safetensors")
    layer = load_subjects(tmp_path / "new" / "subjects.safetensors")
    for column, name in enumerate(layer.names):
        high = np.array([layer.probabilities(2 * row.numpy() + 3)[name] for row in features])
        np.testing.assert_allclose(high, fitted(features)[:, column].sigmoid(), rtol=0.02)  # of features as they come
        truth = features[:, column].numpy() > 0
        assert high[truth].mean() > 1.4 * high[~truth].mean(), "what is wrong and counts would level them"


def test_a_layer_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "subjects.safetensors"
    with pytest.raises(WeightsError, match="missing"):
        load_subjects(path)
    with pytest.raises(WeightsError, match="damaged or not those of the subjects"):
        load_subjects(written(path, ["a", "b"], width=7))
    with pytest.raises(WeightsError, match="damaged or not those of the subjects"):
        load_subjects(written(path, ["a"]))
    assert load_subjects(written(path, ["a", "b"])).probabilities(np.ones(FEATURES, np.float32)) == {
        "a": pytest.approx(0.5),
        "b": pytest.approx(0.75),
    }


def test_the_tagger_asks_its_own_features() -> None:
    torch.manual_seed(0)
    network = EfficientNetLite(CLASSES).eval()
    image = Image.effect_noise((64, 48), 80).convert("RGB")
    plain = Tagger(network, read_names())
    features = plain.features(image)
    logits = network.classifier(torch.from_numpy(features)).softmax(0)
    assert features.shape == (FEATURES,)
    assert logits.shape == (CLASSES,)
    assert plain.look(image)[1] == {}
    weight = np.stack([features / np.square(features).sum(), np.zeros_like(features)])
    asked = Tagger(network, read_names(), Subjects(["all", "none"], weight, np.array([0, -50], np.float32)))
    shares, subjects = asked.look(image)
    np.testing.assert_allclose(shares, plain.shares(image), rtol=1e-5)
    assert subjects == {"all": pytest.approx(1 / (1 + math.exp(-1))), "none": pytest.approx(0, abs=1e-9)}


def test_the_table_and_the_weights_have_the_same_subjects() -> None:
    part = load_profile().subjects
    assert part is not None
    subjects = read_subjects()
    assert load_subjects(part.path).names == [subject.name for subject in subjects]
    assert {subject.name for subject in subjects} >= PLACES
    assert all(subject.labels or subject.words for subject in subjects)


def test_photos_of_which_nothing_is_known_are_refused(tmp_path: Path) -> None:
    if not PACKAGE.path.is_file():
        pytest.skip("its package is not here: misc pull")
    with pytest.raises(InputError, match="no photo"):
        look([], ALL)


@pytest.mark.skipif(not PACKAGE.path.is_file(), reason="its package is not here: misc pull")
def test_a_plain_wall_is_no_flower() -> None:
    part = load_profile().subjects
    assert part is not None
    wall = Image.new("RGB", (320, 240), (180, 170, 160))
    _, seen = load_tagger(PACKAGE.sound_path(), subjects=part.path).look(wall)
    assert all(0 <= value <= 1 for value in seen.values())
    assert seen["flower"] < 0.5
