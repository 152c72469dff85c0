"""Weights of a model hub: fetched by huggingface_hub, their checksums recorded at first and compared ever after.

    HubPart ─► hub's cache ─► hub/NAME.json in MISC's cache: commit, SHA-256 of every file ─► compared at each loading

Loading never goes to the network; `fetch` does, when `misc pull` asks for it. A profile pins commits; where it pins a
file's SHA-256 too, other files are refused at the first fetch already.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path

from ..decoder_profile import HubPart
from ..errors import WeightsError
from .checks import State, cache_folder, sha256
from .checks import state_of as state_of_file

__all__ = ["fetch", "locate", "state_of"]

TIMEOUT = 10.0
OWN = "misc.checkpoints/"


@dataclass(frozen=True)
class Record:
    """What was fetched first: from which repository, at which commit, the SHA-256 of every file."""

    name: str
    repository: str
    commit: str
    files: dict[str, str]


def fetch(part: HubPart) -> Path:
    """The folder of a part, fetched where it is not in the hub's cache or damaged, and checked.

    Raises:
        WeightsError: no repository that has it answers, or files are not what they were.
    """
    own = own_folder(part)
    if own is not None:
        return own
    if not record_of(part).is_file():
        return recorded(part, online(part))
    try:
        return locate(part, thorough=True)
    except WeightsError:
        record = read_record(part)
        if not download(part, record.repository, record.commit, again=True):
            raise
        return locate(part, thorough=True)


def locate(part: HubPart, *, thorough: bool = False) -> Path:
    """The folder of a part that is here, checked.

    Args:
        thorough: look at all of every file, whatever its stamp says.

    Raises:
        WeightsError: it is not here, or files are not what they were at the first fetch.
    """
    own = own_folder(part)
    if own is not None:
        return own
    if not record_of(part).is_file():
        return recorded(part, cached(part, part.repository, part.revision))
    record = read_record(part)
    folder = cached(part, record.repository, record.commit)
    for name, digest in record.files.items():
        state = state_of_file(folder / name, digest, thorough=thorough)
        if state is State.MISSING:
            raise WeightsError(f"{name} of {record.repository} is missing: `misc pull PROFILE` fetches it")
        if state is State.DAMAGED:
            raise WeightsError(f"{name} of {record.repository} is not what was fetched first, by {record.name}")
    return folder


def state_of(part: HubPart, *, thorough: bool = False) -> State:
    """Whether a part is here and sound; one that was never recorded counts as missing."""
    try:
        if own_folder(part) is None and not record_of(part).is_file():
            return State.MISSING
        locate(part, thorough=thorough)
    except WeightsError:
        return State.DAMAGED
    return State.HERE


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
    """Where a part's checksums are: parts of one repository that want other files have other records."""
    wanted = hashlib.sha256("\n".join(sorted(part.files)).encode()).hexdigest()[:8]
    name = f"{part.repository.replace('/', '--')}@{part.revision[:12] or 'first'}-{wanted}"
    return cache_folder() / "hub" / f"{name}.json"


def read_record(part: HubPart) -> Record:
    """A part's checksums.

    Raises:
        WeightsError: the file holds something else.
    """
    path = record_of(part)
    try:
        known = json.loads(path.read_text())
        files = {str(name): str(digest) for name, digest in known["files"].items()}
        return Record(path.name, str(known["repository"]), str(known["commit"]), files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path.name} is not a record of checksums: please delete it and pull again") from error


def online(part: HubPart) -> Path:
    """The part from the first repository that answers."""
    mirrors = [tuple(mirror.partition("@")[::2]) for mirror in part.mirrors]
    for repository, revision in [(part.repository, part.revision), *mirrors]:
        folder = download(part, repository, revision)
        if folder and not lacking(part, folder):
            return folder
    try:
        return cached(part, part.repository, part.revision)
    except WeightsError:
        raise WeightsError(f"{part.repository} cannot be fetched: the model hub does not answer or refuses") from None


def download(part: HubPart, repository: str, revision: str, *, again: bool = False) -> Path | None:
    """The part's folder in the hub's cache, fetched from the network; None if there is no answer.

    Args:
        again: fetch what is in the cache too, since it is damaged.
    """
    try:
        from huggingface_hub import HfApi, snapshot_download

        # It fails at once, where fetching tries for minutes.
        HfApi().model_info(repository, revision=revision or None, timeout=TIMEOUT)
        patterns = list(part.files) or None
        return Path(
            snapshot_download(repository, revision=revision or None, allow_patterns=patterns, force_download=again)
        )
    except Exception:  # of the network or the hub: no answer, no such model, no access; the next one may do
        return None


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
    for name, pinned in part.sha256:
        if files.get(name) != pinned:
            raise WeightsError(f"{name} of {part.repository} is not the file that the profile pins")
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
