import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import misc
from misc.bits import container
from misc.bits.pixels.entropy_model import LatentModel
from misc.bits.regions.maps import RegionMaps
from misc.bits.text import description
from misc.bits.text.deflate import Deflate
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.decoder_profile import SamplingChanges
from misc.errors import BudgetError, InputError, LimitError, ModelMismatchError, UsageError, WeightsError
from misc.images import psnr
from misc.models.hyperprior.hyperprior import Hyperprior
from misc.models.language_model import skeleton
from misc.modes import MODES
from tests.support.images import sample_picture

CAT = Description("a cat on a bench", (Item("cat", "grey"),))
MAP = RegionMaps(np.pad(np.ones((1, 4, 5), np.bool_), ((0, 0), (3, 1), (4, 3))))


@functools.cache
def codec() -> Codec:
    return Codec()


def picture(width: int = 192, height: int = 128) -> Image.Image:
    return sample_picture(width, height)


def test_the_modules_functions() -> None:
    data = misc.encode(picture(), mode="pixel", bpp=0.2)
    assert 8 * len(data) <= 0.2 * 192 * 128
    image = misc.decode(data)
    assert (image.size, image.mode) == ((192, 128), "RGB")
    assert psnr(picture(), image) > 15


@pytest.mark.parametrize(
    ("draft", "words"), [(True, "a draft is drawn without a generator"), (False, "embedded has no")]
)
def test_sampling_is_refused_where_nothing_is_sampled(draft: bool, words: str) -> None:
    data = codec().encode(picture(), mode="pixel", quality=5)
    with pytest.raises(UsageError, match=f"{words}.*, so there is no steps, strength"):
        codec().decode(data, draft=draft, sampling=SamplingChanges(steps=3, strength=0.5))


def test_more_bits_are_a_better_picture() -> None:
    few, many = (codec().encode(picture(), mode="pixel", quality=quality) for quality in (0, 255))
    assert len(few) < len(many)
    assert psnr(picture(), codec().decode(few)) < psnr(picture(), codec().decode(many))


@pytest.mark.parametrize("spare", [0, 10, 60, 4000])
def test_budgets_hold_and_are_used(spare: int) -> None:
    budget = len(codec().encode(picture(), mode="pixel", quality=0, effort=0)) + spare
    data = codec().encode(picture(), mode="pixel", max_bytes=budget, effort=0)
    assert len(data) <= budget
    content = codec().streams(data)
    assert content.pixels is not None
    if content.pixels.quality < 255:
        more = codec().encode(picture(), mode="pixel", quality=content.pixels.quality + 1, effort=0)
        assert len(more) > budget


def test_impossible_budgets_name_the_least() -> None:
    with pytest.raises(BudgetError, match="smallest file of this image has") as caught:
        codec().encode(picture(), mode="pixel", max_bytes=3)
    least = int(str(caught.value).split("has ")[1].split()[0])
    assert least == len(codec().encode(picture(), mode="pixel", quality=0))
    with pytest.raises(BudgetError):
        codec().encode(picture(), mode="text", description=CAT, max_bytes=5)


def test_streams_of_every_mode() -> None:
    sections = {}
    for mode in MODES:
        data = codec().encode(picture(), mode=mode, bpp=0.3, description=CAT, regions=MAP, reflect=0)  # type: ignore[arg-type]
        content = codec().streams(data)
        sections[mode] = (content.text, content.regions is not None, content.pixels is not None)
    assert sections == {
        "dlsvc": (Description("a cat on a bench"), False, False),
        "micro": (Description("ct n bnch ct gr", consonants=True), False, False),
        "text": (CAT, False, False),
        "text+map": (CAT, True, False),
        "pixel": (None, False, True),
        "misc": (CAT, True, True),
    }


def test_maps_that_say_nothing_are_left_out() -> None:
    for mode in ("text+map", "misc"):
        sizes = []
        for maps in (MAP, RegionMaps(np.zeros_like(MAP.masks))):
            quality = 3 if mode == "misc" else None
            data = codec().encode(picture(), mode=mode, quality=quality, description=CAT, regions=maps)
            content = codec().streams(data)
            sizes.append(len(data))
            if content.regions is not None:
                assert np.array_equal(content.regions.masks, MAP.masks)
        assert content.regions is None
        assert 3 <= sizes[0] - sizes[1] <= 8
    data = codec().encode(picture(), streams=("regions", "pixels"), quality=3, regions=MAP)
    assert codec().streams(data).regions is not None


def test_maps_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="names no item"):
        codec().encode(picture(), mode="text+map", description=Description("a cat"))
    with pytest.raises(InputError, match="do not fit an image"):
        codec().encode(picture(64, 64), streams=("regions", "pixels"), quality=3, regions=MAP)
    with pytest.raises(InputError, match="1 region maps for the text's 2 items"):
        codec().encode(picture(), description=Description("", (Item("a"), Item("b"))), regions=MAP)


def test_text_counts_in_the_budget() -> None:
    data = codec().encode(picture(), streams=("text", "pixels"), description=CAT, max_bytes=110)
    assert len(data) <= 110
    assert codec().streams(data).text == CAT


def test_only_a_text_needs_what_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [
        codec().encode(picture(), mode="pixel", quality=9),
        codec().encode(picture(), mode="dlsvc", description=CAT, seed=0),
    ]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    without = Codec()
    assert without.decode(files[0]).size == picture().size
    with pytest.raises(WeightsError, match="misc pull"):
        without.decode(files[1])
    with pytest.raises(InputError, match="no draft"):
        without.decode(files[1], draft=True)


def test_the_draft_is_another_picture() -> None:
    data = codec().encode(picture(), mode="pixel", quality=60)
    drawn, draft = codec().decode(data), codec().decode(data, draft=True)
    assert np.abs(np.asarray(drawn).astype(int) - np.asarray(draft)).max() > 2
    assert psnr(drawn, draft) > 20


def test_seeds_are_stored() -> None:
    assert codec().streams(codec().encode(picture(), mode="pixel", quality=9, seed=77)).seed == 77


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 31), (129, 65)])
def test_sizes(size: tuple[int, int]) -> None:
    data = codec().encode(picture(*size), mode="pixel", quality=128)
    assert codec().decode(data).size == size


def test_the_same_bytes_every_time() -> None:
    a, b = (Codec().encode(picture(), mode="pixel", quality=140) for _ in range(2))
    assert a == b
    assert np.array_equal(np.asarray(Codec().decode(a)), np.asarray(codec().decode(b)))


def test_options_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="one of"):
        codec().encode(picture(), bpp=1, quality=3)
    with pytest.raises(InputError, match="no mode"):
        codec().encode(picture(), mode="jpeg")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="between"):
        codec().encode(picture(), quality=256)
    with pytest.raises(InputError, match="no profile"):
        Codec("nosuch")
    with pytest.raises(LimitError):
        Codec(max_pixels=100).encode(picture())
    with pytest.raises(LimitError):
        Codec(max_pixels=100).decode(codec().encode(picture(), mode="pixel", quality=3))


def test_partial_files_keep_their_text() -> None:
    data = codec().encode(picture(), streams=("text", "pixels"), description=CAT, quality=50)
    content = codec().streams(data[:-10], partial=True)
    assert (content.text, content.pixels) == (CAT, None)


def test_dlsvc_keeps_the_caption_in_27_characters() -> None:
    content = codec().streams(codec().encode(picture(), mode="dlsvc", description=Description("A cat, on a bench!")))
    assert content.text == Description("a cat on a bench")


@pytest.mark.parametrize(("mode", "number"), [("dlsvc", 2), ("micro", 3)])
def test_modes_of_letters_have_their_own_text_coder(mode: str, number: int) -> None:
    text = Description("two dogs run across a field of grass")  # what a language model codes in fewer bytes
    sections = container.read(codec().encode(picture(), mode=mode, description=text))[1]
    assert sections["text"].payload[0] == number


def test_micro_takes_the_words_that_fit() -> None:
    text = Description(
        "a boy in red boots is climbing a tree", (Item("boy", "red boots"), Item("tree", "green leaves"))
    )
    whole = codec().encode(picture(), mode="micro", description=text)
    assert codec().streams(whole).text == Description("b n rd bts s clmbng tr b rd bts tr grn lvs", consonants=True)
    small = codec().encode(picture(), mode="micro", description=text, max_bytes=14)
    assert 10 <= len(small) <= 14
    kept = codec().streams(small).text
    assert kept is not None
    assert set(kept.overall.split()) < {"b", "n", "rd", "bts", "s", "clmbng", "tr", "grn", "lvs"}


def test_the_text_is_coded_by_the_best_coder_at_hand() -> None:
    both, alone = (
        len(codec().encode(picture(), streams=names, quality=3, description=CAT))
        for names in (["text", "pixels"], ["pixels"])
    )
    text = len(codec().encode(picture(), mode="text", description=CAT))
    assert 0 < both - alone <= text


def test_a_seed_out_of_range_is_not_drawn() -> None:
    data = codec().encode(picture(), mode="pixel", quality=3)
    for seed in (-1, 2**32):
        with pytest.raises(InputError, match="seed"):
            codec().decode(data, seed=seed)


def test_every_guess_of_the_rate_is_coded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    for owner, name in ((LatentModel, "features"), (Hyperprior, "encode")):
        whole = getattr(owner, name)

        def counting(self: object, *rest: object, whole: object = whole, name: str = name) -> object:
            runs.append(name)
            return whole(self, *rest)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, counting)
    codec().encode(picture(), mode="pixel", bpp=0.04, verify=False, effort=0)
    assert runs.count("features") == runs.count("encode") >= 2


def test_skeletons_are_drawn_as_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: list[Description | None] = []

    class Draws:
        def draw_many(self, scenes: list, **rest: object) -> list[np.ndarray]:  # type: ignore[type-arg]
            drawn.extend(scene.streams.text for scene in scenes)
            return [np.zeros((scene.streams.height, scene.streams.width, 3), np.uint8) for scene in scenes]

    told: list[str] = []
    ours = Codec(notice=told.append)
    ours.decoder = Draws()  # type: ignore[assignment]
    data = ours.encode(picture(), mode="micro", description=CAT, seed=0)
    with monkeypatch.context() as patched:
        patched.setattr(type(ours.profile.language_model), "sound_path", lambda self: tmp_path)
        patched.setattr(skeleton, "expand_line", lambda line, path: f"words of {line}")
        ours.decode(data)
    assert drawn == [Description("words of ct n bnch ct gr")]
    assert not told
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ours.decode(data)
    assert drawn[1] == ours.streams(data).text
    assert "drawn by its consonants" in told[0]
    assert "misc pull" in told[0]


def test_files_of_another_language_model_are_of_other_models(tmp_path: Path) -> None:
    """Not damaged, which exit code 3 would say."""
    data = codec().encode(picture(), mode="text", description=CAT)
    copy = tmp_path / "other.safetensors"
    copy.write_bytes(codec().profile.small_language_model.path.read_bytes()[:-1] + b"x")
    for part, other in (("small_language_model", "weights"), ("language_model", "digest")):
        value = str(copy) if other == "weights" else "0" * 64
        changed = dataclasses.replace(getattr(codec().profile, part), **{other: value})
        if other == "weights":
            changed = dataclasses.replace(changed, sha256="")
        stranger = Codec()
        stranger.profile = dataclasses.replace(codec().profile, **{part: changed})
        assert stranger.profile.exact_models.fingerprint != codec().profile.exact_models.fingerprint
        with pytest.raises(ModelMismatchError, match="other models"):
            stranger.streams(data)


class Forgetful(Deflate):
    """A text coder that does not give back what it was given, as with a damaged model."""

    def unpack(self, data: bytes) -> str:
        return super().unpack(data).replace("cat", "rat")


def test_a_file_that_does_not_decode_is_not_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Codec()
    broken.profile = dataclasses.replace(broken.profile)
    broken.profile.__dict__["text_coders"] = {1: Forgetful()}
    with pytest.raises(WeightsError, match="would not decode to what was encoded"):
        broken.encode(picture(), mode="text", description=CAT)
    with pytest.raises(WeightsError, match="would not decode"):
        broken.encode(picture(), streams=("text", "pixels"), quality=3, description=CAT)
    data = broken.encode(picture(), mode="text", description=CAT, verify=False)
    assert description.unpack(container.read(data)[1]["text"].payload) == CAT
