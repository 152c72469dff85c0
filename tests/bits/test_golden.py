"""Conformance: the committed files decode to the committed symbols, and damage never passes for content."""

import json
from pathlib import Path

import pytest

from misc.bits import container, streams
from misc.bits.pixels import entropy_model
from misc.errors import MiscError
from misc.eval.machines import MACHINES, result_on
from tests.golden.make import FOLDER, MODEL, facts

FILES = sorted(FOLDER.glob("*.misc"))
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
MODELS = streams.ExactModels(entropy_model.load(MODEL))


def test_the_set_is_whole() -> None:
    assert [path.stem for path in FILES] == sorted(EXPECTED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_decode_to_their_symbols(path: Path) -> None:
    content = streams.decode(path.read_bytes(), MODELS)
    assert facts(content) == EXPECTED[path.stem]
    assert streams.encode(content, MODELS) == path.read_bytes()


CHECK = """
import json
from misc.bits import streams
from tests.bits.test_golden import FILES, MODELS, facts
print(json.dumps({path.stem: facts(streams.decode(path.read_bytes(), MODELS)) for path in FILES}))
"""


@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_files_decode_to_their_symbols_on_other_machines(machine: dict[str, str]) -> None:
    assert result_on(machine, CHECK) == EXPECTED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_truncation_is_a_corrupt_file(path: Path) -> None:
    data = path.read_bytes()
    for length in range(len(data)):
        with pytest.raises(MiscError) as caught:
            streams.decode(data[:length], MODELS)
        assert caught.value.exit_code == 3, length


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_changed_byte_is_a_corrupt_file(path: Path) -> None:
    data = path.read_bytes()
    for at in range(len(data)):
        for value in range(256):
            if value == data[at]:
                continue
            with pytest.raises(MiscError) as caught:
                streams.decode(data[:at] + bytes([value]) + data[at + 1 :], MODELS)
            assert caught.value.exit_code == 3, (at, value)


def test_changes_behind_the_checksum_meet_the_symbols_check() -> None:
    """A drifting model shows as other symbols in an intact file: every such payload is noticed."""
    data = (FOLDER / "text_pixels.misc").read_bytes()
    header, sections = container.read(data)
    good = sections["pixels"]
    noticed = 0
    for at in range(0, len(good.payload), 7):
        payload = bytearray(good.payload)
        payload[at] ^= 0x10
        changed = sections | {"pixels": container.Section(bytes(payload), good.check)}
        with pytest.raises(MiscError, match="damaged"):
            streams.decode(container.write(header, changed), MODELS)
        noticed += 1
    assert noticed > 20


def test_cut_after_the_text_is_a_text_file_when_asked() -> None:
    data = (FOLDER / "text_pixels.misc").read_bytes()
    payload = container.read(data)[1]["text"].payload
    end = data.index(payload) + len(payload) + 1
    content = streams.decode(data[:end], MODELS, partial=True)
    assert content.pixels is None
    assert facts(content)["text"] == EXPECTED["text_pixels"]["text"]
