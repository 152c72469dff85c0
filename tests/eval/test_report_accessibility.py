"""axe-core finds nothing serious on the page of a run."""

from pathlib import Path
from typing import Any

import pytest

from misc.eval.report import Results
from misc.eval.report.all import write_report
from tests.support.axe import DESKTOP, PHONE, axe_source, grave_faults

from .test_report import results

__all__ = ["results"]  # a fixture


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_in_the_report_keeps_people_out(chromium: Any, results: Results, tmp_path: Path, scheme: str) -> None:
    axe_source()
    write_report(results, tmp_path, draws=5)
    for size in (PHONE, DESKTOP):
        page = chromium.new_page(viewport=size, color_scheme=scheme)
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_selector("#grid img")
        assert grave_faults(page) == []
        page.focus("#grid figure")
        page.keyboard.press("m")  # regions over the images
        page.keyboard.press("f")  # the original in the place of an image
        assert grave_faults(page) == []
        page.close()
