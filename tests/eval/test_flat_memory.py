"""`misc eval flat-memory` tells a process that keeps what it decoded from one that does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from misc.cli.eval_parts import own
from misc.codec import Codec
from misc.eval.flat_memory import BOUND, READINGS, SIZE, drawn_here, main, make_files, measure, slope_of

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
PROGRAM = """
import numpy as np
from misc.eval.memory import peak_memory, resident_memory
before = resident_memory()
kept = np.ones(64 << 20, np.uint8)
print(before, resident_memory(), peak_memory())
"""


def test_resident_memory_is_what_was_touched() -> None:
    """In a process of its own: what earlier tests left is freed at any time."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, now, peak = map(int, done.stdout.split())
    assert 60 * MIB < now - before < 80 * MIB
    assert now <= peak


def test_the_slope_is_that_of_the_line_after_the_first_reading() -> None:
    assert slope_of({10: 900_000, 20: 0, 30: 10 * 1024 * 2, 40: 20 * 1024 * 2}) == pytest.approx(2)
    assert slope_of({10: 0, 20: 77, 30: 77, 40: 77}) == pytest.approx(0, abs=1e-9)


def test_every_file_has_its_turn_and_ten_readings_are_taken() -> None:
    decoded: list[bytes] = []
    result = measure(decoded.append, [b"a", b"b", b"c"], 45, lambda: 3 * MIB)
    assert {data: decoded.count(data) for data in (b"a", b"b", b"c")} == {b"a": 15, b"b": 15, b"c": 15}
    assert list(result["resident_mib"]) == [str(4 * (k + 1)) for k in range(READINGS)]
    assert set(result["resident_mib"].values()) == {3.0}


def test_files_are_of_their_modes_and_of_a_small_image() -> None:
    codec = Codec(notice=lambda _: None)
    assert drawn_here().size == SIZE
    files = make_files(codec, drawn_here(), ["pixel", "misc", "text+map"])
    held = {mode: codec.streams(data) for mode, data in files.items()}
    assert (held["pixel"].text, held["text+map"].pixels) == (None, None)
    assert held["misc"].pixels is not None
    assert held["text+map"].regions is not None


@pytest.mark.parametrize("kept", [0, int(4 * BOUND)])
def test_a_process_that_keeps_something_fails(kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[np.ndarray] = []
    memory = iter(range(0, 10**9, 2 * kept * 1024)) if kept else iter([MIB] * READINGS)
    monkeypatch.setattr("misc.eval.flat_memory.measure", lambda decode, files, count: measure(
        lambda data: left.append(np.asarray(decode(data))), files, count, lambda: next(memory)))  # fmt: skip
    result = CliRunner().invoke(own(main), ["--modes", "pixel", "--decodes", "20", "--json", str(tmp_path / "a.json")])
    facts = json.loads((tmp_path / "a.json").read_text())
    assert len(left) == 20
    assert facts["slope_kib"] == pytest.approx(kept)
    assert facts["flat"] == (kept == 0)
    assert result.exit_code == (0 if kept == 0 else 1)
    assert f"{BOUND:g} are allowed" in result.output


def test_the_page_says_what_was_measured() -> None:
    facts = json.loads((ROOT / "docs/results/flat_memory.json").read_text())
    said = " ".join((ROOT / "docs/reliability.md").read_text().split())
    readings = facts["resident_mib"]
    assert (facts["decodes"], facts["bound_kib"], facts["flat"]) == (500, BOUND, True)
    assert {"pixel", "text"} <= set(facts["modes"])
    for done in ("50", "100", "500"):
        assert f"{readings[done]:.1f}" in said
    assert f"{min(readings.values()):.1f} and {max(readings.values()):.1f} MiB" in said
    assert f"{facts['slope_kib']:+.1f} KiB a decoding" in said
    assert f"{BOUND:g} KiB" in said


def test_the_page_says_how_often_commands_were_killed() -> None:
    counts = json.loads((ROOT / "docs/results/kills.json").read_text())["commands"]
    said = (ROOT / "docs/reliability.md").read_text()
    assert sum(count["kills"] for count in counts.values()) == 200
    for name in ("encode", "decode", "batch encode", "batch decode", "pull"):
        count = counts[name]
        assert f"| `misc {name}` | {count['kills']} | {count['at_work']} | {count['faults']} |" in said
