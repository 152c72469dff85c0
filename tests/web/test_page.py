"""The page itself, by Gradio; in a browser too where there is one."""

import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from misc.errors import InputError
from tests.support.images import sample_picture

needs_gradio = importlib.util.find_spec("gradio") is None
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 180


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a folder with a file that is nobody's business."""
    if needs_gradio:
        pytest.skip("needs Gradio: pip install 'misc-codec[web]'")
    folder = tmp_path_factory.mktemp("server")
    (folder / "secret.txt").write_text("secret")
    port = free_port()
    command = [sys.executable, "-m", "misc", "web", "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}/"
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and status(url) != 200:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def status(url: str, body: Any = None, host: str | None = None) -> int:
    """The status of an answer, 0 if nobody answers."""
    headers = {"content-type": "application/json"} | ({"host": host} if host else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError):
        return 0


def test_no_path_of_the_server_can_be_read(address: str) -> None:
    here = Path(__file__)
    for path in ("/etc/passwd", "secret.txt", here, f"{here.parent}/./test_page.py"):
        assert status(f"{address}gradio_api/file={path}") in (403, 404), path
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        assert status(f"{address}gradio_api/queue/join", {"fn_index": 1, "data": [file], "session_hash": "a"}) == 403
    assert status(f"{address}gradio_api/proxy=http://127.0.0.1/") == 404
    assert status(f"{address}docs") == 404
    assert status(address, host="evil.example") == 403


def test_the_page_names_no_other_host_to_load_from(address: str) -> None:
    with urllib.request.urlopen(address) as answer:
        text, policy = answer.read().decode(), answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    for host in ("googleapis", "gstatic", "cdnjs", "jsdelivr", "unpkg", "huggingface.co"):
        assert host not in text
    config = json.loads(urllib.request.urlopen(f"{address}config").read())
    assert config["analytics_enabled"] is False


@pytest.fixture
def browser(address: str) -> Iterator[Any]:
    """Chromium with the page in it, which has asked nobody but the server for anything."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 390, "height": 844})  # a phone
        page.set_default_timeout(1000 * SECONDS)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        yield page
        chromium.close()
    others = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert others == []


@pytest.mark.slow(why="a browser waits for real images")
def test_a_photo_is_compressed_drawn_and_its_text_changed(browser: Any, tmp_path: Path) -> None:
    sample_picture(96, 64).save(tmp_path / "photo.png")
    browser.set_input_files("#photo input[type=file]", str(tmp_path / "photo.png"))
    browser.click("#mode input")
    browser.get_by_role("option", name="pixel", exact=True).click()
    browser.fill("#bpp input", "0.2")
    browser.wait_for_selector("#photo a")  # the upload is done
    browser.click("#compress")
    browser.wait_for_selector("#slider img")
    assert "pixels" in browser.inner_text("#bar")
    assert "text" not in browser.inner_text("#bar")
    browser.fill("#overall textarea", "a grey square")
    browser.click("#again")
    browser.wait_for_selector("#bar >> text=/text \\d+/")
    browser.wait_for_selector("#download:not([disabled])")
    browser.wait_for_timeout(1000)
    with browser.expect_download() as download:
        browser.click("#download")
    download.value.save_as(tmp_path / "photo.misc")
    done = subprocess.run(
        [sys.executable, "-m", "misc", "info", "--text", tmp_path / "photo.misc"], capture_output=True
    )
    assert b"a grey square" in done.stdout
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390  # nothing sticks out of a phone


@pytest.mark.slow(why="a browser waits for the server")
def test_what_cannot_be_done_is_a_sentence_on_the_page(browser: Any) -> None:
    browser.wait_for_selector("#compress")
    browser.click("#compress")
    browser.wait_for_selector("text=choose a photo first")


def test_every_field_has_a_name_for_screen_readers(browser: Any) -> None:
    browser.wait_for_selector("#compress")
    for role, name in (("button", "Compress and draw"), ("textbox", "Text: the whole"), ("button", "Stop"),
                       ("spinbutton", "Budget: bits of the whole file a pixel"), ("combobox", "Mode")):  # fmt: skip
        assert browser.get_by_role(role, name=name).count() == 1, name


def test_a_taken_port_is_one_sentence() -> None:
    from misc.cli.web import check_address

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match=r"cannot listen on 127\.0\.0\.1:"):
            check_address("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InputError, match="cannot listen on"):
        check_address("no.such.host.invalid", 7860)


@pytest.mark.skipif(not needs_gradio, reason="Gradio is here")
def test_without_gradio_the_command_says_what_to_install() -> None:
    command = [sys.executable, "-m", "misc", "web", "--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'misc-codec[web]'" in done.stderr


@pytest.mark.skipif(needs_gradio, reason="needs Gradio")
def test_a_visitor_names_no_profile_but_those_of_the_page(tmp_path: Path) -> None:
    from misc.web.page import Actions, Settings

    actions = Actions(Settings("embedded", 1000, tmp_path))
    assert actions.codec("embedded").max_pixels == 1000
    (tmp_path / "own.toml").write_text('base = "embedded"\n')
    with pytest.raises(InputError, match="no such profile"):
        actions.codec(str(tmp_path / "own.toml"))
    own = Actions(Settings(str(tmp_path / "own.toml"), 1000, tmp_path))
    assert own.codec(str(tmp_path / "own.toml")).profile.name == "own"
