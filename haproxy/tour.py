#!/usr/bin/python3
"""What haproxy/demo shows: starts everything in a temporary folder, sends real requests, tells what
came of them, and stops. It stands on what the integration tests stand on (tests/integration)."""

import asyncio
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/integration"))

from support import clients  # noqa: E402
from support.acme import Pebble  # noqa: E402
from support.background import Background  # noqa: E402
from support.certificates import Authority  # noqa: E402
from support.certified import CertifiedStack  # noqa: E402
from support.stack import HAPROXY, Upstream  # noqa: E402

LIVE = sys.stdout.isatty()
BOLD, DIM, OFF = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if LIVE else ("", "", "")
CHAT = ["acme.localhost", "globex.localhost"]
LOAD_THREADS = 2
LOAD_S = 1  # of requests before and behind a new certificate


def title(text):
    print(f"\n{BOLD}{text}{OFF}\n", flush=True)


def row(first, second, third="", widths=(36, 6)):
    line = f"  {first:<{widths[0]}}  {second:<{widths[1]}}  {DIM}{third}{OFF}"
    print(line.rstrip(), flush=True)


def step(name, started, text):
    print(f"  {name:<12} {time.monotonic() - started:4.0f} s  {DIM}{text}{OFF}", flush=True)


class Load(Background):
    """Threads that ask acme for a page over and over, each time over a connection of its own that
    has to verify."""

    def __init__(self, demo):
        self.demo = demo
        self.answered, self.failures = 0, []
        super().__init__([self.run] * LOAD_THREADS)

    def run(self):
        while not self.ended.is_set():
            try:
                answer = self.demo.get("acme.localhost")
                assert answer is not None and answer.status == 200, answer
                self.answered += 1
            except (OSError, AssertionError) as error:
                self.failures.append(error)


class Demo:
    def __init__(self, folder):
        self.upstreams = {name: Upstream(name, folder) for name in ("acme", "globex")}
        self.tenants = {
            name: {"hosts": [f"{name}.localhost"], "upstream": upstream.url}
            for name, upstream in self.upstreams.items()
        }
        self.tenants["acme"]["headers"] = {"X-Team": "red"}
        (folder / "ca").mkdir()
        authority = Authority(folder)
        self.ca = Pebble(folder / "ca", authority)
        self.stack = CertifiedStack(folder / "stack", self.upstreams, authority, self.ca)
        self.stack.config["strip_headers"] = ["X-User-Email", "X-User-Role"]

    def start(self):
        started = time.monotonic()
        for program in [*self.upstreams.values(), self.ca]:
            program.start()
        for upstream in self.upstreams.values():
            upstream.wait()
        self.stack.write_tenants(self.tenants)
        self.agent_started = time.monotonic()
        self.stack.start()
        self.stack.wait_for_agents(1)
        self.tls = self.stack.trust()
        self.roots = self.stack.directory / "roots.pem"
        self.roots.write_text(self.ca.manage("/roots/0"))
        version = subprocess.run([HAPROXY, "-v"], capture_output=True, text=True).stdout.split()[2]
        place = f"127.0.0.1:{self.stack.https_port}"
        version = version.split("-")[0]
        step(
            "start",
            started,
            f"HAProxy {version} at {place}, the agent, a local ACME server (pebble)",
        )

    def stop(self):
        self.stack.stop()
        for program in [*self.upstreams.values(), self.ca]:
            program.stop()

    def get(self, host, path="/api/version", headers=(), name=None):
        """The answer over TLS, with a certificate that has to be right for `name`."""
        where = {"tls_name": name or host, "tls": self.tls, "headers": headers}
        return clients.request(self.stack.https_port, path, host, **where)

    def url(self, host):
        return f"https://{host}:{self.stack.https_port}"

    # --- what is shown -----------------------------------------------------------------------

    def show_certificates(self):
        title("HAProxy has started with no certificate; each tenant gets one by itself")
        for host in CHAT:
            certificate = self.stack.wait_served(host)
            took_s = time.monotonic() - self.agent_started
            issuer = certificate.issuer.rfc4514_string().removeprefix("CN=")
            row(host, f"https after {took_s:.1f} s", issuer, (20, 18))

    def show_routing(self):
        title("Each host reaches its tenant")
        for host in [*CHAT, "initech.localhost", "acme.localhost, globex"]:
            answer = self.get(host, name="acme.localhost")
            name = answer.header("X-Upstream")
            if name:
                told = f"{name}, at {self.upstreams[name].address}"
            else:
                told = {400: "no valid host: refused", 404: "nobody's"}[answer.status]
            row(f"GET /  Host: {host}", answer.status, told)

    def show_headers(self):
        title("A client tells lies; what reaches acme")
        lies = {
            "X-Forwarded-For": "10.0.0.1",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "globex.localhost",
            "X-Client-IP": "10.0.0.1",
            "X-Tenant-ID": "globex",
            "X-User-Role": "admin",
        }
        seen = clients.Echo(self.get("acme.localhost", "/api/echo", list(lies.items())))
        widths = (20, 18)
        row("", "sent", "arrived", widths)
        for name in [*lies, "X-Team"]:
            row(name, lies.get(name, "-"), ", ".join(seen.all(name)) or "-", widths)

    async def show_changes(self):
        title("Tenants and certificates change under an open WebSocket")
        workers = self.stack.haproxy_workers()
        async with clients.Browser(self.url("acme.localhost"), self.tls) as browser:
            await browser.sign_in()
            await browser.open_socket()
            socket_id = browser.socket.get_sid()
            row("a browser at acme", f"wss, Socket.IO, {await self.tokens(browser)} arrive")
            await asyncio.to_thread(self.change_tenants)
            await asyncio.to_thread(self.rotate)
            tokens = await self.tokens(browser)
            assert browser.socket.get_sid() == socket_id and browser.disconnects == 0
            assert self.stack.haproxy_workers() == workers
            row("the browser at acme", f"same connection, {tokens} arrive")
            row("HAProxy", f"same process as before ({workers[0]}), no reload")

    def change_tenants(self):
        self.tenants["initech"] = {**self.tenants["globex"], "hosts": ["initech.localhost"]}
        took_ms = self.change("initech.localhost", 200)
        row("initech is added", f"answers {took_ms:.0f} ms after the file was written")
        started = time.monotonic()
        self.stack.wait_served("initech.localhost", context=self.tls)
        row("", f"has its own certificate after {time.monotonic() - started:.1f} s more")
        del self.tenants["globex"]
        took_ms = self.change("globex.localhost", 404)
        row("globex is removed", f"gone after {took_ms:.0f} ms")

    def rotate(self):
        """A new certificate for acme while it is asked for pages."""
        before = self.stack.serial("acme.localhost", context=self.tls)
        with Load(self) as load:
            time.sleep(LOAD_S)
            self.stack.certs("renew", "acme")
            after = self.stack.wait_served("acme.localhost", but_not=before, context=self.tls)
            time.sleep(LOAD_S)
        swap = json.loads(self.stack.admin("GET", "/v1/certificates/acme")[1])["haproxys"][0]
        assert load.failures == [], f"requests failed: {load.failures[:3]}"
        row("acme's certificate is renewed", f"serial {before:x} -> {after.serial_number:x}")
        row("", f"put into HAProxy in {swap['took_us'] / 1000:.0f} ms")
        row("", f"{load.answered} HTTPS requests meanwhile, {len(load.failures)} failed")

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

    def change(self, host, status):
        """Puts the tenants in force; milliseconds until `host` answers with `status`."""
        self.stack.write_tenants(self.tenants)
        started = time.monotonic()
        while self.get(host, name="acme.localhost").status != status:
            if time.monotonic() - started > 5:
                raise TimeoutError(f"{host} does not answer {status}")
            time.sleep(0.001)
        return (time.monotonic() - started) * 1000

    def keep(self, folder):
        title("It runs until you press Ctrl-C. Try:")
        for host in ("acme.localhost", "initech.localhost"):
            print(f"  curl --cacert {self.roots} {self.url(host)}/api/echo")
        print(f"  $EDITOR {self.stack.tenants_dir}/tenants.json    {DIM}(saved is live){OFF}")
        with_config = f"-c {self.stack.config_path}"
        print(f"  {self.binary()} certs {with_config}")
        print(f"  {self.binary()} certs {with_config} renew acme")
        print(f"  {self.binary()} explain {with_config} {self.url('acme.localhost')}/")
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
        demo.show_certificates()
        demo.show_routing()
        demo.show_headers()
        asyncio.run(demo.show_changes())
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
