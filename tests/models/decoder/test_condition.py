"""What ControlNets and the noised start see of the pixel stream: the draft, or the draft drawn sharp first."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from misc.bits.pixels.latents import PixelLatents
from misc.bits.streams import Streams
from misc.bits.text.description import Description
from misc.decoder_profile import Control, DecoderProfile, HubPart, Sampling
from misc.errors import InputError
from misc.eval.random_parts import random_parts, save
from misc.models.decoder.decoder import Decoder, Scene
from misc.models.decoder.upsampler import Upsampler
from misc.models.decoder.upsampler_weights import save_upsampler
from misc.models.decoder.weights import load_decoder
from misc.profiles import load_profile, profile_names
from tests.support.images import sample_picture

SAMPLING = Sampling(1, strength=0.5)
DRAFT = np.asarray(sample_picture(32, 24))
LATENTS = PixelLatents(150, np.zeros((1, 1, 1), np.int32), np.zeros((1, 1, 1), np.int32))
PIXELS = Streams(32, 24, 5, pixels=LATENTS)


class Negative:
    """Stands for an upsampler; notes what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def draw(self, draft: np.ndarray, quality: int, seed: int) -> np.ndarray:
        self.told.append((quality, seed))
        return 255 - draft


def decoder_of(sharpener: object = None) -> Decoder:
    return Decoder(random_parts("tiny"), SAMPLING, sharpener=sharpener, native=32, tile=64)  # type: ignore[arg-type]


def test_controlnet_and_start_see_the_upsampled_draft_and_colours_follow_the_draft() -> None:
    negative = Negative()
    upsampled, plain = decoder_of(negative), decoder_of()
    ours, _ = upsampled.latents([Scene(PIXELS, DRAFT)], SAMPLING)
    expected, _ = plain.latents([Scene(PIXELS, 255 - DRAFT)], SAMPLING)
    torch.testing.assert_close(ours, expected)
    assert negative.told == [(150, 5)]
    drawn = upsampled.draw(Scene(PIXELS, DRAFT))
    assert np.abs(drawn.mean((0, 1)) - DRAFT.mean((0, 1))).max() < 16


def test_a_file_without_pixels_begins_from_noise() -> None:
    negative = Negative()
    scene = Scene(Streams(32, 24, 5, Description("a yard")))
    drawn = decoder_of(negative).draw(scene)
    assert negative.told == []
    np.testing.assert_array_equal(drawn, decoder_of().draw(scene))


def test_a_draft_of_unknown_quality_is_refused() -> None:
    with pytest.raises(InputError, match="quality of a draft"):
        decoder_of(Negative()).draw(Scene(Streams(32, 24), DRAFT))


def test_the_profile_chooses(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_upsampler(Upsampler(features=8, growth=4, blocks=1), tmp_path / "upsampler.safetensors")
    save(random_parts("tiny"), tmp_path)
    base = HubPart(str(tmp_path), "none")
    table = DecoderProfile(base, SAMPLING, (Control(dataclasses.replace(base, subfolder="controlnet")),), tile=64)
    known = load_profile("sd15-tile")
    assert known.cascade is not None
    cascade = dataclasses.replace(known.cascade, upsampler=str(tmp_path / "upsampler.safetensors"))
    drawn = {}
    for condition in ("draft", "upsampled"):
        profile = dataclasses.replace(known, cascade=cascade, decoder=dataclasses.replace(table, condition=condition))
        drawn[condition] = load_decoder(profile).draw(Scene(PIXELS, DRAFT))
    np.testing.assert_array_equal(drawn["draft"], decoder_of().draw(Scene(PIXELS, DRAFT)))
    assert (drawn["upsampled"] != drawn["draft"]).mean() > 0.1
    with pytest.raises(InputError, match="no condition 'sharp'"):
        dataclasses.replace(table, condition="sharp")


@pytest.mark.parametrize("name", [name for name in profile_names() if name != "embedded"])
def test_hub_profiles_restore_first(name: str) -> None:
    profile = load_profile(name)
    assert profile.decoder is not None
    assert profile.decoder.condition == "upsampled"
    assert profile.cascade == load_profile("embedded").cascade
