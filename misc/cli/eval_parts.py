"""`misc eval decoder`, `speed`, `determinism` ...: the measurements of single parts, each a module of `misc.eval`."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import typer

from ..errors import InputError

__all__ = ["PARTS", "add_parts"]

PARTS = {  # module of misc.eval: what it measures
    "ablation": "what each stream of a file is worth",
    "budget": "how much of their limit files use",
    "choice": "what mode micro gains by choosing words by their meaning",
    "crossing": "the rate above which pixels are better than text and regions",
    "decoder": "the images of all modes, and of what a user could put together",
    "determinism": "whether files decode to the same symbols on every machine",
    "flat_memory": "whether memory stays flat over hundreds of decodings",
    "full_size": "a hub profile at full size with random weights beside diffusers' own pipeline",
    "gpu_memory": "how much GPU memory each hub profile needs, by computation",
    "modes": "every mode: bits of its streams, likeness of its images",
    "names": "whether the describer names what is there",
    "pixel_stream": "the pixel stream beside AVIF, WebP and JPEG XL",
    "recall": "what the memory finds by text and regions",
    "regions": "the region stream beside codecs of bi-level images",
    "resources": "time and memory of decoding",
    "semantics": "captions, names of items, and where the locator finds them",
    "share": "what text and regions cost a file with pixels",
    "speed": "the diffusion decoder beside diffusers' own pipeline",
    "synonyms": "what shorter words bring mode micro",
    "text_stream": "the text coders beside others",
    "upsampler": "the images that weights of the upsampler draw",
    "words": "the bits of mode micro's words, coded with all their letters",
}
ANY = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def add_parts(app: typer.Typer) -> None:
    """Give a command to every part; its options are those of the module."""
    for name, what in PARTS.items():
        app.command(name.replace("_", "-"), context_settings=ANY, help=f"Measure {what}.", rich_help_panel="Parts")(
            runner(name)
        )


def runner(name: str) -> Callable[[typer.Context], None]:
    """The command that hands its arguments to a module's own."""

    def run(context: typer.Context) -> None:
        try:
            module = importlib.import_module(f"misc.eval.{name}")
        except ImportError as error:
            raise InputError(f"`misc eval {name}` needs {error.name}: pip install 'misc-codec[eval]'") from error
        command = typer.main.get_command(own(module.main))
        command(context.args, prog_name=f"misc eval {name.replace('_', '-')}", standalone_mode=True)

    return run


def own(function: Callable[..., None]) -> typer.Typer:
    """A command of its own from a module's `main`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(function)
    return app
