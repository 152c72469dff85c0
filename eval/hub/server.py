"""A model hub on this machine: folders served over HTTP as huggingface_hub expects it, with faults on demand.

    GET  /api/models/NAME[/revision/REV][?blobs=true]   facts: commit, gated, files with sizes and checksums
    GET  /api/models/NAME/tree/REV                      the files again, in pages
    HEAD, GET /NAME/resolve/REV/FILE                    a small file: 307 to /api/resolve-cache/... on this host
                                                        weights: 302 to another host, with a signature in the URL
    GET  /cdn/SHA256                                    weights, whole or from a byte on

`huggingface_hub` finds it by HF_ENDPOINT, read when it is imported. It listens to this machine alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

from .repository import Repository, entries
from .routes import SIGNATURE, HubHandler

__all__ = ["SIGNATURE", "Fault", "HubServer", "Repository", "Request"]


@dataclass
class Fault:
    """A planned fault for requests whose path contains some words.

    Attributes:
        path: words of the path with its method before it, such as `GET /cdn/`.
        kind: `status`, an answer of that status; `break`, the connection ends half-way; `reset`, it is reset there;
            `short`, half of the body, and nobody says how much it was; `flip`, a wrong byte; `slow`, a pause between
            parts; `silent`, no answer.
        times: how often; for ever if it is None.
        status, headers: of the answer.
        pause: seconds.
    """

    path: str
    kind: str
    times: int | None = None
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.05


@dataclass(frozen=True)
class Request:
    """A received request: its method, its path with the query, its headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]


class HubServer:
    """A hub of some repositories.

    Args:
        repositories: by name, such as `maker/net`.

    Attributes:
        faults: the first that fits a request is done to it.
        requests: all received requests.
    """

    def __init__(self, repositories: Mapping[str, Repository]) -> None:
        self.repositories = dict(repositories)
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (HubHandler,), {"hub": self}))
        self.http.daemon_threads = True
        self.port = int(self.http.server_address[1])

    @property
    def url(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    def paths(self, words: str) -> list[str]:
        """Paths of all requests whose method and path hold these words."""
        return [each.path for each in self.requests if words in f"{each.method} {each.path}"]

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        """A block in which the hub answers. Checksums are made first: for large weights that takes half a minute."""
        for repository in self.repositories.values():
            entries(repository)
        thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.http.shutdown()
            thread.join()
            self.http.server_close()

    def note(self, method: str, path: str, headers: dict[str, str]) -> None:
        """Keep that a request came."""
        self.requests.append(Request(method, path, headers))

    def fault_of(self, request: str) -> Fault | None:
        """The fault that is due for a request, which is counted."""
        with self.lock:
            for fault in self.faults:
                if fault.path in request and fault.times != 0:
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault
        return None
