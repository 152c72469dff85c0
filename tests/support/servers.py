"""An OpenAI-compatible endpoint that does what a test tells it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from misc.bits.text.description import Description, Item, to_json

Step = Callable[[BaseHTTPRequestHandler], None]
CAT = Description("a grey cat on a red sofa", (Item("cat", "grey and asleep"),))


def reply(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Step:
    """Answers with a status, a body, and headers whose names have underscores for hyphens."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def step(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content_Length": str(len(data))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return step


def says(text: Any) -> Step:
    return reply(200, {"choices": [{"message": {"role": "assistant", "content": text}}]})


def sleeps(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.6)


def drips(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(20):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


GOOD = says(json.dumps(to_json(CAT)))


class Server:
    """An OpenAI-compatible endpoint that does one step a request, the last one for ever."""

    def __init__(self) -> None:
        self.steps: list[Step] = [GOOD]
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                step = outer.steps[min(len(outer.requests), len(outer.steps) - 1)]
                outer.requests.append((self.path, dict(self.headers), body))
                try:
                    step(self)
                except OSError:
                    self.close_connection = True  # the client had enough

            def log_message(self, *arguments: object) -> None:
                """Nothing on standard error, where the tests look."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    there = Server()
    there.thread.start()
    yield there
    there.http.shutdown()
    there.thread.join()
    there.http.server_close()
