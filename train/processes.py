"""Training in one process or many: devices, seeds, gradients, time.

Each process draws batches with its own seed. Gradients are averaged over the processes. The first process keeps the
time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, set_seed
from torch import Tensor, nn

__all__ = ["Clock", "average_gradients", "descend", "new_accelerator", "share_weights", "stream_seed"]


def new_accelerator(seed: int) -> Accelerator:
    """An accelerator for bf16 on a CPU or on one or many GPUs; every process gets its own seed."""
    accelerator = Accelerator(mixed_precision="bf16", cpu=not torch.cuda.is_available())
    set_seed(seed, device_specific=True)
    return accelerator


def stream_seed(seed: int, rank: int, step: int) -> int:
    """A seed below 2^31 that differs from process to process and from one session of a run to the next."""
    return int(np.random.SeedSequence((seed, rank, step)).generate_state(1)[0] >> 1)


def descend(
    loss: Tensor, network: nn.Module, optimizers: Sequence[torch.optim.Optimizer], accelerator: Accelerator
) -> None:
    """One optimizer step on a loss; gradients are averaged over processes and clipped to norm 1.

    Args:
        loss: scalar.
        network: all parameters of the optimizers.
        optimizers: each makes a step and clears its gradients.
        accelerator: of the run.
    """
    accelerator.backward(loss)
    average_gradients(network, accelerator)
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def average_gradients(network: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the mean of all processes' gradients."""
    if accelerator.num_processes == 1:
        return
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        if parameter.grad is None:  # this process's batch did not use it
            parameter.grad = torch.zeros_like(parameter)
    together = torch.cat([parameter.grad.flatten() for parameter in learning])
    mean = accelerator.reduce(together, "mean")
    for parameter, part in zip(learning, mean.split([p.numel() for p in learning]), strict=True):
        parameter.grad.copy_(part.view_as(parameter))


def share_weights(networks: Sequence[nn.Module], accelerator: Accelerator) -> None:
    """Give every process the first one's weights."""
    if accelerator.num_processes > 1:
        with torch.no_grad():
            for network in networks:
                for tensor in (*network.parameters(), *network.buffers()):
                    tensor.copy_(broadcast(tensor.detach().clone(), 0))


class Clock:
    """Seconds of a run with its earlier sessions; every process reads the first process's clock."""

    def __init__(self, seconds: float, accelerator: Accelerator) -> None:
        self.began, self.accelerator = time.monotonic() - seconds, accelerator

    def read(self) -> float:
        """Seconds since the run began."""
        seconds = time.monotonic() - self.began
        if self.accelerator.num_processes == 1:
            return seconds
        # Otherwise one process could end the run while another waits for its gradients.
        return float(broadcast(torch.tensor([seconds], device=self.accelerator.device), 0))
