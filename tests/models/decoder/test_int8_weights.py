"""Weights of 8 bits: how near they come back, and what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from misc.errors import WeightsError
from misc.eval.random_parts import random_parts
from misc.models.decoder import int8_weights
from misc.models.decoder.int8_weights import FILE, load_int8, quantise, restore, save_int8
from misc.models.decoder.weights import load_network


def test_weights_come_back_within_half_a_level() -> None:
    torch.manual_seed(0)
    state = {"a": torch.randn(64, 40, 3, 3) * torch.logspace(-4, 2, 64)[:, None, None, None], "b": torch.randn(40)}
    back = restore(quantise(state))
    level = state["a"].flatten(1).abs().amax(1) / 127
    error = (back["a"] - state["a"]).flatten(1).abs().amax(1)
    assert (error <= 0.501 * level).all()
    assert (error > 0.1 * level).all()
    torch.testing.assert_close(back["b"], state["b"], atol=2e-3, rtol=1e-3)
    assert restore(quantise({"zero": torch.zeros(100, 100)}))["zero"].count_nonzero() == 0


def test_a_network_is_saved_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_weights, "SMALL", 1)
    vae = random_parts("tiny").vae
    save_int8(vae, tmp_path / "vae")
    stored = load_file(tmp_path / "vae" / FILE)
    assert stored["decoder.conv_in.weight"].dtype == torch.int8
    assert "decoder.conv_in.weight.scale" in stored
    for back in (
        load_int8(type(vae), tmp_path / "vae", torch.float32),
        load_network(type(vae), tmp_path / "vae", "", torch.float32),
    ):
        latents = torch.randn(1, 4, 4, 4)
        with torch.no_grad():
            torch.testing.assert_close(back.decode(latents).sample, vae.decode(latents).sample, atol=0.05, rtol=0.05)


def test_no_path_is_kept(tmp_path: Path) -> None:
    vae = random_parts("tiny").vae
    vae.save_pretrained(tmp_path / "vae")
    again = type(vae).from_pretrained(tmp_path / "vae")
    assert Path(again.config["_name_or_path"]) == tmp_path / "vae"
    save_int8(again, tmp_path / "int8")
    assert str(tmp_path) not in (tmp_path / "int8" / "config.json").read_text()


def test_what_is_no_such_network_is_refused(tmp_path: Path) -> None:
    parts = random_parts("tiny")
    save_int8(parts.vae, tmp_path)
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        load_int8(type(parts.vae), tmp_path, torch.float32)
    save_int8(parts.unet, tmp_path / "other")
    (tmp_path / FILE).write_bytes((tmp_path / "other" / FILE).read_bytes())
    with pytest.raises(WeightsError, match="damaged"):
        load_int8(type(parts.vae), tmp_path, torch.float32)
