import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from misc.errors import WeightsError
from misc.models.clip.dense import OpenClip, open_folder, value_attention
from misc.models.locator import locate
from tests.support.pickles import Trap

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "size": [64, 64], "interpolation": "bicubic"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model in the layout of the hub."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("clip")
    model = open_clip.CLIP(**{**TINY, "vision_cfg": TINY["vision_cfg"], "text_cfg": TINY["text_cfg"]})
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": PREPROCESS}))
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()}, path / "open_clip_model.safetensors"
    )
    return path


def test_a_hub_folder_gives_maps(folder: Path) -> None:
    clip = open_folder(folder)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 96, 3), np.uint8))
    dense, texts = clip.embed_patches(picture), clip.embed_texts(["a cat", "dog"])
    assert dense.shape == (4, 4, 16)
    assert texts.shape == (2, 16)
    torch.testing.assert_close(dense.norm(dim=-1), torch.ones(4, 4))
    maps = locate(clip, picture, ["a cat", "dog"], 4)
    assert maps.masks.shape == (2, 4, 8)
    assert maps.masks.any((1, 2)).all()
    assert not maps.masks.all((1, 2)).any()


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random SigLIP in the layout of the hub: a tower of timm that pools by attention."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("siglip")
    vision = {"image_size": 224, "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "map", "timm_proj": "none"}
    config = {
        "embed_dim": 192,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": vision,
        "text_cfg": TINY["text_cfg"] | {"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
    }
    model = open_clip.CustomTextCLIP(config["embed_dim"], vision, config["text_cfg"], init_logit_bias=-10)
    size = PREPROCESS | {"size": [224, 224]}
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": size}))
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()}, path / "open_clip_model.safetensors"
    )
    return path


def test_siglip_gives_maps(siglip: Path) -> None:
    clip = open_folder(siglip)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 96, 3), np.uint8))
    dense, texts = clip.embed_patches(image), clip.embed_texts(["a cat", "dog"])
    assert dense.shape == (14, 14, 192)
    assert texts.shape == (2, 192)
    torch.testing.assert_close(dense.norm(dim=-1), torch.ones(14, 14))
    likeness = dense.flatten(0, 1) @ dense.flatten(0, 1).T
    assert likeness.min() < 0.999  # each patch has its own
    assert locate(clip, image, ["a cat", "dog"], 4).masks.shape == (2, 4, 8)


def test_siglips_patches_are_pooled_as_its_image_is(siglip: Path) -> None:
    """Where all patches are alike, each one's embedding is the image's own."""
    clip = open_folder(siglip)
    trunk = clip.model.visual.trunk
    alike = torch.randn(1, 1, 192).expand(1, 14 * 14 + trunk.num_prefix_tokens, 192)
    trunk.forward_features = lambda _: alike
    with torch.inference_mode():
        whole = clip.model.visual.head(trunk.forward_head(alike))
    whole = nn.functional.normalize(whole[0], dim=-1)
    torch.testing.assert_close(clip.embed_patches(Image.new("RGB", (8, 8)))[3, 5], whole, atol=1e-5, rtol=1e-4)


def test_value_attention_mixes_like_values() -> None:
    attention = nn.MultiheadAttention(4, 1, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat([torch.zeros(8, 4), 20 * torch.eye(4)]))
        attention.in_proj_bias.zero_()
        attention.out_proj.weight.copy_(torch.eye(4))
        attention.out_proj.bias.zero_()
    x = torch.tensor([[[1.0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]]])
    torch.testing.assert_close(value_attention(attention, x), 20 * x)


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="open_clip"):
        open_folder(tmp_path)
    with pytest.raises(WeightsError, match="ViT"):
        OpenClip(nn.Linear(1, 1), None, None)


def test_a_pickle_that_wants_more_than_tensors_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    torch.save({"state_dict": {}, "trap": Trap(tmp_path / "sprung")}, tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"open_clip_pytorch_model\.bin is a pickle that wants .*pathlib"):
        open_folder(tmp_path)
    assert not (tmp_path / "sprung").exists()
