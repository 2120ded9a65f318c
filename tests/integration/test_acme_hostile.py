"""What stands where the CA should be: servers that answer without end, without haste, or with traps.
The worker has to give up in time, say why, and ask nobody else."""

import json
import socket
import ssl
import threading

import pytest

from support.acme import ACME_HOST, AcmeHost
from support.processes import free_port, wait_until

pytestmark = pytest.mark.skipif(not ACME_HOST.exists(), reason="needs the built acme_host")

NAME = "chat.example.test.pem"


class Server:
    """A TLS server that gives each connection to `answer` and keeps what was asked."""

    def __init__(self, authority, folder, answer, names=("localhost",)):
        self.answer = answer
        self.requests = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(authority.issue(list(names), folder / "server.pem"))
        self.stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.stopped.is_set():
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        try:
            plain.settimeout(5)
            with self.context.wrap_socket(plain, server_side=True) as peer:
                request = b""
                while b"\r\n\r\n" not in request:
                    part = peer.recv(4096)
                    if not part:
                        return
                    request += part
                self.requests.append(request)
                self.answer(peer, self)
        except OSError:
            pass  # the worker gave up, as it should

    def stop(self):
        self.stopped.set()
        self.socket.close()


def head(status="200 OK", *headers):
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def endless_body(peer, server):
    peer.sendall(head("200 OK", "Content-Type: application/json", "Connection: close"))
    while not server.stopped.is_set():
        peer.sendall(b" " * 65536)


def announced_too_long(peer, server):
    peer.sendall(head("200 OK", "Content-Length: 99999999999"))
    server.stopped.wait(5)


def endless_headers(peer, server):
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    while not server.stopped.is_set():
        peer.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")


def drip(peer, server):
    for byte in head("200 OK", "Content-Length: 100"):
        peer.sendall(bytes([byte]))
        if server.stopped.wait(0.1):
            return


def silence(peer, server):
    server.stopped.wait(5)


def thought(peer, server):
    """Asked for the first time it thinks, longer than a quick one is waited for."""
    if len(server.requests) == 1:
        server.stopped.wait(17)
        server.asked_meanwhile = len(server.requests) - 1
    html(peer, server)


def redirect(peer, server):
    peer.sendall(
        head(
            "302 Found",
            f"Location: https://localhost:{server.port}/elsewhere",
            "Content-Length: 0",
            "Connection: close",
        )
    )


def not_http(peer, server):
    peer.sendall(b"220 mail.example.test ESMTP\r\n")


def html(peer, server):
    body = b"<html><body>Please log in</body></html>"
    peer.sendall(head("200 OK", f"Content-Length: {len(body)}", "Connection: close") + body)


def plain_http_urls(peer, server):
    urls = {key: "http://localhost/x" for key in ("newNonce", "newAccount", "newOrder")}
    body = json.dumps(urls).encode()
    peer.sendall(head("200 OK", f"Content-Length: {len(body)}", "Connection: close") + body)


def file_urls(peer, server):
    urls = {key: "file:///etc/passwd" for key in ("newNonce", "newAccount", "newOrder")}
    body = json.dumps(urls).encode()
    peer.sendall(head("200 OK", f"Content-Length: {len(body)}", "Connection: close") + body)


CASES = {
    "endless body": (endless_body, "size limit"),
    "announced too long": (announced_too_long, "size limit"),
    "endless headers": (endless_headers, ""),
    "drip": (drip, "timed out"),
    "silence": (silence, "timed out"),
    "redirect": (redirect, "302"),
    "not HTTP": (not_http, ""),
    "HTML": (html, "JSON"),
    "http URLs": (plain_http_urls, "https"),
    "file URLs": (file_urls, "https"),
}


def start(authority, folder, answer, names=("localhost",), timeout_ms=400):
    folder.mkdir()
    server = Server(authority, folder, answer, names)
    ca = {
        "directory": f"https://localhost:{server.port}/dir",
        "ca_file": str(authority.path),
        "timeout_ms": timeout_ms,
    }
    wanted = {NAME: {"hosts": ["chat.example.test"]}}
    return server, AcmeHost(folder, [ca], free_port(), wanted).start()


@pytest.fixture(scope="module")
def all_cases(authority, tmp_path_factory):
    """All at once, because each takes its time to give up."""
    folder = tmp_path_factory.mktemp("hostile")
    started = {
        case: start(authority, folder / str(number), answer)
        for number, (case, (answer, _)) in enumerate(CASES.items())
    }
    yield started
    for server, host in started.values():
        server.stop()
        host.stop()


@pytest.mark.parametrize("case", CASES)
def test_given_up_in_time_and_told(all_cases, case):
    server, host = all_cases[case]
    told = host.wait_status(NAME, lambda told: told["failures"] == 1, "a failure", 60)
    assert CASES[case][1] in told["problem"]["detail"], told
    assert told["next_in_ms"] > 0
    assert server.requests
    for request in server.requests:
        assert request.startswith(b"GET /dir HTTP/1.1\r\n"), request
        assert b"\r\nUser-Agent: owui-spoa/" in request


def test_a_ca_may_think_for_as_long_as_it_is_waited_for(authority, tmp_path):
    server, host = start(authority, tmp_path / "host", thought, timeout_ms=0)
    try:
        wait_until(lambda: len(server.requests) == 2, "another request", 60)
        assert server.asked_meanwhile == 0
    finally:
        server.stop()
        host.stop()


def test_memory_stays_bounded(all_cases):
    server, host = all_cases["endless body"]
    wait_until(lambda: len(server.requests) >= 3, "some requests", 30)
    status = open(f"/proc/{host.child.pid}/status").read()
    peak_kb = int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1])
    assert peak_kb < 300 * 1024  # most of it is the sanitizer's


def test_a_server_with_another_name_is_not_trusted(authority, tmp_path):
    server, host = start(authority, tmp_path / "host", html, ("elsewhere.example.test",))
    try:
        told = host.wait_status(NAME, lambda told: told["failures"] == 1, "a failure", 40)
        assert told["problem"]["class"] == "transient"
        assert "certificate" in told["problem"]["detail"].lower(), told
        assert server.requests == []
    finally:
        server.stop()
        host.stop()
