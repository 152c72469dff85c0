"""Conformance of the draft: whatever kernels and threads torch has, pixels agree within 2 of 255."""

import numpy as np
import pytest

from misc.eval.machines import TORCH_MACHINES, result_on

CHECK = """
import json
import torch
from misc.bits import streams
from misc.models.hyperprior.weights import load_hyperprior
from tests.bits.test_golden import FILES, MODELS
from tests.golden.make import MODEL
model = load_hyperprior(MODEL)
drafts = {}
for path in FILES:
    found = streams.decode(path.read_bytes(), MODELS)
    if found.pixels is not None:
        drafts[path.stem] = model.synthesise(found.pixels, found.width, found.height).tolist()
print(json.dumps({"kernels": torch.backends.cpu.get_cpu_capability(), "drafts": drafts}))
"""


@pytest.fixture(scope="module")
def here() -> dict[str, list]:
    return result_on({}, CHECK)["drafts"]


@pytest.mark.parametrize("machine", TORCH_MACHINES, ids=str)
def test_drafts_of_the_committed_files_agree(machine: dict[str, str], here: dict[str, list]) -> None:
    result = result_on(machine, CHECK)
    assert result["kernels"].lower() == machine["ATEN_CPU_CAPABILITY"]
    assert result["drafts"].keys() == here.keys() == {"all", "escapes", "one_pixel", "pixels", "text_pixels"}
    for name, drawn in result["drafts"].items():
        assert np.abs(np.array(drawn) - np.array(here[name])).max() <= 2, name
