"""A small language model with random weights, and the codes that are the most work for their bytes."""

import functools

import numpy as np

from misc.bits.arithmetic.range_coder import FrequencyTable, RangeEncoder
from misc.bits.arithmetic.transformer import Config, Transformer
from misc.bits.text.byte_pairs import ALPHABET
from misc.bits.text.language_model import LanguageModel
from misc.models.language_model import integers as language_model
from misc.models.language_model.integers import quantise, rotation_tables

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


def likeliest(coder: LanguageModel, count: int) -> tuple[list[int], bytes]:
    """So many tokens behind the first prefix, each the likeliest that does not end the text, and their code."""
    model, packer = coder.model, RangeEncoder()
    packer.encode([0], model.choice)
    cache, logits = model.prefixes[0].cache.copy(count), model.prefixes[0].logits
    tokens: list[int] = []
    for _ in range(count):
        row = model.frequencies(logits)
        order = row.argsort()
        tokens.append(int(order[-1] if order[-1] != model.terminator else order[-2]))
        packer.encode(tokens[-1:], FrequencyTable(row))
        logits = model.transformer(tokens[-1:], cache)[0]
    return tokens, packer.finish()
