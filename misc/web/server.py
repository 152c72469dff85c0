"""The server: the page behind its filter, on one address. It keeps no data and calls no other host."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .guard import Guard, RateLimit
from .steps import MAX_UPLOAD

__all__ = ["LOCAL", "make_app", "serve"]

LOCAL = ("127.0.0.1", "localhost", "::1")
REQUESTS, SECONDS = 30, 60.0  # jobs and uploads of one client
SETTINGS = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def make_app(folder: Path, profile: str, max_pixels: int, hosts: tuple[str, ...] | None = LOCAL) -> Guard:
    """The page as an ASGI application.

    Args:
        folder: an empty folder for temporary files; the caller removes it.
        profile: name or TOML file of the profile that is selected at first.
        max_pixels: the largest image that is accepted.
        hosts: as in `Guard`.
    """
    os.environ.update(SETTINGS, GRADIO_TEMP_DIR=str(folder))  # Gradio reads them when it is imported and built
    import fastapi
    import gradio as gr

    from . import accessibility
    from .page import CSS, Settings, build_page

    inner: Any = fastapi.FastAPI(openapi_url=None)
    page = build_page(Settings(profile, max_pixels, folder))
    app: Any = gr.mount_gradio_app(
        inner, page, path="/", footer_links=[], show_error=False, max_file_size=MAX_UPLOAD, ssr_mode=False,
        theme=accessibility.THEME, css=accessibility.CSS + CSS, js=accessibility.SCRIPT,
        enable_monitoring=False, mcp_server=False, run_history=False, pwa=False,
    )  # fmt: skip
    return Guard(app, folder, hosts, RateLimit(REQUESTS, SECONDS), MAX_UPLOAD)


def serve(host: str, port: int, profile: str, max_pixels: int, ready: Callable[[str], None]) -> None:
    """Serve the page until the process is interrupted.

    Args:
        host: address to listen on.
        port: to listen on.
        profile: as `make_app`.
        max_pixels: as `make_app`.
        ready: called with the page's address.
    """
    import uvicorn

    with tempfile.TemporaryDirectory(prefix="misc-web-") as name:
        app = make_app(Path(name), profile, max_pixels, LOCAL if host in LOCAL else None)
        address = f"[{host}]" if ":" in host else host
        ready(f"http://{address}:{port}/")
        config = uvicorn.Config(app, host=host, port=port, log_level="error", access_log=False, server_header=False,
            timeout_graceful_shutdown=1,  # open pages hold their connections for ever
        )  # fmt: skip
        uvicorn.Server(config).run()
