"""axe-core looks at a page in Chromium: its faults of accessibility that keep people out.

The script is named by MISC_AXE (`npm install axe-core`, then node_modules/axe-core/axe.min.js); it comes with no test.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["DESKTOP", "PHONE", "chromium", "grave_faults"]

GRAVE = ("serious", "critical")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
FAULTS = """async () => (await axe.run()).violations.flatMap(({ id, impact, nodes }) => nodes.map((node) => ({
  id, impact, target: node.target.join(" "), html: node.html.slice(0, 160),
  why: [...node.any, ...node.all, ...node.none].map(({ message }) => message).join("; "),
})))"""


@pytest.fixture
def chromium() -> Iterator[Any]:
    """Chromium, without a page."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def axe_source() -> str:
    """The script, or the test is skipped."""
    name = os.environ.get("MISC_AXE", "")
    if not name or not Path(name).is_file():
        pytest.skip("needs axe-core: MISC_AXE names its axe.min.js")
    return Path(name).read_text(encoding="utf-8")


def grave_faults(page: Any) -> list[str]:
    """What axe-core calls serious or critical on a page as it is now, a line each with the element and why."""
    page.evaluate(axe_source())
    found = page.evaluate(FAULTS)
    return [json.dumps(each) for each in found if each["impact"] in GRAVE]
