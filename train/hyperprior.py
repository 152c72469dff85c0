"""Train the pixel stream: python -m misc.train.hyperprior --data SHARDS --out FOLDER

Rate + lambda * (MSE + weight * ST-LPIPS) over crops at random qualities, with AdamW and an exponential
moving average, whose weights go to FOLDER/hyperprior.safetensors. Resumes from FOLDER/state.pt when that exists,
else starts from --start weights or from scratch. Runs under `accelerate launch` on many GPUs. Prints its result
as JSON.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from accelerate import Accelerator
from rich.progress import Progress
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from ..models.hyperprior.hyperprior import Hyperprior
from ..models.hyperprior.weights import load_hyperprior, save_hyperprior
from .data.images import crop_loader
from .state import restore, save

__all__ = ["rate_distortion", "trade_off"]

LAMBDA_LOW, LAMBDA_HIGH = 4e-6, 2e-3


def trade_off(quality: Tensor) -> Tensor:
    """Lagrangian weight of the squared error (in 8-bit units) at a quality in [0, 1]."""
    return LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** quality


def rate_distortion(
    output: dict[str, Any], x: Tensor, quality: Tensor, rate_weight: float, perceptual: Tensor | None = None
) -> tuple[Tensor, dict[str, float]]:
    """Mean loss of a batch and its parts. x: (B, 3, H, W) in [0, 1]; perceptual: (B,) in units of squared error.

    Each sample is weighted by lambda ** -0.6, so that low and high rates pull about equally.
    """
    pixels = x.shape[2] * x.shape[3]
    bits = sum(-v.log2().flatten(1).sum(1) for v in output["likelihoods"].values())
    bpp = bits / pixels
    mse = (output["x_hat"] - x).square().flatten(1).mean(1) * 255**2
    distortion = mse if perceptual is None else mse + perceptual
    weight = trade_off(quality)
    loss = (rate_weight * bpp + weight * distortion) * (LAMBDA_HIGH / weight) ** 0.6
    parts = {"loss": loss.mean().item(), "bpp": bpp.mean().item(), "mse": mse.mean().item()}
    if perceptual is not None:
        parts["perceptual"] = perceptual.mean().item()
    return loss.mean(), parts


def st_lpips(device: torch.device) -> nn.Module:
    """ST-LPIPS with the `vgg` trunk (arXiv 2207.13686), frozen."""
    from stlpips_pytorch import stlpips

    metric: nn.Module = stlpips.LPIPS(net="vgg", variant="shift_tolerant", verbose=False)
    return metric.to(device, memory_format=torch.channels_last).requires_grad_(False)


def perceptual_distance(metric: nn.Module, x_hat: Tensor, x: Tensor, size: int, count: int) -> Tensor:
    """(B,) ST-LPIPS of one random crop of `size` for the first `count` pictures; their mean stands for the others."""
    top, left = (int(torch.randint(0, side - size + 1, ())) for side in x.shape[2:])
    window = (slice(count), slice(None), slice(top, top + size), slice(left, left + size))
    some: Tensor = metric(x[window], x_hat[window], normalize=True).flatten().float()
    padding = some.detach().mean().expand(x.shape[0] - some.shape[0])
    return torch.cat([some, padding])


def learning_rate(step: int, done: float, decay: float) -> float:
    """Factor on the peak: 60 steps of warm-up, then flat, then a cosine over the last `decay` of the run.

    Args:
        done: the part of the run that is over, by steps or by time, 0 to 1.
    """
    fade = 0.5 + 0.5 * math.cos(math.pi * max(0.0, done - (1 - decay)) / max(1e-9, decay))
    return min(1.0, (step + 1) / 60) * max(0.02, fade)


def train(
    data: Annotated[list[Path], typer.Option(help="shards, images, or folders of them")],
    out: Annotated[Path, typer.Option(help="folder for state, weights and TensorBoard logs")],
    start: Annotated[Path | None, typer.Option(help="weights to start from (.safetensors)")] = None,
    steps: int = 10_000,
    batch: int = 8,
    size: int = 256,
    lr: float = 4e-4,
    decay: Annotated[float, typer.Option(help="last part of the run over which the rate of learning falls")] = 0.3,
    rate_ramp: Annotated[int, typer.Option(help="steps over which the rate term is let in")] = 1500,
    perceptual: Annotated[float, typer.Option(help="weight of ST-LPIPS against squared error; 0 is MSE alone")] = 0,
    perceptual_size: int = 128,
    perceptual_count: int = 4,
    minutes: Annotated[float, typer.Option(help="stop after this long, as if all steps were done")] = 1e9,
    ema: Annotated[float, typer.Option(help="of the weights, a step")] = 0.999,
    seed: int = 0,
    workers: int = 1,
) -> None:
    """Train the hyperprior."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    accelerator = Accelerator(mixed_precision="bf16", cpu=not torch.cuda.is_available())
    model = (load_hyperprior(start) if start else Hyperprior()).train().to(memory_format=torch.channels_last)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema)).to(accelerator.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0, fused=True)
    path = out / "state.pt"
    step, seconds = restore(path, model, average, [optimizer])
    batches = iter(crop_loader(data, size, batch, seed + step, workers))
    model, optimizer = accelerator.prepare(model, optimizer)
    metric = st_lpips(accelerator.device) if perceptual else None
    log = SummaryWriter(str(out / "log")) if accelerator.is_main_process else None
    means: dict[str, float] = {}
    began, saved = time.time() - seconds, time.time()

    def checkpoint() -> None:
        if accelerator.is_main_process:
            raw = accelerator.unwrap_model(model)
            save(path, raw, average, [optimizer], step, time.time() - began)
            save_hyperprior(average.module, out / "hyperprior.safetensors")

    with Progress(disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("training", total=steps, completed=step)
        while step < steps and time.time() - began < 60 * minutes:
            x = next(batches).to(accelerator.device, memory_format=torch.channels_last)
            quality = torch.rand(batch, device=x.device)
            with accelerator.autocast():
                output = model(x, quality)
                distance = None
                if metric is not None:
                    distance = perceptual * perceptual_distance(
                        metric, output["x_hat"], x, perceptual_size, perceptual_count
                    )
            done = max(step / steps, (time.time() - began) / (60 * minutes))
            ramp = min(1.0, 0.1 + 0.9 * step / max(1, rate_ramp))
            loss, parts = rate_distortion(output, x, quality, ramp, distance)
            for group in optimizer.param_groups:
                group["lr"] = lr * learning_rate(step, done, decay)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            average.update_parameters(accelerator.unwrap_model(model))
            step += 1
            progress.advance(task)
            means = {k: v + 0.98 * (means.get(k, v) - v) for k, v in parts.items()}
            if step % 50 == 0 and log:
                for name, value in means.items():
                    log.add_scalar(name, value, step)
                note = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
                print(f"step {step}  {note}  {(time.time() - began) / step:.2f} s/step", file=sys.stderr, flush=True)
            if time.time() - saved > 300:
                checkpoint()
                saved = time.time()
    checkpoint()
    if accelerator.is_main_process:
        print(json.dumps({"steps": step, "seconds": round(time.time() - began), **means}))


if __name__ == "__main__":
    typer.run(train)
