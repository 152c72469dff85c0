import signal
from pathlib import Path

import pytest
from hypothesis import settings

from misc.bits.pixels.entropy_model import LatentModel
from misc.models.hyperprior.hyperprior import Hyperprior
from misc.models.hyperprior.integers import exact_arrays
from misc.profiles import Derived
from tests.support.axe import chromium
from tests.support.cli import misc_command, photo
from tests.support.models import tiny_hyperprior
from tests.support.servers import server

__all__ = ["chromium", "misc_command", "photo", "server"]  # fixtures
settings.register_profile("misc", deadline=None)  # a busy machine is no failure
settings.load_profile("misc")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job; the tests' processes inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def hyperprior() -> Hyperprior:
    return tiny_hyperprior()


@pytest.fixture(scope="session")
def latent_model(hyperprior: Hyperprior) -> LatentModel:
    return LatentModel(exact_arrays(hyperprior))


@pytest.fixture
def without_large_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if lm-large had not been pulled: its tokens take a tenth of a second each."""
    monkeypatch.setattr(Derived, "path", Path("no such file"))
