"""Average weights of the upsampler: of several checkpoints of a run, and of the network from which it started.

    python -m misc.train.average --weights FILE [--weights FILE ...] [--x4plus 3] --out FILE

    theta = (sum(theta_k) + x * theta_x4plus) / (K + x)

The average of checkpoints of one run is a good network (Izmailov 2018, arXiv 1803.05407). Training started from
Real-ESRGAN x4plus, whose images stay closer to the draft. Its share in the average trades texture for fidelity (ESRGAN,
Wang 2018, section 3.4, arXiv 1809.00219).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from ..cli.app import run_alone
from ..errors import WeightsError
from ..models.decoder.cascade_weights import load_x4plus
from ..models.decoder.upsampler import Upsampler
from ..models.decoder.upsampler_weights import load_upsampler, save_upsampler
from ..profiles import load_profile
from .options import ProfileName

__all__ = ["average"]


def average(networks: Sequence[Upsampler], shares: Sequence[float]) -> Upsampler:
    """The network whose weights are the weighted mean of some networks' weights.

    Args:
        networks: of one shape, at least one; the first is overwritten and returned.
        shares: one for each network; their sum is above 0 and need not be one.

    Raises:
        WeightsError: the networks have different shapes.
    """
    total = sum(shares)
    states = [network.state_dict() for network in networks]
    if any(network.config != networks[0].config for network in networks):
        raise WeightsError("weights of different networks have no average")
    with torch.no_grad():
        mean = {
            name: sum(state[name] * (share / total) for state, share in zip(states, shares, strict=True))
            for name in states[0]
        }
    networks[0].load_state_dict(mean)
    return networks[0]


def main(
    weights: Annotated[list[Path], typer.Option(help="file of weights; repeat for several, all of equal share")],
    out: Annotated[Path, typer.Option(help="file for the average")],
    x4plus: Annotated[float, typer.Option(min=0, help="share of Real-ESRGAN x4plus; each file has 1")] = 0,
    profile: ProfileName = "embedded",
) -> None:
    """Average weights of the upsampler."""
    networks, shares = [load_upsampler(path) for path in weights], [1.0] * len(weights)
    if x4plus:
        networks, shares = [*networks, load_x4plus(load_profile(profile))], [*shares, x4plus]
    save_upsampler(average(networks, shares), out)


if __name__ == "__main__":
    run_alone(main)
