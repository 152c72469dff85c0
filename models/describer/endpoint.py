"""A request to an OpenAI-compatible endpoint, with retries.

    JSON ─► POST {base}/chat/completions ─► status, body
              ▲         │ 408, 429, 5xx, cut off, no answer in time
              └── wait ─┘ 1, 2, 4 s, or as Retry-After says, at most 60 s

The environment names the endpoint. The key is sent only to that endpoint: redirects are not followed, and no message or
representation contains the key.
"""

from __future__ import annotations

import json
import os
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import InputError
from .exchange import Client, Reply

__all__ = ["BAD_REQUEST", "FORBIDDEN", "OK", "UNAUTHORISED", "Endpoint", "endpoint_from", "post"]

OK, BAD_REQUEST, UNAUTHORISED, FORBIDDEN = 200, 400, 401, 403
MAX_WAIT = 60.0


@dataclass(frozen=True)
class Endpoint:
    """Address and settings of an endpoint.

    Attributes:
        url: base URL, such as http://localhost:8000/v1.
        model: its name there.
        key: sent as bearer token if not empty.
        timeout: seconds for the whole answer.
        attempts: largest number of attempts.
        pause: seconds before the second attempt, doubled before each further one.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    attempts: int = 4
    pause: float = 1.0

    def __post_init__(self) -> None:
        try:
            parts = urllib.parse.urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable or not (self.url.isascii() and self.url.isprintable()) or any(c in self.url for c in " ?#@"):
            raise InputError(
                "MISC_DESCRIBER_URL is not a base URL such as http://localhost:8000/v1, without key, query or user"
            )
        if not self.model:
            raise InputError("MISC_DESCRIBER_MODEL does not name a model")
        if not (self.key.isascii() and self.key.isprintable()) or " " in self.key:
            raise InputError("MISC_DESCRIBER_KEY has characters that a key cannot have")

    @property
    def address(self) -> str:
        """URL of the requests."""
        return f"{self.url.rstrip('/')}/chat/completions"


def endpoint_from(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint from MISC_DESCRIBER_URL, MISC_DESCRIBER_MODEL and, if it is set, MISC_DESCRIBER_KEY.

    Raises:
        InputError: one is missing or cannot be used.
    """
    names = ("MISC_DESCRIBER_URL", "MISC_DESCRIBER_MODEL", "MISC_DESCRIBER_KEY")
    url, model, key = (environment.get(name, "").strip() for name in names)
    for name, value in zip(names, (url, model), strict=False):
        if not value:
            raise InputError(f"the describer http needs {name} in the environment")
    return Endpoint(url, model, key)


def post(
    client: Client, endpoint: Endpoint, body: dict[str, Any], sleep: Callable[[float], None] = time.sleep
) -> Reply:
    """The reply to a request, after one or more attempts.

    Args:
        client: sends it.
        body: sent as JSON.
        sleep: waits between attempts.
    """
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "misc-codec"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    reply = client.post(endpoint.address, headers, data, endpoint.timeout)
    for attempt in range(1, endpoint.attempts):
        if not reply.transient:
            break
        sleep(min(MAX_WAIT, max(reply.wait, endpoint.pause * 2 ** (attempt - 1))))
        reply = client.post(endpoint.address, headers, data, endpoint.timeout)
    return reply
