"""The page: what stands where, and which step a button starts."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from ..errors import InputError, MiscError
from ..modes import MODES, Mode
from ..profile_files import profile_names
from ..rate_control import DEFAULT_BPP
from . import steps
from .steps import Content, Wish

if TYPE_CHECKING:
    from ..codec import Codec

__all__ = ["CSS", "THEME", "Settings", "build_page"]

IMAGES = [".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp"]
KEPT = 600  # seconds that a visitor's last file is remembered
SHADE = 0.6  # how much of a region's colour covers the photo
SWEPT = (60, 300)  # seconds between two sweeps of temporary files, and their age
INTRODUCTION = """# MISC
A photo becomes text, regions and pixels in one small file, and is drawn again from it. Nothing leaves this machine, and
nothing is kept: files are forgotten after ten minutes at most."""

# Gradio's grey on grey and white on orange are hard to read.
CSS = ".upload-container .or, button:disabled { color: inherit !important; opacity: 1 !important }"
THEME = gr.themes.Default(
    primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)


@dataclass(frozen=True)
class Settings:
    """How the page works.

    Attributes:
        profile: name or TOML file of the one that is chosen at first.
        max_pixels: the largest image that is accepted.
        folder: for files on their way to a visitor.
        waiting: jobs that may wait for their turn.
    """

    profile: str
    max_pixels: int
    folder: Path
    waiting: int = 8


@dataclass(frozen=True)
class Visit:
    """What a visitor has at hand: a file, and the photo that it was made from, if the page has seen it."""

    data: bytes
    profile: str
    photo: Image.Image | None


def build_page(settings: Settings) -> gr.Blocks:
    """The page, ready to be served."""
    actions = Actions(settings)
    with gr.Blocks(title="MISC", analytics_enabled=False, delete_cache=SWEPT) as page:
        gr.Markdown(INTRODUCTION)
        visit = gr.State(None, time_to_live=KEPT)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                photo = gr.File(label="A photo, at most 20 MB", type="binary", file_types=IMAGES, elem_id="photo")
                mode = gr.Dropdown([*MODES, str(Mode.AUTO)], value=str(Mode.MISC), label="Mode", elem_id="mode")
                bpp = gr.Number(DEFAULT_BPP, label="Budget: bits of the whole file a pixel", step=0.001, elem_id="bpp")
                profile = gr.Dropdown(
                    list(actions.profiles), value=settings.profile, label="Profile", elem_id="profile"
                )
                compress = gr.Button("Compress and draw", variant="primary", elem_id="compress")
                stop = gr.Button("Stop", elem_id="stop")
                file = gr.File(label="Or open a .misc file", type="binary", file_types=[".misc"], elem_id="file")
            with gr.Column(scale=2, min_width=280):
                bar = gr.HTML(label="Bytes of every stream", elem_id="bar")
                slider = gr.ImageSlider(label="Original (or draft) and image", format="png", elem_id="slider")
                download = gr.DownloadButton("Download the .misc file", interactive=False, elem_id="download")
                overall = gr.Textbox(label="Text: the whole", lines=2, elem_id="overall")
                items = gr.Textbox(label="Text: items, a line each, name: detail", lines=3, elem_id="items")
                again = gr.Button("Write this text and draw again", elem_id="again")
                regions = gr.AnnotatedImage(label="Regions", format="png", elem_id="regions")
                draft = gr.Image(
                    label="Draft: the pixels alone, without a decoder",
                    format="png",
                    elem_id="draft",
                    buttons=["download", "fullscreen"],
                )
        shown = [visit, bar, regions, overall, items, draft, slider, download]
        queued: dict[str, Any] = {"outputs": shown, "concurrency_id": "work", "api_visibility": "private"}
        jobs = [
            compress.click(say_faults(actions.compress), [photo, mode, bpp, profile], **queued),
            file.upload(say_faults(actions.open), [file, profile], **queued),
            again.click(say_faults(actions.draw_again), [visit, overall, items], **queued),
        ]
        stop.click(None, cancels=jobs, api_visibility="private")
    page.queue(max_size=settings.waiting, default_concurrency_limit=1, api_open=False)
    return page


class Actions:
    """What buttons start. Each gives values for all that is shown, a step at a time, so that it can be stopped."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.profiles = tuple(dict.fromkeys([settings.profile, *profile_names()]))
        self.codec = functools.lru_cache(maxsize=1)(self._open_codec)

    def compress(self, data: bytes | None, mode: str, bpp: float | None, profile: str) -> Iterator[list[Any]]:
        """From a photo to all that is shown."""
        codec = self.codec(profile)
        photo = steps.read_photo(need(data, "choose a photo first"), self.settings.max_pixels)
        yield from self.show(Visit(steps.encode_photo(codec, photo, Wish(mode, bpp or 0)), profile, photo))

    def open(self, data: bytes | None, profile: str) -> Iterator[list[Any]]:
        """From a file to all that is shown."""
        yield from self.show(Visit(need(data, "choose a .misc file first"), profile, None))

    def draw_again(self, visit: Visit | None, overall: str, items: str) -> Iterator[list[Any]]:
        """The file with another text, drawn."""
        known: Visit = need(visit, "compress a photo or open a file first")
        data = steps.edit_text(self.codec(known.profile), known.data, overall, items)
        yield from self.show(Visit(data, known.profile, known.photo))

    def show(self, visit: Visit) -> Iterator[list[Any]]:
        """What is shown of a file: at once what it holds, then the image."""
        codec = self.codec(visit.profile)
        content = steps.look(codec, visit.data)
        draft = None if content.streams.pixels is None else codec.draw(content.streams, draft=True)
        first = parts_of(visit, content, draft)
        download = gr.DownloadButton(value=write_download(visit.data, self.settings.folder), interactive=True)
        yield [*first, gr.skip(), download]
        drawn = codec.draw(content.streams)
        yield [*first, (visit.photo or draft or drawn, drawn), download]

    def _open_codec(self, profile: str) -> Codec:
        """A profile's codec; what it has to say appears on the page."""
        from ..codec import Codec

        if profile not in self.profiles:  # or a visitor could name a file of the server
            raise InputError("there is no such profile on this page")
        return Codec(profile, max_pixels=self.settings.max_pixels, notice=gr.Info)


def need(value: Any, sentence: str) -> Any:
    """The value, or an error on the page if there is none."""
    if value is None:
        raise gr.Error(sentence, print_exception=False)
    return value


def say_faults(step: Callable[..., Iterator[list[Any]]]) -> Callable[..., Iterator[list[Any]]]:
    """The step, whose faults are sentences on the page; what nobody expects is told without its details."""

    def run(*arguments: Any) -> Iterator[list[Any]]:
        try:
            yield from step(*arguments)
        except MiscError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except MemoryError as error:
            raise gr.Error("there is not enough memory for this image", print_exception=False) from error

    return run


def parts_of(visit: Visit, content: Content, draft: Image.Image | None) -> list[Any]:
    """The visit, the bar, the regions, both fields of text and the draft."""
    base = visit.photo or draft
    masks = [(mask * SHADE, name) for mask, name in steps.region_masks(content.streams)]
    text = content.streams.text
    return [
        visit,
        steps.stream_bar(content),
        (base, masks) if base is not None else None,
        text.overall if text else "",
        steps.items_as_lines(text),
        draft,
    ]


def write_download(data: bytes, folder: Path) -> str:
    """A file for the visitor to take, in a folder of its own that the sweep removes."""
    place = Path(tempfile.mkdtemp(dir=folder)) / "photo.misc"
    place.write_bytes(data)
    return str(place)
