"""What every trainer's test asks: did the weights move, and did the loss on a fixed batch fall?"""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from misc.train.loop import Settings, Task, new_accelerator, run

ACCELERATOR = new_accelerator(0)


def assert_learns(
    task: Task, out: Path, steps: int, measure: Callable[[nn.Module], Tensor], share: float, **settings: float
) -> None:
    """Train for some steps in the loop, and fail unless nearly all weights moved and a loss fell.

    Args:
        task: what is trained; its first network is measured.
        out: folder for the run.
        measure: loss of a network on a fixed batch, without anything random.
        share: of the first loss that may be left.
    """
    network = next(iter(task.networks.values()))
    before = {name: copy.deepcopy(each.state_dict()) for name, each in task.networks.items()}
    learned = {name: {n for n, p in each.named_parameters() if p.requires_grad} for name, each in task.networks.items()}
    first = loss_of(network, measure)
    run(task, Settings(out, steps, warm_up=1, decay=1e-6, average=0.5, **settings), ACCELERATOR)  # type: ignore[arg-type]
    last = loss_of(network, measure)
    assert last < share * first, f"the loss went from {first:.4f} to {last:.4f}"
    for name, each in task.networks.items():
        moved = {n for n, value in each.state_dict().items() if not torch.equal(value, before[name][n])}
        still = learned[name] - moved
        assert len(still) <= 0.02 * len(learned[name]), f"{name}: {sorted(still)} did not move"


def loss_of(network: nn.Module, measure: Callable[[nn.Module], Tensor]) -> float:
    """The loss of a network in evaluation mode."""
    with torch.no_grad():
        loss = float(measure(network.eval()))
    network.train()
    return loss
