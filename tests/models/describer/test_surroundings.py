"""Phrases that say where an image was taken."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from misc.codec import Codec
from misc.models.describer.surroundings import Surroundings, add_surroundings, read_surroundings
from misc.profiles import load_profile
from misc.train.surroundings import measure, write

PACKAGE = load_profile().packages["minilm"]
BEACH, NIGHT = Surroundings("on a beach", 0.1, 0.1), Surroundings("at night", 0.4, 0.1)
IMAGE = np.eye(4, dtype=np.float32)[0]


def embed_as(cosines: dict[str, float]):
    def embed(texts: Sequence[str]) -> Tensor:
        values = torch.tensor([cosines[text] for text in texts])
        return torch.stack([values, (1 - values**2).sqrt(), *torch.zeros(2, len(texts))], 1)

    return embed


def test_the_phrase_that_stands_out_is_added() -> None:
    cosines = {"on a beach": 0.35, "at night": 0.45, "A dog": 0.3, "A dog on a beach": 0.4, "A dog at night": 0.6}
    assert add_surroundings("A dog", IMAGE, embed_as(cosines), [BEACH, NIGHT]) == "A dog on a beach"


def test_a_phrase_that_is_like_every_photo_is_not_added() -> None:
    cosines = {"on a beach": 0.25, "at night": 0.55, "A dog": 0.3, "A dog on a beach": 0.5, "A dog at night": 0.5}
    assert add_surroundings("A dog", IMAGE, embed_as(cosines), [BEACH, NIGHT]) == "A dog"


def test_a_phrase_that_makes_the_sentence_less_like_the_image_is_not_added() -> None:
    cosines = {"on a beach": 0.9, "at night": 0.4, "A dog": 0.3, "A dog on a beach": 0.31, "A dog at night": 0.9}
    assert add_surroundings("A dog", IMAGE, embed_as(cosines), [BEACH, NIGHT]) == "A dog"


def test_of_two_the_better_is_added() -> None:
    cosines = {"on a beach": 0.35, "at night": 0.65, "A dog": 0.3, "A dog on a beach": 0.42, "A dog at night": 0.4}
    assert add_surroundings("A dog", IMAGE, embed_as(cosines), [BEACH, NIGHT]) == "A dog on a beach"
    cosines["A dog at night"] = 0.43
    assert add_surroundings("A dog", IMAGE, embed_as(cosines), [BEACH, NIGHT]) == "A dog at night"


@pytest.mark.parametrize("sentence", ["A beach", "Two beaches and a dog"])
def test_what_is_named_is_not_named_again(sentence: str) -> None:
    cosines = {"on a beach": 0.9, "at night": 0.4, sentence: 0.3, f"{sentence} on a beach": 0.9}
    assert add_surroundings(sentence, IMAGE, embed_as(cosines), [BEACH, NIGHT]) == sentence


def test_a_word_that_only_holds_the_place_is_no_repetition() -> None:
    at_sea = Surroundings("by the sea", 0.1, 0.1)
    cosines = {"by the sea": 0.9, "A seal": 0.3, "A seal by the sea": 0.9}
    assert add_surroundings("A seal", IMAGE, embed_as(cosines), [at_sea]) == "A seal by the sea"


def test_what_is_usual_is_measured_and_written(tmp_path: Path) -> None:
    photos = np.array([[2, 0, 0, 0], [0, 1, 0, 0]], np.float32)
    [measured] = measure(["on a beach"], photos, embed_as({"on a beach": 0.6}))
    assert (measured.mean, measured.deviation) == pytest.approx((0.7, 0.1))
    write([measured], tmp_path / "table.tsv")
    assert (tmp_path / "table.tsv").read_text() == "on a beach\t0.7000\t0.1000\n"


@pytest.mark.skipif(not PACKAGE.path.is_file(), reason="its package is not here: misc pull")
def test_the_table_is_of_todays_memory() -> None:
    codec = Codec()
    table = read_surroundings()
    photos = codec.decoder.recall.memory.embeddings
    measured = measure([each.phrase for each in table], photos, codec.semantics.embed_texts)
    assert [each.mean for each in table] == pytest.approx([each.mean for each in measured], abs=2e-3)
    assert [each.deviation for each in table] == pytest.approx([each.deviation for each in measured], abs=2e-3)
