"""Decisions that hold for a connection's next requests: HAProxy does not ask again where that is
enough, and asks wherever it is not."""

import contextlib
import json
import pathlib
import random
import signal
import tempfile
import time

import pytest

from test_admin import Admin
from test_kept_connections import Connections

from support.clients import HANDSHAKE, SOCKET, Echo, Http2, Pipeline, connect, read_answer
from support.clients import request, request_bytes
from support.processes import wait_until
from support.spoofs import ADDRESS, FORMS, HEADERS, IDENTITY
from support.stack import Stack, run_agent_command
from support.tenants import TRUSTED_PROXY

ECHO = "/api/echo"
HOLDS_S = 10


@pytest.fixture(scope="module")
def secure(folder, authority):
    """An upstream that speaks TLS."""
    recorder = Connections(authority.issue(["secure.internal"], folder / "secure.pem"))
    yield recorder
    recorder.stop()


def tenants(upstreams, secure):
    alpha, beta = upstreams["alpha"].url, upstreams["beta"].url
    open_to_all = {"https": "off"}
    secure = {"upstream": secure.url.replace("http:", "https:"), **open_to_all}
    return {
        "plain": {"hosts": ["plain.test", "other.test"], "upstream": alpha, **open_to_all},
        "beta": {"hosts": ["beta.test", "*.fleet.test"], "upstream": beta, **open_to_all},
        "safe": {"hosts": ["safe.test"], "upstream": alpha, "hsts": {"max_age": "1d"}},
        "calm": {"hosts": ["calm.test"], "upstream": beta, "nosniff": True},
        "named": {"hosts": ["named.test"], "backend": "shelf", **open_to_all},
        "nosniff": {"hosts": ["nosniff.test"], "upstream": beta, "nosniff": True, **open_to_all},
        "verified": {
            "hosts": ["verified.test"],
            "upstream_tls": {"server_name": "secure.internal"},
            "nosniff": True,
            **secure,
        },
        "believed": {"hosts": ["believed.test"], "upstream_tls": {"verify": False}, **secure},
        # what a request may decide
        "headers": {"hosts": ["headers.test"], "upstream": alpha, "headers": {"X-Team": "a"}}
        | open_to_all,
        "paths": {
            "hosts": ["paths.test"],
            "paths": [{"host": "shared.test", "prefix": "/api/v1/x", "mode": "keep"}],
            "upstream": beta,
            **open_to_all,
        },
        "shared": {"hosts": ["shared.test"], "upstream": alpha, **open_to_all},
        "limits": {
            "hosts": ["limits.test"],
            "upstream": alpha,
            "limits": {"requests_per_10s": 10000},
        }
        | open_to_all,
        "replicas": {
            "hosts": ["replicas.test"],
            "replicas": {"servers": [upstreams[n].address for n in ("alpha", "beta")]},
        }
        | open_to_all,
        "window": {
            "hosts": ["window.test"],
            "upstream": alpha,
            "maintenance": {"window": {"from": "2001-01-01T00:00Z", "to": "2001-01-02T00:00Z"}},
            **open_to_all,
        },
    }


def new_reuse(folder, upstreams, authority, changes=None):
    shelf = {"shelf": {"servers": [upstreams["beta"].address]}}
    haproxy = {"decision_map": str(folder / "decisions.map"), "backends": shelf}
    return Stack(folder / "reuse", upstreams, authority, changes=changes, haproxy_changes=haproxy)


def start(stack):
    path = stack.config["haproxy"]["decision_map"]
    stack.start()
    wait_until(lambda: "now" in stack.runtime(f"show map {path}"), "the map is filled")


@pytest.fixture(scope="module")
def reuse(folder, authority, upstreams, secure):
    changes = {
        "trusted_proxies": [{"name": "lb", "cidrs": [TRUSTED_PROXY + "/32"]}],
        "strip_headers": sorted(set(IDENTITY) - {"X-Tenant-ID"}),
    }
    stack = new_reuse(folder, upstreams, authority, changes)
    stack.write_tenants(tenants(upstreams, secure))
    stack.issue("safe.test", "calm.test")
    try:
        start(stack)
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def reuse_with_line(folder, authority, upstreams, secure):
    """Starts one with some of the tenants and lines of an admin's own."""
    stacks = []

    def start_with_line(names, place, line):
        own = pathlib.Path(tempfile.mkdtemp(prefix="own.", dir=folder))
        stack = new_reuse(own, upstreams, authority)
        stacks.append(stack)
        every = tenants(upstreams, secure)
        stack.write_tenants({name: every[name] for name in names})
        stack.issue(*(f"{name}.test" for name in names))
        stack.add_own_line(place, line)
        start(stack)
        return stack

    yield start_with_line
    for stack in stacks:
        stack.stop()


def asked(stack):
    """How many decisions the agent has made."""
    done = run_agent_command("status", "--json", "-c", stack.config_path)
    return sum(json.loads(done.stdout)["decisions"].values())


class Client:
    """One connection, kept open."""

    def __init__(self, port, host, **where):
        self.begin = time.monotonic()
        self.sock = connect(port, **where)
        self.answers = Pipeline(self.sock)
        self.host = host

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def get(self, target=ECHO, host=None, headers=(), method="GET"):
        self.sock.sendall(request_bytes(method, target, host or self.host, headers))
        return read_answer(self.answers, method)


def needed(client):
    """How many questions after its first a connection has needed by now: one every ten seconds."""
    return int((time.monotonic() - client.begin + 1) / HOLDS_S)


def count_asked(stack, client, times=3, **request):
    """How often the agent is asked about requests on a connection that has had one."""
    client.get(**request)
    before = asked(stack)
    for _ in range(times):
        Echo(client.get(**request))
    return asked(stack) - before


def test_explain_tells_what_is_for_the_request_itself(reuse):
    """What the agent says for the connection's next ones, unset or not, is no part of it."""
    told = Admin(reuse).http("POST", "/v1/explain", {"url": "http://plain.test/"})[1]
    assert sorted(told["variables"]) == ["dst", "ip", "tenant", "to_http"]
    assert "answers" not in told and "hsts" not in told
    assert told["headers"]["set"]["X-Forwarded-Proto"] == "http"
    assert told["headers"]["set"]["X-Forwarded-Port"] == 80


@pytest.mark.parametrize("host", ["plain.test", "beta.test", "a.fleet.test", "named.test"])
def test_a_connection_asks_once(reuse, host):
    with Client(reuse.http_port, host) as client:
        first = Echo(client.get())
        before = asked(reuse)
        for target in (ECHO, "/api/echo?x=%2e%2e//", "/api/echo", "/"):
            answer = client.get(target)
            assert answer.status == 200, answer
            if target == ECHO:
                again = Echo(answer)
                assert again.name == first.name
                ids = {"x-request-id", "date"}
                assert [h for h in again.headers if h[0].lower() not in ids] == [
                    h for h in first.headers if h[0].lower() not in ids
                ]
                assert again.header("x-request-id") != first.header("x-request-id")
        assert asked(reuse) - before <= needed(client)


@pytest.mark.parametrize("host", ["verified.test", "believed.test"])
def test_an_upstream_with_tls(reuse, secure, host):
    """What few tenants have comes with it."""
    secure.names.clear()
    with Client(reuse.http_port, host) as client:
        client.get("/")
        before = asked(reuse)
        for path in (f"/api/1/{host}", f"/api/2/{host}"):
            answer = client.get(path)
            assert answer.status == 200
            assert (answer.header("X-Content-Type-Options") == "nosniff") == (host[0] == "v")
            assert len(secure.came[path]) == 1
        assert asked(reuse) - before <= needed(client)
    assert set(secure.names) == {"secure.internal" if host == "verified.test" else None}


def test_what_few_tenants_have_is_nobody_elses(reuse, secure):
    """One connection, whose decisions take turns."""
    turns = {
        "plain.test": ("alpha", None),
        "named.test": ("beta", None),
        "nosniff.test": ("beta", "nosniff"),
        "beta.test": ("beta", None),
        "verified.test": (None, "nosniff"),
        "believed.test": (None, None),
    }
    with Client(reuse.http_port, "plain.test") as client:
        for host in random.Random(7).choices(list(turns), k=60):
            name, sniff = turns[host]
            for _ in range(2):
                answer = client.get(host=host)
                assert answer.status == 200 and answer.header("X-Content-Type-Options") == sniff
                assert name is None or Echo(answer).name == name


def test_over_tls(reuse, authority):
    with Client(reuse.https_port, "safe.test", tls_name="safe.test") as client:
        first = client.get()
        assert first.header("Strict-Transport-Security")
        before = asked(reuse)
        second = client.get()
        assert second.header("Strict-Transport-Security") == first.header(
            "Strict-Transport-Security"
        )
        assert Echo(second).header("x-forwarded-proto") == "https"
        assert asked(reuse) - before <= needed(client)


@pytest.mark.parametrize(
    "host", ["headers.test", "shared.test", "limits.test", "replicas.test", "window.test"]
)
def test_where_a_request_may_decide_every_request_is_asked_about(reuse, host):
    with Client(reuse.http_port, host) as client:
        assert count_asked(reuse, client) >= 3


def test_behind_a_proxy_every_request_is_asked_about(reuse):
    with Client(reuse.http_port, "plain.test", source=TRUSTED_PROXY) as client:
        for address in ("192.0.2.1", "192.0.2.2"):
            told = Echo(client.get(headers=[("X-Forwarded-For", address)]))
            assert told.header("x-real-ip") == address
        assert count_asked(reuse, client) >= 3


def test_a_proxy_that_nobody_understands_speaks_for_nobody_else(reuse):
    """Its connection may bring the next request of another client."""
    with Client(reuse.http_port, "plain.test", source=TRUSTED_PROXY) as client:
        client.get(headers=[("X-Forwarded-For", ", ".join(["192.0.2.9"] * 21))])
        told = Echo(client.get(headers=[("X-Forwarded-For", "192.0.2.1")]))
        assert told.header("x-real-ip") == "192.0.2.1"


def test_a_connection_with_two_hosts(reuse):
    with Client(reuse.http_port, "plain.test") as client:
        for host, name in [("plain.test", "alpha"), ("beta.test", "beta")] * 3:
            assert Echo(client.get(host=host)).name == name
        assert client.get(host="nobody.test").status == 404
        assert Echo(client.get()).name == "alpha"


def test_hosts_that_share_an_http2_connection(reuse):
    with Http2(reuse.https_port, "safe.test") as client:
        for host, name in [("safe.test", "alpha"), ("calm.test", "beta")] * 4:
            answer = client.request(ECHO, authority=host)
            assert Echo(answer).name == name
            assert bool(answer.header("Strict-Transport-Security")) == (host == "safe.test")
        before = asked(reuse)
        for _ in range(4):
            assert Echo(client.request(ECHO, authority="calm.test")).name == "beta"
        assert asked(reuse) - before <= 2


def test_rules_of_an_admin_do_not_mix_hosts_that_share_a_connection(reuse_with_line):
    """HAProxy 3.2 and later let others run when a request has had fifty rules, which could be in the
    middle of what it takes over from its connection: the rest was another host's."""
    own = "http-request set-var(txn.mine) int(1)"
    stack = reuse_with_line(
        ("safe", "calm"), "frontend before the agent is asked", "\n    ".join([own] * 40)
    )
    waiting, seen = [], set()
    choose = random.Random(1)
    with Http2(stack.https_port, "safe.test") as client:
        for _ in range(2000):
            host = choose.choice(["safe.test"] * 6 + ["calm.test"])
            waiting.append((host, client.send(ECHO, authority=host)))
            if len(waiting) == 30:
                host, stream = waiting.pop(0)
                answer = client.read(stream)
                told = Echo(answer)
                sniff = answer.header("X-Content-Type-Options")
                seen.add((host, told.header("X-Tenant-ID"), told.name, sniff))
    assert seen == {
        ("safe.test", "safe", "alpha", None),
        ("calm.test", "calm", "beta", "nosniff"),
    }


def test_a_rule_of_an_admin_that_waits_does_not_mix_hosts(reuse_with_line):
    """What was told for another host meanwhile is that one's."""
    stack = reuse_with_line(
        ("safe", "calm"),
        "frontend after the agent answered",
        "http-request wait-for-body time 20s at-least 5 if METH_POST",
    )
    with Http2(stack.https_port, "calm.test") as client:
        begin = time.monotonic()
        client.request(ECHO)
        before = asked(stack)
        length = [("content-length", "5")]
        stream = client.send(ECHO, method="POST", headers=length, end=False)
        other = client.request(ECHO, authority="safe.test")
        client.send_body(stream, b"12345")
        answer = client.read(stream)
    assert asked(stack) - before == 1 or time.monotonic() - begin > HOLDS_S - 1
    told = [(Echo(a).name, a.header("X-Content-Type-Options")) for a in (other, answer)]
    assert told == [("alpha", None), ("beta", "nosniff")]


def test_a_rule_of_an_admin_that_ends_the_rules_changes_nothing_else(reuse_with_line):
    sniffs = {"plain": None, "named": None, "nosniff": "nosniff", "verified": "nosniff"}
    sniffs["believed"] = None
    stack = reuse_with_line(
        tuple(sniffs),
        "frontend after the agent answered",
        "http-request allow if { path_beg /api }",
    )
    for name, sniff in sniffs.items():
        with Client(stack.http_port, f"{name}.test") as client:
            told = [client.get() for _ in range(3)]
        assert [answer.status for answer in told] == [200] * 3, name
        assert [a.header("X-Content-Type-Options") for a in told] == [sniff] * 3, name


ODD_PATHS = [
    "//api/echo",
    "/api//echo",
    "/api/./echo",
    "/api/../api/echo",
    "/api/%65cho",
    "/api/%2e%2e/api/echo",
    "/api/..;/echo",
    "/api/echo%2f",
    "/api/echo%00",
    "/api\\echo",
    "/api/.env",
    "/.env",
    "/wp-admin/x.php",
    "/health",
    "/api/ech\xf6",
    "/api/echo;x=1",
    "*",
    "http://plain.test/api/echo",
    "http://beta.test/api/echo",
]


@pytest.mark.parametrize("target", ODD_PATHS)
def test_an_odd_path_is_answered_as_without(reuse, target):
    """The same on a connection that has a decision as on one that has none."""
    method = "OPTIONS" if target == "*" else "GET"
    with Client(reuse.http_port, "plain.test") as fresh:
        expected = fresh.get(target, method=method)
    with Client(reuse.http_port, "plain.test") as client:
        Echo(client.get())
        before = asked(reuse)
        answer = client.get(target, method=method)
        made = asked(reuse) - before
    assert (answer.status, answer.header("X-Refused")) == (
        expected.status,
        expected.header("X-Refused"),
    )
    if answer.status == 200 and b'"path"' in answer.body:
        assert Echo(answer).path == Echo(expected).path
    if answer.status != 400 and not target.startswith("http:"):
        assert made >= 1


@pytest.mark.parametrize("host", ["PLAIN.test", "plain.test.", "plain.test:80", "other.test"])
def test_another_spelling_of_the_host_is_asked_about(reuse, host):
    with Client(reuse.http_port, "plain.test") as client:
        Echo(client.get())
        before = asked(reuse)
        assert Echo(client.get(host=host)).name == "alpha"
        assert asked(reuse) > before


def test_a_websocket_is_asked_about(reuse):
    upgrade = HANDSHAKE + [("Origin", "https://evil.test")]
    with Client(reuse.http_port, "plain.test") as client:
        Echo(client.get())
        answer = client.get(SOCKET, headers=upgrade)
        assert (answer.status, answer.header("X-Refused")) == (403, "origin")


def test_nothing_that_a_client_asserts_arrives(reuse):
    with Client(reuse.http_port, "plain.test") as client:
        Echo(client.get())
        before = asked(reuse)
        for name, value in HEADERS.items():
            for form, lines in FORMS.items():
                headers = lines(name, value)
                if headers is None:
                    continue
                answer = client.get(headers=headers)
                if answer is None or answer.status != 200:
                    pytest.fail(f"{name}, {form}: {answer}")
                seen = [v for k, v in Echo(answer).headers if ADDRESS in v or v == "666"]
                assert not seen, f"{name}, {form}: {seen}"
        assert asked(reuse) - before <= needed(client)


def test_a_change_is_seen_by_open_connections(reuse, upstreams, secure):
    changed = tenants(upstreams, secure)
    with Client(reuse.http_port, "plain.test") as client, Client(reuse.http_port, "beta.test") as b:
        assert Echo(client.get()).name == "alpha" and Echo(b.get()).name == "beta"
        for name in ("beta", "alpha", "beta"):
            changed["plain"]["upstream"] = upstreams[name].url
            reuse.write_tenants(changed)
            wait_until(lambda: Echo(client.get()).name == name, f"plain goes to {name}", 5)
            assert Echo(b.get()).name == "beta"
        del changed["plain"]
        reuse.write_tenants(changed)
        wait_until(lambda: client.get().status == 404, "plain is gone", 5)
        reuse.write_tenants(tenants(upstreams, secure))
        wait_until(lambda: client.get().status == 200, "plain is back", 5)
        wait_until(lambda: count_asked(reuse, client) == 0, "it is asked about once again", 5)


def test_a_new_haproxy_is_told(reuse):
    """Its map is empty at first: nothing holds until the agent has seen it."""
    before = set(reuse.haproxy_workers())
    reuse.haproxy.send_signal(signal.SIGUSR2)
    wait_until(lambda: set(reuse.haproxy_workers()) - before, "a new worker", 30)

    def asks_once():
        with Client(reuse.http_port, "plain.test") as client:
            first = client.get()  # None from an old worker that has just let go
            if first is None or first.status != 200:
                return False
            before = asked(reuse)
            second = client.get()
            return second is not None and second.status == 200 and asked(reuse) == before

    wait_until(asks_once, "the new worker has been told", 30)


def test_a_lost_agent_is_missed_soon(reuse):
    """What was said holds for some seconds, and not for ever."""
    with Client(reuse.http_port, "plain.test") as client:
        client.sock.settimeout(60)  # each try at the agent takes seconds
        Echo(client.get())
        reuse.agents[0].send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: client.get().status == 503, "nothing holds any more", 60)
        finally:
            reuse.agents[0].send_signal(signal.SIGCONT)

        def is_answered():
            """On this connection, or on another where HAProxy has ended it."""
            answer = None
            with contextlib.suppress(ConnectionError):
                answer = client.get()
            return (answer or request(reuse.http_port, ECHO, "plain.test")).status == 200

        wait_until(is_answered, "the agent answers again", 60)
