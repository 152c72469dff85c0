"""axe-core finds nothing serious on the page: empty, with an image, with the row of all modes."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.axe import DESKTOP, PHONE, grave_faults
from tests.support.images import sample_picture

from .test_page import MINUTES, choose


@pytest.mark.slow(why="a browser waits for the images of all modes")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_on_the_page_keeps_people_out(chromium: Any, address: str, tmp_path: Path, scheme: str) -> None:
    sample_picture(96, 64).save(tmp_path / "photo.png")
    page = chromium.new_page(viewport=PHONE, color_scheme=scheme)
    page.set_default_timeout(60_000 * MINUTES)
    page.goto(address)
    page.wait_for_selector("#compress")
    assert faults_at_both_widths(page) == {"phone": [], "desktop": []}
    choose(page, tmp_path / "photo.png", "pixel", "0.2")
    page.click("#compress")
    page.wait_for_selector("#status >> text=done")
    page.wait_for_selector("#slider img")
    assert faults_at_both_widths(page) == {"phone": [], "desktop": []}
    page.fill("#bpp input", "0.02")  # too little for pixels: some cards have images, some sentences
    page.click("#beside")
    page.wait_for_selector("#status >> text=all modes are done")
    assert faults_at_both_widths(page) == {"phone": [], "desktop": []}


def faults_at_both_widths(page: Any) -> dict[str, list[str]]:
    found = {}
    for name, size in (("phone", PHONE), ("desktop", DESKTOP)):
        page.set_viewport_size(size)
        page.wait_for_timeout(1000)  # Gradio fades what changes in
        found[name] = grave_faults(page)
    return found
