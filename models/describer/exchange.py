"""One HTTP request with one deadline, by a client that keeps its connections.

    caller ─► event loop of its own thread ─► asyncio.timeout( connect, send, head of the answer, body ) ─► status, body

A timeout for each read is not enough: a server can send a byte from time to time, in the status line, the header or a
chunk's size, or send `100 Continue` for ever. Therefore the event loop has the deadline and ends the exchange in any
state.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import math
import os
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from ...errors import DescriberError

__all__ = ["Client", "Reply", "kept_client", "seconds_of"]

REQUEST_TIMEOUT, TOO_MANY, SERVER_ERROR = 408, 429, 500
MAX_RESPONSE = 1 << 20
MOST_CONNECTIONS = httpx2.Limits(max_connections=4, keepalive_expiry=30)
T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """The result of a request.

    Attributes:
        status: HTTP status; 0 if no reply came, below 0 if a retry cannot help.
        body: body of the reply.
        reason: why no reply came.
        wait: seconds that the server asks to wait before the next attempt.
    """

    status: int
    body: bytes = b""
    reason: str = ""
    wait: float = 0.0

    @property
    def transient(self) -> bool:
        """Whether another attempt may succeed."""
        return self.status in (0, REQUEST_TIMEOUT, TOO_MANY) or self.status >= SERVER_ERROR


class Client:
    """Sends requests over persistent connections. It follows no redirects, because they could send the key elsewhere.

    It has its own thread, so it also works inside another event loop, as in a notebook.
    """

    def __init__(self) -> None:
        try:
            self._client = httpx2.AsyncClient(timeout=None, follow_redirects=False, limits=MOST_CONNECTIONS)
        except (ImportError, ValueError) as error:
            raise DescriberError(f"the proxy that the environment names cannot be used: {error}") from error
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="misc-http", daemon=True).start()

    def close(self) -> None:
        """Close the connections and end the thread."""
        self._run(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def post(self, address: str, headers: dict[str, str], data: bytes, timeout: float) -> Reply:
        """One attempt.

        Args:
            timeout: seconds for the whole exchange, from the first look-up of the name to the last byte.

        Raises:
            DescriberError: the reply is too long.
        """
        try:
            return self._run(self._exchange(address, headers, data, timeout))
        except TimeoutError:
            return Reply(0, reason=f"it took more than {timeout:g} s")
        except httpx2.ConnectError as error:
            cause = root(error)
            transient = isinstance(cause, ConnectionResetError | BrokenPipeError)
            return Reply(0 if transient else -1, reason=words_of(cause))
        except (httpx2.HTTPError, httpx2.StreamError, OSError):
            return Reply(0, reason="the connection was cut off")
        except httpx2.InvalidURL as error:
            return Reply(-1, reason=str(error))

    async def _exchange(self, address: str, headers: dict[str, str], data: bytes, timeout: float) -> Reply:
        body = b""
        headers = headers | {"Accept-Encoding": "identity"}  # so that the limit applies to the bytes received
        async with (
            asyncio.timeout(timeout),
            self._client.stream("POST", address, headers=headers, content=data) as response,
        ):
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_RESPONSE:
                    raise DescriberError(f"the describer's answer has more than {MAX_RESPONSE} bytes")
            return Reply(response.status_code, body, wait=seconds_of(response.headers.get("Retry-After")))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise


def words_of(error: BaseException) -> str:
    """The system's message for an error, in place of asyncio's."""
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error)


def kept_client() -> Client:
    """This process's client."""
    return client_of(os.getpid())


@functools.cache
def client_of(process: int) -> Client:
    """The client of a process; a forked process needs a new one, because it lacks its parent's threads."""
    return Client()


def root(error: BaseException) -> BaseException:
    """The error at the bottom of a chain: the system's own."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    if isinstance(error, BaseExceptionGroup):
        return root(error.exceptions[0])
    return error


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
