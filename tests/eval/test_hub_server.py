"""The hub on this machine answers as a real one: at once, also for weights of many gigabytes."""

import functools
import hashlib
from pathlib import Path

import httpx2
import pytest

from misc.eval.hub import repository
from misc.eval.hub.server import HubServer


def test_checksums_are_made_before_the_first_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.safetensors").write_bytes(bytes(100))
    (tmp_path / "config.json").write_text("{}")
    made = list[Path]()
    real = repository.hashed

    def counted(path: Path, *facts: int | str | None) -> str:
        made.append(path)
        return real(path, *facts)

    monkeypatch.setattr(repository, "hashed", functools.cache(counted))
    server = HubServer({"maker/net": repository.Repository(tmp_path, "1" * 40)})
    with server.running():
        before = sorted(path.name for path in made)
        answer = httpx2.get(f"{server.url}/api/models/maker/net?blobs=true", trust_env=False).json()
    assert before == sorted(path.name for path in made) == ["config.json", "weights.safetensors"]
    assert answer["siblings"][1]["lfs"]["sha256"] == hashlib.sha256(bytes(100)).hexdigest()
