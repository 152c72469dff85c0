"""Profiles: the weights of each part, their source and their licence. Imports no torch."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from .bits.pixels import entropy_model
from .bits.pixels.entropy_model import LatentModel
from .bits.streams import ExactModels
from .bits.text import Coders, make_coders
from .decoder_profile import X4PLUS, CascadeProfile, DecoderProfile, HubPart, decoder_from, hub_part
from .errors import InputError, WeightsError
from .profile_files import ENDING, profile_names, read_own, read_table
from .weights.checks import State, cache_folder, digest, require, state_of
from .weights.packages import Package
from .weights.safe import load, refusing

__all__ = ["Derived", "Part", "Profile", "load_profile", "profile_names", "readers"]

SMALL_NAME, WORDS_NAME = "lm-small", "words"


@dataclass(frozen=True)
class Part:
    """One part's weights: a path below misc/checkpoints, and their licence.

    Attributes:
        sha256: of the file; pinned if it decodes symbols, so that a damaged file is never used to encode.
    """

    weights: str
    licence: str
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.sha256 and not re.fullmatch("[0-9a-f]{64}", str(self.sha256)):
            raise InputError(f"the SHA-256 of {self.weights} is 64 hexadecimal digits, not {self.sha256}")

    @property
    def path(self) -> Path:
        """The file of weights below misc/checkpoints."""
        return Path(str(resources.files("misc.checkpoints"))) / self.weights

    def sound_path(self) -> Path:
        """The path, after checking that the file is sound.

        Raises:
            WeightsError: the file is pinned, and missing or damaged.
        """
        return require(self.path, self.sha256) if self.sha256 else self.path

    def state(self, *, thorough: bool = False) -> State:
        """Whether the file exists and is sound; without a pinned digest, existence is enough."""
        if self.sha256:
            return state_of(self.path, self.sha256, thorough=thorough)
        return State.HERE if self.path.is_file() else State.MISSING


@dataclass(frozen=True)
class Derived:
    """A language model that `pull` makes from a package's file: its coder's name, its digest."""

    name: str
    source: str
    digest: str

    @property
    def path(self) -> Path:
        """The file in the cache, named by its digest."""
        return cache_folder() / f"{self.name}-{self.digest[:12]}.safetensors"

    @property
    def sha256(self) -> str:
        """The digest, under the name that other files have for it."""
        return self.digest

    def sound_path(self) -> Path:
        """The path, after checking that the file is sound.

        Raises:
            WeightsError: the file is missing or damaged.
        """
        return require(self.path, self.digest, whole=digest_of)

    def state(self, *, thorough: bool = False) -> State:
        """Whether the file exists and is sound. thorough: read all of it, whatever its stamp says."""
        return state_of(self.path, self.digest, whole=digest_of, thorough=thorough)


def digest_of(path: Path) -> str:
    """The digest of a file's arrays. Their order in the file depends on the version of safetensors."""
    with refusing(path, "a language model"):
        return digest(load(path).tensors)


@dataclass(frozen=True)
class Profile:
    """One set of parts.

    Attributes:
        describer, locator: the embedded models that describe an image and locate its items.
        decoder, cascade: a diffusion decoder or the embedded decoder; without either, images are drafts.
        hub: models from a hub for other parts, such as a describer.
    """

    name: str
    description: str
    hyperprior: Part
    language_model: Derived
    small_language_model: Part
    words: Part
    packages: dict[str, Package]
    describer: Part | None = None
    locator: Part | None = None
    detector: Part | None = None
    subjects: Part | None = None
    decoder: DecoderProfile | None = None
    cascade: CascadeProfile | None = None
    hub: dict[str, HubPart] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """The fields, without what was loaded by them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def draws(self) -> bool:
        """Whether the profile has a decoder, so that images are more than drafts."""
        return self.decoder is not None or self.cascade is not None

    def hub_parts(self) -> list[tuple[HubPart, bool]]:
        """All parts from a model hub, and whether each is optional."""
        return [*(self.decoder.hub_parts() if self.decoder else []), *((part, False) for part in self.hub.values())]

    @functools.cached_property
    def entropy_model(self) -> LatentModel:
        """The integer entropy model of the pixel stream; profiles with the same pinned weights share it."""
        shared = self.hyperprior.sha256
        return pinned_entropy_model(self.hyperprior) if shared else entropy_model.load(self.hyperprior.path)

    @functools.cached_property
    def text_coders(self) -> Coders:
        """All text coders by number; those whose weights are missing say so in `available`."""
        large, small = self.language_model, self.small_language_model
        return make_coders({large.name: large, SMALL_NAME: small, WORDS_NAME: self.words})

    @property
    def exact_models(self) -> ExactModels:
        """Every model that reads symbols, and the user's own memory, if any: seeds are numbers of its photos."""
        return ExactModels(self.entropy_model, self.text_coders, self.own_memory)

    @functools.cached_property
    def own_memory(self) -> bytes:
        """SHA-256 of the user's memory; empty for the one that comes with MISC.

        Raises:
            WeightsError: the file cannot be read.
        """
        memory = Path(self.cascade.memory) if self.cascade else Path()
        if not memory.is_absolute():
            return b""
        try:
            return hashlib.sha256(memory.read_bytes()).digest()
        except OSError as error:
            raise WeightsError(f"the memory {memory} cannot be read: {error.strerror}") from error

    def weights_digest(self) -> str:
        """SHA-256 over all weights that come with MISC or are the user's own: with other ones images differ.

        Raises:
            WeightsError: one of them cannot be read.
        """
        names = [part.weights for part in vars(self).values() if isinstance(part, Part)]
        if self.cascade:
            names += [name for name in (self.cascade.upsampler, self.cascade.memory) if name not in ("", X4PLUS)]
        digest = hashlib.sha256()
        for path in (Path(str(resources.files("misc.checkpoints"))) / name for name in names):
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
        return digest.hexdigest()


@functools.cache
def pinned_entropy_model(weights: Part) -> LatentModel:
    """The entropy model of pinned weights; WeightsError if they are missing or damaged."""
    return entropy_model.load(weights.sound_path())


def load_profile(name: str | Path = "embedded") -> Profile:
    """A profile; the same object for the same name.

    Args:
        name: of `profile_names`, or path of a TOML file of the user's own (`misc.profile_files`).

    Raises:
        UsageError: there is no profile of that name.
        InputError: the file does not exist, or is not a valid profile.
    """
    text = str(name)
    if not text.endswith(ENDING):
        return read_profile(text)
    path = Path(text).absolute()
    try:
        facts = path.stat()
    except OSError:
        return read_own_profile(path)  # says what is wrong
    return read_own_profile(path, facts.st_mtime_ns, facts.st_size)


@functools.cache
def read_profile(name: str) -> Profile:
    """A profile of MISC's own, once for each name."""
    return profile_of(name, read_table(name))


@functools.cache
def read_own_profile(path: Path, *facts: int) -> Profile:
    """The profile of a user's own file, once for each path, time of change and size."""
    table = read_own(path)
    try:
        return profile_of(path.stem, table)
    except (KeyError, TypeError, AttributeError) as error:
        wrong = re.search(r"unexpected keyword argument '(.+)'", str(error))
        what = wrong[1] if wrong else str(error)
        raise InputError(f"the profile {path} has a setting that no profile can have: {what}") from error


def profile_of(name: str, table: dict[str, Any]) -> Profile:
    """The profile of a whole table."""
    return Profile(
        name,
        table["description"],
        Part(**table["hyperprior"]),
        Derived(**table["language_model"]),
        Part(**table["small_language_model"]),
        Part(**table["words"]),
        {key: Package(**value) for key, value in table["packages"].items()},
        describer=Part(**table["describer"]) if "describer" in table else None,
        locator=Part(**table["locator"]) if "locator" in table else None,
        detector=Part(**table["detector"]) if "detector" in table else None,
        subjects=Part(**table["subjects"]) if "subjects" in table else None,
        decoder=decoder_from(table["decoder"]) if "decoder" in table else None,
        cascade=CascadeProfile(**table["cascade"]) if "cascade" in table else None,
        hub={key: hub_part(value) for key, value in table.get("hub", {}).items()},
    )


def readers(fingerprint: int, *own: str) -> list[str]:
    """The profiles that can read files with a fingerprint, among those of MISC and the user's own.

    Profiles with the same exact models can read each other's files; they may differ in describer and decoder.

    Args:
        own: names or paths, as for `load_profile`.
    """
    names = list[str]()
    for name in (*profile_names(), *(each for each in own if each.endswith(ENDING))):
        try:
            if fingerprint in load_profile(name).exact_models.fingerprints:
                names.append(name)
        except WeightsError:  # its weights are missing or damaged, so it cannot read files now
            continue
    return names
