"""Edges in the pixel stream's picture, as a second control: the detectors of controlnet-aux."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import WeightsError

__all__ = ["edges"]

Pixels = npt.NDArray[np.uint8]
HED = "ControlNetHED.pth"


def edges(kind: str, picture: Pixels, detector: Path | None = None) -> Pixels:
    """Edges, (H, W, 3) uint8, of a picture of that shape.

    Args:
        kind: `canny`, which needs no weights, or `hed`. detector: the folder of ControlNetHED.pth.

    Raises:
        WeightsError: controlnet-aux or the detector's weights are not here, or there is no such detector.
    """
    height, width, _ = picture.shape
    side = min(height, width)
    try:
        if kind == "canny":
            from controlnet_aux.canny import CannyDetector

            found = CannyDetector()(picture, detect_resolution=side, image_resolution=side, output_type="np")
        elif kind == "hed":
            from controlnet_aux.hed import HEDdetector

            if detector is None or not (detector / HED).is_file():
                raise WeightsError(f"{HED}, which finds soft edges, is not here")
            hed = HEDdetector.from_pretrained(str(detector))
            found = hed(picture, detect_resolution=side, image_resolution=side, output_type="np")
        else:
            raise WeightsError(f"there is no detector of {kind!r} edges")
    except ImportError as error:
        raise WeightsError("controlnet-aux, which finds edges, is not installed") from error
    resized: Pixels = np.asarray(Image.fromarray(found).resize((width, height), Image.Resampling.BILINEAR))
    return resized
