"""The decoder as a whole, of tiny networks with random weights of the real classes."""

import contextlib
import dataclasses
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from PIL import Image

from misc import cli, codec
from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import Streams
from misc.bits.text.description import Description, Item
from misc.decoder_profile import Control, DecoderProfile, HubPart, Sampling, SamplingChanges
from misc.errors import InputError, WeightsError
from misc.eval.decoder import files_of
from misc.eval.random_parts import random_parts, save
from misc.eval.resources import probe
from misc.models.decoder import scene as scenes
from misc.models.decoder.decoder import Decoder, Scene
from misc.models.decoder.weights import load_decoder
from misc.profiles import Profile, load_profile
from tests.support.images import sample_picture

WIDTH, HEIGHT = 50, 37
TEXT = Description("a yard", (Item("cat", "grey"), Item("dog")))
SAMPLING = Sampling(2, 3.0, 0.6, negative="dull")


def maps() -> RegionMaps:
    masks = np.zeros((2, 4, 5), np.bool_)
    masks[0, :2, :2] = masks[1, 2:, 3:] = True
    return RegionMaps(masks)


def pixels(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return np.asarray(sample_picture(width, height, seed))


STREAMS = ("text", "regions", "pixels")
SUBSETS = [("text",), ("pixels",), ("text", "regions"), ("regions", "pixels"), STREAMS]


def scene(*names: str, seed: int = 3) -> Scene:
    streams = Streams(WIDTH, HEIGHT, seed, TEXT if "text" in names else None, maps() if "regions" in names else None)
    return Scene(streams, pixels() if "pixels" in names else None)


def decoder_of(size: str = "tiny", scheduler: object = None, **options: object) -> Decoder:
    parts = random_parts(size, channels=6 if scheduler else 3)
    if scheduler:
        parts = dataclasses.replace(parts, scheduler=scheduler)
    return Decoder(parts, SAMPLING, **({"native": 32, "tile": 64} | options))  # type: ignore[arg-type]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Kernels as small as these take a hundred times as long in two threads on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return decoder_of()


@pytest.mark.parametrize("fusion", ["regional", "sequential"])
@pytest.mark.parametrize("names", SUBSETS)
def test_every_subset_of_streams_is_drawn(decoder: Decoder, names: tuple[str, ...], fusion: str) -> None:
    told: list[tuple[int, int]] = []
    drawn = decoder.draw(
        scene(*names), changes=SamplingChanges(fusion=fusion), progress=lambda *step: told.append(step)
    )
    assert (drawn.shape, drawn.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert told[-1][0] == told[-1][1] == len(told)
    assert len(told) == (
        2 if fusion == "regional" or not {"text", "regions"} <= set(names) else 4 + 2 * (len(names) == 2)
    )


def test_every_stream_and_the_seed_matter(decoder: Decoder) -> None:
    drawn = [decoder.draw(scene(*names)).tobytes() for names in SUBSETS]
    drawn.append(decoder.draw(scene(*SUBSETS[-1], seed=4)).tobytes())
    drawn.append(decoder.draw(scene(*SUBSETS[-1]), changes=SamplingChanges(fusion="sequential")).tobytes())
    drawn.append(decoder.draw(scene(*SUBSETS[-1]), changes=SamplingChanges(strength=0.3)).tobytes())
    # Three channels show no masks: regions without a text change nothing.
    assert len(set(drawn)) == len(drawn) - (drawn[1] == drawn[3])


def test_a_batch_gives_the_same_bytes(decoder: Decoder) -> None:
    many = [scene("pixels", seed=1), scene("text"), scene(*STREAMS), scene("pixels", seed=2)]
    for each, drawn in zip(many, decoder.draw_many(many), strict=True):
        assert drawn.tobytes() == decoder.draw(each).tobytes()


def test_nothing_to_draw_is_said() -> None:
    for streams in (Streams(8, 8), Streams(8, 8, regions=maps()), Streams(8, 8, text=Description())):
        with pytest.raises(InputError, match="nothing to draw"):
            Scene(streams)
    with pytest.raises(InputError, match="not 8x8"):
        Scene(Streams(8, 8), pixels())


@pytest.mark.parametrize("names", SUBSETS)
def test_flow_matching_with_masks_in_the_controlnet(names: tuple[str, ...]) -> None:
    flow = decoder_of(scheduler=FlowMatchEulerDiscreteScheduler())
    drawn = flow.draw(scene(*names), changes=SamplingChanges(steps=1, guidance=1.0))
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    if names == ("regions", "pixels"):
        assert drawn.tobytes() != flow.draw(scene("pixels"), changes=SamplingChanges(steps=1, guidance=1.0)).tobytes()


def test_guidance_costs_nothing_where_no_text_guides() -> None:
    decoder = decoder_of()
    seen: list[int] = []
    step = decoder.step
    decoder.step = lambda latents, *rest: (seen.append(rest[1].shape[0]), step(latents, *rest))[1]
    decoder.draw(scene("pixels"), changes=SamplingChanges(steps=1, negative=""))
    decoder.draw(scene("pixels"), changes=SamplingChanges(steps=1, negative="dull"))
    decoder.draw(scene("text", "pixels"), changes=SamplingChanges(steps=1, negative=""))
    assert seen == [1, 2, 2]


def test_sdxl_gets_both_encoders_and_the_size() -> None:
    assert decoder_of("tiny-xl").draw(scene(*STREAMS)).shape == (HEIGHT, WIDTH, 3)


def test_tiles_of_a_large_picture_agree_with_one_piece() -> None:
    large = Scene(Streams(90, 70, 1), pixels(0, 90, 70))
    whole = decoder_of(tile=128).draw(large, changes=SamplingChanges(steps=1, strength=0.3))
    tiled = decoder_of(tile=32).draw(large, changes=SamplingChanges(steps=1, strength=0.3))
    assert tiled.shape == (70, 90, 3)
    assert np.abs(whole.astype(int) - tiled).mean() < 8
    seams = np.abs(np.diff(tiled.astype(int), axis=1)).mean((0, 2))
    assert seams.max() < 3 * np.abs(np.diff(whole.astype(int), axis=1)).mean((0, 2)).max()


def test_colours_follow_the_pixel_stream(decoder: Decoder) -> None:
    drawn = decoder.draw(scene("pixels"))
    assert np.abs(drawn.mean((0, 1)) - pixels().mean((0, 1))).max() < 8
    assert decoder.draw(scene("pixels"), changes=SamplingChanges(colour="none")).tobytes() != drawn.tobytes()


def test_edges_are_a_second_control(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []

    def edges(kind: str, image: np.ndarray, detector: Path | None) -> np.ndarray:
        seen.append((kind, image.shape))
        return 255 - image

    monkeypatch.setattr(scenes, "edges", edges)
    parts = random_parts("tiny", controls=2)
    first, second = parts.controls
    both = dataclasses.replace(parts, controls=(first, dataclasses.replace(second, kind="canny")))
    drawn = Decoder(both, SAMPLING, native=32, tile=64).draw(scene("pixels"))
    assert seen == [("canny", (40, 52, 3))]
    one = Decoder(dataclasses.replace(parts, controls=(first,)), SAMPLING, native=32, tile=64)
    assert drawn.tobytes() != one.draw(scene("pixels")).tobytes()


def test_offloading_changes_nothing(decoder: Decoder) -> None:
    assert decoder_of(offload=True).draw(scene(*STREAMS)).tobytes() == decoder.draw(scene(*STREAMS)).tobytes()


def tiny_profile(folder: Path, **changes: object) -> Profile:
    base = HubPart(str(folder), "none")
    controls = (Control(dataclasses.replace(base, subfolder="controlnet")),)
    table = DecoderProfile(base, SAMPLING, controls=controls, native=32, tile=64)
    return dataclasses.replace(load_profile(), decoder=dataclasses.replace(table, **changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub")
    save(random_parts("tiny"), path)
    return path


def test_the_hubs_layout_is_loaded(folder: Path, decoder: Decoder) -> None:
    loaded = load_decoder(tiny_profile(folder))
    assert loaded.draw(scene(*STREAMS)).tobytes() == decoder.draw(scene(*STREAMS)).tobytes()
    changed = tiny_profile(folder, scheduler={"class": "DDIMScheduler", "timestep_spacing": "trailing"})
    other = load_decoder(changed)
    assert type(other.scheduler).__name__ == "DDIMScheduler"
    assert other.scheduler.config.beta_end == 0.012


def test_a_profile_says_how_its_networks_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    monkeypatch.setattr(torch, "compile", lambda network, mode: modes.append(mode) or network)
    loaded = load_decoder(tiny_profile(folder, dtype="bfloat16", offload=True, compile="reduce-overhead"))
    assert modes == ["reduce-overhead"]
    assert loaded.offload
    assert {each.dtype for each in loaded.denoiser.parameters()} == {torch.bfloat16}
    assert loaded.draw(scene(*STREAMS)).shape == (37, 50, 3)
    assert load_decoder(tiny_profile(folder, dtype="bfloat16"), dtype=torch.float32).dtype == torch.float32


def test_two_processes_draw_the_same_bytes(folder: Path) -> None:
    script = (
        "import sys, hashlib\nfrom pathlib import Path\nfrom tests.models.decoder.test_decoder import *\n"
        "torch.set_num_threads(1)\ndrawn = load_decoder(tiny_profile(Path(sys.argv[1]))).draw(scene(*STREAMS))\n"
        "print(hashlib.sha256(drawn.tobytes()).hexdigest())"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-W", "ignore", "-c", script, str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    drawn = load_decoder(tiny_profile(folder)).draw(scene(*STREAMS))
    assert done.stdout.strip() == hashlib.sha256(drawn.tobytes()).hexdigest(), done.stderr


def test_incomplete_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_decoder(tiny_profile(tmp_path))
    with pytest.raises(WeightsError, match="missing"):
        load_decoder(tiny_profile(tmp_path / "none"))
    with pytest.raises(WeightsError, match="has no decoder"):
        load_decoder(dataclasses.replace(load_profile(), decoder=None, cascade=None))


def test_the_codec_draws_by_its_profiles_decoder(folder: Path, hyperprior: object) -> None:
    ours = codec.Codec()
    ours.profile = tiny_profile(folder)
    content = Streams(WIDTH, HEIGHT, 3, TEXT)
    drawn = ours.draw(content, sampling=SamplingChanges(steps=1))
    assert drawn.size == (WIDTH, HEIGHT)
    assert isinstance(drawn, Image.Image)
    assert drawn.tobytes() != ours.draw(content, sampling=SamplingChanges(steps=1), seed=4).tobytes()
    with pytest.raises(InputError, match="no draft"):
        ours.draw(content, draft=True)


def test_every_mode_is_measured(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = codec.Codec(device="cpu")
    ours.profile = tiny_profile(folder)
    image = sample_picture(96, 64)
    text = Description("two dogs", (Item("dog"), Item("ball")))
    regions = RegionMaps(np.tile(np.eye(8, 12, dtype=bool), (2, 1, 1)))
    files = files_of(ours, image, text, regions, 0.4, candidates=1)
    assert set(files) == {*codec.MODES, "text+pixel"}
    assert len(files["text"]) < len(files["text+map"]) < len(files["misc"]) <= 0.4 * 96 * 64 / 8
    assert ours.streams(files["text+pixel"]).regions is None
    assert ours.streams(files["misc"]).regions is not None
    coded = tmp_path / "a.misc"
    coded.write_bytes(files["misc"])
    monkeypatch.setattr(codec, "load_profile", lambda _: tiny_profile(folder))
    found = [probe(coded, "embedded", 1) for _ in range(2)]
    assert found[0]["png"] == found[1]["png"]
    assert found[0]["seconds"] > 0
    assert 0.1 < found[0]["peak_gib"] < 16


def test_a_profile_without_decoder_has_nothing_to_choose() -> None:
    plain = codec.Codec()
    plain.profile = dataclasses.replace(load_profile(), decoder=None, cascade=None)
    with pytest.raises(WeightsError, match="no generator"):
        plain.draw(Streams(8, 8, text=TEXT))
    with pytest.raises(InputError, match="steps"):
        plain.draw(Streams(8, 8, text=TEXT), sampling=SamplingChanges(steps=2))


def test_the_command_tells_every_step(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    coded, target = tmp_path / "a.misc", tmp_path / "a.png"
    coded.write_bytes(codec.default_codec().encode(sample_picture(64, 64), mode="pixel", quality=10))
    monkeypatch.setattr(codec, "load_profile", lambda name: tiny_profile(folder))
    options = ["--steps", "2", "--strength", "0.5", "--guidance", "2", "--fusion", "sequential", "--seed", "4"]
    pictures = []
    for more in (options, [*options[:-1], "5"], ["--draft"]):
        monkeypatch.setattr(sys, "argv", ["misc", "decode", str(coded), str(target), *more])
        capfd.readouterr()
        with contextlib.suppress(SystemExit):
            cli.main()
        said = capfd.readouterr().err
        assert ("misc: decoding: step 2 of 2" in said) == (more != ["--draft"]), said
        pictures.append(Image.open(target).tobytes())
    assert len(set(pictures)) == 3


def test_rounding_moves_pixels_by_two_levels_at_most(decoder: Decoder) -> None:
    """docs/decoder.md promises it; other machines and numbers of threads round in other places."""
    exact = decoder_of(dtype=torch.float64).draw(scene(*STREAMS))
    assert np.abs(exact.astype(int) - decoder.draw(scene(*STREAMS))).max() <= 2


def test_half_precision_runs_where_it_is_asked_for() -> None:
    drawn = decoder_of(dtype=torch.bfloat16).draw(scene(*STREAMS))
    exact = decoder_of().draw(scene(*STREAMS))
    assert 0 < np.abs(drawn.astype(int) - exact).mean() < 12
