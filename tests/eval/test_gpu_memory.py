"""Memory that is counted on the meta device, and the page that tells it."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from misc.eval.gpu_memory import GIB, SPARE, Part, decoding, peak_bytes, totals
from misc.profiles import load_profile

ROOT = Path(__file__).parents[2]
MIB = 2**20
PARAMETERS = {  # of the published models: UNet, ControlNet, text encoders, VAE
    "sd15-tile": (859_520_964 + 361_279_120, 123_060_480, 83_653_863),
    "sdxl-tile": (2_567_463_684 + 1_251_014_160, 123_060_480, 694_659_840, 83_653_863),
}


@pytest.fixture(scope="module")
def counted() -> dict[str, dict[str, list[dict[str, object]]]]:
    facts = json.loads((ROOT / "docs/results/gpu_memory.json").read_text())
    assert (facts["measured"], facts["spare GiB"]) == (False, SPARE)
    return facts["profiles"]


def test_what_lives_at_once_is_counted() -> None:
    one = torch.empty(MIB // 4, device="meta")
    assert peak_bytes(lambda: one + one) == MIB
    assert peak_bytes(lambda: (one + one) * 2) == 2 * MIB
    assert peak_bytes(lambda: [one + one for _ in range(5)]) == 5 * MIB
    assert peak_bytes(lambda: one.view(2, -1).t()) == MIB  # a view counts what it shows, once

    def one_after_another() -> None:
        for _ in range(5):
            one + one

    assert peak_bytes(one_after_another) == MIB
    query = torch.empty(1, 1, 1024, 64, device="meta")
    assert peak_bytes(lambda: functional.scaled_dot_product_attention(query, query, query)) == query.nbytes


def test_weights_do_not_count_as_activations() -> None:
    net = nn.Linear(1024, 1024, bias=False, device="meta")
    assert peak_bytes(lambda: net(torch.empty(1, 1024, device="meta")), net) == 2 * 4096


def test_all_at_once_needs_all_weights_and_one_at_a_time_the_largest() -> None:
    parts = [Part("a", 1, 3 * GIB, GIB), Part("b", 1, GIB, 2 * GIB), Part("upsampler", 1, GIB, 0)]
    assert totals(parts) == {"at once": 5 + 2 + SPARE, "one at a time": 3 + 1 + 1 + SPARE}


@pytest.mark.parametrize("name", ["sd15-tile", "sd15-lcm"])
def test_guidance_needs_twice_the_tensors_and_size_more(name: str) -> None:
    profile = load_profile(name).decoder
    assert profile is not None
    small, large = (decoding(profile, side, size="tiny", controls=1) for side in (64, 128))
    assert [each.parameters for each in small] == [each.parameters for each in large]
    assert all(a.activations <= b.activations for a, b in zip(small, large, strict=True))
    assert 3 < large[0].activations / small[0].activations < 5
    assert small[0].weights == 2 * small[0].parameters
    two = decoding(profile, 64, size="tiny", controls=2)
    assert two[0].parameters > small[0].parameters
    guided = load_profile("sd15-tile").decoder
    assert guided is not None
    ratio = decoding(guided, 64, size="tiny", controls=1)[0].activations / small[0].activations
    assert ratio == (1 if name == "sd15-tile" else pytest.approx(2, abs=0.3))


@pytest.mark.parametrize("name", PARAMETERS)
def test_full_size_networks_have_the_published_numbers_of_parameters(name: str, counted) -> None:
    row = next(each for each in counted[name]["drawing"] if each["controls"] == 1)
    assert tuple(part["parameters"] for part in row["parts"][:-1]) == PARAMETERS[name]
    assert counted[name]["seeing"][0]["parameters"] == 8_292_166_656


def test_the_page_tells_what_was_counted(counted) -> None:
    page = (ROOT / "docs/gpu.md").read_text()
    rows = re.findall(r"^\| `(\S+)` \| (\d+) \| (\d) \| ([\d.]+) \| ([\d.]+) \|$", page, re.M)
    assert {name for name, *_ in rows} == set(counted)
    for name, side, controls, together, alone in rows:
        (row,) = [
            each for each in counted[name]["drawing"] if (each["side"], each["controls"]) == (int(side), int(controls))
        ]
        assert (f"{row['at once']:.1f}", f"{row['one at a time']:.1f}") == (together, alone)
        again = totals([Part(**part) for part in row["parts"]])
        assert again == {key: pytest.approx(row[key]) for key in again}
    for figures in counted.values():
        for part in figures["seeing"]:
            line = next(line for line in page.splitlines() if line.startswith(f"| `{part['name']}`"))
            assert line.endswith(f"| {part['parameters'] / 1e6:.1f} M | {part['weights'] / GIB:.1f} |")
