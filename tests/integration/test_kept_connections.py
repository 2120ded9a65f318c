"""Upstreams close connections that were idle for a while, uvicorn after 5 s, maybe just when the next
request comes. So what may not be sent twice, and a WebSocket, never goes on a connection that a
request has had before; who asked for what may be sent twice is told to ask again."""

import base64
import hashlib
import itertools
import re
import socket
import ssl
import struct
import time

import h2.errors
import pytest

from support.clients import HANDSHAKE, SOCKET, Http2, connect, read_answer, request, request_bytes
from support.recorder import Recorder, read_head
from support.sockets import CLOSE, PING, PONG, read_frame, write_frame
from support.stack import Upstream

VIA = ["http", "https", "https-noverify", "backend"]
REFUSED, POSTED, CLOSED, RESET = "/refused", "/posted", "/closed", "/reset"
IDLE_S = 1
ANSWERS = {
    200: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    403: b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
}


def upgrade(head):
    """RFC 6455 4.2.2."""
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1]
    accepted = base64.b64encode(
        hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    )
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
    )


class Connections(Recorder):
    """Keeps which request came on which of its connections, by path. It goes on with one on which
    it refused a WebSocket, and ends one where CLOSED or RESET comes. `names` are those that clients
    of TLS asked for, or None."""

    def __init__(self, certificate=None):
        self.context = None
        self.names = []
        if certificate:
            self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.context.load_cert_chain(certificate)
            self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        self.numbers = itertools.count()
        self.came = {}
        super().__init__()

    def serve(self, sock):
        if self.context:
            sock = self.context.wrap_socket(sock, server_side=True)
        number = next(self.numbers)
        with sock, sock.makefile("rb") as stream:
            while head := read_head(stream):
                path = head.split()[1].decode()
                self.came.setdefault(path, []).append(number)
                if path == RESET:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if path in (CLOSED, RESET):
                    return
                if path == SOCKET:
                    sock.sendall(upgrade(head))
                    stream.read()
                    return
                sock.sendall(ANSWERS[403 if path == REFUSED else 200])


@pytest.fixture(scope="module")
def recorders(folder, authority):
    certificate = authority.issue(["secure.internal"], folder / "recorder.pem")
    made = {"plain": Connections(), "secure": Connections(certificate)}
    yield made
    for recorder in made.values():
        recorder.stop()


@pytest.fixture(scope="module")
def stack(new_module_stack, recorders):
    plain, secure = recorders["plain"], recorders["secure"]
    servers = [plain.url.removeprefix("http://")]
    stack = new_module_stack(haproxy_changes={"backends": {"shelf": {"servers": servers}}})
    https = {"upstream": secure.url.replace("http:", "https:"), "https": "off"}
    verified = {"upstream_tls": {"server_name": "secure.internal"}}
    stack.write_tenants(
        {
            "http": {"hosts": ["http.test"], "upstream": plain.url, "https": "off"},
            "https": {"hosts": ["https.test"], **https, **verified},
            "noverify": {
                "hosts": ["https-noverify.test"],
                **https,
                "upstream_tls": {"verify": False},
            },
            "backend": {"hosts": ["backend.test"], "backend": "shelf", "https": "off"},
        }
    )
    stack.issue(*(f"{name}.test" for name in VIA))
    stack.start()
    return stack


@pytest.fixture(params=VIA)
def came(request, stack, recorders):
    """Which connections the requests to this host's upstream have come on."""
    name = request.param
    came = recorders["secure" if name.startswith("https") else "plain"].came
    came.clear()
    return f"{name}.test", came


def check(came):
    """What may be sent twice shared a connection, everything else had one of its own."""
    shared, own = came["/one"] + came["/two"], came[POSTED] + came[REFUSED] + came[SOCKET]
    assert len(set(shared)) == 1, came
    assert len(set(shared + own)) == 1 + len(own) == 5, came


def test_connections_by_http_1(stack, came):
    host, came = came
    with connect(stack.http_port) as sock:
        for path in ["/one", "/two", POSTED, REFUSED, REFUSED, SOCKET]:
            method = "POST" if path == POSTED else "GET"
            more = HANDSHAKE if path in (REFUSED, SOCKET) else [("Content-Length", "0")]
            sock.sendall(request_bytes(method, path, host, more))
            assert read_answer(sock).status == {REFUSED: 403, SOCKET: 101}.get(path, 200)
    check(came)


def test_connections_by_http_2(stack, came):
    host, came = came
    with Http2(stack.https_port, host) as client:
        for path in ["/one", "/two", POSTED]:
            assert client.request(path, method="POST" if path == POSTED else "GET").status == 200
        for path in [REFUSED, REFUSED, SOCKET]:
            _, status = client.open_websocket(path)
            assert status == {REFUSED: 403, SOCKET: 200}[path]
    check(came)


@pytest.mark.parametrize("path", [CLOSED, RESET])
def test_a_connection_that_ends_when_it_is_used_again(stack, came, path):
    host, came = came
    with connect(stack.http_port) as sock:
        sock.sendall(request_bytes("GET", "/", host))
        assert read_answer(sock).status == 200
        sock.sendall(request_bytes("GET", path, host))
        assert read_answer(sock) is None
    with Http2(stack.https_port, host) as client:
        assert client.request("/").status == 200
        assert client.request(path) is None
        assert client.reset_code == h2.errors.ErrorCodes.REFUSED_STREAM
        assert client.request("/").status == 200
    assert len(came[path]) == 2


@pytest.mark.parametrize("path", [CLOSED, RESET])
def test_what_may_not_be_sent_twice_is_not(stack, came, path):
    host, came = came
    answer = request(stack.http_port, path, host, method="POST")
    assert answer.status == 502
    assert len(came[path]) == 1


def test_no_connection_to_the_agent_is_kept(new_stack, upstreams):
    """Its HTTP server closes those that are idle, too."""
    stack = new_stack()
    stack.write_tenants(
        {
            "t": {
                "hosts": ["t.test"],
                "upstream": upstreams["alpha"].url,
                "https": "off",
                "maintenance": {"on": True},
            }
        }
    )
    stack.start()
    answer = request(stack.http_port, "/", "t.test", headers=[("Accept", "text/html")])
    assert answer.status == 503 and b"<html" in answer.body.lower()
    head, row = stack.runtime("show servers conn owui_answer").strip().splitlines()
    told = dict(zip(head.removeprefix("# ").split(), row.split()))
    assert told["bkname/svname"] == "owui_answer/pages" and told["idle_cur"] == "0"


def test_an_upstreams_timer_for_idle_connections(new_stack, folder):
    """uvicorn with httptools: a body is complete by its length, the piece that ends it comes later,
    and sets the timer of what is a WebSocket by then."""
    stack = new_stack()
    upstream = Upstream("timed", folder, idle_s=IDLE_S).start().wait()
    try:
        stack.write_tenants({"t": {"hosts": ["t.test"], "upstream": upstream.url, "https": "off"}})
        stack.start()
        with connect(stack.http_port) as sock, sock.makefile("rb", 0) as stream:
            for _ in range(2):
                sock.sendall(request_bytes("GET", "/api/ended-later", "t.test"))
                assert read_head(stream).startswith(b"HTTP/1.1 200")
                assert stream.read(2) == b"ok"
            sock.sendall(request_bytes("GET", SOCKET, "t.test", HANDSHAKE))
            assert read_head(stream).startswith(b"HTTP/1.1 101")
            time.sleep(2 * IDLE_S)  # what ends it has no other sign
            write_frame(sock, "", PING)
            while (frame := read_frame(sock))[0] != PONG:
                assert frame[0] != CLOSE, frame
    finally:
        upstream.stop()
