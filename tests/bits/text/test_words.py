"""The coder words as committed: its bytes are the same everywhere, it loses nothing that it keeps, and it is quick."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misc.bits import container, streams
from misc.bits.arithmetic.range_coder import TOTAL
from misc.bits.streams import Streams
from misc.bits.text import coder_of, shortest
from misc.bits.text.consonants import SYMBOL_BITS, skeletons
from misc.bits.text.description import Description, Item
from misc.bits.text.lzw import fold
from misc.bits.text.model_file import ModelFile
from misc.bits.text.word_pieces import MARKS, WordPieces
from misc.bits.text.words import END_LEFT, UNITS, Words, cost, flag_tables, least_cost
from misc.editing import edit_file
from misc.errors import BitstreamError, LimitError, ModelMismatchError, WeightsError
from misc.eval.machines import MACHINES, result_on
from misc.profiles import load_profile, readers
from tests.support.processor_time import least_seconds

GOLDEN = Path(__file__).parents[2] / "golden" / "words.json"
EXPECTED: dict[str, str] = json.loads(GOLDEN.read_text())
LONG = "the image depicts an old lighthouse on rocky cliffs above a stormy sea with seagulls and dark heavy clouds"
BEFORE = 0xF120  # fingerprint of the embedded profile, which does not hold the digest of `words`


def words() -> Words:
    found = load_profile().text_coders[6]
    assert isinstance(found, Words)
    return found


@pytest.mark.parametrize("text", EXPECTED, ids=lambda text: text[:16])
def test_texts_become_the_committed_bytes_and_come_back(text: str) -> None:
    assert words().pack(text).hex() == EXPECTED[text]
    assert words().unpack(bytes.fromhex(EXPECTED[text])) == text


CHECK = """
import json
from tests.bits.text.test_words import EXPECTED, words
print(json.dumps({text: [words().pack(text).hex(), words().unpack(bytes.fromhex(data))]
                  for text, data in EXPECTED.items()}))
"""


@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_other_machines_write_and_read_the_same(machine: dict[str, str]) -> None:
    assert result_on(machine, CHECK) == {text: [data, text] for text, data in EXPECTED.items()}


def test_one_token_at_a_time_or_many_give_the_same_frequencies() -> None:
    model = words().model
    tokens = model.tokens("A boat lies on the lake.")
    cache, rows, token = model.transformer.cache(len(tokens)), [], model.prose
    for following in tokens:
        rows.append(model.frequencies(model.transformer([token], cache)[0]))
        token = following
    together = model.tables(model.logits(model.prose, tokens))
    np.testing.assert_array_equal(np.stack(rows), np.stack(together))


@pytest.mark.parametrize("text", [LONG, "portrays warrior desert landscape armor", "zyzzyva quokka boat boat boat"])
def test_the_cost_estimated_first_is_at_most_the_cost_and_close_to_it(text: str) -> None:
    model = words().model
    tokens = model.tokens(text)
    known = [model.vocabulary.known(token)[0] for token in tokens]
    logits = model.logits(model.prose, tokens)
    exact = sum(cost(int(table[k])) for table, k in zip(model.tables(logits), known, strict=True))
    assert 0.99 * exact < least_cost(logits, known) <= exact


WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=9)
USUAL = st.sampled_from(["a", "the", "image", "dog", "red", "armor", "cornrows", ",", ".", "-", "and", "Two"])


@settings(deadline=None, max_examples=60)
@given(st.lists(WORD | USUAL, max_size=12).map(" ".join))
def test_what_it_keeps_survives(text: str) -> None:
    kept = words().keeps(text)
    assert kept or not set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789 ")
    assert words().unpack(words().pack(text)) == (text if kept else fold(text))


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_survives_or_is_folded(text: str) -> None:
    assert words().unpack(words().pack(text)) == (text if words().keeps(text) else fold(text))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=24))
def test_any_bytes_end_in_text_or_an_error(data: bytes) -> None:
    try:
        text = words().unpack(data)
    except BitstreamError:
        return
    assert len(words().model.tokens(text)) <= words().most * 12
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \n" + MARKS)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("A man in a t-shirt, 2 dogs; rock'n'roll!", True),
        ("A boat.\nboat\nred, moored", True),
        ("\n\nsea\n", True),
        ("red  boat", False),
        (" boat", False),
        ("boat ", False),
        ("BBC", False),
        ("a boat , moored", False),
        ("Käfer", False),
    ],
)
def test_it_keeps_usual_descriptions(text: str, kept: bool) -> None:
    assert words().keeps(text) is kept
    assert words().unpack(words().pack(text)) == (text if kept else fold(text))


def test_longer_texts_than_it_may_have_are_refused() -> None:
    text = " ".join(["boat"] * words().most)
    assert words().unpack(words().pack(text)) == text
    with pytest.raises(LimitError, match="too long for words"):
        words().pack(text + " boat")


def test_lists_of_words_cost_less_than_the_four_bit_code() -> None:
    line = LONG.replace(" an ", " ").replace(" a ", " ")
    bits, code = 8 * len(words().pack(line)), SYMBOL_BITS * len(skeletons(line))
    assert bits < 0.6 * code


def test_it_is_chosen_for_what_it_codes_best() -> None:
    coders = {n: coder for n, coder in load_profile().text_coders.items() if coder.name != "lm-large"}
    assert shortest("portrays warrior desert landscape armor", coders)[0] == 6
    assert coder_of(6, coders).name == "words"


def test_a_text_is_less_than_a_fifth_of_a_second_of_work() -> None:
    """100 words, as mode micro has them at 1,800 ubpp; the seconds are the processor's."""
    coder, text = words(), " ".join([LONG] * 6)[:620].rsplit(" ", 1)[0]
    data = coder.pack(text)
    assert least_seconds(lambda: coder.pack(text), limit=0.2) < 0.2
    assert least_seconds(lambda: coder.unpack(data), limit=0.2) < 0.2


def test_no_bytes_are_more_work_than_the_longest_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many bytes that the text never ends."""
    coder, steps, step = words(), [], words().model.transformer.__class__.__call__
    monkeypatch.setattr(
        coder.model.transformer.__class__, "__call__", lambda *arguments: steps.append(1) or step(*arguments)
    )
    start = time.process_time()
    with pytest.raises(BitstreamError):
        coder.unpack(b"\x01" + bytes(20_000))
    assert time.process_time() - start < 2
    assert len(steps) == coder.most


@given(st.integers(1, TOTAL))
def test_a_cost_is_the_logarithm_rounded_up(frequency: int) -> None:
    exact = UNITS * (24 - np.log2(frequency))
    assert exact - 1e-6 <= cost(frequency) <= exact + 1 + 1e-6


def test_an_end_is_likely_where_few_bits_are_left() -> None:
    model = words().model
    few, many = model.flag(2).frequencies[1], model.flag(END_LEFT.stop + 40).frequencies[1]
    assert few > TOTAL // 2
    assert many == TOTAL >> 12
    with pytest.raises(BitstreamError):
        model.flag(END_LEFT.start - 1)
    with pytest.raises(ValueError, match="shares of ends"):
        flag_tables([128] * 3)


def test_a_text_is_spelled_by_the_longest_pieces() -> None:
    tokens = ["<line>", "^", *MARKS, *"abdeot", *(f"+{letter}" for letter in "abdeot"), "boat", "boa", "+ed", "+te"]
    pieces = WordPieces(tokens, 0)
    assert [tokens[i] for i in pieces.encode("Boated boat, a-b boatet")] == [
        *("^", "boat", "+ed"),
        *("boat", ",", "a", "-", "b"),
        *("boat", "+e", "+t"),
    ]
    assert pieces.decode(pieces.encode("Boated boat, a-b")) == "Boated boat, a-b"
    assert pieces.decode([tokens.index("+ed"), 0, 1, tokens.index("a")]) == "ed\nA"


def content(text: str) -> Streams:
    return Streams(64, 64, text=Description(text, (Item("boat"),)))


def test_only_files_that_use_it_carry_its_digest() -> None:
    models = load_profile().exact_models
    assert models.fingerprint == BEFORE
    old = streams.write(content("Käfer"), streams.pack(content("Käfer"), models, coder="lm-small"), models)
    new = streams.write(content("a red boat"), streams.pack(content("a red boat"), models, coder="words"), models)
    assert container.read(old)[0].fingerprint == BEFORE != container.read(new)[0].fingerprint
    assert streams.decode(old, models).text == content("Käfer").text
    assert streams.decode(new, models).text == content("a red boat").text
    for data in (old, new):
        assert "embedded" in readers(container.read(data)[0].fingerprint)


def with_other_weights(tmp_path: Path) -> streams.ExactModels:
    copy = tmp_path / "other.safetensors"
    copy.write_bytes(words().path.read_bytes()[:-1] + b"x")
    models = load_profile().exact_models
    return dataclasses.replace(models, coders={**models.coders, 6: Words("words", 256, ModelFile(copy))})


def test_files_of_other_words_are_of_other_models_and_all_others_are_read(tmp_path: Path) -> None:
    models, strange = load_profile().exact_models, with_other_weights(tmp_path)
    new = streams.write(content("a red boat"), streams.pack(content("a red boat"), models, coder="words"), models)
    with pytest.raises(ModelMismatchError, match="other models"):
        streams.decode(new, strange)
    old = streams.write(content("a red boat"), streams.pack(content("a red boat"), models, coder="deflate"), models)
    assert streams.decode(old, strange).text == content("a red boat").text


def test_the_digest_must_be_that_of_the_coder_in_use() -> None:
    models = load_profile().exact_models
    new = streams.write(content("a red boat"), streams.pack(content("a red boat"), models, coder="words"), models)
    header, sections = container.read(new)
    with pytest.raises(ModelMismatchError, match="other models"):
        streams.decode(container.write(dataclasses.replace(header, fingerprint=BEFORE), sections), models)


def test_an_edited_file_has_the_digest_of_its_new_coder() -> None:
    models = load_profile().exact_models
    new = streams.write(content("a red boat"), streams.pack(content("a red boat"), models, coder="words"), models)
    edited = edit_file(new, models, text=Description("Ein Käfer ☂"))
    assert container.read(edited)[0].fingerprint == BEFORE
    assert streams.decode(edited, models).text == Description("Ein Käfer ☂")


@pytest.mark.parametrize("spoil", [lambda data: data[:-1000], lambda data: b"", lambda data: data[::-1]])
def test_damaged_weights_are_one_sentence(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "spoiled.safetensors"
    path.write_bytes(spoil(words().path.read_bytes()))
    with pytest.raises(WeightsError, match="a model of words"):
        Words("words", 256, ModelFile(path)).pack("boat")
