import io
import math

import numpy as np
import pytest
from PIL import Image

from misc.errors import InputError, LimitError
from misc.images import decode_image, encode_image, format_of, psnr, to_rgb, upright
from tests.support.images import sample_picture as picture


def saved(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "PA", "RGBX", "La"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    source = picture()
    image = source.convert("RGBA").convert("LA").convert(mode) if mode in ("LA", "La") else None
    image = image or (source.convert("P").convert("PA") if mode == "PA" else source.convert(mode))
    result = to_rgb(image).image
    assert (result.mode, result.size) == ("RGB", source.size)
    reference = source.convert("L").convert("RGB") if mode in ("1", "L", "LA", "La") else source
    floor = 5 if mode == "1" else 15
    assert psnr(reference, result) > floor


@pytest.mark.parametrize(("mode", "dtype"), [("I;16", np.uint16), ("I", np.int32)])
def test_sixteen_bits_keep_the_high_byte(mode: str, dtype: type) -> None:
    samples = np.arange(0, 65_536, 257, dtype=dtype).reshape(16, 16)
    result = to_rgb(Image.fromarray(samples))
    assert np.array_equal(np.asarray(result.image)[..., 0].ravel(), np.arange(256))
    assert result.notices


def test_sixteen_bit_png_file() -> None:
    samples = np.linspace(0, 65_535, 64 * 48).astype(np.uint16).reshape(48, 64)
    result = decode_image(saved(Image.fromarray(samples), "PNG")).image
    assert np.abs(np.asarray(result)[..., 0] - samples / 257.0).max() <= 0.5


def test_float_samples_of_unit_range() -> None:
    result = to_rgb(Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16))).image
    assert np.array_equal(np.asarray(result)[..., 0].ravel(), np.arange(256))


@pytest.mark.parametrize(
    ("dtype", "largest", "white"),
    [
        (np.float32, 1, 1),
        (np.float32, 3, 1),
        (np.float32, 200, 255),
        (np.float32, 60_000, 65_535),
        (np.float32, 1e9, 1e9),
        (np.int32, 200, 255),
        (np.int32, 60_000, 65_535),
        (np.int32, 2**31 - 1, 2**31 - 1),
    ],
)
def test_wide_samples_are_neither_black_nor_all_white(dtype: type, largest: float, white: float) -> None:
    samples = np.linspace(-1, largest, 256).astype(dtype).reshape(16, 16)
    grey = np.asarray(to_rgb(Image.fromarray(samples)).image)[..., 0]
    assert np.abs(grey - (samples / white * 255.0).clip(0, 255)).max() <= 0.501


@pytest.mark.filterwarnings("error")
def test_samples_that_are_no_numbers_change_no_others() -> None:
    samples = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    expected = np.arange(256).reshape(16, 16)
    for place, (value, grey) in enumerate([(np.nan, 0), (-np.inf, 0), (np.inf, 255)]):
        samples[0, place], expected[0, place] = value, grey
    assert np.array_equal(np.asarray(to_rgb(Image.fromarray(samples)).image)[..., 0], expected)


@pytest.mark.parametrize(("width", "format_name"), [(16_384, "WEBP"), (65_501, "JPEG")])
def test_a_side_beyond_a_format_is_said_in_pixels(width: int, format_name: str) -> None:
    with pytest.raises(InputError, match=f"^{format_name} holds at most {width - 1} pixels a side, not {width}x1$"):
        encode_image(Image.new("RGB", (width, 1)), format_name)


def test_the_limit_that_is_told_is_the_one_that_is_passed() -> None:
    for image, words in [((65_536, 1), "65536x1 is beyond the limit of 65535 pixels a side"), ((9, 9), "of 80 pixels")]:
        with pytest.raises(LimitError, match=words):
            decode_image(saved(Image.new("RGB", image), "PNG"), max_pixels=80 if image == (9, 9) else 1 << 26)


def test_transparency_is_laid_on_white_and_said() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    result = to_rgb(image)
    assert result.image.getpixel((0, 0)) == (255, 255, 255)
    assert result.notices == ("transparency was laid on white",)
    assert to_rgb(Image.new("RGBA", (4, 4), (255, 0, 0, 255))).notices == ()


def test_palette_transparency() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    data = saved(image, "PNG", transparency=0)
    assert decode_image(data).image.getpixel((1, 1)) == (255, 255, 255)


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(picture(96, 64), "JPEG", exif=exif, quality=95)
    result = decode_image(data).image
    assert result.size == (64, 96)
    assert psnr(picture(96, 64).transpose(Image.Transpose.ROTATE_270), result) > 30


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"])
def test_formats_in(format_name: str) -> None:
    result = decode_image(saved(picture(), format_name)).image
    assert psnr(picture(), result) > 20


def test_first_frame_of_an_animation() -> None:
    frames = [picture(seed=i) for i in range(3)]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    result = decode_image(data)
    assert "only the first frame" in result.notices[0]
    assert psnr(frames[0], result.image) > 40


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.JPEG", "a.webp", "a.avif"])
def test_formats_out(name: str) -> None:
    from pathlib import Path

    format_name = format_of(Path(name))
    data = encode_image(picture(), format_name)
    again = Image.open(io.BytesIO(data))
    assert again.format == format_name
    assert psnr(picture(), again.convert("RGB")) > (30 if format_name in ("JPEG", "AVIF") else 99)


def test_other_extensions_are_refused() -> None:
    from pathlib import Path

    for name in ("a.bmp", "a"):
        with pytest.raises(InputError, match=r"\.png"):
            format_of(Path(name))


@pytest.mark.parametrize("data", [b"", b"no picture", saved(picture(), "PNG")[:200], saved(picture(), "JPEG")[:300]])
def test_damage_is_one_sentence(data: bytes) -> None:
    with pytest.raises(InputError, match="image"):
        decode_image(data)


def test_psnr_of_known_error() -> None:
    black, grey = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), (16, 16, 16))
    assert psnr(black, grey) == pytest.approx(10 * math.log10(255**2 / 256))
    assert psnr(black, black) == math.inf


def test_damaged_exif_data_are_ignored() -> None:
    data = saved(picture(96, 64), "PNG", exif=b"Exif\0\0garbage garbage")
    assert decode_image(data).image.size == (96, 64)
    assert decode_image(data).notices == ("the EXIF data are damaged and were ignored",)
    assert upright(Image.open(io.BytesIO(data))).size == (96, 64)


def test_the_limit_is_ours_and_not_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode_image(saved(picture(96, 64), "PNG"), max_pixels=96 * 64).image.size == (96, 64)
    assert Image.MAX_IMAGE_PIXELS == 1000
