"""Hooks of mkdocs: files that lie beside `docs/` become pages of the site, and links to them work there too.

In the repository a page links to `../README.md`; on the site that is the page `readme.md`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")


def outside() -> dict[str, str]:
    """Pages of the site by files of the repository, both by name."""
    pages = {name: name.lower() for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
    for card in sorted(ROOT.glob("checkpoints/embedded/*/README.md")):
        pages[card.relative_to(ROOT).as_posix()] = f"cards/{card.parent.name}.md"
    return pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for source, page in outside().items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    pages = outside()
    here = page.file.src_uri
    source = next((name for name, uri in pages.items() if uri == here), f"docs/{here}")

    def moved(match: re.Match[str]) -> str:
        target = match[2]
        if re.match(r"\w+:|/", target):
            return match[0]
        wanted = os.path.normpath(os.path.join(os.path.dirname(source), target))
        uri = pages.get(wanted) or wanted.removeprefix("docs/")
        if wanted not in pages and not wanted.startswith("docs/"):
            return match[0]  # not on the site: mkdocs says so
        return f"{match[1]}{os.path.relpath(uri, os.path.dirname(here) or '.')}{match[3]}"

    return LINK.sub(moved, markdown)
