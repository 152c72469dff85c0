import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misc.bits import container
from misc.bits.container import Header, Section, read, symbol_check, write
from misc.errors import BitstreamError, LimitError, MiscError, ModelMismatchError

SIDES = st.one_of(st.integers(1, 2000), st.sampled_from([1024, 16_384, 65_535]))
PAYLOADS = st.binary(max_size=300)


def section(width: int) -> st.SearchStrategy[Section]:
    return st.builds(Section, PAYLOADS, st.integers(0, 256**width - 1))


HEADERS = st.builds(Header, SIDES, st.integers(1, 4000), st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1))
SECTIONS = st.fixed_dictionaries({}, optional={"text": section(1), "regions": section(1), "pixels": section(2)})


@given(HEADERS, SECTIONS)
def test_read_inverts_write(header: Header, sections: dict[str, Section]) -> None:
    again, read_sections = read(write(header, sections), max_pixels=1 << 32)
    assert (again, read_sections) == (header, sections)
    assert list(read_sections) == [name for name in container.SECTIONS if name in sections]


def overhead(header: Header, **sections: Section) -> int:
    return len(write(header, sections)) - sum(len(section.payload) for section in sections.values())


def test_overhead_is_as_documented() -> None:
    text, regions, pixels = Section(b"t" * 20, 1), Section(b"r" * 12, 2), Section(b"p" * 2000, 3)
    header = Header(1024, 1024, 0, 7)
    assert overhead(header, text=text) == 7
    assert overhead(header, pixels=pixels) == 8
    assert overhead(header, text=text, pixels=pixels) == 11
    assert overhead(header, text=text, regions=regions, pixels=pixels) == 13
    large = Header(1023, 769, 2**32 - 1, 7)
    assert (
        overhead(large, text=Section(b"t" * 200, 1), regions=regions, pixels=pixels) == 13 + 2 + 5 + 1
    )  # size, seed, length


def test_the_bytes_are_fixed() -> None:
    file = write(Header(768, 512, 5, 0xA7), {"text": Section(b"hi", 0x11), "pixels": Section(b"\x80xyz", 0x2233)})
    header = bytes.fromhex("b50d4200a705")
    check, crc = container.crc8(header, container.HEADER_CRC), container.crc8(file[:-1], container.FILE_CRC)
    assert file == header + bytes([check]) + bytes.fromhex("026869118078797a2233") + bytes([crc])
    assert container.crc8(b"123456789", container.FILE_CRC) == 0xFB  # ITU's polynomial, start ff
    assert container.crc8(b"123456789", container.HEADER_CRC) == 0xDF ^ 0xFF  # AUTOSAR's, which is inverted at the end


@given(HEADERS, SECTIONS, st.data())
def test_every_changed_byte_is_noticed(header: Header, sections: dict[str, Section], data: st.DataObject) -> None:
    good = write(header, sections)
    at = data.draw(st.integers(0, len(good) - 1))
    change = data.draw(st.integers(1, 255))
    with pytest.raises(BitstreamError):
        read(good[:at] + bytes([good[at] ^ change]) + good[at + 1 :])


def headed(header: bytes) -> bytes:
    """A header of two sections or more with its check."""
    return header + bytes([container.crc8(header, container.HEADER_CRC)])


def sealed(body: bytes) -> bytes:
    """A body with a checksum that fits."""
    return body + bytes([container.crc8(body, container.FILE_CRC)])


@given(st.binary(max_size=60))
def test_hostile_bodies_end_in_an_error_or_a_file(body: bytes) -> None:
    try:
        header, sections = read(sealed(bytes([container.MAGIC]) + body))
    except MiscError:
        return
    assert header.width * header.height <= container.MAX_PIXELS
    assert sum(len(section.payload) for section in sections.values()) <= len(body)


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (b"", BitstreamError, "not a MISC file"),
        (b"\x89PNG\r\n", BitstreamError, "not a MISC file"),
        (sealed(b"\xb5"), BitstreamError, "within its header"),
        (sealed(b"\xb5\x21\x70\x00\x00"), ModelMismatchError, "version 2"),
        (sealed(b"\xb5\x10\x70\x00\x00"), BitstreamError, "does not know"),
        (sealed(b"\xb5\x01\xff\xff\xff\xff\xff\xff\x00\x00\x00"), BitstreamError, "too large"),
        (sealed(b"\xb5\x01\xff\xff\xff\xff\xff\x7f\x00\x00"), LimitError, "beyond the limit"),
        (sealed(b"\xb5\x01\xf0\x00\x00\x00"), BitstreamError, "overlong"),
        (sealed(headed(b"\xb5\x05\x70\x00\x00") + b"\xff\xff\xff\x7f" + bytes(5)), BitstreamError, "cut short"),
        (sealed(b"\xb5\x01\x70\x00\x00"), BitstreamError, "cut short"),
        (sealed(b"\xb5\x05\x70\x00\x00"), BitstreamError, "within its header"),
        (sealed(b"\xb5\x05\x70\x00\x00\x00" + bytes(5)), BitstreamError, "header is damaged"),
        (sealed(b"\xb5\x00\x70\x00\x00\x00"), BitstreamError, "goes on"),
        (sealed(b"\xb5\x08\x70\x00\x00\xff\xff\xff\xff\x7f"), LimitError, "seed"),
        (b"\xb5" * (container.MAX_BYTES + 1), LimitError, "more than"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, error: type[MiscError], words: str) -> None:
    with pytest.raises(error, match=words):
        read(body)


def test_other_models_are_noticed() -> None:
    data = write(Header(64, 64, 0, 3), {"text": Section(b"x", 0)})
    assert read(data, fingerprints={3})[0].fingerprint == 3
    with pytest.raises(ModelMismatchError, match="other models"):
        read(data, fingerprints={4})


def test_larger_images_need_leave() -> None:
    data = write(Header(65_535, 65_535, 0, 0), {})
    with pytest.raises(LimitError):
        read(data)
    assert read(data, max_pixels=65_535**2)[0].width == 65_535


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (65_536, 1)])
def test_impossible_sizes_are_not_written(size: tuple[int, int]) -> None:
    with pytest.raises(LimitError):
        write(Header(*size, 0, 0), {})


def test_cut_files_are_the_smaller_file_when_asked() -> None:
    sections = {"text": Section(b"text", 1), "regions": Section(b"map", 2), "pixels": Section(b"pixels", 3)}
    whole = write(Header(768, 512, 0, 9), sections)
    after_text, after_regions = 6 + 1 + 4 + 1, 6 + 1 + 4 + 1 + 1 + 3 + 1
    assert list(read(whole[:after_text], partial=True)[1]) == ["text"]
    assert list(read(whole[:after_regions], partial=True)[1]) == ["text", "regions"]
    assert read(whole, partial=True) == (Header(768, 512, 0, 9), sections)
    with pytest.raises(BitstreamError):
        read(whole[:after_text])
    with pytest.raises(BitstreamError):
        read(whole[: after_text - 2], partial=True)


def test_of_a_file_whose_checksum_is_wrong_the_last_section_is_never_read() -> None:
    sections = {"text": Section(b"text", 1), "pixels": Section(b"pixels", 3)}
    for present in (["text"], ["pixels"], ["text", "pixels"]):
        good = write(Header(768, 512, 0, 9), {name: sections[name] for name in present})
        for change in range(1, 256):
            wrong = good[:-1] + bytes([good[-1] ^ change])
            with pytest.raises(BitstreamError, match="checksum"):
                read(wrong)
            if len(present) == 1:
                with pytest.raises(BitstreamError, match="no section"):
                    read(wrong, partial=True)
            else:
                assert read(wrong, partial=True) == (Header(768, 512, 0, 9), {"text": sections["text"]})


def test_damage_in_size_seed_and_fingerprint_is_noticed_in_cut_files_too() -> None:
    header = Header(1000, 77, 123_456, 9)
    whole = write(header, {"text": Section(b"text", 1), "pixels": Section(b"pixels", 3)})
    cut = whole[:-4]
    assert read(cut, partial=True, fingerprints={9}) == (header, {"text": Section(b"text", 1)})
    for at in range(2, 2 + 3 + 2 + 3 + 1):  # behind magic and flags: size, fingerprint, seed, check
        for change in range(1, 128):  # with the top bit numbers would get other lengths, and the check another place
            with pytest.raises(BitstreamError):
                read(cut[:at] + bytes([cut[at] ^ change]) + cut[at + 1 :], partial=True, fingerprints={9})


def test_a_cut_file_whose_checksum_fits_by_chance_is_read_as_cut() -> None:
    found = 0
    for number in range(2000):
        sections = {"text": Section(number.to_bytes(2, "big"), 1), "pixels": Section(b"pixels", 3)}
        cut = write(Header(768, 512, 0, 9), sections)[:-7]
        if container.crc8(cut[:-1], container.FILE_CRC) == cut[-1]:
            found += 1
            assert next(iter(read(cut, partial=True)[1])) == "text"
    assert found > 0


def test_symbol_checks_have_their_width() -> None:
    assert symbol_check("text", b"abc") == 0xC2  # CRC-32 of "abc" is 352441c2
    assert symbol_check("pixels", b"abc") == 0x41C2


def test_a_hundred_thousand_mutated_files() -> None:
    """Half of them with a checksum that fits, so that the parser behind it is reached."""
    draw = random.Random(0)
    seeds = [
        write(Header(768, 512, 0, 9), {"text": Section(b"text" * 5, 1), "pixels": Section(bytes(range(60)), 3)}),
        write(
            Header(1000, 77, 12345, 9),
            {"text": Section(b"t" * 140, 1), "regions": Section(b"r", 2), "pixels": Section(b"p" * 20, 3)},
        ),
        write(Header(1024, 1024, 0, 9), {"text": Section(b"abc", 1)}),
    ]
    parsed = 0
    for i in range(100_000):
        data = bytearray(draw.choice(seeds))
        for _ in range(draw.randint(1, 4)):
            where = draw.randrange(len(data))
            match draw.randrange(4):
                case 0:
                    data[where] = draw.randrange(256)
                case 1:
                    del data[where : where + draw.randrange(1, 8)]
                case 2:
                    data[where:where] = draw.randbytes(draw.randrange(1, 8))
                case 3:
                    data[where] ^= 1 << draw.randrange(8)
            data = data or bytearray(1)
        if i % 2:
            data[-1] = container.crc8(data[:-1], container.FILE_CRC)
        try:
            header, sections = read(bytes(data), partial=draw.random() < 0.3)
        except MiscError:
            continue
        parsed += 1
        assert header.width * header.height <= container.MAX_PIXELS
        assert sum(len(section.payload) for section in sections.values()) <= len(data)
    assert parsed > 1000
