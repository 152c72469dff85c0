"""From integers back to floats: a network and a tokenizer for further training.

safetensors file of integers ─┬─► Llama, float32: weight * 2^exponent, gain / 2^GAIN_BITS
                              └─► Tokenizer
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from ...bits.arithmetic.transformer import GAIN_BITS, Config
from ...bits.text.byte_pairs import WORDS
from ...weights.safe import load, refusing
from .integers import LLAMA_PARTS
from .llama import Llama

__all__ = ["TERMINATOR", "load_floats", "split_words"]

TERMINATOR = "ĊĊ"  # in the alphabet of the vocabulary


def split_words() -> pre_tokenizers.PreTokenizer:
    """The split of a text before byte pairs are merged: lines, then words as in `misc.bits.text.byte_pairs`."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("\n|" + WORDS.pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def load_floats(path: Path) -> tuple[Llama, Tokenizer]:
    """Network and tokenizer of a file that `misc.models.language_model.integers.write` wrote.

    Raises:
        WeightsError: the file is missing, damaged, or holds no such language model.
    """
    with refusing(path, "the small language model"):
        arrays = load(path).tensors
        facts = json.loads(arrays["facts"].tobytes())
        return network_of(Config(**facts["config"]), arrays), tokenizer_of(facts["tokens"], facts["merges"])


def network_of(config: Config, arrays: dict[str, npt.NDArray[Any]]) -> Llama:
    """The network, of sizes and integer arrays."""
    model = Llama(config)
    state = {"model.embed_tokens.weight": floats(arrays, "embedding")}
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    state["model.norm.weight"] = arrays["final.gain"] / 2.0**GAIN_BITS
    for i in range(config.layers):
        for ours, theirs in (("attention", "input_layernorm"), ("mlp", "post_attention_layernorm")):
            state[f"model.layers.{i}.{theirs}.weight"] = arrays[f"layers.{i}.{ours}.gain"] / 2.0**GAIN_BITS
        for ours, theirs in LLAMA_PARTS.items():
            weight = floats(arrays, f"layers.{i}.{ours}")
            if ours in {"query", "key"}:
                weight = halves_of_heads(weight, config.head_width)
            state[f"model.layers.{i}.{theirs}.weight"] = weight
    model.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in state.items()})
    return model


def floats(arrays: dict[str, npt.NDArray[Any]], name: str) -> npt.NDArray[np.float64]:
    """A matrix (outputs, inputs) of its integers and the exponents of its outputs."""
    weight: npt.NDArray[np.float64] = np.ldexp(
        arrays[f"{name}.weight"].astype(np.float64), arrays[f"{name}.exponent"].astype(np.int32)[:, None]
    )
    return weight


def halves_of_heads(weight: npt.NDArray[np.float64], head_width: int) -> npt.NDArray[np.float64]:
    """Rows of a query or key matrix, from rotation of neighbouring pairs to rotation of a head's two halves."""
    pairs = weight.reshape(-1, head_width // 2, 2, weight.shape[1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def tokenizer_of(tokens: Sequence[str], merges: Sequence[str]) -> Tokenizer:
    """The tokenizer of a vocabulary whose last token is the terminator.

    Raises:
        ValueError: it is not.
    """
    if tokens[-1] != TERMINATOR:
        raise ValueError("the last token is not the terminator")
    first, second = zip(*(merge.split(" ") for merge in merges), strict=True)
    pairs = list(zip(first, second, strict=True))
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens[:-1])}, merges=pairs))
    tokenizer.pre_tokenizer = split_words()
    tokenizer.add_tokens([TERMINATOR])
    return tokenizer
