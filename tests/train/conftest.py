import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.images import sample_picture


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of photos and their scenes, one photo without a scene."""
    root = tmp_path_factory.mktemp("data")
    scenes = []
    for shard in ("captioned-train-00", "photos-00"):
        with tarfile.open(root / f"{shard}.tar", "w") as archive:
            for i in range(3):
                with io.BytesIO() as coded:
                    sample_picture(96, 80, i).save(coded, "WEBP")
                    parts = {"webp": coded.getvalue(), "json": b"{}"}
                for suffix, content in parts.items():
                    entry = tarfile.TarInfo(f"{shard}_{i}.{suffix}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
                if i:
                    items = [{"name": "dog", "detail": "brown"}]
                    masks = np.eye(8, 10, dtype=int)[None].tolist()
                    scenes.append({"photo": f"{shard}_{i}", "overall": "a dog", "items": items, "masks": masks})
    (root / "scenes.jsonl").write_text("".join(json.dumps(scene) + "\n" for scene in scenes))
    return root
