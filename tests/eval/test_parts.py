"""Measurements of single parts by `misc eval`: each is a command, ablation and determinism measure what they say."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from misc.bits.regions.maps import RegionMaps
from misc.bits.text.description import Description, Item
from misc.cli.eval_parts import PARTS
from misc.codec import Codec
from misc.errors import InputError
from misc.eval import determinism
from misc.eval.ablation import groups_of, measure, summarise
from misc.eval.decoder import gains_of
from misc.eval.determinism import compare, verdict
from tests.golden.make import FOLDER as GOLDEN
from tests.support.images import sample_picture

TEXT = Description("a cat on a bench", (Item("cat"),))
MAPS = RegionMaps(np.tile(np.eye(8, 12, dtype=bool), (1, 1, 1)))


@pytest.mark.parametrize("name", PARTS)
def test_every_part_has_a_main(name: str) -> None:
    assert callable(importlib.import_module(f"misc.eval.{name}").main)


def test_a_part_is_a_command_with_its_own_options_and_exit_codes() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "misc", "eval", *arguments], capture_output=True, text=True)

    told = run("ablation", "--help")
    assert told.returncode == 0
    assert "misc eval ablation" in told.stdout
    assert "--bpp" in told.stdout
    assert run("ablation", "--no-such").returncode == 2
    failed = run("determinism", "no-such.misc")
    assert (failed.returncode, failed.stderr) == (1, "misc: there is no file no-such.misc\n")
    failed = run("determinism", str(GOLDEN / "all.misc"))
    assert (failed.returncode, failed.stderr.count("\n")) == (4, 1)
    assert "written with other models" in failed.stderr


@pytest.mark.parametrize("name", [*PARTS, "baselines", "demo", "gallery"])
def test_a_part_is_a_program_of_its_own_that_fails_in_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"misc.eval.{name}")

    def main() -> None:
        raise InputError("there is no such photo")

    text = inspect.getsource(module)
    at_the_end = compile(text[text.index('if __name__ == "__main__":') :], name, "exec")
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(SystemExit) as stop:
        exec(at_the_end, vars(module) | {"__name__": "__main__", "main": main})
    assert stop.value.code == 1
    assert capsys.readouterr().err == "misc: there is no such photo\n"


def test_groups_are_what_is_left_of_one_file() -> None:
    codec = Codec()
    data = codec.encode(sample_picture(192, 128), mode="misc", bpp=0.6, description=TEXT, regions=MAPS, seed=3)
    groups = groups_of(codec, data)
    assert next(iter(groups)) == "text+regions+pixels"
    assert {"text", "pixels", "text+pixels", "text+regions"} <= set(groups)
    for name, file in groups.items():
        content = codec.streams(file)
        assert {part for part in ("text", "regions", "pixels") if getattr(content, part)} == set(name.split("+"))
        assert len(file) <= len(data)


def test_ablation_measures_every_group() -> None:
    codec = Codec()
    codec.see = lambda image: (TEXT, MAPS)  # type: ignore[method-assign]
    codec.decode = lambda data: Image.new("RGB", (192, 128))  # type: ignore[method-assign, assignment]
    panel: Any = SimpleNamespace(compare=lambda a, b: {"psnr": 20.0})
    row = measure(codec, panel, sample_picture(192, 128), 0.6)
    assert row["pixels"]["bits"] < row["text+regions+pixels"]["bits"] <= 0.6 * 192 * 128
    other = {"pixels": {"bits": row["pixels"]["bits"] + 8, "psnr": 22.0}}
    mean = summarise([row, other])
    assert mean["pixels"] == {
        "photos": 2.0,
        "bits": row["pixels"]["bits"] + 4,
        "bits_error": 4.0,
        "psnr": 21.0,
        "psnr_error": 1.0,
    }
    assert mean["text"]["photos"] == 1


def test_determinism_looks_at_symbols_and_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "MACHINES", [{"OPENBLAS_NUM_THREADS": "3"}])
    monkeypatch.setattr(determinism, "TORCH_MACHINES", [{"OMP_NUM_THREADS": "3"}])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "a.misc"
    file.write_bytes(Codec().encode(sample_picture(64, 48), mode="pixel", bpp=0.4, seed=0))
    result = compare([str(file)], "embedded", tmp_path)
    assert result["symbols"] == {"OPENBLAS_NUM_THREADS=3": True}
    assert result["again"] is True
    assert set(result["images"]["OMP_NUM_THREADS=3"]) == {"draft", "image"}
    assert max(result["images"]["OMP_NUM_THREADS=3"].values()) <= 2
    assert verdict(result) == "the same symbols on every machine, the same bytes in a second process"


def test_determinism_tells_other_symbols_and_other_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = iter([["a"], ["a"], ["b"], [["f", "draft", "1"]], [["f", "draft", "2"]]])
    monkeypatch.setattr(determinism, "MACHINES", [{"A": "1"}, {"A": "2"}])
    monkeypatch.setattr(determinism, "TORCH_MACHINES", [])
    monkeypatch.setattr(determinism, "result_on", lambda machine, script: next(answers))
    result = compare([str(GOLDEN / "text.misc")], "embedded", tmp_path)
    assert verdict(result) == "symbols differ: A=2"
    result["symbols"] = {}
    assert verdict(result) == "a second process draws other bytes"
    assert json.loads(json.dumps(result)) == result


def test_gains_are_of_the_same_photos() -> None:
    photos = [
        {"pixel": {"clip": 0.5}, "text+pixel": {"clip": 0.6}, "misc": {"clip": 0.5 + gain}} for gain in (0.1, 0.3)
    ]
    gains = gains_of([*photos, {"pixel": {"clip": 0.0}}])
    assert gains["pixel to text+pixel"] == pytest.approx({"gain": 0.1, "error": 0.0})
    assert gains["pixel to misc"] == pytest.approx({"gain": 0.2, "error": 0.1})
    assert gains_of(photos[:1]) == {}
