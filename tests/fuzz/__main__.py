"""python -m tests.fuzz [--minutes M] [--seed S] [--target NAME] [--only NUMBER] [--inputs N]."""

from __future__ import annotations

import argparse
import sys

from .engine import fuzz, input_of, try_input
from .targets import targets


def main() -> int:
    """Exit code 1 if there are faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", help="one target alone")
    parser.add_argument("--only", type=int, help="number of a single input, which is run here, without a child")
    parser.add_argument("--inputs", type=int, help="of each target, at most")
    given = parser.parse_args()
    found = [target for target in targets() if given.target in (None, target.name)]
    if not found:
        parser.error(f"there is no target {given.target}")
    if given.only is None:
        return 1 if fuzz(found, given.seed, 60 * given.minutes, given.inputs) else 0
    faults = 0
    for target in found:
        data = input_of(target, given.seed, given.only)
        fault = try_input(target, given.only, data)
        print(f"{target.name}: {data.hex()}\n{fault}")
        faults += fault is not None
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
