"""Fit the tables of the region stream to maps.

    python -m misc.train.prepare.region_maps --features FOLDER --out maps.npz
    python -m misc.train.regions --maps maps.npz --out misc/bits/regions/tables.py

The log-odds of a set cell are the sum of one entry from each of six tables. This is a logistic regression. A small
weight decay keeps entries of rare contexts near zero. New tables change the meaning of old files: see CONTRIBUTING.md.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer

from ..bits.regions.coder import SCALE_ROW, Contexts, code_mask
from ..bits.regions.maps import GRIDS, RegionMaps
from ..cli.app import run_alone
from ..maps import read_maps

__all__ = ["contexts_of", "fit", "module_text"]

SIZES = {"NEAR": 256, "ROW": 64, "COLUMN": 64, "BORDER": 100, "EARLIER": 96, "SCALE": SCALE_ROW * len(GRIDS)}
UNIT = 16
LIMIT = 127
HEADER = '''"""Tables of the region stream, as `misc.train.regions` fitted them: sixteenths of a logarithm of odds."""

__all__ = {names}
'''


def contexts_of(maps: Sequence[RegionMaps]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Contexts (cells, 6) and values (cells,) of all cells that are coded."""
    contexts: list[Contexts] = []
    values: list[int] = []
    for each in maps:
        for k, mask in enumerate(each.masks):
            if mask.all() or not mask.any():
                continue
            cells = mask.tolist()

            def code(row: int, column: int, context: Contexts, cells: list[list[bool]] = cells) -> int:
                contexts.append(context)
                values.append(int(cells[row][column]))
                return values[-1]

            code_mask(each.masks[:k], code)
    return np.array(contexts), np.array(values, np.bool_)


def fit(
    contexts: npt.NDArray[np.int64], values: npt.NDArray[np.bool_], decay: float, steps: int
) -> tuple[dict[str, list[int]], float]:
    """The tables, and the mean bits per cell under them.

    Args:
        contexts: (cells, 6) rows of the tables.
        values: (cells,) whether a cell is set.
        decay: weight of the entries' squares.
        steps: number of steps of L-BFGS.
    """
    starts = np.cumsum([0, *SIZES.values()])
    index = torch.from_numpy(contexts + starts[:-1])
    target = torch.from_numpy(values.astype(np.float32))
    weights = torch.zeros(int(starts[-1]), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def loss(entries: torch.Tensor) -> torch.Tensor:
        scores = entries[index].sum(1)
        return torch.nn.functional.binary_cross_entropy_with_logits(scores, target, reduction="sum")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        result = loss(weights) + decay * weights.square().sum()
        result.backward()
        return result

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    entries = (weights.detach() * UNIT).round().clamp(-LIMIT, LIMIT)
    bits = float(loss(entries / UNIT)) / np.log(2) / len(values)
    parts = np.split(entries.int().numpy(), starts[1:-1])
    return {name: part.tolist() for name, part in zip(SIZES, parts, strict=True)}, bits


def module_text(tables: dict[str, list[int]]) -> str:
    """The source of `misc.bits.regions.tables`."""
    text = HEADER.format(names=str(sorted(tables)).replace("'", '"'))
    for name, entries in tables.items():
        lines = textwrap.wrap(", ".join(map(str, entries)) + ",", 116)
        text += "\n# fmt: off\n" if name == next(iter(tables)) else "\n"
        text += f"{name} = (\n" + "".join(f"    {line}\n" for line in lines) + ")\n"
    return text


def main(
    maps: Annotated[list[Path], typer.Option(help="file (.npz) of (items, rows, columns), one an image; repeatable")],
    out: Annotated[Path, typer.Option(help="file for the tables, misc/bits/regions/tables.py")],
    decay: Annotated[float, typer.Option(min=0, help="weight decay of a table's entries")] = 0.5,
    steps: Annotated[int, typer.Option(min=1, help="number of steps of L-BFGS")] = 60,
) -> None:
    """Fit the tables of the region stream."""
    all_maps = [each for path in maps for each in read_maps(path.read_bytes())]
    contexts, values = contexts_of(all_maps)
    tables, bits = fit(contexts, values, decay, steps)
    out.write_text(module_text(tables))
    print(f"{len(all_maps)} maps, {len(values)} cells, {bits:.4f} bits a cell -> {out}")


if __name__ == "__main__":
    run_alone(main)
