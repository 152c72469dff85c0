import dataclasses
import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misc.bits.arithmetic.range_coder import TOTAL
from misc.bits.arithmetic.transformer import Cache, Transformer
from misc.bits.text import shortest
from misc.bits.text.byte_pairs import ALPHABET, BytePairs
from misc.bits.text.deflate import Deflate
from misc.bits.text.language_model import SLACK_BITS, LanguageModel, Model, ModelFile, frequencies
from misc.errors import BitstreamError, LimitError, WeightsError
from misc.models.language_model import integers as language_model
from misc.models.language_model.integers import add_prefixes, digest
from misc.weights.checks import cache_folder
from tests.support.language_models import CONFIG, likeliest, tiny_arrays

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    path = tmp_path_factory.mktemp("lm") / "tiny.safetensors"
    arrays, facts = tiny_arrays()
    language_model.write(add_prefixes(CONFIG, arrays, facts, [["a cat", "the cat"], ["an ant\nin", "on"]]), path)
    return LanguageModel("tiny", 125, ModelFile(path))


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
    assert shortest("x" * 500, {1: Deflate(), 9: coder})[0] == 1


def certain(coder: LanguageModel) -> LanguageModel:
    """The coder with a model whose likeliest token is nearly certain."""
    sure = LanguageModel(coder.name, coder.most, coder.file)
    sure.model = dataclasses.replace(coder.model, sharpness=64.0)
    return sure


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of positions of every step that a network has made."""
    counted: list[int] = []
    step = Transformer.__call__

    def counting(self: Transformer, tokens: list[int], cache: Cache) -> np.ndarray:
        counted.append(len(tokens))
        return step(self, tokens, cache)

    monkeypatch.setattr(Transformer, "__call__", counting)
    return counted


def test_tokens_that_cost_nothing_end_with_the_bytes(coder: LanguageModel, steps: list[int]) -> None:
    """A few bytes for as many tokens as there is room for: the work is a step a bit, at most."""
    sure = certain(coder)
    data = likeliest(sure, sure.most - 1)[1]
    assert len(data) <= 6
    steps.clear()
    with pytest.raises(BitstreamError, match="damaged"):
        sure.unpack(data)
    assert sum(steps) <= 8 * len(data) + SLACK_BITS


def test_no_number_of_bytes_gives_more_tokens_than_the_limit(coder: LanguageModel, steps: list[int]) -> None:
    sure = certain(coder)
    data = likeliest(sure, sure.most)[1]
    steps.clear()
    with pytest.raises(BitstreamError, match="damaged"):
        sure.unpack(data + bytes(1000))
    assert sum(steps) == sure.most - 1


def test_a_text_at_the_limit_survives_and_one_token_more_is_left_to_others(coder: LanguageModel) -> None:
    text = "☃X" * 31
    assert len(coder.model.tokens(text)) == coder.most
    assert coder.unpack(coder.pack(text)) == text
    with pytest.raises(LimitError, match="too long"):
        coder.pack(text + "X")


def test_an_encoder_leaves_a_text_of_certain_tokens_to_others(
    coder: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = certain(coder)
    tokens = likeliest(sure, 100)[0]
    monkeypatch.setattr(Model, "tokens", lambda self, text: [*tokens, self.terminator])
    with pytest.raises(LimitError, match="more tokens"):
        sure.pack("")


def test_missing_weights_say_what_fetches_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    missing = LanguageModel("lm-large", 40, ModelFile(cache_folder() / "none.safetensors"))
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


def joined_one_by_one(pairs: BytePairs, word: str) -> list[str]:
    """The merges as they are defined: the earliest pair of the list, the leftmost of them, until there is none."""
    parts = [ALPHABET[byte] for byte in word.encode()]
    while ranks := [
        (pairs._rank[pair], at) for at, pair in enumerate(itertools.pairwise(parts)) if pair in pairs._rank
    ]:
        _, at = min(ranks)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


@given(st.text(st.sampled_from("abther incato"), max_size=40))
def test_byte_pairs_are_joined_in_the_order_of_the_list(text: str) -> None:
    merges = ["a a", "a b", "t h", "aa a", "th e", "b a", "h e", "aa aa", "i n", "a ba", "he r", "ab ab"]
    tokens = [*ALPHABET.values(), *(merge.replace(" ", "") for merge in merges)]
    pairs = BytePairs(tokens, merges)
    for word in text.split():
        assert pairs._join(word) == joined_one_by_one(pairs, word)


def test_a_very_long_word_takes_time_in_proportion() -> None:
    _, facts = tiny_arrays()
    pairs = BytePairs(facts["tokens"], facts["merges"], facts["special"])  # type: ignore[arg-type]
    start = time.process_time()
    assert len(pairs.encode("the" * 30_000)) == 30_000
    assert time.process_time() - start < 20  # a second; each join looked at the whole word before


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
