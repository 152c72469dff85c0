"""Reflection: the text is mended by what its image lacks, and nothing ends worse."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from misc import closed_loop
from misc.bits.streams import Streams
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.errors import InputError, WeightsError
from misc.reflection import mend, missing_words

pytestmark = pytest.mark.usefixtures("without_large_model")

TEXT = Description("a dog and two boats on the <sea>", (Item("boat", "red"), Item("dog")))
PHOTO = Image.new("RGB", (1024, 1024))


class Painter:
    """Stands for the embedded decoder: the image's grey is the letters of the text's first word, times `slope`."""

    def __init__(self, slope: int) -> None:
        self.slope = slope

    def settle(self, streams: Streams) -> Streams:
        return streams

    def draw_many(self, scenes: list, **_: object) -> list:  # type: ignore[type-arg]
        import numpy as np

        return [
            np.full(
                (s.streams.height, s.streams.width, 3), 128 + self.slope * len(s.streams.text.overall.split()[0])
            ).astype(np.uint8)
            for s in scenes
        ]


class Seer:
    """Sees a dog in every image."""

    asked = None
    word_importance = SimpleNamespace(of=lambda fields: {})

    def describe(self, image: Image.Image, items: int = 3) -> Description:
        return Description("a dog", (Item("dogs"),))


class Bright:
    """Stands for the likeness: the brighter the better."""

    def __init__(self, semantics: object, photo: Image.Image) -> None:
        pass

    def score(self, image: Image.Image) -> float:
        return float(image.getpixel((0, 0))[0])  # type: ignore[index]


def codec_of(monkeypatch: pytest.MonkeyPatch, slope: int) -> Codec:
    monkeypatch.setattr(closed_loop, "Likeness", Bright)
    ours = Codec(notice=lambda _: None)
    ours.__dict__.update(decoder=Painter(slope), semantics=Seer())
    return ours


def test_missing_words_are_names_first_and_each_once() -> None:
    assert missing_words(TEXT, Description("dogs by the sea")) == ("boat", "two", "red")
    assert missing_words(TEXT, TEXT) == ()


def test_what_is_missing_is_named_first() -> None:
    mended = mend(TEXT, ("boat", "two", "red", "sea", "fifth"))
    assert mended.overall == f"boat two red sea: {TEXT.overall}"
    assert mended.items == TEXT.items
    assert mend(mended, ("boat", "two", "red", "sea")) == mended
    assert len(mend(Description("so " * 64), ("dog",)).overall.split()) == 64


def test_a_better_image_is_kept_and_a_worse_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for slope, kept in ((9, True), (-9, False)):
        ours = codec_of(monkeypatch, slope)
        plain = ours.encode(PHOTO, mode="text", description=TEXT)
        data = ours.encode(PHOTO, mode="text", description=TEXT, reflect=1)
        assert (data != plain) == kept
        assert ours.streams(data).text == (mend(TEXT, ("boat", "two", "sea", "red")) if kept else TEXT)


def test_the_limit_holds_for_mended_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = codec_of(monkeypatch, 9)
    for budget in range(24, 60, 9):
        assert len(ours.encode(PHOTO, mode="text", description=TEXT, reflect=2, max_bytes=budget)) <= budget


def test_mode_micro_reflects_above_500_ubpp(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, asked = codec_of(monkeypatch, 9), []
    monkeypatch.setattr(Seer, "describe", lambda self, image, items=3: asked.append(1) or TEXT)
    for ubpp, rounds, times in ((100, None, 0), (501, None, 1), (501, 0, 0), (100, 1, 1)):
        asked.clear()
        ours.encode(PHOTO, mode="micro", ubpp=ubpp, description=TEXT, reflect=rounds)
        assert len(asked) == times


def test_it_is_left_out_where_nothing_can_be_drawn_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    ours = codec_of(monkeypatch, 9)
    ours.notice = told.append

    def missing(self: Seer, image: Image.Image, items: int = 3) -> Description:
        raise WeightsError("misc pull")

    monkeypatch.setattr(Seer, "describe", missing)
    ours.encode(PHOTO, mode="micro", ubpp=900, description=TEXT)
    assert told[-1] == "the text is not reflected on: misc pull"
    with pytest.raises(WeightsError):
        ours.encode(PHOTO, mode="micro", ubpp=900, description=TEXT, reflect=1)


def test_the_trace_shows_all_rounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "trace"
    codec_of(monkeypatch, 9).encode(PHOTO, mode="text", description=TEXT, reflect=1, trace=folder)
    assert {path.name for path in folder.iterdir()} == {"index.html", "photo.png", "round-0.png", "round-1.png"}
    page = (folder / "index.html").read_text()
    assert "a dog and two boats on the &lt;sea&gt;; boat; red; dog" in page
    assert page.count(", kept") == page.count('class="kept"') == 1
    assert page.index("round-1.png") > page.index("likeness 137") > page.index("round-0.png")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "text", "reflect": -1}, "0 or more"),
        ({"mode": "pixel", "reflect": 1}, "no text"),
        ({"mode": "text", "trace": Path("x")}, "one round"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Codec().encode(PHOTO, description=TEXT, **options)  # type: ignore[arg-type]
    assert not Path("x").exists()


def test_a_trace_that_cannot_be_written_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        codec_of(monkeypatch, 9).encode(PHOTO, mode="text", description=TEXT, reflect=1, trace=tmp_path / "file")


def test_a_trace_replaces_a_trace_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = codec_of(monkeypatch, 9)
    for _ in range(2):
        ours.encode(PHOTO, mode="text", description=TEXT, reflect=1, trace=str(tmp_path / "trace"))  # type: ignore[arg-type]
    mine = tmp_path / "mine" / "photo.png"
    mine.parent.mkdir()
    mine.write_bytes(b"the only copy")
    with pytest.raises(InputError, match="is there and is not part of a trace"):
        ours.encode(PHOTO, mode="text", description=TEXT, reflect=1, trace=mine.parent)
    assert mine.read_bytes() == b"the only copy"
