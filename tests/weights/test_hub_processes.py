"""`misc pull` of a hub profile in processes of its own, which find the hub of this machine by HF_ENDPOINT."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from misc.eval.hub.repository import WEIGHTS
from misc.eval.hub.server import Fault, HubServer
from tests.support.hub import NOT_WANTED, make_repositories, names_of, tiny_profile, whole_files

PROFILE = "sd15-tile"
SECONDS = 60.0  # for a process, on a busy machine


class Machine:
    """A hub, and a home in which nothing has been pulled."""

    def __init__(self, folder: Path, server: HubServer) -> None:
        self.server, self.cache = server, folder / "hf" / "hub"
        quiet = {"PYTHONPATH": str(Path(__file__).parents[2]), "no_proxy": "127.0.0.1,localhost", "HF_TOKEN": "hf_x"}
        homes = {"XDG_CACHE_HOME": str(folder / "cache"), "HF_HOME": str(folder / "hf"), "HF_ENDPOINT": server.url}
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | quiet | homes

    def start(self, *, limit: int = 0, **environment: str) -> "subprocess.Popen[str]":
        """`misc pull`; limit: bytes of a file that it may write."""
        command = [sys.executable, "-m", "tests.support.hub", PROFILE, str(limit), "pull", PROFILE]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=self.environment | environment, text=True, **pipes)

    def pull(self, *, limit: int = 0, **environment: str) -> tuple[int, str]:
        process = self.start(limit=limit, **environment)
        _, err = process.communicate(timeout=SECONDS)
        return process.returncode, err

    def litter(self) -> list[Path]:
        return list(self.cache.rglob("*.incomplete"))

    def wait_for(self, words: str, process: "subprocess.Popen[str]") -> None:
        """Until a process sent such a request."""
        while not self.server.paths(words):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    server = HubServer(make_repositories(tiny_profile(PROFILE), tmp_path / "repositories"))
    with server.running():
        yield Machine(tmp_path, server)


def sentence(err: str) -> str:
    (line,) = [line for line in err.splitlines() if line.startswith("misc: ")]
    return line


def test_two_pulls_at_once_fetch_everything_once(machine: Machine) -> None:
    machine.server.faults.append(Fault("GET /cdn/", "slow", pause=0.01))
    both = [machine.start() for _ in range(2)]
    ends = [(process.communicate(timeout=SECONDS)[1], process.returncode) for process in both]
    assert [code for _, code in ends] == [0, 0], ends
    stored = machine.server.paths("GET /cdn/")
    assert len(stored) == len(set(stored)) > 0
    found = whole_files(tiny_profile(PROFILE), machine.cache)
    assert all(found.values())
    assert not any(name.endswith(NOT_WANTED) for name in found)
    before = len(machine.server.requests)
    code, err = machine.pull(HF_HUB_OFFLINE="1")
    assert (code, len(machine.server.requests)) == (0, before), err


def test_offline_with_nothing_here(machine: Machine) -> None:
    code, err = machine.pull(HF_HUB_OFFLINE="1")
    assert code == 4
    assert sentence(err).endswith("cannot be fetched: HF_HUB_OFFLINE is set")
    assert not machine.server.requests


def test_a_file_that_cannot_be_written_whole_is_not_left(machine: Machine) -> None:
    code, err = machine.pull(limit=100_000)
    assert code == 1
    assert "File too large" in sentence(err)
    assert all(whole_files(tiny_profile(PROFILE), machine.cache).values())
    assert not machine.litter()
    assert machine.pull()[0] == 0


def test_interrupted_it_ends_and_leaves_no_litter(machine: Machine) -> None:
    machine.server.faults.append(Fault("GET /cdn/", "slow", pause=0.5))  # 20 s a file
    process = machine.start()
    machine.wait_for("GET /cdn/", process)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert time.monotonic() - began < 15
    assert not machine.litter()
    assert "Traceback" not in err


def test_killed_half_way_it_goes_on(machine: Machine) -> None:
    machine.server.faults.append(Fault("GET /cdn/", "slow", pause=0.05))
    process = machine.start()
    machine.wait_for("HEAD /lllyasviel", process)  # the first repository is whole by then
    process.kill()
    process.communicate(timeout=SECONDS)
    machine.server.faults.clear()
    machine.server.requests.clear()
    for path in machine.litter():
        os.utime(path, (0, 0))
    code, err = machine.pull()
    assert code == 0, err
    assert all(whole_files(tiny_profile(PROFILE), machine.cache).values())
    assert not machine.litter()
    wanted = [
        name for part, _ in tiny_profile(PROFILE).hub_parts() for name in names_of(part) if name.endswith(WEIGHTS)
    ]
    assert 0 < len(machine.server.paths("GET /cdn/")) < len(wanted)
