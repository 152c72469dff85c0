"""Files of language models, and the common part of the coders that read one."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import WeightsError

__all__ = ["ModelCoder", "ModelFile"]


@dataclass(frozen=True)
class ModelFile:
    """The file of a language model.

    Attributes:
        sha256: its pinned digest in hexadecimal; if none is pinned, the digest of the file.
        check: returns the path after checking that the file is sound; without it, the path is not checked.
    """

    path: Path
    sha256: str = ""
    check: Callable[[], Path] | None = None

    def sound_path(self) -> Path:
        """The path; WeightsError if the file is found to be missing or damaged."""
        return self.check() if self.check else self.path


class ModelCoder:
    """The common part of the coders that use a model file; the file is read when it is first needed.

    Args:
        name: of the coder.
        most: tokens of a text, with the last; part of the format.
        file: of the model.
    """

    lossless = True

    def __init__(self, name: str, most: int, file: ModelFile) -> None:
        self.name, self.most, self.file = name, most, file
        self.path = file.path

    @functools.cached_property
    def digest(self) -> bytes:
        """SHA-256 of the model."""
        if self.file.sha256:
            return bytes.fromhex(self.file.sha256)
        try:
            return hashlib.sha256(self.path.read_bytes()).digest()
        except OSError as error:
            raise WeightsError(f"the language model {self.path.name} cannot be read: {error.strerror}") from error

    @property
    def available(self) -> bool:
        """Whether the model file is there."""
        return self.path.is_file()
