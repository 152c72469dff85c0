"""Regions: all in one pass of attention, or an item at a time as MISC does it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import Streams
from misc.bits.text.description import Description, Item
from misc.decoder_profile import Sampling
from misc.eval.random_parts import random_parts
from misc.models.decoder.decoder import Decoder, Scene
from misc.models.decoder.denoiser import Denoiser, Guide, predictor
from misc.models.decoder.regional_attention import planes_of, prompt_of, stack_prompts
from tests.support.images import sample_picture

TEXT = Description("a yard", (Item("cat", "grey"), Item("dog")))
DRAFT = np.asarray(sample_picture(64, 32))


def test_one_region_over_everything_is_plain_attention() -> None:
    """Keys of the whole and of the item side by side, as diffusers' own attention takes them."""
    torch.manual_seed(0)
    text, plain = random_parts("tiny").text, random_parts("tiny").unet
    whole, item = prompt_of(text, "a yard"), prompt_of(text, "a yard", ["cat, grey"])
    states = item.states[:, : len(item.plane[0])]
    everywhere = planes_of(RegionMaps(np.ones((1, 4, 8), bool)), 1, (8, 16), (8, 16))
    latents = torch.randn(1, 4, 8, 16)
    guide = Guide(stack_prompts([item]), everywhere, [])
    predict = predictor(Denoiser(random_parts("tiny").unet), guide, levels=2, tile=64, overlap=8, dtype=torch.float32)
    with torch.no_grad():
        ours = predict(latents, torch.tensor(500))
        torch.testing.assert_close(ours, plain(latents, 500, states).sample, atol=1e-5, rtol=0)
        assert (ours - plain(latents, 500, whole.states).sample).abs().max() > 1e-3


def maps(*, overlapping: bool = False) -> RegionMaps:
    """The first item left, the second right, or the second everywhere."""
    masks = np.zeros((2, 4, 8), np.bool_)
    masks[0, :, :3] = masks[1, :, 5:] = True
    masks[1] |= overlapping
    return RegionMaps(masks)


@pytest.fixture
def sequence(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[torch.Tensor, list[tuple[int, int, int]]]]:
    """Latents before the last pass, where item k is drawn as k + 1; and stream, steps and keys of every pass."""

    def latents(regions: RegionMaps, draft: np.ndarray | None) -> tuple[torch.Tensor, list[tuple[int, int, int]]]:
        decoder = Decoder(random_parts("tiny"), Sampling(20, fusion="sequential"), native=64, tile=64)
        passes: list[tuple[int, int, int]] = []
        starts: list[torch.Tensor | None] = []

        def draw(guide: Guide, seeds: object, start: object, sampling: object, steps: int, *_: object, stream: int = 0):
            passes.append((stream, steps, guide.prompt.states.shape[1]))
            starts.append(start)  # type: ignore[arg-type]
            return torch.full((1, 4, *guide.planes.shape[2:]), float(stream))

        monkeypatch.setattr(decoder, "_sample", draw)
        scene = Scene(Streams(64, 32, 3, TEXT, regions), draft)
        decoder.latents([scene], decoder.sampling)
        assert starts[-1] is not None
        return starts[-1], passes

    return latents


def test_items_are_pasted_where_their_masks_are(sequence: Callable[..., tuple]) -> None:
    start, passes = sequence(maps(), None)
    assert start.shape == (1, 4, 16, 32)
    left, middle, right = start[..., :10], start[..., 14:18], start[..., 22:]
    assert (left == 1).all()
    assert (right == 2).all()
    assert (middle == 0).all()
    assert [each[:2] for each in passes] == [(0, 20), (1, 2), (2, 2), (0, 20)]


def test_a_later_item_lies_over_an_earlier_one(sequence: Callable[..., tuple]) -> None:
    start, _ = sequence(maps(overlapping=True), None)
    assert (start == 2).all()


def test_with_pixels_what_no_mask_covers_is_the_draft(sequence: Callable[..., tuple]) -> None:
    start, passes = sequence(maps(), DRAFT)
    other, _ = sequence(maps(), 255 - DRAFT)
    assert [each[:2] for each in passes] == [(1, 2), (2, 2), (0, 20)]
    assert (start[..., :10] == 1).all()
    assert (start[..., 22:] == 2).all()
    assert (start[..., 14:18] != other[..., 14:18]).any()


def test_each_item_is_drawn_by_its_own_words(sequence: Callable[..., tuple]) -> None:
    """Only the whole window of one text is shown: items' keys are not beside it."""
    _, passes = sequence(maps(), DRAFT)
    assert [keys for _, _, keys in passes] == [77, 77, 77]
