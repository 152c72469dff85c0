"""The trainer of the coder words learns, keeps its vocabulary, and writes integers that code texts."""

import itertools
import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from misc.bits.arithmetic.transformer import Config
from misc.bits.text.consonants import skeletons
from misc.bits.text.description import Description, Item
from misc.bits.text.model_file import ModelFile
from misc.bits.text.word_pieces import RARE, WordPieces, group_of
from misc.bits.text.words import END_LEFT, Words
from misc.configs import build, read_config
from misc.errors import InputError
from misc.models.language_model.llama import Llama
from misc.models.language_model.words import BOUNDS, LINE, LISTS, PROSE, SPECIAL
from misc.models.towers.importance import WordImportance
from misc.train import words
from misc.train.data.text_vectors import TextVectors
from misc.train.data.word_batches import NOTHING, Mixture, batches, known_tokens, list_token
from misc.train.data.word_lists import SYMBOLS, draw_list, draw_prose, some_of, sources_of
from misc.train.data.word_vocabulary import choose_words
from misc.train.word_ends import bits_left, end_shares
from misc.train.words import Recipe, WordsTask, next_word_loss
from tests.support.toy_text_tower import ToyTextTower
from tests.train.captioned import CAPTIONS, data_folder
from tests.train.learning import ACCELERATOR, assert_learns

SIZE = len(SPECIAL) + 40
SHAPE = read_config("words") | {"layers": 1, "width": 32, "hidden": 64, "heads": 2, "kv_heads": 2, "vocabulary": SIZE}
TINY = build(Config, SHAPE)
STRANGE = [
    "meadow boats lighthouse portraits",
    "gloomy castles moored",
    "seagulls shimmering above stony cliffs at dawn",
]
TOKENS, RARE_WORDS = choose_words([CAPTIONS, STRANGE], (4.0, 1.0), SPECIAL, SIZE, 20, 6)
VOCABULARY = WordPieces(TOKENS, TOKENS.index(LINE), RARE_WORDS)
ITEMS = Description("a dog on grass", (Item("dog", "brown"), Item("collar")))
IMPORTANCE = WordImportance(TextVectors(ToyTextTower()))  # type: ignore[arg-type]
SOURCES = sources_of(CAPTIONS, [ITEMS], [CAPTIONS], STRANGE, ["red ball", "wet fur"], IMPORTANCE)


def test_usual_words_are_tokens_and_others_are_rare_or_spelled() -> None:
    assert tuple(TOKENS[: len(SPECIAL)]) == SPECIAL
    assert len(TOKENS) == len(set(TOKENS)) == SIZE
    assert {"dog", "red", "grass"} <= set(TOKENS)
    assert len(RARE_WORDS) == 6
    assert [group_of(word) for word in RARE_WORDS] == sorted(map(group_of, RARE_WORDS))
    for word in ("dog", RARE_WORDS[0], RARE_WORDS[-1], "xylophone"):
        assert VOCABULARY.decode(VOCABULARY.encode(word)) == word
    (rare,) = VOCABULARY.encode(RARE_WORDS[-1])
    known, place = VOCABULARY.known(rare)
    assert TOKENS[known] == RARE[group_of(RARE_WORDS[-1])]
    assert VOCABULARY.rare_token(known, place) == rare >= SIZE
    with pytest.raises(InputError, match="not 5000"):
        choose_words([CAPTIONS], (1.0,), SPECIAL, 5000, 20, 6)


def test_lists_fill_limits_and_prose_is_whole() -> None:
    draw = random.Random(0)
    for name, source in SOURCES.items():
        for _ in range(10):
            line = draw_list(source, draw)
            assert 0 < len(skeletons(line)) <= SYMBOLS[1] + 2
            assert line == " ".join(line.split())
            assert set(line) <= set("abcdefghijklmnopqrstuvwxyz ")
        assert draw_prose(source, draw) in CAPTIONS or name not in ("descriptions", "captions")
    assert draw_prose(SOURCES["structured"], draw) == "a dog on grass\ndog\nbrown\ncollar"


def test_a_share_of_the_words_is_left_out_and_the_rest_keeps_its_order() -> None:
    draw, words = random.Random(0), [str(k) for k in range(50)]
    drawn = [some_of(words, 0.4, draw) for _ in range(200)]
    assert all(some == sorted(some, key=int) for some in drawn)
    assert sum(map(len, drawn)) / 200 == pytest.approx(0.6 * 50, rel=0.1)
    assert min(map(len, drawn)) < 15
    assert max(map(len, drawn)) > 45
    assert some_of(words, 0.0, draw) == words
    assert all(some_of(["dog"], 0.5, draw) == ["dog"] for _ in range(20))
    source = sources_of(CAPTIONS[:1], [], [], [], [], IMPORTANCE, 0.5)["descriptions"]
    lists = {draw_list(source, draw) for _ in range(20)}
    assert len(lists) > 5


def test_a_list_is_read_behind_the_token_of_its_size() -> None:
    draw = random.Random(0)
    assert {list_token("dog", draw) for _ in range(9)} == {LISTS[0]}
    assert {list_token("lighthouse " * 80, draw) for _ in range(9)} == {LISTS[-1]}
    assert len(LISTS) == len(BOUNDS) + 1
    tokens = known_tokens(VOCABULARY, PROSE, "dog\nred")
    assert [TOKENS[token] for token in tokens] == [PROSE, "dog", LINE, "red"]


def test_batches_hold_texts_and_nothing_behind_them() -> None:
    mixture = Mixture(0.5, (0.2,) * 5, 200, 30)
    for batch in itertools.islice(batches(SOURCES, VOCABULARY, mixture, 0), 20):
        assert batch.shape[1] <= 30
        assert batch.shape[0] == 1 or batch.numel() <= 200
        assert {TOKENS[token] for token in batch[:, 0]} <= {PROSE, *LISTS}
        assert bool((batch[:, 0] >= 0).all())
        ended = (batch == NOTHING).int()
        assert bool((ended.diff(dim=1) >= 0).all())


def test_it_learns_and_writes_what_codes_texts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = Recipe(learning_rate=1e-2, strange=0.0, longest=64)
    batch = next(batches(SOURCES, VOCABULARY, Mixture(0.7, (0.2,) * 5, 400, 64), 0))
    held_out = [torch.tensor([known_tokens(VOCABULARY, LISTS[0], "brown dog")])]
    task = WordsTask(
        Llama(TINY), TOKENS, RARE_WORDS, itertools.repeat(batch), CAPTIONS[:2], held_out, recipe, ACCELERATOR
    )
    assert_learns(task, tmp_path / "out", 12, lambda model: next_word_loss(model, batch), share=0.8)  # type: ignore[arg-type]
    coder = Words("tiny", 64, ModelFile(tmp_path / "out" / "words.safetensors"))
    for text in (*CAPTIONS, f"dog {RARE_WORDS[0]} {RARE_WORDS[-1]}s xylophone", "A dog, red.\ndog\nred", ""):
        assert coder.unpack(coder.pack(text)) == (text if coder.keeps(text) else text.lower().replace(" .", ""))
    left = list(bits_left(coder, "brown dog"))
    assert len(left) == 3
    assert left[0] in (8 * len(coder.pack("brown dog")) - 1, 8 * len(coder.pack("brown dog")) - 3)  # list, prose
    assert left[0] > left[1] > left[2] in END_LEFT
    shares = end_shares(coder, CAPTIONS)
    assert len(shares) == len(END_LEFT)
    assert all(1 <= share <= 255 for share in shares)
    assert max(shares) > 128


def test_strange_tokens_change_what_is_read_and_not_what_is_asked() -> None:
    torch.manual_seed(0)
    model, batch = Llama(TINY), torch.tensor([[0, *range(SIZE - 4, SIZE), NOTHING]])
    plain = next_word_loss(model, batch)
    assert next_word_loss(model, torch.tensor([[0, *range(SIZE - 4, SIZE)]])) == plain
    assert next_word_loss(model, batch, strange=1.0) != plain
    assert next_word_loss(model, batch, dropout=0.5) != plain


def test_vectors_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tower = ToyTextTower()
    vectors = TextVectors(tower)  # type: ignore[arg-type]
    vectors.add([f"text {k}" for k in range(300)], "embedding")
    assert len(vectors.known) == 300
    expected = tower.embed(["text 7", "new", "text 7"])
    torch.testing.assert_close(torch.from_numpy(vectors(["text 7", "new", "text 7"])), expected, atol=1e-3, rtol=0)
    monkeypatch.setattr(tower, "embed", None)
    assert vectors(["new"]).shape == (1, expected.shape[1])


def test_the_command_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "Semantics", lambda *_: SimpleNamespace(text_tower=ToyTextTower()))
    data, out = data_folder(tmp_path), tmp_path / "out"
    shape = tmp_path / "tiny.json"
    shape.write_text(json.dumps(SHAPE | {"vocabulary": len(SPECIAL) + 200}))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"tokens = 200\npieces = 60\nrare = 100\nconfig = '{shape}'\n")
    common = {"data": data, "texts": data / "extra.txt", "out": out, "recipe_file": recipe}
    for steps in (1, 2):
        words.main(**common, steps=steps)  # type: ignore[arg-type]
        assert json.loads(capsys.readouterr().out)["steps"] == steps
    coder = Words("tiny", 256, ModelFile(out / "words.safetensors"))
    assert coder.unpack(coder.pack("a red boat")) == "a red boat"
