"""A run: every codec on every photo at every rate, with files and separate processes; a stopped run is continued.

photos ─► encode (one process per codec) ─► files ─► decode (another process, file alone) ─► images ─► measure
                                                                                                       │
                                   results.json, CompressAI's JSON, CSV, plots, tables, report.html ◄──┘
"""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import InputError, MiscError, UsageError
from ..pool import Runner, run_jobs
from .codecs import Setting
from .metrics.catalogue import METRICS, UNUSABLE
from .store import OWN, Photo, Place, Store

__all__ = ["USUAL_METRICS", "Plan", "Progress", "metrics_of", "run"]

USUAL_METRICS = tuple(name for name, metric in METRICS.items() if not metric.slow)
VERSIONED = (
    "torch",
    "numpy",
    "pillow",
    "pillow-heif",
    "pillow-jxl-plugin",
    "compressai",
    "transformers",
    "constriction",
)

Progress = Callable[[str, int, int], None]
"""What is being done, how many photos of it are done, and how many there are."""


@dataclass(frozen=True)
class Plan:
    """The settings of a run.

    Attributes:
        photos, settings: the photos, and the settings of the codecs.
        rates: bits per pixel.
        metrics: names of `METRICS`.
        seed: of MISC's files, or None for the encoder's own choice.
        workers: number of processes.
        folder: for all results.
        runner: runs the jobs, such as a Ray cluster whose machines see photos and folder under these paths; None for
            processes of this machine.
    """

    photos: Sequence[Photo]
    settings: Sequence[Setting]
    rates: Sequence[float]
    folder: Path
    metrics: Sequence[str] = USUAL_METRICS
    seed: int | None = None
    workers: int = 1
    runner: Runner | None = None

    def facts(self) -> dict[str, Any]:
        """The settings that must stay the same when a run is continued, and the latest other ones."""
        return {
            "photos": {photo.name: photo.sha256 for photo in self.photos},
            "paths": {photo.name: str(photo.path) for photo in self.photos},
            "seed": self.seed,
            "versions": versions(),
            "rates": list(self.rates),
            "metrics": list(self.metrics),
            "codecs": [setting.name for setting in self.settings],
        }


@dataclass
class Troubles:
    """Failures: codecs that could not be opened, and photos of a codec, each with one sentence."""

    codecs: dict[str, str] = field(default_factory=dict)
    photos: dict[str, dict[str, str]] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Of MISC, of Python and of the packages that codecs come from."""
    packages = {"misc-codec": metadata.version("misc-codec"), "python": platform.python_version()}
    for name in VERSIONED:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = "not installed"
    return packages


def metrics_of(names: str) -> list[str]:
    """Metrics from their names, separated by commas; `all` means all, an empty text all but the slow ones.

    Raises:
        UsageError: there is no such metric.
    """
    if not names:
        return list(USUAL_METRICS)
    wanted = list(METRICS) if names == "all" else names.split(",")
    for name in wanted:
        if name not in METRICS:
            if name in UNUSABLE:
                raise UsageError(f"metric {name} cannot be used: {UNUSABLE[name]}")
            raise UsageError(f"there is no metric {name!r}; there is {', '.join(METRICS)}")
    return wanted


def run(plan: Plan, progress: Progress) -> Troubles:
    """Do the unfinished work of a plan.

    Args:
        progress: called with the name of the step, the number of finished photos, and the number of all photos.

    Returns:
        the failures; all other results are in the plan's folder.

    Raises:
        InputError: the folder is of another run, is in use, or cannot be written.
        WeightsError: no metric can run.
    """
    store, troubles = Store(plan.folder), Troubles()
    with claim(plan.folder):
        store.open(plan.facts(), plan.settings)
        work = Work(plan, store, troubles, progress)
        for setting in plan.settings:
            setup = {"setting": asdict(setting)}
            try:
                work.do("encoding", setup, work.jobs(setting, lambda place: not place.encoded), f"{setting.name}: ")
                work.do("decoding", setup, work.jobs(setting, lambda place: place.to_decode), f"{setting.name}: ")
            except MiscError as error:  # a codec that is not installed does not stop the others
                troubles.codecs[setting.name] = str(error)
        jobs = [job for each in plan.settings for job in work.jobs(each, lambda place: place.to_measure(plan.metrics))]
        jobs.sort(key=lambda job: job["name"])  # so that results computed from an original serve all codecs
        work.do("measuring", {"metrics": list(plan.metrics)}, jobs)
    return troubles


@dataclass(frozen=True)
class Work:
    """Jobs of a plan and their outcomes.

    Attributes:
        plan: the settings.
        store: the folder of files and figures.
        troubles: failures so far; no further jobs are made for them.
        progress: called after every photo.
    """

    plan: Plan
    store: Store
    troubles: Troubles
    progress: Progress

    def jobs(self, setting: Setting, wanted: Callable[[Place], bool]) -> list[dict[str, Any]]:
        """A job for every photo with unfinished places.

        Args:
            setting: of the codec.
            wanted: whether a place is unfinished.

        Returns:
            for each job: codec, name and path of the photo, `points` (stem and rate of each place), and the file for
                results computed from the original.
        """
        plan, jobs = self.plan, []
        rates = {OWN: max(plan.rates)} if setting.one_rate else {f"{rate:g}": rate for rate in plan.rates}
        failed = self.troubles.photos.get(setting.name, {})
        for photo in plan.photos:
            places = {label: self.store.place(setting, label, photo.name) for label in rates}
            points = [{"stem": p.stem, "bpp": rates[label]} for label, p in places.items() if wanted(p)]
            if points and photo.name not in failed:
                original = str(self.store.folder / "originals" / f"{photo.name}.npy")
                job = {"codec": setting.name, "name": photo.name, "photo": str(photo.path)}
                jobs.append({**job, "points": points, "original": original})
        return jobs

    def do(self, what: str, setup: dict[str, Any], jobs: list[dict[str, Any]], label: str = "") -> None:
        """Run jobs in separate processes, or with the plan's runner; record failures and time.

        Args:
            what: the function of `misc.eval.stages` that does them.
            setup: its argument, once in each process.
            jobs: from `jobs`.
            label: text before the function's name in the progress.
        """
        if not jobs:
            return
        start = time.perf_counter()
        run_here = functools.partial(run_jobs, log=self.store.folder / "log.txt")
        outcomes = (self.plan.runner or run_here)(f"misc.eval.stages:{what}", setup, jobs, self.plan.workers)
        for done, outcome in enumerate(outcomes, 1):
            if outcome.error:
                failed = self.troubles.photos.setdefault(outcome.job["codec"], {})
                failed[outcome.job["name"]] = f"{what}: {outcome.error}"
            self.progress(f"{label}{what}", done, len(jobs))
        self.store.add_seconds(what, (time.perf_counter() - start) * min(self.plan.workers, len(jobs)))


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Lock a folder, so that no other run uses it at the same time.

    Raises:
        InputError: another run uses it, or it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise InputError(f"another run works in {folder}") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"cannot write to {folder}: it is not a folder") from error
    except PermissionError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}") from error
