"""Hooks of mkdocs: what the site has beside the pages of `docs/`.

- Files that lie beside `docs/` (README, CHANGELOG, the cards of weights ...) become pages, and links to them work there
  too: in the repository a page links to `../README.md`, on the site that is `readme.md`.
- `results.md` is the README's part "Measured", `reference/commands.md` what the commands say of themselves.
- `<!-- published -->` and `<!-- measured -->` become tables of `docs/results/`.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")
RESULTS, COMMANDS = "results.md", "reference/commands.md"
COLUMNS = {"bpp": ("bpp", 5), "psnr": ("PSNR dB", 2), "st_lpips": ("ST-LPIPS", 3), "vit_patch": ("ViT patch", 3),
           "clip": ("CLIP likeness", 3)}  # fmt: skip
ROWS = ("misc", "misc --draft", "draft/4 -> x4plus", "AVIF/4 -> x4plus", "text", "text, best of 64")


def outside() -> dict[str, str]:
    """Pages of the site by files of the repository, both by name."""
    pages = {name: name.lower() for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
    for card in sorted(ROOT.glob("checkpoints/embedded/*/README.md")):
        pages[card.relative_to(ROOT).as_posix()] = f"cards/{card.parent.name}.md"
    return pages


@event_priority(100)  # mkdocstrings looks for the tree when it is configured
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lay the packages out as they are installed, one folder misc, for who reads their docstrings from source."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    tree = ROOT / "build/tree"
    shutil.rmtree(tree, ignore_errors=True)
    for name, folder in folders.items():
        for path in (ROOT / folder).rglob("*.py"):
            place = tree / name.replace(".", "/") / path.relative_to(ROOT / folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for source, page in outside().items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    files.append(File.generated(config, RESULTS, content=results()))
    files.append(File.generated(config, COMMANDS, content=commands()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages, and marks into tables."""
    here = page.file.src_uri
    markdown = markdown.replace("<!-- published -->", published_table()).replace("<!-- measured -->", measured_table())
    return LINK.sub(lambda match: move_link(match, here), markdown)


def move_link(match: re.Match[str], here: str) -> str:
    """A link, from the page `here` of the site."""
    pages = outside()
    if re.match(r"\w+:|/", match[2]):
        return match[0]
    source = next((name for name, uri in pages.items() if uri == here), f"docs/{here}")
    if here == RESULTS:
        source = "README.md"
    wanted = os.path.normpath(os.path.join(os.path.dirname(source), match[2]))
    if wanted not in pages and not wanted.startswith("docs/"):
        return match[0]  # not on the site: mkdocs says so
    uri = pages.get(wanted) or wanted.removeprefix("docs/")
    return f"{match[1]}{os.path.relpath(uri, os.path.dirname(here) or '.')}{match[3]}"


def results() -> str:
    """The README's measured figures as a page."""
    text = (ROOT / "README.md").read_text()
    part = re.search(r"^## Measured\n(.*?)(?=^## )", text, re.M | re.S)
    assert part, "the README has no part that is called Measured"
    return "# Results\n" + re.sub(r"^### ", "## ", part[1], flags=re.M)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def published_table() -> str:
    """Figures that others have published."""
    with (ROOT / "docs/results/published.csv").open(newline="") as file:
        rows = [
            [row["codec"], row["dataset"], row["bpp"], row["metric"].upper() or "-", row["value"] or "-", row["source"]]
            for row in csv.DictReader(file)
        ]
    return table(["codec", "photos", "bpp", "metric", "value", "source"], rows)


def measured_table() -> str:
    """Rows of the decoder's figures."""
    facts = json.loads((ROOT / "docs/results/decoder.json").read_text())["rows"]
    rows = [[f"`{name}`", *(f"{facts[name][key]:.{n}f}" for key, (_, n) in COLUMNS.items())] for name in ROWS]
    return table(["drawn by", *(head for head, _ in COLUMNS.values())], rows)


def commands() -> str:
    """All commands, with their arguments and options, as the program describes them."""
    from typer.main import get_command

    from misc.cli.app import app
    from misc.cli.man import EXIT_CODES, leaves

    group: Any = get_command(app)
    parts = [
        "# Commands",
        group.help,
        f"Exit codes: {', '.join(f'{code} {what}' for code, what in EXIT_CODES.items())}.",
    ]
    for path, command in leaves(group, ["misc"]):
        usage = command.get_usage(command.make_context(" ".join(path), [], resilient_parsing=True))
        usage = " ".join(usage.split()).removeprefix("Usage: ")
        parts.append(f"## {' '.join(path)}\n\n    {usage}\n\n{escape(command.help or '')}")
        rows = [[" ".join(f"`{name}`" for name in [*each.opts, *each.secondary_opts]), escape(each.help or "")]
                for each in command.params if each.param_type_name == "option" and each.name != "help"]  # fmt: skip
        if rows:
            parts.append(table(["option", ""], rows))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """A text in one line that Markdown takes as it is, in a table too."""
    return " ".join(text.split()).replace("|", "\\|").replace("{", "&#123;").replace("[", "\\[")


def name_dialog(output: str) -> str:
    """A page whose search dialog has the name that screen readers need."""
    dialog = 'data-md-component="search" role="dialog"'
    return output.replace(dialog, dialog + ' aria-label="Search"')


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Give the theme's search dialog its name."""
    return name_dialog(output)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """The same for pages that are no documents, such as that of status 404."""
    return name_dialog(output_content)
