"""Edges in a draft, as a second control: the detectors of controlnet-aux."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...errors import WeightsError
from ...weights.safe import refusing
from ..image_tensors import Pixels
from .pickles import load_pickle

__all__ = ["edges"]

HED = "ControlNetHED.pth"


def edges(kind: str, image: Pixels, detector: Path | None = None) -> Pixels:
    """Edges, (H, W, 3) uint8, of an image of that shape.

    Args:
        kind: `canny`, which needs no weights, or `hed`.
        detector: the folder of ControlNetHED.pth.

    Raises:
        WeightsError: controlnet-aux or the detector's weights are not here, or there is no such detector.
    """
    height, width, _ = image.shape
    side = min(height, width)
    try:
        if kind == "canny":
            from controlnet_aux.canny import CannyDetector

            drawing = CannyDetector()(image, detect_resolution=side, image_resolution=side, output_type="np")
        elif kind == "hed":
            if detector is None or not (detector / HED).is_file():
                raise WeightsError(f"{HED}, which finds soft edges, is not here")
            drawing = load_hed(detector)(image, detect_resolution=side, image_resolution=side, output_type="np")
        else:
            raise WeightsError(f"there is no detector of {kind!r} edges")
    except ImportError as error:
        raise WeightsError("controlnet-aux, which finds edges, is not installed") from error
    resized: Pixels = np.asarray(Image.fromarray(drawing).resize((width, height), Image.Resampling.BILINEAR))
    return resized


@functools.lru_cache(maxsize=1)
def load_hed(folder: Path) -> Any:
    """controlnet-aux's HED, loaded once a process.

    Raises:
        WeightsError: the file is damaged or holds more than tensors.
        ImportError: controlnet-aux is not installed.
    """
    from controlnet_aux.hed import ControlNetHED_Apache2, HEDdetector

    network, state = ControlNetHED_Apache2(), load_pickle(folder / HED)
    with refusing(folder / HED, "HED"):
        network.load_state_dict(state)
    return HEDdetector(network.float().eval())
