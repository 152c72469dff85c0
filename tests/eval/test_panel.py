import math

import pytest
import torch
from PIL import ImageFilter

from misc.codec import Codec
from misc.errors import InputError
from misc.eval.metrics import Panel, Reference, StLpips
from misc.eval.metrics.vision import Vision
from misc.models.towers.look import Look
from misc.profiles import load_profile
from tests.support.images import sample_picture
from tests.support.semantics import semantics

PULLED = all(load_profile().packages[name].path.is_file() for name in ("vit", "minilm"))


@pytest.fixture(scope="module")
def panel() -> Panel:
    return Panel(semantics())


def test_an_image_is_like_itself(panel: Panel) -> None:
    image = sample_picture(128, 96)
    figures = panel.compare(image, image.copy())
    assert figures == {
        "psnr": math.inf,
        "st_lpips": pytest.approx(0, abs=1e-6),
        "vit_patch": pytest.approx(1, abs=1e-4),
        "vit_mean": pytest.approx(1, abs=1e-4),
        "clip": pytest.approx(1, abs=1e-4),
    }


def test_every_figure_falls_with_blur(panel: Panel) -> None:
    image = sample_picture(128, 96)
    slight, strong = (panel.compare(image, image.filter(ImageFilter.GaussianBlur(r))) for r in (1, 6))
    for name in ("psnr", "vit_patch", "vit_mean", "clip"):
        assert slight[name] > strong[name], name
    assert slight["st_lpips"] < strong["st_lpips"]


def test_what_is_kept_of_the_original_is_of_this_original(panel: Panel) -> None:
    first, second = sample_picture(128, 96), sample_picture(128, 96, seed=1)
    panel.compare(first, second)
    assert panel.compare(second, second)["psnr"] == math.inf
    assert panel.compare(second, second)["clip"] == pytest.approx(1, abs=1e-4)
    assert panel.compare(first, second)["st_lpips"] == Reference(first, StLpips()).measure(second)["st_lpips"]


def test_images_of_two_sizes_are_refused(panel: Panel) -> None:
    with pytest.raises(InputError, match="128x96 and 96x128"):
        panel.compare(sample_picture(128, 96), sample_picture(96, 128))


def test_content_heeds_no_places_and_structure_does() -> None:
    patches = torch.randn(16, 16, 384)
    moved = Look(patches.roll(3, 0), torch.zeros(256))
    look = Look(patches, torch.zeros(256))
    assert look.content(moved) == pytest.approx(1, abs=1e-5)
    assert abs(look.structure(moved)) < 0.1
    assert look.structure(Look(-patches, torch.zeros(256))) == pytest.approx(-1, abs=1e-5)


def test_a_look_is_compared_with_texts_by_clip() -> None:
    vision = Vision(semantics())
    look, texts = vision.look(sample_picture()), vision.embed_texts(["a cat", "a house"])
    assert look.of_text(texts[0]) == pytest.approx(float(look.embedding @ texts[0]))
    assert look.of_text(texts[0]) != look.of_text(texts[1])


@pytest.mark.skipif(not PULLED, reason="needs the packages of `misc pull`")
def test_the_panel_runs_on_the_embedded_profile() -> None:
    image = sample_picture(160, 96)
    figures = Panel(Codec().semantics).compare(image, image.filter(ImageFilter.GaussianBlur(2)))
    assert 0.3 < figures["clip"] < 1
    assert figures["vit_patch"] < figures["vit_mean"] < 1
