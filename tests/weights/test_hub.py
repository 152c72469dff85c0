"""Weights of a model hub, without a hub: what is in the cache, its records, and profiles that name hub parts."""

import dataclasses
import hashlib
import json
import sys
from importlib import resources
from pathlib import Path

import huggingface_hub
import pytest

from misc import cli
from misc.decoder_profile import HubPart
from misc.errors import WeightsError
from misc.profiles import load_profile, profile_names
from misc.weights import hub
from misc.weights.checks import State, cache_folder

PART = HubPart("maker/net", "none", files=("config.json", "net.safetensors"), mirrors=("other/net@def",))


@pytest.fixture(autouse=True)
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, with one repository; there is no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "models--maker--net" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "net.safetensors").write_bytes(b"numbers")
    (folder / "notes.txt").write_text("not wanted")
    (tmp_path / "models--maker--net" / "refs").mkdir()
    (tmp_path / "models--maker--net" / "refs" / "main").write_text("abc")
    return folder


def test_checksums_are_recorded_at_first(snapshot: Path) -> None:
    assert hub.fetch(PART) == hub.locate(PART) == snapshot
    assert hub.state_of(PART) is State.HERE
    (record,) = (cache_folder() / "hub").glob("*.json")
    facts = json.loads(record.read_text())
    assert (facts["repository"], facts["commit"]) == ("maker/net", "abc")
    assert list(facts["files"]) == ["config.json", "net.safetensors"]


def test_other_files_than_the_first_are_refused(snapshot: Path) -> None:
    hub.fetch(PART)
    (snapshot / "net.safetensors").write_bytes(b"nvmbers")
    for look_up in (hub.locate, hub.fetch):
        with pytest.raises(WeightsError, match="not what was fetched first"):
            look_up(PART)
    (snapshot / "net.safetensors").unlink()
    with pytest.raises(WeightsError, match="missing"):
        hub.locate(PART)


def test_other_files_of_a_repository_have_a_record_of_their_own(snapshot: Path) -> None:
    hub.fetch(PART)
    other = dataclasses.replace(PART, files=("config.json", "more.safetensors"))
    assert hub.state_of(other) is State.MISSING
    with pytest.raises(WeightsError, match=r"lack more\.safetensors"):
        hub.locate(other)
    (snapshot / "more.safetensors").write_bytes(b"more numbers")
    assert hub.fetch(other) == snapshot
    (snapshot / "more.safetensors").write_bytes(b"more nvmbers")
    assert (hub.state_of(PART), hub.state_of(other)) == (State.HERE, State.DAMAGED)


def test_a_pinned_file_is_compared_at_the_first_fetch(snapshot: Path) -> None:
    digest = hashlib.sha256(b"numbers").hexdigest()
    assert hub.fetch(dataclasses.replace(PART, sha256=(("net.safetensors", digest),))) == snapshot
    snapshot.parents[1].rename(snapshot.parents[2] / "models--maker--net2")
    with pytest.raises(WeightsError, match=r"net\.safetensors of maker/net2 is not the file that the profile pins"):
        hub.fetch(dataclasses.replace(PART, repository="maker/net2", sha256=(("net.safetensors", "0" * 64),)))


def test_missing_and_incomplete_parts_are_said(snapshot: Path) -> None:
    absent = HubPart("maker/absent", "none")
    with pytest.raises(WeightsError, match="misc pull"):
        hub.locate(absent)
    with pytest.raises(WeightsError, match=r"maker/absent cannot be fetched: HF_HUB_OFFLINE is set$"):
        hub.fetch(absent)
    assert hub.state_of(absent) is State.MISSING
    (snapshot / "net.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"lack net\.safetensors"):
        hub.locate(PART)


def test_folders_need_no_hub(tmp_path: Path) -> None:
    assert hub.locate(HubPart(str(tmp_path), "none")) == tmp_path
    with pytest.raises(WeightsError, match="missing"):
        hub.locate(HubPart("misc.checkpoints/none", "none"))


@pytest.mark.parametrize("name", ["sd15-tile", "sdxl-tile"])
def test_hub_profiles_are_complete(name: str) -> None:
    assert name in profile_names()
    profile, embedded = load_profile(name), load_profile()
    assert profile.hyperprior == embedded.hyperprior
    assert profile.decoder is not None
    assert profile.decoder.controls[0].kind == "draft"
    assert all(part.licence and part.purpose for part, _ in profile.decoder.hub_parts())
    assert set(profile.hub) == {"describer", "locator"}


@pytest.mark.parametrize("name", [name for name in profile_names() if name != "embedded"])
def test_every_value_of_the_sampling_says_where_it_comes_from(name: str) -> None:
    table = resources.files("misc.models").joinpath(f"profiles/{name}.toml").read_text()
    lines = [
        line for line in table.splitlines() if line.startswith(("steps", "guidance", "strength", "negative", "eta"))
    ]
    lines += [line for line in table.splitlines() if line.startswith("scale =")]
    assert len(lines) >= 4
    assert [line for line in lines if not line.partition(" # ")[2].strip()] == []


@pytest.mark.parametrize("name", profile_names())
def test_every_hub_file_is_pinned(name: str) -> None:
    for part, _ in load_profile(name).hub_parts():
        if part.repository.startswith(hub.OWN):
            continue
        weights = [file for file in part.files if file.endswith((".safetensors", ".bin", ".pth"))]
        assert len(part.revision) == 40 or set(weights) <= {file for file, _ in part.sha256}, part.repository
        assert all(len(mirror.partition("@")[2]) == 40 for mirror in part.mirrors)


@pytest.mark.parametrize("arguments", [("decode",), ("roundtrip",), ("pull", "sd15-tile")])
def test_missing_weights_are_one_sentence(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    if arguments[0] == "decode":
        arguments = ("decode", str(encoded(tmp_path)), str(photo), "--profile", "sd15-tile", "--steps", "2")
    elif arguments[0] == "roundtrip":
        encoded(tmp_path)
        arguments = ("roundtrip", str(tmp_path / "in.png"), str(photo), "--profile", "sd15-tile", "--quality", "9")
    monkeypatch.setattr(sys, "argv", ["misc", *arguments])
    capfd.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = [line for line in capfd.readouterr().err.splitlines() if "left out" not in line]
    assert stop.value.code == 4
    assert len([line for line in said if line.startswith("misc: ")]) == 1
    assert "stable-diffusion" in said[-1]
    assert not photo.exists()


def encoded(folder: Path) -> Path:
    """A file with pixels, of a small picture that lies beside it."""
    from misc.codec import default_codec
    from tests.support.images import sample_picture

    image = sample_picture(64, 64)
    image.save(folder / "in.png")
    (folder / "in.misc").write_bytes(default_codec().encode(image, mode="pixel", quality=10))
    return folder / "in.misc"
