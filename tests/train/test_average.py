"""The average of weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from misc.errors import WeightsError
from misc.models.decoder.upsampler import Upsampler
from misc.models.decoder.upsampler_weights import load_upsampler, save_upsampler
from misc.train import average as command
from misc.train.average import average


def network(value: float, features: int = 8) -> Upsampler:
    """All weights of one value."""
    made = Upsampler(features=features, growth=4, blocks=1)
    with torch.no_grad():
        for weight in made.parameters():
            weight.fill_(value)
    return made


def test_shares_are_weights_of_the_mean() -> None:
    mean = average([network(1.0), network(2.0), network(8.0)], [1, 1, 2])
    for weight in mean.parameters():
        torch.testing.assert_close(weight, torch.full_like(weight, 4.75))


def test_other_networks_are_refused() -> None:
    with pytest.raises(WeightsError, match="different networks"):
        average([network(1.0), network(1.0, features=16)], [1, 1])


def test_the_command_writes_what_the_decoder_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "load_x4plus", lambda _: network(4.0))
    save_upsampler(network(1.0), tmp_path / "a.safetensors")
    command.main([tmp_path / "a.safetensors"], tmp_path / "b.safetensors", x4plus=3)
    for weight in load_upsampler(tmp_path / "b.safetensors").parameters():
        torch.testing.assert_close(weight, torch.full_like(weight, 3.25), atol=0.02, rtol=0)
