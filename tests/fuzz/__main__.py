"""python -m tests.fuzz [--minutes M] [--seed S] [--target NAME] [--only NUMBER] [--inputs N] [--json FILE]."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .engine import Fault, count_inputs, fuzz, input_of, try_input
from .targets import Target, targets


def main() -> int:
    """Exit code 1 if there are faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", help="one target alone")
    parser.add_argument("--only", type=int, help="number of a single input, which is run here, without a child")
    parser.add_argument("--inputs", type=int, help="of each target, at most; a slow one takes fewer")
    parser.add_argument("--json", type=Path, help="file for the number of inputs of each target and the faults")
    given = parser.parse_args()
    found = [target for target in targets() if given.target in (None, target.name)]
    if not found:
        parser.error(f"there is no target {given.target}")
    if given.only is None:
        faults, reached = fuzz(found, given.seed, 60 * given.minutes, given.inputs)
        if given.json:
            given.json.write_text(json.dumps(summary(found, given.seed, faults, reached), indent=1) + "\n")
        return 1 if faults else 0
    wrong = 0
    for target in found:
        data = input_of(target, given.seed, given.only)
        fault = try_input(target, given.only, data)
        print(f"{target.name}: {data.hex()}\n{fault}")
        wrong += fault is not None
    return 1 if wrong else 0


def summary(found: list[Target], seed: int, faults: list[Fault], reached: int) -> dict[str, Any]:
    """What was run and what was wrong, as JSON takes it."""
    counts = {target.name: count_inputs(target, reached) for target in found}
    return {
        "seed": seed,
        "inputs": sum(counts.values()),
        "targets": counts,
        "faults": [asdict(each) for each in faults],
    }


if __name__ == "__main__":
    sys.exit(main())
