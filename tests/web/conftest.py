"""A server of the page, and the page in a browser where there is one."""

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.axe import PHONE

HAS_GRADIO = importlib.util.find_spec("gradio") is not None
SECONDS = 180


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a folder with a file that is nobody's business."""
    if not HAS_GRADIO:
        pytest.skip("needs Gradio: pip install 'misc-codec[web]'")
    folder = tmp_path_factory.mktemp("server")
    (folder / "secret.txt").write_text("secret")
    port = free_port()
    command = [sys.executable, "-m", "misc", "web", "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}/"
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and status(url) != 200:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def status(url: str, body: Any = None, host: str | None = None) -> int:
    """The status of an answer, 0 if nobody answers."""
    headers = {"content-type": "application/json"} | ({"host": host} if host else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError):
        return 0


@pytest.fixture
def browser(chromium: Any, address: str) -> Iterator[Any]:
    """The page in a phone, which has asked nobody but the server for anything."""
    page = chromium.new_page(viewport=PHONE)
    page.set_default_timeout(1000 * SECONDS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    others = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert others == []
