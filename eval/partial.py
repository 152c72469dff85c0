"""Results of a long measurement, kept line by line, so that a stopped one can be continued.

    first line: the settings ─► one line per result: {"name": ..., "answer": ...}

The file has the name of the file for the figures plus `.part`. It is removed when the figures are written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError

__all__ = ["Partial"]


class Partial:
    """Results by name. A line that a kill left incomplete is dropped.

    Args:
        path: of the file for the figures; None keeps the results only in memory.
        asked: the settings that the results depend on, as JSON values.

    Raises:
        InputError: the file belongs to another measurement, or cannot be read or written.
    """

    def __init__(self, path: Path | None, asked: Mapping[str, Any]) -> None:
        self.path = None if path is None else path.with_name(f"{path.name}.part")
        self.answers: dict[str, Any] = {}
        if self.path is None:
            return
        try:
            first = json.dumps(asked).encode() + b"\n"
            held = self.path.read_bytes() if self.path.exists() else b""
            if first.startswith(held):  # empty, or an incomplete first line
                self.path.write_bytes(first)
                return
            lines = held.split(b"\n")
            if json.loads(lines[0]) != asked:
                raise InputError(f"{self.path} is of a measurement that asked for something else: remove it")
            for line in lines[1:-1]:
                entry = json.loads(line)
                self.answers[entry["name"]] = entry["answer"]
            os.truncate(self.path, sum(len(line) + 1 for line in lines[:-1]))
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{self.path} is damaged: remove it") from error

    def add(self, name: str, answer: Any) -> None:
        """Keep a result, also on the disk."""
        self.answers[name] = answer
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"name": name, "answer": answer}) + "\n")

    def done(self) -> None:
        """Remove the file: the figures are written."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
