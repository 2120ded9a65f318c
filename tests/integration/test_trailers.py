"""Headers that come behind a body. No rule of HAProxy's sees them, but httptools, which Open WebUI's
uvicorn runs on, hands them on as if they had stood before it: the last X-Forwarded-For is the
client then, and whoever is in X-User-Email is signed in."""

import re

import pytest

from support.clients import Echo, Http2, exchange
from support.recorder import Recorder
from support.stack import HAPROXY_VERSION, Stack
from support.tenants import settings

HOST = "plain.test"
SPOOF = "6.6.6.6"
TRAILERS = f"X-Forwarded-For: {SPOOF}\r\nX-User-Email: root@{SPOOF}\r\n\r\n".encode()
TRAILERS_2 = [("x-forwarded-for", SPOOF), ("x-user-email", f"root@{SPOOF}")]
DROPS = HAPROXY_VERSION >= (3, 2)  # and passes the body on; older ones cannot


class Requests(Recorder):
    """Answers one request of a connection and closes it."""

    def __init__(self):
        super().__init__()
        self.requests = []

    def serve(self, sock):
        sock.settimeout(10)
        data = b""
        while not self._is_whole(data):
            part = sock.recv(65536)
            if not part:
                break
            data += part
        self.requests.append(data)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    @staticmethod
    def _is_whole(data):
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        if b"chunked" in head.lower():
            return re.search(rb"(^|\r\n)0\r\n(.+\r\n)*\r\n$", body) is not None
        return bool(end) and len(body) >= int(length.group(1) if length else 0)


@pytest.fixture(scope="module")
def recorded(folder, authority):
    recorder = Requests()
    stack = Stack(folder / "trailers", {}, authority, changes=settings())
    stack.write_tenants({"plain": {"hosts": [HOST], "upstream": recorder.url, "https": "off"}})
    stack.issue(HOST)
    try:
        yield stack.start(), recorder
    finally:
        stack.stop()
        recorder.stop()


def assert_nothing_told(answer, recorder):
    told = b"".join(recorder.requests)
    recorder.requests.clear()
    assert SPOOF.encode() not in told, told
    if DROPS:
        assert answer.status == 200 and told, answer
    else:
        assert (answer.status, answer.header("X-Refused")) == (411, "length") and not told


CHUNKED = {
    "a body": b"POST /api/echo HTTP/1.1\r\n%s4\r\nabcd\r\n0\r\n",
    "an empty one": b"POST /api/echo HTTP/1.1\r\n%s0\r\n",
    "one that fits no buffer": b"POST /api/echo HTTP/1.1\r\n%s5000\r\n"
    + b"x" * 0x5000
    + b"\r\n0\r\n",
    "a GET": b"GET /api/echo HTTP/1.1\r\n%s0\r\n",
    "HTTP/1.0": b"POST /api/echo HTTP/1.0\r\n%s4\r\nabcd\r\n0\r\n",
    "a length, too": b"POST /api/echo HTTP/1.1\r\nContent-Length: 4\r\n%s4\r\nabcd\r\n0\r\n",
    "a WebSocket": b"GET /ws/socket.io/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s0\r\n",
}


@pytest.mark.parametrize("name", CHUNKED)
def test_nothing_is_said_behind_a_chunked_body(recorded, name):
    stack, recorder = recorded
    head = f"Host: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    data = CHUNKED[name].replace(b"%s", head) + TRAILERS
    assert_nothing_told(exchange(stack.http_port, data, "POST"), recorder)


def test_what_open_webuis_server_makes_of_it(http, upstreams):
    """Asked without HAProxy, it believes every word."""
    head = b"POST /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + b"4\r\nabcd\r\n0\r\n" + TRAILERS
    assert Echo(exchange(upstreams["alpha"].port, data, "POST")).client == SPOOF
    answer = exchange(http, data, "POST")
    if DROPS:
        seen = Echo(answer)
        assert seen.client == seen.header("X-Forwarded-For") == "127.0.0.1"
        assert seen.header("X-User-Email") is None and seen.body_bytes == 4
    else:
        assert answer.status == 411


@pytest.mark.parametrize("body", [b"abcd", b"", None])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_nothing_is_said_behind_a_body_of_http2(recorded, body, in_pieces):
    stack, recorder = recorded
    with Http2(stack.https_port, HOST) as client:
        # Held back, so that HAProxy gets all of them at once.
        send, client._send = client._send, client._send if in_pieces else lambda: None
        stream = client.send("/api/echo", "POST", end=False)
        if body is not None:
            client.send_data(stream, body)
        client.send_trailers(stream, TRAILERS_2)
        client._send = send
        client._send()
        assert_nothing_told(client.read(stream), recorder)


def test_nothing_is_said_behind_a_body_whose_length_was_told(recorded):
    stack, recorder = recorded
    with Http2(stack.https_port, HOST) as client:
        length = [("content-length", "4")]
        stream = client.send("/api/echo", "POST", headers=length, end=False)
        client.send_data(stream, b"abcd")
        client.send_trailers(stream, TRAILERS_2)
        assert client.read(stream).status == 200
        assert client.request("/api/echo").status == 200
        assert client.request("/api/echo", method="POST").status == 200
    told = b"".join(recorder.requests)
    recorder.requests.clear()
    assert SPOOF.encode() not in told and told.count(b"\r\n\r\nabcd") == 1, told
