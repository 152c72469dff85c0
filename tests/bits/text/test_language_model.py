from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misc.bits.arithmetic.range_coder import TOTAL
from misc.bits.text import shortest
from misc.bits.text.byte_pairs import BytePairs
from misc.bits.text.deflate import Deflate
from misc.bits.text.language_model import LanguageModel, frequencies
from misc.errors import BitstreamError, LimitError, WeightsError
from misc.models.language_model import integers as language_model
from misc.models.language_model.integers import add_prefixes, digest
from tests.support.language_models import CONFIG, tiny_arrays

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    path = tmp_path_factory.mktemp("lm") / "tiny.safetensors"
    arrays, facts = tiny_arrays()
    language_model.write(add_prefixes(CONFIG, arrays, facts, [["a cat", "the cat"], ["an ant\nin", "on"]]), path)
    return LanguageModel("tiny", 9, path)


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


def test_long_texts_are_left_to_others(coder: LanguageModel) -> None:
    with pytest.raises(LimitError, match="too long"):
        coder.pack("x" * 500)
    assert shortest("x" * 500, [Deflate(), coder])[0] == Deflate.number


def test_missing_weights_say_what_fetches_them(tmp_path: Path) -> None:
    missing = LanguageModel("lm-large", 4, tmp_path / "none.safetensors")
    assert not missing.available
    with pytest.raises(WeightsError, match="misc pull"):
        missing.unpack(b"abc")


@given(st.integers(0, 1000))
def test_frequencies_add_up(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 5, 500)
    counts = frequencies(logits)
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    shares = np.exp(logits - logits.max())
    assert np.abs(counts / TOTAL - shares / shares.sum()).max() < 1e-3


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
