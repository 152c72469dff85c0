import functools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misc.bits.arithmetic.range_coder import TOTAL
from misc.bits.arithmetic.transformer import Config, Transformer, exact_exp, round_rows
from misc.bits.text import coder_of, shortest
from misc.bits.text.byte_pairs import ALPHABET, BytePairs
from misc.bits.text.consonants import CONSONANTS, Consonants, choose, skeleton, skeletons
from misc.bits.text.deflate import Deflate
from misc.bits.text.language_model import LanguageModel, frequencies
from misc.bits.text.lzw import Lzw, fold
from misc.errors import BitstreamError, LimitError, MiscError, WeightsError
from misc.models.language_model import integers as language_model
from misc.models.language_model.integers import add_prefixes, digest, quantise, rotation_tables
from misc.profiles import load_profile

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
DLSVC = "a cat sitting on top of a wooden bench"

CONFIG = Config(layers=2, width=32, hidden=2200, heads=4, kv_heads=2, vocabulary=270, positions=160)


def tiny_arrays(seed: int = 0) -> tuple[language_model.Arrays, dict[str, object]]:
    """Random weights of the real class; 2,200 hidden units, so that a sum has to be split."""
    draw = np.random.default_rng(seed)
    c, kv = CONFIG, CONFIG.kv_heads * CONFIG.head_width
    arrays = rotation_tables(c.positions, c.head_width, 10_000.0)
    shapes = {"embedding": (c.vocabulary, c.width)}
    for i in range(c.layers):
        sizes = {
            "query": (c.width, c.width),
            "key": (kv, c.width),
            "value": (kv, c.width),
            "output": (c.width, c.width),
        }
        sizes |= {"gate": (c.hidden, c.width), "up": (c.hidden, c.width), "down": (c.width, c.hidden)}
        shapes |= {f"layers.{i}.{name}": size for name, size in sizes.items()}
        for part in ("attention", "mlp"):
            arrays[f"layers.{i}.{part}.gain"] = draw.integers(40_000, 90_000, c.width).astype(np.int32)
    arrays["final.gain"] = draw.integers(150_000, 200_000, c.width).astype(np.int32)
    for name, shape in shapes.items():
        arrays[f"{name}.weight"], arrays[f"{name}.exponent"] = quantise(draw.normal(0, shape[1] ** -0.5, shape))
    tokens = [
        *ALPHABET.values(),
        "<special>",
        "Ġa",
        "Ġc",
        "at",
        "Ġcat",
        "th",
        "he",
        "the",
        "ĊĊ",
        "in",
        "ing",
        "on",
        "er",
        "an",
    ]
    merges = ["Ġ a", "Ġ c", "a t", "Ġc at", "t h", "h e", "th e", "i n", "in g", "o n", "e r", "a n"]
    return arrays, {"tokens": tokens, "merges": merges, "special": [256]}


@functools.cache
def tiny_transformer() -> Transformer:
    return Transformer(CONFIG, tiny_arrays()[0])


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    path = tmp_path_factory.mktemp("lm") / "tiny.safetensors"
    arrays, facts = tiny_arrays()
    language_model.write(add_prefixes(CONFIG, arrays, facts, [["a cat", "the cat"], ["an ant\nin", "on"]]), path)
    return LanguageModel("tiny", 9, path)


@settings(max_examples=200)
@given(TEXTS)
def test_lzw_keeps_what_it_folds_to(text: str) -> None:
    assert Lzw().unpack(Lzw().pack(text)) == fold(text)


@given(st.text("ab ", max_size=80))
def test_lzw_phrases_of_phrases(text: str) -> None:
    assert Lzw().unpack(Lzw().pack(text)) == fold(text)


def test_lzw_of_the_seed_sentence() -> None:
    assert 8 * len(Lzw().pack(DLSVC)) <= 174
    assert fold("Ein Käfer—2 cats!") == "ein kafer cats"


def test_deflate_uses_its_dictionary() -> None:
    assert len(Deflate().pack("The image shows a group of people standing in front of a large building.")) < 20


@given(TEXTS)
def test_the_shortest_wins_and_loses_nothing(text: str) -> None:
    coders = [Deflate(), Lzw(), Consonants()]
    data = shortest(text, coders)
    assert coder_of(data[0], coders).unpack(data[1:]) == text
    assert len(data) <= 1 + len(Deflate().pack(text))


def test_lossy_coders_are_not_chosen_for_what_they_lose() -> None:
    with pytest.raises(LimitError):
        shortest("A cat", [Lzw(), Consonants()])
    assert shortest("a cat", [Deflate(), Lzw()])[0] == Lzw.number


@settings(deadline=None, max_examples=40)
@given(st.text(st.sampled_from("acthe in\nüX☃"), max_size=40))
def test_any_text_survives_the_language_model(coder: LanguageModel, text: str) -> None:
    assert coder.unpack(coder.pack(text)) == text


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=30))
def test_any_bytes_end_in_text_or_an_error(coder: LanguageModel, data: bytes) -> None:
    try:
        assert isinstance(coder.unpack(data), str)
    except BitstreamError:
        return


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=40))
def test_any_bytes_end_in_text_or_an_error_in_lzw(data: bytes) -> None:
    try:
        assert set(Lzw().unpack(data)) <= set("abcdefghijklmnopqrstuvwxyz ")
    except MiscError:
        return


def test_long_texts_are_left_to_others(coder: LanguageModel) -> None:
    with pytest.raises(LimitError, match="too long"):
        coder.pack("x" * 500)
    assert shortest("x" * 500, [Deflate(), coder])[0] == Deflate.number


def test_missing_weights_say_what_fetches_them(tmp_path: Path) -> None:
    missing = LanguageModel("lm-large", 4, tmp_path / "none.safetensors")
    assert not missing.available
    with pytest.raises(WeightsError, match="misc pull"):
        missing.unpack(b"abc")


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


@given(st.integers(0, 1000))
def test_frequencies_add_up(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 5, 500)
    counts = frequencies(logits)
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    shares = np.exp(logits - logits.max())
    assert np.abs(counts / TOTAL - shares / shares.sum()).max() < 1e-3


def test_exponentials_are_close_and_rows_are_integers() -> None:
    x = np.linspace(-30, 5, 1001)
    assert np.abs(exact_exp(x) / np.exp(x) - 1).max() < 2e-4
    q, scale = round_rows(np.random.default_rng(0).normal(0, 3, (5, 40)), 127)
    assert np.array_equal(q, np.rint(q))
    assert np.abs(q).max(1).min() >= 64
    assert np.abs(q).max() <= 127
    assert np.array_equal(np.frexp(scale)[0], np.full_like(scale, 0.5))
    assert np.array_equal(round_rows(np.zeros((1, 4)), 127)[0], np.zeros((1, 4)))


@given(TEXTS)
def test_byte_pairs_carry_every_text(text: str) -> None:
    facts = tiny_arrays()[1]
    pairs = BytePairs(facts["tokens"], facts["merges"], facts["special"])  # type: ignore[arg-type]
    assert pairs.decode(pairs.encode(text)) == text


def test_byte_pairs_merge_and_refuse() -> None:
    facts = tiny_arrays()[1]
    pairs = BytePairs(facts["tokens"], facts["merges"], facts["special"])  # type: ignore[arg-type]
    assert len(pairs.encode("the cat")) == 2
    with pytest.raises(BitstreamError, match="no text"):
        pairs.decode([256])
    with pytest.raises(BitstreamError, match="Unicode"):
        pairs.decode([0xFF])


def test_digests_see_every_change() -> None:
    arrays, _ = tiny_arrays()
    other = dict(arrays, cos=arrays["cos"].copy())
    assert digest(arrays) == digest(other)
    other["cos"][0, 0] += 1
    assert digest(arrays) != digest(other)


LARGE = next(coder for coder in load_profile().text_coders if coder.name == "lm-large")


@pytest.mark.hub
@pytest.mark.skipif(not LARGE.available, reason="lm-large is not here: `misc pull` fetches it")
def test_lm_large_and_its_bytes() -> None:
    assert LARGE.pack(DLSVC).hex() == "4e26bc1e5df9"
    assert LARGE.unpack(bytes.fromhex("4e26bc1e5df9")) == DLSVC
    text = "A woman rides a horse.\nwoman\nred hair\nhorse\nwhite, brown mane ★"
    assert LARGE.unpack(LARGE.pack(text)) == text


@pytest.mark.parametrize(
    ("word", "bones"),
    [("cat", "ct"), ("Kiss", "cs"), ("jazz", "gs"), ("boxes", "bcs"), ("eye", ""), ("rhythm", "rhthm")],
)
def test_skeletons(word: str, bones: str) -> None:
    assert skeleton(word) == bones
    assert set(bones) <= set(CONSONANTS)


@given(TEXTS)
def test_consonants_keep_skeletons(text: str) -> None:
    line = Consonants().unpack(Consonants().pack(text))
    assert line == skeletons(text)
    assert Consonants().keeps(line)
    assert len(Consonants().pack(text)) == (len(line) + 1) // 2


@given(st.binary(max_size=60))
def test_any_bytes_are_consonants(data: bytes) -> None:
    assert set(Consonants().unpack(data)) <= set(CONSONANTS + " ")


def test_chosen_words_fit_and_stop_words_go_first() -> None:
    text = "the boy is on the tree with a boy"
    assert choose(text, 1000) == text.replace(" a", "")
    assert choose(text, 16) == "boy tree"
    assert choose(text, 0) == ""
    assert choose("zebra cat", 16, {"cat": 0.5}) == "zebra"


@pytest.mark.hub
@pytest.mark.skipif(not LARGE.available, reason="lm-large is not here: `misc pull` fetches it")
def test_skeletons_become_words() -> None:
    from misc.models.language_model.skeleton import Lexicon, expand, word_accuracy

    model = LARGE.model  # type: ignore[attr-defined]
    assert word_accuracy("the white robe", expand(skeletons("the white robe"), model, Lexicon(model), beam=2)) > 0.6
    assert word_accuracy("a white dog", "a white duck") == 0.5
