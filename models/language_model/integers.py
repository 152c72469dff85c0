"""Text stream, neural side: a language model's floats to the integers that `misc.bits.text.language_model` runs.

    GGUF (float weights) ─► int8 with a power of two for each output ─► prefixes read once ─► one safetensors file

Every step is deterministic, so the file's digest is pinned in the profile.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from ...bits.arithmetic.transformer import ANGLE_BITS, GAIN_BITS, WEIGHT_LEVELS, Config, Transformer
from ...bits.text.byte_pairs import BytePairs
from ...weights.checks import digest
from .prefixes import PREFIXES

if TYPE_CHECKING:
    from .llama import Llama

__all__ = [
    "add_prefixes",
    "digest",
    "from_floats",
    "from_gguf",
    "quantise",
    "rotation_tables",
    "write",
]

Arrays = dict[str, npt.NDArray[Any]]
LINE_BREAK, TERMINATOR = "\n", "\n\n"
POSITIONS = 1024
PARTS = {
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "output": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}

LLAMA_PARTS = {
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "output": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}


def quantise(weight: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """(outputs, inputs) floats to int8 and the exponent of the power of two of each output."""
    largest = np.abs(weight).max(1)
    _, exponent = np.frexp(largest / WEIGHT_LEVELS)
    integers = np.rint(weight / np.ldexp(1.0, exponent)[:, None])
    return integers.astype(np.int8), exponent.astype(np.int8)


def gain(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    integers: npt.NDArray[np.int32] = np.rint(weight * 2.0**GAIN_BITS).astype(np.int32)
    return integers


def rotation_tables(positions: int, head_width: int, base: float) -> Arrays:
    """Integer cosines and sines of the rotary embedding, (positions, head width / 2)."""
    half = head_width // 2
    angles = [[position * base ** (-i / half) for i in range(half)] for position in range(positions)]
    unit = 2**ANGLE_BITS
    return {
        "cos": np.array([[round(math.cos(a) * unit) for a in row] for row in angles], np.int16),
        "sin": np.array([[round(math.sin(a) * unit) for a in row] for row in angles], np.int16),
    }


def from_gguf(source: Path) -> tuple[Config, Arrays, dict[str, Any]]:
    """Sizes, integer arrays and vocabulary of a Llama-style GGUF file."""
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(source)
    tensors = {tensor.name: tensor for tensor in reader.tensors}

    def field(name: str) -> Any:
        return reader.fields[name].contents()

    def floats(name: str) -> npt.NDArray[np.float64]:
        return dequantize(tensors[name].data, tensors[name].tensor_type).astype(np.float64)

    config = Config(
        layers=field("llama.block_count"),
        width=field("llama.embedding_length"),
        hidden=field("llama.feed_forward_length"),
        heads=field("llama.attention.head_count"),
        kv_heads=field("llama.attention.head_count_kv"),
        vocabulary=field("llama.vocab_size"),
        positions=POSITIONS,
        epsilon=field("llama.attention.layer_norm_rms_epsilon"),
    )
    arrays = rotation_tables(POSITIONS, config.head_width, field("llama.rope.freq_base"))
    names = {"embedding": "token_embd"}
    for i in range(config.layers):
        names |= {f"layers.{i}.{ours}": f"blk.{i}.{theirs}" for ours, theirs in PARTS.items()}
        arrays[f"layers.{i}.attention.gain"] = gain(floats(f"blk.{i}.attn_norm.weight"))
        arrays[f"layers.{i}.mlp.gain"] = gain(floats(f"blk.{i}.ffn_norm.weight"))
    arrays["final.gain"] = gain(floats("output_norm.weight"))
    for ours, theirs in names.items():
        arrays[f"{ours}.weight"], arrays[f"{ours}.exponent"] = quantise(floats(f"{theirs}.weight"))
    kinds = field("tokenizer.ggml.token_type")
    facts = {
        "tokens": field("tokenizer.ggml.tokens"),
        "merges": field("tokenizer.ggml.merges"),
        "special": [i for i, kind in enumerate(kinds) if kind != 1],
    }
    return config, arrays, facts


def from_floats(model: Llama) -> tuple[Config, Arrays]:
    """Sizes and integer arrays of a Llama in floats."""
    from .llama import ROTATION_BASE

    config = model.config
    floats = {name: tensor.detach().double().numpy() for name, tensor in model.state_dict().items()}
    arrays = rotation_tables(config.positions, config.head_width, ROTATION_BASE)
    names = {"embedding": "model.embed_tokens"}
    for i in range(config.layers):
        names |= {f"layers.{i}.{ours}": f"model.layers.{i}.{theirs}" for ours, theirs in LLAMA_PARTS.items()}
        arrays[f"layers.{i}.attention.gain"] = gain(floats[f"model.layers.{i}.input_layernorm.weight"])
        arrays[f"layers.{i}.mlp.gain"] = gain(floats[f"model.layers.{i}.post_attention_layernorm.weight"])
    arrays["final.gain"] = gain(floats["model.norm.weight"])
    for ours, theirs in names.items():
        weight = floats[f"{theirs}.weight"]
        if ours.endswith(("query", "key")):
            weight = neighbouring_pairs(weight, config.head_width)
        arrays[f"{ours}.weight"], arrays[f"{ours}.exponent"] = quantise(weight)
    return config, arrays


def neighbouring_pairs(weight: npt.NDArray[np.float64], head_width: int) -> npt.NDArray[np.float64]:
    """Rows of a query or key matrix, from rotation of a head's two halves to rotation of neighbouring pairs."""
    halves = weight.reshape(-1, 2, head_width // 2, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def add_prefixes(
    config: Config,
    arrays: Arrays,
    facts: dict[str, Any],
    prefixes: Sequence[Sequence[str]] = PREFIXES,
    shares: Sequence[int] | None = None,
    sharpness: float = 1.0,
) -> Arrays:
    """The arrays with the prefixes' caches and the facts that a decoder needs.

    Args:
        shares: relative frequencies of the prefixes, as whole numbers; equal if None.
        sharpness: factor of all logits.
    """
    vocabulary = BytePairs(facts["tokens"], facts["merges"], facts["special"])
    line_break, terminator = vocabulary.number(LINE_BREAK), vocabulary.number(TERMINATOR)
    transformer = Transformer(config, arrays)
    result = dict(arrays)
    for i, texts in enumerate(prefixes):
        tokens = [terminator]
        for text in texts:
            lines = [vocabulary.encode(line) for line in text.split("\n")]
            tokens += [*[token for line in lines for token in (line_break, *line)][1:], terminator]
        cache = transformer.cache()
        logits = transformer(tokens, cache)[-1]
        end = cache.length
        result[f"prefix.{i}.keys"] = np.stack([keys[:, :end] for keys in cache.keys]).astype(np.int16)
        scales = np.stack([scales[:, :end] for scales in cache.key_scales])
        result[f"prefix.{i}.key_exponents"] = (np.frexp(scales)[1] - 1).astype(np.int8)
        result[f"prefix.{i}.values"] = np.stack([values[:, :end] for values in cache.values]).astype(np.int32)
        result[f"prefix.{i}.logits"] = logits
    everything = {
        "config": vars(config),
        "prefix_shares": list(shares or [1] * len(prefixes)),
        "sharpness": sharpness,
        "line_break": line_break,
        "terminator": terminator,
        **facts,
    }
    result["facts"] = np.frombuffer(json.dumps(everything, sort_keys=True).encode(), np.uint8)
    return result


def write(arrays: Arrays, target: Path) -> None:
    """Write the arrays as one complete file or not at all."""
    temporary = target.with_suffix(".part")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
    temporary.chmod(target.parent.stat().st_mode & 0o666)  # whoever may list the folder may read the file
    temporary.replace(target)
