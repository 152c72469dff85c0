"""The page: its layout, and the step that each button starts."""

from __future__ import annotations

import functools
import html
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ..errors import InputError, MiscError
from ..modes import MODES, Mode
from ..profile_files import profile_names
from ..rate_control import DEFAULT_BPP
from . import steps
from .comparison import compare, row_html
from .jobs import Job, PageCodec, StoppedError, Stops
from .steps import MAX_CANDIDATES, Content, Wish

__all__ = ["CSS", "Settings", "build_page"]

IMAGES = [".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp"]
KEPT = 600  # seconds that a visitor's last file is remembered
SHADE = 0.6  # opacity of a region's colour over the photo
SHOWN = 8  # values that a job shows beside its status
SWEPT = (60, 300)  # seconds between two sweeps of temporary files, and their age
INTRODUCTION = """# MISC
A photo becomes text, regions and pixels in one small file, and is drawn again from it. Nothing leaves this machine, and
nothing is kept: files are forgotten after ten minutes at most."""

CSS = """.modes { overflow-x: auto }
.modes ul { display: flex; gap: .75em; list-style: none; margin: 0; padding: 0 }
.modes li { flex: 1 0 9.5em; max-width: 22em; margin: 0; font-size: .85em }
.modes figure, .modes img { margin: 0; width: 100% }"""

Steps = Callable[..., Iterator[list[Any]]]


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
    """A visitor's current file, and its photo if the page has it."""

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
                candidates = gr.Number(1, label="Candidates: images that the encoder tries", precision=0, minimum=1,
                    maximum=MAX_CANDIDATES, elem_id="candidates")  # fmt: skip
                compress = gr.Button("Compress and draw", variant="primary", elem_id="compress")
                beside = gr.Button("Compare all modes at this budget", elem_id="beside")
                stop = gr.Button("Stop", elem_id="stop")
                status = gr.HTML(tell(""), elem_id="status")
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
        row = gr.HTML(elem_id="row")
        moment = gr.Number(visible=False)  # of the click, by the visitor's clock
        shown = [status, visit, bar, regions, overall, items, draft, slider, download]
        queued: dict[str, Any] = {"outputs": shown, "concurrency_id": "work", "api_visibility": "private"}
        queued |= {"js": "(...values) => [...values.slice(0, -1), Date.now()]", "show_progress_on": status}
        wish = [photo, mode, bpp, candidates, profile]
        compress.click(actions.job(actions.compress, shown), [*wish, moment], **queued)
        file.upload(actions.job(actions.open, shown), [file, profile, moment], **queued)
        again.click(actions.job(actions.draw_again, shown), [visit, overall, items, moment], **queued)
        queued["outputs"] = [status, row]
        beside.click(actions.job(actions.compare, [status, row]), [*wish, moment], **queued)
        # Not through the queue, which may be full. Not with Gradio's `cancels`: it frees the place of a job that is
        # still running a step, so that the next would run beside it.
        stop.click(actions.stop, moment, status, js="() => Date.now()", queue=False, api_visibility="private")
        page.unload(actions.leave)
    page.queue(max_size=settings.waiting, default_concurrency_limit=1, api_open=False)
    return page


class Actions:
    """The buttons' actions. Each yields values for the outputs step by step, so that it can be stopped."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.stops = settings, Stops()
        self.at_work = ""  # the visitor of the running job
        self.profiles = tuple(dict.fromkeys([settings.profile, *profile_names()]))
        self._codec = functools.lru_cache(maxsize=1)(self._open_codec)

    def compress(
        self, job: Job, data: bytes | None, mode: str, bpp: float | None, candidates: int | None, profile: str
    ) -> Iterator[list[Any]]:
        """Encode a photo and show the file."""
        codec, photo = self.codec(profile, job), self.photo(data)
        yield [tell("compressing"), *[gr.skip()] * SHOWN]
        file = steps.encode_photo(codec, photo, Wish(mode, bpp or 0, candidates or 0))
        yield from self.show(job, Visit(file, profile, photo))

    def open(self, job: Job, data: bytes | None, profile: str) -> Iterator[list[Any]]:
        """Show a file."""
        yield from self.show(job, Visit(need(data, "choose a .misc file first"), profile, None))

    def draw_again(self, job: Job, visit: Visit | None, overall: str, items: str) -> Iterator[list[Any]]:
        """The file with another text, drawn."""
        known: Visit = need(visit, "compress a photo or open a file first")
        data = steps.edit_text(self.codec(known.profile, job), known.data, overall, items)
        yield from self.show(job, Visit(data, known.profile, known.photo))

    def compare(
        self, job: Job, data: bytes | None, mode: str, bpp: float | None, candidates: int | None, profile: str
    ) -> Iterator[list[Any]]:
        """Show a photo in all modes in one row; each mode appears when it is finished."""
        codec, photo = self.codec(profile, job), self.photo(data)
        done = -1
        for progress in compare(codec, photo, Wish(mode, bpp or 0, candidates or 0)):
            row = row_html(photo, progress.entries) if len(progress.entries) > done else gr.skip()
            done = len(progress.entries)
            yield [tell(progress.next or "all modes are done; they are at the end of the page"), row]

    def show(self, job: Job, visit: Visit) -> Iterator[list[Any]]:
        """Show a file: its content at once, then the image."""
        codec = self.codec(visit.profile, job)
        content = steps.look(codec, visit.data)
        draft = None if content.streams.pixels is None else codec.draw(content.streams, draft=True)
        first = parts_of(visit, content, draft)
        download = gr.DownloadButton(value=write_download(visit.data, self.settings.folder), interactive=True)
        yield [tell("drawing"), *first, gr.skip(), download]
        drawn = codec.draw(content.streams)
        yield [tell("done"), *first, (visit.photo or draft or drawn, drawn), download]

    def stop(self, moment: float | None, request: gr.Request) -> str:
        """End all jobs that the visitor has requested."""
        visitor = str(request.session_hash)
        self.stops.stop(visitor, moment or 0)
        return tell("stopping at the next step" if visitor == self.at_work else "stopped")

    def leave(self, request: gr.Request) -> None:
        """End all jobs of a visitor who left the page."""
        self.stops.stop(str(request.session_hash), math.inf)

    def job(self, steps_of: Steps, outputs: Sequence[Any]) -> Steps:
        """Run steps as a job of the queue. It can be stopped between steps; errors are shown on the page.

        Args:
            steps_of: yields values for the outputs.
            outputs: the status and the other outputs of the job.
        """

        def run(request: gr.Request, *arguments: Any) -> Iterator[list[Any]]:
            *values, moment = arguments
            job = Job(self.stops, str(request.session_hash), moment or 0)
            self.at_work = job.visitor
            try:
                job.check()
                for shown in steps_of(job, *values):
                    yield shown
                    job.check()
            except StoppedError:
                yield [tell("stopped"), *[gr.skip()] * (len(outputs) - 1)]
            except MiscError as error:
                raise gr.Error(str(error), print_exception=False) from error
            except MemoryError as error:
                raise gr.Error("there is not enough memory for this image", print_exception=False) from error
            finally:
                self.at_work = ""

        return run

    def photo(self, data: bytes | None) -> Image.Image:
        """The visitor's photo."""
        return steps.read_photo(need(data, "choose a photo first"), self.settings.max_pixels)

    def codec(self, profile: str, job: Job) -> PageCodec:
        """A profile's codec for the running job."""
        codec = self._codec(profile)
        codec.check = job.check
        return codec

    def _open_codec(self, profile: str) -> PageCodec:
        """A profile's codec; its notices appear on the page."""
        if profile not in self.profiles:  # otherwise a visitor could name a file of the server
            raise InputError("there is no such profile on this page")
        return PageCodec(profile, max_pixels=self.settings.max_pixels, notice=gr.Info)


def tell(sentence: str) -> str:
    """HTML of the status, which screen readers announce."""
    return f'<p role="status">{html.escape(sentence)}</p>'


def need(value: Any, sentence: str) -> Any:
    """The value, or an error on the page if there is none."""
    if value is None:
        raise gr.Error(sentence, print_exception=False)
    return value


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
    """A file for download, in a folder of its own that the sweep removes."""
    place = Path(tempfile.mkdtemp(dir=folder)) / "photo.misc"
    place.write_bytes(data)
    return str(place)
