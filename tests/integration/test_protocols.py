"""What Open WebUI's clients do: HTTP/1.1 and HTTP/2, WebSockets over both, streams and uploads."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import socket
import struct
import time

import pytest

from support import clients
from support.clients import Browser, Http2, connect, read_answer, request, request_bytes
from support.stack import HAPROXY_VERSION

HOST = "chat.gamma.test"
WEBSOCKET = "/ws/socket.io/?EIO=4&transport=websocket"
PAUSE_S = 0.5  # between events of a stream: room for a slow machine to pass one on


def test_keep_alive(http):
    with connect(http) as sock:
        for _ in range(20):
            sock.sendall(request_bytes("GET", "/health", HOST))
            assert read_answer(sock).json() == {"status": True}


def test_pipelined_requests_are_answered_in_order(http):
    with connect(http) as sock:
        hosts = ["chat.alpha.test", HOST] * 4
        sock.sendall(b"".join(request_bytes("GET", "/api/version", host) for host in hosts))
        answers = clients.Pipeline(sock)
        names = [read_answer(answers).json()["deployment_id"] for _ in hosts]
        assert names == ["alpha", "gamma"] * 4


def test_http2_many_streams_of_many_tenants(https):
    with Http2(https, "chat.alpha.test") as client:
        authorities = ["chat.alpha.test", HOST] * 10
        streams = [client.send("/api/version", authority=one) for one in authorities]
        names = [client.read(stream).json()["deployment_id"] for stream in streams]
        assert names == ["alpha", "gamma"] * 10


def test_http2_is_negotiated_and_the_scheme_is_told(https):
    with Http2(https, HOST) as client:
        told = client.request("/api/echo?a=1", headers=[("x-forwarded-proto", "http")]).json()
        assert (told["path"], told["query"]) == ("/api/echo", "a=1")
        assert told["scheme"] == "https"
        assert dict(told["headers"])["host"] == HOST


# --- Socket.IO ----------------------------------------------------------------------------------


async def chat_once(url, origin=None):
    async with Browser(url) as browser:
        await browser.sign_in()
        await browser.open_socket(headers={"Origin": origin} if origin else None)
        answer = await browser.chat()
        assert answer["task_ids"]
        deadline = time.monotonic() + 10
        while len(browser.events) < 6 and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        tokens = [
            event["data"]["data"]["content"]
            for event in browser.events
            if event["data"]["type"] == "chat:message:delta"
        ]
        assert "".join(tokens) == "The quick brown fox."
        sid = browser.socket.get_sid()
        async with browser.http.get(f"{url}/api/sockets/{sid}") as response:
            headers = (await response.json())["headers"]
        return await browser.socket.call("whoami"), headers


def test_tokens_arrive_over_socketio(http):
    who, headers = asyncio.run(chat_once(f"http://acme.fleet.test:{http}"))
    assert who["name"] == "beta"
    assert [value for key, value in headers if key == "x-forwarded-for"] == ["127.0.0.1"]


def test_tokens_arrive_over_socketio_and_tls(https):
    url = f"https://{HOST}:{https}"
    who, headers = asyncio.run(chat_once(url, origin="https://chat.gamma.test"))
    assert who["name"] == "gamma"
    assert [value for key, value in headers if key == "x-forwarded-proto"] == ["https"]


def test_a_foreign_origin_is_refused_by_the_upstream(https):
    url = f"https://{HOST}:{https}"
    with pytest.raises(Exception):
        asyncio.run(chat_once(url, origin="https://evil.test"))


def test_a_websocket_handshake_cannot_be_spoofed(http):
    async def spoof():
        url = f"http://acme.fleet.test:{http}"
        async with Browser(url) as browser:
            await browser.sign_in()
            await browser.open_socket(
                headers={
                    "X-Forwarded-For": "6.6.6.6",
                    "X-User-Email": "root@evil.test",
                    "X-User-Role": "admin",
                    "X-Forwarded-Proto": "https",
                }
            )
            sid = browser.socket.get_sid()
            async with browser.http.get(f"{url}/api/sockets/{sid}") as response:
                return (await response.json())["headers"]

    headers = asyncio.run(spoof())
    assert [value for key, value in headers if key == "x-forwarded-for"] == ["127.0.0.1"]
    assert [value for key, value in headers if key == "x-forwarded-proto"] == ["http"]
    assert not [key for key, _ in headers if key.startswith("x-user")]


def test_a_websocket_request_without_upgrade_is_the_upstreams_to_refuse(http):
    answer = request(http, WEBSOCKET, HOST)
    assert answer.status == 400


def read_websocket_frame(sock):
    """One unmasked server frame of less than 64 kB."""
    data = sock.recv(2, socket.MSG_WAITALL)
    size = data[1]
    if size == 126:
        (size,) = struct.unpack(">H", sock.recv(2, socket.MSG_WAITALL))
    return sock.recv(size, socket.MSG_WAITALL)


def test_a_websocket_by_hand(http):
    key = base64.b64encode(os.urandom(16)).decode()
    headers = [
        ("Upgrade", "WebSocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    with connect(http) as sock:
        sock.sendall(request_bytes("GET", WEBSOCKET, "acme.fleet.test", headers))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert read_websocket_frame(sock).startswith(b'0{"sid":')  # engine.io's open packet


def test_extended_connect(https):
    with Http2(https, "acme.fleet.test") as client:
        stream, status = client.open_websocket(WEBSOCKET)
        assert status == 200
        assert b'0{"sid":' in client.read_data(stream)


def test_extended_connect_to_nobody(https):
    with Http2(https, "acme.fleet.test") as client:
        stream = client.send(
            "/ws",
            "CONNECT",
            headers=[(":protocol", "websocket")],
            authority="nobody.test",
            end=False,
        )
        answer = client.read(stream)
        assert answer is None or answer.status in (400, 404)


# --- streams ------------------------------------------------------------------------------------


def sse_delays(chunks):
    """For each event, how long it took from the upstream to here, and how long after the first."""
    return [(at - json.loads(text[6:])["sent_at"]) for at, text in chunks if "[DONE]" not in text]


def test_server_sent_events_are_not_buffered(http):
    body = json.dumps({"stream": True, "pause_s": PAUSE_S}).encode()
    with connect(http) as sock:
        sock.sendall(request_bytes("POST", "/api/chat/completions", HOST, body=body))
        received = b""
        arrivals = []
        while b"[DONE]" not in received:
            data = sock.recv(65536)
            assert data
            received += data
            arrivals.append(time.monotonic())
    events = [line[6:] for line in received.decode().splitlines() if line.startswith("data: {")]
    assert len(events) == 5
    sent = [json.loads(event)["sent_at"] for event in events]
    # Each event came in a read of its own, before the upstream sent the next one.
    first_reads = arrivals[-len(events) - 1 :]
    assert len(arrivals) >= len(events)
    for at, read in zip(sent, first_reads):
        assert 0 <= read - at < PAUSE_S * 0.9, (sent, arrivals)


def test_server_sent_events_over_http2(https):
    body = json.dumps({"stream": True, "pause_s": PAUSE_S}).encode()
    with Http2(https, HOST) as client:
        length = [("content-length", str(len(body)))]
        stream = client.send("/api/chat/completions", "POST", headers=length, body=body)
        seen = 0
        while seen < 5:
            data = client.read_data(stream)
            assert data
            for line in data.decode().splitlines():
                if line.startswith("data: {"):
                    assert time.monotonic() - json.loads(line[6:])["sent_at"] < PAUSE_S * 0.9
                    seen += 1


def test_a_client_that_waits_for_an_answer_is_not_idle(new_stack, upstreams):
    """A model may think for longer than HAProxy keeps a connection on which nothing moves."""
    stack = new_stack(haproxy_changes={"timeouts": {"client": "1s", "agent": "4s"}})
    stack.write_tenants(
        {"g": {"hosts": [HOST], "upstream": upstreams["alpha"].url, "https": "off"}}
    )
    stack.issue(HOST)
    stack.start()
    body = json.dumps({"stream": True, "pause_s": 1.5}).encode()
    with Http2(stack.https_port, HOST) as over_http2, connect(stack.http_port) as sock, connect(
        stack.http_port
    ) as websocket:
        websocket.sendall(request_bytes("GET", WEBSOCKET, HOST, clients.HANDSHAKE))
        length = [("content-length", str(len(body)))]
        stream = over_http2.send("/api/chat/completions", "POST", headers=length, body=body)
        sock.sendall(request_bytes("POST", "/api/chat/completions", HOST, body=body))
        assert read_answer(sock).body.endswith(b"data: [DONE]\n\n")
        assert over_http2.read(stream).body.endswith(b"data: [DONE]\n\n")
        websocket.sendall(b"\x89\x80\0\0\0\0")  # a ping
        received = b""
        while b"\x8a\0" not in received:  # its pong
            data = websocket.recv(65536)
            assert data, received
            received += data


def test_a_client_that_goes_ends_its_request(new_stack):
    """Somebody who gives up leaves no model at work for nobody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        stack = new_stack()
        upstream = f"http://127.0.0.1:{server.getsockname()[1]}"
        stack.write_tenants({"g": {"hosts": [HOST], "upstream": upstream, "https": "off"}})
        stack.issue(HOST)
        stack.start()
        for port, tls_name in ((stack.http_port, None), (stack.https_port, HOST)):
            with connect(port, tls_name=tls_name) as client:
                client.sendall(request_bytes("POST", "/api/chat/completions", HOST, body=b"{}"))
                asked, _ = server.accept()
                asked.settimeout(10)
                while not asked.recv(65536).endswith(b"{}"):
                    pass
            with asked, contextlib.suppress(ConnectionResetError):
                assert asked.recv(1) == b"", "the end of the client's connection"


# --- uploads ------------------------------------------------------------------------------------


def multipart(content):
    boundary = "----owui-test"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, [("Content-Type", f"multipart/form-data; boundary={boundary}")]


@pytest.fixture(scope="module")
def big_file():
    return os.urandom(1 << 20) * 20


def test_a_20_mb_upload(http, big_file):
    body, headers = multipart(big_file)
    answer = request(http, "/api/v1/files/", HOST, "POST", headers, body)
    assert answer.json()["size"] == len(big_file)
    assert answer.json()["sha256"] == hashlib.sha256(big_file).hexdigest()


def test_a_20_mb_upload_over_http2(https, big_file):
    body, headers = multipart(big_file)
    headers = [(name.lower(), value) for name, value in headers]
    headers.append(("content-length", str(len(body))))
    with Http2(https, HOST) as client:
        answer = client.request("/api/v1/files/", method="POST", headers=headers, body=body)
        assert answer.json()["sha256"] == hashlib.sha256(big_file).hexdigest()


@pytest.mark.skipif(HAPROXY_VERSION >= (3, 1), reason="HAProxy gives more as it is needed")
def test_an_upload_over_http2_does_not_crawl(https):
    """From far away, 64 kB for each way there and back are little, and browsers send by HTTP/2."""
    with Http2(https, HOST) as client:
        client.request("/health")
        assert client.connection.remote_settings.initial_window_size >= 256 << 10


def test_a_chunked_upload(http):
    """HAProxy before 3.2 cannot keep out what may come behind it: see test_trailers.py."""
    content = os.urandom(300_000)
    body, headers = multipart(content)
    head = request_bytes(
        "GET", "/api/v1/files/", HOST, headers + [("Transfer-Encoding", "chunked")]
    )
    head = head.replace(b"GET ", b"POST ", 1)
    with connect(http) as sock:
        sock.sendall(head)
        if HAPROXY_VERSION < (3, 2):
            assert read_answer(sock).status == 411
            return
        for at in range(0, len(body), 9000):
            chunk = body[at : at + 9000]
            sock.sendall(b"%x\r\n" % len(chunk) + chunk + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        assert read_answer(sock).json()["sha256"] == hashlib.sha256(content).hexdigest()


def test_large_headers_pass(http):
    cookie = "token=" + "x" * 8000
    seen = clients.echo(http, HOST, headers=[("Cookie", cookie)])
    assert seen.header("Cookie") == cookie


def test_a_single_page_application_and_its_scripts(http):
    shell = request(http, "/c/some/chat", HOST)
    assert (shell.status, shell.header("Content-Type")) == (200, "text/html; charset=utf-8")
    assert request(http, "/_app/immutable/x.js", HOST).status == 404
