"""One request to an OpenAI-compatible endpoint, over HTTP by the standard library alone.

    JSON ─► POST {base}/chat/completions ─► status, body
              ▲         │ 408, 429, 5xx, cut off, no answer in time
              └── wait ─┘ 1, 2, 4 s, or as Retry-After says, at most 60 s

Where the endpoint is comes from the environment. The key is sent to that endpoint only: redirects are not followed, and
no message or representation holds it.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import math
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import DescriberError, InputError

__all__ = ["BAD_REQUEST", "FORBIDDEN", "OK", "UNAUTHORISED", "Endpoint", "Reply", "endpoint_from", "post"]

OK, BAD_REQUEST, UNAUTHORISED, FORBIDDEN, REQUEST_TIMEOUT, TOO_MANY, SERVER_ERROR = 200, 400, 401, 403, 408, 429, 500
MAX_RESPONSE = 1 << 20
MAX_WAIT = 60.0
CHUNK = 1 << 16


@dataclass(frozen=True)
class Endpoint:
    """Where to ask.

    Attributes:
        url: base URL, such as http://localhost:8000/v1. model: its name there. key: sent as bearer token if not empty.
        timeout: seconds to connect, and seconds to answer. attempts: before giving up. pause: seconds before the second
            attempt, doubled before each further one.
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
    """The endpoint that MISC_DESCRIBER_URL, MISC_DESCRIBER_MODEL and MISC_DESCRIBER_KEY (may be missing) name.

    Raises:
        InputError: one is missing or cannot be used.
    """
    names = ("MISC_DESCRIBER_URL", "MISC_DESCRIBER_MODEL", "MISC_DESCRIBER_KEY")
    url, model, key = (environment.get(name, "").strip() for name in names)
    for name, value in zip(names, (url, model), strict=False):
        if not value:
            raise InputError(f"the describer http needs {name} in the environment")
    return Endpoint(url, model, key)


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    Attributes:
        status: of HTTP; 0 if nothing came back, below 0 if nothing ever will. body: what came. reason: why nothing did.
        wait: seconds until the server wants the next attempt.
    """

    status: int
    body: bytes = b""
    reason: str = ""
    wait: float = 0.0

    @property
    def transient(self) -> bool:
        """Whether another attempt may go better."""
        return self.status in (0, REQUEST_TIMEOUT, TOO_MANY) or self.status >= SERVER_ERROR


def post(endpoint: Endpoint, body: dict[str, Any], sleep: Callable[[float], None] = time.sleep) -> Reply:
    """The reply to a request, after as many attempts as it takes or as there are.

    Args:
        body: sent as JSON. sleep: waits between attempts.
    """
    data = json.dumps(body).encode()
    reply = exchange(endpoint, data)
    for attempt in range(1, endpoint.attempts):
        if not reply.transient:
            break
        sleep(min(MAX_WAIT, max(reply.wait, endpoint.pause * 2 ** (attempt - 1))))
        reply = exchange(endpoint, data)
    return reply


class EveryStatus(urllib.request.HTTPErrorProcessor):
    """Hands over replies of every status: no exception, and no redirect that would take the key elsewhere."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response


def exchange(endpoint: Endpoint, data: bytes) -> Reply:
    """One attempt.

    Raises:
        DescriberError: the reply is too long.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "misc-codec"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    message = urllib.request.Request(endpoint.address, data, headers, method="POST")
    opener = urllib.request.build_opener(EveryStatus)
    try:
        with opener.open(message, timeout=endpoint.timeout) as response:
            body = read(response, time.monotonic() + endpoint.timeout)
            return Reply(response.status, body, wait=seconds_of(response.headers.get("Retry-After")))
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return Reply(0, reason=late(endpoint))
        transient = isinstance(error.reason, ConnectionResetError | BrokenPipeError)
        return Reply(0 if transient else -1, reason=getattr(error.reason, "strerror", None) or str(error.reason))
    except TimeoutError:
        return Reply(0, reason=late(endpoint))
    except (http.client.HTTPException, OSError):
        return Reply(0, reason="the connection was cut off")


def late(endpoint: Endpoint) -> str:
    return f"it took more than {endpoint.timeout:g} s"


def read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The body.

    Raises:
        DescriberError: it is too long. TimeoutError: the deadline has passed. HTTPException: it was cut off.
    """
    body = b""
    while chunk := response.read1(CHUNK):
        body += chunk
        if len(body) > MAX_RESPONSE:
            raise DescriberError(f"the describer's answer has more than {MAX_RESPONSE} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:  # what the header promised and did not come
        raise http.client.IncompleteRead(body, response.length)
    return body


def seconds_of(header: str | None) -> float:
    """Seconds of a Retry-After header, a number or a date; 0 if it is missing or neither."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError, TypeError):
            return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
