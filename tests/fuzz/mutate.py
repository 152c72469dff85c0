"""Mutations of bytes: what damage, chance and ill will do to a file."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

__all__ = ["mutate"]

VALUES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
WORDS = (
    *(b'"', b"{", b"}", b"[", b"]", b"null", b"NaN", b"1e999", b"-1", b"99999999999", b"\\ud800", b"\\n", b"```"),
    *(b"\x00", b"\x1b[2J", b"\xff\xff\xff\xff", b"\x80\x80\x80\x80", b"\xed\xa0\x80", b"\xe2\x98\x83", b"a" * 300),
)

Mutation = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def flip(draw: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def put(draw: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    data[draw.randrange(len(data))] = draw.choice(VALUES) if draw.random() < 0.5 else draw.randrange(256)


def drop(draw: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    start = draw.randrange(len(data))
    del data[start : start + draw.choice((1, 2, 4, 16, len(data)))]


def insert(draw: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = draw.randrange(len(data) + 1)
    data[at:at] = draw.choice(WORDS) if draw.random() < 0.5 else draw.randbytes(draw.choice((1, 2, 4, 16)))


def repeat(draw: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    start = draw.randrange(len(data))
    part = data[start : start + draw.choice((1, 4, 16, 64))]
    data[start:start] = part * draw.choice((1, 2, 30))


def splice(draw: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    other = draw.choice(others)
    data[draw.randrange(len(data)) :] = other[draw.randrange(len(other) + 1) :]


def extend(draw: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    data += bytes([draw.choice(VALUES)]) * draw.choice((1, 8, 100, 1000))


def noise(draw: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    data[:] = draw.randbytes(draw.choice((1, 2, 3, 8, 30, 300)))


MUTATIONS: tuple[Mutation, ...] = (flip, flip, put, put, drop, insert, repeat, splice, extend, noise)


def mutate(draw: random.Random, corpus: Sequence[bytes]) -> bytes:
    """A file of the corpus after one to four mutations; sometimes as it is."""
    data = bytearray(draw.choice(corpus))
    for _ in range(draw.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        if not data:
            data += b"\0"
        draw.choice(MUTATIONS)(draw, data, corpus)
    return bytes(data)
