"""The decoder's trainer: tiny networks learn, resume, and are drawn with; scenes are cut as their pictures are."""

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from diffusers import ControlNetModel, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel

from misc.bits.regions.maps import RegionMaps
from misc.bits.streams import Streams
from misc.bits.text.description import Description, Item
from misc.decoder_profile import Sampling
from misc.models.decoder.decoder import ControlPart, Decoder, Parts, Scene
from misc.models.decoder.int8_weights import load_int8
from misc.models.decoder.noise import gaussian
from misc.models.decoder.text_encoders import TextFeatures
from misc.train import decoder_networks, diffusion
from misc.train.autoencoder import new_autoencoder
from misc.train.data.conditions import conditions
from misc.train.data.scene_batches import SceneBatch
from misc.train.losses import image as picture_losses
from tests.support.images import sample_picture

SIDE = 64


class Letters:
    """In place of MiniLM: one state a letter."""

    def encode(self, texts: list[str]) -> TextFeatures:
        length = 2 + max(map(len, texts))
        states, tokens = torch.zeros(len(texts), length, 384), torch.zeros(len(texts), length, dtype=torch.bool)
        for row, text in enumerate(texts):
            tokens[row, : len(text) + 2] = True
            for column, letter in enumerate(text.encode()):
                states[row, column, letter] = 1
        return TextFeatures(states, tokens, tokens)

    def to(self, _: object) -> "Letters":
        return self


def tiny_unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        in_channels=8,
        out_channels=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=384,
        attention_head_dim=2,
        norm_num_groups=4,
    )


@pytest.fixture
def out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A decoder that was trained for a moment in both phases, and resumed between them."""
    vae = new_autoencoder()
    vae.save_pretrained(tmp_path / "vae")
    monkeypatch.setattr(decoder_networks, "new_unet", tiny_unet)
    monkeypatch.setattr(
        decoder_networks,
        "new_controlnet",
        lambda unet: ControlNetModel.from_unet(
            unet, conditioning_channels=6, conditioning_embedding_out_channels=(4, 4, 4, 4)
        ),
    )
    monkeypatch.setattr(diffusion, "MiniLmText", lambda _: Letters())
    monkeypatch.setattr(diffusion, "load_text_tower", lambda *_: None)
    monkeypatch.setattr(diffusion, "CRITICAL", -1)
    monkeypatch.setattr(picture_losses, "st_lpips", lambda _: lambda a, b, normalize: (a - b).abs().mean((1, 2, 3)))
    shared = {
        "data": [data],
        "scenes": data / "scenes.jsonl",
        "vae": tmp_path / "vae",
        "out": tmp_path / "out",
        "batch": 4,
        "flow_batch": 2,
        "size": SIDE,
        "semantic": 0,
        "workers": 0,
    }
    states = []
    for steps, flow_minutes in ((1, 10), (3, 0), (3, 0)):  # the last has nothing left to do
        diffusion.train(steps=steps, flow_minutes=flow_minutes, **shared)
        states.append(torch.load(tmp_path / "out" / "state.pt", weights_only=True))
        assert states[-1]["step"] == steps
    for part in ("model", "average", "critic"):
        for name, value in states[1][part].items():
            torch.testing.assert_close(states[2][part][name], value)
        assert any(not torch.equal(value, states[0][part][name]) for name, value in states[1][part].items())
    encoder = "vae.encoder.conv_in.weight"
    torch.testing.assert_close(states[2]["model"][encoder], states[0]["model"][encoder])
    return tmp_path / "out" / "decoder"


def test_only_what_is_chosen_learns() -> None:
    unet = tiny_unet()
    control = ControlNetModel.from_unet(unet, conditioning_channels=6, conditioning_embedding_out_channels=(4, 4, 4, 4))
    networks = decoder_networks.Networks(unet, control, new_autoencoder())
    attention = {name for name, _ in networks.named_parameters() if name.startswith(("unet", "controlnet"))}
    attention = {name for name in attention if ".attentions." in name}
    everything = len(diffusion.chosen(networks, ""))
    assert 0 < len(diffusion.chosen(networks, r"net\..*attentions")) == len(attention) < everything
    assert {name for name, parameter in networks.named_parameters() if parameter.requires_grad} == attention
    with pytest.raises(typer.BadParameter, match="nothing"):
        diffusion.chosen(networks, "nothing")


def test_a_batch_may_be_drawn_whole(data: Path, out: Path) -> None:
    folder = out.parent / "more"
    diffusion.train(
        [data], data / "scenes.jsonl", folder, start=out, flow_minutes=0, batch=2, flow_share=0, perceptual=0,
        adversarial=0, semantic=0, size=SIDE, steps=1, workers=0, whole=True, learn="attentions",
    )  # fmt: skip
    before, after = (
        load_int8(UNet2DConditionModel, each / "unet", torch.float32).state_dict() for each in (out, folder / "decoder")
    )
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all("attentions" in name for name in changed)


def test_what_is_trained_draws_every_subset(out: Path) -> None:
    kinds = (UNet2DConditionModel, ControlNetModel, type(new_autoencoder()))
    unet, control, vae = (
        load_int8(kind, out / name, torch.float32).eval()
        for kind, name in zip(kinds, ("unet", "controlnet", "vae"), strict=True)
    )
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(out / "scheduler")
    parts = Parts(unet, vae, scheduler, Letters(), (ControlPart(control),))  # type: ignore[arg-type]
    decoder = Decoder(parts, Sampling(1, strength=0.5), native=64, tile=96, text_steps=3, anchored=1.0)
    pixels = np.asarray(sample_picture(60, 50))
    maps, text = RegionMaps(np.ones((1, 8, 10), bool)), Description("a dog")
    told: list[tuple[int, int]] = []
    for scene, steps in (
        (Scene(Streams(60, 50), pixels), 1),
        (Scene(Streams(60, 50, text=text)), 3),
        (Scene(Streams(60, 50, text=text, regions=maps), pixels), 1),
    ):
        drawn = decoder.draw(scene, progress=lambda *step: told.append(step))
        assert drawn.shape == (50, 60, 3)
        assert told[-1] == (steps, steps)


def test_training_and_drawing_are_one_function() -> None:
    torch.manual_seed(0)
    unet = tiny_unet()
    control = ControlNetModel.from_unet(unet, conditioning_channels=6, conditioning_embedding_out_channels=(4, 4, 4, 4))
    for layer in (*control.controlnet_down_blocks, control.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.2)
    networks = decoder_networks.Networks(unet, control, new_autoencoder()).eval()
    pixels = np.asarray(sample_picture(64, 48))
    drafts = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
    batch = SceneBatch(drafts, torch.zeros(1, 3, 6, 8), torch.tensor([False]), [["a dog", "dog, brown"]])
    while True:  # until the text is not dropped
        shown = conditions(Letters(), batch, drafts, 2, pixels=torch.tensor([True]), dtype=torch.float32)  # type: ignore[arg-type]
        if shown.states.shape[1] > 4:
            break
    with torch.no_grad():
        noise = torch.from_numpy(gaussian(3, (1, 8, 6, 8)))
        expected = diffusion.one_step(networks, drafts, shown, noise, 0.4)[0].permute(1, 2, 0) * 255
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000)
    parts = Parts(unet, networks.vae, scheduler, Letters(), (ControlPart(control),))  # type: ignore[arg-type]
    decoder = Decoder(parts, Sampling(1, strength=0.4, colour="none"), native=64, tile=96, anchored=1.0)
    text = Description("a dog", (Item("dog", "brown"),))
    drawn = decoder.draw(Scene(Streams(64, 48, 3, text), pixels))
    assert np.abs(drawn - expected.clamp(0, 255).numpy()).max() < 0.6
    assert np.abs(drawn.astype(int) - pixels).max() > 3
    decoder.anchored = 0.5
    half = decoder.draw(Scene(Streams(64, 48, 3, text), pixels))
    assert np.abs(half - (expected + pixels).div(2).clamp(0, 255).numpy()).max() < 0.6


def test_a_decoder_that_says_nothing_leaves_the_picture_alone() -> None:
    torch.manual_seed(0)
    unet, vae = tiny_unet().eval(), new_autoencoder().eval()
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    parts = Parts(unet, vae, FlowMatchEulerDiscreteScheduler(), Letters())  # type: ignore[arg-type]
    pixels = np.asarray(sample_picture(60, 50))
    decoder = Decoder(parts, Sampling(1, strength=1e-6), native=64, tile=96, anchored=1.0)
    np.testing.assert_array_equal(decoder.draw(Scene(Streams(60, 50), pixels)), pixels)
