"""`misc web`: a page to try everything in a browser."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from ..errors import InputError
from .console import ProfileOption, say

__all__ = ["web"]

WEB_PIXELS = 1 << 22  # a laptop's processor draws four megapixels in a minute or two


def web(
    host: Annotated[str, typer.Option(help="address to listen on; others can reach any but the default")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="port to listen on")] = 7860,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="number of pixels that an image may have, at most")
    ] = WEB_PIXELS,
    profile: ProfileOption = "embedded",
) -> None:
    """Serve a page to compress a photo, see what the file holds, and draw it again. Ctrl-C ends it."""
    from ..profiles import load_profile
    from ..web.server import serve

    check_address(host, port)
    try:
        load_profile(profile)
        serve(host, port, profile, max_pixels, lambda url: say(f"{url} until Ctrl-C"))
    except ImportError as error:
        raise InputError(f"`misc web` needs {error.name}: pip install 'misc-codec[web]'") from error


def check_address(host: str, port: int) -> None:
    """Raise InputError if nobody can listen there, before anything is loaded."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, number) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen on {host}:{port}: {reason}") from error
