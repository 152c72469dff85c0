"""`misc eval`: codecs compared by files. Its code is in `misc.eval`, which is imported only when a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .console import printable, say
from .eval_parts import add_parts
from .options import RayAddress

__all__ = ["app"]

app = typer.Typer(name="eval", help="Compare codecs by their files and images.", no_args_is_help=True)
add_parts(app)

Folder = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="folder for all results; a run that was stopped there goes on")
]
PublishedOption = Annotated[
    Path | None, typer.Option(metavar="FILE.csv", help="file of published figures to add to the plots")
]


@app.command()
def run(
    dataset: Annotated[Path, typer.Argument(help="folder of photos")],
    out: Folder,
    codecs: Annotated[
        str, typer.Option(help="names of codecs, separated by commas; `rivals` are all of today's formats")
    ] = ("misc:text,misc:pixel,misc:misc,rivals"),
    bpp: Annotated[
        str, typer.Option(help="rates in bits per pixel: 0.01,0.024 or 0.003..0.05 or 0.003..0.05:9")
    ] = "0.003..0.05",
    codec_cmd: Annotated[
        list[str] | None, typer.Option(help="a codec by its commands: 'name: enc {in} {out} {bpp} / dec {in} {out}'")
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="names of metrics, separated by commas, or all (default: all but the slow ones)")
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="number of photos, at most")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="number of processes at once (default: one a core)")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="seed of MISC's files (default: the encoder's choice)")
    ] = None,
    ray: RayAddress = None,
    published: PublishedOption = None,
) -> None:
    """Encode photos, decode each file in another process, measure, report; a stopped run goes on."""
    from ..pool import usual_workers

    with needing_extra():
        from ..eval.codecs import expand
        from ..eval.metrics.catalogue import UNUSABLE
        from ..eval.report import collect
        from ..eval.report.all import write_report
        from ..eval.report.tables import reasons
        from ..eval.run import Plan, metrics_of
        from ..eval.run import run as run_plan
        from ..eval.store import Store, find_photos, parse_rates

    runner = None
    if ray is not None:
        from .ray_runner import runner_at

        runner, dataset, out = runner_at(ray), dataset.absolute(), out.absolute()
    plan = Plan(
        photos=find_photos(dataset, limit),
        settings=expand([name.strip() for name in codecs.split(",") if name.strip()], codec_cmd or [], seed),
        rates=parse_rates(bpp),
        folder=out,
        metrics=metrics_of(metrics),
        seed=seed,
        workers=workers or usual_workers(),
        runner=runner,
    )
    for name, reason in UNUSABLE.items() if metrics in ("", "all") else ():
        say(f"metric {name} is left out: {reason}")
    with progress_bars() as progress:
        troubles = run_plan(plan, progress)
    results = collect(Store(out), troubles.codecs, troubles.photos)
    write_report(results, out, published)
    for reason in reasons(results):
        say(reason)
    say(f"photos: {len(plan.photos)}, codecs: {len(plan.settings)} -> {out / 'report.html'}")
    if troubles.codecs or any(troubles.photos.values()):
        say(f"{out / 'log.txt'} has every error with its traceback; the same command tries again what failed")
        raise typer.Exit(1)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="folder of `misc eval run`")],
    published: PublishedOption = None,
) -> None:
    """Write tables, plots and the page of a run again."""
    with needing_extra():
        from ..eval.report import load
        from ..eval.report.all import write_report

    write_report(load(folder), folder, published)
    say(f"-> {folder / 'report.html'}")


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="folder of `misc eval run`")],
    target: Annotated[Path, typer.Argument(help="folder for the summary and the plots")] = Path("docs/results"),
    readme: Annotated[Path, typer.Argument(help="file in which the tables are written again")] = Path("README.md"),
) -> None:
    """Write a run's summary and plots, and the README's tables from it."""
    with needing_extra():
        from ..eval.report import load
        from ..eval.report.publish import publish as write

    write(load(folder), folder, target, readme)
    say(f"-> {target}, {readme}")


@app.command()
def published(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="table with the columns codec, dataset, bpp, metric, value, source (default: the project's)"
        ),
    ] = None,
) -> None:
    """Show what others have published, with its source; `--published` lays it over plots."""
    with needing_extra():
        from ..eval.report.published import KNOWN, read_published

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("codec", "data", "µbpp", "metric", "value", "source", title="published, not measured here")
    for row in read_published(file or KNOWN):
        value = "" if row.value is None else f"{row.value:g}"
        cells = (row.codec, row.dataset, f"{1e6 * row.bpp:.0f}", row.metric, value, row.source)
        table.add_row(*(Text(printable(cell)) for cell in cells))  # what is in brackets is no markup
    Console().print(table)


@contextmanager
def needing_extra() -> Iterator[None]:
    """Say which packages `misc eval` needs, if they are not installed.

    Raises:
        InputError: they are not.
    """
    try:
        yield
    except ImportError as error:
        raise InputError(f"`misc eval` needs {error.name}: pip install 'misc-codec[eval]'") from error


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress by codec and stage: a bar when a person is watching, else a line when a stage is done.

    Yields:
        a function to be called with the step's name, the number of finished photos, and the number of all photos.
    """
    if not sys.stderr.isatty():
        yield lambda what, done, total: say(f"{what}: {total} files") if done == total else None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(escape(printable(what)), total=total)
            bars.update(tasks[what], completed=done)

        yield progress
