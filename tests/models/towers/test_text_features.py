"""The text tower, a tiny BERT of the real classes in MiniLM's file layout."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from misc.errors import WeightsError
from misc.models.decoder.text_encoders import MiniLmText
from misc.models.towers.text_features import MAX_TOKENS, WIDTH, TextTower, load_text_tower

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "grey", "cat", "dog", "barks"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    config = BertConfig(vocab_size=len(WORDS), **sizes)
    save_file(BertModel(config).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    tokenizer = Tokenizer(models.WordPiece({word: k for k, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.fixture
def tower(folder: Path) -> TextTower:
    return load_text_tower(folder / "model.safetensors")


def test_states_and_vectors(tower: TextTower) -> None:
    states, mask = tower.tokens(["a grey cat", "dog", ""])
    assert states.shape == (3, 5, 24)
    assert mask.sum(1).tolist() == [5, 3, 2]
    assert states[~mask].abs().max() == 0
    vectors = tower.embed(["a grey cat", "dog", ""])
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    mean = torch.nn.functional.normalize(states[1, :3].mean(0), dim=0)
    torch.testing.assert_close(vectors[1], mean)
    torch.testing.assert_close(tower.embed(["dog"])[0], vectors[1])  # whatever else is in the batch


def test_long_texts_are_cut(tower: TextTower) -> None:
    assert tower.tokens(["cat " * 200])[0].shape == (1, MAX_TOKENS, 24)


def test_the_decoder_sees_the_same_tokens(tower: TextTower) -> None:
    features = MiniLmText(lambda: tower).encode(["a cat", "dog"])
    assert features.tokens.tolist() == features.window.tolist() == [[True] * 4, [True] * 3 + [False]]
    assert features.pooled is None


def test_an_empty_text_needs_no_tower(tower: TextTower) -> None:
    def missing() -> TextTower:
        raise WeightsError("not here")

    text = MiniLmText(missing).to(torch.device("cpu"))
    alone = text.encode(["", ""])
    assert alone.states.shape == (2, 2, WIDTH)
    with pytest.raises(WeightsError, match="not here"):
        text.encode(["", "dog"])
    beside = MiniLmText(lambda: tower).encode(["", "dog"])
    assert not beside.states[0].any()
    assert beside.states[1].any()
    assert beside.tokens[0].tolist() == [True, True, False]
    assert not alone.states.any()
    assert alone.tokens.all()


def test_missing_and_damaged_files_are_refused(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("embeddings.LayerNorm.weight")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError, match="damaged"):
        load_text_tower(folder)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="damaged"):
        load_text_tower(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"tokenizer\.json .* missing"):
        load_text_tower(folder)
