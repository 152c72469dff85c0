"""A hub on this machine to which huggingface_hub goes, with the files of one profile."""

import dataclasses
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import file_download
from huggingface_hub.utils import _http

from misc import codec, profiles
from misc.eval.hub.server import HubServer
from misc.profiles import Profile
from misc.weights import hub_faults
from tests.support.hub import go_to, make_repositories, put_others, tiny_profile, whole_files

Command = Callable[..., tuple[int, str, str]]
TOKEN = "hf_secretToken"


class Place:
    """A hub, a profile that `misc` loads by any name, and the hub's cache."""

    def __init__(self, server: HubServer, profile: Profile, cache: Path) -> None:
        self.server, self.profile, self.cache = server, profile, cache

    def part(self, repository: str):
        return next(part for part, _ in self.profile.hub_parts() if part.repository == repository)

    def check(self) -> None:
        """No file is half, no litter lies about."""
        assert all(whole_files(self.profile, self.cache).values())
        assert not list(self.cache.rglob("*.incomplete"))


@pytest.fixture
def open_hub(misc_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Place]]:
    """Starts a hub with the files of a profile, to which huggingface_hub goes in this process; nothing sleeps.

    Of the profile there is the base, a LoRA if it has one, and one ControlNet, unless it shall be whole.
    """
    running = []

    def start(name: str = "sd15-tile", *, whole: bool = False) -> Place:
        profile = tiny_profile(name)
        if not whole:
            few = dataclasses.replace(profile.decoder, controls=profile.decoder.controls[:1])
            profile = dataclasses.replace(profile, decoder=few, hub={})
        server = HubServer(make_repositories(profile, tmp_path / "repositories"))
        block = server.running()
        block.__enter__()
        running.append(block)
        put_others(profile)
        go_to(server, tmp_path, monkeypatch)
        for module in (profiles, codec):
            monkeypatch.setattr(module, "load_profile", lambda _="": profile)
        return Place(server, profile, tmp_path / "hub")

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(hub_faults, "PAUSE", 0.0)
    hurried = types.SimpleNamespace(**vars(time) | {"sleep": lambda _: None})
    for module in (_http, file_download):
        monkeypatch.setattr(module, "time", hurried)
    huggingface_hub.close_session()
    yield start
    huggingface_hub.close_session()
    for block in running:
        block.__exit__(None, None, None)
