"""The figures in README and cards are the committed ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from misc.eval import pixel_stream, text_stream
from misc.eval.decoder import COLUMNS, markdown_of
from misc.rate_control import AUTO_BPP, TEXT_SHARE

ROOT = Path(__file__).parents[2]


def cells(row: dict[str, float]) -> str:
    """A row's figures as they stand in a table."""
    return " | ".join(f"{row[column]:.{digits}f}" for column, (_, digits) in COLUMNS.items()) + " |"


@pytest.mark.parametrize("bpp", ["0.006", "0.01", "0.024"])
def test_the_upsamplers_figures_are_the_committed_ones(bpp: str) -> None:
    result = json.loads((ROOT / f"docs/results/upsampler_{bpp}.json").read_text())
    readme, card = ((ROOT / f"{folder}README.md").read_text() for folder in ("", "checkpoints/embedded/decoder/"))
    assert len(result["photos"]) == 10
    for name in ("draft", "x4plus", "upsampler"):
        title = {"draft": name, "x4plus": "unmodified x4plus"}.get(name, f"`{name}.safetensors`")
        assert f"| {bpp} | {title} | {cells(result['rows'][name])}" in card
        assert bpp != "0.024" or cells(result["rows"][name]) in readme


def test_the_pixel_streams_table_is_the_committed_one() -> None:
    result = json.loads((ROOT / "docs/results/pixel_stream.json").read_text())
    assert result["photos"] == len(result["per_photo"]) == 24
    readme = (ROOT / "README.md").read_text()
    assert pixel_stream.markdown_of(result) in readme
    said, rates, speed = readme.replace("\n", " "), result["bd_rate_percent"], result["speed"]
    assert f"Bjontegaard rate: {rates['st_lpips']:.1f} % on ST-LPIPS, {rates['psnr']:.1f} % on PSNR" in said
    assert f"within {100 * (result['estimate']['file'] / result['estimate']['estimate'] - 1):.1f} % of the bits" in said
    seconds = [speed[f"{name}_s"] for name in ("encode", "encode_without_effort", "decode")]
    assert "to a budget takes {:.2f} s, {:.2f} s with `--effort 0`, and decoding {:.2f} s".format(*seconds) in said
    millions = [speed[f"coder_{way}_per_s"] / 1e6 for way in ("encode", "decode")]
    assert f"encodes {millions[0]:.0f} million symbols per second and decodes {millions[1]:.0f} million" in said
    padding = result["padding_bytes"]
    assert f"costs {100 * (padding['one_over'] / padding['at_multiple'] - 1):.0f} % more bytes" in said


def test_the_decoders_table_is_the_committed_one() -> None:
    result = json.loads((ROOT / "docs/results/decoder.json").read_text())
    assert result["photos"] == len(result["per_photo"]) == 24
    readme = (ROOT / "README.md").read_text()
    assert markdown_of(result) in readme
    for step, gain in result["gains"].items():
        assert f"{step} {gain['gain']:+.3f} ({gain['error']:.3f})" in readme
    for name in ("pixel", "misc", "AVIF/4 -> x4plus"):
        assert all(photo[name]["bpp"] <= 0.024 for photo in result["per_photo"].values() if name in photo)


@pytest.mark.parametrize(("file", "photos"), [("names_kodak", "Kodak"), ("names_boxes", "COCO with boxes")])
def test_the_names_table_is_the_committed_one(file: str, photos: str) -> None:
    result = json.loads((ROOT / f"docs/results/{file}.json").read_text())
    shares = (f"{100 * result[key]:.1f} %" for key in ("names right", "first name right", "sentence right"))
    row = f"| {photos}, {result['photos']} | {result['names a photo']:.2f} | {' | '.join(shares)} |"
    assert row in (ROOT / "README.md").read_text()


def test_the_decoders_seconds_are_the_committed_ones() -> None:
    result = json.loads((ROOT / "docs/results/resources.json").read_text())
    small, text, large = (result[name] for name in ("misc 768x512", "text 768x512", "misc 2048x1365"))
    said = (ROOT / "README.md").read_text().replace("\n", " ")
    assert f"768x512 in {small['seconds']:.1f} s with pixels ({small['peak_gib']:.1f} GiB)" in said
    assert f"{text['seconds']:.1f} s without ({text['peak_gib']:.1f} GiB)" in said
    assert f"2048x1365 in {large['seconds']:.1f} s ({large['peak_gib']:.1f} GiB)" in said
    assert all(value for name in ("misc same", "text same") for value in result[name].values())


@pytest.mark.parametrize(("name", "dtype"), [("sd15", "float32"), ("sdxl", "bfloat16")])
def test_the_full_size_figures_are_the_committed_ones(name: str, dtype: str) -> None:
    result = json.loads((ROOT / f"docs/results/full_size_{name}.json").read_text())
    fetch, draw = result["stages"]["fetch"], result["stages"]["draw"]
    said = (ROOT / "docs/gpu.md").read_text().replace("\n", " ")
    assert (result["size"], result["type"]) == ("full", dtype)
    assert f"{fetch['bytes'] / 1e9:.1f} GB fetched and checked in {fetch['seconds']:.0f} s" in said
    assert f"at most {draw['peak_gib']:.1f} GiB of memory, and a relative error of 0.0" in said
    assert result["relative error"] == 0


def test_mode_auto_changes_where_it_was_measured_to() -> None:
    crossings = json.loads((ROOT / "docs/results/crossing.json").read_text())["crossings"]
    measured = (crossings["vit_patch"] + crossings["clip"]) / 2
    assert abs(AUTO_BPP - measured) < 0.0005
    assert f"the streams of `misc` from {AUTO_BPP} bpp on" in (ROOT / "README.md").read_text()


def test_text_and_regions_have_the_share_that_was_measured() -> None:
    result = json.loads((ROOT / "docs/results/share.json").read_text())
    assert result["chosen"] == TEXT_SHARE == 1 / 10
    assert len(result["photos"]) == 8
    assert "take at most a tenth of the file" in (ROOT / "README.md").read_text()


def test_the_text_coders_table_is_the_committed_one() -> None:
    result = json.loads((ROOT / "docs/results/text_stream.json").read_text())
    assert result["descriptions"]["texts"] == result["captions"]["texts"] == 36
    text = (ROOT / "README.md").read_text()
    assert text_stream.markdown_of(result) in text
    bits = result["dlsvc_sentence_bits"]
    assert f"{bits['lzw']} bits by `lzw`, {bits['lm-large']} by `lm-large`, {bits['lm-small']} by `lm-small`" in text


def test_what_the_memory_finds_is_the_committed_figure() -> None:
    result = json.loads((ROOT / "docs/results/recall_boxes.json").read_text())
    text = (ROOT / "README.md").read_text()
    for name, row in result["rows"].items():
        assert f"{name} {row['clip']:.3f}, {row['structure']:.3f}" in text
    gain = result["gains"]["text to text+map"]["clip"]
    assert f"{gain['gain']:+.3f} (standard error {gain['error']:.3f})" in text
    assert f"for {result['images']} COCO photos" in text


def test_the_semantics_table_is_the_committed_one() -> None:
    result = json.loads((ROOT / "docs/results/semantics.json").read_text())
    text = (ROOT / "README.md").read_text()
    captions, where = result["captions"], result["localisation"]["locator"]
    assert f"| {captions['bleu_4']:.3f}, {captions['cider']:.3f} |" in text
    assert f"(COCO) | {100 * result['names']['mentioned']:.1f} % |" in text
    assert f"| {100 * where['pointing']:.1f} %, {where['iou']:.3f} |" in text
    assert f"| {result['regions']['MISC']['mean']:.1f} | |" in text
    cards = {name: (ROOT / f"checkpoints/embedded/{name}/README.md").read_text() for name in ("describer", "locator")}
    assert f"| {captions['bleu_4']:.3f}, {captions['cider']:.3f} |" in cards["describer"]
    assert f" | {100 * result['names']['mentioned']:.1f} % |" in cards["describer"]
    recall = ", ".join(f"{100 * share:.1f}" for share in result["retrieval"].values())
    assert f"| {recall} % |" in text
    assert f"| {recall} % |" in cards["locator"]
