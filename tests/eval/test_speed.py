"""The decoder's timing, with tiny networks."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image

from misc.eval import reference, speed
from misc.eval.random_parts import random_parts
from tests.support.images import sample_picture

WAYS = ["diffusers", "ours", "ours, three regions"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_it_is_timed_beside_diffusers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "speed.json"
    speed.main("sd15-tile", tiny=True, steps=1, runs=2, size=["64x64", "96x64"], json_file=target)
    result = json.loads(target.read_text())
    assert [(row["way"], row["size"]) for row in result["rows"]] == [
        (way, size) for size in ("64x64", "96x64") for way in WAYS
    ]
    for row in result["rows"]:
        assert len(row["all seconds"]) == 2
        assert row["seconds"] == min(row["all seconds"]) > 0
    first = result["rows"][0]["seconds"]
    assert [row["times diffusers"] for row in result["rows"][:3]] == [
        row["seconds"] / first for row in result["rows"][:3]
    ]
    assert (result["steps"], result["type"], result["guidance"]) == (1, "float32", 5.0)
    assert "times diffusers'" in capsys.readouterr().out


def test_all_ways_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    ways = {name: (lambda image, name=name: order.append(name)) for name in ("diffusers", "ours")}
    rows = speed.time_all(ways, Image.new("RGB", (8, 8)), 2)
    assert order == ["diffusers", "ours"] * 3
    assert [len(row["all seconds"]) for row in rows] == [2, 2]


def test_ways_share_weights_and_draw_the_same() -> None:
    """Else their times could not be compared."""
    parts = random_parts("tiny")
    other = speed.shared(parts)
    for one, two in zip(speed.networks(parts), speed.networks(other), strict=True):
        assert one is not two
        assert [each.data_ptr() for each in one.parameters()] == [each.data_ptr() for each in two.parameters()]
    sampling = speed.Sampling(2, 5.0, 0.8, colour="none", negative="dull")
    decoder = speed.Decoder(parts, sampling, native=64, tile=128)
    image = sample_picture(64, 64)
    with reference.same_noise([0]):
        theirs = speed.draw_plainly(other, sampling, "cpu")(image)
    ours = speed.draw_ours(decoder, regions=False)(image)
    assert np.abs(np.asarray(theirs, float) - np.asarray(ours, float)).max() <= 1
    regional = speed.draw_ours(decoder, regions=True)(image)
    assert np.abs(np.asarray(regional, float) - np.asarray(ours, float)).max() > 1


def test_a_bound_that_is_not_kept_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def result(tiny: bool, clock: str, ratio: float) -> dict[str, object]:
        rows = [{"way": way, "times diffusers": ratio, "size": "", "seconds": 1.0} for way in WAYS[1:]]
        return {"profile": "", "steps": 1, "type": "", "on": "", "tiny": tiny, "clock": clock, "rows": rows}

    assert speed.BOUNDS == {"ours": 1.02, "ours, three regions": 1.15}
    assert speed.is_fast(result(False, "processor", 1.02))
    assert not speed.is_fast(result(False, "processor", 1.021))
    assert speed.is_fast(result(True, "processor", 2.0))
    monkeypatch.setattr(speed, "measure", lambda *_, **__: result(False, "processor", 1.1))
    with pytest.raises(typer.Exit) as ended:
        speed.main("sd15-tile", random_weights=True, steps=2)
    assert ended.value.exit_code == 1


def test_the_documented_times_are_those_of_the_committed_run() -> None:
    root = Path(__file__).parents[2]
    rows = json.loads((root / "docs/results/speed_sd15.json").read_text())["rows"]
    assert [row["way"] for row in rows] == WAYS
    page = (root / "docs/gpu.md").read_text()
    for row in rows:
        assert f" | {row['seconds']:.1f} | {row['times diffusers']:.3f} |" in page


def test_its_images(tmp_path: Path) -> None:
    sample_picture(40, 30).save(tmp_path / "a.png")
    for folder in (None, tmp_path):
        assert speed.image_of_size(folder, 96, 64).size == (96, 64)
    with pytest.raises(typer.BadParameter, match="512x512"):
        speed.main("sd15-tile", tiny=True, size=["64"])


def test_a_profile_that_diffusers_has_no_pipeline_for_is_said() -> None:
    with pytest.raises(typer.BadParameter, match="profile embedded has no decoder that"):
        speed.measure("embedded", random_weights=True)


def test_weights_are_shared_until_one_side_is_moved() -> None:
    """So the layout of our networks is not that of the pipeline which they are compared with."""
    ours = random_parts("tiny")
    theirs = speed.shared(ours)
    mine, other = ours.vae.encoder.conv_in.weight, theirs.vae.encoder.conv_in.weight
    assert mine.data_ptr() == other.data_ptr()
    torch.nn.Module.to(ours.vae, memory_format=torch.channels_last)
    mine = ours.vae.encoder.conv_in.weight
    assert mine.is_contiguous(memory_format=torch.channels_last)
    assert other.is_contiguous()
    assert torch.equal(mine, other)
