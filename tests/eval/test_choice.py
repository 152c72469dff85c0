"""What the words that mode micro keeps of captions name."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from misc.errors import InputError

pytest.importorskip("textblob")

from misc.eval.choice import kept_words, main, mean_of, named, subjects
from misc.profiles import load_profile

PULLED = all(load_profile().packages[name].path.is_file() for name in ("vit", "minilm"))
CAPTIONS = [
    "Two dogs leap over a wooden fence behind an abandoned farmhouse",
    "A brown dog and a spotted dog jump a fence",
    "Dogs playing in the afternoon",
]


def test_subjects_are_the_nouns_of_most_captions() -> None:
    assert subjects(CAPTIONS) == {"dog", "fence"}
    assert subjects(CAPTIONS[:1]) >= {"fence", "farmhouse"}


def test_words_are_kept_by_the_importance_that_is_given() -> None:
    assert kept_words(CAPTIONS, lambda _: {}, 1800) == [
        word for caption in CAPTIONS for word in caption.lower().split() if word not in ("a",)
    ]
    few = kept_words(CAPTIONS, lambda fields: {"dogs": 9.0, "fence": 9.0} if fields is CAPTIONS else {}, 50)
    assert {"dogs", "fence"} <= set(few)
    assert len(" ".join(few)) < 30


def test_a_subject_is_named_by_its_plural_or_a_shorter_synonym() -> None:
    assert named({"dog", "fence"}, ["dogs"]) == 0.5
    assert named({"bicycle"}, ["bike"]) == 1.0
    assert named({"dog"}, ["doghouse"]) == 0.0


def test_nothing_to_choose_from_is_one_sentence() -> None:
    with pytest.raises(InputError, match="no photo has captions"):
        mean_of([])
    assert mean_of([{"named": 1.0}, {"named": 0.0}]) == {"photos": 2, "named": 0.5}


@pytest.mark.skipif(not PULLED, reason="the towers are not here: `misc pull`")
def test_meaning_keeps_more_subjects_than_rarity(tmp_path: Path) -> None:
    shard, image = tmp_path / "captioned-test-00.tar", io.BytesIO()
    Image.new("RGB", (64, 64), "olive").save(image, "PNG")
    files = {"a.png": image.getvalue(), "a.json": json.dumps({"captions": 9 * CAPTIONS}).encode()}
    with tarfile.open(shard, "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    main(shard, 100, "embedded", tmp_path / "choice.json")
    result = json.loads((tmp_path / "choice.json").read_text())["50"]
    assert result["meaning"]["named"] > result["rarity"]["named"]
    assert result["meaning"]["photos"] == result["rarity"]["photos"] == 1
    assert -1 <= result["meaning"]["likeness"] <= 1
