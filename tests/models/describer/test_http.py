"""The HTTP describer against a real server on the loopback that can be told to fail."""

import base64
import email.utils
import io
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from misc.bits.text.description import Description, to_json
from misc.errors import DescriberError, InputError
from misc.models.describer import endpoint as describer_endpoint
from misc.models.describer.describer import describer_for
from misc.models.describer.endpoint import Endpoint, endpoint_from
from misc.models.describer.exchange import seconds_of
from misc.models.describer.http import HttpDescriber
from misc.profiles import load_profile
from tests.support.images import sample_picture
from tests.support.servers import CAT, GOOD, Server, Step, drips, hangs_up, reply, says, sleeps

KEY = "sk-very-secret-0123"


@pytest.fixture
def waits() -> list[float]:
    """Seconds that were waited between attempts."""
    return []


@pytest.fixture
def ask(server: Server, waits: list[float]) -> Callable[..., Description]:
    def call(image: Image.Image | None = None, items: int = 3, **changes: Any) -> Description:
        endpoint = Endpoint(**({"url": server.url, "model": "tiny", "key": KEY, "timeout": 5.0} | changes))
        return HttpDescriber(endpoint, waits.append).describe(image or sample_picture(), items)

    return call


def test_what_is_sent_and_what_comes_back(server: Server, ask) -> None:
    assert ask(sample_picture(3000, 1500)) == CAT
    ((path, headers, body),) = server.requests
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["temperature"], body["stream"]) == ("tiny", 0, False)
    assert 100 < body["max_tokens"] < 1000
    (message,) = body["messages"]
    image, text = message["content"]
    assert "at most 50 words" in text["text"]
    head, data = image["image_url"]["url"].split(",")
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (head, sent.format, sent.size) == ("data:image/jpeg;base64", "JPEG", (1024, 512))


def test_without_a_key_none_is_sent(server: Server, ask) -> None:
    ask(key="")
    assert "Authorization" not in server.requests[0][1]


@pytest.mark.parametrize("fault", [reply(500), reply(503, b"<html>"), reply(429), reply(408), hangs_up])
def test_passing_faults_are_tried_again(server: Server, ask, waits: list[float], fault: Step) -> None:
    server.steps = [fault, fault, GOOD]
    assert ask() == CAT
    assert waits == [1, 2]


@pytest.mark.parametrize("fault", [sleeps, drips])
def test_a_slow_answer_is_tried_again(server: Server, ask, waits: list[float], fault: Step) -> None:
    server.steps = [fault, GOOD]
    assert ask(timeout=0.3) == CAT
    assert waits == [1]


def test_an_answer_that_is_cut_off_is_tried_again(server: Server, ask, waits: list[float]) -> None:
    server.steps = [reply(200, b"{", Content_Length="100"), GOOD]
    assert ask() == CAT
    assert waits == [1]


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7), ("0", 1), ("3600", 60), ("-5", 1), ("nan", 1), ("inf", 1), ("soon", 1), ("1e400", 1)],
)
def test_the_server_says_how_long_to_wait(server: Server, ask, waits: list[float], header: str, expected: int) -> None:
    server.steps = [reply(429, Retry_After=header), GOOD]
    assert ask() == CAT
    assert waits == [expected]


def test_the_server_says_until_when_to_wait() -> None:
    assert 25 < seconds_of(email.utils.formatdate(time.time() + 30, usegmt=True)) <= 30
    assert seconds_of(email.utils.formatdate(0, usegmt=True)) == 0


@pytest.mark.parametrize(
    ("fault", "attempts", "words"),
    [
        (reply(500), 4, "answered with status 500 in 4 attempts"),
        (sleeps, 4, "gave no answer in 4 attempts: it took more than 0.3 s"),
        (hangs_up, 4, "the connection was cut off"),
        (reply(404, {"error": {"message": "no model\n'tiny'"}}), 1, "status 404: no model 'tiny'"),
        (reply(404, {"error": "gone"}), 1, "status 404: gone"),
        (reply(404, b"[1]"), 1, "answered with status 404$"),
        (reply(400, {"error": {"message": f"no {KEY} " + 300 * "x"}}), 1, r"status 400: no \*\*\* x{193}$"),
        (
            reply(401, {"error": {"message": f"bad key {KEY[:12]}"}}),
            1,
            r"not accept MISC_DESCRIBER_KEY \(status 401\)$",
        ),
        (reply(307, Location="http://127.0.0.1:9/v1"), 1, "status 307"),
        (reply(200, b'{"choices": ['), 1, "something else than JSON"),
        (reply(200, b"[" * 100_000), 1, "something else than JSON"),
        (reply(200, b"\xff\xfe"), 1, "something else than JSON"),
        (reply(200), 1, "something else than JSON"),
        (reply(200, {"choices": []}), 1, "without choices"),
        (reply(200, b"[]"), 1, "without choices"),
        (reply(200, b"7"), 1, "without choices"),
        (says(None), 1, "without any text"),
        (says([{"type": "text", "text": "a cat"}]), 1, "without any text"),
        (reply(200, b" " * (1 << 20) + b"{}"), 1, "more than 1048576 bytes"),
        (says("x" * 20_000), 2, "asked twice: it has 20000 characters"),
        (says("a cat"), 2, "asked twice: it is not one JSON object"),
        (says(json.dumps(to_json(CAT) | {"overall": "word " * 51})), 2, "asked twice: overall has 51 words"),
    ],
)
def test_lasting_faults_are_one_sentence(
    server: Server, ask, caplog, capfd, fault: Step, attempts: int, words: str
) -> None:
    caplog.set_level(logging.DEBUG)
    server.steps = [fault]
    with pytest.raises(DescriberError, match=words) as caught:
        ask(timeout=0.3 if fault is sleeps else 5.0)
    assert len(server.requests) == attempts
    told = "".join([str(caught.value), repr(caught.value.__cause__), caplog.text, *capfd.readouterr()])
    assert KEY not in told
    assert len(str(caught.value).splitlines()) == 1


def test_a_refused_connection_is_not_tried_again(ask, server: Server, waits: list[float]) -> None:
    with pytest.raises(DescriberError, match="gave no answer: Connection refused"):
        ask(url="http://127.0.0.1:9/v1")
    assert waits == []


def test_a_model_that_takes_no_limits_is_asked_without(server: Server, ask) -> None:
    server.steps = [reply(400, {"error": {"message": "Unsupported parameter: 'max_tokens'"}}), GOOD]
    assert ask() == CAT
    assert [("max_tokens" in body, "temperature" in body) for _, _, body in server.requests] == [
        (True, True),
        (False, False),
    ]


def test_an_answer_is_held_to_a_schema(server: Server, ask) -> None:
    ask(items=5)
    wanted = server.requests[0][2]["response_format"]
    assert (wanted["type"], wanted["json_schema"]["strict"]) == ("json_schema", True)
    shape = wanted["json_schema"]["schema"]
    answer = to_json(CAT)
    assert set(shape["properties"]) == set(shape["required"]) == set(answer)
    items = shape["properties"]["items"]
    assert (items["minItems"], items["maxItems"]) == (1, 5)
    assert set(items["items"]["properties"]) == set(items["items"]["required"]) == set(answer["items"][0])
    assert shape["additionalProperties"] is items["items"]["additionalProperties"] is False


@pytest.mark.parametrize("status", [400, 422, 501])
def test_a_server_without_schemas_is_asked_without_and_not_again(server: Server, status: int) -> None:
    refusal = {"error": {"message": "response_format of type json_schema is not supported"}}
    server.steps = [reply(status, refusal), GOOD]
    describer = HttpDescriber(Endpoint(server.url, "tiny", attempts=1))
    assert describer.describe(sample_picture()) == describer.describe(sample_picture()) == CAT
    assert ["response_format" in body for _, _, body in server.requests] == [True, False, False]
    assert all("max_tokens" in body for _, _, body in server.requests)


def test_a_model_that_refuses_everything_beside_is_asked_for_the_answer_alone(server: Server, ask) -> None:
    server.steps = [
        reply(400, {"error": {"message": "Unsupported parameter: 'temperature'"}}),
        reply(400, {"error": {"message": "Invalid schema for response_format 'description'"}}),
        GOOD,
    ]
    assert ask() == CAT
    assert set(server.requests[2][2]) == {"model", "messages", "stream"}


def test_the_second_request_says_what_was_wrong(server: Server, ask) -> None:
    server.steps = [says(json.dumps(to_json(CAT) | {"items": []})), GOOD]
    assert ask() == CAT
    first, second = (body["messages"][0]["content"][1]["text"] for _, _, body in server.requests)
    assert "0 items instead of 3" in second
    assert second.startswith(first)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "localhost:8000"},
        {"url": "ftp://localhost/v1"},
        {"url": "file:///etc/passwd"},
        {"url": "http://"},
        {"url": "http://[::1/v1"},
        {"url": "http://localhost:port/v1"},
        {"url": f"http://me:{KEY}@localhost/v1"},
        {"url": f"http://localhost/v1?key={KEY}"},
        {"url": "http://localhost/v1\r\nX: y"},
        {"key": f"{KEY}\r\nX: y"},
        {"key": f"{KEY} é"},
        {"model": ""},
    ],
    ids=str,
)
def test_what_is_no_endpoint_is_refused_without_its_key(changes: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"^MISC_DESCRIBER_\w+ ") as caught:
        Endpoint(**({"url": "http://localhost/v1", "model": "m", "key": KEY} | changes))
    assert KEY not in str(caught.value)


def test_the_environment_names_the_endpoint() -> None:
    names = {"MISC_DESCRIBER_URL": " http://localhost:1/v1/ ", "MISC_DESCRIBER_MODEL": "m"}
    endpoint = endpoint_from(names)
    assert (endpoint.address, endpoint.model, endpoint.key) == ("http://localhost:1/v1/chat/completions", "m", "")
    assert KEY not in repr(endpoint_from(names | {"MISC_DESCRIBER_KEY": f"{KEY}\n"}))
    for name in names:
        with pytest.raises(InputError, match=f"needs {name}"):
            endpoint_from({other: value for other, value in names.items() if other != name})


def test_the_command_asks_the_endpoint(misc_command, photo, server: Server, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MISC_DESCRIBER_URL", server.url)
    monkeypatch.setenv("MISC_DESCRIBER_MODEL", "tiny")
    monkeypatch.setenv("MISC_DESCRIBER_KEY", KEY)
    monkeypatch.setattr(describer_endpoint.time, "sleep", lambda seconds: None)
    assert isinstance(describer_for("http", load_profile()), HttpDescriber)
    code, out, err = misc_command("describe", photo, "--describer", "http", "--items", "1")
    assert (code, json.loads(out), err) == (0, to_json(CAT), "")
    code, out, err = misc_command("encode", photo, tmp_path / "a.misc", "--mode", "text", "--describer", "http")
    assert (code, out) == (0, "")
    code, out, _ = misc_command("info", tmp_path / "a.misc", "--text", "--json")
    assert json.loads(out)["text"] == to_json(CAT)
    server.steps = [says("no")]
    code, out, err = misc_command("encode", photo, tmp_path / "b.misc", "--describer", "http")
    assert (code, out) == (1, "")
    assert err.startswith("misc: the describer gave no usable answer, asked twice")
    assert KEY not in err
    assert not (tmp_path / "b.misc").exists()
