"""Hosts and paths that two parsers could read in two ways: refused with a reason before any rule
sees them, or forwarded in normal form."""

import json

import pytest

from support.clients import Echo, Http2, echo, exchange, request
from support.stack import HAPROXY_VERSION

HOST = "chat.alpha.test"

BAD_HOSTS = [
    ("chat.alpha.test/health?x=", "host-syntax"),  # CVE-2026-48710
    ("chat.alpha.test@evil.test", "host-syntax"),
    ("evil.test@chat.alpha.test", "host-syntax"),
    ("evil.test,chat.alpha.test", "host-syntax"),
    ("chat.alpha.test, evil.test", "host-syntax"),
    ("chat alpha.test", "host-syntax"),
    ("chat.alpha.test:99999", "host-port"),
    ("chat.alpha.test:80:80", "host-port"),
    ("chat.alpha.test:", "host-port"),
    ("chat.alpha.test:http", "host-port"),
    ("chat.alpha.test:-1", "host-port"),
    ("chat.alpha.test..", "host-syntax"),
    (".chat.alpha.test", "host-syntax"),
    ("chat..alpha.test", "host-syntax"),
    ("-chat.alpha.test", "host-syntax"),
    ("ch\xe4t.alpha.test", "host-syntax"),
    ("chat.alpha.test\\", "host-syntax"),
    ("chat.alpha.test?x", "host-syntax"),
    ("chat.alpha.test#x", "host-syntax"),
    ("chat%2ealpha.test", "host-syntax"),
    ("*.fleet.test", "host-syntax"),
    ("[::1", "host-syntax"),
    ("[::1]x", "host-syntax"),
    ("[::1%lo]", "host-syntax"),
    ("0x7f000001", "host-syntax"),
    ("127.1", "host-syntax"),
    ("a" * 64 + ".alpha.test", "host-syntax"),
    (".".join(["abcdefg"] * 40), "host-too-long"),
    ("x" * 2000, "host-too-long"),
]


@pytest.mark.parametrize("host, reason", BAD_HOSTS, ids=[host[:40] for host, _ in BAD_HOSTS])
def test_a_bad_host_is_refused(http, host, reason):
    answer = request(http, "/api/echo", host)
    assert answer.status == 400
    if HAPROXY_VERSION < (3, 0) or answer.header("X-Refused"):
        assert answer.header("X-Refused") == reason
    else:
        # Newer versions refuse some of these by themselves.
        assert b"Your browser sent an invalid request." in answer.body
    assert answer.header("X-Upstream") is None


@pytest.mark.parametrize("host", ["chat.alpha.test/health?x=", "a,chat.alpha.test", "a@b", "a b"])
def test_a_bad_authority_is_refused(https, host):
    with Http2(https, HOST) as client:
        answer = client.request("/api/echo", authority=host)
        assert answer is None or answer.status == 400


def test_the_authority_of_http2_counts_and_no_host_beside_it(https):
    """RFC 9113 8.3.1: HAProxy makes one Host of both; the application sees the one that was routed by."""
    with Http2(https, HOST) as client:
        for other in ("chat.gamma.test", "evil.test", "x y", ""):
            seen = Echo(client.request("/api/echo", headers=[("host", other)]))
            assert (seen.name, seen.all("Host")) == ("alpha", [HOST])
            assert seen.header("X-Forwarded-Host") == HOST
        stream = client.connection.get_next_available_stream_id()
        hosts = [("host", "chat.gamma.test"), ("host", HOST)]
        parts = [(":method", "GET"), (":scheme", "http"), (":path", "/api/echo"), *hosts]
        client.connection.send_headers(stream, parts, end_stream=True)
        client._send()
        answer = client.read(stream)
        if answer is not None and answer.status == 200:
            seen = Echo(answer)
            assert (seen.name, seen.all("Host")) == ("gamma", ["chat.gamma.test"])
            assert seen.header("X-Forwarded-Proto") == "https"  # whatever :scheme says


def test_http10_without_a_host_is_refused(http):
    answer = exchange(http, b"GET /api/echo HTTP/1.0\r\n\r\n")
    assert (answer.status, answer.header("X-Refused")) == (400, "host-missing")


@pytest.mark.parametrize("line", [b"", b"Host:\r\n", b"Host: \r\n"])
def test_no_host_at_all_is_refused(http, line):
    assert exchange(http, b"GET /api/echo HTTP/1.1\r\n" + line + b"\r\n").status == 400


def test_two_hosts_are_refused(http):
    raw = b"GET /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nHost: chat.gamma.test\r\n\r\n"
    assert exchange(http, raw).status == 400


def test_an_absolute_uri_counts_as_its_host(http):
    seen = echo(http, HOST, f"http://{HOST}/api/echo?a=1")
    assert (seen.path, seen.query, seen.name) == ("/api/echo", "a=1", "alpha")
    assert request(http, "http://chat.gamma.test/api/echo", HOST).status == 400


@pytest.mark.parametrize(
    "target", ["HTTP://{}/api/echo", "https://x@{}/api/echo", "ws://{}/api/echo"]
)
def test_the_scheme_of_an_absolute_uri_counts_for_nothing(http, target):
    seen = echo(http, HOST, target.format(HOST))
    assert (seen.path, seen.scheme, seen.header("X-Forwarded-Proto")) == (
        "/api/echo",
        "http",
        "http",
    )


def test_an_absolute_uri_without_a_path_is_the_root(http):
    answer = request(http, f"http://{HOST}", HOST)
    assert (answer.status, answer.header("X-Upstream-Path")) == (200, "/")


def test_options_for_the_server_itself(http):
    answer = request(http, "*", HOST, "OPTIONS")
    assert answer is not None and answer.status < 500


BAD_PATHS = [
    ("/owui/../api/echo", "path-traversal"),
    ("/..", "path-traversal"),
    ("/api/..;/echo", "path-traversal"),
    ("/%2e%2e/api/echo", "path-encoding"),
    ("/.%2e/api/echo", "path-encoding"),
    ("/owui%2F..%2Fapi/echo", "path-traversal"),
    ("/..%2fapi/echo", "path-traversal"),
    ("/%2e%2e%2fapi/echo", "path-encoding"),
    ("/api%5cecho", "path-encoding"),
    ("/api%00", "path-encoding"),
    ("/api%252fecho", "path-encoding"),
    ("/%252e%252e/api", "path-encoding"),
    ("/api%c0%afecho", "path-encoding"),
    ("/api/echo%0a", "path-encoding"),  # to Starlette, whose routes end with "$", as without
    ("/api/echo%0A", "path-encoding"),
    ("/api/echo%7f", "path-encoding"),
    ("/api%zz", "path-encoding"),
    ("/api%2", "path-encoding"),
    ("/api\\echo", "path-syntax"),
]


@pytest.mark.parametrize("path, reason", BAD_PATHS)
def test_a_bad_path_is_refused(http, path, reason):
    answer = request(http, path, HOST)
    assert (answer.status, answer.header("X-Refused")) == (400, reason)


@pytest.mark.parametrize("path, reason", BAD_PATHS)
def test_a_bad_path_is_refused_over_http2(https, path, reason):
    with Http2(https, HOST) as client:
        answer = client.request(path)
        assert answer is None or (answer.status, answer.header("X-Refused")) == (400, reason)


@pytest.mark.parametrize(
    "sent, reached",
    [
        ("//api/echo", "/api/echo"),
        ("/api//echo", "/api/echo"),
        ("/./api/./echo", "/api/echo"),
        ("/%61pi/ech%6F", "/api/echo"),
        ("/api%2Fecho", "/api/echo"),
        ("/api/%2f/echo", "/api/echo"),
        ("/c/a%20b", "/c/a%20b"),
        ("/c/%C3%A4", "/c/%C3%A4"),
        ("/c/x;y=1", "/c/x;y=1"),
        ("/c/", "/c/"),
        ("/", "/"),
        ("/C/Mixed", "/C/Mixed"),
    ],
)
def test_a_path_reaches_the_upstream_in_normal_form(http, sent, reached):
    answer = request(http, sent + "?next=//x/../%2e", HOST)
    assert answer.header("X-Upstream-Path") == reached


def test_a_name_with_a_slash_is_found(http):
    """Open WebUI's page encodes the id of a model for a path; its server reads a slash."""
    answer = request(http, "/api/v1/analytics/models/hf.co%2Fqwen%2Fqwen3/overview?days=30", HOST)
    assert (answer.status, answer.header("X-Refused")) == (200, None)
    assert json.loads(answer.body) == {"model_id": "hf.co/qwen/qwen3"}


QUERY = 'next=//a/../%2e%2F&q="{}|<>^`\\&?;%zz'


@pytest.mark.parametrize("path", ["/api/echo", "//api/./ech%6f", "http://{host}//api/echo"])
@pytest.mark.parametrize("host, prefix", [(HOST, ""), ("apps.test", "/llm")])
def test_a_query_is_left_as_it_is(http, path, host, prefix):
    """Signatures are made over it."""
    path = path.replace("/api", prefix + "/api").format(host=host)
    seen = echo(http, host, f"{path}?{QUERY}")
    assert (seen.path, seen.query) == ("/api/echo", QUERY)


def test_a_redirect_leaves_the_query_as_it_is(http):
    answer = request(http, f"//evil.test//c?{QUERY}", "chat.beta.test")
    scheme, _, rest = answer.header("Location").partition("://chat.beta.test:")
    assert (answer.status, scheme) == (308, "https")
    assert rest.partition("/")[2] == f"evil.test/c?{QUERY}"


def test_a_long_path_in_normal_form_passes(http):
    path = "/c/" + "x" * 4000
    assert request(http, path, HOST).header("X-Upstream-Path") == path


def test_a_long_path_out_of_normal_form_is_refused(http):
    answer = request(http, "//c/" + "x" * 300, HOST)
    assert (answer.status, answer.header("X-Refused")) == (400, "path-too-long")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n",
        b"GET /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nContent-Length: 1\r\n"
        b"Content-Length: 2\r\n\r\nab",
        b"GET /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"GET /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\n X-Forwarded-For: 6.6.6.6\r\n\r\n",
        b"GET /api/echo HTTP/1.1\r\nHost: chat.alpha.test\nX-Forwarded-For: 6.6.6.6\n\r\n",
        b"GET /api/echo\x00 HTTP/1.1\r\nHost: chat.alpha.test\r\n\r\n",
        b"GET /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nX: a\rX-Forwarded-For: 6.6.6.6\r\n\r\n",
        b"POST /api/echo HTTP/1.0\r\nHost: chat.alpha.test\r\nConnection: keep-alive\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        b"0\r\n\r\n",
        b"POST /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nTransfer-Encoding: \x0bchunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nContent-Length:\r\nContent-Length: 5"
        b"\r\n\r\nGET /",
        b"POST /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nContent-Length: +2\r\n\r\nab",
        b"POST /api/echo HTTP/1.1\r\nHost: chat.alpha.test\r\nContent_Length: 2\r\n\r\n",
    ],
)
def test_requests_cannot_be_smuggled(http, raw):
    """Refused, or read by the upstream as HAProxy read it: once, with one client address."""
    answer = exchange(http, raw)
    if answer is not None and answer.status == 200:
        told = [v for k, v in answer.json()["headers"] if k == "x-forwarded-for"]
        assert told == ["127.0.0.1"]
    else:
        assert answer is None or answer.status in (400, 411, 413, 422, 501)
