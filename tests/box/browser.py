"""A person at a browser: headless Chromium, driven through its DevTools protocol by what is to be read on the page.

with Browser(folder, width=1280) as browser:
    browser.open("http://127.0.0.1:4200/deployments")
    browser.click("grid")                     # the element that says so, with the mouse
    browser.fill("study", "demo")             # the field below this label, with the keyboard
    browser.picture(folder / "page.png")
"""

import base64
import itertools
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
FIND = """
(said, after, nth) => {
  const seen = e => { const b = e.getBoundingClientRect(); return b.width > 0 && b.height > 0 }
  const short = (e, text) => e.textContent.length < text.length + 40
  const says = (e, text) => e.ariaLabel === text || short(e, text) && e.innerText?.trim() === text
  const all = [...document.querySelectorAll('body *')].filter(seen)
  const from = (start, text) => {                           // of elements in each other, the innermost
    const found = all.findIndex((e, i) => i >= start && says(e, text) && ![...e.children].some(c => says(c, text)))
    return found < 0 ? all.length : found
  }
  const start = from(after ? from(0, after) : 0, said)
  const found = nth === null ? all[start] : all.slice(start).filter(e => e.matches('input, textarea'))[nth]
  if (!found) return null
  found.scrollIntoView({block: 'center'})
  const box = found.getBoundingClientRect()
  return [box.x + box.width / 2, box.y + box.height / 2]
}
"""


class Browser:
    """One page; every wait ends after `patience_s` with what the page says instead."""

    def __init__(self, folder: Path, *, program: str = "chromium", width: int = 1280, height: int = 800) -> None:
        self._folder = folder
        self._command = [program, *QUIET, "--remote-debugging-port=0", f"--window-size={width},{height}"]
        self._numbers = itertools.count(1)
        self.patience_s = 180.0

    def __enter__(self) -> "Browser":
        self._profile = tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True)
        port_file = Path(self._profile.name) / "DevToolsActivePort"
        with (self._folder / "chromium.log").open("ab") as log:
            command = [*self._command, f"--user-data-dir={self._profile.name}", "about:blank"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._until(lambda: port_file.exists() and port_file.read_text().count("\n"), "Chromium's port")
        port = port_file.read_text().splitlines()[0]
        pages = self._until(lambda: httpx.get(f"http://127.0.0.1:{port}/json/list").json(), "a page")
        page = next(page for page in pages if page["type"] == "page")
        self._socket = connect(page["webSocketDebuggerUrl"], max_size=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._profile.cleanup()

    def open(self, address: str) -> None:
        """Go to an address."""
        self.send("Page.navigate", url=address)

    def text(self) -> str:
        """What is to be read on the page."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def wait_for(self, said: str) -> None:
        """Wait until the page says so somewhere."""
        self._until(lambda: said in self.text(), f"{said!r} on the page")

    def click(self, said: str, *, after: str | None = None) -> None:
        """Click on the element whose text, or name, is exactly this: the first one, or the first one after another."""
        self._press(*self._find(said, after=after))

    def fill(self, label: str, text: str, *, nth: int = 0) -> None:
        """Replace what is in a field after these words: the first one, or the first but `nth`."""
        self._press(*self._find(label, nth=nth))
        self.evaluate("document.activeElement.select()")
        self.send("Input.insertText", text=text)

    def show(self, said: str) -> None:
        """Scroll to the element whose text, or name, is exactly this."""
        self._find(said)

    def picture(self, path: Path) -> None:
        """What is to be seen of the page, as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def evaluate(self, script: str) -> Any:
        """The value of JavaScript. Raises RuntimeError with what it threw."""
        done = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"]["exception"]["description"])
        return done["result"].get("value")

    def _find(self, said: str, *, after: str | None = None, nth: int | None = None) -> tuple[float, float]:
        script = f"({FIND})({json.dumps(said)}, {json.dumps(after)}, {json.dumps(nth)})"
        where: tuple[float, float] | None = None
        while where != (now := self._until(lambda: self.evaluate(script), f"{said!r} on the page")):
            where = now  # it may still move
            time.sleep(0.1)
        return now

    def _press(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def send(self, method: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol, and its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                break
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _until(self, condition: Any, what: str) -> Any:
        deadline = time.monotonic() + self.patience_s
        while not (value := condition()):
            if time.monotonic() > deadline:
                said = self.text() if hasattr(self, "_socket") else "nothing"
                raise TimeoutError(f"{what} did not come within {self.patience_s:g} s; the page says:\n{said}")
            time.sleep(0.1)
        return value
