import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misc.bits.text import WEIGHTLESS, registry
from misc.bits.text.deflate import DICTIONARY, Deflate
from misc.bits.text.description import Description, Item, from_json, pack, to_json, unpack
from misc.bits.text.registry import CODERS
from misc.errors import BitstreamError, InputError, LimitError, MiscError, ModelMismatchError
from misc.profiles import load_profile

PART = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=60)
PRINTED = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=60)
NAME = PART.filter(bool)
DESCRIPTIONS = st.builds(Description, PART, st.lists(st.builds(Item, NAME, PART), max_size=5).map(tuple))

CAT = Description("a cat sitting on a wooden bench", (Item("cat", "grey, striped"), Item("bench")))


@given(DESCRIPTIONS)
def test_unpack_inverts_pack(description: Description) -> None:
    assert unpack(pack(description)) == description


@given(DESCRIPTIONS)
def test_json_and_back(description: Description) -> None:
    try:
        tidy = from_json(to_json(description))
    except InputError:  # a name of white space, or control characters
        tidy = CAT
    assert from_json(to_json(tidy)) == tidy


@given(PRINTED)
def test_every_printed_text_is_taken(text: str) -> None:
    assert from_json({"overall": text}).overall == " ".join(text.split())


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x07", "\x7f", "\x9b", "\u202e", "\u2066"])
@pytest.mark.parametrize("place", ["overall", "name", "detail"])
def test_control_characters_are_refused(character: str, place: str) -> None:
    value = {"overall": "a cat", "items": [{"name": "cat", "detail": "grey"}]}
    (value if place == "overall" else value["items"][0])[place] += character  # type: ignore[index,operator]
    with pytest.raises(InputError, match=rf"control character, U\+{ord(character):04X}$"):
        from_json(value)


def test_white_space_and_joined_emoji_are_no_control_characters() -> None:
    assert from_json({"overall": "a\tcat\r\n and 👩‍🚀"}).overall == "a cat and 👩‍🚀"


def test_parts_have_at_most_800_characters() -> None:
    assert Description("é" * 800, (Item("n" * 800, "d" * 800),)).items
    for part in (("é" * 801,), ("", (Item("n" * 801),)), ("", (Item("n", "d" * 801),))):
        with pytest.raises(InputError, match="at most 800 characters, not 801"):
            Description(*part)
    with pytest.raises(BitstreamError, match="at most 800 characters"):
        unpack(bytes([1]) + Deflate().pack("a" * 801))
    with pytest.raises(InputError, match="at most 800 characters, not 20000000"):  # seen before words are counted
        Description("a " * 10_000_000)


def test_the_bytes_are_fixed() -> None:
    packed = pack(CAT, {1: Deflate()})
    assert packed[0] == 1
    assert (
        zlib.decompressobj(-15, DICTIONARY).decompress(packed[1:])
        == b"a cat sitting on a wooden bench\ncat\ngrey, striped\nbench"
    )


@given(st.binary(max_size=100))
def test_any_bytes_end_in_a_description_or_an_error(data: bytes) -> None:
    try:
        unpack(data)
    except MiscError:
        return


@given(st.binary(max_size=100))
def test_damaged_deflate_is_a_bitstream_error(data: bytes) -> None:
    try:
        assert isinstance(Deflate().unpack(data), str)
    except BitstreamError:
        return


def test_length_bombs_are_refused() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(b"a" * 10_000_000) + packer.flush()
    with pytest.raises(LimitError):
        Deflate().unpack(bomb)
    with pytest.raises(LimitError):
        Deflate().pack("a" * 70_000)


def test_unknown_coders_are_named() -> None:
    with pytest.raises(ModelMismatchError, match="coder 200"):
        unpack(bytes([200, 1, 2]))


def test_the_numbers_of_coders_are_one_table() -> None:
    names = {number: coder.name for number, coder in load_profile().text_coders.items()}
    assert names == {1: "deflate", 2: "lzw", 3: "consonants", 4: "lm-large", 5: "lm-small", 6: "words"}
    assert set(names) == set(CODERS)
    assert set(WEIGHTLESS) == {1, 2, 3}


class Reversed:
    """A stranger's coder: the letters from the last to the first."""

    name = "reversed"
    lossless = True
    available = True
    digest = b""

    def keeps(self, text: str) -> bool:
        return True

    def pack(self, text: str) -> bytes:
        return text[::-1].encode()

    def unpack(self, data: bytes) -> str:
        return data.decode()[::-1]


def test_another_coder_is_one_line_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "CODERS", {**CODERS, 77: lambda files: Reversed()})
    coders = registry.make_coders({})
    assert set(coders) == {1, 2, 3, 77}
    text = Description("ab", (Item("cd"),))
    assert pack(text, {77: coders[77]}) == b"\x4ddc\nba"
    assert unpack(b"\x4ddc\nba", coders) == text


def test_skeletons_are_coded_by_consonants_alone_and_nothing_else_is() -> None:
    for consonants in (False, True):
        text = Description("ct n bnch", consonants=consonants)
        data = pack(text)
        assert (data[0] == 3) == consonants
        assert unpack(data) == text


def test_limits() -> None:
    with pytest.raises(InputError, match="16 items"):
        Description("", tuple(Item(str(i)) for i in range(17)))
    with pytest.raises(InputError, match="64 words"):
        Description("a " * 65)
    with pytest.raises(InputError, match="one line"):
        Description("a\nb")
    with pytest.raises(InputError, match="name"):
        Description("", (Item(""),))
    many = b"\n".join([b"x"] * 40)
    with pytest.raises(BitstreamError, match="16 items"):
        unpack(b"\x01" + Deflate().pack(many.decode()))


@pytest.mark.parametrize(
    "value",
    [
        [],
        "text",
        {"overall": 3},
        {"items": {}},
        {"items": [3]},
        {"items": [{"nam": "x"}]},
        {"extra": 1},
        {"overall": "\ud800"},
    ],
)
def test_other_json_is_refused(value: object) -> None:
    with pytest.raises(InputError):
        from_json(value)
