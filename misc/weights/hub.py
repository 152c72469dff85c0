"""Weights from a model hub: fetched with huggingface_hub; checksums are recorded at first and compared at each loading.

    HubPart ─► hub's cache ─► hub/NAME.json in MISC's cache: commit, SHA-256 of every file ─► compared at each loading

Loading never uses the network. Only `fetch` does, which `misc pull` calls. A profile pins commits. If it also pins a
file's SHA-256, other files are refused already at the first download.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from glob import escape
from importlib import resources
from pathlib import Path

from ..decoder_profile import HubPart
from ..errors import WeightsError
from .checks import State, cache_folder, sha256
from .checks import state_of as state_of_file
from .hub_client import download, look_up
from .hub_faults import Refused
from .hub_files import file_of, hub_folder, is_intact, lacking, remove, wanted

__all__ = ["fetch", "locate", "size_of", "state_of"]

OWN = "misc.checkpoints/"


@dataclass(frozen=True)
class Record:
    """Facts about the first download: repository, commit, and SHA-256 of every file."""

    name: str
    repository: str
    commit: str
    files: dict[str, str]


def fetch(part: HubPart, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """The checked folder of a part, which is downloaded if it is missing or damaged.

    Args:
        progress: called with the bytes done and all bytes.

    Raises:
        WeightsError: no repository with the part answers, or files differ from the recorded ones.
        OSError: the disk is full or cannot be written to.
    """
    own = own_folder(part)
    if own is not None:
        return own
    if not record_of(part).is_file():
        return first(part, progress)
    try:
        return locate(part, thorough=True)
    except WeightsError as error:
        return repair(part, error, progress)


def repair(part: HubPart, fault: WeightsError, progress: Callable[[int, int], None]) -> Path:
    """The folder, after downloading missing or damaged files again from the same source; else the error."""
    record = read_record(part)
    try:
        listing = look_up(record.repository, record.commit, [escape(name) for name in record.files])
        folder = hub_folder(record.repository, record.commit)
        for name, pinned in record.files.items():
            if state_of_file(folder / name, pinned, thorough=True) is State.DAMAGED:
                remove(folder / name)
        download(listing, progress)
    except Refused as refused:
        raise WeightsError(f"{fault}; it cannot be fetched again: {refused}") from refused
    return locate(part, thorough=True)


def locate(part: HubPart, *, thorough: bool = False) -> Path:
    """The checked folder of a part that was downloaded before.

    Args:
        thorough: read all of every file, whatever its stamp says.

    Raises:
        WeightsError: the part is missing, or files differ from those of the first download.
    """
    own = own_folder(part)
    if own is not None:
        return own
    if not record_of(part).is_file():
        return recorded(part, part.repository, cached(part.repository, part.revision, part.files))
    record = read_record(part)
    folder = hub_folder(record.repository, record.commit)
    for name, pinned in record.files.items():
        state = state_of_file(folder / name, pinned, thorough=thorough)
        if state is State.MISSING:
            raise WeightsError(f"{name} of {record.repository} is missing: `misc pull PROFILE` fetches it")
        if state is State.DAMAGED:
            raise WeightsError(f"{name} of {record.repository} is not what was fetched first: see {record.name}")
    return folder


def size_of(part: HubPart) -> int | None:
    """Bytes of a downloaded part, by its record; None if there is none."""
    if own_folder(part) is not None or not record_of(part).is_file():
        return None
    record = read_record(part)
    files = [hub_folder(record.repository, record.commit) / name for name in record.files]
    return sum(file.stat().st_size for file in files if file.is_file())


def state_of(part: HubPart, *, thorough: bool = False) -> State:
    """Whether a part exists and is sound; a part without a record counts as missing."""
    try:
        if own_folder(part) is None and not record_of(part).is_file():
            return State.MISSING
        locate(part, thorough=thorough)
    except WeightsError:
        return State.DAMAGED
    return State.HERE


def own_folder(part: HubPart) -> Path | None:
    """The folder of a part that is not from a hub."""
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
    """The file with a part's checksums: parts that use different files of one repository have different records."""
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
        known = json.loads(path.read_text("utf-8"))
        files = {str(name): str(digest) for name, digest in known["files"].items()}
        return Record(path.name, str(known["repository"]), str(known["commit"]), files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path.name} is not a record of checksums: please delete it and pull again") from error


def first(part: HubPart, progress: Callable[[int, int], None]) -> Path:
    """The part from the first repository that has it, or from the hub's cache; its checksums are recorded.

    Raises:
        WeightsError: no repository has it, or it differs from the profile's pins.
        OSError: of this machine's disk.
    """
    places = [(part.repository, part.revision), *(tuple(mirror.partition("@")[::2]) for mirror in part.mirrors)]
    reasons = list[str]()
    for repository, revision in places:
        try:
            return recorded(part, repository, download(look_up(repository, revision, part.files), progress))
        except (Refused, WeightsError) as reason:
            if str(reason) not in reasons:
                reasons.append(f"its mirror {repository}: {reason}" if reasons else str(reason))
    why = f"{part.repository} cannot be fetched: {'; '.join(reasons)}"
    for repository, revision in places:
        try:
            folder = cached(repository, revision, part.files)
        except WeightsError:
            continue
        try:
            return recorded(part, repository, folder)
        except WeightsError as fault:
            raise WeightsError(f"{why}; and the files that are here cannot be used: {fault}") from fault
    raise WeightsError(why)


def cached(repository: str, revision: str, files: Sequence[str]) -> Path:
    """A repository's folder in the hub's cache, without the network."""
    try:
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            repository, revision=revision or None, allow_patterns=list(files) or None, local_files_only=True
        )
    except Exception as error:
        raise WeightsError(f"the weights {repository} are not here: `misc pull PROFILE` fetches them") from error
    return Path(folder)


def recorded(part: HubPart, repository: str, folder: Path) -> Path:
    """Record what was fetched; returns the folder.

    Raises:
        WeightsError: files are missing or damaged, or differ from the profile's pins.
    """
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    paths = {path.relative_to(folder).as_posix(): path for path in found}
    paths = {name: path for name, path in paths.items() if wanted(name, part.files)}
    lacks = lacking(part.files, list(paths)) or ([] if paths else ["everything"])
    if lacks:
        raise WeightsError(f"the weights {repository} lack {lacks[0]}: `misc pull PROFILE` fetches it")
    for name, path in paths.items():
        if not is_intact(path, file_of(path)):
            raise WeightsError(f"{name} of {repository} is damaged: `misc pull PROFILE` repairs it")
    files = {name: sha256(path) for name, path in paths.items()}
    for name, pinned in part.sha256:
        if files.get(name) != pinned:
            raise WeightsError(f"{name} of {repository} is not the file that the profile pins")
    record = record_of(part)
    record.parent.mkdir(parents=True, exist_ok=True)
    temporary = record.with_suffix(f".{os.getpid()}")
    facts = {"repository": repository, "commit": folder.name, "files": files}
    temporary.write_text(json.dumps(facts, indent=1) + "\n")
    temporary.replace(record)
    return folder
