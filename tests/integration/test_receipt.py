"""The security receipt: every identity and forwarding header, in every form, over every protocol,
from strangers and from trusted proxies, through the real HAProxy to a real upstream. Nothing that
was not verified may arrive: neither where the agent is asked, nor on kept connections for which
HAProxy goes by what it said before (`decision_map`). `tests/run receipt` prints it as a table."""

import json
import os
import pathlib

import pytest

from support.clients import Echo, Http2, Pipeline, connect, read_answer, request, request_bytes
from support.identity import Key, claims, key_set
from support.processes import wait_until
from support.sockets import handshake_headers
from support.spoofs import ADDRESS, FORMS, HEADERS, IDENTITY, NOT_IN_HTTP2
from support.stack import Stack, run_agent_command
from support.tenants import TRUSTED_PROXY

HOST = "receipt.test"
KEPT_HOST = "kept.test"  # of which a decision holds for more than one request
SET = {
    "X-User-Email": "{email}",
    "X-User-Name": "{name}",
    "X-User-Groups": "{groups}",
    "X-User-Role": "{role}",
}
OF_TOKEN = {
    "x-user-email": "ann@example.com",
    "x-user-name": "Ann",
    "x-user-groups": "g",
    "x-user-role": "user",
}
PEERS = {"stranger": "127.0.0.1", "trusted": TRUSTED_PROXY}
PROTOCOLS = ("http/1.1", "http/2", "websocket", "kept h1", "kept h2")
OVER_HTTP2 = {"http/2", "kept h2"}

# What a trusted proxy is believed: the header, and where its value may be seen.
BELIEVED = {
    "X-Forwarded-For": {"x-forwarded-for", "x-real-ip", "x-client-ip"},
    "X-Forwarded-Proto": {"x-forwarded-proto"},
    "X-Request-ID": {"x-request-id"},
}
results = {}  # (header, protocol, peer) -> [forms that held], [forms that did not]


@pytest.fixture(scope="module")
def receipt(folder, authority, upstreams):
    """A tenant that believes a token and nothing else, with a session of its Open WebUI; and one
    that believes nothing, so that HAProxy need not ask about each request."""
    path = folder / "receipt.map"
    stack = Stack(
        folder / "receipt",
        upstreams,
        authority,
        changes={
            "trusted_proxies": [{"name": "lb", "cidrs": ["127.0.7.0/24"]}],
            "strip_headers": sorted(set(IDENTITY) - {"X-Tenant-ID"}),
        },
        haproxy_changes={"decision_map": str(path)},
    )
    key = Key("ES256")
    jwks = stack.directory / "jwks.json"
    jwks.write_text(key_set(key))
    identity = {"from": "jwt", "issuer": claims()["iss"], "audience": claims()["aud"]}
    identity |= {"jwks": str(jwks), "header": "X-Id-Token", "set": SET}
    tenant = {"hosts": [HOST], "upstream": upstreams["beta"].url, "https": "off"}
    tenant |= {"headers": {"X-Team": "red"}, "identity": identity}
    kept = {"hosts": [KEPT_HOST], "upstream": upstreams["gamma"].url, "https": "off"}
    stack.write_tenants({"receipt": tenant, "kept": kept})
    stack.issue(HOST)
    stack.issue(KEPT_HOST)
    stack.start()
    wait_until(lambda: "now" in stack.runtime(f"show map {path}"), "the map is filled")
    stack.id_token = key.token(claims("ann@example.com", name="Ann", groups=["g"], role="user"))
    signed_in = request(
        stack.http_port, "/api/v1/auths/signin", HOST, "POST", [], b'{"email": "ann@example.com"}'
    )
    stack.session = signed_in.json()["token"]
    stack.connection = None  # where requests go over one
    yield stack
    stack.stop()
    write_table()


def is_kept(protocol):
    return protocol.startswith("kept")


class Kept:
    """One HTTP/1.1 connection for all requests, as Http2 is one."""

    def __init__(self, port, source):
        self.sock = connect(port, source=source)
        self.answers = Pipeline(self.sock)

    def close(self):
        self.sock.close()

    def request(self, path, headers):
        self.sock.sendall(request_bytes("GET", path, KEPT_HOST, headers))
        return read_answer(self.answers)


def asked(stack):
    """How many decisions the agent has made."""
    done = run_agent_command("status", "--json", "-c", stack.config_path)
    return sum(json.loads(done.stdout)["decisions"].values())


def write_table():
    path = os.environ.get("OWUI_RECEIPT")
    if not path:
        return
    columns = [(protocol, peer) for protocol in PROTOCOLS for peer in PEERS]
    lines = ["header".ljust(36) + "".join(f"{protocol:>12}" for protocol, _ in columns)]
    lines.append(" " * 36 + "".join(f"{peer:>12}" for _, peer in columns))
    held = failed = 0
    for header in HEADERS:
        cells = []
        for protocol, peer in columns:
            good, bad = results.get((header, protocol, peer), ([], []))
            held, failed = held + len(good), failed + len(bad)
            text = f"{len(good)}/{len(good) + len(bad)}" if good or bad else "-"
            cells.append(("FAIL " if bad else "") + text)
        lines.append(header.ljust(36) + "".join(f"{cell:>12}" for cell in cells))
    lines += ["", f"forms: {', '.join(FORMS)}; HTTP/2 has neither case nor Connection"]
    lines.append(f"{held} spoofs came to nothing, {failed} did not")
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


class Seen:
    """The headers that reached the upstream."""

    def __init__(self, headers):
        self.headers = headers

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]


def send(stack, protocol, peer, headers):
    source = PEERS[peer]
    headers = [("X-Id-Token", stack.id_token), *headers]
    if protocol == "http/1.1":
        answer = request(stack.http_port, "/api/echo", HOST, headers=headers, source=source)
        return Seen(Echo(answer).headers)
    if protocol == "kept h1":
        return Seen(Echo(stack.connection.request("/api/echo", headers)).headers)
    if protocol in OVER_HTTP2:
        lower = [(name.lower(), value) for name, value in headers]
        return Seen(Echo(stack.connection.request("/api/echo", headers=lower)).headers)
    told = handshake_headers(stack.http_port, HOST, stack.session, headers, source)
    assert isinstance(told, list), told
    return Seen(told)


def is_believed(header, form, peer):
    return peer == "trusted" and header in BELIEVED and "underscore" not in form


def complaints(seen, protocol, peer, header, form):
    """What arrived that was not verified, or did not arrive though it was."""
    scheme = "https" if protocol in OVER_HTTP2 else "http"
    believed = is_believed(header, form, peer)
    expected = {
        "x-forwarded-for": ADDRESS
        if believed and header == "X-Forwarded-For"
        else PEERS[peer],
        "x-forwarded-proto": "https"
        if believed and header == "X-Forwarded-Proto" and form in FORMS
        else scheme,
        "x-forwarded-host": KEPT_HOST if is_kept(protocol) else HOST,
        "x-tenant-id": "kept" if is_kept(protocol) else "receipt",
    }  # fmt: skip
    if not is_kept(protocol):
        expected |= OF_TOKEN | {"x-team": "red"}
    expected["x-real-ip"] = expected["x-client-ip"] = expected["x-forwarded-for"]
    for name, value in expected.items():
        if seen.all(name) != [value]:
            yield f"{name}: {seen.all(name)} and not {value}"
    if len(seen.all("x-request-id")) != 1:
        yield f"x-request-id: {seen.all('x-request-id')}"
    allowed = BELIEVED[header] if believed else set()
    for name, value in seen.headers:
        if ADDRESS in value and name.lower() not in allowed:
            yield f"{name}: {value} arrived"
    for value in seen.all(header):
        if value == HEADERS[header] and header.lower() not in {*expected, *allowed}:
            yield f"{header}: {value} arrived"
    twin = header.lower().replace("-", "_")
    for name, _ in seen.headers:
        if name.lower().replace("-", "_") == twin and "_" in name:
            yield f"{name} arrived"
    for line in seen.all("connection"):
        if header.lower() in line.lower():
            yield f"Connection: {line}"


def open_connection(stack, protocol, peer):
    if protocol == "kept h1":
        return Kept(stack.http_port, PEERS[peer])
    if protocol in OVER_HTTP2:
        host = KEPT_HOST if is_kept(protocol) else HOST
        return Http2(stack.https_port, host, PEERS[peer])
    return None


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_that_was_not_verified_arrives(receipt, protocol, peer):
    found = []
    sent = 0
    before = asked(receipt)
    receipt.connection = open_connection(receipt, protocol, peer)
    for header, value in HEADERS.items():
        good, bad = results.setdefault((header, protocol, peer), ([], []))
        for form, make in FORMS.items():
            if protocol in OVER_HTTP2 and form in NOT_IN_HTTP2:
                continue
            seen = send(receipt, protocol, peer, make(header, value))
            sent += 1
            told = list(complaints(seen, protocol, peer, header, form))
            (bad if told else good).append(form)
            found += [f"{header}, {form}: {text}" for text in told]
    if receipt.connection is not None:
        receipt.connection.close()
    assert not found, "\n".join(found)
    assert len(results) >= len(HEADERS)
    is_asked_about_each = not is_kept(protocol) or peer == "trusted"
    assert (asked(receipt) - before >= sent) == is_asked_about_each


def test_what_arrives_is_told(receipt):
    """A header that nobody strips stands for one that was forgotten."""
    HEADERS["X-Forgotten"] = ADDRESS
    try:
        for form in ("plain", "twice", "in Connection"):
            headers = FORMS[form]("X-Forgotten", ADDRESS)
            seen = send(receipt, "http/1.1", "stranger", headers)
            assert list(complaints(seen, "http/1.1", "stranger", "X-Forgotten", form)), form
    finally:
        del HEADERS["X-Forgotten"]
