"""`misc pull` and `misc doctor`, with a profile of one small package and a small language model made from it."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from misc import codec, profiles
from misc.models.language_model import integers
from misc.models.language_model.integers import add_prefixes, digest
from misc.profiles import Derived, Profile, load_profile
from misc.weights.checks import State, cache_folder
from tests.support.language_models import CONFIG, tiny_arrays
from tests.support.wheels import CONTENT, index, make_wheel, package_of

__all__ = ["index"]  # a fixture
Command = Callable[..., tuple[int, str, str]]
PREFIXES = (("a cat",), ("in the",))


@pytest.fixture
def profile(index: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """What `load_profile` gives in the test."""
    arrays, facts = tiny_arrays()
    monkeypatch.setattr(integers, "from_gguf", lambda path: (CONFIG, dict(arrays), dict(facts)))
    with_prefixes = integers.add_prefixes

    def few_prefixes(*given: object, **_: object) -> integers.Arrays:
        return with_prefixes(*given, prefixes=PREFIXES)  # type: ignore[arg-type]

    monkeypatch.setattr(integers, "add_prefixes", few_prefixes)
    made = digest(add_prefixes(CONFIG, arrays, facts, prefixes=PREFIXES))
    package = package_of(make_wheel(index))
    known = dataclasses.replace(
        load_profile(),
        packages={"tiny": package, "more": dataclasses.replace(package, version="1", use="training")},
        language_model=Derived("lm-large", "tiny", made),
    )
    for module in (profiles, codec):
        monkeypatch.setattr(module, "load_profile", lambda name="embedded": known)
    return known


def test_pull_says_what_it_will_fetch_and_does(misc_command: Command, profile: Profile) -> None:
    code, out, err = misc_command("pull")
    assert code == 0, err
    assert err.index("to fetch, 5 MB:") < err.index("tiny-weights==1.0: 5.1 MB, MIT, a test")
    assert "here    tiny-weights==1.0" in out
    assert "here    lm-large" in out
    assert "missing tiny-weights==1: 5.1 MB, MIT, a test, not needed for coding" in out
    assert profile.packages["tiny"].path.read_bytes() == CONTENT
    assert not (cache_folder() / "pulling").exists()
    code, _, err = misc_command("pull")
    assert code == 0
    assert "all is here" in err


@pytest.mark.parametrize("option", [["--all"], ["--for", "train"]])
def test_what_only_training_needs_is_asked_for(misc_command: Command, profile: Profile, option: list[str]) -> None:
    code, out, err = misc_command("pull", *option)
    assert code == 0, err
    assert "to fetch, 10 MB:" in err
    assert "here    tiny-weights==1:" in out


def flip(path: Path, count: int = 20) -> None:
    """Invert bytes in the middle of a file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + count] = bytes(255 - byte for byte in content[middle : middle + count])
    path.write_bytes(content)


def test_a_damaged_language_model_is_refused_and_repaired(
    misc_command: Command, profile: Profile, tmp_path: Path, photo: Path
) -> None:
    misc_command("pull")
    text = tmp_path / "text.json"
    text.write_text('{"overall": "a cat on a mat"}')
    command = ("encode", photo, tmp_path / "a.misc", "--mode", "text", "--describe", text)
    assert misc_command(*command)[0] == 0
    (tmp_path / "a.misc").unlink()
    flip(profile.language_model.path)
    profile.__dict__.pop("text_coders", None)  # a new process has read nothing yet
    code, _, err = misc_command(*command)
    assert code == 4
    assert "damaged: `misc pull` repairs them" in err
    assert not (tmp_path / "a.misc").exists()
    assert profile.language_model.state() is State.DAMAGED
    assert misc_command("pull")[0] == 0
    profile.__dict__.pop("text_coders", None)
    assert profile.language_model.state(thorough=True) is State.HERE
    assert misc_command(*command)[0] == 0


def test_doctor_tells_what_is_missing_or_damaged(misc_command: Command, profile: Profile) -> None:
    code, out, _ = misc_command("doctor")
    assert code == 4
    assert "missing lm-large" in out
    assert "`misc pull embedded` fetches what is missing" in out
    misc_command("pull")
    code, out, _ = misc_command("doctor", "--json")
    facts = json.loads(out)
    assert (code, facts["healthy"], facts["advice"]) == (0, True, ["everything is here and sound"])
    assert facts["versions"]["torch"]
    flip(profile.packages["tiny"].path, 1)
    code, out, _ = misc_command("doctor")
    assert code == 4
    assert "damaged tiny-weights==1.0" in out


def test_doctor_looks_at_what_comes_along(
    misc_command: Command, profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    misc_command("pull")
    copy = tmp_path / "hyperprior.safetensors"
    copy.write_bytes(profile.hyperprior.path.read_bytes())
    flip(copy)
    broken = dataclasses.replace(profile, hyperprior=dataclasses.replace(profile.hyperprior, weights=str(copy)))
    monkeypatch.setattr(profiles, "load_profile", lambda name="embedded": broken)
    code, out, _ = misc_command("doctor")
    assert code == 4
    assert "please install misc-codec again" in out
