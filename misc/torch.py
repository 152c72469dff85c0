"""`.misc` files as a torch dataset, for training on compressed images.

    folder ─► files ─► bytes ─► pixel stream ─► draft ─► transform ─┐
                          └───► text, if wanted ─► Record ─► target ┴─► (image, label)

The workers of a `DataLoader` decode the files; each worker loads the models once.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset

from .bits import container, streams
from .bits.container import MAX_BYTES, MAX_PIXELS
from .errors import InputError, LimitError, MiscError

if TYPE_CHECKING:
    from .bits.text.description import Description
    from .codec import Codec

__all__ = ["MiscDataset", "Record"]


@dataclass(frozen=True)
class Record:
    """Facts about a file, for making its label.

    Attributes:
        index: the file's place in the dataset.
        path: of the file.
        width, height: of its image.
        text: the description; None if the file has none or `texts` is False.
    """

    index: int
    path: Path
    width: int
    height: int
    text: Description | None = None


def index_of(record: Record) -> int:
    """The default label of a file: its index."""
    return record.index


class MiscDataset(Dataset[tuple[Any, Any]]):
    """Images of `.misc` files: `dataset[i]` is a pair of image and label, as in torchvision's datasets.

    The dataset can be pickled if its functions can. It holds no models: each process loads its own.

    Args:
        files: a folder, whose `.misc` files (also those in subfolders) are sorted by name; or one file, or a list
            of files.
        transform: maps the image, an RGB image of Pillow, to the value that is returned.
        target: maps the file's Record to the label; the default is the file's index.
        draft: return drafts, the pixel stream's own images, which are fast; if False, draw with the decoder.
        texts: decode texts too, for `target`. A text of a language model takes longer to decode than a draft.
        profile: name, or TOML file, of the profile that wrote the files.
        device: a torch device for drawing.
        max_pixels: the largest image that is decoded.

    Raises:
        InputError: there are no files.
    """

    def __init__(
        self,
        files: str | Path | Sequence[str | Path],
        transform: Callable[[Any], Any] | None = None,
        target: Callable[[Record], Any] = index_of,
        *,
        draft: bool = True,
        texts: bool = False,
        profile: str = "embedded",
        device: str = "cpu",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.files = list_files(files)
        self.transform, self.target = transform, target
        self.draft, self.texts = draft, texts
        self.profile, self.device, self.max_pixels = profile, device, max_pixels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Image and label of a file.

        Raises:
            IndexError: there is no such file.
            MiscError: the file does not decode; the message begins with its name.
        """
        index = range(len(self.files))[index]
        path = self.files[index]
        try:
            image, record = self._decode(index, path)
        except MiscError as error:
            raise type(error)(f"{path}: {error}") from error
        return image if self.transform is None else self.transform(image), self.target(record)

    def _decode(self, index: int, path: Path) -> tuple[Any, Record]:
        data = read(path)
        codec = codec_of(self.profile, self.device, self.max_pixels, os.getpid())
        header, _ = container.read(data, max_pixels=self.max_pixels)
        wanted = ["text", "pixels"] if self.texts else ["pixels"]
        if not self.draft:
            wanted = list(container.SECTIONS)
        content = streams.decode(data, codec.profile.exact_models, max_pixels=self.max_pixels, wanted=wanted)
        record = Record(index, path, header.width, header.height, content.text if self.texts else None)
        return codec.draw(content, draft=self.draft), record


def list_files(files: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files of a dataset, in its order."""
    if isinstance(files, str | Path):
        folder = Path(files)
        if folder.is_file():
            return [folder]
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}")
        paths = sorted(path for path in folder.rglob("*.misc") if path.is_file())
        if not paths:
            raise InputError(f"there are no .misc files in {folder}")
        return paths
    if not files:
        raise InputError("a dataset needs at least one file")
    return [Path(file) for file in files]


def read(path: Path) -> bytes:
    """A file's bytes, up to the largest size of a `.misc` file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(error.strerror or "it cannot be read") from error
    if len(data) > MAX_BYTES:
        raise LimitError(f"it has more than {MAX_BYTES} bytes")
    return data


@functools.lru_cache(maxsize=2)
def codec_of(profile: str, device: str, max_pixels: int, process: int) -> Codec:
    """The codec of a process. A forked process needs new models, because it does not have its parent's threads."""
    from .codec import Codec

    return Codec(profile, device=device, max_pixels=max_pixels)
