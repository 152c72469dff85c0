"""The decoder's trainer: tiny networks learn, resume, and are drawn with; scenes are cut as their pictures are."""

import io
import json
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from diffusers import ControlNetModel, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel

from misc.bits.regions.maps import RegionMaps
from misc.bits.text.description import Description, Item
from misc.decoder_profile import Sampling
from misc.models.decoder.decoder import ControlPart, Decoder, Parts, Scene
from misc.models.decoder.int8_weights import load_int8
from misc.models.decoder.noise import gaussian
from misc.models.decoder.text_encoders import TextFeatures
from misc.train import decoder_networks, diffusion
from misc.train.autoencoder import new_autoencoder
from misc.train.data.conditions import conditions
from misc.train.data.images import named_photos, random_square
from misc.train.data.scene_batches import SceneBatch, mask_crop, scene_loader
from misc.train.losses import discriminator
from misc.train.losses import image as picture_losses
from misc.train.prepare import scenes
from misc.train.prepare.features import labelled_photos
from misc.train.prepare.scenes import read_scenes
from tests.conftest import sample_picture

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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of photos and their scenes, one photo without a scene."""
    root = tmp_path_factory.mktemp("data")
    scenes = []
    for shard in ("captioned-train-00", "photos-00"):
        with tarfile.open(root / f"{shard}.tar", "w") as archive:
            for i in range(3):
                with io.BytesIO() as coded:
                    sample_picture(96, 80, i).save(coded, "WEBP")
                    parts = {"webp": coded.getvalue(), "json": b"{}"}
                for suffix, content in parts.items():
                    entry = tarfile.TarInfo(f"{shard}_{i}.{suffix}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
                if i:
                    items = [{"name": "dog", "detail": "brown"}]
                    masks = np.eye(8, 10, dtype=int)[None].tolist()
                    scenes.append({"photo": f"{shard}_{i}", "overall": "a dog", "items": items, "masks": masks})
    (root / "scenes.jsonl").write_text("".join(json.dumps(scene) + "\n" for scene in scenes))
    return root


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
    for streams in (
        {"pixels": pixels},
        {"description": text},
        {"description": text, "regions": maps, "pixels": pixels},
    ):
        drawn = decoder.draw(Scene(60, 50, **streams), progress=lambda *step: told.append(step))  # type: ignore[arg-type]
        assert drawn.shape == (50, 60, 3)
        assert told[-1] == ((1, 1) if "pixels" in streams else (3, 3))


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
    drawn = decoder.draw(Scene(64, 48, 3, text, pixels=pixels))
    assert np.abs(drawn - expected.clamp(0, 255).numpy()).max() < 0.6
    assert np.abs(drawn.astype(int) - pixels).max() > 3
    decoder.anchored = 0.5
    half = decoder.draw(Scene(64, 48, 3, text, pixels=pixels))
    assert np.abs(half - (expected + pixels).div(2).clamp(0, 255).numpy()).max() < 0.6


def test_a_decoder_that_says_nothing_leaves_the_picture_alone() -> None:
    torch.manual_seed(0)
    unet, vae = tiny_unet().eval(), new_autoencoder().eval()
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    parts = Parts(unet, vae, FlowMatchEulerDiscreteScheduler(), Letters())  # type: ignore[arg-type]
    pixels = np.asarray(sample_picture(60, 50))
    decoder = Decoder(parts, Sampling(1, strength=1e-6), native=64, tile=96, anchored=1.0)
    np.testing.assert_array_equal(decoder.draw(Scene(60, 50, pixels=pixels)), pixels)


def test_masks_are_cut_as_pictures_are() -> None:
    masks = np.zeros((1, 8, 8), bool)
    masks[0, :4, 4:] = True
    maps = RegionMaps(masks)
    quarter = mask_crop(maps, (0.5, 0.0, 1.0, 0.5), 8)
    assert quarter.shape == (3, 8, 8)
    assert quarter[0, :6, 2:].min() > 0.9
    assert not quarter[1:].any()
    assert mask_crop(maps, (0.0, 0.5, 0.5, 1.0), 8)[0, 2:, :6].max() < 0.1
    assert not mask_crop(None, (0, 0, 1, 1), 4).any()


def test_near_squares_keep_the_scale_of_the_photo() -> None:
    draw, photo = random.Random(0), sample_picture(400, 300)
    near = [random_square(photo, 160, draw, (0.8, 1.4)) for _ in range(200)]
    sides = [right - left for left, _, right, _ in near]
    assert all(abs(bottom - top - side) < 1e-6 for (_, top, _, bottom), side in zip(near, sides, strict=True))
    assert 160 / 1.4 <= min(sides) < 120
    assert 190 < max(sides) <= 160 / 0.8
    whole = [box[2] - box[0] for box in (random_square(photo, 160, draw) for _ in range(200))]
    assert 160 <= min(whole) < 165
    assert 290 < max(whole) <= 300
    small = random_square(sample_picture(100, 90), 160, draw, (0.8, 1.4))
    assert small[2] - small[0] == pytest.approx(90)


def test_scenes_of_other_photos_are_refused(data: Path, tmp_path: Path) -> None:
    others = tmp_path / "others.jsonl"
    others.write_text((data / "scenes.jsonl").read_text().replace("_1", "_7").replace("_2", "_8"))
    with pytest.raises(ValueError, match=r"others\.jsonl describes no photo"):
        scene_loader([data], others, SIDE, 2, seed=0, workers=0)


def test_photos_have_the_names_that_batches_know_them_by(data: Path, tmp_path: Path) -> None:
    names = [
        name for name, photo, facts in named_photos(sorted(data.glob("*.tar"))) if photo.size == (96, 80) and not facts
    ]
    assert names == [f"{shard}_{i}" for shard in ("captioned-train-00", "photos-00") for i in range(3)]
    assert not list(labelled_photos(sorted(data.glob("*.tar"))))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for member, content in (("folder/x.y.json", b'{"label": "dog"}'), ("folder/x.y.webp", picture_bytes())):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    ((photo, facts),) = labelled_photos([tmp_path / "a.tar"])
    assert facts == {"photo": "x", "label": "dog"}
    assert photo.mode == "RGB"


def picture_bytes() -> bytes:
    with io.BytesIO() as coded:
        sample_picture(20, 10).convert("L").save(coded, "WEBP")
        return coded.getvalue()


def test_batches_hold_scenes(data: Path) -> None:
    batch = next(iter(scene_loader([data], data / "scenes.jsonl", SIDE, 12, 0, 0)))
    assert batch.pictures.shape == (12, 3, SIDE, SIDE)
    assert 0 <= float(batch.pictures.min()) < float(batch.pictures.max()) <= 1
    assert {len(texts) for texts in batch.texts} == {1, 2}
    for texts, located, masks in zip(batch.texts, batch.located, batch.masks, strict=True):
        assert texts == (["a dog", "dog, brown"] if located else [""])
        assert bool(masks.any()) == bool(located)
    assert set(read_scenes(data / "scenes.jsonl")) == {
        f"{s}_{i}" for s in ("captioned-train-00", "photos-00") for i in (1, 2)
    }


class Seer:
    """In place of `misc.models.semantics.Semantics`."""

    tower = detector = None

    class describer:  # noqa: N801
        @staticmethod
        def describe_patches(_: torch.Tensor, things: object) -> Description:
            return Description("seen by the describer")

    class clip:  # noqa: N801
        @staticmethod
        def look(_: torch.Tensor) -> tuple[None, torch.Tensor]:
            return None, torch.zeros(1, 16, 16, 2)

        @staticmethod
        def write(dense: torch.Tensor, _: object) -> torch.Tensor:
            dense[:8, :8, 0] = 1
            return dense

        @staticmethod
        def embed_texts(names: list[str]) -> torch.Tensor:
            return torch.eye(2)[: len(names)]


def test_scenes_take_captions_then_labels_then_the_describer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "patch_tokens", lambda *_: torch.zeros(1, 16, 16, 384))
    photo = sample_picture(64, 64)
    facts = [{"captions": ["A brown dog"]}, {"label": "golden_retriever, dog"}, {}]
    lines = [{"photo": str(k)} | scenes.scene_of(Seer(), photo, known) for k, known in enumerate(facts)]  # type: ignore[arg-type]
    path = tmp_path / "scenes.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"photo": "cut off')
    found = read_scenes(path)
    assert [found[str(k)][0].overall for k in range(3)] == [
        "A brown dog",
        "a golden retriever",
        "seen by the describer",
    ]
    assert [item.name for item in found["1"][0].items] == ["golden retriever"]
    maps = found["0"][1]
    assert maps is not None
    assert maps.masks[0, :4, :4].all()
    assert not maps.masks[0, 5:].any()
    assert found["2"][1] is None
    assert len(found) == 3


def test_the_describer_sees_every_other_labelled_photo_or_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "patch_tokens", lambda *_: torch.zeros(1, 16, 16, 384))
    monkeypatch.setattr(scenes, "Semantics", lambda _: Seer())
    shard = tmp_path / "photos.tar"
    facts = [{"label": "cat"}, {"label": "dog"}, {"captions": ["A brown dog"]}]
    with tarfile.open(shard, "w") as archive:
        for k, known in enumerate(facts):
            for suffix, content in (("json", json.dumps(known).encode()), ("webp", picture_bytes())):
                entry = tarfile.TarInfo(f"{k}.{suffix}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    own = "seen by the describer"
    for described, said in ((False, [own, "a dog", "A brown dog"]), (True, [own] * 3)):
        out = tmp_path / f"{described}.jsonl"
        scenes.main([shard], out, described=described)
        assert [description.overall for description, _ in read_scenes(out).values()] == said


def test_the_critic_learns_which_is_which() -> None:
    torch.manual_seed(0)
    critic = discriminator.PatchDiscriminator(8)
    optimizer = torch.optim.AdamW(critic.parameters(), 2e-3)
    real, drawn, drafts = torch.rand(4, 3, 32, 32), torch.full((4, 3, 32, 32), 0.5), torch.zeros(4, 3, 32, 32)
    losses = []
    for _ in range(20):
        loss = discriminator.discriminator_loss(critic(real, drafts), critic(drawn, drafts))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
    assert discriminator.generator_loss(critic(real, drafts)) < discriminator.generator_loss(critic(drawn, drafts))


def test_texture_is_measured_by_its_strength_and_direction() -> None:
    torch.manual_seed(0)
    photos, other = (0.5 + 0.1 * torch.randn(2, 3, 80, 80) for _ in range(2))
    flat = torch.full_like(photos, 0.5)
    stripes = flat + 0.1 * torch.tensor([1.0, -1.0]).repeat(40)[None, None, :, None]
    assert float(picture_losses.texture_distance(photos, photos)) == 0
    of_noise, of_flat, of_stripes = (
        float(picture_losses.texture_distance(each, photos)) for each in (other, flat, stripes)
    )
    assert of_noise < of_flat / 4
    assert of_noise < of_stripes / 4


def test_what_repeats_is_told_from_noise() -> None:
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(2, 3, 100, 100)
    comb = torch.zeros(100)
    comb[::8] = 0.3
    of_noise, of_both, of_comb = (
        float(picture_losses.regularity(each)) for each in (noise, noise + comb, comb.expand(1, 3, 100, 100))
    )
    assert of_noise < 0.03 < of_both
    assert of_comb == pytest.approx(2 * 0.3 * 7 / 8 / 8, rel=1e-4)
    assert float(picture_losses.regularity(torch.ones(1, 3, 48, 48))) == 0
