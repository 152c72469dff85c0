"""Colours of other profiles come in as sRGB, and what goes out says that it is sRGB."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from misc.colour import srgb_profile, to_srgb
from misc.images import FORMATS, decode_image, encode_image, to_rgb
from tests.support.images import sample_picture
from tests.support.profiles import cmyk, display_p3

P3_TO_SRGB = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])  # of linear light


def saved(image: Image.Image, format_name: str, profile: bytes) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, icc_profile=profile)
    return buffer.getvalue()


def linear(samples: np.ndarray) -> np.ndarray:
    v = samples / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def gamma(light: np.ndarray) -> np.ndarray:
    v = np.clip(light, 0, 1)
    return 255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_display_p3_becomes_srgb(format_name: str) -> None:
    source = sample_picture()
    expected = gamma(linear(np.asarray(source)) @ P3_TO_SRGB.T)
    picture = decode_image(saved(source, format_name, display_p3()))
    assert np.abs(np.asarray(picture.image) - expected).max() <= 2
    assert np.abs(np.asarray(source) - expected).max() > 10
    assert picture.notices == ()


def test_transparency_is_kept_beside_the_colours() -> None:
    source = sample_picture()
    clear = source.copy()
    clear.putalpha(Image.linear_gradient("L").resize(source.size))
    converted, _ = to_srgb(clear, display_p3())
    plain, _ = to_srgb(source, display_p3())
    assert converted.mode == "RGBA"
    assert converted.getchannel("A").tobytes() == clear.getchannel("A").tobytes()
    assert converted.convert("RGB").tobytes() == plain.tobytes()


@pytest.mark.parametrize(("inks", "lightness"), [((0, 0, 0, 0), 100), ((0, 0, 0, 255), 20), ((255, 255, 0, 0), 50)])
def test_inks_become_what_they_look_like(inks: tuple[int, ...], lightness: int) -> None:
    image = Image.new("CMYK", (32, 32), inks)
    light = ((lightness + 16) / 116) ** 3
    picture = decode_image(saved(image, "TIFF", cmyk()))
    assert np.abs(np.asarray(picture.image) - gamma(np.array(light))).max() <= 3
    assert picture.notices == ()


def test_inks_in_jpeg() -> None:
    picture = decode_image(saved(Image.new("CMYK", (32, 32), (255, 255, 0, 0)), "JPEG", cmyk()))
    assert abs(int(np.asarray(picture.image)[0, 0, 0]) - 119) <= 4  # the grey of L* 50


def test_srgb_is_not_touched() -> None:
    source = sample_picture()
    for profile in (srgb_profile(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        assert decode_image(saved(source, "PNG", profile)).image.tobytes() == source.tobytes()


@pytest.mark.parametrize("profile", [b"x", b"no profile" * 40, srgb_profile()[:200], b"\0" * 128])
def test_a_broken_profile_is_a_notice(profile: bytes) -> None:
    source = sample_picture()
    picture = decode_image(saved(source, "PNG", profile))
    assert picture.notices == ("the colour profile is damaged and was ignored",)
    assert picture.image.tobytes() == source.tobytes()


def test_a_profile_of_other_colours_is_a_notice() -> None:
    for image in (sample_picture(), sample_picture().convert("L")):
        image.info["icc_profile"] = cmyk()
        assert to_rgb(image).notices == ("the colour profile is of another kind of colours and was ignored",)


def test_mutated_profiles_are_no_fault() -> None:
    draw = np.random.default_rng(0)
    for whole in (display_p3(), cmyk()):
        for _ in range(150):
            data = bytearray(whole)
            for at in draw.integers(0, len(data), 3):
                data[at] = draw.integers(256)
            to_srgb(Image.new("CMYK" if whole == cmyk() else "RGB", (8, 8)), bytes(data))


@pytest.mark.parametrize("format_name", sorted(set(FORMATS.values())))
def test_what_is_written_says_srgb(format_name: str) -> None:
    data = encode_image(sample_picture(), format_name)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == srgb_profile()
    assert data == encode_image(sample_picture(), format_name)
