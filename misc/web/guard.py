"""A filter between the network and the page: it passes only requests that the page needs.

request ─► known host? ─► known route? ─► few enough? ─► small enough? ─► names no file of the server? ─► Gradio

Gradio checks uploads and served files, too. These checks do not depend on its version.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

__all__ = ["Guard", "RateLimit", "foreign_paths"]

API = "/gradio_api/"
PAGES = frozenset({"/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"})
FOLDERS = ("/assets/", "/static/", "/svelte/")
GETS = ("queue/data", "heartbeat/", "upload_progress", "startup-events", "theme.css", "info", "file=")
JSON_POSTS = ("queue/join", "run/predict", "cancel", "reset")  # run/predict is Stop, which does not wait in the queue
POSTS = (*JSON_POSTS, "upload")
JOBS = ("queue/join", "run/predict", "upload")  # limited for each client
MAX_JSON = 1 << 18  # bytes

SAFE = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class RefusedError(Exception):
    """A request that is not passed on; the status of its answer and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class RateLimit:
    """At most `count` requests of a client in any `seconds`."""

    def __init__(self, count: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.count, self.seconds, self.clock = count, seconds, clock
        self.times: dict[str, deque[float]] = {}

    def admits(self, client: str) -> bool:
        """Whether one more request is allowed; if so, it is counted."""
        now = self.clock()
        for name in [name for name, times in self.times.items() if times[-1] <= now - self.seconds]:
            del self.times[name]
        times = self.times.setdefault(client, deque())
        while times and times[0] <= now - self.seconds:
            times.popleft()
        if len(times) >= self.count:
            return False
        times.append(now)
        return True


class Guard:
    """The ASGI application in front of another.

    Args:
        app: the application behind the filter.
        folder: the only folder whose files are served or may be named in requests.
        hosts: allowed host names of requests, without port; None for any.
        limit: of jobs and uploads of one client.
        max_upload: bytes of a file, at most.
    """

    def __init__(
        self, app: App, folder: Path, hosts: Collection[str] | None, limit: RateLimit, max_upload: int
    ) -> None:
        self.app, self.folder, self.hosts = app, folder.resolve(), hosts
        self.limit, self.max_upload = limit, max_upload

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [pair for pair in message.get("headers", []) if pair[0].decode().lower() not in SAFE]
                headers += [(name.encode(), value.encode()) for name, value in SAFE.items()]
                message = {**message, "headers": headers}
            await send(message)

        try:
            route = self.check(scope)
            await self.app(scope, await self.check_body(route, scope, receive), send_safely)
        except RefusedError as refused:
            if not started:
                await answer(send_safely, refused)

    def check(self, scope: Mapping[str, Any]) -> str:
        """The request's route below the API, or an empty text for parts of the page itself.

        Raises:
            RefusedError: the host or the route is not allowed, or the client sent too many requests.
        """
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if self.hosts is not None and host_of(headers.get("host", "")) not in self.hosts:
            raise RefusedError(403, "this page is not known by that name")
        path, method = unquote(scope["path"]), scope["method"]
        if ".." in path.split("/"):
            raise RefusedError(404, "there is no such page")
        if method in ("GET", "HEAD") and (path in PAGES or path.startswith(FOLDERS)):
            return ""
        route = path.removeprefix(API) if path.startswith(API) else None
        routes = POSTS if method == "POST" else GETS if method in ("GET", "HEAD") else ()
        if route is None or not any(begins(route, known) for known in routes):
            raise RefusedError(404, "there is no such page")
        if route.startswith("file=") and not self.inside(route.removeprefix("file=")):
            raise RefusedError(403, "that is no file of this page")
        client = scope.get("client") or ("unknown", 0)
        if begins(route, *JOBS) and not self.limit.admits(str(client[0])):
            raise RefusedError(429, "too many requests; wait a minute")
        return route

    async def check_body(self, route: str, scope: Mapping[str, Any], receive: Receive) -> Receive:
        """The receive function for the request's body: an upload is counted while it arrives, JSON is read first.

        Raises:
            RefusedError: it is too large, or names a file that is not the page's.
        """
        if scope["method"] != "POST":
            return receive
        if not begins(route, *JSON_POSTS):
            return limit_body(receive, self.max_upload + (1 << 16))  # room for the multipart form around the file
        take, body = limit_body(receive, MAX_JSON), b""
        while True:
            message = await take()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "the request ended too early")
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if any(not self.inside(path) for path in foreign_paths(body)):
            raise RefusedError(403, "that is no file of this page")
        given = False

        async def once() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return once

    def inside(self, path: str) -> bool:
        """Whether a path, after all links, is in the page's folder."""
        if "\0" in path:
            return False
        return Path(path).resolve().is_relative_to(self.folder)


def host_of(header: str) -> str:
    """The host of a `Host` header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def begins(route: str, *known: str) -> bool:
    """Whether a route is one of `known`, or begins with one of them that ends in / or =."""
    return any(route.rstrip("/") == each or (each[-1] in "/=" and route.startswith(each)) for each in known)


def limit_body(receive: Receive, most: int) -> Receive:
    """A receive function for a body of at most `most` bytes."""
    taken = 0

    async def take() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise RefusedError(413, "the file is too large")
        return message

    return take


def foreign_paths(body: bytes) -> list[str]:
    """All file paths in a request's JSON.

    Raises:
        RefusedError: it is not JSON.
    """
    try:
        values = [json.loads(body or b"null")]
    except (ValueError, RecursionError):
        raise RefusedError(400, "the request is no JSON") from None
    paths: list[str] = []
    while values:
        value = values.pop()
        if isinstance(value, dict):
            paths += [str(value["path"])] if value.get("path") else []
            values += value.values()
        elif isinstance(value, list):
            values += value
    return paths


async def answer(send: Send, refused: RefusedError) -> None:
    """A refusal as JSON, in the form in which Gradio's page shows errors."""
    body = json.dumps({"detail": str(refused), "error": str(refused)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
