"""The explore page in headless Chromium, over the DevTools protocol: drag, look, keep, export."""

import base64
import http.client
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
from acqplan.cli.explore_guard import checked_folder, is_loopback, refusal
from acqplan.cli.explore_page import knob_of
from acqplan.core.errors import OutputError, RecipeError

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
def address(knob_plan, tmp_path):
    """(port, folder) of the page of an acquisition, served by the command in a process of its own."""
    port = free_port()
    words = ["explore", str(knob_plan / "hyper.acqplan"), str(knob_plan / "acquired.h5"), "--serve", "--no-browser"]
    words += ["--port", str(port), "--count", "3", "-o", str(tmp_path / "kept")]
    program = "import sys; from acqplan.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    log = (tmp_path / "server.log").open("wb")
    server = subprocess.Popen([sys.executable, "-c", program, *words], stdout=log, stderr=log, env=environment)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), "the server")
        yield port, tmp_path / "kept"
    finally:
        server.terminate()
        server.wait()
        log.close()


@pytest.fixture
def page(address):
    """(browser, folder): the page in a browser."""
    port, folder = address
    browser = Browser(f"http://127.0.0.1:{port}/")
    try:
        browser.wait("Boolean(window.panes && panes.pixels.now && panes.pixels.zero)")
        yield browser, folder
    finally:
        browser.close()


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


def asked(port, path, **headers):
    """(status, headers) of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def test_only_the_page_itself_is_answered(address):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    port, _ = address
    own, foreign = f"127.0.0.1:{port}", "http://evil.example"
    polling = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    for path in ("/", "/explore/zero-filled", "/explore/image?knob=0.5", polling):
        assert asked(port, path)[0] == 200
        assert asked(port, path, Host=f"localhost:{port}", Origin=f"http://localhost:{port}")[0] == 200
        for headers in (
            {"Host": "evil.example"},
            {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"},
            {"Host": ""},
            {"Origin": foreign, "Cookie": "session=1"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Origin": f"http://localhost:{port}"},
        ):
            status, answered = asked(port, path, **headers)
            assert status == 403, headers
            assert not any(name.startswith("access-control") for name in answered)
    socket_address = f"ws://{own}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with connect(socket_address, origin=f"http://{own}") as opened:
        assert opened.recv(timeout=PATIENCE_S).startswith("0{")
    for origin in (foreign, "null", "http://127.0.0.1:1"):
        with pytest.raises(InvalidStatus) as refused_with:
            connect(socket_address, origin=origin)
        assert refused_with.value.response.status_code == 403


def test_whose_requests_are_answered_depends_on_where_the_page_listens():
    def is_answered(listened_at, *headers):
        return refusal([(name.encode(), value.encode()) for name, value in headers], listened_at) is None

    assert is_answered("127.0.0.1", ("Host", "LOCALHOST:9000"), ("Origin", "http://localhost:9000"))  # a tunnel
    assert is_answered("::1", ("host", "[::1]:8765"))
    assert not is_answered("127.0.0.1", ("host", "10.0.0.5:8765"))
    assert is_answered("0.0.0.0", ("host", "10.0.0.5:8765"))
    assert is_answered("0.0.0.0", ("host", socket.gethostname()))
    assert is_answered("scanner.lab", ("host", "scanner.lab:8765"), ("origin", "https://scanner.lab:8765"))
    assert not is_answered("0.0.0.0", ("host", "evil.example"))
    assert not is_answered("127.0.0.1")
    assert not is_answered("127.0.0.1", ("host", "localhost"), ("host", "localhost"))
    assert not is_answered("127.0.0.1", ("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://x"))
    assert not is_answered("127.0.0.1", ("host", "localhost@evil.example"))
    assert not is_answered("127.0.0.1", ("host", "[::1"))


@needs_browser
def test_the_page_writes_only_into_its_folder(page, tmp_path):
    browser, folder = page
    browser.press("k")
    browser.wait("document.querySelectorAll('[aria-label=remove]').length === 1")
    browser.run("document.querySelector('[aria-label=\"Folder to export to\"]').focus()")
    browser.run("document.execCommand('selectAll')")
    browser.call("Input.insertText", text=str(tmp_path / "elsewhere"))
    browser.run("document.activeElement.blur()")
    time.sleep(0.5)
    browser.press("e")
    browser.wait("document.body.innerText.includes('may write only')")
    assert not (tmp_path / "elsewhere").exists()
    assert not folder.exists()


def test_where_the_page_may_write(tmp_path):
    root, start = tmp_path / "kept", tmp_path
    (tmp_path / "outside").mkdir()
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    assert checked_folder("kept", root, start) == root.resolve()
    assert checked_folder(str(root / "second"), root, start) == root.resolve() / "second"
    for typed in ("outside", "kept/../outside", "kept/link/x", "/etc/x", "~/x", "", "kept2", "\0"):
        with pytest.raises(OutputError, match="may write only"):
            checked_folder(typed, root, start)


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
