#!/usr/bin/python3
"""What haproxy/demo shows: starts everything in a temporary folder, sends real requests, tells what
came of them, and stops. It stands on what the integration tests stand on (tests/integration)."""

import asyncio
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/integration"))

from support import clients  # noqa: E402
from support.stack import HAPROXY, Stack, Upstream  # noqa: E402

LIVE = sys.stdout.isatty()
BOLD, DIM, OFF = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if LIVE else ("", "", "")
CHAT = ["acme.localhost", "globex.localhost"]


def title(text):
    print(f"\n{BOLD}{text}{OFF}\n", flush=True)


def row(first, second, third="", widths=(36, 6)):
    line = f"  {first:<{widths[0]}}  {second:<{widths[1]}}  {DIM}{third}{OFF}"
    print(line.rstrip(), flush=True)


def step(name, started, text):
    print(f"  {name:<12} {time.monotonic() - started:4.0f} s  {DIM}{text}{OFF}", flush=True)


class Demo:
    def __init__(self, folder):
        self.upstreams = {name: Upstream(name, folder) for name in ("acme", "globex")}
        self.tenants = {
            name: {"hosts": [f"{name}.localhost"], "upstream": upstream.url, "https": "off"}
            for name, upstream in self.upstreams.items()
        }
        self.tenants["acme"]["headers"] = {"X-Team": "red"}
        settings = {"strip_headers": ["X-User-Email", "X-User-Role"]}
        self.stack = Stack(folder / "stack", self.upstreams, changes=settings)

    def start(self):
        started = time.monotonic()
        for upstream in self.upstreams.values():
            upstream.start()
        for name, upstream in self.upstreams.items():
            self.stack.issue(f"{name}.localhost")
            upstream.wait()
        self.stack.write_tenants(self.tenants)
        self.stack.start()
        version = subprocess.run([HAPROXY, "-v"], capture_output=True, text=True).stdout.split()[2]
        place = f"http://127.0.0.1:{self.stack.http_port}"
        version = version.split("-")[0]
        step("start", started, f"HAProxy {version} at {place}, the agent, two tenants")

    def stop(self):
        self.stack.stop()
        for upstream in self.upstreams.values():
            upstream.stop()

    def get(self, host, path="/api/version", headers=()):
        return clients.request(self.stack.http_port, path, host, headers=headers)

    def url(self, host):
        return f"http://{host}:{self.stack.http_port}"

    # --- what is shown -----------------------------------------------------------------------

    def show_routing(self):
        title("Each host reaches its tenant")
        for host in [*CHAT, "initech.localhost", "acme.localhost, globex"]:
            answer = self.get(host)
            name = answer.header("X-Upstream")
            if name:
                told = f"{name}, at {self.upstreams[name].address}"
            else:
                told = {400: "no valid host: refused", 404: "nobody's"}[answer.status]
            row(f"GET /  Host: {host}", answer.status, told)

    def show_headers(self):
        title("A client tells lies; what reaches acme (over HTTPS)")
        lies = {
            "X-Forwarded-For": "10.0.0.1",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "globex.localhost",
            "X-Client-IP": "10.0.0.1",
            "X-Tenant-ID": "globex",
            "X-User-Role": "admin",
        }
        answer = clients.request(
            self.stack.https_port,
            "/api/echo",
            "acme.localhost",
            headers=list(lies.items()),
            tls_name="acme.localhost",
        )
        seen = clients.Echo(answer)
        widths = (20, 18)
        row("", "sent", "arrived", widths)
        for name in [*lies, "X-Team"]:
            row(name, lies.get(name, "-"), ", ".join(seen.all(name)) or "-", widths)

    async def show_websocket(self):
        title("Tenants come and go under an open WebSocket")
        workers = self.stack.haproxy_workers()
        async with clients.Browser(self.url("acme.localhost")) as browser:
            await browser.sign_in()
            await browser.open_socket()
            socket_id = browser.socket.get_sid()
            row("a browser at acme", f"Socket.IO connected, {await self.tokens(browser)} arrive")

            self.tenants["initech"] = {**self.tenants["globex"], "hosts": ["initech.localhost"]}
            took_ms = await self.change("initech.localhost", 200)
            row("initech is added", f"answers {took_ms:.0f} ms after the file was written")
            del self.tenants["globex"]
            took_ms = await self.change("globex.localhost", 404)
            row("globex is removed", f"gone after {took_ms:.0f} ms")

            tokens = await self.tokens(browser)
            assert browser.socket.get_sid() == socket_id and browser.disconnects == 0
            assert self.stack.haproxy_workers() == workers
            row("the browser at acme", f"same connection, {tokens} arrive")
            row("HAProxy", f"same process as before ({workers[0]}), no reload")

    async def tokens(self, browser):
        """A chat whose answer comes over the socket."""
        before = len(browser.events)

        def done():
            new = browser.events[before:]
            return new and new[-1]["data"]["type"] == "chat:completion" and len(new) - 1

        await browser.chat()
        deadline = time.monotonic() + 5
        while not done() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert done(), "no tokens came over the socket"
        return f"{done()} tokens"

    async def change(self, host, status):
        """Puts the tenants in force; milliseconds until `host` answers with `status`."""
        self.stack.write_tenants(self.tenants)
        started = time.monotonic()
        while self.get(host).status != status:
            if time.monotonic() - started > 5:
                raise TimeoutError(f"{host} does not answer {status}")
            await asyncio.sleep(0.001)
        return (time.monotonic() - started) * 1000

    def keep(self, folder):
        title("It runs until you press Ctrl-C. Try:")
        ca = self.stack.authority.path
        for host in ("acme.localhost", "initech.localhost"):
            print(f"  curl {self.url(host)}/api/echo")
        print(f"  curl --cacert {ca} https://acme.localhost:{self.stack.https_port}/api/version")
        print(f"  $EDITOR {self.stack.tenants_dir}/tenants.json    {DIM}(saved is live){OFF}")
        print(
            f"  {self.binary()} explain -c {self.stack.config_path} {self.url('acme.localhost')}/"
        )
        print(f"\n  {DIM}logs and configuration: {folder}{OFF}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        print()

    @staticmethod
    def binary():
        binary = pathlib.Path(os.environ["OWUI_SPOA_BINARY"])
        return binary.relative_to(ROOT) if pathlib.Path.cwd() == ROOT else binary


def main():
    keep = "--keep" in sys.argv[1:]
    # Both end the demo in an orderly way: everything is stopped, the folder removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="owui-demo."))
    folder.chmod(0o755)
    demo = Demo(folder)
    try:
        demo.start()
        demo.show_routing()
        demo.show_headers()
        asyncio.run(demo.show_websocket())
        if keep:
            demo.keep(folder)
    except KeyboardInterrupt:
        print()
        return 130
    except (OSError, RuntimeError, TimeoutError, AssertionError) as error:
        print(f"\nhaproxy/demo: {error}", file=sys.stderr)
        for name, log in demo.stack.logs():
            print(f"\n--- {name}\n{log[-2000:]}", file=sys.stderr)
        return 1
    finally:
        demo.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{DIM}Stopped and cleaned up. haproxy/demo --keep leaves it running for you.{OFF}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
