"""Describer, CLIP and locator of the embedded profile: the real classes, randomly initialised."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from misc.bits.text.description import Description, Item
from misc.bits.text.language_model import load_model
from misc.codec import Codec
from misc.configs import build
from misc.errors import WeightsError
from misc.models.clip.embedded import ClipHeads, load_clip_heads
from misc.models.describer import embedded as describer_embedded
from misc.models.describer.embedded import EmbeddedDescriber, read_items
from misc.models.describer.naming import Sight, sight_of
from misc.models.describer.network import DescriberNetwork, load_describer
from misc.models.locator import maps_of, threshold
from misc.models.towers.detector import Detection
from misc.models.towers.tagger import read_names
from misc.models.towers.vision import PATCH, WIDTH, to_input
from misc.models.towers.vit import VisionTransformer
from misc.profiles import load_profile

PULLED = all(load_profile().packages[name].path.is_file() for name in ("vit", "minilm", "efficientnet"))


@functools.cache
def describer() -> EmbeddedDescriber:
    torch.manual_seed(0)
    vocabulary = load_model(load_profile().small_language_model.path).vocabulary
    return EmbeddedDescriber(
        VisionTransformer(WIDTH, layers=1, heads=6, patch=PATCH, positions=37).eval(),
        build(DescriberNetwork, "describer").eval(),
        vocabulary,
    )


def test_the_input_is_stretched_and_normalised() -> None:
    pixels = to_input(Image.new("RGB", (50, 20), (124, 116, 104)), 4, 6)
    assert pixels.shape == (3, 56, 84)
    torch.testing.assert_close(pixels, torch.zeros_like(pixels), atol=0.02, rtol=0)


def test_random_weights_still_give_a_description(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describer_embedded, "BREVITY", 1.0)  # to them one token of no letters is the likeliest caption
    found = describer().describe(Image.new("RGB", (64, 48), "red"), items=2)
    assert isinstance(found, Description)
    assert len(found.overall.split()) <= 50
    assert len(found.items) <= 2
    assert describer().describe(Image.new("RGB", (64, 48), "red"), items=2) == found


class Liking:
    """In place of CLIP: finds one text like the picture, all others alike unlike it."""

    def __init__(self, liked: str) -> None:
        self.liked = liked

    def look(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(len(patches), 1), torch.zeros(0)

    def embed_texts(self, texts: list[str]) -> torch.Tensor:
        assert all(text.strip() for text in texts)
        return torch.tensor([[1.0 if text == self.liked else -1.0] for text in texts])


def test_of_likely_wholes_the_one_most_like_the_picture_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    own = describer()
    patches = torch.zeros(16, 16, WIDTH)
    with torch.no_grad():
        seen = own.model.look(patches[None])
        likely = own._likeliest(seen, [own.prompts.terminator], own.prompts.line_break, 40, 12, beams=12, brevity=0.5)
    assert 1 < len(likely) <= 12
    assert [score for score, _ in likely] == sorted((score for score, _ in likely), reverse=True)
    texts = [text for text in (own._text(tokens) for _, tokens in likely) if text.strip()]
    monkeypatch.setattr(describer_embedded, "AGREEMENT", 1000.0)
    for liked in texts[:1] + texts[-1:]:
        monkeypatch.setattr(own, "clip", Liking(liked))
        assert own.describe_patches(patches).overall == " ".join(liked.split())
    monkeypatch.setattr(describer_embedded, "AGREEMENT", 0.0)
    assert own.describe_patches(patches).overall == " ".join(texts[0].split())
    monkeypatch.setattr(own, "clip", None)
    assert own.describe_patches(patches).overall == " ".join(texts[0].split())


def test_text_tasks_answer_in_text(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def say(_: object, spoken: list[int], *rest: object, **more: object) -> list[int]:
        asked.append(describer()._text(spoken))
        return describer().vocabulary.encode(" red dog, none, ball")

    assert isinstance(describer().words("dg"), str)
    monkeypatch.setattr(describer(), "_say", lambda seen, spoken, end, limit, beams: say(seen, spoken))
    assert describer().words("rd dg") == "red dog, none, ball"
    assert describer().differences(Description("a dog"), Description("a cat")) == ["red dog", "ball"]
    assert asked[0].endswith("words: rd dg\n")
    assert asked[1].endswith("differences: a dog\na cat\n")


def sight(things: list[Detection], **shares: float) -> Sight:
    """What is seen: things of the detector, and of the tagger's classes these, by their most special names."""
    classes = [next(iter(chain)) for chain in read_names()]
    found = np.zeros(len(classes))
    for name, share in shares.items():
        found[classes.index(name)] = share
    return sight_of(things, found)


def test_tags_come_first_then_things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describer_embedded, "BREVITY", 1.0)
    patches = torch.zeros(16, 16, WIDTH)
    things = [
        Detection("person", 0.9, (0, 0, 1, 1)),
        Detection("cup", 0.8, (0, 0, 0.1, 0.1)),
        Detection("dog", 0.1, (0, 0, 1, 1)),
    ]
    found = describer().describe_patches(patches, 3, sight(things, castle=0.9))
    assert [item.name for item in found.items] == ["castle", "person", "cup"]
    assert all(len(item.detail.split()) <= 10 for item in found.items)
    assert [item.name for item in describer().describe_patches(patches, 1, sight(things)).items] == ["person"]


def test_where_nothing_is_sure_the_probable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describer_embedded, "BREVITY", 1.0)
    things = [Detection("cat", 0.25, (0, 0, 1, 1)), Detection("cup", 0.21, (0, 0, 0.1, 0.1))]
    monkeypatch.setattr(describer_embedded, "read_items", lambda text, most: [])
    names = [item.name for item in describer().describe_patches(torch.zeros(16, 16, WIDTH), 3, sight(things)).items]
    assert names == ["cat"]


def saying(monkeypatch: pytest.MonkeyPatch, *captions: str) -> EmbeddedDescriber:
    """A describer that knows these captions, the likeliest first, and nothing of their items."""
    own = describer()
    said = [(-float(place) / 10, own.vocabulary.encode(text)) for place, text in enumerate(captions)]
    monkeypatch.setattr(own, "_likeliest", lambda *rest, **more: said)
    monkeypatch.setattr(own, "_say", lambda *rest, **more: [])
    return own


def test_nobody_is_named_who_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own, patches = saying(monkeypatch, "A woman in red", "A red hat on a wall"), torch.zeros(16, 16, WIDTH)
    assert own.describe_patches(patches).overall == "A woman in red"
    assert own.describe_patches(patches, 3, sight([])).overall == "A red hat on a wall"
    assert own.describe_patches(patches, 3, sight([Detection("person", 0.5, (0, 0, 1, 1))])).overall == "A woman in red"


def test_without_a_caption_that_agrees_the_whole_is_of_sure_names(monkeypatch: pytest.MonkeyPatch) -> None:
    own, patches = saying(monkeypatch, "A woman in red", "A dog runs"), torch.zeros(16, 16, WIDTH)
    found = own.describe_patches(patches, 3, sight([Detection("umbrella", 0.6, (0, 0, 1, 1))], macaw=0.9))
    assert found.overall == "A macaw and an umbrella"
    assert [item.name for item in found.items] == ["macaw", "umbrella"]
    assert own.describe_patches(patches, 3, sight([])).overall == "A woman in red"  # there is nothing better to say


def test_the_captioners_items_need_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    own = saying(monkeypatch, "A dog runs")
    items = [Item("dog", "brown"), Item("man", "old"), Item("grass", "green")]
    monkeypatch.setattr(describer_embedded, "read_items", lambda text, most: items)
    seen = sight([Detection("dog", 0.3, (0, 0, 1, 1)), Detection("person", 0.1, (0, 0, 1, 1))])
    assert own.describe_patches(torch.zeros(16, 16, WIDTH), 3, seen).items == (Item("dog", "brown"),)
    monkeypatch.setattr(own, "clip", Liking("grass"))
    assert own.describe_patches(torch.zeros(16, 16, WIDTH), 3, seen).items == (Item("dog", "brown"), items[2])


def test_one_beam_is_greedy() -> None:
    model, vocabulary = describer().model, describer().vocabulary
    seen = torch.zeros(1, 0, 256)
    spoken = vocabulary.encode("A dog")
    found = describer()._say(seen, spoken, end=0, limit=5, beams=1)
    expected: list[int] = []
    with torch.no_grad():
        for _ in found:
            logits = model.language(torch.tensor([[*spoken, *expected]]))[0, -1]
            logits[0] = -torch.inf
            expected.append(int(logits.argmax()))
    assert found == expected


def test_items_keep_to_their_limits() -> None:
    text = "dog\nbrown\ndog\nagain\n\nnothing\na very long name here\n" + "word " * 20 + "\ncat"
    items = read_items(text, 3)
    assert [item.name for item in items] == ["dog", "a very long", "cat"]
    assert items[0].detail == "brown"
    assert len(items[1].detail.split()) == 10


def test_weights_come_back(tmp_path: Path) -> None:
    path = tmp_path / "describer.safetensors"
    state = {name: value.bfloat16().contiguous() for name, value in describer().model.state_dict().items()}
    state.pop("language.lm_head.weight")
    save_file(state, path)
    loaded = load_describer(path)
    patches = torch.randn(1, 16, 16, WIDTH)
    torch.testing.assert_close(loaded.look(patches), describer().model.look(patches), atol=0.1, rtol=0.1)
    assert loaded.language.lm_head.weight is loaded.language.model.embed_tokens.weight
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="damaged"):
        load_describer(path)
    with pytest.raises(WeightsError, match="missing"):
        load_describer(tmp_path / "nothing")


def test_clip_embeddings_have_length_one(tmp_path: Path) -> None:
    heads = build(ClipHeads, "clip-heads").eval()
    image, dense = heads.look(torch.randn(2, 16, 16, WIDTH))
    assert image.shape == (2, 256)
    assert dense.shape == (2, 16, 16, 256)
    torch.testing.assert_close(dense.norm(dim=-1), torch.ones(2, 16, 16))
    torch.testing.assert_close(heads.encode_text(torch.randn(3, WIDTH)).norm(dim=-1), torch.ones(3))
    save_file({name: value.half().contiguous() for name, value in heads.state_dict().items()}, tmp_path / "clip")
    assert load_clip_heads(tmp_path / "clip").encode_image(torch.zeros(1, 4, 4, WIDTH)).shape == (1, 256)
    with pytest.raises(WeightsError):
        load_clip_heads(tmp_path / "nothing")


def test_a_map_lies_where_its_name_is_alike() -> None:
    dense = functional.normalize(torch.randn(16, 16, 8) * 0.1 + torch.eye(8)[0], dim=-1)
    dense[:8, 8:] = torch.eye(8)[1]
    dense[12:, :4] = torch.eye(8)[2]
    masks = maps_of(dense, torch.eye(8)[1:3], (300, 200), 8).masks
    assert masks.shape == (2, 8, 12)
    assert masks[0][:4, 6:].all()
    assert not masks[0][5:].any()
    assert not masks[0][:, :5].any()
    assert masks[1][6:, :3].all()
    assert not masks[1][:5].any()


def test_a_cell_is_set_from_a_third_between_the_mean_and_the_highest() -> None:
    values = np.array([[0.0, 0.0, 0.45, 0.55, 1.0]], np.float32)  # mean 0.4, level 0.61
    assert threshold(values).tolist() == [[False, False, False, False, True]]
    assert threshold(values + np.array([0, 0, 0, 0.2, 0])).tolist() == [[False, False, False, True, True]]


def test_a_flat_map_is_empty() -> None:
    assert not threshold(np.ones((4, 4), np.float32)).any()


@pytest.mark.skipif(not PULLED, reason="needs the packages of `misc pull`")
def test_a_picture_is_seen_whole() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 160, 3), np.uint8))
    codec = Codec()
    description, maps = codec.see(picture)
    assert description.overall
    assert len(description.items) <= 3
    assert codec.semantics.embedded_describer.describe(picture) == description
    if maps is not None:
        assert maps.masks.shape == (len(description.items), 8, 13)
        again = codec.semantics.locate(picture, description)
        assert again is not None
        assert (again.masks == maps.masks).mean() > 0.98
