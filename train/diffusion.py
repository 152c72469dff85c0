"""Train the embedded decoder: a UNet and a ControlNet on the latents of a trained autoencoder.

    python -m misc.train.diffusion --data SHARDS --scenes scenes.jsonl --vae FOLDER --hyperprior FILE --out FOLDER

Two phases. Flow matching (Lipman 2023, arXiv 2210.02747), for `--flow-minutes`: latents of crops are mixed with noise
and the velocity is learned, with any subset of the conditions: text, masks, the pixel stream's picture at a random
rate. Then, end to end as well: one step from the latents of the pixel stream's picture, noised to `--strength`; that
picture plus the difference of both decodings is compared with the photo (L1, ST-LPIPS `vgg`, strength of texture, what
repeats, the vision tower's patch tokens, a patch discriminator). Texture is drawn from the noise; without any, the
network draws regular patterns. The autoencoder's decoder learns along, and goes on to decode photos.

An exponential moving average goes to OUT/decoder (unet/ controlnet/ vae/ scheduler/) in 8 bits a weight. Resumes from
OUT/state.pt; `--start` takes such a folder. Prints its result as JSON.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from ..models.decoder.text_encoders import MiniLmText
from ..models.hyperprior.weights import load_hyperprior
from ..models.towers.text_features import load_text_tower
from ..profiles import load_profile
from .autoencoder import LATENT_CHANNELS
from .data.conditions import Shown, conditions
from .data.scene_batches import FACTOR, SceneBatch, scene_loader
from .decoder_networks import Networks, write_decoder
from .hyperprior import learning_rate
from .losses.discriminator import PatchDiscriminator, discriminator_loss
from .losses.image import Losses, Weights, pull_of
from .state import restore, save

__all__ = ["flow_loss", "one_step"]

QUALITIES = (0.2, 1.0)
FLOW_WEIGHT = 0.1
DROP_PIXELS = 0.4
CRITICAL = 0.05  # of the second phase, after which the discriminator pulls
LOGGED = 4  # pictures in the log


def flow_loss(networks: Networks, latents: Tensor, shown: Shown) -> Tensor:
    """Squared error of the velocity at random shares of noise; half of them logit-normal, as the middle is harder."""
    count, device = len(latents), latents.device
    middle = torch.randn(count, device=device).sigmoid()
    sigma = torch.where(torch.rand(count, device=device) < 0.5, middle, torch.rand(count, device=device))
    noise = torch.randn_like(latents)
    share = sigma[:, None, None, None]
    velocity = networks.velocity((1 - share) * latents + share * noise, sigma, shown)
    return functional.mse_loss(velocity, noise - latents)


def one_step(networks: Networks, drafts: Tensor, shown: Shown, noise: Tensor, strength: float) -> Tensor:
    """Pictures (B, 3, S, S) that one step makes of drafts, whose latents are noised to a strength."""
    start = networks.latents(drafts)
    noised = (1 - strength) * start + strength * noise
    sigma = torch.full((len(drafts),), strength, device=drafts.device)
    mended = noised - strength * networks.velocity(noised, sigma, shown)
    return drafts + networks.picture(mended) - networks.picture(start)


def learn_beside(networks: Networks, photos: Tensor, shown: Shown, *, pictures: bool) -> dict[str, Tensor]:
    """Gradients and losses of photos (B, 3, S, S) that are not drawn: of flow matching, beside pictures also of the
    decoding of latents, both then weighted by FLOW_WEIGHT. None of no photos."""
    if not len(photos):
        return {}
    latents = networks.latents(photos)
    found = {"flow": flow_loss(networks, latents, shown)}
    if pictures:
        found["decoded"] = (networks.picture(latents).float() - photos).abs().mean()
    (torch.stack([*found.values()]).sum() * (FLOW_WEIGHT if pictures else 1.0)).backward()
    return found


def endless(
    data: list[Path], scenes: Path, size: int, count: int, seed: int, workers: int, *, near: bool
) -> Iterator[SceneBatch]:
    """Batches; scenes of other photos are an error of usage."""
    try:
        return iter(scene_loader(data, scenes, size, count, seed, workers, near=near))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scenes") from error


def chosen(networks: Networks, learn: str) -> list[nn.Parameter]:
    """The parameters that learn: of those that may, all whose names the regular expression is found in."""
    for name, parameter in networks.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and re.search(learn, name) is not None)
    found = [parameter for parameter in networks.parameters() if parameter.requires_grad]
    if not found:
        raise typer.BadParameter(f"no parameter's name has {learn!r} in it", param_hint="--learn")
    return found


def restore_critic(path: Path, critic: PatchDiscriminator) -> None:
    """The discriminator of a run whose state is in the file, if it is there."""
    if path.exists():
        critic.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["critic"])


def train(
    data: Annotated[list[Path], typer.Option(help="shards (.tar) or folders of them")],
    scenes: Annotated[Path, typer.Option(help="by misc.train.prepare.scenes")],
    out: Annotated[Path, typer.Option(help="folder for state, weights and TensorBoard logs")],
    vae: Annotated[Path | None, typer.Option(help="folder by misc.train.autoencoder")] = None,
    hyperprior: Annotated[
        Path | None, typer.Option(help="weights of the pixel stream; the profile's if not given")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="folder of a trained decoder")] = None,
    steps: int = 1_000_000,
    minutes: float = 60,
    flow_minutes: Annotated[float, typer.Option(help="at first, of flow matching alone")] = 20,
    flow_batch: int = 32,
    batch: Annotated[int, typer.Option(min=2)] = 8,
    flow_share: Annotated[float, typer.Option(help="of a batch, in the second phase")] = 0.25,
    size: int = 192,
    lr: float = 4e-4,
    strength: Annotated[float, typer.Option(help="noise in the drafts' latents, above 0 to 1")] = 0.5,
    picture_lr: Annotated[float, typer.Option(help="rate of learning of the second phase")] = 2e-4,
    decay: float = 0.5,
    l1: Annotated[float, typer.Option(help="weight of L1")] = 2.0,
    perceptual: Annotated[float, typer.Option(help="weight of ST-LPIPS")] = 1.0,
    texture: Annotated[float, typer.Option(help="weight of the strength of texture")] = 8.0,
    regular: Annotated[float, typer.Option(help="weight of what repeats every 16 pixels")] = 4.0,
    perceptual_count: int = 8,
    semantic: Annotated[float, typer.Option(help="weight of the vision tower's tokens")] = 0.1,
    adversarial: Annotated[float, typer.Option(help="pull of the discriminator, against all others' together")] = 0.1,
    ema: Annotated[float, typer.Option(help="of the weights, a step")] = 0.998,
    learn: Annotated[str, typer.Option(help="regular expression in the names of what learns; the rest stays")] = "",
    whole: Annotated[bool, typer.Option("--whole", help="squares up to the whole photo in the second phase")] = False,
    seed: int = 0,
    workers: int = 1,
    profile: str = "embedded",
) -> None:
    """Train the decoder."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16
    known = load_profile(profile)
    networks = Networks.of(vae, start).to(device).train()
    if device.type == "cuda":  # on a CPU that layout is slower here
        networks.to(memory_format=torch.channels_last)
    average = AveragedModel(networks, multi_avg_fn=get_ema_multi_avg_fn(ema))
    critic = PatchDiscriminator().to(device)
    learned = chosen(networks, learn)
    both = [
        torch.optim.AdamW(learned, lr=lr, weight_decay=0.01),
        torch.optim.AdamW(critic.parameters(), lr=picture_lr, betas=(0.5, 0.9)),
    ]
    path = out / "state.pt"
    step, seconds = restore(path, networks, average, both)
    restore_critic(path, critic)
    torch.manual_seed(seed + step)
    pixels = load_hyperprior(hyperprior or known.hyperprior.path).to(device).eval().requires_grad_(False)
    text = MiniLmText(lambda: load_text_tower(known.packages["minilm"].checked())).to(device)
    weights = Weights(l1, perceptual, texture, regular, semantic)
    losses = Losses(device, known.packages["vit"].checked(), weights, perceptual_count)
    levels = len(networks.unet.config.block_out_channels)
    log = SummaryWriter(str(out / "log"))
    means: dict[str, float] = {}
    began, saved_at = time.time() - seconds, time.time()
    batches: Any = None
    flowing = True

    def noise_for(pictures: Tensor) -> Tensor:
        """Standard normal, in the shape of pictures' latents."""
        return torch.randn(len(pictures), LATENT_CHANNELS, *(side // FACTOR for side in pictures.shape[2:])).to(device)

    def checkpoint(pictures: Tensor, drafts: Tensor, shown: Shown) -> None:
        save(path, networks, average, both, step, time.time() - began, critic=critic.state_dict())
        best = average.module.eval()
        write_decoder(best, out / "decoder")
        few = slice(LOGGED)
        with torch.no_grad(), torch.autocast(device.type, dtype):
            noise = noise_for(drafts[few])
            drawn = one_step(best, drafts[few], shown.of(few), noise, strength)
        log.add_image(
            "photos, drafts, drawn",
            make_grid(torch.cat([pictures[few], drafts[few], drawn.clamp(0, 1)]), LOGGED),
            step,
        )

    while step < steps and time.time() - began < 60 * minutes:
        over = time.time() - began
        if batches is None or flowing != (over < 60 * flow_minutes):
            flowing = over < 60 * flow_minutes
            count = flow_batch if flowing else batch
            batches = endless(data, scenes, size, count, seed + step, workers, near=not (flowing or whole))
        begun, end = (0.0, flow_minutes) if flowing else (flow_minutes, minutes)
        done = max(step / steps, (over / 60 - begun) / max(1e-9, end - begun))
        rate = (lr if flowing else picture_lr) * learning_rate(step, done, 0.3 if flowing else decay)
        for group in (group for optimizer in both for group in optimizer.param_groups):
            group["lr"] = rate
        scene: SceneBatch = next(batches)
        photos = scene.pictures.to(device)
        criticised = adversarial > 0 and not flowing
        critical = criticised and done > CRITICAL
        with torch.autocast(device.type, dtype):
            with torch.no_grad():
                quality = torch.empty(len(photos), device=device).uniform_(*QUALITIES)
                drafts = pixels(photos, quality)["x_hat"].clamp(0, 1).float()
            drawn_count = 0 if flowing else len(photos) - math.ceil(flow_share * len(photos))
            given = torch.rand(len(photos)) >= DROP_PIXELS if flowing else torch.arange(len(photos)) < drawn_count
            shown = conditions(text, scene, drafts, levels, pixels=given, dtype=dtype)
            rest = slice(drawn_count, None)
            parts = learn_beside(networks, photos[rest], shown.of(rest), pictures=not flowing)
            if not flowing:
                first = slice(drawn_count)
                drawn = one_step(networks, drafts[first], shown.of(first), noise_for(drafts[first]), strength)
                pull, of_pictures = pull_of(
                    drawn, photos[first], drafts[first], losses, critic if critical else None, adversarial
                )
                drawn.backward(pull)
                parts |= of_pictures
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        both[0].step()
        both[0].zero_grad()
        if criticised:
            with torch.autocast(device.type, dtype):
                judged = discriminator_loss(critic(photos[first], drafts[first]), critic(drawn.detach(), drafts[first]))
            both[1].zero_grad()
            judged.backward()
            both[1].step()
            parts["critic"] = judged
        average.update_parameters(networks)
        step += 1
        if step % 20 == 0:
            for name, value in parts.items():
                means[name] = value.item() + 0.9 * (means.get(name, value.item()) - value.item())
                log.add_scalar(name, means[name], step)
        if step % 100 == 0:
            note = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
            print(f"step {step}  {note}  {(time.time() - began) / step:.3f} s/step", file=sys.stderr, flush=True)
        if time.time() - saved_at > 240:
            checkpoint(photos, drafts, shown)
            saved_at = time.time()
    if batches is not None:
        checkpoint(photos, drafts, shown)
    print(json.dumps({"steps": step, "seconds": round(time.time() - began), **means}))


if __name__ == "__main__":
    typer.run(train)
