"""The `.misc` file: a header, the sections that are there, a checksum. docs/FORMAT.md has it byte by byte.

    magic | version, flags | profile | size | [seed] | text | regions | pixels | CRC-8
                                                       └─ [length] payload, check of its decoded symbols

Every section but the file's last has its length in front. The CRC covers all bytes before it, so no change of a
single byte goes unnoticed; a section's check covers what its payload decodes to, so a drifting model is noticed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import BitstreamError, LimitError, ModelMismatchError

__all__ = ["MAGIC", "MAX_PIXELS", "MAX_SIDE", "SECTIONS", "Header", "Section", "read", "symbol_check", "write"]

MAGIC = 0xB5
VERSION = 1
SECTIONS = ("text", "regions", "pixels")
CHECK_BYTES = {"text": 1, "regions": 1, "pixels": 2}
SEED_FLAG = 1 << 3
UNIT = 128
MAX_SIDE = 65_535
MAX_PIXELS = 1 << 26  # unless the user admits more
MAX_BYTES = 1 << 24
MAX_SEED = (1 << 32) - 1


@dataclass(frozen=True)
class Section:
    """A stream's bytes and the check of what they decode to."""

    payload: bytes
    check: int


@dataclass(frozen=True)
class Header:
    """What stands in front of the sections.

    Attributes:
        width, height: of the image, 1 to 65,535. seed: of the decoder's noise, 0 to 2^32 - 1.
        fingerprint: of the exact models, 0 to 255.
    """

    width: int
    height: int
    seed: int
    fingerprint: int


def symbol_check(name: str, symbols: bytes) -> int:
    """Check of a section's decoded symbols: the low bytes of their CRC-32."""
    return zlib.crc32(symbols) & ((1 << 8 * CHECK_BYTES[name]) - 1)


def write(header: Header, sections: Mapping[str, Section]) -> bytes:
    """Bytes of a file; its sections by name, in any order.

    Raises:
        LimitError: the size is out of range.
    """
    if not (1 <= header.width <= MAX_SIDE and 1 <= header.height <= MAX_SIDE):
        raise LimitError(f"{header.width}x{header.height} is outside 1x1 to {MAX_SIDE}x{MAX_SIDE}")
    present = [name for name in SECTIONS if name in sections]
    flags = sum(1 << SECTIONS.index(name) for name in present) | (SEED_FLAG if header.seed else 0)
    out = bytearray([MAGIC, (VERSION - 1) << 5 | flags, header.fingerprint])
    out += varint(size_code(header.width, header.height))
    if header.seed:
        out += varint(header.seed)
    for name in present:
        section = sections[name]
        if name != present[-1]:
            out += varint(len(section.payload))
        out += section.payload + section.check.to_bytes(CHECK_BYTES[name], "big")
    return bytes(out) + bytes([crc8(out)])


def read(
    data: bytes, *, fingerprint: int | None = None, max_pixels: int = MAX_PIXELS, partial: bool = False
) -> tuple[Header, dict[str, Section]]:
    """Header and sections of a file, the sections by name and in its order.

    Args:
        fingerprint: the one of the models at hand; None accepts every file.
        max_pixels: the largest image that is accepted.
        partial: accept a damaged checksum, and sections that are missing behind the first; whether what is there
            is right must then be seen from the sections' own checks.

    Raises:
        BitstreamError: not a MISC file, damaged, or cut. LimitError: larger than allowed.
        ModelMismatchError: of another version or written with other models.
    """
    if len(data) < 2 or data[0] != MAGIC:
        raise BitstreamError("this is not a MISC file")
    if len(data) > MAX_BYTES:
        raise LimitError(f"the file has more than {MAX_BYTES} bytes")
    intact = crc8(data[:-1]) == data[-1]
    if not intact and not partial:
        raise BitstreamError("the file is damaged or incomplete: its checksum does not fit")
    body = data[:-1] if intact else data
    if len(body) < 3:
        raise BitstreamError("the file ends within its header")
    flags = body[1]
    if flags >> 5 != VERSION - 1:
        raise ModelMismatchError(f"the file has format version {(flags >> 5) + 1}; this program reads {VERSION}")
    if flags & 1 << 4:
        raise BitstreamError("the file has a section that this version does not know")
    if fingerprint is not None and body[2] != fingerprint:
        raise ModelMismatchError(
            f"the file was written with other models ({body[2]:02x}) than these ({fingerprint:02x})"
        )
    code, position = read_varint(body, 3)
    width, height = size_of(code)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or width * height > max_pixels:
        raise LimitError(f"an image of {width}x{height} is beyond the limit of {max_pixels} pixels")
    seed = 0
    if flags & SEED_FLAG:
        seed, position = read_varint(body, position)
        if seed > MAX_SEED:
            raise LimitError("the seed is beyond 32 bits")
    names = [name for i, name in enumerate(SECTIONS) if flags >> i & 1]
    sections: dict[str, Section] = {}
    for name in names:
        last = name == names[-1]
        try:
            section, position = read_section(body, position, name, to_end=last)
        except BitstreamError:
            if partial and sections:
                break
            raise
        sections[name] = section
    if intact and position != len(body):
        raise BitstreamError("the file goes on after its last section")
    return Header(width, height, seed, body[2]), sections


def read_section(body: bytes, position: int, name: str, *, to_end: bool) -> tuple[Section, int]:
    """The section at a position and the position after it."""
    check_bytes = CHECK_BYTES[name]
    if to_end:
        length = len(body) - position - check_bytes
    else:
        length, position = read_varint(body, position)
    end = position + length + check_bytes
    if length < 0 or end > len(body):
        raise BitstreamError(f"the {name} section is cut short")
    check = int.from_bytes(body[position + length : end], "big")
    return Section(bytes(body[position : position + length]), check), end


def varint(value: int) -> bytes:
    """LEB128: seven bits a byte, the least significant first, the top bit set in all but the last."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at a position, at most 6 bytes long and not longer than needed, and the position after it."""
    value = 0
    for i in range(6):
        if position + i >= len(data):
            raise BitstreamError("the file ends within a number")
        byte = data[position + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            if byte == 0 and i > 0:
                raise BitstreamError("the file holds an overlong number")
            return value, position + i + 1
    raise BitstreamError("the file holds a number that is too large")


def size_code(width: int, height: int) -> int:
    """One number for both sides; small, so one byte, for multiples of 128 up to 1024."""
    if width % UNIT == 0 and height % UNIT == 0:
        return 2 * pair(width // UNIT - 1, height // UNIT - 1)
    return 2 * pair(width - 1, height - 1) + 1


def size_of(code: int) -> tuple[int, int]:
    """Width and height of a size code."""
    a, b = unpair(code >> 1)
    return (a + 1, b + 1) if code & 1 else ((a + 1) * UNIT, (b + 1) * UNIT)


def pair(a: int, b: int) -> int:
    """Number the pairs of naturals by shells of equal maximum (Szudzik 2006)."""
    return b * b + a if a < b else a * a + a + b


def unpair(n: int) -> tuple[int, int]:
    """Inverse of pair."""
    shell = math.isqrt(n)
    rest = n - shell * shell
    return (rest, shell) if rest < shell else (shell, rest - shell)


def crc8(data: bytes | bytearray) -> int:
    """CRC-8 with polynomial 0x07 and start 0xff."""
    crc = 0xFF
    for byte in data:
        crc = CRC_TABLE[crc ^ byte]
    return crc


def crc_row(value: int) -> int:
    for _ in range(8):
        value = (value << 1) ^ (0x107 if value & 0x80 else 0)
    return value


CRC_TABLE = bytes(crc_row(value) for value in range(256))
