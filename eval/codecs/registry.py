"""Names of codecs, and how each is opened.

misc:MODE[@PROFILE]   avif   avif/2   avif/4   avif/4+x4plus   compressai:MODEL   a name of group `misc.codecs`
classical             every format at every size        rivals   classical, and x4plus after AVIF, WebP and JPEG XL
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from ...errors import InputError, UsageError
from ...modes import MODES
from ...profile_files import ENDING
from ...profiles import load_profile
from .classical import DIVISORS, FORMATS
from .codec import Codec, Setting
from .commands import parse

__all__ = ["CLASSICAL", "GROUP", "ONE_RATE", "expand", "open_codec"]

ONE_RATE = frozenset({"dlsvc", "micro", "text", "text+map"})  # modes: the size of their files depends on the text only
GROUP = "misc.codecs"
CLASSICAL = tuple(name if divisor == 1 else f"{name}/{divisor}" for name in FORMATS for divisor in DIVISORS)
UPSAMPLED = tuple(f"{name}/4+x4plus" for name in ("avif", "webp", "jxl"))
SETS = {"classical": CLASSICAL, "rivals": (*CLASSICAL, *UPSAMPLED)}


def expand(names: Sequence[str], commands: Sequence[str] = (), seed: int | None = None) -> list[Setting]:
    """Settings of codecs by their names; sets of names become their members.

    Args:
        names: as above.
        commands: in the form of `--codec-cmd`.
        seed: of MISC's decoder.

    Raises:
        UsageError: there is no such codec, or one is named twice.
    """
    settings = [setting_of(name, seed) for each in names for name in SETS.get(each, (each,))]
    settings += [parse(command) for command in commands]
    known: dict[str, Setting] = {}
    for setting in settings:
        if known.setdefault(setting.name, setting) != setting:
            raise UsageError(f"two codecs are named {setting.name}")
    if not known:
        raise UsageError("there is no codec to run")
    return list(known.values())


def setting_of(name: str, seed: int | None) -> Setting:
    """The setting of the codec with a name.

    Raises:
        UsageError: there is none.
    """
    family, _, rest = name.partition(":")
    if family == "misc" and rest:
        mode, _, profile = rest.partition("@")
        if mode not in MODES:
            raise UsageError(f"there is no mode {mode!r} of misc; there is {', '.join(MODES)}")
        options = {"mode": mode, "seed": seed, **profile_options(profile or "embedded")}
        return Setting(name, "misc", mode in ONE_RATE, options)
    if family == "compressai" and rest:
        return Setting(name, "neural", options={"name": rest})
    if name in UPSAMPLED:
        return Setting(name, "upsampled", options={"name": name.partition("/")[0]})
    if name in CLASSICAL:
        form, _, divisor = name.partition("/")
        return Setting(name, "classical", options={"name": form, "divisor": int(divisor or 1)})
    if name in classes():
        return Setting(name, "class", options={"name": name})
    known = ", ".join(["misc:MODE", *SETS, *CLASSICAL, *UPSAMPLED, "compressai:MODEL", *classes()])
    raise UsageError(f"there is no codec {name!r}; there is {known}")


def profile_options(profile: str) -> dict[str, str]:
    """What a setting says of a profile: its name, or the path and content of the user's own file, and its weights."""
    loaded = load_profile(profile)
    if not profile.endswith(ENDING):
        return {"profile": loaded.name, "content": loaded.weights_digest()}
    file = Path(profile).absolute()
    return {"profile": str(file), "content": hashlib.sha256(file.read_bytes()).hexdigest() + loaded.weights_digest()}


def classes() -> dict[str, metadata.EntryPoint]:
    """Classes of other packages, by their names."""
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def open_codec(setting: Setting) -> Codec:
    """The codec of a setting, in the process that uses it.

    Raises:
        InputError, WeightsError: a package or weights that it needs are missing.
    """
    options: dict[str, Any] = setting.options
    if setting.kind == "misc":
        from .misc_modes import MiscMode

        return MiscMode(**options)
    if setting.kind == "classical":
        from .classical import Classical

        return Classical(**options)
    if setting.kind == "upsampled":
        from .upsampled import Upsampled

        return Upsampled(**options)
    if setting.kind == "neural":
        from .neural import Neural

        return Neural(**options)
    if setting.kind == "command":
        from .commands import Command

        return Command(**options)
    made = classes()[options["name"]].load()()
    if not isinstance(made, Codec):
        raise InputError(f"codec {setting.name} has no encode and decode")
    return made
