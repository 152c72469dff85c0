"""`misc batch`: a whole folder, by all cores or by many machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..rate_control import DEFAULT_EFFORT, limit_of
from .console import ProfileOption, say, stepping
from .options import Bpp, DecodeSeed, Draft, Effort, ModeOption, RayAddress, Seed

__all__ = ["app"]

app = typer.Typer(
    name="batch", help="Code a whole folder of images; files that are there are not made again.", no_args_is_help=True
)

Source = Annotated[Path, typer.Argument(metavar="DIR", help="folder to read, with its subfolders")]
Target = Annotated[Path, typer.Argument(metavar="OUT", help="folder to write, with a manifest.csv")]
Workers = Annotated[int | None, typer.Option(min=1, help="number of processes at once (default: one a core)")]


@app.command()
def encode(
    source: Source,
    target: Target,
    mode: ModeOption = None,
    bpp: Bpp = None,
    seed: Seed = None,
    effort: Effort = DEFAULT_EFFORT,
    workers: Workers = None,
    ray: RayAddress = None,
    profile: ProfileOption = "embedded",
) -> None:
    """Compress every image of a folder."""
    limit_of((1, 1), bpp=bpp, pixels=True)  # checked once, so that a wrong value is not an error of every image
    options: dict[str, object] = {"mode": mode, "bpp": bpp, "seed": seed, "effort": effort, "profile": profile}
    work("encode", source, target, options, workers, ray)


@app.command()
def decode(
    source: Source,
    target: Target,
    seed: DecodeSeed = None,
    draft: Draft = False,
    workers: Workers = None,
    ray: RayAddress = None,
    profile: ProfileOption = "embedded",
) -> None:
    """Draw every .misc file of a folder as PNG."""
    if draft and seed is not None:  # said once, not for every file
        raise UsageError("a draft is drawn without a generator, so there is no seed")
    work("decode", source, target, {"seed": seed, "draft": draft, "profile": profile}, workers, ray)


def work(
    action: str, source: Path, target: Path, options: dict[str, object], workers: int | None, ray: str | None
) -> None:
    from ..profiles import load_profile

    load_profile(str(options["profile"]))
    from ..pool import Runner, run_jobs, usual_workers
    from .many_images import MANIFEST, Batch, run_batch

    runner: Runner = run_jobs
    if ray is not None:
        from .ray_runner import runner_at

        runner = runner_at(ray)
    batch = Batch(action, source, target, options)
    with stepping(f"{action[:-1]}ing") as progress:
        failed = run_batch(batch, workers or usual_workers(), progress, runner, say)
    for name, error in failed.items():
        say(f"{name}: {error}")
    say(f"{target / MANIFEST}{f': {len(failed)} failed' if failed else ''}")
    if failed:
        raise typer.Exit(1)
