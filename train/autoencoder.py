"""Train the embedded decoder's AutoencoderKL: python -m misc.train.autoencoder --data SHARDS --out FOLDER

L1 + ST-LPIPS (`vgg`) + a little KL over crops, then the decoder alone may go on with `--freeze-encoder`, since latents
that a UNet has learned must not move. An exponential moving average goes to OUT/vae in diffusers' layout, half
precision. Resumes from OUT/state.pt; `--start` takes such a folder. Prints its result as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator
from diffusers import AutoencoderKL
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from .data.images import crop_loader
from .hyperprior import learning_rate, perceptual_distance, st_lpips
from .state import restore, save

__all__ = ["LATENT_CHANNELS", "new_autoencoder", "scale_latents"]

LATENT_CHANNELS = 8
KL_WEIGHT = 1e-6


def new_autoencoder() -> AutoencoderKL:
    """6.1 million parameters, f = 8, 8 latent channels, randomly initialised."""
    levels = 4
    return AutoencoderKL(
        block_out_channels=(16, 48, 96, 192),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        scaling_factor=1.0,
    )


def scale_latents(vae: AutoencoderKL, pictures: Tensor) -> None:
    """Set the scaling factor so that latents of pictures (B, 3, H, W) in [0, 1] have a standard deviation of 1."""
    with torch.inference_mode():
        latents = vae.encode(pictures * 2 - 1).latent_dist.mode()
    vae.register_to_config(scaling_factor=1 / float(latents.std()))


def train(
    data: Annotated[list[Path], typer.Option(help="shards, images, or folders of them")],
    out: Annotated[Path, typer.Option(help="folder for state, weights and TensorBoard logs")],
    start: Annotated[Path | None, typer.Option(help="folder of a trained one")] = None,
    freeze_encoder: bool = False,
    steps: int = 1_000_000,
    minutes: float = 60,
    batch: int = 8,
    size: int = 128,
    lr: float = 4e-4,
    decay: float = 0.4,
    perceptual: Annotated[float, typer.Option(help="weight of ST-LPIPS against L1")] = 0.5,
    perceptual_count: int = 4,
    seed: int = 0,
    workers: int = 1,
) -> None:
    """Train the autoencoder."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    accelerator = Accelerator(mixed_precision="bf16", cpu=not torch.cuda.is_available())
    model = AutoencoderKL.from_pretrained(start, torch_dtype=torch.float32) if start else new_autoencoder()
    model.train()
    if accelerator.device.type == "cuda":  # on a CPU that layout is slower here
        model.to(memory_format=torch.channels_last)
    for part in (model.encoder, model.quant_conv):
        part.requires_grad_(not freeze_encoder)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.998)).to(accelerator.device)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr, weight_decay=0.0)
    path = out / "state.pt"
    step, seconds = restore(path, model, average, [optimizer])
    batches = iter(crop_loader(data, size, batch, seed + step, workers))
    model, optimizer = accelerator.prepare(model, optimizer)
    metric = st_lpips(accelerator.device)
    log = SummaryWriter(str(out / "log"))
    means: dict[str, float] = {}
    began, saved_at = time.time() - seconds, time.time()

    def checkpoint(x: Tensor) -> None:
        raw = accelerator.unwrap_model(model)
        save(path, raw, average, [optimizer], step, time.time() - began)
        final = new_autoencoder()
        final.load_state_dict({name: value.cpu() for name, value in average.module.state_dict().items()})
        if freeze_encoder:
            final.register_to_config(scaling_factor=raw.config.scaling_factor)
        else:
            scale_latents(final, x.cpu())
        with torch.inference_mode():
            pair = torch.cat([x[:4].cpu(), final(x[:4].cpu() * 2 - 1).sample.clamp(-1, 1) / 2 + 0.5])
        log.add_image("originals, decoded", make_grid(pair, 4), step)
        final.half().save_pretrained(out / "vae")

    x = torch.empty(0)
    while step < steps and time.time() - began < 60 * minutes:
        x = next(batches).to(accelerator.device)
        with accelerator.autocast():
            posterior = model.encode(x * 2 - 1).latent_dist
            drawn = model.decode(posterior.sample()).sample / 2 + 0.5
            distance = perceptual_distance(metric, drawn, x, size, min(perceptual_count, batch)).mean()
        absolute = (drawn.float() - x).abs().mean()
        loss = absolute + perceptual * distance + KL_WEIGHT * posterior.kl().float().mean()
        done = max(step / steps, (time.time() - began) / (60 * minutes))
        for group in optimizer.param_groups:
            group["lr"] = lr * learning_rate(step, done, decay)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(accelerator.unwrap_model(model))
        step += 1
        parts = {"loss": loss.item(), "l1": absolute.item(), "perceptual": distance.item()}
        parts["mse"] = float((drawn.float() - x).square().mean()) * 255**2
        means = {name: value + 0.98 * (means.get(name, value) - value) for name, value in parts.items()}
        if step % 50 == 0:
            for name, value in means.items():
                log.add_scalar(name, value, step)
            note = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
            print(f"step {step}  {note}  {(time.time() - began) / step:.2f} s/step", file=sys.stderr, flush=True)
        if time.time() - saved_at > 300:
            checkpoint(x)
            saved_at = time.time()
    if len(x):
        checkpoint(x)
    print(json.dumps({"steps": step, "seconds": round(time.time() - began), **means}))


if __name__ == "__main__":
    typer.run(train)
