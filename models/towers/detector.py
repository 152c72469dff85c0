"""Detector of objects of COCO's 80 classes, with boxes: CenterNet (Zhou 2019, arXiv 1904.07850) on MobileNetV3.

    image ─► 512x512 ─► graph ─► heat map of every class (128, 128, 80), distances to the four sides ─► peaks ─► things

The embedded describer uses its names, the embedded locator its boxes: both were trained on few photos of rooms and
streets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from .graph_model import GraphModel

__all__ = ["NAMES", "PERSONS", "Detection", "Detector", "distinct"]

SIDE, STRIDE = 512, 4
MOST = 40
IMAGES, HEAT, REACH = "tower_0/images", "tower_0/keypoints", "tower_0/wh"
UNDERSCORED = """
person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign parking_meter bench
bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella handbag tie suitcase frisbee skis snowboard
sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle wine_glass cup fork knife spoon
bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair couch potted_plant bed dining_table
toilet tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator book clock vase scissors
teddy_bear hair_drier toothbrush
"""
NAMES = tuple(name.replace("_", " ") for name in UNDERSCORED.split())
PERSONS = frozenset(
    [
        "man",
        "woman",
        "boy",
        "girl",
        "child",
        "kid",
        "baby",
        "guy",
        "lady",
        "player",
        "person",
        "people",
        "men",
        "women",
        "children",
    ]
)


@dataclass(frozen=True)
class Detection:
    """A detected object.

    Attributes:
        name: of NAMES.
        score: 0 to 1.
        box: left, top, right, bottom, as shares of the image's sides.
    """

    name: str
    score: float
    box: tuple[float, float, float, float]

    @property
    def area(self) -> float:
        """Share of the image inside the box."""
        left, top, right, bottom = self.box
        return max(0.0, right - left) * max(0.0, bottom - top)


class Detector:
    """The detector.

    Args:
        path: of the weights.

    Raises:
        WeightsError: the file is missing or not a graph.
    """

    def __init__(self, path: Path) -> None:
        self.graph = GraphModel(path)

    def find(self, image: Image.Image, least: float = 0.2) -> list[Detection]:
        """Objects in an RGB image, by falling score.

        Args:
            least: least score of an object.
        """
        resized = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(resized)).float()[None]
        heat, reach = self.graph.run({IMAGES: pixels}, [HEAT, REACH])
        heat = heat[0].permute(2, 0, 1)
        peaks = heat * (functional.max_pool2d(heat[None], 3, 1, 1)[0] == heat)
        scores, places = peaks.flatten().topk(MOST)
        side = heat.shape[1]
        things = []
        for score, place in zip(scores.tolist(), places.tolist(), strict=True):
            if score < least:
                break
            name, row, column = place // side**2, place // side % side, place % side
            left, top, right, bottom = reach[0, row, column].tolist()
            x, y = column * STRIDE, row * STRIDE
            box = (x - left, y - top, x + right, y + bottom)
            inside = [min(1.0, max(0.0, each / SIDE)) for each in box]
            things.append(Detection(NAMES[name], score, (inside[0], inside[1], inside[2], inside[3])))
        return things


def distinct(things: Sequence[Detection], least: float) -> list[str]:
    """Names of objects of at least this score, each once, the largest first."""
    weight: dict[str, float] = {}
    for thing in things:
        if thing.score >= least:
            weight[thing.name] = max(weight.get(thing.name, 0.0), thing.score * thing.area**0.5)
    return sorted(weight, key=lambda name: -weight[name])
