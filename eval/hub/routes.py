"""Answers of the local hub: routes, headers and error codes for huggingface_hub 1 and 2.

It supports `HfApi.model_info`, `HfApi.list_repo_tree` and `hf_hub_download`.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
import urllib.parse
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

from .repository import WEIGHTS, Repository, entries, headers_of, sha256_of

if TYPE_CHECKING:
    from .server import Fault, HubServer

__all__ = ["SIGNATURE", "HubHandler"]

SIGNATURE = "secret-signature"  # in URLs of the storage: nobody but the storage may get to see it
PAGE = 50
NAMES = r"(?P<name>[^/]+/[^/]+)"
INFO = re.compile(rf"/api/models/{NAMES}(?:/revision/(?P<revision>[^/]+))?")
TREE = re.compile(rf"/api/models/{NAMES}/tree/(?P<revision>[^/]+)/?")
RESOLVE = re.compile(rf"/{NAMES}/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
CACHED = re.compile(rf"/api/resolve-cache/models/{NAMES}/(?P<revision>[^/]+)/(?P<file>.+)")
STORED = re.compile(r"/cdn/(?P<sha256>[0-9a-f]{64})")


class HubHandler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    hub: HubServer
    fault: Fault | None

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.answer()

    def do_GET(self) -> None:
        """Answer with a body."""
        self.answer()

    def log_message(self, *arguments: object) -> None:
        """Nothing on standard error, where people read."""

    def answer(self) -> None:
        """Apply a planned fault, or answer by the route."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.note(self.command, self.path, headers)
        self.fault = self.hub.fault_of(f"{self.command} {self.path}")
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        try:
            if self.fault and self.fault.kind == "silent":
                time.sleep(self.fault.pause)
                self.close_connection = True
            elif self.fault and self.fault.kind == "status":
                self.reply(self.fault.status, b"{}", dict(self.fault.headers))
            else:
                self.route(path)
        except OSError:
            self.close_connection = True  # the client had enough

    def route(self, path: str) -> None:
        """Answer by the first route that fits."""
        if found := STORED.fullmatch(path):
            self.send_stored(found["sha256"])
            return
        for pattern, send in ((TREE, self.send_tree), (INFO, self.send_info), (RESOLVE, self.send_file)):
            if (found := pattern.fullmatch(path)) and self.known(found["name"], found["revision"]):
                send(self.hub.repositories[found["name"]], found)
                return
            if found:
                return
        if (found := CACHED.fullmatch(path)) and self.known(found["name"], found["revision"]):
            repository = self.hub.repositories[found["name"]]
            self.send_content(repository.files()[found["file"]], headers_of(repository, found["file"]))
        elif not found:
            self.reply(404, b"{}")

    def known(self, name: str, revision: str | None) -> bool:
        """Whether there are such a repository and revision; if not, that has been said."""
        if name not in self.hub.repositories:
            self.refuse(401, "RepoNotFound", "Invalid username or password.")
            return False
        if revision not in (None, "main", self.hub.repositories[name].commit):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return False
        return True

    def send_info(self, repository: Repository, found: re.Match[str]) -> None:
        """Send the facts about a repository."""
        siblings = [
            {"rfilename": each["path"], "size": each["size"], "blobId": each["oid"]}
            | ({"lfs": each["lfs"] | {"sha256": each["lfs"]["oid"]}} if "lfs" in each else {})
            for each in entries(repository)
        ]
        facts = {
            "id": found["name"],
            "modelId": found["name"],
            "sha": repository.commit,
            "private": False,
            "gated": "manual" if repository.token else False,
            "disabled": False,
            "tags": [],
            "siblings": siblings,
        }
        self.reply(200, json.dumps(facts).encode(), {"Content-Type": "application/json"})

    def send_tree(self, repository: Repository, found: re.Match[str]) -> None:
        """A page of the list of files."""
        start = int(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("cursor", ["0"])[0])
        rows = entries(repository)
        headers = {"Content-Type": "application/json"}
        if start + PAGE < len(rows):
            path = self.path.partition("?")[0]
            headers["Link"] = f'<{self.hub.url}{path}?recursive=true&cursor={start + PAGE}>; rel="next"'
        self.reply(200, json.dumps(rows[start : start + PAGE]).encode(), headers)

    def send_file(self, repository: Repository, found: re.Match[str]) -> None:
        """Where a file is: on this host, or in the storage."""
        name = found["file"]
        path = repository.files().get(name)
        if repository.token and self.headers.get("Authorization") != f"Bearer {repository.token}":
            status = 403 if "Authorization" in self.headers else 401
            self.refuse(status, "GatedRepo", f"Access to model {found['name']} is restricted.")
        elif path is None or not path.is_file():
            self.refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": repository.commit})
        elif name.endswith(WEIGHTS):
            headers = headers_of(repository, name)
            query = f"?Signature={SIGNATURE}"
            location = f"http://localhost:{self.hub.port}/cdn/{sha256_of(path)}{query}"
            self.reply(302, b"", headers | {"Location": location})
        else:
            location = f"/api/resolve-cache/models/{found['name']}/{repository.commit}/{urllib.parse.quote(name)}"
            self.reply(307, b"", headers_of(repository, name) | {"Location": location})

    def send_stored(self, sha256: str) -> None:
        """Weights of the storage."""
        for repository in self.hub.repositories.values():
            for name, path in repository.files().items():
                if name.endswith(WEIGHTS) and path.is_file() and sha256_of(path) == sha256:
                    self.send_content(path, {"ETag": f'"{sha256}"'})
                    return
        self.reply(403, b"<Error><Code>AccessDenied</Code></Error>")

    def send_content(self, path: Path, headers: dict[str, str]) -> None:
        """A file, whole or from a byte on, with the fault that is due."""
        size = path.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(wanted[1]) if wanted else 0
        if wanted and first >= size:
            self.reply(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        kind = self.fault.kind if self.fault else ""
        self.send_response(206 if wanted else 200)
        if wanted:
            headers = headers | {"Content-Range": f"bytes {first}-{size - 1}/{size}"}
        if kind == "short":
            headers = headers | {"Connection": "close"}
        else:
            headers = headers | {"Content-Length": str(size - first), "Accept-Ranges": "bytes"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        end = first + (size - first) // 2 if kind in ("break", "reset", "short") else size
        with path.open("rb") as file:
            file.seek(first)
            while (position := file.tell()) < end:
                chunk = file.read(min(1 << 20 if kind != "slow" else 1 << 12, end - position))
                if kind == "flip" and position <= first + (size - first) // 2 < position + len(chunk):
                    place = first + (size - first) // 2 - position
                    chunk = chunk[:place] + bytes([chunk[place] ^ 1]) + chunk[place + 1 :]
                self.wfile.write(chunk)
                if kind == "slow" and self.fault:
                    time.sleep(self.fault.pause)
        if kind in ("break", "reset", "short"):
            self.close_connection = True
        if kind == "reset":
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def refuse(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        """An error with the hub's own code."""
        extra = {"X-Error-Code": code, "X-Error-Message": message} | dict(headers or {})
        self.reply(status, json.dumps({"error": message}).encode(), extra)

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
