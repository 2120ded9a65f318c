"""A decision that holds for the next requests is as safe as asking: whatever comes on a connection
that has decisions, in whatever order, is answered and forwarded as on one that has none."""

import collections
import json
import random
import socket

import pytest

from test_admin import Admin
from test_kept_connections import Connections
from test_reuse import ODD_PATHS, new_reuse, start
from test_reuse import tenants as reused_tenants

from support.clients import HANDSHAKE, SOCKET, Echo, Http2, Pipeline, connect, read_answer
from support.clients import request_bytes
from support.identity import AUDIENCE, ISSUER, Key, key_set
from support.spoofs import FORMS, HEADERS, IDENTITY, NOT_IN_HTTP2
from support.tenants import TRUSTED_PROXY, settings

REQUESTS = 120
STAYS = 0.8  # of the requests, those to the same host as the one before
PATHS = ["/api/echo", "/api/echo", "/api/echo?a=/../b", "/api/version", "/", "/c/1", "/api/models"]
PATHS += ["/llm/api/echo", "/llm/api/version", "/llm", "/kept/api/echo", "/api/v1/x/echo"]
PATHS += ["/taken/c/1", "/owui/leave", "/owui/api/echo", "/api/v1/scim/v2/Users", "/health/db"]
SPELLINGS = [str.upper, lambda host: host + ".", lambda host: host + ":80"]
SOURCES = [None, None, TRUSTED_PROXY]
# What two requests that are the same do not have in common.
OWN = {"x-request-id", "traceparent", "date", "content-length", "sec-websocket-accept"}


@pytest.fixture(scope="module")
def secure(folder, authority):
    recorder = Connections(authority.issue(["secure.internal"], folder / "alike.pem"))
    yield recorder
    recorder.stop()


def tenants(stack, upstreams, secure, key):
    """Of each kind that there is; replicas take turns by themselves."""
    alpha, beta, gamma = (upstreams[name].url for name in ("alpha", "beta", "gamma"))
    plain = {"https": "off"}
    jwks = stack.directory / "jwks.json"
    jwks.write_text(key_set(key))
    identity = {"from": "jwt", "issuer": ISSUER, "audience": AUDIENCE, "jwks": str(jwks)}
    identity["set"] = {"X-User-Email": "{email}"}
    every = reused_tenants(upstreams, secure)
    del every["replicas"]
    every |= {
        "llm": {
            "paths": [{"host": "apps.test", "prefix": "/llm/", "mode": "strip", "only": ["/api/"]}],
            "upstream": alpha,
            **plain,
        },
        "kept": {
            "paths": [{"host": "apps.test", "prefix": "/kept/", "mode": "keep"}],
            "upstream": gamma,
            **plain,
        },
        "owui": {
            "hosts": ["owui.apps.test"],
            "paths": [{"host": "apps.test", "prefix": "/owui/", "mode": "redirect"}],
            "upstream": beta,
            **plain,
        },
        "apps": {"hosts": ["apps.test"], "upstream": beta, **plain},
        "label": {
            "hosts": ["*.label.test"],
            "label": "^[a-z]{1,9}$",
            "upstream": alpha,
            "headers": {"X-Label": "{label}"},
            **plain,
        },
        "vip": {"hosts": ["vip.fleet.test"], "upstream": gamma, **plain},
        "taken": {
            "paths": [{"host": "apps.test", "prefix": "/taken/", "mode": "takeover"}],
            "upstream": gamma,
            **plain,
        },
        "unchecked": {
            "hosts": ["unchecked.test"],
            "upstream": gamma,
            "origin_check": "off",
            **plain,
        },
        "open": {"hosts": ["open.test"], "upstream": alpha, "identity": identity, **plain},
        "closed": {
            "hosts": ["closed.test"],
            "upstream": beta,
            "identity": identity | {"required": True},
            **plain,
        },
        "denied": {
            "hosts": ["denied.test"],
            "upstream": beta,
            "routes": [{"match": {"path": "/api/v1/scim"}, "action": "deny"}],
            **plain,
        },
        "away": {"hosts": ["away.test"], "upstream": alpha, "suspended": {"status": 402}, **plain},
    }
    return every


KEEPS = ["plain.test", "beta.test", "a.fleet.test", "b.fleet.test", "safe.test", "calm.test"]
KEEPS += ["named.test", "nosniff.test", "verified.test", "believed.test", "unchecked.test"]
ASKS = ["vip.fleet.test", "apps.test", "headers.test", "paths.test", "shared.test", "limits.test"]
ASKS += ["window.test", "away.test", "owui.apps.test", "a.label.test", "b.label.test"]
ASKS += ["a1.label.test", "open.test", "closed.test", "denied.test", "nobody.test", "x..test"]
# Where the decision lies in the request: what makes a difference there.
TOKEN, COOKIE, UPGRADE = object(), object(), object()
TEMPTING = {
    "plain.test": [UPGRADE],
    "safe.test": [UPGRADE],
    "shared.test": ["/api/v1/x/echo"],
    "apps.test": ["/llm/api/echo", "/kept/api/echo", "/taken/c/1", "/owui/api/echo", COOKIE],
    "open.test": [TOKEN],
    "closed.test": [TOKEN],
    "denied.test": ["/api/v1/scim/v2/Users"],
}
HOSTS = KEEPS * 2 + list(TEMPTING) * 2 + ASKS


@pytest.fixture(scope="module")
def key():
    return Key()


@pytest.fixture(scope="module")
def alike(folder, authority, upstreams, secure, key):
    changes = settings()
    changes["cookie_key_file"] = str(folder / "alike.key")
    changes["strip_headers"] = sorted(set(IDENTITY) - {"X-Tenant-ID"})
    stack = new_reuse(folder / "alike", upstreams, authority, changes)
    stack.write_tenants(tenants(stack, upstreams, secure, key))
    stack.issue(*(host for host in KEEPS + ASKS if ".." not in host))
    try:
        start(stack)
        yield stack
    finally:
        stack.stop()


# -- What comes -------------------------------------------------------------------------------


Request = collections.namedtuple("Request", "method target host headers body")


def spoofs(choose, is_http2):
    lines = []
    for name in choose.sample(sorted(HEADERS), choose.choice([0, 0, 1, 2, 5])):
        form = choose.choice(sorted(set(FORMS) - (NOT_IN_HTTP2 if is_http2 else set())))
        lines += FORMS[form](name, HEADERS[name]) or []
    return lines


ORIGINS = ["https://evil.test", "http://plain.test", "https://safe.test", "null"]


def something_told(choose):
    several = [
        ("Origin", choose.choice(ORIGINS)),
        ("X-Forwarded-For", choose.choice(["192.0.2.1", "192.0.2.2, 10.0.0.1"])),
        ("CF-Connecting-IP", "192.0.2.3"),
        ("Forwarded", "for=192.0.2.4;proto=https"),
        ("X-Forwarded-Proto", choose.choice(["http", "https", "ftp"])),
        ("Accept", "text/html"),
        ("Cookie", "a=b"),
    ]
    return choose.choice(several)


def next_request(choose, host, key, cookies, is_http2):
    method = choose.choice(["GET"] * 8 + ["POST", "HEAD", "OPTIONS", "DELETE"])
    odd = [path for path in ODD_PATHS if path.startswith("/")] if is_http2 else ODD_PATHS
    target = choose.choice(PATHS if choose.random() < 0.75 else odd)
    headers = spoofs(choose, is_http2)
    while choose.random() < 0.4:
        headers.append(something_told(choose))
    tempting = choose.choice(TEMPTING.get(host, [None])) if choose.random() < 0.4 else None
    if tempting is TOKEN:
        token = key.token()[: choose.choice([None, -4])]
        method, target = "GET", "/api/echo"
        headers.append(("Authorization", f"Bearer {token}"))
    elif tempting is COOKIE:
        headers += [("Cookie", cookie) for cookie in sorted(cookies)[-1:]]
    elif tempting is UPGRADE and not is_http2:
        method, target = "GET", SOCKET
        headers += HANDSHAKE + [("Origin", choose.choice(ORIGINS))]
    elif isinstance(tempting, str):
        target = tempting
    if choose.random() < 0.1:
        host = choose.choice(SPELLINGS)(host)
    body = b"x" * choose.choice([0, 1, 3000]) if method == "POST" else b""
    return Request(method, target, host, headers, body)


# -- What becomes of it ----------------------------------------------------------------------


def without_own(headers):
    return sorted(
        (name.lower(), "*" if name.lower() in OWN else value)
        for name, value in headers
        if name.lower() != "set-cookie"
    )


def outcome(answer):
    """What a client sees and what the upstream does, as far as two of the same have it in common."""
    if answer is None:
        return None
    cookies = sorted(value.split("=")[0] for value in answer.all("set-cookie"))
    told = [answer.status, without_own(answer.headers), cookies]
    if answer.status == 200 and answer.body.startswith(b'{"name"'):
        echo = Echo(answer)
        told += [echo.name, echo.method, echo.path, echo.query, echo.scheme, echo.body_bytes]
        return told + [without_own(echo.headers)]
    return told + [answer.body if b"Request" not in answer.body else len(answer.body)]


class Http1:
    def __init__(self, port, tls_name=None, source=None):
        self.sock = connect(port, tls_name=tls_name, source=source)
        self.answers = Pipeline(self.sock)

    def close(self):
        self.sock.close()

    def ask(self, wish):
        try:
            self.sock.sendall(
                request_bytes(wish.method, wish.target, wish.host, wish.headers, wish.body)
            )
            return read_answer(self.answers, wish.method)
        except ConnectionError:
            return None

    def is_over(self, answer):
        """Whether the next request takes another connection."""
        return (
            answer is None or answer.status == 101 or (answer.header("Connection") or "") == "close"
        )


class OverHttp2(Http2):
    def ask(self, wish):
        headers = [(name.lower(), value) for name, value in wish.headers]
        try:
            return self.request(
                wish.target,
                method=wish.method,
                headers=headers,
                body=wish.body,
                authority=wish.host,
            )
        except (ConnectionError, socket.timeout):
            return None

    def is_over(self, answer):
        return answer is None


def was_forwarded(answer):
    return answer is not None and answer.header("X-Upstream") is not None


def decisions(admin):
    return sum(admin.http("GET", "/v1/status")[1]["decisions"].values())


FRONTS = {
    "http": lambda stack, source: Http1(stack.http_port, source=source),
    "https": lambda stack, source: Http1(stack.https_port, tls_name="safe.test", source=source),
    "http2": lambda stack, source: OverHttp2(stack.https_port, "safe.test", source=source),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("front", FRONTS)
def test_what_comes_on_a_kept_connection_is_treated_as_on_a_new_one(
    alike, key, front, source, request
):
    choose = random.Random(request.node.name)
    admin = Admin(alike)
    reused, cookies, kept, host, before = 0, set(), None, choose.choice(HOSTS), []
    for _ in range(REQUESTS):
        host = host if choose.random() < STAYS else choose.choice(HOSTS)
        wish = next_request(choose, host, key, cookies, front == "http2")
        fresh = FRONTS[front](alike, source)
        expected = fresh.ask(wish)
        fresh.close()
        kept = kept or FRONTS[front](alike, source)
        made = decisions(admin)
        answer = kept.ask(wish)
        reused += was_forwarded(answer) and decisions(admin) == made
        before.append(wish)
        assert outcome(answer) == outcome(expected), before[-5:]
        cookies |= {
            value.split(";")[0] for value in (expected.all("set-cookie") if expected else [])
        }
        if kept.is_over(answer):
            kept.close()
            kept, before = None, []
    if kept is not None:
        kept.close()
    assert reused >= REQUESTS / 40 if source is None else reused == 0, reused
