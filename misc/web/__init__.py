"""A page to try MISC in a browser: `misc web`. It needs Gradio (extra `web`); `steps` alone does not."""

from __future__ import annotations

__all__: list[str] = []
