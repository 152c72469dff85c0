"""List and download files of the model hub with huggingface_hub.

    look_up ─► Listing: commit, files, sizes, checksums ─► download ─► every file compared with them ─► folder

huggingface_hub does not compare a downloaded file with its checksum; this module does.
"""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from .hub_faults import Refused, attempted, quiet
from .hub_files import HubFile, cache, hub_folder, is_intact, lacking, remove, remove_litter, wanted

__all__ = ["Listing", "download", "look_up"]

TIMEOUT = 10.0  # seconds for the hub's first answer


@dataclass(frozen=True)
class Listing:
    """The wanted files of a repository, as the hub lists them."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def bytes(self) -> int | None:
        """Total size of the files; None if the hub does not give it."""
        sizes = [each.size for each in self.files if each.size is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None


def look_up(repository: str, revision: str, patterns: Sequence[str]) -> Listing:
    """List the wanted files of a repository.

    Args:
        revision: empty for the newest.
        patterns: of the wanted files; all if there are none.

    Raises:
        Refused: the hub does not answer or refuses, or a wanted file is not there.
    """
    with quiet():
        from huggingface_hub import HfApi

        info = attempted(
            lambda: HfApi().model_info(repository, revision=revision or None, files_metadata=True, timeout=TIMEOUT),
        )
    files = [
        HubFile(each.rfilename, each.size, each.lfs.sha256 if each.lfs else "", "" if each.lfs else each.blob_id or "")
        for each in info.siblings or ()
    ]
    for name in lacking(patterns, [each.name for each in files]):
        raise Refused(f"the hub has no {name} of it")
    return Listing(repository, info.sha or revision, tuple(each for each in files if wanted(each.name, patterns)))


def download(listing: Listing, progress: Callable[[int, int], None]) -> Path:
    """The folder of a repository in the hub's cache, with checked files; only missing or damaged ones are downloaded.

    Args:
        progress: called with the bytes done and all bytes.

    Raises:
        Refused: the hub does not give the files, or they differ from its listing.
        OSError: the disk is full or cannot be written to.
    """
    remove_litter(listing.repository)
    check_room(listing)
    for _ in range(2):
        folder = snapshot(listing, progress)
        bad = [each for each in listing.files if not is_intact(folder / each.name, each)]
        if not bad:
            return folder
        for each in bad:
            remove(folder / each.name)
    raise Refused(f"{bad[0].name} arrives damaged")


def snapshot(listing: Listing, progress: Callable[[int, int], None]) -> Path:
    """The folder with all files, not checked yet.

    The client's threads cannot be interrupted: after `Stopped`, they end when their next bytes arrive.
    """
    from huggingface_hub import snapshot_download

    counter = Counter(progress, listing.bytes or 0)
    result: list[Path | BaseException] = []

    def work() -> None:
        try:
            with quiet():
                names = [escape(each.name) for each in listing.files]
                fetch = lambda: snapshot_download(  # noqa: E731
                    listing.repository, revision=listing.commit, allow_patterns=names, tqdm_class=counter.bar()
                )
                result.append(Path(attempted(fetch, patient=True)))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
    except BaseException:
        counter.stopped = True
        raise
    (end,) = result
    if isinstance(end, BaseException):
        raise end
    progress(counter.total, counter.total)
    return end


class Stopped(BaseException):
    """The download was stopped; not an Exception, so that the client does not retry."""


class Counter:
    """Adds up the bytes of the client's progress bars; some of its versions have two bars for the same bytes."""

    def __init__(self, progress: Callable[[int, int], None], total: int) -> None:
        self.progress, self.total, self.stopped = progress, total, False
        self.done: dict[int, float] = {}

    def bar(self) -> type[Any]:
        """A class of progress bars that count here and show nothing."""
        from tqdm.auto import tqdm

        counter = self

        class Bar(tqdm):  # type: ignore[misc,type-arg,unused-ignore]
            def __init__(self, *arguments: Any, **options: Any) -> None:
                options.pop("name", None)
                self.of_bytes = options.get("unit") == "B"
                super().__init__(*arguments, **options | {"disable": True})

            def update(self, n: float | None = 1) -> None:
                if counter.stopped:
                    raise Stopped
                if self.of_bytes:
                    counter.count(id(self), n or 0)

        return Bar

    def count(self, bar: int, more: float) -> None:
        self.done[bar] = self.done.get(bar, 0) + more
        self.progress(min(self.total, int(max(self.done.values()))), self.total)


def check_room(listing: Listing) -> None:
    """Raise OSError if the disk has no room for the missing files."""
    there = hub_folder(listing.repository, listing.commit)
    needed = sum(each.size or 0 for each in listing.files if not (there / each.name).exists())
    place = next(each for each in (cache(), *cache().parents) if each.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        what = f"{listing.repository} needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free"
        raise OSError(errno.ENOSPC, what, str(place))
