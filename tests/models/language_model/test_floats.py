"""Floats of integers: the same network, the same tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from misc.errors import WeightsError
from misc.models.language_model import integers
from misc.models.language_model.floats import halves_of_heads, load_floats, tokenizer_of
from misc.profiles import load_profile


def test_rows_of_heads_come_back() -> None:
    weight = np.arange(32.0).reshape(16, 2)
    assert np.array_equal(halves_of_heads(integers.neighbouring_pairs(weight, 8), 8), weight)


def test_the_committed_model_comes_back_as_floats() -> None:
    path = load_profile().small_language_model.path
    model, tokenizer = load_floats(path)
    text = "A brown dog, with a red ball\nball\nred"
    tokens = tokenizer.encode(text).ids
    from misc.bits.text.language_model import load_model

    exact = load_model(path)
    assert tokens == exact.tokens(text)[:-1]
    known = [exact.terminator, *tokens]
    with torch.no_grad():
        logits = model(torch.tensor([known]))[0].double().numpy()
    expected = exact.transformer(known, exact.transformer.cache())
    likeness = [np.corrcoef(a, b)[0, 1] for a, b in zip(logits, expected, strict=True)]
    assert min(likeness) > 0.99
    assert (logits.argmax(1) == expected.argmax(1)).mean() > 0.8


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="are missing"):
        load_floats(tmp_path / "none.safetensors")
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"not safetensors")
    with pytest.raises(WeightsError, match="are damaged or not those of"):
        load_floats(path)
    save_file({"facts": np.frombuffer(b"{}", np.uint8)}, path)
    with pytest.raises(WeightsError, match="are damaged or not those of"):
        load_floats(path)
    with pytest.raises(ValueError, match="terminator"):
        tokenizer_of(["a", "b", "ab"], ["a b"])
