"""`misc pull` of hub profiles through huggingface_hub itself, from a hub on this machine that has faults.

Whatever goes wrong: one sentence, the right exit code, no secret in it, and no file in the cache that is not whole.
"""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, file_download

from misc.eval.hub.server import SIGNATURE, Fault
from misc.profiles import load_profile, profile_names
from misc.weights import hub
from misc.weights.checks import State, cache_folder
from tests.support.hub import commit_of, content_of, names_of
from tests.support.open_hub import TOKEN

Command = Callable[..., tuple[int, str, str]]
HUB_PROFILES = [name for name in profile_names() if load_profile(name).decoder]
BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
TILE = "lllyasviel/control_v11f1e_sd15_tile"
CANNY = "lllyasviel/control_v11p_sd15_canny"


@pytest.mark.parametrize("name", HUB_PROFILES)
def test_every_hub_profile_is_pulled(open_hub, misc_command: Command, name: str) -> None:
    place = open_hub(name, whole=True)
    code, out, err = misc_command("pull", name, "--accept-licence")
    assert code == 0, err
    total = 0
    for part, _ in place.profile.hub_parts():
        folder = hub.locate(part)
        assert folder.name == commit_of(part)
        there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert there == {each: content_of(part.repository, each) for each in names_of(part)}
        size = sum(map(len, there.values()))
        total += size
        assert f"missing {part.repository}: {size / 1e6:.1f} MB, {part.licence}" in err
        assert f"here    {part.repository}: {size / 1e6:.1f} MB, {part.licence}" in out
    assert err.startswith(f"to fetch, {total / 1e6:.0f} MB:")


def test_checksums_are_recorded_and_the_network_is_not_needed_afterwards(
    open_hub, misc_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_hub()
    assert misc_command("pull", "sd15-tile")[0] == 0
    files = [json.loads(path.read_text())["files"] for path in (cache_folder() / "hub").glob("*.json")]
    assert sum(map(len, files)) == sum(len(names_of(part)) for part, _ in place.profile.hub_parts())
    before = len(place.server.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, _, err = misc_command("pull", "sd15-tile")
    assert code == 0
    assert "all is here" in err
    assert all(hub.locate(part, thorough=True).is_dir() for part, _ in place.profile.hub_parts())
    assert len(place.server.requests) == before


@pytest.mark.parametrize(("kind", "times"), [("break", 1), ("break", 4), ("reset", 1), ("short", 1), ("short", 2)])
def test_what_breaks_off_goes_on(open_hub, misc_command: Command, kind: str, times: int) -> None:
    place = open_hub()
    place.server.faults.append(Fault("GET /cdn/", kind, times))
    code, _, err = misc_command("pull", "sd15-tile")
    assert code == 0, err
    ranges = [each.headers["range"] for each in place.server.requests if "range" in each.headers]
    assert ranges or kind != "break"
    assert all(int(each.removeprefix("bytes=").rstrip("-")) > 0 for each in ranges)
    place.check()


def test_a_wrong_byte_is_noticed_and_fetched_again(open_hub, misc_command: Command) -> None:
    place = open_hub()
    place.server.faults = [Fault("GET /cdn/", "flip", 1), Fault("GET /api/resolve-cache/", "flip", 1)]
    code, _, err = misc_command("pull", "sd15-tile")
    assert code == 0, err
    place.check()
    assert len(place.server.paths("GET /cdn/")) == len(set(place.server.paths("GET /cdn/"))) + 1


FAULTS = {
    "503": (Fault("/api/models/", "status"), "the hub is out of order"),
    "503 of files": (Fault("/resolve/", "status"), "the hub is out of order"),
    "503 of the storage": (Fault("GET /cdn/", "status"), "the hub is out of order"),
    "429": (Fault("/api/models/", "status", status=429, headers={"Retry-After": "1"}), "asks to come back later"),
    "429 of files": (Fault("/resolve/", "status", status=429), "asks to come back later"),
    "401": (
        Fault("/", "status", status=401, headers={"X-Error-Message": "Invalid credentials in Authorization header"}),
        "the hub does not take the token in HF_TOKEN",
    ),
    "403": (Fault("GET /cdn/", "status", status=403), "the hub refuses access"),
    "404": (Fault("/resolve/", "status", status=404, headers={"X-Error-Code": "EntryNotFound"}), "no longer has one"),
    "a portal": (Fault("/api/models/", "status", status=200), "what answers is no model hub"),
    "break": (Fault("GET /cdn/", "break"), "the connection breaks off"),
    "reset": (Fault("GET /cdn/", "reset"), "the connection breaks off"),
    "short": (Fault("GET /cdn/", "short"), "the connection breaks off"),
    "flip": (Fault("GET /cdn/", "flip"), "arrives damaged"),
    "flip of a small file": (Fault("GET /api/resolve-cache/", "flip"), "arrives damaged"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_one_sentence(open_hub, misc_command: Command, name: str) -> None:
    place = open_hub()
    fault, words = FAULTS[name]
    place.server.faults.append(fault)
    code, out, err = misc_command("pull", "sd15-tile")
    assert code == 4
    assert words in sentence(err)
    assert sentence(err).startswith(f"misc: {BASE} cannot be fetched: ")
    for secret in (TOKEN, SIGNATURE, "Traceback", "http://"):
        assert secret not in out + err
    place.check()
    assert hub.state_of(place.part(BASE)) is State.MISSING
    with pytest.raises(Exception, match="misc pull"):
        hub.locate(place.part(BASE))
    place.server.faults.clear()
    assert misc_command("pull", "sd15-tile")[0] == 0
    place.check()


def sentence(err: str) -> str:
    """The one line that says what failed."""
    (line,) = [line for line in err.splitlines() if line.startswith("misc: ")]
    return line


def test_nobody_answers(open_hub, misc_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    place = open_hub()
    place.server.http.server_close()
    code, _, err = misc_command("pull", "sd15-tile")
    assert (code, sentence(err)) == (4, f"misc: {BASE} cannot be fetched: the hub does not answer")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, _, err = misc_command("pull", "sd15-tile")
    assert (code, sentence(err)) == (4, f"misc: {BASE} cannot be fetched: HF_HUB_OFFLINE is set")


def test_a_token_that_cannot_be_sent_is_not_shown(open_hub, misc_command: Command, monkeypatch) -> None:
    open_hub()
    monkeypatch.setenv("HF_TOKEN", "hf_secret\u00e9Token")
    code, _, err = misc_command("pull", "sd15-tile")
    assert code == 4
    assert "HF_TOKEN" in sentence(err)
    assert "hf_secret" not in err


def test_a_gated_repository_wants_a_token(open_hub, misc_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    place = open_hub()
    known = place.server.repositories
    known[BASE] = type(known[BASE])(known[BASE].folder, known[BASE].commit, token="hf_theRightOne")
    for token in (TOKEN, ""):
        monkeypatch.setenv("HF_TOKEN", token)
        code, _, err = misc_command("pull", "sd15-tile")
        assert code == 4
        assert "its terms must be accepted on its page at the hub, and HF_TOKEN must be" in sentence(err)
    monkeypatch.setenv("HF_TOKEN", "hf_theRightOne")
    assert misc_command("pull", "sd15-tile")[0] == 0
    stored = [each for each in place.server.requests if each.path.startswith("/cdn/")]
    assert stored
    assert not any("authorization" in each.headers for each in stored)  # the token is the hub's alone


def test_mirrors_are_tried(open_hub, misc_command: Command) -> None:
    place = open_hub()
    part = place.part(BASE)
    ((mirror, commit),) = [each.split("@") for each in part.mirrors]
    repository = place.server.repositories.pop(BASE)
    code, _, err = misc_command("pull", "sd15-tile")
    assert code == 4
    assert "the hub has no such repository, or does not show it" in sentence(err)
    place.server.repositories[mirror] = type(repository)(repository.folder, commit)
    code, _, err = misc_command("pull", "sd15-tile")
    assert code == 0, err
    assert mirror.replace("/", "--") in str(hub.locate(part))
    record = json.loads(next((cache_folder() / "hub").glob("stable-diffusion*")).read_text())
    assert record["repository"] == mirror
    (hub.locate(part) / "model_index.json").unlink()
    assert misc_command("pull", "sd15-tile")[0] == 0  # from where it came
    assert hub.state_of(part) is State.HERE


def test_a_mirror_stands_in_for_a_changed_repository(open_hub, misc_command: Command) -> None:
    place = open_hub("sd15-lcm")
    lora = place.profile.decoder.lora
    repository = place.server.repositories[lora.repository]
    (repository.folder / lora.files[0]).write_bytes(b"something else")
    code, _, err = misc_command("pull", "sd15-lcm")
    assert code == 4
    assert f"{lora.files[0]} of {lora.repository} is not the file that the profile pins" in sentence(err)
    assert hub.state_of(lora) is State.MISSING


def test_a_missing_revision_and_a_missing_file_are_said(open_hub, misc_command: Command) -> None:
    place = open_hub()
    known = place.server.repositories
    good = known[BASE]
    known[BASE] = type(good)(good.folder, "0" * 40)
    assert "no longer has this revision" in sentence(misc_command("pull", "sd15-tile")[2])
    known[BASE] = type(good)(good.folder, good.commit, listed=("model_index.json",))
    assert "the hub has no scheduler/scheduler_config.json of it" in sentence(misc_command("pull", "sd15-tile")[2])
    known[BASE] = good
    known[TILE] = type(good)(good.folder, known[TILE].commit, listed=())
    assert f"{TILE} cannot be fetched: the hub has no config.json" in sentence(misc_command("pull", "sd15-tile")[2])


def test_what_can_be_done_without_is_left_out(open_hub, misc_command: Command) -> None:
    place = open_hub(whole=True)
    del place.server.repositories[CANNY]
    code, out, err = misc_command("pull", "sd15-tile")
    assert code == 0
    assert f"misc: left out: {CANNY} cannot be fetched: the hub has no such repository" in err
    assert f"missing {CANNY}" in out


def test_only_what_is_damaged_is_fetched_again(open_hub, misc_command: Command) -> None:
    place = open_hub()
    assert misc_command("pull", "sd15-tile")[0] == 0
    part = place.part(BASE)
    damaged = hub.locate(part) / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    content = damaged.read_bytes()
    damaged.resolve().write_bytes(content[:-1])
    assert hub.state_of(part, thorough=True) is State.DAMAGED
    place.server.requests.clear()
    place.server.faults.append(Fault("GET /cdn/", "status"))
    code, _, err = misc_command("pull", "sd15-tile")
    assert code == 4
    assert "is not what was fetched first" in sentence(err)
    assert "it cannot be fetched again: the hub is out of order" in sentence(err)
    place.server.faults.clear()
    place.server.requests.clear()
    assert misc_command("pull", "sd15-tile")[0] == 0
    assert damaged.read_bytes() == content
    assert len(place.server.paths("GET /cdn/")) == 1


def test_a_full_disk_is_said_before_and_during_the_download(
    open_hub, misc_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_hub()
    usage = shutil.disk_usage(place.cache.parent)
    with monkeypatch.context() as little:
        little.setattr(shutil, "disk_usage", lambda _: usage._replace(free=30_000))
        code, _, err = misc_command("pull", "sd15-tile")
    assert code == 1
    assert f"{BASE} needs 0 MB, 0 MB are free" in sentence(err)
    assert not place.server.paths("/resolve/")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as none:
        none.setattr(file_download, "http_get", full)
        code, _, err = misc_command("pull", "sd15-tile")
    assert code == 1
    assert "No space left on device" in sentence(err)
    place.check()
    assert misc_command("pull", "sd15-tile")[0] == 0


def test_a_half_file_that_another_program_left_is_not_taken(open_hub, misc_command: Command) -> None:
    place = open_hub()
    part = place.part(TILE)
    folder = Path(huggingface_hub.snapshot_download(TILE, revision=part.revision))
    weights = folder / "diffusion_pytorch_model.bin"
    weights.resolve().write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(Exception, match=r"diffusion_pytorch_model\.bin of .* is damaged: `misc pull PROFILE` repairs"):
        hub.locate(part)
    assert misc_command("pull", "sd15-tile")[0] == 0
    place.check()


def test_terms_are_accepted_by_name_where_a_licence_wants_it(open_hub, misc_command: Command) -> None:
    place = open_hub("sd15-hyper")
    code, _, err = misc_command("pull", "sd15-hyper")
    assert code == 4
    assert sentence(err).endswith("`misc pull sd15-hyper --accept-licence`")
    assert "https://huggingface.co/ByteDance/Hyper-SD" in sentence(err)
    assert not place.server.paths("/resolve/")
    assert misc_command("pull", "sd15-hyper", "--accept-licence")[0] == 0
    assert misc_command("pull", "sd15-hyper")[0] == 0  # what is here was accepted
