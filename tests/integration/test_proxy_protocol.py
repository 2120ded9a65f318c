"""PROXY lines: demanded from the senders that are listed, never believed from others."""

import pytest

from support.clients import Echo, echo, exchange, request, request_bytes

HOST = "chat.alpha.test"
SENDER = "127.0.5.1"
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24"
    + bytes.fromhex("20010db8000000000000000000000007")
    + bytes.fromhex("20010db8000000000000000000000001")
    + b"\x12\x67\x00\x50"
)


@pytest.fixture(scope="module")
def proxied(folder, authority, upstreams):
    from support.stack import Stack

    stack = Stack(
        folder / "proxied",
        upstreams,
        authority,
        haproxy_changes={"proxy_protocol": {"from": ["127.0.5.0/24"]}},
    )
    stack.issue(HOST)
    stack.write_tenants(
        {"alpha": {"hosts": [HOST], "upstream": upstreams["alpha"].url, "https": "off"}}
    )
    try:
        yield stack.start()
    finally:
        stack.stop()


@pytest.mark.parametrize(
    "line, client", [(V1, "203.0.113.9"), (V2, "2001:db8::7")], ids=["v1", "v2"]
)
def test_a_listed_sender_tells_the_client(proxied, line, client):
    seen = echo(proxied.http_port, HOST, source=SENDER, first=line)
    assert seen.header("X-Forwarded-For") == client
    assert seen.client == client
    over_tls = echo(proxied.https_port, HOST, source=SENDER, first=line, tls_name=HOST)
    assert (over_tls.header("X-Forwarded-For"), over_tls.scheme) == (client, "https")


def test_a_listed_sender_must_send_the_line(proxied):
    answer = exchange(proxied.http_port, request_bytes("GET", "/api/echo", HOST), source=SENDER)
    assert answer is None or answer.status == 400


def test_a_direct_client_cannot_send_the_line(proxied):
    raw = V1 + request_bytes("GET", "/api/echo", HOST)
    answer = exchange(proxied.http_port, raw)
    assert answer is None or answer.status == 400
    assert echo(proxied.http_port, HOST).header("X-Forwarded-For") == "127.0.0.1"


def test_a_stack_without_senders_knows_no_such_line(http):
    answer = exchange(http, V1 + request_bytes("GET", "/api/echo", HOST))
    assert answer is None or answer.status == 400
