"""Short English texts for the text coder `words`: python -m misc.train.prepare.glosses --wordnet FOLDER --out FILE.txt

    data.noun, data.verb, data.adj, data.adv ─► definitions and examples of three words or more ─► one per line

FOLDER holds WordNet's dictionary files, as in Debian's package `wordnet-base`. `misc.train.words` reads the result
(`--texts`). WordNet 3.0 is free for any use: https://wordnet.princeton.edu/license-and-commercial-use
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ...cli.app import run_alone

__all__ = ["glosses"]

FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
LEAST_WORDS = 3


def glosses(path: Path) -> Iterator[str]:
    """Definitions and examples of one of WordNet's files, in its order; wndb(5) of WordNet describes the format."""
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith(" "):  # the licence
            continue
        for part in line.partition(" | ")[2].split(";"):
            text = part.strip().strip('"').strip()
            if len(text.split()) >= LEAST_WORDS:
                yield text


def main(
    wordnet: Annotated[Path, typer.Option(help="folder with data.noun, data.verb, data.adj and data.adv")],
    out: Annotated[Path, typer.Option(help="the file of texts, one a line")],
) -> None:
    """Write WordNet's definitions and examples, one per line."""
    texts = [text for name in FILES for text in glosses(wordnet / name)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(texts) + "\n", encoding="utf-8")
    print(f"{len(texts)} texts")


if __name__ == "__main__":
    run_alone(main)
