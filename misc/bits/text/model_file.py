"""Files of language models, and the common part of the coders that read one."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import WeightsError

__all__ = ["ModelCoder", "ModelFile", "PinnedFile"]


class PinnedFile(Protocol):
    """A file that may be pinned, such as `misc.profiles.Part`."""

    @property
    def path(self) -> Path:
        """Where the file is, or would be."""

    @property
    def sha256(self) -> str:
        """The pinned digest in hexadecimal; empty if none is pinned."""

    def sound_path(self) -> Path:
        """The path; WeightsError if the file is found to be missing or damaged."""


@dataclass(frozen=True)
class ModelFile:
    """The file of a language model that no digest pins."""

    path: Path
    sha256: str = ""

    def sound_path(self) -> Path:
        """The path, without a check."""
        return self.path


class ModelCoder:
    """The common part of the coders that use a model file; the file is read when it is first needed.

    Args:
        name: of the coder.
        most: tokens of a text, with the last; part of the format.
        file: of the model.
    """

    lossless = True

    def __init__(self, name: str, most: int, file: PinnedFile) -> None:
        self.name, self.most, self.file = name, most, file

    @property
    def path(self) -> Path:
        """Where the file is now: the cache folder may change with the environment."""
        return self.file.path

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
