"""The guard in front of a page that passes everything: what comes through is the guard's own doing."""

import asyncio
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from misc.web.guard import SAFE, Guard, RateLimit, RefusedError, foreign_paths

Message = MutableMapping[str, Any]


async def page(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """Answers every request with the body that it got, and says that anything may be cached."""
    body, more = b"", scope["method"] == "POST"
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"public")]})
    await send({"type": "http.response.body", "body": body})


class Client:
    def __init__(self, folder: Path, count: int = 1000, hosts: Any = ("127.0.0.1", "localhost", "::1")) -> None:
        self.now = 0.0
        self.guard = Guard(page, folder, hosts, RateLimit(count, 60, lambda: self.now), 1000)

    def ask(self, method: str, path: str, parts: Any = (), host: str = "127.0.0.1:7860", client: str = "a") -> Any:
        waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        waiting.append({"type": "http.request", "body": b"", "more_body": False})
        sent: list[Message] = []

        async def receive() -> Message:
            return waiting.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "client": (client, 1), "query_string": b"",
                 "headers": [(b"host", host.encode())]}  # fmt: skip
        asyncio.run(self.guard(scope, receive, send))
        self.headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


@pytest.fixture
def client(tmp_path: Path) -> Client:
    (tmp_path / "page").mkdir()
    return Client(tmp_path / "page")


@pytest.mark.parametrize(
    "path", ["/", "/config", "/assets/index.js", "/gradio_api/queue/data", "/gradio_api/heartbeat/x"]
)
def test_what_the_page_needs_passes(client: Client, path: str) -> None:
    assert client.ask("GET", path)[0] == 200
    for name, value in SAFE.items():
        assert client.headers[name] == value


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/docs"),
        ("GET", "/gradio_api/proxy=http://example.org/"),
        ("GET", "/gradio_api/stream/a/b/c/playlist.m3u8"),
        ("GET", "/monitoring"),
        ("GET", "/static/../../secret"),
        ("GET", "/gradio_api/queue/data/more"),
        ("POST", "/gradio_api/run/compress"),
        ("POST", "/gradio_api/call/predict"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/"),
        ("PUT", "/config"),
    ],
)
def test_nothing_else_does(client: Client, method: str, path: str) -> None:
    assert client.ask(method, path)[0] == 404
    assert client.headers["content-security-policy"] == SAFE["content-security-policy"]


def test_files_of_the_page_alone_are_served(client: Client, tmp_path: Path) -> None:
    folder, secret = tmp_path / "page", tmp_path / "secret"
    secret.write_text("secret")
    (folder / "image.png").write_text("image")
    (folder / "link").symlink_to(secret)
    assert client.ask("GET", f"/gradio_api/file={folder}/image.png")[0] == 200
    for path in (
        secret,
        folder / "link",
        "/etc/passwd",
        f"{folder}/%2e%2e/secret",
        "http://example.org/",
        f"{folder}x/a",
    ):
        assert client.ask("GET", f"/gradio_api/file={path}")[0] in (403, 404), path


def test_a_request_names_no_file_of_the_server(client: Client, tmp_path: Path) -> None:
    def join(path: str) -> int:
        body = json.dumps({"data": [1, {"deep": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}]}).encode()
        status, got = client.ask("POST", "/gradio_api/queue/join", [body[:20], body[20:]])
        assert status != 200 or got == body
        return int(status)

    assert join(str(tmp_path / "page" / "photo.png")) == 200
    for path in ("/etc/passwd", "http://example.org/a.png", "relative.png", f"{tmp_path}/page/../secret", "/a\0b"):
        assert join(path) == 403, path
    assert client.ask("POST", "/gradio_api/queue/join", [b'{"p\\u0061th": "/etc/passwd"}'])[0] == 403
    assert client.ask("POST", "/gradio_api/queue/join", [b'{"path": '])[0] == 400
    assert client.ask("POST", "/gradio_api/queue/join", [b"[" * 200_000])[0] == 400
    with pytest.raises(RefusedError):
        foreign_paths(b"\xff")


def test_what_is_too_large_is_refused_while_it_comes(client: Client) -> None:
    assert client.ask("POST", "/gradio_api/upload", [bytes(1000)])[0] == 200
    assert client.ask("POST", "/gradio_api/upload", [bytes(40_000)] * 2)[0] == 413
    assert client.ask("POST", "/gradio_api/queue/join", [b'"' + b"a" * (1 << 18), b'"'])[0] == 413


def test_a_client_has_its_share_of_a_minute(tmp_path: Path) -> None:
    client = Client(tmp_path, count=2)
    statuses = [client.ask("POST", "/gradio_api/upload")[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert client.ask("POST", "/gradio_api/upload", client="b")[0] == 200
    assert client.ask("GET", "/")[0] == 200
    client.now = 59.9
    assert client.ask("POST", "/gradio_api/queue/join", [b"{}"])[0] == 429
    client.now = 60.1
    assert client.ask("POST", "/gradio_api/queue/join", [b"{}"])[0] == 200
    assert set(client.guard.limit.times) == {"a"}  # b is forgotten


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "[::2]:7860"])
def test_other_names_of_the_machine_are_refused(client: Client, host: str) -> None:
    assert client.ask("GET", "/", host=host)[0] == 403


def test_own_names_and_any_name_when_asked_for(client: Client, tmp_path: Path) -> None:
    for host in ("localhost", "LOCALHOST:80", "[::1]:7860", "127.0.0.1"):
        assert client.ask("GET", "/", host=host)[0] == 200
    assert Client(tmp_path, hosts=None).ask("GET", "/", host="box.local")[0] == 200
