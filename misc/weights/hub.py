"""Weights of a model hub: fetched by huggingface_hub, their checksums recorded at first and compared ever after.

    HubPart ─► hub's cache ─► hub/NAME.json in MISC's cache: commit, SHA-256 of every file ─► compared at each loading

Loading never goes to the network; `fetch` does, when `misc pull` asks for it.
"""

from __future__ import annotations

import json
import os
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any

from ..decoder_profile import HubPart
from ..errors import WeightsError
from .packages import cache_folder, sha256

__all__ = ["fetch", "is_here", "locate"]

TIMEOUT = 10.0
OWN = "misc.checkpoints/"


def fetch(part: HubPart) -> Path:
    """The folder of a part, fetched where it is not in the hub's cache, and checked.

    Raises:
        WeightsError: no repository that has it answers, or files are not what they were.
    """
    own = own_folder(part)
    if own is not None:
        return own
    if record_of(part).is_file():
        return locate(part)
    return recorded(part, online(part))


def locate(part: HubPart) -> Path:
    """The folder of a part that is here, checked.

    Raises:
        WeightsError: it is not here, or files are not what they were at the first fetch.
    """
    own = own_folder(part)
    if own is not None:
        return own
    record = record_of(part)
    if not record.is_file():
        return recorded(part, cached(part, part.repository, part.revision))
    try:
        known: dict[str, Any] = json.loads(record.read_text())
        repository, commit, files = str(known["repository"]), str(known["commit"]), dict(known["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{record.name} is not a record of checksums") from error
    folder = cached(part, repository, commit)
    for name, digest in files.items():
        if not (folder / name).is_file():
            raise WeightsError(f"{name} of {repository} is missing: `misc pull PROFILE` fetches it")
        if sha256(folder / name) != digest:
            raise WeightsError(f"{name} of {repository} is not what was fetched first, by {record.name}")
    return folder


def is_here(part: HubPart) -> bool:
    """Whether a part was fetched; its files are not looked at."""
    try:
        return own_folder(part) is not None or record_of(part).is_file()
    except WeightsError:
        return False


def own_folder(part: HubPart) -> Path | None:
    """The folder, for parts that are not of a hub."""
    if part.repository.startswith(OWN):
        folder = Path(str(resources.files("misc.checkpoints"))) / part.repository.removeprefix(OWN)
    elif Path(part.repository).is_absolute():
        folder = Path(part.repository)
    else:
        return None
    if not folder.is_dir():
        raise WeightsError(f"the weights {folder.name} are missing")
    return folder


def record_of(part: HubPart) -> Path:
    """Where a part's checksums are; parts with the same files share them."""
    wanted = f"{part.repository.replace('/', '--')}@{part.revision[:12] or 'first'}"
    return cache_folder() / "hub" / f"{wanted}.json"


def online(part: HubPart) -> Path:
    """The part from the first repository that answers."""
    for repository, revision in [(part.repository, part.revision), *((name, "") for name in part.mirrors)]:
        try:
            from huggingface_hub import HfApi, snapshot_download

            # It fails at once, where fetching tries for minutes.
            HfApi().model_info(repository, revision=revision or None, timeout=TIMEOUT)
            patterns = list(part.files) or None
            folder = Path(snapshot_download(repository, revision=revision or None, allow_patterns=patterns))
            if not lacking(part, folder):
                return folder
        except Exception:  # of the network or the hub: no answer, no such model, no access; the next one may do
            continue
    try:
        return cached(part, part.repository, part.revision)
    except WeightsError:
        raise WeightsError(f"{part.repository} cannot be fetched: the model hub does not answer or refuses") from None


def cached(part: HubPart, repository: str, revision: str) -> Path:
    """The part's folder in the hub's cache, without the network."""
    try:
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            repository, revision=revision or None, allow_patterns=list(part.files) or None, local_files_only=True
        )
    except Exception as error:
        raise WeightsError(f"the weights {repository} are not here: `misc pull PROFILE` fetches them") from error
    return Path(folder)


def recorded(part: HubPart, folder: Path) -> Path:
    """Write down what was fetched; returns the folder."""
    files = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and wanted(part, path.relative_to(folder))
    }
    if not files or (lacks := lacking(part, folder)):
        what = lacks[0] if files else "everything"
        raise WeightsError(f"the weights {part.repository} lack {what}: `misc pull PROFILE` fetches it")
    record = record_of(part)
    record.parent.mkdir(parents=True, exist_ok=True)
    temporary = record.with_suffix(f".{os.getpid()}")
    repository = folder.parent.parent.name.removeprefix("models--").replace("--", "/", 1) or part.repository
    facts = {"repository": repository, "commit": folder.name, "files": files}
    temporary.write_text(json.dumps(facts, indent=1) + "\n")
    temporary.replace(record)
    return folder


def lacking(part: HubPart, folder: Path) -> list[str]:
    """Files of a part that are not in a folder."""
    return [name for name in part.files if "*" not in name and not (folder / name).is_file()]


def wanted(part: HubPart, path: Path) -> bool:
    """Whether a file is one of the part's."""
    return not part.files or any(fnmatch(path.as_posix(), pattern) for pattern in part.files)
