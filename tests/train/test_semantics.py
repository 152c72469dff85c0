"""The trainers of language model, describer and locator run, learn, and write what the models load."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from misc.bits.text.description import Item
from misc.bits.text.language_model import LanguageModel
from misc.models.clip.embedded import load_clip_heads
from misc.models.describer.embedded import load_describer, new_llama
from misc.train import describer, language_model, locator
from misc.train.data.noun_phrases import describe_captions, lemma, nouns
from misc.train.data.texts import held_out_half, training_half
from misc.train.describer import Answers, difference, loss_of, pack_answers

CAPTIONS = [
    "A brown dog with a red collar runs on the grass .",
    "A dog plays with a red ball",
    "The small dog is outside on green grass",
]


def test_descriptions_from_captions() -> None:
    found = describe_captions(CAPTIONS)
    assert found.items[0] == Item("dog", "brown, small, with a red collar")
    assert found.items[1].name == "grass"
    assert "green" in found.items[1].detail
    assert found.overall in CAPTIONS
    assert nouns("Two men and some women in front of big houses") == {"man", "woman", "house"}
    assert [lemma(word) for word in ("dogs", "grass", "children", "bus", "leaves")] == [
        "dog",
        "grass",
        "child",
        "bus",
        "leaf",
    ]


def test_differences_are_what_is_missing() -> None:
    assert difference("a brown dog and a red ball", "a dog on the grass") == "red ball"
    assert difference("a dog", "two dogs") == "none"


def test_halves_part_the_descriptions() -> None:
    texts = [str(i) for i in range(7)]
    assert sorted(training_half(texts) + held_out_half(texts)) == texts


def data_folder(root: Path) -> Path:
    """A tiny shard of captioned photos and a few descriptions."""
    (root / "text").mkdir()
    lines = [json.dumps({"name": str(i), "text": f"The image shows {i} red boats on a lake."}) for i in range(24)]
    (root / "text" / "lmm_descriptions.jsonl").write_text("\n".join(lines))
    with tarfile.open(root / "captioned-train-00.tar", "w") as archive:
        for i in range(6):
            entry = tarfile.TarInfo(f"{i}.json")
            data = json.dumps({"captions": [f"{caption} {i}" for caption in CAPTIONS]}).encode()
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return root


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a language model that was trained for a moment."""
    data, out = data_folder(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("lm")
    extra = data / "extra.txt"
    words = np.random.default_rng(0).integers(97, 123, (3000, 6)).astype(np.uint8)
    extra.write_text("\n".join(bytes(word).decode() for word in words))
    language_model.train(data=data, out=out, extra=extra, steps=3, batch=1, length=16)
    return out


def test_the_language_model_codes_texts(state: Path) -> None:
    coder = LanguageModel("tiny", 9, state / "language_model.safetensors")
    assert coder.unpack(coder.pack("A dog ünd ☂")) == "A dog ünd ☂"


def features_folder(root: Path) -> Path:
    facts = [{"photo": str(i), "captions": [f"{caption} {i}" for caption in CAPTIONS]} for i in range(8)] + [
        {"photo": "label", "label": "golden_retriever"}
    ] * 2
    (root / "photos.jsonl").write_text("".join(json.dumps(each) + "\n" for each in facts))
    np.save(root / "tokens.npy", np.random.default_rng(0).normal(size=(10, 16, 16, 384)).astype(np.float16))
    return root


def test_answers_in_one_row_do_not_see_each_other(state: Path) -> None:
    tokenizer = Tokenizer.from_str(torch.load(state / "state.pt", weights_only=True)["tokenizer"])
    import random

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
    model = describer.Describer(new_llama()).eval()
    patches = torch.randn(1, 16, 16, 384)
    with torch.no_grad():
        alone = [float(loss_of(model, patches, [[each]], "cpu")) * (len(each[0]) - each[1]) for each in row]
        together = float(loss_of(model, patches, [row], "cpu"))
    assert sum(alone) / sum(len(each[0]) - each[1] for each in row) == pytest.approx(together, rel=0.01)


def test_the_describer_resumes(state: Path, tmp_path: Path) -> None:
    features, out = features_folder(tmp_path), tmp_path / "out"
    for steps in (1, 6):
        describer.train(features=features, language_model=state / "state.pt", out=out, steps=steps, batch=2)
        assert torch.load(out / "state.pt", weights_only=True)["step"] == steps
    assert load_describer(out / "describer.safetensors").look(torch.zeros(1, 16, 16, 384)).shape == (1, 64, 256)


class Letters:
    """In place of MiniLM: counts of letters."""

    def embed(self, texts: list[str]) -> torch.Tensor:
        counts = torch.zeros(len(texts), 384)
        for row, text in zip(counts, texts, strict=True):
            for letter in text.encode():
                row[letter] += 1
        return torch.nn.functional.normalize(counts, dim=1)


def test_the_locator_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locator, "load_text_tower", lambda *_: Letters())
    boxes = tmp_path / "boxes.jsonl"
    found = [
        {"name": "dog", "score": 0.9, "box": [0, 0, 0.5, 0.5]},
        {"name": "person", "score": 0.2, "box": [0, 0, 1, 1]},
    ]
    boxes.write_text("".join(json.dumps({"photo": str(i), "boxes": found}) + "\n" for i in range(6)))
    locator.train(features=features_folder(tmp_path), boxes=boxes, out=tmp_path, steps=3, batch=8, name_count=3)
    heads = load_clip_heads(tmp_path / "clip.safetensors")
    assert heads.encode_text(torch.zeros(2, 384)).shape == (2, 256)


def test_contrast_and_names_reward_the_right_pairs() -> None:
    same = torch.eye(4)
    assert (
        locator.contrast(same, same, torch.tensor(3.0))
        < 0.01
        < locator.contrast(same, same.roll(1, 0), torch.tensor(3.0))
    )
    scale, bias = torch.tensor(3.0), torch.tensor(-5.0)
    dense = same[:, None].repeat(1, 16, 1)
    right = locator.name_loss(dense, same, same, scale, bias)
    assert right < locator.name_loss(dense, same.roll(1, 0), same, scale, bias)
    unknown = torch.where(same > 0, same, torch.nan)
    unknown[0, 1] = 0
    assert locator.name_loss(dense, same, unknown, scale, bias) == pytest.approx(float(right), rel=0.2)


def test_boxes_become_patches() -> None:
    sure = {"name": "dog", "score": 0.9, "box": [0, 0, 0.5, 0.25]}
    maybe = {"name": "dog", "score": 0.2, "box": [0.75, 0.75, 1, 1]}
    tiny = {"name": "cup", "score": 0.8, "box": [0.51, 0.51, 0.52, 0.52]}
    person = {"name": "person", "score": 0.8, "box": [0, 0, 1, 1]}
    known = locator.boxed_names({"captions": ["A woman with a dog"], "found": [sure, maybe, tiny, person]})
    dog = known["dog"].reshape(16, 16)
    assert (dog[:4, :8] == 1).all()
    assert dog[12:, 12:].isnan().all()
    assert dog.nansum() == 32
    assert known["cup"].nonzero().tolist() == [[8 * 16 + 8]]
    assert known["woman"] is known["person"] or torch.equal(known["woman"], known["person"])
    inside = locator.insides([known, {}], ["dog", "cat", "man"])
    assert torch.equal(inside[0, 0].nan_to_num(), known["dog"].nan_to_num())
    assert not inside[0, 1].any()
    assert inside[:, 2].isnan().all()


def test_a_name_is_drawn_into_its_boxes() -> None:
    names, bias = torch.eye(2), torch.tensor(-2.0)
    inside = torch.tensor([[[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]])
    right = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]])
    good = locator.box_loss(right, names, inside, torch.tensor(2.0), bias)
    assert good < locator.box_loss(right.flip(1), names, inside, torch.tensor(2.0), bias)
    assert torch.isfinite(good)


def test_boxes_that_nobody_is_sure_of_teach_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locator, "load_text_tower", lambda *_: Letters())
    boxes = tmp_path / "boxes.jsonl"
    found = [{"name": "dog", "score": 0.25, "box": [0, 0, 0.5, 0.5]}]
    boxes.write_text("".join(json.dumps({"photo": str(i), "boxes": found}) + "\n" for i in range(8)))
    locator.train(features=features_folder(tmp_path), boxes=boxes, out=tmp_path, steps=2, batch=8, name_count=3)
    heads = load_clip_heads(tmp_path / "clip.safetensors")
    assert all(torch.isfinite(value).all() for value in heads.state_dict().values())
