"""Limits and timeouts of tenants and routes through real HAProxy: what is over one is refused, and
nobody else notices. HAProxy's tables are emptied before each test, so that none waits for a window
to pass."""

import contextlib
import json
import socket
import time

import pytest

from support.clients import (
    HANDSHAKE,
    SOCKET,
    Http2,
    connect,
    exchange,
    read_answer,
    request,
    request_bytes,
)
from support.processes import wait_until
from support.stack import HAPROXY_VERSION, run_agent_command
from support.tenants import TRUSTED_PROXY

SIGN_IN = "/api/v1/auths/signin"
SIGN_IN_BODY = json.dumps({"email": "a@b.test", "password": "x"}).encode()
JSON = ("Content-Type", "application/json")
KB = 1024


@pytest.fixture(scope="module")
def limits_stack(new_module_stack, upstreams, silent):
    stack = new_module_stack(
        changes={
            "trusted_proxies": [{"cidrs": ["127.0.7.0/24"]}],
            "defaults": {"limits": {"max_body": "1MB"}, "timeouts": {"tunnel": "1h"}},
        },
    )
    stack.issue("one.test")
    alpha, beta = upstreams["alpha"].url, upstreams["beta"].url

    def tenant(name, upstream=alpha, **keys):
        return {"hosts": [f"{name}.test"], "upstream": upstream, "https": "off", **keys}

    few = {"requests_per_10s": 5}
    stack.write_tenants(
        {
            "one": tenant(
                "one",
                limits={**few, "websockets": 2},
                routes=[
                    {
                        "match": {"path": "/api/config"},
                        "limits": {"requests_per_10s": 2, "max_body": "4KB"},
                    },
                    {"match": {"path": "/api/version"}, "limits": {"requests_per_10s": None}},
                    {"match": {"path": "/ws/socket.io/few"}, "limits": {"websockets": 1}},
                    {"match": {"path": "/ws/socket.io/any"}, "limits": {"websockets": None}},
                ],
            ),
            "two": tenant("two", beta, limits=few),
            "free": tenant("free", beta, limits={"max_body": None}),
            "t" * 63: tenant("long", limits=few),
            "signs": tenant(
                "signs",
                beta,
                limits={"signin_per_minute_per_ip": 3, "signin_per_minute_per_subnet": 5},
            ),
            "signs2": tenant("signs2", beta, limits={"signin_per_minute_per_ip": 3}),
            "kept": {
                "paths": [{"host": "apps.test", "prefix": "/kept/", "mode": "keep"}],
                "upstream": alpha,
                "https": "off",
                "limits": {"signin_per_minute_per_ip": 3},
            },
            "body": tenant("body", limits={"max_body": "64KB"}),
            "slow": tenant(
                "slow",
                f"http://127.0.0.1:{silent}",
                timeouts={"server": "300ms"},
                routes=[{"match": {"path": "/patient"}, "timeouts": {"server": "20s"}}],
            ),
            "sockets": tenant("sockets", timeouts={"tunnel": "400ms"}),
            "fleet": {
                "hosts": ["*.fleet.test"],
                "label": "[a-z]+",
                "upstream": f"http://{{1}}:{upstreams['alpha'].port}",
                "https": "off",
                "limits": few,
            },
            "prefix": {
                "paths": [{"host": "apps.test", "prefix": "/llm/", "mode": "strip"}],
                "upstream": alpha,
                "https": "off",
                "limits": few,
            },
        }
    )
    return stack.start()


@pytest.fixture(scope="module")
def silent():
    """The port of a server that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


def empty(stack, table):
    """HAProxy leaves the entry of a stream that has not ended yet."""
    stack.runtime(f"clear table {table}")
    return "used:0" in stack.runtime(f"show table {table}")


@pytest.fixture
def limits(limits_stack):
    for table in ("owui_requests", "owui_signin", "owui_websockets"):
        wait_until(lambda table=table: empty(limits_stack, table), f"{table} without entries")
    return limits_stack


def statuses(count, *arguments, **options):
    return [request(*arguments, **options).status for _ in range(count)]


# --- requests -----------------------------------------------------------------------------------


def test_requests_over_the_limit(limits):
    port = limits.http_port
    assert statuses(7, port, "/api/echo", "one.test") == [200] * 5 + [429] * 2
    answer = request(port, "/api/echo", "one.test")
    assert answer.header("X-Refused") == "requests"
    assert answer.header("Retry-After") == "10"
    assert answer.header("Content-Type") == "application/json"
    assert answer.json() == {"detail": "Too many requests"}
    page = request(port, "/", "one.test")
    assert (page.status, page.header("Content-Type")) == (429, "text/plain")
    # somebody else's are not touched, whoever asks
    assert statuses(5, port, "/api/echo", "two.test") == [200] * 5
    assert statuses(30, port, "/api/echo", "free.test") == [200] * 30


def test_a_flood_leaves_the_limit_to_be_used(limits):
    """What is refused does not count: when the window moves on, requests pass in spite of it."""
    port = limits.http_port
    assert statuses(60, port, "/api/echo", "two.test").count(200) == 5
    table = limits.runtime("show table owui_requests")
    assert "key=two/ " in table and "gpc0_rate(10000)=5" in table, table


def test_a_route_counts_apart(limits):
    port = limits.http_port
    assert statuses(3, port, "/api/config", "one.test") == [200, 200, 429]
    assert statuses(6, port, "/api/echo", "one.test") == [200] * 5 + [429]
    # a route without the limit
    assert statuses(10, port, "/api/version", "one.test") == [200] * 10
    table = limits.runtime("show table owui_requests")
    assert "key=one/ " in table and "key=one/1 " in table, table


def test_labels_have_limits_of_their_own(limits):
    port = limits.http_port
    wait_until(
        lambda: request(port, "/health", "localhost.fleet.test").status == 200,
        "the label's address",
    )
    wait_until(lambda: empty(limits, "owui_requests"), "that request's stream has ended")
    assert statuses(6, port, "/api/echo", "localhost.fleet.test") == [200] * 5 + [429]
    assert "key=fleet/localhost/ " in limits.runtime("show table owui_requests")


def test_a_prefix_is_cut_as_ever(limits):
    port = limits.http_port
    assert statuses(6, port, "/llm/api/echo", "apps.test") == [200] * 5 + [429]
    answer = request(port, "/llm/api/echo", "apps.test")
    assert answer.header("Content-Type") == "application/json"


def test_a_long_name_is_counted_by_its_hash(limits):
    assert statuses(6, limits.http_port, "/api/echo", "long.test") == [200] * 5 + [429]
    assert "key=~" in limits.runtime("show table owui_requests")


def test_http2_counts_too(limits):
    with Http2(limits.https_port, "one.test") as client:
        assert [client.request("/api/echo").status for _ in range(6)] == [200] * 5 + [429]


def test_requests_that_are_held_back_are_counted(limits):
    """A body that does not end is waited for before the limit is looked at: all of many that came
    at once would be found below it, and let through when they end."""
    with Http2(limits.https_port, "one.test") as client:
        held = [client.send("/api/echo", end=False) for _ in range(12)]
        streams = lambda: limits.runtime("show sess").count("fe=owui ")
        wait_until(lambda: streams() >= len(held), "all of them are with HAProxy")
        answers = []
        for stream in held:
            client.send_data(stream, b"", end=True)
            answers.append(client.read(stream).status)
    if HAPROXY_VERSION >= (3, 2):
        assert answers == [200] * 5 + [429] * 7
    else:
        assert answers == [411] * 12  # see test_trailers.py


# --- signing in ---------------------------------------------------------------------------------


def sign_in(stack, host, source, path=SIGN_IN, headers=(), method="POST"):
    body = SIGN_IN_BODY if method == "POST" else b""
    headers = [JSON, *headers]
    answer = request(stack.http_port, path, host, method, headers, body, source=source)
    return answer.status if answer.header("X-Refused") in (None, "signin") else answer


def test_sign_ins_from_an_address(limits):
    tried = [sign_in(limits, "signs.test", "127.1.1.1") for _ in range(4)]
    assert tried == [200] * 3 + [429]
    assert sign_in(limits, "signs.test", "127.1.2.1") == 200  # somebody else
    assert sign_in(limits, "signs2.test", "127.1.1.1") == 200  # at somebody else's
    # signing in is what is limited
    assert sign_in(limits, "signs.test", "127.1.1.1", "/api/echo") == 200
    assert sign_in(limits, "signs.test", "127.1.1.1", SIGN_IN, method="GET") == 200


def test_sign_ins_from_a_subnet(limits):
    tried = [sign_in(limits, "signs.test", f"127.1.1.{i + 1}") for i in range(6)]
    assert tried == [200] * 5 + [429]
    assert sign_in(limits, "signs.test", "127.1.2.1") == 200
    table = limits.runtime("show table owui_signin")
    assert "key=signs/127.1.1.0/net " in table and "key=signs/127.1.1.1 " in table, table


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/auths/signup",
        "/api/v1/auths/ldap",
        "/api/v1/auths/mfa/verify",
        "/api/v1/auths/update/password",
        "/oauth/google/token/exchange",
        "//api/v1/./auths/sign%69n",
    ],
)
def test_every_way_to_sign_in(limits, path):
    answers = [sign_in(limits, "signs2.test", "127.1.1.1", path) for _ in range(4)]
    assert 429 not in answers[:3] and answers[3] == 429, answers


def test_a_prefix_that_open_webui_knows_hides_no_sign_in(limits):
    answers = [sign_in(limits, "apps.test", "127.1.1.1", f"/kept{SIGN_IN}") for _ in range(4)]
    assert 429 not in answers[:3] and answers[3] == 429, answers


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP"])
def test_no_header_moves_the_count(limits, header):
    tried = [
        sign_in(limits, "signs2.test", "127.1.1.1", headers=[(header, f"203.0.113.{i}")])
        for i in range(5)
    ]
    assert tried == [200] * 3 + [429] * 2


def by_proxy(limits, client, host="signs2.test"):
    headers = [("X-Forwarded-For", f"6.6.6.6, {client}")]
    return sign_in(limits, host, TRUSTED_PROXY, headers=headers)


def test_behind_a_proxy_the_client_counts(limits):
    assert [by_proxy(limits, "203.0.113.9") for _ in range(4)] == [200] * 3 + [429]
    assert by_proxy(limits, "203.0.113.10") == 200
    assert [by_proxy(limits, "2001:db8::9") for _ in range(4)] == [200] * 3 + [429]


def test_who_has_an_ipv6_address_has_the_64_bits_behind_its_network(limits):
    tried = [by_proxy(limits, f"2001:db8::{i}:{i}") for i in range(1, 5)]
    assert tried == [200] * 3 + [429]
    assert by_proxy(limits, "2001:db8:0:1::1") == 200  # somebody else
    table = limits.runtime("show table owui_signin")
    assert "key=signs2/2001:db8:: " in table, table


def test_sign_ins_from_an_ipv6_subnet(limits):
    tried = [by_proxy(limits, f"2001:db8:0:{i}::1", "signs.test") for i in range(6)]
    assert tried == [200] * 5 + [429]
    assert by_proxy(limits, "2001:db8:0:100::1", "signs.test") == 200
    table = limits.runtime("show table owui_signin")
    assert "key=signs/2001:db8::/net " in table, table


# --- bodies -------------------------------------------------------------------------------------


def post(stack, host, body, path="/api/echo", headers=()):
    return request(stack.http_port, path, host, "POST", headers, body)


def chunked(stack, host, chunks):
    head = f"POST /api/echo HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    with connect(stack.http_port) as sock:
        sock.sendall(head.encode() + body)
        return read_answer(sock)


def test_a_body_over_the_limit(limits):
    assert post(limits, "body.test", b"x" * 64 * KB).json()["body_bytes"] == 64 * KB
    answer = post(limits, "body.test", b"x" * (64 * KB + 1))
    assert (answer.status, answer.header("X-Refused")) == (413, "body")
    assert answer.json() == {"detail": "Request body too large"}
    # inherited, dropped, and a route's own
    assert post(limits, "two.test", b"x" * 1024 * KB).status == 200
    assert post(limits, "two.test", b"x" * 1025 * KB).status == 413
    assert post(limits, "free.test", b"x" * 1025 * KB).status == 200
    assert post(limits, "one.test", b"x" * 5 * KB, "/api/config").status == 413
    assert request(limits.http_port, "/api/echo", "body.test").status == 200


def test_a_body_of_unknown_length(limits):
    """None can be cut off on its way, so its length has to be told."""
    answer = chunked(limits, "body.test", [b"x" * 10])
    assert (answer.status, answer.header("X-Refused")) == (411, "length")
    otherwise = 200 if HAPROXY_VERSION >= (3, 2) else 411  # see test_trailers.py
    assert chunked(limits, "body.test", []).status == otherwise  # no body at all
    assert chunked(limits, "free.test", [b"x" * 10]).status == otherwise
    with Http2(limits.https_port, "one.test") as client:
        answer = client.request("/api/echo", method="POST", body=b"x" * 10)
        assert answer.status == 411, answer
        assert client.request("/api/echo", method="POST").status == 200
        length = [("content-length", "10")]
        answer = client.request("/api/echo", method="POST", body=b"x" * 10, headers=length)
        assert answer.status == 200


def test_a_request_for_a_websocket_has_no_body_of_unknown_length(limits):
    headers = HANDSHAKE + [("Transfer-Encoding", "chunked")]
    head = request_bytes("GET", "/api/echo", "body.test", headers)
    for body in (b"a\r\n" + b"x" * 10 + b"\r\n0\r\n\r\n", b"0\r\n\r\n"):
        answer = exchange(limits.http_port, head + body)
        assert (answer.status, answer.header("X-Refused")) == (411, "length")


# --- WebSockets ---------------------------------------------------------------------------------


@contextlib.contextmanager
def websocket(stack, host, target=SOCKET):
    with connect(stack.http_port) as sock:
        sock.sendall(request_bytes("GET", target, host, HANDSHAKE))
        yield read_answer(sock).status, sock


def open_sockets(stack, key="one/"):
    table = stack.runtime("show table owui_websockets").partition(f"key={key} ")[2]
    return int(table.partition("conn_cur=")[2].split()[0]) if table else 0


def test_open_websockets_are_counted_while_they_are_open(limits):
    with websocket(limits, "one.test") as first, websocket(limits, "one.test") as second:
        assert (first[0], second[0]) == (101, 101)
        assert open_sockets(limits) == 2
        with websocket(limits, "one.test") as third:
            assert third[0] == 429
        with websocket(limits, "free.test") as other:
            assert other[0] == 101
    wait_until(lambda: open_sockets(limits) == 0, "the sockets' end in the count")
    wait_until(lambda: empty(limits, "owui_requests"), "no requests counted")
    with websocket(limits, "one.test") as again:
        assert again[0] == 101


def test_a_routes_websockets_count_apart(limits):
    few = SOCKET.replace("?", "few/?")
    unlimited = SOCKET.replace("?", "any/?")
    with websocket(limits, "one.test", few) as first, websocket(limits, "one.test", few) as second:
        assert (first[0], second[0]) == (101, 429)
        wait_until(
            lambda: (open_sockets(limits, "one/3"), open_sockets(limits)) == (1, 0), "its own count"
        )
        with websocket(limits, "one.test") as another:
            assert another[0] == 101
            with contextlib.ExitStack() as stack:
                free = [
                    stack.enter_context(websocket(limits, "one.test", unlimited)) for _ in range(3)
                ]
                assert [status for status, _ in free] == [101] * 3  # more than the tenant's two
    wait_until(lambda: open_sockets(limits, "one/3") == 0, "the socket's end in the count")


# --- timeouts -----------------------------------------------------------------------------------


def test_how_long_a_server_may_take(limits):
    start = time.monotonic()
    assert request(limits.http_port, "/api/echo", "slow.test").status == 504
    assert 0.2 < time.monotonic() - start < 5
    with connect(limits.http_port) as sock:
        sock.sendall(request_bytes("GET", "/patient", "slow.test"))
        sock.settimeout(1)
        with pytest.raises(TimeoutError):  # a route has a longer one
            sock.recv(1)


def test_how_long_a_tunnel_may_be_idle(limits):
    start = time.monotonic()
    with websocket(limits, "sockets.test") as (status, sock):
        assert status == 101
        while sock.recv(4096):  # what Engine.IO begins with, and then the end
            pass
    assert 0.3 < time.monotonic() - start < 5


# --- telling ------------------------------------------------------------------------------------


def test_explain_shows_limits(limits):
    def told(url, *more):
        done = run_agent_command("explain", "-c", limits.config_path, url, "--json", *more)
        return json.loads(done.stdout)

    one = told("http://one.test/api/echo")
    assert one["limits"] == {
        "counted_as": "one/",
        "requests_per_10s": 5,
        "websockets_counted_as": "one/",
        "websockets": 2,
        "max_body_bytes": 1024 * KB,
        "tunnel_timeout_ms": 3600000,
    }
    route = told("http://one.test/api/config")
    assert route["limits"]["counted_as"] == "one/1"
    assert route["limits"]["requests_per_10s"] == 2
    assert route["route"]["number"] == 1
    signs = told(f"http://signs.test{SIGN_IN}", "--method", "POST")
    assert signs["limits"]["signin_per_minute_per_ip"] == 3
    assert "signin_per_minute_per_ip" not in told("http://signs.test/")["limits"]
    done = run_agent_command("explain", "-c", limits.config_path, "http://one.test/api/echo")
    assert "5 requests in 10 s" in done.stdout


def test_a_limit_is_live_without_a_new_haproxy_cfg(new_stack, upstreams):
    stack = new_stack()
    tenant = {"hosts": ["a.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"a": tenant})
    stack.start()
    assert statuses(3, stack.http_port, "/api/echo", "a.test") == [200] * 3
    stack.write_tenants({"a": {**tenant, "limits": {"requests_per_10s": 1}}})
    wait_until(
        lambda: request(stack.http_port, "/api/echo", "a.test").status == 429, "the new limit"
    )
    assert "haproxy_config_differs" not in stack.agents[0].log()
