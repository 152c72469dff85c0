"""lm-small as committed: its bytes are the same everywhere, whatever the machine, and any text survives."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from misc.bits.arithmetic.one_thread import one_blas_thread
from misc.bits.text import shortest
from misc.bits.text.language_model import LanguageModel
from misc.errors import BitstreamError
from misc.eval.machines import MACHINES, result_on
from misc.profiles import load_profile
from tests.support.language_models import likeliest
from tests.support.processor_time import least_seconds

GOLDEN = Path(__file__).parents[2] / "golden" / "texts.json"
EXPECTED: dict[str, str] = json.loads(GOLDEN.read_text())


def small() -> LanguageModel:
    found = load_profile().text_coders[5]
    assert isinstance(found, LanguageModel)
    return found


@pytest.mark.parametrize("text", EXPECTED, ids=lambda text: text[:16])
def test_texts_become_the_committed_bytes_and_come_back(text: str) -> None:
    assert small().pack(text).hex() == EXPECTED[text]
    assert small().unpack(bytes.fromhex(EXPECTED[text])) == text


CHECK = """
import json
from tests.bits.text.test_small_language_model import EXPECTED, small
print(json.dumps({text: [small().pack(text).hex(), small().unpack(bytes.fromhex(data))]
                  for text, data in list(EXPECTED.items())[:3]}))
"""


@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_other_machines_write_and_read_the_same(machine: dict[str, str]) -> None:
    assert result_on(machine, CHECK) == {text: [EXPECTED[text], text] for text in list(EXPECTED)[:3]}


def test_one_position_at_a_time_or_many_give_the_same_logits() -> None:
    model = small().model
    tokens = model.tokens("A boat lies on the lake.")
    together = model.transformer(tokens, model.prefixes[0].cache.copy(len(tokens)))
    cache = model.prefixes[0].cache.copy(len(tokens))
    alone = [model.transformer([token], cache)[0] for token in tokens]
    np.testing.assert_array_equal(together, np.stack(alone))


def test_captions_cost_few_bits() -> None:
    assert 8 * len(small().pack("a cat sitting on top of a wooden bench")) <= 48
    assert 8 * len(small().pack("A man in a blue shirt stands next to a bicycle")) <= 56


def test_it_is_chosen_for_what_it_codes_best() -> None:
    coders = {n: coder for n, coder in load_profile().text_coders.items() if coder.name != "lm-large"}
    assert shortest("Two dogs run across a field", coders)[0] == 5


@settings(deadline=None, max_examples=15)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_survives(text: str) -> None:
    assert small().unpack(small().pack(text)) == text


@settings(deadline=None, max_examples=25)
@given(st.binary(max_size=16))
def test_any_bytes_end_in_text_or_an_error(data: bytes) -> None:
    try:
        assert isinstance(small().unpack(data), str)
    except BitstreamError:
        return


def test_no_small_file_is_more_than_two_seconds_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most tokens that a text may have, each the cheapest; the seconds are the processor's."""
    coder = small()
    data = likeliest(coder, coder.most)[1] + bytes(900)
    steps, step = [], coder.model.transformer.__class__.__call__
    monkeypatch.setattr(
        coder.model.transformer.__class__, "__call__", lambda *arguments: steps.append(1) or step(*arguments)
    )

    def refuse() -> None:
        steps.clear()
        with pytest.raises(BitstreamError):
            coder.unpack(data)
        assert len(steps) == coder.most - 1

    assert least_seconds(refuse, limit=2) < 2  # 1.6 on two busy cores of 2023


def test_one_thread_decodes_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two only wait for each other, and take twice the processor's time."""
    threads: list[int] = []

    def note(self: LanguageModel, data: bytes) -> str:
        threads.extend(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")
        return ""

    monkeypatch.setattr(LanguageModel, "_unpack", note)
    with threadpool_limits(2, "blas"):
        small().unpack(b"")
    assert threads
    assert set(threads) == {1}


def test_threads_that_decode_together_leave_the_limit_as_it_was() -> None:
    def threads() -> set[int]:
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        before = threads()
        with one_blas_thread:
            other = threading.Thread(target=one_blas_thread.__enter__)  # it enters later and leaves later
            other.start()
            other.join()
            assert threads() == {1}
        assert threads() == {1}
        one_blas_thread.__exit__()
        assert threads() == before
