"""Captioned photos for the trainers of language model, describer and locator."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np

CAPTIONS = [
    "A brown dog with a red collar runs on the grass .",
    "A dog plays with a red ball",
    "The small dog is outside on green grass",
]


def data_folder(root: Path) -> Path:
    """A tiny shard of captioned photos, a few descriptions, and 3,000 other words in extra.txt."""
    (root / "text").mkdir()
    lines = [json.dumps({"name": str(i), "text": f"The image shows {i} red boats on a lake."}) for i in range(24)]
    (root / "text" / "lmm_descriptions.jsonl").write_text("\n".join(lines))
    with tarfile.open(root / "captioned-train-00.tar", "w") as archive:
        for i in range(6):
            entry = tarfile.TarInfo(f"{i}.json")
            data = json.dumps({"captions": [f"{caption} {i}" for caption in CAPTIONS]}).encode()
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    words = np.random.default_rng(0).integers(97, 123, (3000, 6)).astype(np.uint8)
    (root / "extra.txt").write_text("\n".join(bytes(word).decode() for word in words))
    return root


def features_folder(root: Path) -> Path:
    """Random patch tokens of eight captioned photos and two with a label."""
    facts = [{"photo": str(i), "captions": [f"{caption} {i}" for caption in CAPTIONS]} for i in range(8)] + [
        {"photo": "label", "label": "golden_retriever"}
    ] * 2
    (root / "photos.jsonl").write_text("".join(json.dumps(each) + "\n" for each in facts))
    np.save(root / "tokens.npy", np.random.default_rng(0).normal(size=(10, 16, 16, 384)).astype(np.float16))
    return root
