"""Results, Bjontegaard tables, plots and the page."""

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from misc.errors import InputError
from misc.eval.metrics import METRICS
from misc.eval.report import CodecResults, Point, Results, load
from misc.eval.report.all import write_report
from misc.eval.report.bjontegaard import BEST, curve_of, delta_of, figures_of, rate_difference
from misc.eval.report.page import to_html
from misc.eval.report.published import read_published
from misc.eval.report.tables import tables
from tests.support.images import sample_picture
from tests.support.page import keyboard_tour

RATES = ("0.01", "0.02", "0.03", "0.04", "0.05")
PHOTOS = ("a.png", "b <i>.png", "c.png")
PUBLISHED = Path(__file__).parents[2] / "docs" / "results" / "published.csv"


def codec(name: str, kind: str, share: float = 1.0, shift: float = 0.0) -> CodecResults:
    """A codec whose PSNR grows with the logarithm of its rate, at `share` of the bits of another."""
    points = {
        photo: {
            rate: Point(
                bpp=share * float(rate),
                bytes=int(share * float(rate) * 96 * 64 / 8),
                streams={"text": 3, "pixels": 4},
                values={"psnr": 20 + 4 * np.log2(float(rate) / 0.01) + k + shift, "st_lpips": 0.5 - 5 * float(rate)},
                missing={"lpips": "no <AlexNet>"},
                content={"text": 'a "cat"</script>', "items": [{"name": "cat", "rows": [[0, 1], [1, 1]]}]},
                encode_s=0.5,
            )
            for rate in RATES
        }
        for k, photo in enumerate(PHOTOS)
    }
    return CodecResults(name, kind, points)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    paths = {photo: str(tmp_path / photo) for photo in PHOTOS}
    run = {"photos": dict.fromkeys(PHOTOS, "0"), "paths": paths, "seed": 3, "versions": {"misc-codec": "1"}}
    both = [codec("jpeg", "classical"), codec("avif/2", "classical", shift=-1), codec("misc:misc", "misc", 0.5)]
    found = Results(run, {each.name: each for each in both})
    for k, photo in enumerate(PHOTOS):
        sample_picture(96, 64, seed=k).save(tmp_path / photo)
        for name in ("jpeg", "avif_2", "misc-misc"):
            for rate in RATES:
                (tmp_path / "codecs" / name / rate).mkdir(parents=True, exist_ok=True)
                sample_picture(96, 64, seed=k + 5).save(tmp_path / "codecs" / name / rate / f"{photo}.png")
    return found


def test_half_the_bits_are_minus_fifty_percent(results: Results) -> None:
    delta = delta_of(figures_of(results, "jpeg", "psnr"), figures_of(results, "misc:misc", "psnr"), "psnr", draws=50)
    assert delta is not None
    assert delta.percent == pytest.approx(-50, abs=0.5)
    assert delta.low == pytest.approx(-50, abs=1)
    assert delta.photos == 3
    assert rate_difference([(0.1, 1), (0.2, 2)], [(0.1, 1), (0.2, 2)], rises=True) is None


def test_an_interval_holds_what_photos_differ_by(results: Results) -> None:
    draw = np.random.default_rng(0)
    noisy = {
        photo: {rate: (bpp * share, value) for rate, (bpp, value) in by_rate.items()}
        for (photo, by_rate), share in zip(
            figures_of(results, "jpeg", "psnr").items(), draw.uniform(0.5, 2, 3), strict=True
        )
    }
    delta = delta_of(figures_of(results, "jpeg", "psnr"), noisy, "psnr", draws=200)
    assert delta is not None
    assert delta.low is not None
    assert delta.high is not None
    assert delta.low < delta.percent < delta.high
    assert delta.high - delta.low > 5


def test_the_best_rival_is_chosen_by_photo_rate_and_metric(results: Results) -> None:
    results.codecs["avif/2"].points["a.png"]["0.02"].values["psnr"] = 50
    best = figures_of(results, BEST, "psnr")
    assert best["a.png"]["0.02"][1] == 50
    assert best["a.png"]["0.05"][1] == 50
    assert best["a.png"]["0.01"] == figures_of(results, "jpeg", "psnr")["a.png"]["0.01"]
    assert best["c.png"] == figures_of(results, "jpeg", "psnr")["c.png"]


def test_curves_have_rates_that_all_photos_have() -> None:
    figures = {"a": {"1": (1.0, 2.0), "2": (2.0, 3.0)}, "b": {"2": (4.0, 5.0)}}
    assert curve_of(figures) == [(3.0, 4.0)]


def test_everything_is_written_and_comes_back(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path, PUBLISHED, draws=20)
    assert load(tmp_path) == results
    compressai = json.loads((tmp_path / "json" / "misc-misc.json").read_text())
    assert compressai["name"] == "misc:misc"
    assert compressai["results"]["bpp"] == pytest.approx([0.5 * float(rate) for rate in RATES])
    assert compressai["results"]["psnr-rgb"][0] == pytest.approx(21)
    assert compressai["results"]["bits"][0] == {"text": 24, "pixels": 32}
    assert compressai["results"]["encoding_time"] == [0.5] * 5
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert len(rows) == 3 * 3 * 5
    assert float(rows[0]["psnr"]) == pytest.approx(20)
    text = (tmp_path / "tables.md").read_text()
    assert "-50.0 %" in text
    assert "LPIPS is missing: no <AlexNet>" in text
    for name in ("psnr", "st_lpips", "lpips"):
        assert (tmp_path / "plots" / f"{name}.png").stat().st_size > 1000
        assert "</svg>" in (tmp_path / "plots" / f"{name}.svg").read_text()
    assert "PerCo (published, Kodak)" in (tmp_path / "plots" / "lpips.svg").read_text()


def test_plots_are_the_same_again(results: Results, tmp_path: Path) -> None:
    files = []
    for _ in range(2):
        write_report(results, tmp_path, draws=5)
        files.append((tmp_path / "plots" / "psnr.svg").read_bytes())
    assert files[0] == files[1]


class Page(HTMLParser):
    """Addresses and marks of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_needs_no_network_and_escapes(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path, draws=5)
    text = (tmp_path / "report.html").read_text()
    for tag, attributes in Page(text).tags:
        for name in ("src", "href", "action", "xlink:href"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), (tag, address)
    data = text.split('id="data">')[1].split("</script>")[0]
    entries = json.loads(data)
    assert [photo["name"] for photo in entries["photos"]] == list(PHOTOS)
    assert all(image["alt"] for photo in entries["photos"] for image in [photo["original"], *photo["images"]])
    assert entries["rate"] == "0.02"
    assert 'a "cat"</script>' in entries["photos"][0]["images"][-1]["alt"]
    assert "&lt;AlexNet&gt;" in text
    assert "@TABLES@" not in text


def test_tables_become_html() -> None:
    assert to_html("# A\n\n| a | b |\n| --- | --- |\n| <1> | 2 |\n\n- end") == (
        "<h3>A</h3>\n<table><tr><th>a</th><th>b</th></tr><tr><td>&lt;1&gt;</td><td>2</td></tr></table>\n<p>end</p>"
    )


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_works_by_keyboard(results: Results, tmp_path: Path, width: int) -> None:
    write_report(results, tmp_path, draws=5)
    found = keyboard_tour(tmp_path / "report.html", width)
    assert found["images"] == 4
    assert found["without alt"] == 0
    assert found["overflow"] <= 0
    assert found["errors"] == []
    assert found["flicker"] == ["Original of a.png", found["alt"]]
    assert found["zoom"] == ["Zoom 2×", "Zoom 4×", "Zoom 1×"]
    assert found["next"] == "b <i>.png"
    assert found["regions"] is True


def test_published_figures_have_a_source() -> None:
    rows = read_published(PUBLISHED)
    assert all(row.source for row in rows)
    assert {row.codec for row in rows} >= {"PerCo", "DiffEIC", "RDEIC", "StableCodec", "AEIC", "Text+Sketch", "MISC"}
    assert {row.metric for row in rows} <= {"", *METRICS}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("A,Kodak,0.1,psnr,20,", "lacks codec, rate or source"),
        ("A,Kodak,x,psnr,20,paper", "no number"),
        ("A,Kodak,0.1,fid,20,paper", "no metric"),
        ("A,Kodak,nan,psnr,20,paper", "no number"),
        ("A,Kodak,0.1,psnr,inf,paper", "no number"),
        ("A,Kodak,0.1,psnr,20,paper, page 2", "line 2 of p.csv has more than 6 columns"),
        (f"A,Kodak,0.1,psnr,20,{'x' * 200_000}", "is not a CSV: field larger"),
    ],
)
def test_bad_published_figures_are_refused(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "p.csv").write_text(f"codec,dataset,bpp,metric,value,source\n{line}\n")
    with pytest.raises(InputError, match=said):
        read_published(tmp_path / "p.csv")


def test_published_figures_command_no_terminal(tmp_path: Path, misc_command) -> None:
    (tmp_path / "p.csv").write_text("codec,dataset,bpp,metric,value,source\n[/b],[red]d,0.1,psnr,20,a\x1b[2J\n")
    code, out, err = misc_command("eval", "published", tmp_path / "p.csv")
    assert (code, err) == (0, "")
    assert all(words in out for words in ("[/b]", "[red]d", r"a\x1b[2J"))


def test_other_files_are_no_results(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(InputError, match="does not hold results"):
        load(tmp_path)


def test_failures_stand_in_the_tables(results: Results) -> None:
    results.codecs["jpeg"].problem = "it is not installed"
    results.codecs["jpeg"].failed = {"a.png": "the process died"}
    text = tables(results, draws=5)
    assert "jpeg did not run: it is not installed" in text
    assert "jpeg, a.png: the process died" in text
