"""The networks that are built here give the numbers of the libraries' classes with the same weights."""

import pytest
import timm
import torch
from transformers import BertConfig, BertModel, Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM

from misc.bits.arithmetic.transformer import Config
from misc.models.language_model.llama import Cache, Llama
from misc.models.towers.bert import Bert
from misc.models.towers.efficientnet import EfficientNetLite
from misc.models.towers.vit import VisionTransformer, rename


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@torch.no_grad()
def disturb(model: torch.nn.Module) -> None:
    """Biases, gains and scales that are not 0 or 1."""
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(28, 42), (56, 56), (112, 112)])
@pytest.mark.parametrize("autocast", [False, True])
def test_the_vision_transformer_is_dinov2(shape: tuple[int, int], autocast: bool) -> None:
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14, use_mask_token=False
    )
    theirs = Dinov2Model(config).eval()
    disturb(theirs)
    ours = VisionTransformer(32, layers=3, heads=4, patch=14, positions=4)
    ours.load_state_dict({rename(name): value for name, value in theirs.state_dict().items()})
    pixels = torch.randn(2, 3, *shape)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        torch.testing.assert_close(ours(pixels), theirs(pixels).last_hidden_state, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_the_text_tower_is_bert() -> None:
    config = BertConfig(vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40)
    theirs = BertModel(config).eval()
    disturb(theirs)
    with torch.device("meta"):
        ours = Bert(config.to_dict())
    ours.take({f"bert.{name}": value for name, value in theirs.state_dict().items()})
    tokens, visible = torch.randint(50, (3, 7)), torch.ones(3, 7, dtype=torch.long)
    visible[1, 4:] = 0
    expected = theirs(input_ids=tokens, attention_mask=visible).last_hidden_state
    torch.testing.assert_close(ours(tokens, visible)[visible > 0], expected[visible > 0], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="another kind"):
        Bert(config.to_dict() | {"hidden_act": "relu"})


@torch.inference_mode()
@pytest.mark.parametrize("side", [224, 97])
def test_the_tagger_is_efficientnet_lite0(side: int) -> None:
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=5).eval()
    for name, value in theirs.state_dict().items():
        if value.is_floating_point():
            value.add_(0.1 * torch.rand_like(value) if "var" in name else 0.05 * torch.randn_like(value))
    ours = EfficientNetLite(5).eval()
    wanted = ours.state_dict()
    ours.load_state_dict(dict(zip(wanted, theirs.state_dict().values(), strict=True)))
    pixels = torch.randn(2, 3, side, side)
    torch.testing.assert_close(ours(pixels), theirs(pixels), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_the_language_model_is_a_llama(kv_heads: int) -> None:
    config = Config(layers=2, width=32, hidden=48, heads=4, kv_heads=kv_heads, vocabulary=60, positions=64)
    ours = Llama(config).eval()
    disturb(ours)
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=60,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=kv_heads,
            max_position_embeddings=64,
            rms_norm_eps=config.epsilon,
            tie_word_embeddings=True,
        )
    ).eval()
    theirs.load_state_dict(ours.state_dict())
    tokens = torch.randint(60, (2, 9))
    expected = theirs(tokens).logits
    torch.testing.assert_close(ours(tokens), expected, rtol=1e-5, atol=1e-5)
    cache = Cache()
    parts = [ours(tokens[:, :6], cache), ours(tokens[:, 6:7], cache)]
    cache.select(torch.tensor([1, 0, 0]))
    parts.append(ours(tokens[[1, 0, 0], 7:8], cache)[[1, 0]])
    torch.testing.assert_close(torch.cat(parts, 1), expected[:, :8], rtol=1e-5, atol=1e-5)
    assert len(cache) == 8


@torch.inference_mode()
def test_what_is_not_visible_changes_nothing() -> None:
    model = Llama(Config(layers=2, width=32, hidden=48, heads=4, kv_heads=4, vocabulary=60, positions=64)).eval()
    disturb(model)
    embedded = torch.randn(1, 5, 32)
    visible = torch.ones(5, 5, dtype=torch.bool).tril()
    visible[2:, 1] = False
    changed = embedded.clone()
    changed[:, 1] += 1
    positions = torch.tensor([[0, 1, 2, 1, 2]])
    a, b = (model.model(each, visible[None, None], positions) for each in (embedded, changed))
    torch.testing.assert_close(a[:, 2:], b[:, 2:])
    assert (a[:, 1] - b[:, 1]).abs().max() > 0.01
    assert (model.model(embedded) - a)[:, 3:].abs().max() > 0.01
