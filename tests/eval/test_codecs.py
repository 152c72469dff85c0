"""Codecs under test: files within the budget, images of the right size from the file alone, one sentence for faults."""

import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from misc.errors import BitstreamError, BudgetError, InputError, WeightsError
from misc.eval.codecs import CLASSICAL, expand, open_codec, registry
from misc.eval.codecs.classical import Classical, shrink, split_mark
from misc.eval.codecs.codec import Setting
from misc.eval.codecs.commands import Command
from misc.eval.codecs.neural import Neural
from misc.eval.codecs.upsampled import Upsampled, upsample
from misc.images import psnr
from misc.models.decoder.cascade_weights import load_x4plus
from misc.models.decoder.sharpen import Sharpener
from misc.models.decoder.upsampler import Upsampler
from misc.profiles import load_profile
from tests.support.images import sample_picture

COPY = "import sys, shutil; shutil.copy(sys.argv[1], sys.argv[2])"


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_file_keeps_to_the_budget_and_gives_the_image_back(name: str) -> None:
    (setting,) = expand([name])
    image = sample_picture(203, 150)
    coarse, fine = (open_codec(setting).encode(image, bpp) for bpp in (0.6, 1.5))
    assert 8 * len(fine) <= 1.5 * 203 * 150
    assert len(coarse) <= len(fine)
    drawn = open_codec(setting).decode(fine)
    assert drawn.size == image.size
    assert drawn.mode == "RGB"
    assert psnr(image, drawn) > 15
    assert psnr(image, open_codec(setting).decode(coarse)) <= psnr(image, drawn) + 0.3


def test_more_budget_is_used() -> None:
    image, codec = sample_picture(160, 120), Classical("jpeg")
    sizes = [len(codec.encode(image, bpp)) for bpp in (0.5, 1.0, 2.0)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[2] > 0.85 * 2.0 * 160 * 120 / 8


def test_another_image_is_another_file() -> None:
    codec = Classical("webp", 2)
    first, second = (sample_picture(seed=seed) for seed in (0, 1))
    codec.encode(first, 1)
    assert codec.encode(second, 1) == Classical("webp", 2).encode(second, 1)


def test_a_budget_that_no_file_meets_is_said() -> None:
    with pytest.raises(BudgetError, match=r"smallest file .* has \d+ bytes; 2 were allowed"):
        Classical("jpeg").encode(sample_picture(), 0.003)


def test_sides_that_divide_cost_nothing_and_others_one_byte() -> None:
    small, mark = shrink(sample_picture(96, 64), 4)
    assert (small.size, mark) == ((24, 16), b"")
    small, mark = shrink(sample_picture(97, 62), 4)
    assert (small.size, mark) == ((25, 16), bytes([16 * 3 + 2]))
    assert split_mark(mark + b"RIFF") == ((3, 2), b"RIFF")
    for name in CLASSICAL:
        form, _, divisor = name.partition("/")
        file = Classical(form, int(divisor or 1)).encode(sample_picture(96, 64), 8)
        assert split_mark(file) == ((0, 0), file), name


def test_damage_is_said() -> None:
    with pytest.raises(BitstreamError, match="not a whole file of JPEG"):
        Classical("jpeg").decode(b"nothing")


def tiny_upsampler() -> Upsampler:
    torch.manual_seed(0)
    network = Upsampler(features=8, growth=4, blocks=1).eval()
    with torch.no_grad():
        network.first.weight[:, -2:] = 0
    return network


def test_upsampled_images_have_the_size_of_the_original() -> None:
    codec = Upsampled("webp", Sharpener(tiny_upsampler()))
    image = sample_picture(203, 150)
    data = codec.encode(image, 0.5)
    assert data == Classical("webp", 4).encode(image, 0.5)
    assert codec.decode(data).size == (203, 150)


def test_x4plus_sees_the_small_image_itself() -> None:
    network, small = tiny_upsampler(), sample_picture(40, 30)
    sharpener = Sharpener(network)
    sharpener.dtype = torch.float32
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255
    large = functional.interpolate(pixels, scale_factor=4.0)
    with torch.inference_mode():
        expected = network(large, torch.ones(1), torch.zeros(1, 1, 30, 40))[0].clamp(0, 1)
    drawn = np.asarray(upsample(small, sharpener), np.float32) / 255
    assert upsample(small, sharpener).size == (160, 120)
    assert np.abs(drawn - expected.permute(1, 2, 0).numpy()).max() < 0.01


def test_x4plus_draws_what_is_there() -> None:
    codec = Upsampled("webp")
    try:
        load_x4plus(load_profile())
    except WeightsError:
        pytest.skip("needs the packages of `misc pull`")
    image = sample_picture(64, 48)
    assert psnr(image, codec.decode(codec.encode(image, 3))) > 15


def test_names_and_sets() -> None:
    assert [each.name for each in expand(["misc:text", "avif/2", "avif/4+x4plus"])] == [
        "misc:text",
        "avif/2",
        "avif/4+x4plus",
    ]
    rivals = expand(["rivals"])
    assert len(rivals) == 18 + 3
    assert len(expand(["rivals", "avif"])) == 21
    assert expand(["misc:text"])[0].one_rate
    assert not expand(["misc:misc"])[0].one_rate


@pytest.mark.parametrize("name", ["bpg", "misc:nothing", "avif/3", "misc:text@nothing"])
def test_an_unknown_codec_is_one_sentence(name: str) -> None:
    with pytest.raises(InputError, match="there is no"):
        expand([name])


def test_a_format_that_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match="pillow-heif, which is not installed"):
        open_codec(expand(["heic"])[0])


def test_commands_are_codecs(tmp_path: Path) -> None:
    script = tmp_path / "copy it.py"
    script.write_text(COPY)
    encode = f"'{sys.executable}' '{script}' {{in}} {{out}} {{bpp}}"
    (setting,) = expand([], [f"copy: {encode} / '{sys.executable}' '{script}' {{in}} {{out}}"])
    codec, image = open_codec(setting), sample_picture(40, 30)
    data = codec.encode(image, 100)
    assert np.array_equal(np.asarray(codec.decode(data)), np.asarray(image))
    with pytest.raises(BudgetError, match="were allowed"):
        codec.encode(image, 0.1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("copy cp {in} {out}", "is given as"),
        ("a: cp {in} {out} / cp {in} {out}", "has no {bpp}"),
        ("a: surely-not-there {in} {out} {bpp} / cp {in} {out}", "surely-not-there, which is not installed"),
        ("../a: cp {in} {out} {bpp} / cp {in} {out}", "is given as"),
        ("..: cp {in} {out} {bpp} / cp {in} {out}", "is given as"),
        ("a: cp '{in} {out} {bpp} / cp {in} {out}", "of codec a cannot be read: No closing quotation"),
    ],
)
def test_bad_commands_are_one_sentence(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        expand([], [text])


def test_a_failing_command_says_its_last_words() -> None:
    broken = Command(f"{sys.executable} -c 'raise SystemExit(\"no such model\")' {{in}} {{out}} {{bpp}}", "true")
    with pytest.raises(InputError, match="status 1: no such model"):
        broken.encode(sample_picture(), 1)
    with pytest.raises(InputError, match="wrote no file"):
        Command("true", "true {in} {out}").encode(sample_picture(), 1)


class Raw:
    """A codec of another package."""

    def encode(self, image: Image.Image, bpp: float) -> bytes:
        return bytes([image.width, image.height]) + image.tobytes()

    def decode(self, data: bytes) -> Image.Image:
        return Image.frombytes("RGB", (data[0], data[1]), data[2:])


def test_classes_of_other_packages_are_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metadata.EntryPoint("raw", f"{__name__}:Raw", "misc.codecs")
    other = metadata.EntryPoint("other", f"{__name__}:Path", "misc.codecs")
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [entry, other])
    codec = open_codec(expand(["raw"])[0])
    assert codec.decode(codec.encode(sample_picture(), 1)).tobytes() == sample_picture().tobytes()
    with pytest.raises(InputError, match="no encode and decode"):
        open_codec(expand(["other"])[0])


def test_compressai_without_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="no weights in torch's cache"):
        open_codec(Setting("compressai:bmshj2018-hyperprior", "neural", options={"name": "bmshj2018-hyperprior"}))


def test_compressai_files_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    from compressai.models import ScaleHyperprior

    from misc.eval.codecs import neural

    torch.manual_seed(0)
    network = ScaleHyperprior(8, 12).eval()
    network.update()
    monkeypatch.setattr(neural, "weights_of", lambda name: {1: Path("q1")})
    monkeypatch.setattr(Neural, "load", lambda self, quality: network)
    codec, image = Neural("bmshj2018-hyperprior"), sample_picture(100, 70)
    data = codec.encode(image, 8)
    assert codec.decode(data).size == (100, 70)
    with pytest.raises(BudgetError):
        codec.encode(image, 0.001)
