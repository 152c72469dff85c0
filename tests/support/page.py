"""A page in headless Chromium, driven by JSON over its debugging pipe: descriptors 3 and 4, a zero byte after each."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["Browser", "keyboard_tour"]

OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")


class Browser:
    """One page in one Chromium, without a network.

    Args:
        page: an HTML file. width: of the window in pixels.
    """

    def __init__(self, page: Path, width: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        commands, answers = os.pipe(), os.pipe()
        command = ["chromium", *OPTIONS, f"--user-data-dir={self.folder.name}", f"--window-size={width},900"]
        shell = f'exec 3<&{commands[0]} 4>&{answers[1]}; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command, "about:blank"],
            pass_fds=(commands[0], answers[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands[0])
        os.close(answers[1])
        self.out, self.into = os.fdopen(commands[1], "wb"), os.fdopen(answers[0], "rb")
        self.number, self.session, self.events = 0, "", []  # type: ignore[var-annotated]
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        for name in ("Page.enable", "Runtime.enable", "Network.enable"):
            self.send(name)
        self.send("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        self.send("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.read())

    def send(self, method: str, **parameters: Any) -> Any:
        """The result of a command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.out.write(json.dumps(message).encode() + b"\0")
        self.out.flush()
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def read(self) -> Any:
        """The next message."""
        data = bytearray()
        while (byte := self.into.read(1)) != b"\0":
            assert byte, "Chromium ended"
            data += byte
        return json.loads(data)

    def ask(self, script: str) -> Any:
        """The value of an expression on the page."""
        return self.send("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def press(self, key: str) -> None:
        """A key, down and up."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, **(text if kind == "keyDown" else {}))

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self.out.close()
        self.into.close()
        self.folder.cleanup()


def keyboard_tour(page: Path, width: int) -> dict[str, Any]:
    """What the report's page shows and does, by keys alone."""
    browser = Browser(page, width)
    try:
        alt = "document.activeElement.querySelector('img').alt"
        browser.ask("document.querySelectorAll('figure')[1].focus()")
        found: dict[str, Any] = {
            "images": browser.ask("document.querySelectorAll('#grid img').length"),
            "without alt": browser.ask("[...document.images].filter((each) => !each.alt).length"),
            "overflow": browser.ask("document.documentElement.scrollWidth - window.innerWidth"),
            "alt": browser.ask(alt),
        }
        for name, key, script, times in (
            ("flicker", "f", alt, 2),
            ("zoom", "z", "document.getElementById('zoom').textContent", 3),
        ):
            found[name] = []
            for _ in range(times):
                browser.press(key)
                found[name].append(browser.ask(script))
        browser.press("m")
        shown = "getComputedStyle(document.querySelector('#grid svg')).display === 'block'"
        found["regions"] = browser.ask(shown)
        browser.press("n")
        found["next"] = browser.ask("document.getElementById('photo').value")
        found["errors"] = [e for e in browser.events if e["method"] == "Runtime.exceptionThrown"]
        return found
    finally:
        browser.close()
