"""The detector: its graph against torch, its conversion, and what describer and locator make of it."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from misc.errors import WeightsError
from misc.models.locator import EmbeddedClip, box_weights
from misc.models.towers.detector import NAMES, Detection, Detector, distinct
from misc.models.towers.graph_model import GraphModel
from misc.profiles import load_profile
from misc.train.prepare.detector import convert


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A depthwise and a fused convolution, halved and doubled again, as TensorFlow.js writes them."""
    ones = {"list": {"i": ["1", "2", "2", "1"]}}
    relu = {"list": {"s": [encoded("BiasAdd"), encoded("Relu6")]}}
    nodes = [
        {"name": "x", "op": "Placeholder"},
        {
            "name": "deep",
            "op": "DepthwiseConv2dNative",
            "input": ["x", "kernel_a"],
            "attr": {"strides": ones, "padding": {"s": encoded("SAME")}},
        },
        {
            "name": "wide",
            "op": "_FusedConv2D",
            "input": ["deep", "kernel_b", "bias"],
            "attr": {
                "strides": {"list": {"i": ["1"] * 4}},
                "padding": {"s": encoded("VALID")},
                "fused_ops": relu,
            },
        },
        {"name": "big", "op": "ResizeBilinear", "input": ["wide", "size"], "attr": {}},
        {"name": "y", "op": "Sigmoid", "input": ["big"], "attr": {}},
        {"name": "odd", "op": "FloorMod", "input": ["y", "y"], "attr": {}},
    ]
    draw = np.random.default_rng(0)
    arrays = {
        "kernel_a": draw.normal(size=(3, 3, 2, 1)).astype(np.float32),
        "kernel_b": draw.normal(size=(1, 1, 2, 4)).astype(np.float32),
        "bias": draw.normal(size=4).astype(np.float32),
        "size": np.array([7, 6], np.int32),
    }
    weights = [{"name": k, "shape": list(v.shape), "dtype": str(v.dtype)} for k, v in arrays.items()]
    (tmp_path / "g.bin").write_bytes(b"".join(v.tobytes() for v in arrays.values()))
    content = {"modelTopology": {"node": nodes}, "weightsManifest": [{"paths": ["g.bin"], "weights": weights}]}
    (tmp_path / "g.json").write_text(json.dumps(content))
    return tmp_path / "g.json"


def test_a_graph_computes_what_torch_does(graph: Path, tmp_path: Path) -> None:
    nodes, constants = convert(graph, ["y"], ["x"])
    assert set(nodes) == {"deep", "wide", "big", "y"}
    path = tmp_path / "g.safetensors"
    save_file({k: v.contiguous() for k, v in constants.items()}, path, {"graph": json.dumps(nodes)})
    x = torch.randn(1, 7, 6, 2)
    (y,) = GraphModel(path).run({"x": x}, ["y"])
    padded = functional.pad(x.permute(0, 3, 1, 2), (0, 1, 1, 1))  # SAME at stride 2: 7 wants one on both sides
    z = functional.conv2d(padded, constants["kernel_a"], stride=2, groups=2)
    z = functional.relu6(functional.conv2d(z, constants["kernel_b"], constants["bias"]))
    assert z.shape == (1, 4, 4, 3)
    torch.testing.assert_close(y[:, 0, 0], torch.sigmoid(z[:, :, 0, 0]))
    torch.testing.assert_close(y[:, 6, 0], torch.sigmoid(torch.lerp(z[:, :, 3, 0], z[:, :, 3, 0], 0.4)))
    half = torch.lerp(z[:, :, 0, 0], z[:, :, 1, 0], 4 / 7)
    torch.testing.assert_close(y[:, 1, 0], torch.sigmoid(half))


def test_unknown_nodes_and_files_are_refused(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="FloorMod"):
        convert(graph, ["odd"], ["x"])
    with pytest.raises(WeightsError, match="missing"):
        GraphModel(tmp_path / "nothing")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="damaged"):
        GraphModel(tmp_path / "other.safetensors")


def test_the_detector_finds_things() -> None:
    part = load_profile().detector
    assert part is not None
    import sklearn.datasets

    flower = Image.fromarray(sklearn.datasets.load_sample_image("flower.jpg"))
    found = Detector(part.path).find(flower, 0.05)
    assert found
    scores = [thing.score for thing in found]
    assert scores == sorted(scores, reverse=True)
    assert all(thing.name in NAMES and 0 < thing.area <= 1 for thing in found)
    assert not Detector(part.path).find(Image.new("RGB", (64, 64)), 0.5)


def test_names_are_told_once_and_the_largest_first() -> None:
    things = [
        Detection("cup", 0.9, (0, 0, 0.1, 0.1)),
        Detection("person", 0.5, (0, 0, 0.9, 0.9)),
        Detection("cup", 0.4, (0, 0, 0.2, 0.2)),
        Detection("dog", 0.2, (0, 0, 1, 1)),
    ]
    assert distinct(things, 0.3) == ["person", "cup"]


def test_a_thing_writes_its_name_where_it_is() -> None:
    class Names(EmbeddedClip):
        def __init__(self) -> None:
            pass

        def embed_texts(self, texts: object) -> torch.Tensor:
            return torch.eye(4)[: len(list(texts))]  # type: ignore[call-overload]

    dense = torch.zeros(16, 16, 4)
    dense[8:, :8, 3] = 1
    written = Names().write(dense, [Detection("dog", 0.5, (0, 0, 0.5, 0.5)), Detection("dog", 1.0, (0.5, 0.5, 1, 1))])
    dog = written[..., 0]
    assert (dog[:32, 32:] == 0).all()
    assert dog[48, 48] > dog[16, 16] > 0
    assert dog[48, 48] > dog[62, 62] > 0
    plain = Names().write(dense, [])
    assert plain.shape == (64, 64, 4)
    assert plain[60, 2].tolist() == [0, 0, 0, 1]
    assert torch.equal(written[..., 1:], plain[..., 1:])


def test_a_box_smaller_than_a_place_is_still_seen() -> None:
    weight = box_weights((0.501, 0.501, 0.502, 0.502), 8, 8)
    assert weight.nonzero().tolist() == [[4, 4]]


def planted(monkeypatch: pytest.MonkeyPatch, least: float = 0.2) -> list[Detection]:
    """What is found in a heat map with a dog at row 10, column 100, beside weaker places, and a cup lower down."""
    heat, reach = torch.zeros(1, 128, 128, 80), torch.zeros(1, 128, 128, 4)
    dog, cup = NAMES.index("dog"), NAMES.index("cup")
    heat[0, 9:12, 99:102, dog] = 0.6
    heat[0, 10, 100, dog] = 0.9
    heat[0, 10, 100, cup] = 0.1
    heat[0, 90, 20, cup] = 0.5
    reach[0, 10, 100] = torch.tensor([40.0, 20, 16, 12])
    reach[0, 90, 20] = torch.tensor([100.0, 8, 8, 8])
    detector = Detector.__new__(Detector)
    monkeypatch.setattr(detector, "graph", type("Graph", (), {"run": lambda *_: [heat, reach]})(), raising=False)
    return detector.find(Image.new("RGB", (64, 32)), least)


def test_a_thing_is_found_once_at_the_peak_of_its_heat(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planted(monkeypatch)
    assert [(thing.name, round(thing.score, 3)) for thing in found] == [("dog", 0.9), ("cup", 0.5)]
    assert [thing.name for thing in planted(monkeypatch, 0.05)] == ["dog", "cup", "cup"]


def test_boxes_are_left_top_right_bottom_around_their_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    dog, cup = planted(monkeypatch)
    assert dog.box == pytest.approx([360 / 512, 20 / 512, 416 / 512, 52 / 512])
    assert cup.box == pytest.approx([0, 352 / 512, 88 / 512, 368 / 512])  # cut at the left side
