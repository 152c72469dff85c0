"""The training loop of every trained part: clock, schedule, moving average, resuming, logs, checkpoints.

    Task (networks, optimizers, one step) ─► run(task, settings) ─► OUT/state.pt   everything, for continuing
                                                                    OUT/log/       TensorBoard
                                                                    task.write     the averaged weights

After a kill at any moment, the old or the new state is there. A run that ends after `minutes` ends like one that ends
after `steps`. Under `accelerate launch` every process draws its own batches, gradients are averaged, and the first
process keeps the time.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.progress import Progress
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from .checkpoint import STATE, load_state, restore, save
from .processes import Clock, descend, new_accelerator, share_weights, stream_seed

__all__ = ["Settings", "Task", "data_seed", "descend", "learning_rate", "new_accelerator", "print_result", "run"]

LOG = "log"
SMOOTH = 0.98  # share of the logged loss that a step keeps
LEAST_RATE = 0.02  # of the highest learning rate, at the end


@dataclass(frozen=True)
class Settings:
    """Length and output of a run.

    Attributes:
        out: folder for state, weights and logs.
        steps: number of steps after which it ends.
        minutes: time after which it ends, all sessions together; whichever comes first.
        warm_up: number of steps over which the learning rate rises.
        decay: last part of the run over which the learning rate falls, 0 to 1.
        fade: shape of the decay, `cosine` or `linear`.
        average: share of the old average that a step keeps, 0 to 1.
        log_steps: number of steps from one log to the next.
        save_minutes: time from one checkpoint to the next.
        seed: seed of the run; the seed of each process is derived from it.
    """

    out: Path
    steps: int = 1_000_000
    minutes: float = 1e9
    warm_up: int = 60
    decay: float = 0.3
    fade: str = "cosine"
    average: float = 0.999
    log_steps: int = 50
    save_minutes: float = 10.0
    seed: int = 0


class Task(Protocol):
    """The networks of a run and one training step.

    Attributes:
        networks: by name; the moving average of the first one is written.
        optimizers: of all networks, each with its highest learning rate.
    """

    networks: dict[str, nn.Module]
    optimizers: Sequence[torch.optim.Optimizer]

    def step(self, step: int, done: float) -> dict[str, float]:
        """Draw a batch, train on it, and return its losses.

        Args:
            step: number of steps since the beginning of the run.
            done: part of the run that is over, 0 to 1.
        """
        ...

    def write(self, network: nn.Module, folder: Path) -> None:
        """Write the weights.

        Args:
            network: the moving average of the first network.
            folder: the target folder.
        """
        ...


def data_seed(out: Path, seed: int, accelerator: Accelerator) -> int:
    """The seed for the batches of this process, in a new run or one that continues from OUT/state.pt."""
    path = out / STATE
    step = int(load_state(path, mmap=True)["step"]) if path.exists() else 0
    return stream_seed(seed, accelerator.process_index, step)


def learning_rate(step: int, done: float, decay: float, warm_up: int = 60, fade: str = "cosine") -> float:
    """Factor of the highest learning rate: a warm-up, then 1, then a decay to LEAST_RATE.

    Args:
        step: number of steps since the beginning.
        done: part of the run that is over, by steps or by time, 0 to 1.
        decay: last part of the run over which it falls, 0 to 1.
        warm_up: number of steps over which it rises.
        fade: `cosine` or `linear`.
    """
    fallen = max(0.0, done - (1 - decay)) / max(1e-9, decay)
    rest = 1 - fallen if fade == "linear" else 0.5 + 0.5 * math.cos(math.pi * fallen)
    return min(1.0, (step + 1) / max(1, warm_up)) * max(LEAST_RATE, rest)


def run(task: Task, settings: Settings, accelerator: Accelerator) -> dict[str, Any]:
    """Train until the steps or the minutes are over; continue from OUT/state.pt if that exists.

    Args:
        task: networks and training step.
        settings: length and output of the run.
        accelerator: device and precision.

    Returns:
        number of steps, seconds, and the smoothed losses.

    Raises:
        WeightsError: OUT/state.pt is damaged or of another run.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    networks = [accelerator.unwrap_model(network) for network in task.networks.values()]
    average = AveragedModel(networks[0], multi_avg_fn=get_ema_multi_avg_fn(settings.average))
    path = settings.out / STATE
    highest = [[group["lr"] for group in optimizer.param_groups] for optimizer in task.optimizers]
    step, seconds = restore(path, networks, average, task.optimizers)
    share_weights([*networks, average], accelerator)
    set_seed(stream_seed(settings.seed, accelerator.process_index, step))
    clock, losses = Clock(seconds, accelerator), dict[str, float]()
    seconds = saved = clock.read()
    log = SummaryWriter(str(settings.out / LOG)) if accelerator.is_main_process else None

    def checkpoint() -> None:
        if accelerator.is_main_process:
            save(path, networks, average, task.optimizers, step, seconds)
            task.write(average.module, settings.out)

    with Progress(disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("training", total=settings.steps, completed=step)
        while step < settings.steps and seconds < 60 * settings.minutes:
            done = max(step / settings.steps, seconds / (60 * settings.minutes))
            set_rates(task.optimizers, highest, settings, step, done)
            losses = smooth(losses, task.step(step, done))
            average.update_parameters(networks[0])
            step, seconds = step + 1, clock.read()
            progress.advance(bar)
            if log is not None and step % settings.log_steps == 0:
                write_log(log, step, losses, seconds / step)
            if seconds - saved > 60 * settings.save_minutes:
                checkpoint()
                saved = seconds
    checkpoint()
    if log is not None:
        log.close()
    return {"steps": step, "seconds": round(seconds), **losses}


def set_rates(
    optimizers: Sequence[torch.optim.Optimizer],
    highest: Sequence[Sequence[float]],
    settings: Settings,
    step: int,
    done: float,
) -> None:
    """Give every group of parameters its learning rate at this time of the run."""
    factor = learning_rate(step, done, settings.decay, settings.warm_up, settings.fade)
    for optimizer, rates in zip(optimizers, highest, strict=True):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor


def smooth(losses: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    """Moving averages of the losses after a step; losses that the step does not have stay."""
    return losses | {name: value + SMOOTH * (losses.get(name, value) - value) for name, value in new.items()}


def write_log(log: SummaryWriter, step: int, losses: dict[str, float], pace: float) -> None:
    """A line on standard error, and TensorBoard."""
    for name, value in losses.items():
        log.add_scalar(name, value, step)
    note = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
    print(f"step {step}  {note}  {pace:.2f} s/step", file=sys.stderr, flush=True)


def print_result(result: dict[str, Any], accelerator: Accelerator | None = None) -> None:
    """The result of a run as one line of JSON, once under `accelerate launch`."""
    if accelerator is None or accelerator.is_main_process:
        print(json.dumps(result))
