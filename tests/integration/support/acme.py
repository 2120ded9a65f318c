"""A certificate authority on this machine: pebble, its DNS, and HAProxy in front for faults; and the
ACME worker alone (acme_host.c), driven line by line."""

import base64
import http.client
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
import ssl

from .processes import Process, accepts, free_port, kept_port, sanitizer_report, wait_until
from .stack import BINARY, HAPROXY, REPOSITORY, SANITIZERS

PEBBLE = shutil.which("pebble")
CHALLTESTSRV = shutil.which("pebble-challtestsrv")
_BESIDE = BINARY.parents[2] / "tests/acme_host"  # of the same build, if the program is of one
ACME_HOST = _BESIDE if _BESIDE.exists() else REPOSITORY / "build/asan/tests/acme_host"


class Pebble:
    """pebble and its DNS; every name resolves to 127.0.0.1 unless told otherwise.

    Behind a HAProxy that lets new orders through one by one: of two at once, pebble 2.4 at times
    never finishes any. Making the one's authorization, it holds that and waits for its database;
    looking through all of them for the other, it holds the database and waits for that."""

    def __init__(self, folder, authority, challenge_port=None, validity_s=3600, eab=None, env=None):
        self.folder = folder
        self.authority = authority
        self.port, self.own_port, self.management_port = free_port(), free_port(), free_port()
        self.challenge_port = challenge_port or kept_port()
        self.dns_port, self.dns_management_port = free_port(), free_port()
        self.ca_file = authority.path
        self.directory = f"https://localhost:{self.port}/dir"
        certificate = authority.issue(["localhost", "127.0.0.1"], folder / "pebble.pem")
        settings = {
            "listenAddress": f"127.0.0.1:{self.own_port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(certificate),
            "privateKey": str(certificate),
            "httpPort": self.challenge_port,
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": eab is not None,
            "externalAccountMACKeys": eab or {},
            "domainBlocklist": ["blocked.example.test"],
            "certificateValidityPeriod": validity_s,
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        (folder / "gate.cfg").write_text(self._gate(certificate))
        self.env = {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": "5",
            "PEBBLE_AUTHZREUSE": "0",
            **(env or {}),
        }
        self.dns = Process(
            "challtestsrv",
            [CHALLTESTSRV, "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]
            + ["-dns01", f"127.0.0.1:{self.dns_port}"]
            + ["-management", f"127.0.0.1:{self.dns_management_port}"],
            folder,
        )
        self.process = self.gate = None

    def _gate(self, certificate):
        server = f"server pebble 127.0.0.1:{self.own_port} ssl verify none"
        return (
            "defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n"
            "    timeout server 60s\n    timeout queue 60s\nfrontend ca\n"
            f"    bind 127.0.0.1:{self.port} ssl crt {certificate} alpn h2,http/1.1\n"
            "    use_backend orders if { path /order-plz }\n    default_backend pebble\n"
            f"backend orders\n    {server} maxconn 1\nbackend pebble\n    {server}\n"
        )

    def _begin(self):
        self.process = Process(
            "pebble",
            [PEBBLE, "-config", self.folder / "pebble.json"]
            + ["-dnsserver", f"127.0.0.1:{self.dns_port}"],
            self.folder,
            self.env,
        )
        self.gate = Process("gate", [HAPROXY, "-db", "-f", self.folder / "gate.cfg"], self.folder)
        self.process.start()
        self.gate.start()
        # Its roots are RSA keys, which take a while.
        self.wait_until_up()

    def start(self):
        self.dns.start()
        self.dns.wait_for(lambda: accepts(("127.0.0.1", self.dns_management_port)), "DNS")
        self._begin()
        return self

    def kill(self):
        """Nobody listens any more."""
        for process in (self.gate, self.process):
            if process is not None:
                process.stop(signal.SIGKILL)

    def restart(self):
        """It forgets every account and order."""
        self.kill()
        self._begin()

    def stop(self):
        self.kill()
        self.dns.stop()

    def as_second(self, **more):
        """What an agent is told of it that has another one first."""
        return {"directory": self.directory, "ca_file": str(self.ca_file), **more}

    def set_dns(self, command, **members):
        """A command of pebble-challtestsrv's: "add-a", "add-caa", "set-servfail"..."""
        url = f"http://127.0.0.1:{self.dns_management_port}/{command}"
        body = json.dumps(members).encode()
        urllib.request.urlopen(urllib.request.Request(url, body), timeout=10).close()

    def resolve(self, host, address):
        self.set_dns("clear-a", host=host + ".")
        self.set_dns("add-a", host=host + ".", addresses=[address])

    def wait_until_up(self):
        """The management port is opened on its own, and not always first."""
        for port, what in ((self.own_port, "directory"), (self.management_port, "management")):
            self.process.wait_for(lambda port=port: accepts(("127.0.0.1", port)), what, 60)
        self.gate.wait_for(lambda: accepts(("127.0.0.1", self.port)), "listening")

    def allow_all(self):
        """Names that it blocks by configuration are blocked no more; it forgets everything."""
        path = self.folder / "pebble.json"
        settings = json.loads(path.read_text())
        settings["pebble"]["domainBlocklist"] = []
        path.write_text(json.dumps(settings))
        self.restart()

    def manage(self, path):
        context = ssl.create_default_context(cafile=str(self.ca_file))
        url = f"https://localhost:{self.management_port}{path}"
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            return answer.read().decode()

    def root(self):
        """What verifies the certificates that it issues, in PEM."""
        return self.manage("/roots/0")

    def orders(self):
        """How many orders it has taken since it started."""
        return self.process.log().count("Added order ")

    def good_orders(self):
        """The same without those that it has given up because nobody answered its challenge."""
        return self.orders() - self.process.log().count(" set INVALID by invalid authz ")


# What HAProxy, in front of pebble, does to requests. The directory stays reachable.
FAULTS = {
    "none": [],
    "503": [
        "http-request return status 503 hdr Retry-After 1 content-type text/html "
        'string "<html>overloaded</html>" if { rand(100) lt 20 } !{ path /dir }'
    ],
    "429": [
        "http-request return status 429 hdr Retry-After 1 content-type application/problem+json "
        'string "{\\"type\\":\\"urn:ietf:params:acme:error:rateLimited\\",'
        '\\"detail\\":\\"too many\\",\\"status\\":429}" '
        "if { path /order-plz } { rand(100) lt 40 }"
    ],
    "drop": ["http-request silent-drop if { rand(100) lt 5 } !{ path /dir }"],
    "close": ["http-request reject if { rand(100) lt 20 } !{ path /dir }"],
}


class FaultyProxy:
    """HAProxy in front of pebble. pebble makes its URLs from Host, so all requests come this way."""

    def __init__(self, pebble, folder, rules):
        self.pebble = pebble
        self.folder = folder
        self.port = free_port()
        self.directory = f"https://localhost:{self.port}/dir"
        self.certificate = pebble.authority.issue(["localhost"], folder / "proxy.pem")
        self.set_rules(rules)
        self.process = Process("faults", [HAPROXY, "-db", "-f", folder / "faults.cfg"], folder)

    def set_rules(self, rules):
        lines = ["    " + rule for rule in rules]
        (self.folder / "faults.cfg").write_text(
            "defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n"
            "    timeout server 30s\nfrontend ca\n"
            f"    bind 127.0.0.1:{self.port} ssl crt {self.certificate} alpn h2,http/1.1\n"
            + "\n".join(lines)
            + "\n    default_backend pebble\nbackend pebble\n"
            f"    server pebble 127.0.0.1:{self.pebble.port} ssl verify none alpn h2,http/1.1\n"
        )

    def tell_window(self, headers=""):
        """pebble 2.4 has no renewal information: this has it, with a window in the past."""
        urls = {"newNonce": "nonce-plz", "newAccount": "sign-me-up", "newOrder": "order-plz"}
        urls.update(revokeCert="revoke-cert", keyChange="rollover-account-key", renewalInfo="ari")
        directory = {key: f"https://localhost:{self.port}/{path}" for key, path in urls.items()}
        times = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
        window = {"suggestedWindow": times}
        answer = "http-request return status 200 content-type application/json "
        self.set_rules(
            [
                f"{answer}string '{json.dumps(directory)}' if {{ path /dir }}",
                f"{answer}{headers} string '{json.dumps(window)}' if {{ path_beg /ari/ }}",
            ]
        )

    def start(self):
        self.process.start()
        self.process.wait_for(lambda: accepts(("127.0.0.1", self.port)), "listening")
        return self

    def stop(self):
        self.process.stop()


class PendingAgain:
    """In front of pebble: newOrder for names that have an order which nobody has finalized is
    answered with that one, as Let's Encrypt does. While `busy`, it takes no challenges."""

    HELD_S = 300

    def __init__(self, pebble, folder):
        self.pebble = pebble
        self.busy = False
        self.again = 0  # orders that were given once more
        self.pending = {}  # by names: Location, the order
        self.lock = threading.Lock()
        handler = type("Handler", (_PendingAgainHandler,), {"ca": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pebble.authority.issue(["localhost"], folder / "again.pem"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.host = f"localhost:{self.server.server_port}"
        self.directory = f"https://{self.host}/dir"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def ask(self, method, path, headers=None, body=None):
        """Status, headers and body from pebble, which makes its URLs from Host; nobody else makes
        orders meanwhile."""
        unverified = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.pebble.own_port, timeout=30, context=unverified
        )
        connection.request(method, path, body, {**(headers or {}), "Host": self.host})
        answer = connection.getresponse()
        told = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return told

    def answer(self, method, path, headers, body):
        if self.busy and path.startswith("/chalZ/"):
            return 503, {"Retry-After": str(self.HELD_S)}, b"busy"
        if path.startswith("/finalize-order/"):
            with self.lock:
                self.pending = {
                    names: (location, order)
                    for names, (location, order) in self.pending.items()
                    if not json.loads(order)["finalize"].endswith(path)
                }
        if path != "/order-plz":
            return self.ask(method, path, headers, body)
        payload = json.loads(body)["payload"]
        wish = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        names = tuple(sorted(one["value"] for one in wish["identifiers"]))
        with self.lock:
            if names in self.pending:
                self.again += 1
                location, order = self.pending[names]
                nonce = self.ask("HEAD", "/nonce-plz")[1]["Replay-Nonce"]
                return 201, {"Location": location, "Replay-Nonce": nonce}, order
            status, told, order = self.ask(method, path, headers, body)
            if status == 201:
                self.pending[names] = told["Location"], order
            return status, told, order


class _PendingAgainHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    KEPT = ("Replay-Nonce", "Location", "Link", "Retry-After", "Content-Type")

    def do_HEAD(self):
        self.pass_on()

    do_GET = do_POST = do_HEAD

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
        kept = {name: self.headers[name] for name in ("Content-Type", "User-Agent")}
        headers = {name: value for name, value in kept.items() if value is not None}
        status, told, text = self.ca.answer(self.command, self.path, headers, body)
        self.send_response(status)
        for name, value in told.items():
            if name in self.KEPT:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, *_):
        pass


class AcmeHost:
    """acme_host on a folder; events are read as they come."""

    def __init__(self, folder, cas, challenge_port, certificates=None, **settings):
        self.folder = folder
        self.certs = folder / "certs"
        self.state = folder / "state"
        self.settings = {
            "state": str(self.state),
            "certs": str(self.certs),
            "challenge_port": challenge_port,
            "cas": cas,
            "certificates": certificates or {},
            **settings,
        }
        self.child = None
        self.events = None

    def start(self, **changes):
        path = self.folder / "acme_host.json"
        path.write_text(json.dumps({**self.settings, **changes}))
        self.log_path = self.folder / "acme_host.log"
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                [str(ACME_HOST), str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **SANITIZERS},
            )
        self.events = queue.Queue()
        threading.Thread(target=self._read, args=(self.child, self.events), daemon=True).start()
        return self

    @staticmethod
    def _read(child, events):
        for line in child.stdout:
            events.put(json.loads(line))
        events.put({"event": "ended"})

    def say(self, *words):
        self.child.stdin.write(" ".join(words) + "\n")
        self.child.stdin.flush()

    def wait(self, event, timeout_s=30, **members):
        """The next such event; those before it are passed over."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                told = self.events.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no {event} {members} within {timeout_s} s\n{self.log()}")
            if told["event"] == event and all(told.get(k) == v for k, v in members.items()):
                return told
            if told["event"] == "ended":
                raise RuntimeError(f"acme_host ended, no {event} {members}\n{self.log()}")

    def status(self, name):
        self.say("status", name)
        return self.wait("status", name=name)

    def wait_status(self, name, condition, what, timeout_s=30):
        return wait_until(
            lambda: (lambda told: told if condition(told) else None)(self.status(name)),
            f"{what}\n{self.log()}",
            timeout_s,
        )

    def join(self, timeout_s=30):
        """Waits for the process to end by itself; its exit status."""
        self.child.wait(timeout_s)
        self._close()
        return self.child.returncode

    def stop(self):
        if self.child is None or self.child.stdin.closed:
            return
        if self.child.poll() is None:
            self.child.stdin.close()
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self._close()
        report = sanitizer_report(self.log())
        assert report is None, report
        assert self.child.returncode == 0, self.log()

    def kill(self):
        self.child.kill()
        self.child.wait()
        self._close()

    def _close(self):
        if not self.child.stdin.closed:
            self.child.stdin.close()

    def log(self):
        return self.log_path.read_text(errors="replace")
