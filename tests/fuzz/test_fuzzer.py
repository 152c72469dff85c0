"""The fuzzer finds planted faults, says which input it was, and leaves sound readers alone."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from misc.errors import BitstreamError
from tests.fuzz.engine import fuzz, input_of, limited, try_input
from tests.fuzz.targets import Target, targets

CORPUS = (b"MISC file", b"another one")
LINES: list[str] = []
ROOT = Path(__file__).parents[2]


def sound(data: bytes) -> None:
    if b"\xff" in data:
        raise BitstreamError("damaged")


def planted(fault: Callable[[], object]) -> Target:
    """A reader that is sound but for inputs that hold a zero byte."""

    def run(data: bytes) -> None:
        sound(data)
        if 0 in data:
            fault()

    return Target("planted", CORPUS, run)


def crash() -> None:
    raise IndexError("planted")


def hang() -> None:
    while True:
        pass


def swallow() -> None:
    """A loop that lets no exception out."""
    while True:
        try:
            hang()
        except Exception:
            continue


def allocate() -> bytes:
    return bytes(3 << 30)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("fault", "kind"), [(crash, "crash"), (allocate, "memory"), (die, "died")])
def test_a_planted_fault_is_found_and_can_be_made_again(fault: Callable[[], object], kind: str) -> None:
    target = planted(fault)
    ((found,), _) = fuzz([Target("sound", CORPUS, sound), target], seed=3, seconds=60, most=60, say=LINES.append)
    assert (found.target, found.kind) == ("planted", kind)
    assert 0 in input_of(target, 3, found.number)
    assert not any(0 in data and 255 not in data for data in (input_of(target, 3, i) for i in range(found.number)))


@pytest.mark.parametrize("fault", [hang, swallow])
def test_a_planted_hang_is_found(fault: Callable[[], object]) -> None:
    found = try_input(planted(fault), 7, b"\0", seconds=0.2)
    assert found is not None
    assert (found.kind, found.number) == ("hang", 7)


def test_inputs_depend_on_seed_target_and_number_alone() -> None:
    first, other = Target("first", CORPUS, sound), Target("other", CORPUS, sound)
    made = [[input_of(target, seed, i) for i in range(40)] for target, seed in ((first, 1), (first, 2), (other, 1))]
    assert made[0] == [input_of(first, 1, i) for i in range(40)]
    assert made[0] != made[1]
    assert made[0] != made[2]
    assert len(set(made[0])) > 30


def test_what_is_sound_has_no_faults() -> None:
    assert fuzz([Target("sound", CORPUS, sound)], seed=1, seconds=60, most=50, say=LINES.append) == ([], 50)


def test_a_slow_reader_takes_each_input_whose_number_is_a_multiple(tmp_path: Path) -> None:
    """Its faults have the numbers by which they can be made again."""
    taken = tmp_path / "taken"

    def note(data: bytes) -> None:
        with taken.open("ab") as file:
            file.write(data.hex().encode() + b"\n")

    slow = Target("slow", CORPUS, note, every=7)
    assert fuzz([slow, Target("sound", CORPUS, sound)], seed=1, seconds=60, most=20, say=LINES.append) == ([], 20)
    assert taken.read_text().split("\n")[:-1] == [input_of(slow, 1, number).hex() for number in (0, 7, 14)]
    assert LINES[-1] == "23 inputs of 2 targets, 0 faults"


def test_the_limit_ends_with_the_input() -> None:
    with limited(0.05):
        pass
    start = time.process_time()
    while time.process_time() - start < 0.1:
        pass


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_every_reader_takes_its_corpus(target: Target) -> None:
    """What fuzzing begins with is read without an error, but for the checksum that a changed file does not have."""
    assert len(target.corpus) >= 2
    for number, data in enumerate(target.corpus):
        assert try_input(target, number, data) is None


def test_the_inputs_that_the_documentation_counts_are_the_committed_ones() -> None:
    result = json.loads((ROOT / "docs/results/fuzz.json").read_text())
    said = " ".join((ROOT / "docs/reliability.md").read_text().split())
    assert result["faults"] == []
    assert set(result["targets"]) == {target.name for target in targets()}
    assert f"Of {result['inputs']:,} inputs for {len(result['targets'])} readers none crashed" in said
    slow = (f"{result['targets'][f'text-{name}']:,}" for name in ("lm-small", "words"))
    assert f"take {' and '.join(slow)} of them" in said
