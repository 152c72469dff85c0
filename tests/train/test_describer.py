"""The describer's trainer: answers in a row stand alone, the network learns, goes on, and writes what is loaded."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from misc.configs import build, read_config
from misc.errors import InputError
from misc.models.describer.network import DescriberNetwork, load_describer
from misc.train import describer
from misc.train.data.answers import AnswerBatch, Answers, answer_batches, pack_answers
from misc.train.describer import DescriberTask, Recipe, answer_loss, word_loss
from misc.train.language_model import make_tokenizer
from misc.train.prepare.features import Features, load_features
from tests.train.captioned import CAPTIONS, features_folder
from tests.train.learning import ACCELERATOR, assert_learns

TINY = read_config("lm-small") | {"layers": 1, "width": 32, "hidden": 64, "heads": 2, "kv_heads": 2}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    words = np.random.default_rng(0).integers(97, 123, (3000, 6)).astype(np.uint8)
    return make_tokenizer([*CAPTIONS, *(bytes(word).decode() for word in words)], TINY["vocabulary"])


def tiny_describer() -> DescriberNetwork:
    torch.manual_seed(0)
    return build(DescriberNetwork, read_config("describer") | {"language": TINY})


def photo_batch(features: Features, tokenizer: Tokenizer) -> AnswerBatch:
    answers = Answers(tokenizer, features.facts, random.Random(0))
    return next(answer_batches(features, answers, 4, label_share=0.25, text_every=8))


def test_answers_in_one_row_do_not_see_each_other(tokenizer: Tokenizer) -> None:
    answers = Answers(tokenizer, [{"captions": CAPTIONS}], random.Random(0))
    row = answers.photo(0)
    tokens, targets, positions, visible = pack_answers([row], 4)
    assert tokens.shape == targets.shape
    assert positions.shape[1] == 4 + tokens.shape[1]
    first = len(row[0][0])
    assert not visible[0, 0, 4 + first, 4 : 4 + first].any()
    assert visible[0, 0, 4 + first, :4].all()
    assert (targets[0, : first - 1] == torch.tensor(row[0][0][1:])).all()
    assert positions[0, 4 + first] == 4
    model = tiny_describer().eval()
    patches = torch.randn(1, 16, 16, 384)
    learned = [len(each[0]) - each[1] for each in row]
    with torch.no_grad():
        alone = [float(answer_loss(model, AnswerBatch(patches, [[each]], []))) for each in row]
        together = float(answer_loss(model, AnswerBatch(patches, [row], [])))
    assert sum(a * n for a, n in zip(alone, learned, strict=True)) / sum(learned) == pytest.approx(together, rel=1e-4)


def test_it_learns(tmp_path: Path, tokenizer: Tokenizer) -> None:
    batch = photo_batch(load_features(features_folder(tmp_path)), tokenizer)
    task = DescriberTask(tiny_describer(), itertools.repeat(batch), Recipe(learning_rate=1e-2), ACCELERATOR)
    assert_learns(task, tmp_path / "out", 15, lambda model: answer_loss(model, batch, 0.2), share=0.8)  # type: ignore[arg-type]


def test_the_projector_learns_alone_at_first(tmp_path: Path, tokenizer: Tokenizer) -> None:
    batch = photo_batch(load_features(features_folder(tmp_path)), tokenizer)
    assert batch.patches is not None
    task = DescriberTask(tiny_describer(), itertools.repeat(batch), Recipe(ground=0.5, learning_rate=1e-2), ACCELERATOR)
    language = task.model.language.model.layers[0].mlp.up_proj.weight.clone()
    before = float(word_loss(task.model, task.model.look(batch.patches), batch.bags))
    for step in range(8):
        assert set(task.step(step, 0.4)) == {"words"}
    assert float(word_loss(task.model, task.model.look(batch.patches), batch.bags)) < 0.95 * before
    assert torch.equal(task.model.language.model.layers[0].mlp.up_proj.weight, language)
    assert set(task.step(8, 0.5)) == {"answers"}


def test_batches_hold_labels_and_text_tasks(tmp_path: Path, tokenizer: Tokenizer) -> None:
    features = load_features(features_folder(tmp_path))
    answers = Answers(tokenizer, features.facts, random.Random(0))
    batches = list(itertools.islice(answer_batches(features, answers, 4, label_share=0.25, text_every=2), 6))
    assert [each.patches is None for each in batches] == [False, True, False, False, True, False]
    assert [len(each.rows) for each in batches] == [4, 8, 4, 4, 8, 4]
    label = tokenizer.encode("golden retriever\n").ids
    assert batches[0].rows[3][0][0][2:-1] == label
    with pytest.raises(InputError, match="8 photos with captions are fewer than a batch of 9"):
        next(answer_batches(features, answers, 9, label_share=0, text_every=2))


def test_a_run_goes_on_and_its_weights_are_a_start(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describer, "load_floats", lambda _: (tiny_describer().language, tokenizer))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("batch = 2\n")
    features, out = features_folder(tmp_path), tmp_path / "out"
    for steps in (1, 2):
        describer.main(features=features, out=out, recipe_file=recipe, from_scratch=True, steps=steps)
        assert torch.load(out / "state.pt", weights_only=True)["step"] == steps
    weights = out / "describer.safetensors"
    describer.main(features=features, out=tmp_path / "on", recipe_file=recipe, start=weights, steps=0)
    first, second = (load_describer(path).state_dict() for path in (weights, tmp_path / "on" / "describer.safetensors"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
