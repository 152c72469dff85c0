"""axe-core finds nothing serious on any page of the documentation's site: light on a phone, dark on a desktop."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.axe import DESKTOP, PHONE, axe_source, grave_faults

ROOT = Path(__file__).parents[1]


@pytest.mark.slow(why="a browser looks at every page twice")
def test_no_page_of_the_site_keeps_people_out(chromium: Any, tmp_path: Path) -> None:
    axe_source()
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    pages = sorted(set(tmp_path.rglob("*.html")) - {tmp_path / "404.html"})  # which needs a server for its style
    assert len(pages) > 20
    found: dict[str, list[str]] = {}
    for size, scheme in ((PHONE, "light"), (DESKTOP, "dark")):
        page = chromium.new_page(viewport=size, color_scheme=scheme)
        for path in pages:
            page.goto(path.as_uri())
            if faults := grave_faults(page):
                found[f"{path.relative_to(tmp_path)}, {scheme}"] = faults
    assert found == {}
