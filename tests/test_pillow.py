import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import misc
import misc.pillow
from misc.errors import BudgetError
from tests.support.images import sample_picture as picture


def test_save_and_open(tmp_path: Path) -> None:
    path = tmp_path / "a.misc"
    picture(96, 64).save(path, quality=120, seed=5)
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode, image.info["sections"]) == ("MISC", (96, 64), "RGB", ["pixels"])
        assert np.array_equal(np.asarray(image), np.asarray(misc.decode(path.read_bytes())))


def test_the_codecs_errors_come_through(tmp_path: Path) -> None:
    with pytest.raises(BudgetError):
        picture(96, 64).save(tmp_path / "a.misc", max_bytes=3)


@pytest.mark.parametrize("data", [b"", b"\xb5", b"\xb5\x04abc", b"\xb5\xffabc"])
def test_other_files_are_not_taken(data: bytes) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(data))


def test_pillows_own_limit_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.misc"
    picture(96, 64).save(path, quality=120)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
