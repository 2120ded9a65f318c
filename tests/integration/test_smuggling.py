"""Requests within requests: whatever an upstream may take for the head of one has passed the rules, on
connections that are not closed between them."""

import collections
import contextlib
import re
import socket

import pytest

from support.clients import HANDSHAKE, Http2, Pipeline, connect, read_answer, request
from support.clients import request_bytes
from support.processes import wait_until
from support.recorder import Recorder
from support.stack import Stack
from support.tenants import settings

HOST = "plain.test"
OTHER = "teams.test"
SPOOF = "6.6.6.6"
SMUGGLED = request_bytes(
    "GET", "/smuggled", HOST, [("X-User-Email", SPOOF), ("X-Forwarded-For", SPOOF)]
)
TOLD_ONCE = [
    b"host",
    b"x-forwarded-for",
    b"x-real-ip",
    b"x-client-ip",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-request-id",
    b"x-tenant-id",
    b"x-owui-hop",
]
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n"


class Connections(Recorder):
    """Switches to no other protocol, keeps its connections and what came on each."""

    def __init__(self):
        super().__init__()
        self.received = []

    def serve(self, sock):
        received, answered = bytearray(), 0
        self.received.append(received)
        while data := sock.recv(65536):
            received += data
            heads = len(split(bytes(received)))
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * (heads - answered))
            answered = heads

    def heads(self):
        return [head for received in self.received for head in split(bytes(received))]


def split(data):
    """The heads of a connection's requests; bodies have a length that was told."""
    heads = []
    while b"\r\n\r\n" in data:
        head, _, data = data.partition(b"\r\n\r\n")
        heads.append(head)
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        data = data[int(length[1]) if length else 0 :]
    return heads


def assert_told_once(head, *more):
    names = collections.Counter(line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:])
    assert {name: names[name] for name in [*TOLD_ONCE, *more] if names[name] != 1} == {}, head
    assert SPOOF.encode() not in head, head


@pytest.fixture(scope="module")
def recorded(folder, authority):
    recorder = Connections()
    stack = Stack(folder / "smuggling", {}, authority, changes=settings())
    plain = {"upstream": recorder.url, "https": "off"}
    stack.write_tenants(
        {
            "plain": {"hosts": [HOST], **plain},
            "teams": {"hosts": [OTHER], "headers": {"X-Team": "red"}, **plain},
        }
    )
    stack.issue(HOST)
    try:
        yield stack.start(), recorder
    finally:
        stack.stop()
        recorder.stop()


@pytest.fixture
def stack(recorded):
    recorded[1].received.clear()
    return recorded[0]


def assert_none_smuggled(stack, recorder):
    """What is behind has arrived, or never will, when a later request has."""
    for _ in range(3):
        assert request(stack.http_port, "/last", HOST).status == 200
    wait_until(lambda: b"GET /last " in b"".join(map(bytes, recorder.received)), "the last one")
    for head in recorder.heads():
        assert_told_once(head)


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "foo"])
@pytest.mark.parametrize("length", [None, 0, len(SMUGGLED)])
def test_what_follows_an_upgrade_is_a_request_like_others(stack, recorded, upgrade, length):
    headers = [(name, upgrade if name == "Upgrade" else value) for name, value in HANDSHAKE]
    headers += [("Content-Length", str(length))] if length is not None else []
    with connect(stack.http_port) as sock:
        sock.sendall(request_bytes("GET", "/ws/", HOST, headers) + SMUGGLED)
        sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sock.recv(65536):
                pass
    assert_none_smuggled(stack, recorded[1])


@pytest.mark.parametrize("protocol", ["websocket", "WebSocket", "connect-udp", "h2c", ""])
@pytest.mark.parametrize("length", [None, 0, len(SMUGGLED)])
def test_a_tunnel_of_http2_carries_no_requests(stack, recorded, protocol, length):
    """RFC 8441: the stream's data would follow the request that HTTP/1.1 has for it."""
    headers = [(":protocol", protocol)]
    headers += [("content-length", str(length))] if length is not None else []
    with Http2(stack.https_port, HOST) as client:
        while client.settings is None:
            assert client._receive()
        stream = client.send("/ws/", "CONNECT", headers=headers, end=False)
        client.send_data(stream, SMUGGLED)
        client.sock.settimeout(0.5)
        with contextlib.suppress(OSError):
            client.read(stream)
    assert_none_smuggled(stack, recorded[1])


@pytest.mark.parametrize("host, more", [(HOST, []), (OTHER, [b"x-team"])])
@pytest.mark.parametrize("fill", ["one header", "many headers", "the path"])
def test_where_there_is_no_room_for_what_is_told_nothing_arrives(stack, recorded, host, more, fill):
    """Near the size of HAProxy's buffer, and near the number of headers that it takes."""
    statuses = set()
    for number in range(80, 112) if fill == "many headers" else range(14000, 16500, 60):
        headers = [("X-Forwarded-For", SPOOF), ("X-User-Email", SPOOF)]
        target = "/" + "x" * number if fill == "the path" else "/"
        if fill == "one header":
            headers.append(("Cookie", "x" * number))
        if fill == "many headers":
            headers += [(f"X-{i}", "x") for i in range(number)]
        answer = request(stack.http_port, target, host, headers=headers)
        statuses.add(answer.status if answer is not None else None)
    assert 200 in statuses and statuses <= {
        200,
        400,
        413,
        414,
        431,
        500,
        503,
        None,
    }, statuses
    assert len(statuses) > 1, "the room was never used up"
    for head in recorded[1].heads():
        assert_told_once(head, *more)


class Greedy(Connections):
    """Switches to another protocol without being asked, and wants everything behind for itself."""

    def serve(self, sock):
        received = bytearray()
        self.received.append(received)
        while data := sock.recv(65536):
            sock.sendall(b"greedy" if received else SWITCHED)
            received += data


@pytest.fixture
def greedy(stack):
    upstream = Greedy()
    tenant = {"hosts": ["greedy.test"], "upstream": upstream.url, "https": "off"}
    stack.write_tenants({"greedy": tenant}, "greedy.json")
    wait_until(lambda: request(stack.http_port, "/", "greedy.test").status != 404, "the tenant")
    upstream.received.clear()
    yield upstream
    stack.write_tenants({}, "greedy.json")
    upstream.stop()


@pytest.mark.parametrize("times", [1, 2, 10])
def test_no_length_that_overflows_arrives(stack, recorded, times):
    """HAProxy before 3.2 reads 2^64 as 0, passes it on, and gives the connection to somebody else:
    their requests would be a body that never ends. Where 0 is what it passes on, nothing is wrong.
    """
    recorder = recorded[1]
    length = [("Content-Length", str(2**64 * times))]
    with connect(stack.http_port) as sock:
        sock.sendall(request_bytes("GET", "/poisoned", HOST, length))
        answer = read_answer(sock)
    assert request(stack.http_port, "/last", HOST).status == 200
    arrived = [head for head in recorder.heads() if b"/poisoned" in head]
    assert answer is None or answer.status == (200 if arrived else 400)
    assert all(b"\r\ncontent-length: 0\r\n" in head.lower() + b"\r\n" for head in arrived), arrived


def test_an_upstream_that_switches_unasked_gets_no_other_tenants_requests(stack, greedy):
    """A proxy in front may send many people's requests over this connection."""
    with connect(stack.http_port) as sock:
        sock.sendall(request_bytes("GET", "/", "greedy.test"))
        answers = Pipeline(sock)
        assert read_answer(answers).status == 502
        sock.sendall(request_bytes("GET", "/secret", HOST))
        answer = read_answer(answers)  # HAProxy may close instead
        assert answer is None or (answer.status, answer.body) == (200, b"ok")
    with Http2(stack.https_port, HOST) as client:
        assert client.request("/", authority="greedy.test").status == 502
        assert client.request("/secret").status == 200
    assert b"secret" not in b"".join(map(bytes, greedy.received))


INJECTED = "x\r\nx-user-email: root"


@pytest.mark.parametrize(
    "part, value",
    [
        (":method", f"GET / HTTP/1.1\r\n{INJECTED}"),
        (":method", "G T"),
        (":scheme", INJECTED),
    ]
    + [(":path", f"/{INJECTED}"), (":path", "/x y"), (":path", "/x#y"), (":path", "x")]
    + [
        (":authority", INJECTED),
        (":authority", f"u@{HOST}"),
        (":authority", f"{HOST}\0"),
    ]
    + [("a", INJECTED), ("a", "x\0y"), ("a", "x\ny"), ("x-user-email ", "root")]
    + [
        ("x-user-email:", "root"),
        ("", "root"),
        (INJECTED, "y"),
        ("content-length", "5"),
    ],
)
def test_no_part_of_a_request_of_http2_becomes_another(stack, recorded, part, value):
    pseudo = {":method": "GET", ":scheme": "https", ":authority": HOST, ":path": "/"}
    parts = list({**pseudo, part: value}.items())
    with Http2(stack.https_port, HOST) as client:
        stream = client.connection.get_next_available_stream_id()
        client.connection.send_headers(stream, parts, end_stream=True)
        client._send()
        client.read(stream)
    assert_none_smuggled(stack, recorded[1])
    told = b"\n".join(recorded[1].heads()).lower()
    assert b"x-user-email" not in told and b"\0" not in told
