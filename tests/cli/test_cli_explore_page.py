"""The explore page in headless Chromium, over the DevTools protocol: drag, look, keep, export."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np
import pytest

pytest.importorskip("nicegui")
from acqplan.cli.explore_page import is_loopback, knob_of
from acqplan.core.errors import RecipeError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
PATIENCE_S = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what, patience=PATIENCE_S):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited in vain for {what}")


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return reply.read()
    except OSError:
        return None


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, address):
        from websockets.sync.client import connect

        self.folder = tempfile.mkdtemp()
        port = free_port()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,1100"]
        flags += [f"--remote-debugging-port={port}", f"--user-data-dir={self.folder}", "--remote-allow-origins=*"]
        self.process = subprocess.Popen([CHROMIUM, *flags, address], stdout=-3, stderr=-3)
        pages = wait_for(
            lambda: [p for p in json.loads(answers(f"http://127.0.0.1:{port}/json") or "[]") if p["type"] == "page"],
            "Chromium",
        )
        self.connection = connect(pages[0]["webSocketDebuggerUrl"], max_size=None)
        self.socket = self.connection.__enter__()
        self.count = 0

    def call(self, method, **parameters):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=PATIENCE_S))
            if message.get("id") == self.count:
                return message["result"]

    def run(self, script):
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script):
        return wait_for(lambda: self.run(script), script)

    def mouse(self, kind, x, y):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def press(self, key):
        code = {"ArrowRight": 39}.get(key, ord(key[0].upper()))
        more = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            shown = more if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **shown)

    def save_picture(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        self.connection.__exit__(None, None, None)
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def page(knob_plan, tmp_path):
    """(browser, folder): the page of an acquisition, served by the command in a process of its own."""
    port = free_port()
    words = ["explore", str(knob_plan / "hyper.acqplan"), str(knob_plan / "acquired.h5"), "--serve", "--no-browser"]
    words += ["--port", str(port), "--count", "3", "-o", str(tmp_path / "kept")]
    program = "import sys; from acqplan.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    log = (tmp_path / "server.log").open("wb")
    server = subprocess.Popen([sys.executable, "-c", program, *words], stdout=log, stderr=log, env=environment)
    browser = None
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), "the server")
        browser = Browser(f"http://127.0.0.1:{port}/")
        browser.wait("Boolean(window.panes && panes.pixels.now && panes.pixels.zero)")
        yield browser, tmp_path / "kept"
    finally:
        if browser is not None:
            browser.close()
        server.terminate()
        server.wait()
        log.close()


@needs_browser
def test_drag_look_keep_and_export(page, knob_plan):
    browser, folder = page
    before = browser.run("Array.from(panes.pixels.now)")
    thumb = browser.run(
        "(() => { const r = document.querySelector('.knob-0 .q-slider__track').getBoundingClientRect();"
        " return [r.left, r.top + r.height / 2, r.width]; })()"
    )
    left, top, width = thumb
    browser.mouse("mousePressed", left + 0.5 * width, top)
    for share in np.linspace(0.5, 0.95, 10):
        browser.mouse("mouseMoved", left + share * width, top)
    browser.mouse("mouseReleased", left + 0.95 * width, top)
    browser.wait("panes.state.knob[0] > 0.9 && !panes.state.busy")
    after = browser.run("Array.from(panes.pixels.now)")
    assert before != after
    assert browser.run("Array.from(panes.pixels.held)") == before
    shown = "Array.from(document.getElementById('pane-now').getContext('2d').getImageData(0, 0, 16, 16).data)"
    assert browser.run(shown)[::4] == [min(255, round(level * 255 / 65535)) for level in after]
    browser.wait("document.getElementById('judged').textContent.includes('χ²')")

    browser.press("h")
    browser.wait("panes.pixels.held.every((level, i) => level === panes.pixels.now[i])")
    browser.press("+")
    assert browser.run("document.getElementById('pane-zero').style.transform").endswith("scale(1.2)")
    for prepare in ("true", "document.activeElement.blur()"):  # on the slider, and anywhere else
        browser.run(prepare)
        knob = browser.run("panes.state.knob[0]")
        browser.press("ArrowRight")
        browser.wait(f"panes.state.knob[0] > {knob + 0.004} && !panes.state.busy")

    browser.run("document.querySelector('.note input, input.note').focus()")
    browser.call("Input.insertText", text="sharpest")
    browser.run("document.activeElement.blur()")
    time.sleep(0.5)
    browser.press("k")
    browser.wait("document.body.innerText.includes('sharpest')")
    browser.press("e")
    wait_for((folder / "choice.json").is_file, "the export")
    table = json.loads((folder / "choice.json").read_text())
    (row,) = table["reconstructions"]
    assert row["note"] == "sharpest"
    assert row["knob"]["data-consistency to tv"] == pytest.approx(browser.run("panes.state.knob[0]"), abs=1e-3)
    assert (folder / row["file"]).is_file()
    browser.press("c")
    browser.wait("document.querySelectorAll('.q-img').length === 3")
    hosts = browser.run("performance.getEntriesByType('resource').map(r => new URL(r.name).hostname)")
    assert set(hosts) == {"127.0.0.1"}


def test_a_port_in_use_is_one_error(run, knob_plan):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = (knob_plan / "hyper.acqplan", knob_plan / "acquired.h5", "--serve", "--no-browser", "--port", port)
        result = run("explore", *words)
    assert result.code == 2
    assert f"127.0.0.1:{port}" in result.err
    assert f"--port {port + 1}" in result.err


def test_serve_without_a_knob_says_which_networks_have_one(run, plans, knob_plan):
    result = run("explore", plans / "points.acqplan", knob_plan / "acquired.h5", "--serve", "--no-browser")
    assert result.code == 2
    assert "--reconstructor hyper" in " ".join(result.err.split())


def test_addresses_and_knobs():
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert knob_of("0.25,1") == (0.25, 1.0)
    with pytest.raises(RecipeError, match="expected numbers"):
        knob_of("a,b")
