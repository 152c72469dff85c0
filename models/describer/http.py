"""A describer behind an OpenAI-compatible endpoint.

image ─► JPEG in a data URL ─► endpoint.post ─► choices[0].message.content
"""

from __future__ import annotations

import base64
import functools
import io
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from ...bits.text.description import Description
from ...errors import DescriberError
from .answer import describe_all, schema
from .endpoint import BAD_REQUEST, FORBIDDEN, OK, UNAUTHORISED, Endpoint, post
from .exchange import Reply, kept_client

__all__ = ["HttpDescriber"]

JPEG_QUALITY = 90
REFUSALS = (BAD_REQUEST, 422, 501)
WISHES = {  # words in a refusal, and the fields that are then left out of requests
    (b"max_tokens", b"temperature"): ("max_tokens", "temperature"),  # some models take neither
    (b"response_format", b"schema", b"grammar", b"structured"): ("response_format",),
}
MAX_MESSAGE = 200  # characters of the server's message that an error repeats


class HttpDescriber:
    """Describes by asking an endpoint.

    Args:
        sleep: waits between attempts.
    """

    def __init__(self, endpoint: Endpoint, sleep: Callable[[float], None] = time.sleep) -> None:
        self.endpoint = endpoint
        self.sleep = sleep
        self.refused: set[str] = set()

    def describe(self, image: Image.Image, items: int = 3) -> Description:
        """As `misc.models.describer.describer.Describer.describe`."""
        return describe_all(functools.partial(self.ask, items=items), [image], items)[0]

    def ask(
        self, images: Sequence[Image.Image], requests: Sequence[str], most_tokens: int, items: int = 3
    ) -> list[str]:
        """As `misc.models.describer.answer.Ask`, one image after the other; the schema allows `items` items."""
        return [self.answer(*each, most_tokens, items) for each in zip(images, requests, strict=True)]

    def answer(self, image: Image.Image, text: str, most_tokens: int, items: int = 3) -> str:
        """The server's answer to an image and a request.

        Optional fields that the server refuses are not sent again.
        """
        message = {"role": "user", "content": [image_part(image), {"type": "text", "text": text}]}
        body: dict[str, Any] = {"model": self.endpoint.model, "messages": [message], "stream": False}
        wishes: dict[str, Any] = {"max_tokens": most_tokens, "temperature": 0, "response_format": answer_format(items)}
        for _ in range(len(WISHES) + 1):
            asked = {name: value for name, value in wishes.items() if name not in self.refused}
            reply = post(kept_client(), self.endpoint, body | asked, self.sleep)
            more = refused_wishes(reply) - self.refused
            if not more:
                break
            self.refused |= more
        if reply.status != OK:
            raise DescriberError(self.failure(reply))
        return content(reply.body, self.endpoint.address)

    def failure(self, reply: Reply) -> str:
        """One sentence about a failed request."""
        where = f"the describer at {self.endpoint.address}"
        if reply.status in (UNAUTHORISED, FORBIDDEN):  # the body of these may repeat the key
            return f"{where} did not accept MISC_DESCRIBER_KEY (status {reply.status})"
        tried = f" in {self.endpoint.attempts} attempts" if reply.transient else ""
        if reply.status <= 0:
            return f"{where} gave no answer{tried}: {reply.reason}"
        words = server_message(reply.body)
        if self.endpoint.key:
            words = words.replace(self.endpoint.key, "***")
        return f"{where} answered with status {reply.status}{tried}" + (f": {words[:MAX_MESSAGE]}" if words else "")


def answer_format(items: int) -> dict[str, Any]:
    """The field that asks for JSON with MISC's schema, for OpenAI, vLLM, llama.cpp and Ollama."""
    return {"type": "json_schema", "json_schema": {"name": "description", "strict": True, "schema": schema(items)}}


def refused_wishes(reply: Reply) -> set[str]:
    """Optional fields that a server says it does not accept."""
    if reply.status not in REFUSALS:
        return set()
    return {name for words, names in WISHES.items() if any(each in reply.body for each in words) for name in names}


def image_part(image: Image.Image) -> dict[str, Any]:
    """An image in OpenAI's protocol."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    url = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def content(body: bytes, address: str) -> str:
    """The text in a reply.

    Raises:
        DescriberError: the reply has another shape.
    """
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DescriberError(f"the describer at {address} answered with something else than JSON") from error
    try:
        text = value["choices"][0]["message"]["content"]
    except (LookupError, TypeError) as error:
        raise DescriberError(f"the describer at {address} answered without choices[0].message.content") from error
    if not isinstance(text, str):
        raise DescriberError(f"the describer at {address} answered without any text")
    return text


def server_message(body: bytes) -> str:
    """The server's error message on one line; empty if there is none that can be read."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    error = value.get("error", value) if isinstance(value, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    return "".join(c if c.isprintable() else " " for c in text) if isinstance(text, str) else ""
