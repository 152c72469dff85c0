"""Region maps from files that are damaged or larger than they look."""

import io
from pathlib import Path

import numpy as np
import pytest

from misc.errors import InputError
from misc.maps import load_maps, read_maps

CORPUS = Path(__file__).parent / "fuzz" / "corpus" / "maps"


def test_the_corpus_is_read() -> None:
    for path in CORPUS.iterdir():
        assert load_maps(path.read_bytes(), 64, 64).masks.shape == (2, 4, 4)


@pytest.mark.parametrize("name", ["c.npy", "d.npz"])
def test_damage_is_one_error(name: str) -> None:
    """Every changed byte: zlib, zipfile and numpy have an error of their own each."""
    data = (CORPUS / name).read_bytes()
    refused = 0
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 0x55
        try:
            read_maps(bytes(changed))
        except InputError:
            refused += 1
    assert refused > len(data) // 3


def test_archives_that_unpack_to_much_are_refused() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, np.zeros(1 << 27, np.bool_))
    assert len(buffer.getvalue()) < 1 << 18
    with pytest.raises(InputError, match="more than"):
        read_maps(buffer.getvalue())
