"""The tagger: hedged names, its table, and its weights in timm's network."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from misc.errors import WeightsError
from misc.models.towers.tagger import CLASSES, Tag, Tagger, hedge, load_tagger, middle, read_names, to_input
from misc.profiles import load_profile

TABLE = [["macaw", "parrot", "bird"], ["cockatoo", "parrot", "bird"], ["owl", "bird"], ["pasta", "food"]]
PACKAGE = load_profile().packages["efficientnet"]


@pytest.mark.parametrize(
    ("shares", "wanted"),
    [
        ([0.8, 0.1, 0.05, 0.05], [("macaw", 0.8, 1)]),
        ([0.4, 0.4, 0.1, 0.1], [("parrot", 0.8, 2)]),
        ([0.3, 0.1, 0.4, 0.2], [("bird", 0.8, 3)]),
        ([0.25, 0.25, 0.25, 0.25], [("bird", 0.75, 3)]),
        ([0.2, 0.2, 0.15, 0.45], []),
    ],
)
def test_the_most_special_name_that_is_sure_enough(shares: list[float], wanted: list[tuple[str, float, int]]) -> None:
    found = hedge(np.array(shares), TABLE, 0.6)
    assert [(tag.name, pytest.approx(tag.share), tag.classes) for tag in found] == wanted


def test_names_of_two_things_are_both_there_the_surer_first() -> None:
    found = hedge(np.array([0.3, 0.1, 0.0, 0.6]), TABLE, 0.35)
    assert [tag.name for tag in found] == ["pasta", "parrot"]


def test_the_table_has_short_everyday_names_from_special_to_general() -> None:
    names = read_names()
    assert len(names) == CLASSES
    assert names[88] == ["macaw", "parrot", "bird", "animal"]
    assert names[437] == ["lighthouse", "tower", "building"]
    assert names[959] == ["pasta", "food"]
    assert names[970] == ["mountain"]
    assert {tuple(chain) for chain in names[151:269]} == {("dog", "animal")}
    for chain in names:
        assert chain
        assert len(set(chain)) == len(chain)
        assert all(1 <= len(name.split()) <= 3 and name.isprintable() for name in chain)


def test_of_two_names_the_more_general_stands_after_in_all_chains() -> None:
    after = {(a, b) for chain in read_names() for i, a in enumerate(chain) for b in chain[i + 1 :]}
    assert not [pair for pair in after if pair[::-1] in after]


def test_the_input_is_scaled_as_the_network_has_learned_it() -> None:
    assert to_input(Image.new("RGB", (30, 20), (127, 255, 63))).shape == (3, 224, 224)
    assert to_input(Image.new("RGB", (30, 20), (127, 255, 63)))[:, 5, 5].tolist() == [0.0, 1.0, -0.5]


def test_the_middle_of_a_picture_is_its_largest_square() -> None:
    image = Image.new("RGB", (60, 20), "red")
    image.paste("blue", (20, 0, 40, 20))
    assert middle(image).getcolors() == [(400, (0, 0, 255))]
    assert middle(image.transpose(Image.Transpose.ROTATE_90)).getcolors() == [(400, (0, 0, 255))]


class Colours(torch.nn.Module):
    """Sure of a class where all is bright, of another where all is dark."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = x.mean((1, 2, 3))
        return 50 * torch.stack([bright, -bright], 1)


def test_both_views_count_alike() -> None:
    image = Image.new("RGB", (60, 20), "black")
    image.paste("white", (20, 0, 40, 20))  # a third of the whole, all of the middle
    tagger = Tagger(Colours(), [["day"], ["night"]])
    assert tagger.shares(image).tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
    assert tagger.tags(middle(image), 0.9) == [Tag("day", pytest.approx(1.0), 1)]


def test_a_checkpoint_is_read_in_its_order(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0").eval()
    other_names = {f"_{place}": value for place, value in enumerate(network.state_dict().values())}
    torch.save(other_names, tmp_path / "lite0.pth")
    image = Image.effect_noise((64, 48), 80).convert("RGB")
    shares = load_tagger(tmp_path / "lite0.pth").shares(image)
    np.testing.assert_allclose(shares, Tagger(network, read_names()).shares(image), rtol=1e-4)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lite0.pth"
    with pytest.raises(WeightsError, match="missing"):
        load_tagger(path)
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="damaged"):
        load_tagger(path)
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="does not hold the tagger"):
        load_tagger(path)
    torch.save({"a": print}, path)  # what would run code
    with pytest.raises(WeightsError, match="damaged"):
        load_tagger(path)


@pytest.mark.skipif(not PACKAGE.path.is_file(), reason="its package is not here: misc pull")
def test_the_package_knows_a_colour_bar_from_a_website() -> None:
    tagger = load_tagger(PACKAGE.sound_path())
    page = Image.new("RGB", (640, 480), "white")
    for row in range(40, 440, 24):
        page.paste((60, 60, 60), (40, row, 560, row + 6))
    shares = tagger.shares(page)
    assert shares.sum() == pytest.approx(1.0, abs=1e-4)
    assert shares.max() > 0.05
