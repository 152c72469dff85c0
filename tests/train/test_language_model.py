"""The language model's trainer learns, keeps its vocabulary, and writes integers that code texts."""

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
import torch

from misc.bits.arithmetic.transformer import Config
from misc.bits.text.language_model import LanguageModel, ModelFile
from misc.configs import build, read_config
from misc.models.language_model import floats
from misc.models.language_model.floats import load_floats
from misc.models.language_model.llama import Llama
from misc.train import language_model
from misc.train.language_model import LanguageModelTask, Recipe, make_tokenizer, next_token_loss, sequences
from tests.train.captioned import CAPTIONS, data_folder
from tests.train.learning import ACCELERATOR, assert_learns

SHAPE = read_config("lm-small") | {"layers": 1, "width": 32, "hidden": 64, "heads": 2, "kv_heads": 2}
TINY = build(Config, SHAPE)
TERMINATOR = TINY.vocabulary - 1
RECIPE = Recipe(batch=2, length=16, learning_rate=1e-2)


def test_it_learns_and_writes_what_codes_texts(tmp_path: Path) -> None:
    data = data_folder(tmp_path)
    tokenizer = make_tokenizer([*CAPTIONS, *(data / "extra.txt").read_text().splitlines()], TINY.vocabulary)
    torch.manual_seed(0)
    documents = {style: [each.ids for each in tokenizer.encode_batch(CAPTIONS)] for style in language_model.STYLES}
    batch = next(sequences(documents, TERMINATOR, RECIPE, 0))
    task = LanguageModelTask(Llama(TINY), tokenizer, itertools.repeat(batch), CAPTIONS, RECIPE, ACCELERATOR)
    assert_learns(task, tmp_path / "out", 12, lambda model: next_token_loss(model, batch), share=0.8)  # type: ignore[arg-type]
    weights = tmp_path / "out" / "language_model.safetensors"
    coder = LanguageModel("tiny", 384, ModelFile(weights))
    assert coder.unpack(coder.pack("A dog ünd ☂")) == "A dog ünd ☂"
    loaded, vocabulary = load_floats(weights)
    assert vocabulary.encode("A brown dog\nruns").ids == tokenizer.encode("A brown dog\nruns").ids
    average = torch.load(tmp_path / "out" / "state.pt", weights_only=True)["average"]
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, average[name].float(), atol=0.02, rtol=0.02)


def test_sequences_hold_texts_of_one_style() -> None:
    documents = {"captions": [[1], [2, 3]], "descriptions": [], "structured": [[7, 7, 7]], "extra": []}
    rows = next(sequences(documents, TERMINATOR, dataclasses.replace(RECIPE, batch=40), seed=0))
    assert rows.shape == (40, 17)
    assert (rows[:, 0] == TERMINATOR).all()
    kinds = {frozenset(row.tolist()) - {TERMINATOR} for row in rows}
    assert frozenset({7}) in kinds
    assert frozenset({1, 2, 3}) in kinds
    assert all(kind <= {1, 2, 3} or kind == {7} for kind in kinds)
    assert torch.equal(rows, next(sequences(documents, TERMINATOR, dataclasses.replace(RECIPE, batch=40), seed=0)))


def test_a_run_from_scratch_goes_on_with_its_vocabulary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = data_folder(tmp_path), tmp_path / "out"
    recipe = tmp_path / "recipe.toml"
    (tmp_path / "tiny.json").write_text(json.dumps(SHAPE))
    recipe.write_text(f"batch = 1\nlength = 16\nconfig = '{tmp_path / 'tiny.json'}'\n")
    common = {"data": data, "extra": data / "extra.txt", "out": out, "recipe_file": recipe, "from_scratch": True}
    language_model.main(steps=1, **common)  # type: ignore[arg-type]
    assert "bits per character" in capsys.readouterr().err
    written = (out / "tokenizer.json").read_text()
    (data / "extra.txt").write_text("other words\n")
    language_model.main(steps=2, **common)  # type: ignore[arg-type]
    assert (out / "tokenizer.json").read_text() == written
    assert torch.load(out / "state.pt", weights_only=True)["step"] == 2


def test_a_run_starts_from_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_folder(tmp_path)
    tokenizer = make_tokenizer((data / "extra.txt").read_text().splitlines(), TINY.vocabulary)
    torch.manual_seed(3)
    start = tmp_path / "start.safetensors"
    language_model.export(Llama(TINY), tokenizer, start)
    monkeypatch.setattr(language_model, "Llama", None)
    language_model.main(data=data, out=tmp_path / "out", start=start, steps=0)
    first, second = (load_floats(path)[0].state_dict() for path in (start, tmp_path / "out" / language_model.WEIGHTS))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=2e-3, rtol=0.02)
    assert tokenizer.id_to_token(TERMINATOR) == floats.TERMINATOR
