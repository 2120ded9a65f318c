"""Chromium, driven over chromedriver's HTTP interface (W3C WebDriver), with names and certificates
of the tests."""

import base64
import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from .processes import Process, accepts, free_port, wait_until

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
PAGE_S = 60  # a page on a busy machine

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * 127.0.0.1",
]


def public_key_hash(pem_path):
    """What Chromium knows a certificate's key by: SHA-256 of its SubjectPublicKeyInfo."""
    public = subprocess.run(
        ["openssl", "x509", "-in", str(pem_path), "-noout", "-pubkey"],
        check=True,
        capture_output=True,
    ).stdout
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "der"],
        input=public,
        check=True,
        capture_output=True,
    ).stdout
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


class Chromium:
    """One browser with a profile of its own. `trusted` are the certificates that it takes, `logs`
    what it is to keep for log(): "browser" (the console), "performance" (the network)."""

    def __init__(self, folder, trusted, logs=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        hashes = ",".join(public_key_hash(path) for path in trusted)
        self.arguments = ARGUMENTS + [
            f"--user-data-dir={self.folder / 'profile'}",
            f"--ignore-certificate-errors-spki-list={hashes}",
        ]
        self.logs = logs
        self.port = free_port()
        # Where it leaves its lock when it is ended, which has a socket: the path must be short.
        self.locks = tempfile.TemporaryDirectory(prefix="owui.")
        command, own = [CHROMEDRIVER, f"--port={self.port}"], {"TMPDIR": self.locks.name}
        self.driver = Process("chromedriver", command, self.folder, own)
        self.session = None

    def start(self):
        self.driver.start()
        self.driver.wait_for(lambda: accepts(("127.0.0.1", self.port)), "listening", 30)
        options = {"binary": CHROMIUM, "args": self.arguments}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        if self.logs:
            wanted["goog:loggingPrefs"] = {kind: "ALL" for kind in self.logs}
        told = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = told["sessionId"]
        return self

    def stop(self):
        if self.session is not None:
            self._call("DELETE", f"/session/{self.session}")
        self.driver.stop()
        self.locks.cleanup()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PAGE_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()[:500]) from None

    def _do(self, method, command, body=None):
        return self._call(method, f"/session/{self.session}/{command}", body)

    def open(self, url):
        self._do("POST", "url", {"url": url})

    @property
    def url(self):
        return self._do("GET", "url")

    @property
    def title(self):
        return self._do("GET", "title")

    def new_tab(self):
        """Another tab of the same profile, which is the one that is driven from now on; its name."""
        tab = self._do("POST", "window/new", {"type": "tab"})["handle"]
        self.go_to_tab(tab)
        return tab

    @property
    def tab(self):
        return self._do("GET", "window")

    def go_to_tab(self, tab):
        self._do("POST", "window", {"handle": tab})

    def cookies(self):
        """By name, those that scripts cannot see too."""
        return {cookie["name"]: cookie for cookie in self._do("GET", "cookie")}

    def run(self, script):
        """The value of an expression in the page; a promise's is awaited."""
        wrapped = (
            "const done = arguments[arguments.length - 1];"
            f"Promise.resolve().then(() => ({script}))"
            ".then(value => done(value === undefined ? null : value),"
            " error => done('failed: ' + error));"
        )
        return self._do("POST", "execute/async", {"script": wrapped, "args": []})

    def cdp(self, command, **parameters):
        """A command of Chromium's own protocol (DevTools)."""
        return self._do("POST", "goog/cdp/execute", {"cmd": command, "params": parameters})

    def log(self, kind):
        """What was logged since the last call."""
        return self._do("POST", "se/log", {"type": kind})

    def type(self, *keys):
        """Presses keys, one after the other, wherever the focus is."""
        actions = []
        for key in keys:
            actions += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._do("POST", "actions", {"actions": [keyboard]})

    def press(self, modifier, key):
        actions = [
            {"type": "keyDown", "value": modifier},
            {"type": "keyDown", "value": key},
            {"type": "keyUp", "value": key},
            {"type": "keyUp", "value": modifier},
        ]
        self._do("POST", "actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]})

    def wait(self, script, what, timeout_s=30):
        """The first true value of an expression."""
        return wait_until(lambda: self.run(script), what, timeout_s)
