"""Hub profiles on a hub of this machine: tiny random files in the layout of the real repositories.

As a program it is `misc` with such a profile, whose files may have so many bytes at most, or any number if that is 0:

    python -m tests.support.hub PROFILE BYTES pull PROFILE
"""

import dataclasses
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

from misc.decoder_profile import Control, HubPart
from misc.eval.hub.repository import Repository
from misc.eval.hub.server import HubServer
from misc.profiles import Derived, Profile, load_profile
from misc.weights.checks import digest
from misc.weights.packages import Package

SIZE = 150_000  # bytes of a file of weights
PATTERNS = {  # files of the real repositories behind the patterns of profiles
    "tokenizer/*": ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json"),
    "open_clip_*": ("open_clip_config.json", "open_clip_model.safetensors"),
    "": ("config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "tokenizer.json"),
}
NOT_WANTED = ("README.md", "unet/diffusion_pytorch_model.safetensors", "v1-5-pruned.ckpt")


def names_of(part: HubPart) -> list[str]:
    """Files of a part's repository that the profile wants."""
    names = []
    for pattern in part.files or ("",):
        folder = pattern.replace("tokenizer_2", "tokenizer").rpartition("/")[0]
        known = PATTERNS.get(pattern.replace("tokenizer_2", "tokenizer"))
        prefix = pattern.rpartition("/")[0] + "/" if folder else ""
        names += [prefix + name for name in known] if known else [pattern]
    return list(dict.fromkeys(names))


def content_of(repository: str, name: str) -> bytes:
    """Random bytes, the same at every call; JSON stays small."""
    seed = int.from_bytes(hashlib.sha256(f"{repository}/{name}".encode()).digest()[:8], "big")
    size = 200 if name.endswith((".json", ".txt", ".md")) else SIZE
    return np.random.default_rng(seed).bytes(size)


def commit_of(part: HubPart) -> str:
    return part.revision or hashlib.sha1(part.repository.encode()).hexdigest()


def make_repositories(profile: Profile, folder: Path) -> dict[str, Repository]:
    """A repository for each part of a profile; their mirrors have none."""
    made = {}
    for part, _ in profile.hub_parts():
        room = folder / part.repository
        for name in (*names_of(part), *(NOT_WANTED if part.files else ())):
            (room / name).parent.mkdir(parents=True, exist_ok=True)
            (room / name).write_bytes(content_of(part.repository, name))
        made[part.repository] = Repository(room, commit_of(part))
    return made


def repinned(part: HubPart) -> HubPart:
    """A part that pins the tiny files instead of the real ones."""
    pins = tuple((name, hashlib.sha256(content_of(part.repository, name)).hexdigest()) for name, _ in part.sha256)
    return dataclasses.replace(part, sha256=pins)


def tiny_profile(name: str) -> Profile:
    """A hub profile that pins tiny files, whose other weights are one small package and one small derived file."""
    real = load_profile(name)
    assert real.decoder is not None
    base = real.decoder

    def control(each: Control) -> Control:
        detector = repinned(each.detector) if each.detector else None
        return dataclasses.replace(each, part=repinned(each.part), detector=detector)

    decoder = dataclasses.replace(
        base,
        base=repinned(base.base),
        vae=repinned(base.vae) if base.vae else None,
        lora=repinned(base.lora) if base.lora else None,
        controls=tuple(control(each) for each in base.controls),
    )
    small = b"a small package"
    sha = hashlib.sha256(small).hexdigest()
    package = Package("tiny-weights", "1.0", "", "model.bin", sha, len(small), "MIT", "a test")
    arrays = {"numbers": np.arange(4, dtype=np.int32)}
    return dataclasses.replace(
        real, decoder=decoder, packages={"tiny": package}, language_model=Derived("lm-large", "tiny", digest(arrays))
    )


def put_others(profile: Profile) -> None:
    """Put all of a tiny profile that is not of the hub into MISC's cache."""
    package = profile.packages["tiny"]
    package.path.parent.mkdir(parents=True, exist_ok=True)
    package.path.write_bytes(b"a small package")
    save_file({"numbers": np.arange(4, dtype=np.int32)}, profile.language_model.path)


def whole_files(profile: Profile, cache: Path) -> dict[str, bool]:
    """Whether each file of the hub's cache is what the hub has; files that are not there are left out."""
    found = {}
    for part, _ in profile.hub_parts():
        folder = cache / f"models--{part.repository.replace('/', '--')}" / "snapshots" / commit_of(part)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                found[f"{part.repository}/{name}"] = path.read_bytes() == content_of(part.repository, name)
    return found


def go_to(server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub go to a hub in this process, its cache and its token in a folder."""
    values = {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_TOKEN_PATH": str(folder / "token"),
        "DOWNLOAD_CHUNK_SIZE": 10_000,
    }
    for name, value in values.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


def main() -> None:
    """`misc` with a tiny profile."""
    from misc import cli, codec, profiles

    name, limit = sys.argv[1], int(sys.argv[2])
    constants.DOWNLOAD_CHUNK_SIZE = 10_000
    known = tiny_profile(name)
    put_others(known)
    profiles.load_profile = codec.load_profile = lambda _="": known  # type: ignore[assignment]
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv = ["misc", *sys.argv[3:]]
    cli.main()


if __name__ == "__main__":
    main()
