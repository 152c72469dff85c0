"""One deadline for the whole answer, whatever a server does with its bytes."""

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from misc.errors import DescriberError
from misc.models.describer.exchange import Client, kept_client

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = HEAD + b"Content-Length: 2\r\n\r\n{}"
Serve = Callable[[Iterator[bytes]], str]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    there = Client()
    yield there
    there.close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server that sends the given bytes to every connection, 20 ms apart; returns its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def start(parts: Iterator[bytes]) -> str:
        def answer() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    for part in parts:
                        if ending.wait(0.02):
                            return
                        connection.sendall(part)

        threading.Thread(target=answer, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions"

    yield start
    ending.set()
    listener.close()


def drip(text: bytes) -> Iterator[bytes]:
    return (text[i : i + 1] for i in range(len(text)))


ENDLESS = {
    "status line": lambda: drip(b"HTTP/1.1 200 " + b"O" * 10_000),
    "header": lambda: itertools.chain([HEAD], drip(b"X-A: " + b"a" * 10_000)),
    "headers": lambda: itertools.chain([HEAD], itertools.repeat(b"X-A: a\r\n")),
    "100 Continue": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunk size": lambda: itertools.chain([CHUNKED], itertools.repeat(b"0")),
    "chunk extension": lambda: itertools.chain([CHUNKED + b"1;"], itertools.repeat(b"a")),
    "body": lambda: itertools.chain([HEAD + b"Content-Length: 100000\r\n\r\n"], itertools.repeat(b" ")),
    "nothing": lambda: (time.sleep(1) or b"" for _ in range(10)),
}


@pytest.mark.parametrize("where", sorted(ENDLESS))
def test_the_deadline_is_of_the_whole_answer(client: Client, serve: Serve, where: str) -> None:
    address = serve(iter(ENDLESS[where]()))
    start = time.monotonic()
    reply = client.post(address, {}, b"{}", 0.4)
    assert 0.3 < time.monotonic() - start < 3
    assert (reply.status, reply.reason, reply.transient) == (0, "it took more than 0.4 s", True)


def test_the_deadline_holds_where_nobody_accepts(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        held = [socket.socket() for _ in range(3)]
        for each in held:  # fill the queue
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        start = time.monotonic()
        reply = client.post(f"http://127.0.0.1:{port}/", {}, b"{}", 0.4)
        assert time.monotonic() - start < 3
        assert reply.reason == "it took more than 0.4 s"
        for each in held:
            each.close()


def test_an_endless_body_is_cut_by_its_length(client: Client, serve: Serve) -> None:
    body = itertools.chain([HEAD + b"\r\n"], itertools.repeat(b" " * (1 << 18)))
    with pytest.raises(DescriberError, match="more than 1048576 bytes"):
        client.post(serve(body), {}, b"{}", 20)


def test_a_good_answer_comes_after_a_bad_one(client: Client, serve: Serve) -> None:
    assert client.post(serve(itertools.repeat(b"\0")), {}, b"{}", 5).reason == "the connection was cut off"
    reply = client.post(serve(drip(GOOD)), {}, b"{}", 20)
    assert (reply.status, reply.body) == (200, b"{}")


def test_it_works_inside_another_event_loop(client: Client, serve: Serve) -> None:
    async def notebook() -> int:
        return client.post(serve(iter([GOOD])), {}, b"{}", 20).status

    assert asyncio.run(notebook()) == 200


def test_a_name_that_nobody_has(client: Client) -> None:
    reply = client.post("http://nosuch.invalid/v1", {}, b"{}", 20)
    assert (reply.status, reply.transient) == (-1, False)


def test_the_client_is_kept() -> None:
    assert kept_client() is kept_client()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "strange://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_one_sentence(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(DescriberError, match="the proxy that the environment names"):
        Client()
