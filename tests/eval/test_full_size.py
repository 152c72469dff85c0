"""The trial of a hub profile at full size, with tiny networks: fetched through huggingface_hub, drawn, compared."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from misc.eval import full_size, reference
from misc.eval.hub.random_weights import make_repositories
from misc.eval.hub.server import HubServer
from misc.profiles import Profile
from misc.weights import hub
from tests.support.hub import go_to

SIDE = 64
STEPS = 2


def fetched(name: str, size: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """A profile of tiny networks whose files were fetched."""
    profile = full_size.trial_profile(name, SIDE, tiny=True)
    assert profile.decoder is not None
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    with HubServer(make_repositories(profile.decoder, folder / "repositories", size)).running() as server:
        go_to(server, folder, monkeypatch)
        huggingface_hub.close_session()
        assert full_size.fetch(profile)["bytes"] > 100_000
    return profile


@pytest.mark.parametrize(
    ("name", "size"), [("sd15-tile", "tiny"), ("sd15-lcm", "tiny"), ("sd15-hyper", "tiny"), ("sdxl-tile", "tiny-xl")]
)
def test_what_was_fetched_draws_as_by_diffusers(
    name: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = fetched(name, size, tmp_path, monkeypatch)
    decoder = profile.decoder
    assert decoder is not None
    for part, _ in profile.hub_parts():
        there = {path.relative_to(hub.locate(part)).as_posix() for path in hub.locate(part).rglob("*.*")}
        assert {file for file in part.files if "*" not in file} <= there
    tokenizer = hub.locate(decoder.base) / "tokenizer"
    assert {path.name for path in tokenizer.iterdir()} == {
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "vocab.json",
    }
    figures = full_size.draw(profile, SIDE, STEPS, "float32", tmp_path)
    assert figures["relative error"] < 1e-4
    assert figures["file bytes"] == (tmp_path / "file.misc").stat().st_size
    ours = full_size.draw_ours(profile, SIDE, STEPS, "float32", tmp_path)
    monkeypatch.setattr(full_size, "draw_ours", lambda *_: ours)
    heard, plain = [], reference.latents

    def quieter(*arguments: object) -> object:
        heard.append(arguments)
        *others, (scale,), seeds = arguments
        return plain(*others, [scale * 0.5], seeds)

    monkeypatch.setattr(reference, "latents", quieter)
    assert full_size.draw(profile, SIDE, STEPS, "float32", tmp_path)["relative error"] > full_size.LARGEST
    assert len(heard) == 1
    if decoder.lora:
        monkeypatch.setattr(reference, "latents", plain)
        without = dataclasses.replace(profile, decoder=dataclasses.replace(decoder, lora=None))
        assert full_size.draw(without, SIDE, STEPS, "float32", tmp_path)["relative error"] > full_size.LARGEST


@pytest.mark.parametrize(("name", "size"), [("sd15-lcm", "tiny"), ("sdxl-tile", "tiny-xl")])
def test_networks_in_bfloat16_are_given_the_same_as_by_diffusers(
    name: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = fetched(name, size, tmp_path, monkeypatch)
    loaded: list[Any] = []
    load = reference.load_pipeline
    monkeypatch.setattr(reference, "load_pipeline", lambda *given: loaded.append(load(*given)) or loaded[-1])
    assert full_size.draw(profile, SIDE, STEPS, "bfloat16", tmp_path)["relative error"] < 1e-4
    networks = [each for each in loaded[0].components.values() if isinstance(each, torch.nn.Module)]
    assert len(networks) >= 4
    learning = [each for net in networks for each in net.parameters() if each.requires_grad]
    assert not learning, "wide networks in bfloat16 would round otherwise than ours"


@pytest.mark.slow(why="it pulls and draws in processes of their own")
def test_the_command_fetches_and_draws_in_processes_of_their_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "misc.eval.full_size", "--tiny", "--json", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["relative error"] <= full_size.LARGEST
    assert (figures["size"], figures["image"], figures["weights"]) == ("tiny", "64x64", "random")
    assert figures["requests"] > 30
    assert list(figures["stages"]) == ["make", "fetch", "draw"]
