import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import misc
import misc.pillow
from misc.bits import container, streams
from misc.bits.text.description import Description
from misc.errors import BudgetError
from misc.profiles import load_profile
from tests.support.images import sample_picture as picture


def test_save_and_open(tmp_path: Path) -> None:
    path = tmp_path / "a.misc"
    picture(96, 64).save(path, mode="pixel", quality=120, seed=5)
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode, image.info["sections"]) == ("MISC", (96, 64), "RGB", ["pixels"])
        assert np.array_equal(np.asarray(image), np.asarray(misc.decode(path.read_bytes())))


def test_the_codecs_error_is_the_cause(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="smallest file") as caught:
        picture(96, 64).save(tmp_path / "a.misc", max_bytes=3)
    assert isinstance(caught.value.__cause__, BudgetError)


@pytest.mark.parametrize("data", [b"", b"\xb5", b"\xb5\x04abc", b"\xb5\xffabc"])
def test_other_files_are_not_taken(data: bytes) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(data))


def test_pillows_own_limit_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.misc"
    picture(96, 64).save(path, mode="pixel", quality=120)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    path = tmp_path / "coded.misc"
    picture(96, 64).save(path, mode="pixel", quality=120)
    return path


def with_damage(text: str = "a grey cat") -> bytes:
    """A file of text whose check of symbols is wrong, and whose checksum is right."""
    content = streams.Streams(96, 64, text=Description(text))
    whole = bytearray(streams.encode(content, load_profile().exact_models))
    whole[-2] ^= 1
    whole[-1] = container.crc8(whole[:-1], container.FILE_CRC)
    return bytes(whole)


def test_damage_is_pillows_error(tmp_path: Path) -> None:
    path = tmp_path / "a.misc"
    path.write_bytes(with_damage())
    with Image.open(path) as image, pytest.raises(OSError, match="text stream"):
        image.load()
    with Image.open(path) as image, pytest.raises(OSError, match="text stream"):
        image.verify()


def test_a_file_is_closed_once_it_is_drawn(coded: Path) -> None:
    image = Image.open(coded)
    opened = image.fp
    assert opened is not None
    image.load()
    assert opened.closed
    with coded.open("rb") as file:
        Image.open(file).load()
        assert not file.closed  # it is its owner's


def test_a_whole_file_is_verified(coded: Path) -> None:
    with Image.open(coded) as image:
        image.verify()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"bbp": 0.02}, TypeError, "bpp, .*not bbp"),
        ({"optimize": True, "bpp": 1}, TypeError, "not optimize"),
        ({"mode": "jpeg"}, ValueError, "mode"),
        ({"quality": 300}, ValueError, "quality"),
        ({"max_bytes": 3}, OSError, "smallest file"),
    ],
)
def test_wrong_options_are_said(tmp_path: Path, options: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        picture(96, 64).save(tmp_path / "a.misc", **options)
    assert not (tmp_path / "a.misc").exists()


def test_the_size_is_read_without_torch(coded: Path) -> None:
    script = (
        "import sys, misc.pillow\nfrom PIL import Image\n"
        f"image = Image.open({str(coded)!r}); assert image.size == (96, 64); image.verify()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_pillows_limit_may_be_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = streams.encode(streams.Streams(20_000, 10_000, text=Description("a cat")), load_profile().exact_models)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (20_000, 10_000)
        image.verify()
