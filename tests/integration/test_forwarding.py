"""What upstreams, and some clients, are told beyond the usual headers: the chain of proxies, RFC
7239's Forwarded, a trace that goes on, and which configuration has decided."""

import json

import pytest

from support.clients import Http2, echo, request
from support.stack import Stack, run_agent_command
from support.tenants import TRUSTED_CDN, TRUSTED_PROXY, TRUSTED_PROXY_2, TRUSTED_RFC7239, settings

HOST = "told.test"
ADMIN = "127.0.5.1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def told(folder, authority, upstreams):
    changes = {
        **settings(),
        "forwarding": {"x_forwarded_for": "append", "forwarded": True, "trace": "keep"},
        "generation_header": {"for": [ADMIN + "/32", "203.0.113.0/24"]},
    }
    stack = Stack(folder / "forwarding", upstreams, authority, changes=changes)
    stack.write_tenants(
        {"told": {"hosts": [HOST], "upstream": upstreams["alpha"].url, "https": "off"}}
    )
    stack.issue(HOST)
    try:
        yield stack.start()
    finally:
        stack.stop()


def explain(stack, *arguments):
    done = run_agent_command("explain", "-c", stack.config_path, f"http://{HOST}/", *arguments)
    return done.stdout


def explain_json(stack, *arguments):
    return json.loads(explain(stack, "--json", *arguments))


# --- X-Forwarded-For ------------------------------------------------------------------------------

CHAINS = {
    "the client itself": (None, [], "127.0.0.1"),
    "a client that says what it is not": (None, [("X-Forwarded-For", "6.6.6.6")], "127.0.0.1"),
    "one proxy": (
        TRUSTED_PROXY,
        [("X-Forwarded-For", "203.0.113.9")],
        f"203.0.113.9, {TRUSTED_PROXY}",
    ),
    "two proxies, and a spoof in front": (
        TRUSTED_PROXY,
        [("X-Forwarded-For", f"6.6.6.6, 203.0.113.9, {TRUSTED_PROXY_2}")],
        f"203.0.113.9, {TRUSTED_PROXY_2}, {TRUSTED_PROXY}",
    ),
    "two lines": (
        TRUSTED_PROXY,
        [("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-For", TRUSTED_PROXY_2)],
        f"203.0.113.9, {TRUSTED_PROXY_2}, {TRUSTED_PROXY}",
    ),
    "an address with a port, one in brackets": (
        TRUSTED_PROXY,
        [("X-Forwarded-For", f"[2001:DB8::9]:443, {TRUSTED_PROXY_2}:80")],
        f"2001:db8::9, {TRUSTED_PROXY_2}, {TRUSTED_PROXY}",
    ),
    "garbage": (TRUSTED_PROXY, [("X-Forwarded-For", "unknown")], TRUSTED_PROXY),
    "nothing": (TRUSTED_PROXY, [], TRUSTED_PROXY),
    "a CDN": (TRUSTED_CDN, [("CF-Connecting-IP", "203.0.113.9")], f"203.0.113.9, {TRUSTED_CDN}"),
    "RFC 7239": (
        TRUSTED_RFC7239,
        [("Forwarded", 'for=6.6.6.6, for="[2001:db8::9]:4711";proto=https')],
        f"2001:db8::9, {TRUSTED_RFC7239}",
    ),
    "more than there is room for": (
        TRUSTED_PROXY,
        [("X-Forwarded-For", ", ".join(["203.0.113.9"] + [TRUSTED_PROXY_2] * 18))],
        "203.0.113.9",
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_chain_of_proxies(told, name):
    source, headers, expected = CHAINS[name]
    where = {"source": source} if source else {}
    seen = echo(told.http_port, HOST, headers=headers, **where)
    assert seen.all("X-Forwarded-For") == [expected]
    first = expected.split(",")[0]
    assert (seen.header("X-Real-IP"), seen.header("X-Client-IP"), seen.client) == (first,) * 3
    options = [part for line in headers for part in ("--header", ": ".join(line))]
    explained = explain_json(told, "--from", source or "127.0.0.1", *options)
    assert explained["headers"]["set"]["X-Forwarded-For"] == expected


# --- Forwarded ------------------------------------------------------------------------------------


def test_forwarded_as_rfc_7239_has_it(told):
    spoof = [("Forwarded", "for=6.6.6.6;proto=https"), ("forwarded", "by=me")]
    seen = echo(told.http_port, HOST, headers=spoof)
    assert seen.all("Forwarded") == [f'for=127.0.0.1;host="{HOST}";proto=http;by=_owui']
    behind = [("X-Forwarded-For", "2001:db8::9"), ("X-Forwarded-Proto", "https")]
    seen = echo(told.http_port, HOST, headers=behind, source=TRUSTED_PROXY)
    expected = f'for="[2001:db8::9]";host="{HOST}";proto=https;by=_owui'
    assert seen.all("Forwarded") == [expected]
    options = [part for line in behind for part in ("--header", ": ".join(line))]
    explained = explain_json(told, "--from", TRUSTED_PROXY, *options)
    assert explained["headers"]["set"]["Forwarded"] == expected
    seen = echo(told.http_port, f"{HOST}:8080")
    assert seen.all("Forwarded") == [f'for=127.0.0.1;host="{HOST}:8080";proto=http;by=_owui']


# --- Traces ---------------------------------------------------------------------------------------

STATE = ("tracestate", "vendor=1")


def test_a_trace_goes_on(told):
    seen = echo(told.http_port, HOST, headers=[("traceparent", TRACE), STATE])
    assert seen.all("traceparent") == [TRACE] and seen.all("tracestate") == ["vendor=1"]
    text = explain(told)
    assert "but not  traceparent and tracestate" in text
    deleted = text.split("headers deleted")[1].split("but not")[0]
    assert "traceparent" not in deleted and "X-Real-IP" in deleted
    with Http2(told.https_port, HOST) as client:
        answer = client.request("/api/echo", authority=HOST, headers=[("traceparent", TRACE)])
    assert dict(answer.json()["headers"])["traceparent"] == TRACE


NO_TRACES = {
    "none": [],
    "two": [("traceparent", TRACE), ("traceparent", TRACE)],
    "a list": [("traceparent", f"{TRACE}, {TRACE}")],
    "nobody's": [("traceparent", TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32))],
    "of no parent": [("traceparent", TRACE.replace("b7ad6b7169203331", "0" * 16))],
    "another version": [("traceparent", "ff" + TRACE[2:])],
    "one with more": [("traceparent", TRACE + "-extra")],
    "one with less": [("traceparent", TRACE[:-1])],
    "upper case": [("traceparent", TRACE.upper())],
    "words": [("traceparent", "6.6.6.6")],
    "an empty one": [("traceparent", "")],
}


@pytest.mark.parametrize("name", NO_TRACES)
def test_what_is_no_trace_does_not_go_on(told, name):
    seen = echo(told.http_port, HOST, headers=[*NO_TRACES[name], STATE])
    assert seen.all("traceparent") == [] and seen.all("tracestate") == []


def test_without_the_section_nothing_of_it_is_told(http):
    headers = [("traceparent", TRACE), STATE, ("X-Forwarded-For", "203.0.113.9")]
    answer = request(http, "/api/echo", "chat.alpha.test", headers=headers, source=TRUSTED_PROXY)
    names = [name.lower() for name, _ in answer.json()["headers"]]
    assert not {"traceparent", "tracestate", "forwarded"} & set(names)
    assert answer.header("X-Owui-Generation") is None
    assert ("203.0.113.9") in [v for k, v in answer.json()["headers"] if k == "x-forwarded-for"]


# --- The generation -------------------------------------------------------------------------------


def test_admins_are_told_what_is_in_force(told):
    answer = request(told.http_port, "/api/config", HOST, source=ADMIN)
    generation = answer.header("X-Owui-Generation")
    status = json.loads(run_agent_command("status", "--json", "-c", told.config_path).stdout)
    assert generation == status["hash"], status
    assert request(told.http_port, "/api/config", HOST).header("X-Owui-Generation") is None
    # by the client that a proxy tells, and of what is refused, too
    behind = {"headers": [("X-Forwarded-For", "203.0.113.9")], "source": TRUSTED_PROXY}
    assert request(told.http_port, "/", HOST, **behind).header("X-Owui-Generation") == generation
    refused = request(told.http_port, "/", "nobody.test", source=ADMIN)
    assert (refused.status, refused.header("X-Owui-Generation")) == (404, generation)
    assert "generation told to this client in X-Owui-Generation\n" in explain(told, "--from", ADMIN)
    assert "generation" not in explain(told)
