"""The request, the strict parser of answers, the second request, and the command."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from misc.bits import streams
from misc.bits.text.description import Description, Item, to_json
from misc.errors import DescriberError, InputError, WeightsError
from misc.models.describer import describer
from misc.models.describer.answer import describe_all, most_tokens, parse, request, shrink
from misc.profiles import load_profile
from tests.support.images import sample_picture

CAT = Description("a grey cat on a red sofa", (Item("cat", "grey and asleep"), Item("red sofa", "old")))
GOOD = json.dumps(to_json(CAT))


def changed(**changes: Any) -> str:
    return json.dumps(to_json(CAT) | changes)


def thing(name: Any = "cat", detail: Any = "grey") -> dict[str, Any]:
    return {"name": name, "detail": detail}


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        f"\n  {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}```\n",
        f"```JSON {GOOD} ```",
        json.dumps(to_json(CAT), indent=4),
        GOOD.replace("a grey cat", "a  grey\\n\\tcat"),
    ],
)
def test_good_answers(answer: str) -> None:
    assert parse(answer) == CAT


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "not one JSON object"),
        ("a cat", "not one JSON object"),
        (f"Here it is: {GOOD}", "not one JSON object"),
        (f"{GOOD} I hope this helps!", "not one JSON object"),
        (GOOD + GOOD, "not one JSON object"),
        (GOOD[:-1], "not one JSON object"),
        (GOOD.replace('"', "'"), "not one JSON object"),
        ("```", "not one JSON object"),
        ("``````", "not one JSON object"),
        (f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```", "not one JSON object"),
        ("__import__('os').getcwd()", "not one JSON object"),
        ("[" * 10_000, "not one JSON object"),
        ("1" * 10_000, "not one JSON object"),
        ("NaN", "not one JSON object"),
        ('{"overall": "a", "overall": "b", "items": []}', "not one JSON object"),
        (" " * 20_000, "far too long"),
        ("null", '"overall" and "items"'),
        ("[]", '"overall" and "items"'),
        ('{"overall": "a cat"}', '"overall" and "items"'),
        (changed(mood="calm"), '"overall" and "items"'),
        (changed(items={}), "list of objects"),
        (changed(items=["cat"]), "list of objects"),
        (changed(items=[{"name": "cat"}]), "list of objects"),
        (changed(items=[thing() | {"box": [0, 0, 1, 1]}]), "list of objects"),
        (changed(items=[]), "0 items instead of 3"),
        (changed(items=[thing(name) for name in "abcd"]), "4 items instead of 3"),
        (changed(items=[thing(), thing("CAT")]), "same name"),
        (changed(overall=["a", "cat"]), "are texts"),
        (changed(overall=None), "are texts"),
        (changed(items=[thing(7)]), "are texts"),
        (changed(overall="\ud800"), "not Unicode"),
        (changed(overall=" \n "), "overall is empty"),
        (changed(items=[thing("")]), "name of item 1 is empty|needs a name"),
        (changed(items=[thing(detail="")]), "detail of item 1 is empty"),
        (changed(overall="word " * 51), "overall has 51 words"),
        (changed(items=[thing(), thing("a very old sofa")]), "name of item 2 has 4 words"),
        (changed(items=[thing(detail="word " * 11)]), "detail of item 1 has 11 words"),
        (changed(overall="a" * 41), "more than 40 letters"),
        (changed(overall="a \x1b[31mcat"), "control character"),
    ],
)
def test_bad_answers(answer: str, words: str) -> None:
    with pytest.raises(DescriberError, match=words):
        parse(answer)


def test_the_limits_themselves_are_allowed() -> None:
    found = parse(changed(overall="word " * 50, items=[thing(f"a nice {i}", "word " * 10) for i in range(16)]), 16)
    assert [len(part.split()) for part in found.fields()] == [50, *[3, 10] * 16]


@given(st.text())
def test_any_text_is_a_description_or_an_error(answer: str) -> None:
    with pytest.raises(DescriberError):
        parse(answer)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["overall", "items", "name", "detail", "x"]), inner, max_size=4)
    ),
)
WORD = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)


@given(JSON, st.integers(1, 16))
def test_any_json_is_a_description_within_the_limits_or_an_error(value: Any, items: int) -> None:
    try:
        found = parse(json.dumps(value), items)
    except DescriberError:
        return
    assert 1 <= len(found.items) <= items


@given(
    st.lists(WORD, min_size=1, max_size=50),
    st.lists(
        st.tuples(st.lists(WORD, min_size=1, max_size=3), st.lists(WORD, min_size=1, max_size=10)),
        min_size=1,
        max_size=5,
        unique_by=lambda pair: " ".join(pair[0]).casefold(),
    ),
    st.booleans(),
)
def test_whatever_is_within_the_limits_is_read(overall: list[str], items: list[Any], ascii_only: bool) -> None:
    said = Description(" ".join(overall), tuple(Item(*map(" ".join, pair)) for pair in items))
    answer = json.dumps(to_json(said), ensure_ascii=ascii_only)
    assert parse(answer, 5) == parse(f"```json\n{answer}\n```", 5) == said


class Scripted:
    """A model that says what it was told to, one list of answers a call."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[list[tuple[int, int]], list[str], int]] = []

    def __call__(self, pictures: Sequence[Image.Image], requests: Sequence[str], most: int) -> list[str]:
        self.calls.append(([picture.size for picture in pictures], list(requests), most))
        return self.answers.pop(0)


def test_one_good_answer_is_enough() -> None:
    ask = Scripted([GOOD])
    assert describe_all(ask, [sample_picture()]) == [CAT]
    assert ask.calls == [([(96, 64)], [request(3)], most_tokens(3))]


def test_only_refused_answers_are_asked_for_again_saying_why() -> None:
    ask = Scripted([GOOD, changed(overall="word " * 60), GOOD], [GOOD])
    assert describe_all(ask, [sample_picture(10 * i, 8) for i in (1, 2, 3)]) == [CAT] * 3
    sizes, requests, _ = ask.calls[1]
    assert sizes == [(20, 8)]
    assert "overall has 60 words, but at most 50" in requests[0]
    assert requests[0].startswith(request(3))


def test_a_second_bad_answer_is_an_error_that_says_why() -> None:
    ask = Scripted(["a cat"], [changed(items=[])])
    with pytest.raises(DescriberError, match=r"^the describer gave no usable answer, asked twice: it has 0 items"):
        describe_all(ask, [sample_picture()])
    with pytest.raises(DescriberError, match="for image 2 of 2, asked twice"):
        describe_all(Scripted([GOOD, ""], [""]), [sample_picture()] * 2)


@pytest.mark.parametrize("items", [0, -1, 17])
def test_impossible_numbers_of_items(items: int) -> None:
    with pytest.raises(InputError, match="between 1 and 16"):
        describe_all(Scripted(), [sample_picture()], items)


def test_nothing_to_describe() -> None:
    assert describe_all(Scripted(), []) == []


def test_the_request_names_the_limits() -> None:
    assert all(
        words in request(3) for words in ("the 3 most", "at most 3 words", "at most 10 words", "at most 50 words")
    )
    assert "the most important item" in request(1)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((96, 64), (96, 64)), ((1024, 10), (1024, 10)), ((4096, 1024), (1024, 256)), ((2, 9000), (1, 1024))],
)
def test_shrunk(size: tuple[int, int], expected: tuple[int, int]) -> None:
    small = shrink(Image.new("L", size))
    assert (small.mode, small.size) == ("RGB", expected)


def test_choosing_a_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = load_profile()
    for name in ("MISC_DESCRIBER_URL", "MISC_DESCRIBER_MODEL", "MISC_DESCRIBER_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="needs MISC_DESCRIBER_URL"):
        describer.describer_for("http", profile)
    for name in ("nosuch", "./no/such", "/no/such", "a/b/c", ""):
        with pytest.raises(WeightsError, match="neither a folder nor a hub name"):
            describer.describer_for(name, profile)


class Fixed:
    """A describer that sees the same in every picture."""

    def __init__(self) -> None:
        self.seen: list[tuple[tuple[int, int], int]] = []

    def describe(self, image: Image.Image, items: int = 3) -> Description:
        self.seen.append((image.size, items))
        return CAT


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> Fixed:
    model = Fixed()
    choose: Callable[..., describer.Describer] = lambda name, profile, device=None: model  # noqa: E731
    monkeypatch.setattr(describer, "describer_for", choose)
    return model


def test_what_the_command_prints_is_what_encode_reads(misc_command, photo: Path, tmp_path: Path, fixed: Fixed) -> None:
    code, out, err = misc_command("describe", photo, "--items", "5", "--describer", "http")
    assert (code, err, json.loads(out)) == (0, "", to_json(CAT))
    assert fixed.seen == [((192, 128), 5)]
    said, first, second = tmp_path / "said.json", tmp_path / "a.misc", tmp_path / "b.misc"
    assert misc_command("describe", photo, "--out", said, "--describer", "http")[:2] == (0, "")
    assert said.read_text() == out
    assert misc_command("encode", photo, first, "--mode", "text", "--describe", said)[0] == 0
    assert misc_command("encode", photo, second, "--mode", "text", "--describer", "http")[0] == 0
    assert first.read_bytes() == second.read_bytes()
    profile = load_profile()
    assert streams.decode(first.read_bytes(), profile.exact_models).text == CAT


def test_a_file_or_no_need_for_text_asks_nobody(misc_command, photo: Path, tmp_path: Path, fixed: Fixed) -> None:
    said = tmp_path / "said.json"
    said.write_text(GOOD)
    target = tmp_path / "a.misc"
    assert misc_command("encode", photo, target, "--mode", "text", "--describe", said, "--describer", "http")[0] == 0
    assert misc_command("encode", photo, target, "--mode", "pixel", "--quality", "3", "--describer", "http")[0] == 0
    assert fixed.seen == []


@pytest.mark.parametrize(
    ("arguments", "expected", "words"),
    [
        (["describe", "nosuch.png"], 1, "cannot read"),
        (["describe", "PHOTO", "--describer", "http"], 1, "needs MISC_DESCRIBER_URL"),
        (["describe", "PHOTO", "--describer", "./nosuch"], 4, "neither a folder"),
        (["describe", "PHOTO", "--profile", "x"], 2, "no profile"),
        (["describe", "PHOTO", "--items", "17"], 2, "16"),
        (["encode", "PHOTO", "a.misc", "--describer", "./nosuch"], 4, "neither a folder"),
    ],
)
def test_failures_are_one_sentence(
    misc_command, photo: Path, tmp_path: Path, monkeypatch, arguments: list[str], expected: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MISC_DESCRIBER_URL", raising=False)
    photo.rename(tmp_path / "PHOTO")
    code, out, err = misc_command(*arguments)
    assert (code, out) == (expected, "")
    assert words in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["PHOTO"]
