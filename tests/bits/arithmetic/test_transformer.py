import numpy as np

from misc.bits.arithmetic.elementwise import exact_exp, round_positions, round_rows
from misc.bits.arithmetic.transformer import Transformer
from tests.support.language_models import CONFIG, tiny_arrays, tiny_transformer


def test_a_batch_of_positions_changes_no_bit() -> None:
    tokens = np.random.default_rng(0).integers(0, 256, 40)
    model = tiny_transformer()
    together = model(tokens, model.cache())
    cache = model.cache()
    alone = np.concatenate([model([token], cache) for token in tokens])
    cache = model.cache()
    some = np.concatenate([model(part, cache) for part in np.array_split(tokens, 3)])
    assert np.array_equal(together, alone)
    assert np.array_equal(together, some)


def test_order_of_summation_changes_no_bit() -> None:
    """Hidden units in another order: the sums of `down` run the other way."""
    arrays, _ = tiny_arrays()
    order = np.random.default_rng(1).permutation(CONFIG.hidden)
    shuffled = dict(arrays)
    for i in range(CONFIG.layers):
        for name in ("gate", "up"):
            for part in ("weight", "exponent"):
                shuffled[f"layers.{i}.{name}.{part}"] = arrays[f"layers.{i}.{name}.{part}"][order]
        shuffled[f"layers.{i}.down.weight"] = arrays[f"layers.{i}.down.weight"][:, order]
    tokens = [1, 2, 3, 4, 5]
    a, b = (Transformer(CONFIG, each) for each in (arrays, shuffled))
    assert np.array_equal(a(tokens, a.cache()), b(tokens, b.cache()))


def test_the_transformer_is_a_llama() -> None:
    """Close to transformers' own class with the same weights in floating point."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    arrays, _ = tiny_arrays()
    c = CONFIG
    config = LlamaConfig(
        vocab_size=c.vocabulary,
        hidden_size=c.width,
        intermediate_size=c.hidden,
        num_hidden_layers=c.layers,
        num_attention_heads=c.heads,
        num_key_value_heads=c.kv_heads,
        rms_norm_eps=c.epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()

    def weight(name: str) -> np.ndarray:
        return np.ldexp(arrays[f"{name}.weight"].astype(float), arrays[f"{name}.exponent"].astype(int)[:, None])

    def halves(rows: np.ndarray) -> np.ndarray:
        """Neighbouring pairs to transformers' order of first and second halves."""
        return rows.reshape(-1, c.head_width // 2, 2, c.width).swapaxes(1, 2).reshape(rows.shape)

    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.from_numpy(weight("embedding")))
        model.model.norm.weight.copy_(torch.from_numpy(arrays["final.gain"] / 65_536))
        for i, layer in enumerate(model.model.layers):
            layer.input_layernorm.weight.copy_(torch.from_numpy(arrays[f"layers.{i}.attention.gain"] / 65_536))
            layer.post_attention_layernorm.weight.copy_(torch.from_numpy(arrays[f"layers.{i}.mlp.gain"] / 65_536))
            attention, mlp = layer.self_attn, layer.mlp
            attention.q_proj.weight.copy_(torch.from_numpy(halves(weight(f"layers.{i}.query"))))
            attention.k_proj.weight.copy_(torch.from_numpy(halves(weight(f"layers.{i}.key"))))
            attention.v_proj.weight.copy_(torch.from_numpy(weight(f"layers.{i}.value")))
            attention.o_proj.weight.copy_(torch.from_numpy(weight(f"layers.{i}.output")))
            for name in ("gate", "up", "down"):
                getattr(mlp, f"{name}_proj").weight.copy_(torch.from_numpy(weight(f"layers.{i}.{name}")))
        tokens = list(range(30, 60))
        theirs = model(torch.tensor([tokens])).logits[0].numpy()
    ours = tiny_transformer()(tokens, tiny_transformer().cache())
    assert np.square(ours - theirs).mean() ** 0.5 < 0.05 * theirs.std()
    assert (ours.argmax(1) == theirs.argmax(1)).mean() > 0.8


def test_exponentials_are_close_and_rows_are_integers() -> None:
    x = np.linspace(-30, 5, 1001)
    assert np.abs(exact_exp(x) / np.exp(x) - 1).max() < 2e-4
    q, scale = round_rows(np.random.default_rng(0).normal(0, 3, (5, 40)), 127)
    assert np.array_equal(q, np.rint(q))
    assert np.abs(q).max(1).min() >= 64
    assert np.abs(q).max() <= 127
    assert np.array_equal(np.frexp(scale)[0], np.full_like(scale, 0.5))
    assert np.array_equal(round_rows(np.zeros((1, 4)), 127)[0], np.zeros((1, 4)))


def test_one_position_is_rounded_as_many_are() -> None:
    draw = np.random.default_rng(0)
    rows = [draw.normal(0, 3, 40), np.zeros(40), np.full(40, 127.0), np.linspace(-1e-300, 1e300, 40), -np.arange(40.0)]
    together, scales = round_positions(np.stack(rows), 127)
    for row, integers, scale in zip(rows, together, scales, strict=True):
        alone, number = round_positions(row[None], 127)
        assert np.array_equal(alone[0], integers)
        assert number == scale
