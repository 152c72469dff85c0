"""Faults of the model hub, of the network and of settings, each as the end of one sentence.

Messages of huggingface_hub are not passed on, because they contain signed addresses, headers and tokens.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["Refused", "attempted", "quiet", "reason_of"]

Result = TypeVar("Result")

ATTEMPTS, PAUSE = 3, 2.0  # attempts of a request to a busy or broken hub; seconds before the second attempt
BREAKS, SILENT, BUSY, BROKEN = (
    "the connection breaks off",
    "the hub does not answer",
    "the hub asks to come back later",
    "the hub is out of order",
)
OFFLINE = "HF_HUB_OFFLINE is set"
REASONS = {  # by the names of exceptions of huggingface_hub and of httpx, the special before the general
    "GatedRepoError": "its terms must be accepted on its page at the hub, and HF_TOKEN must be of the account that did",
    "DisabledRepoError": "the hub has closed it",
    "RepositoryNotFoundError": "the hub has no such repository, or does not show it",
    "RevisionNotFoundError": "the hub no longer has this revision",
    "EntryNotFoundError": "the hub no longer has one of its files",
    "OfflineModeIsEnabled": OFFLINE,
    "LocalProtocolError": "HF_TOKEN has characters that a token cannot have",
    "UnicodeEncodeError": "HF_TOKEN has characters that a token cannot have",
    "UnsupportedProtocol": "HF_ENDPOINT is not a hub's address",
    "InvalidURL": "HF_ENDPOINT is not a hub's address",
    "ConnectError": SILENT,
    "TimeoutException": SILENT,
    "ProxyError": SILENT,
    "ImportError": "a package is not installed, such as socksio, which a SOCKS proxy needs",
    "TransportError": BREAKS,
}
STATUSES = {401: "the hub does not take the token in HF_TOKEN", 403: "the hub refuses access", 408: SILENT, 429: BUSY}
WRAPPERS = ("LocalEntryNotFoundError", "IncompleteSnapshotError")  # their cause gives the reason


class Refused(Exception):  # noqa: N818 - no error of the program: the next mirror may do
    """A repository is not available; the text is the end of a sentence that says why."""

    @property
    def unreachable(self) -> bool:
        """Whether the fault concerns all repositories."""
        return str(self) in (SILENT, OFFLINE)


def attempted(request: Callable[[], Result], *, patient: bool = False) -> Result:
    """A request's result; it is repeated if the hub is busy or out of order or the connection breaks.

    Args:
        patient: also repeat it if the hub does not answer, because it answered a moment ago.

    Raises:
        Refused: the last attempt failed too.
        OSError: of this machine's disk.
    """
    for attempt in range(ATTEMPTS):
        try:
            return request()
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
                raise
            reason = reason_of(error)
            again = reason in (BREAKS, BUSY, BROKEN) or (patient and reason == SILENT)
            if attempt == ATTEMPTS - 1 or not again:
                raise Refused(reason) from error
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError


def reason_of(error: BaseException) -> str:
    """Why something failed, in MISC's own words."""
    while type(error).__name__ in WRAPPERS and error.__cause__ is not None:
        error = error.__cause__
    for kind in type(error).__mro__:
        if kind.__name__ in REASONS:
            return REASONS[kind.__name__]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return STATUSES.get(status) or (BROKEN if status >= 500 else f"the hub answers with status {status}")
    return BREAKS if isinstance(error, OSError) else "what answers is no model hub"


@contextmanager
def quiet() -> Iterator[None]:
    """A block in which huggingface_hub says nothing."""
    from huggingface_hub.utils import logging as hub_logging

    before = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hub_logging.set_verbosity(before)
