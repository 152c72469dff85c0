"""The page itself, by Gradio; in a browser too where there is one."""

import json
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from misc.errors import InputError
from misc.modes import MODES
from misc.profiles import load_profile
from tests.support.axe import PHONE
from tests.support.images import sample_picture

from .conftest import HAS_GRADIO, free_port, status

PULLED = all(package.path.is_file() for package in load_profile().packages.values() if package.use == "coding")
MINUTES = 15  # for all modes, where others are at work too


def test_no_path_of_the_server_can_be_read(address: str) -> None:
    here = Path(__file__)
    for path in ("/etc/passwd", "secret.txt", here, f"{here.parent}/./test_page.py"):
        assert status(f"{address}gradio_api/file={path}") in (403, 404), path
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        assert status(f"{address}gradio_api/queue/join", {"fn_index": 1, "data": [file], "session_hash": "a"}) == 403
    assert status(f"{address}gradio_api/proxy=http://127.0.0.1/") == 404
    assert status(f"{address}docs") == 404


def test_no_job_goes_past_the_queue(address: str) -> None:
    config = json.loads(urllib.request.urlopen(f"{address}config").read())
    jobs = [each for each in config["dependencies"] if each["backend_fn"]]
    assert sum(each["queue"] for each in jobs) >= 4
    for each in jobs:
        body = {"fn_index": each["id"], "data": [None] * len(each["inputs"]), "session_hash": "a"}
        assert status(f"{address}gradio_api/run/predict", body) == (404 if each["queue"] else 200), each["api_name"]


def test_other_names_of_the_machine_are_no_names_of_the_page(address: str) -> None:
    assert status(address, host="evil.example") == 403


def test_the_page_names_no_other_host_to_load_from(address: str) -> None:
    with urllib.request.urlopen(address) as answer:
        text, policy = answer.read().decode(), answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    for host in ("googleapis", "gstatic", "cdnjs", "jsdelivr", "unpkg", "huggingface.co"):
        assert host not in text
    config = json.loads(urllib.request.urlopen(f"{address}config").read())
    assert config["analytics_enabled"] is False


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
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]  # nothing sticks out of a phone


@pytest.mark.slow(why="a browser waits for the server")
def test_what_cannot_be_done_is_a_sentence_on_the_page(browser: Any) -> None:
    browser.wait_for_selector("#compress")
    browser.click("#compress")
    browser.wait_for_selector("text=choose a photo first")


def choose(page: Any, photo: Path, mode: str, bpp: str) -> None:
    """Upload a photo and choose a mode and a budget."""
    page.set_input_files("#photo input[type=file]", str(photo))
    page.click("#mode input")
    page.get_by_role("option", name=mode, exact=True).click()
    page.fill("#bpp input", bpp)
    page.wait_for_selector("#photo a")  # the upload is done


@pytest.mark.slow(why="a browser waits for the images of six modes")
def test_all_modes_stand_in_one_row_with_their_bytes_or_why_not(browser: Any, tmp_path: Path) -> None:
    sample_picture(96, 64).save(tmp_path / "photo.png")
    choose(browser, tmp_path / "photo.png", "misc", "0.019")  # 14 bytes: not enough for pixels
    browser.click("#beside")
    browser.wait_for_selector("#status >> text=all modes are done", timeout=60_000 * MINUTES)
    cards = [browser.locator("#row li").nth(number) for number in range(1 + len(MODES))]
    assert browser.locator("#row li").count() == len(cards)
    assert [card.locator("b").inner_text() for card in cards] == ["original", *MODES]
    for mode, card in zip(MODES, cards[1:], strict=True):
        words = card.inner_text()
        if mode in ("pixel", "misc"):
            assert re.search(r"the smallest file of this image has \d+ bytes .*; 14 were allowed", words)
            assert card.locator("img").count() == 0
        elif card.locator("img").count():
            assert int(re.search(r"(\d+) bytes, ", words)[1]) <= 14  # type: ignore[index]
            assert re.search(r"PSNR \d+\.\d\d dB", words)
        else:
            assert words.splitlines()[-1] != mode  # a sentence, such as which weights are missing
    tops = {card.bounding_box()["y"] for card in cards}
    assert len(tops) == 1
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.slow(why="a browser waits for the server")
@pytest.mark.skipif(not PULLED, reason="needs the packages of `misc pull`: without them no job is long enough")
def test_stop_ends_a_job_and_the_next_visitors_begins(
    browser: Any, chromium: Any, address: str, tmp_path: Path
) -> None:
    sample_picture(192, 128).save(tmp_path / "photo.png")
    other = chromium.new_page()
    other.set_default_timeout(60_000 * MINUTES)
    other.goto(address)
    choose(browser, tmp_path / "photo.png", "pixel", "0.2")
    choose(other, tmp_path / "photo.png", "pixel", "0.2")
    browser.fill("#candidates input", "64")  # minutes of work
    browser.click("#compress")
    browser.wait_for_selector("#status >> text=compressing")
    other.click("#compress")
    other.wait_for_selector("text=queue: 1/1")
    browser.click("#stop")
    browser.wait_for_selector("#status >> text=stopped")
    other.wait_for_selector("#status >> text=done")
    assert "pixels" in other.inner_text("#bar")
    assert browser.inner_text("#status").strip() == "stopped"
    assert browser.inner_text("#bar").strip() == ""  # nothing came of it


def test_every_field_has_a_name_for_screen_readers(browser: Any) -> None:
    browser.wait_for_selector("#compress")
    for role, name in (("button", "Compress and draw"), ("textbox", "Text: the whole"), ("button", "Stop"),
                       ("button", "Compare all modes at this budget"), ("combobox", "Mode"),
                       ("spinbutton", "Budget: bits of the whole file a pixel"),
                       ("spinbutton", "Candidates: images that the encoder tries")):  # fmt: skip
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


@pytest.mark.skipif(HAS_GRADIO, reason="Gradio is here")
def test_without_gradio_the_command_says_what_to_install() -> None:
    command = [sys.executable, "-m", "misc", "web", "--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'misc-codec[web]'" in done.stderr


@pytest.mark.skipif(not HAS_GRADIO, reason="needs Gradio")
def test_a_visitor_names_no_profile_but_those_of_the_page(tmp_path: Path) -> None:
    from misc.web.jobs import Job, Stops
    from misc.web.page import Actions, Settings

    actions, job = Actions(Settings("embedded", 1000, tmp_path)), Job(Stops(), "a", 0)
    assert actions.codec("embedded", job).max_pixels == 1000
    (tmp_path / "own.toml").write_text('base = "embedded"\n')
    with pytest.raises(InputError, match="no such profile"):
        actions.codec(str(tmp_path / "own.toml"), job)
    own = Actions(Settings(str(tmp_path / "own.toml"), 1000, tmp_path))
    assert own.codec(str(tmp_path / "own.toml"), job).profile.name == "own"
