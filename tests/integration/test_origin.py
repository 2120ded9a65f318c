"""Who may open a WebSocket, and over which TLS connection: Origin and SNI through real HAProxy."""

import json

import pytest

from support.clients import HANDSHAKE, SOCKET, Http2, connect, read_answer, request
from support.clients import request_bytes
from support.processes import wait_until
from support.stack import run_agent_command


@pytest.fixture(scope="module")
def origins(new_module_stack, upstreams):
    stack = new_module_stack()
    for name in ("chat.test", "other.test"):
        stack.issue(name, f"too.{name}")
    stack.issue("strict.test", "chat.test")
    alpha, beta = upstreams["alpha"].url, upstreams["beta"].url
    stack.write_tenants(
        {
            "chat": {"hosts": ["chat.test", "too.chat.test"], "upstream": alpha, "https": "off"},
            "other": {"hosts": ["other.test"], "upstream": beta, "https": "off"},
            "strict": {
                "hosts": ["strict.test", "too.other.test"],
                "upstream": beta,
                "origins": ["https://portal.test"],
                "origin_check": "required",
                "require_sni_match": True,
                "https": "off",
            },
            "open": {
                "hosts": ["open.test"],
                "upstream": beta,
                "origin_check": "off",
                "https": "off",
            },
        }
    )
    return stack.start()


def handshake(stack, host, *origin, tls_name=None, upgrade=HANDSHAKE):
    headers = upgrade + [("Origin", one) for one in origin]
    port = stack.https_port if tls_name else stack.http_port
    with connect(port, tls_name=tls_name) as sock:
        sock.sendall(request_bytes("GET", SOCKET, host, headers))
        return read_answer(sock)


# host, its TLS name, origins, status
CASES = {
    "its own page": ("chat.test", None, ["http://chat.test"], 101),
    "another of its hosts": ("chat.test", None, ["https://too.chat.test"], 101),
    "no browser": ("chat.test", None, [], 101),
    "somebody else's page": ("chat.test", None, ["https://evil.test"], 403),
    "another tenant's page": ("chat.test", None, ["https://other.test"], 403),
    "a sandboxed frame": ("chat.test", None, ["null"], 403),
    "a page without TLS": ("chat.test", "chat.test", ["http://chat.test"], 403),
    "a page with TLS": ("chat.test", "chat.test", ["https://chat.test"], 101),
    "not checked": ("open.test", None, ["https://evil.test"], 101),
    "listed": ("strict.test", None, ["https://portal.test"], 101),
    "required": ("strict.test", None, [], 403),
}


@pytest.mark.parametrize("host, tls_name, origin, status", CASES.values(), ids=CASES.keys())
def test_who_may_open_a_websocket(origins, host, tls_name, origin, status):
    answer = handshake(origins, host, *origin, tls_name=tls_name)
    assert answer.status == status, answer
    if status == 403:
        assert answer.header("X-Refused") == "origin"


def test_requests_that_open_none_are_not_asked(origins):
    headers = [("Origin", "https://evil.test")]
    assert request(origins.http_port, "/api/echo", "chat.test", headers=headers).status == 200
    assert request(origins.http_port, "/api/echo", "strict.test").status == 200


@pytest.mark.parametrize("lines", [["foo", "websocket"], ["websocket", "foo"]])
def test_two_upgrade_headers_are_seen_alike(origins, lines):
    """What the agent takes for no WebSocket must not become one in HAProxy."""
    upgrade = [header for header in HANDSHAKE if header[0] != "Upgrade"]
    upgrade += [("Upgrade", line) for line in lines]
    answer = handshake(origins, "chat.test", "https://evil.test", upgrade=upgrade)
    assert answer.status != 101, answer


@pytest.mark.parametrize("origin, status", [("https://chat.test", 200), ("https://evil.test", 403)])
def test_extended_connect_is_asked_too(origins, origin, status):
    with Http2(origins.https_port, "chat.test") as client:
        _, answered = client.open_websocket(SOCKET, [("origin", origin)])
        assert answered == status


def test_a_certificate_of_two_tenants(origins):
    """A browser would send both hosts' requests over one connection (RFC 9113 9.1.1)."""
    with Http2(origins.https_port, "chat.test") as client:
        assert client.request("/api/echo").json()["name"] == "alpha"
        answer = client.request("/api/echo", authority="strict.test")
        assert (answer.status, dict(answer.headers)["x-refused"]) == (421, "sni")
        # other tenants do not ask for it
        assert client.request("/api/echo", authority="other.test").json()["name"] == "beta"
    with Http2(origins.https_port, "strict.test") as client:
        assert client.request("/api/echo").json()["name"] == "beta"
        assert client.request("/api/echo", authority="too.other.test").json()["name"] == "beta"
    assert request(origins.http_port, "/api/echo", "strict.test").status == 200


def explain(stack, url, *arguments):
    done = run_agent_command("explain", "-c", stack.config_path, url, "--json", *arguments)
    return json.loads(done.stdout)["decision"]


def test_explain_tells_it(origins):
    upgrade = ["--header", "Upgrade: websocket", "--header"]
    url = "https://chat.test/ws/socket.io/"
    assert explain(origins, url, *upgrade, "Origin: https://evil.test") == "deny-origin"
    assert explain(origins, url, *upgrade, "Origin: https://chat.test") == "forward"
    assert explain(origins, "https://strict.test/") == "forward"
    assert explain(origins, "https://strict.test/", "--sni", "chat.test") == "deny-sni"


def test_what_haproxy_does_not_tell_yet(new_stack, upstreams):
    """A tenant that needs more than its haproxy.cfg tells is refused rather than let through."""
    stack = new_stack()
    stack.issue("a.test")
    tenant = {"hosts": ["a.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"a": tenant})
    stack.start()
    assert request(stack.https_port, "/api/echo", "a.test", tls_name="a.test").status == 200
    assert "haproxy_config_differs" not in stack.agents[0].log()
    stack.write_tenants({"a": {**tenant, "require_sni_match": True}})
    wait_until(lambda: "haproxy_config_differs" in stack.agents[0].log(), "the warning")
    assert request(stack.https_port, "/api/echo", "a.test", tls_name="a.test").status == 421
    assert request(stack.http_port, "/api/echo", "a.test").status == 200


def test_it_can_be_told_beforehand(new_stack, upstreams):
    stack = new_stack(haproxy_changes={"tell": ["sni"]})
    stack.issue("a.test", "b.test")
    tenant = {"hosts": ["a.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"a": tenant})
    stack.start()
    stack.write_tenants({"a": {**tenant, "require_sni_match": True}})

    def status(name):
        return request(stack.https_port, "/api/echo", "a.test", tls_name=name).status

    wait_until(lambda: status("b.test") == 421, "the tenant's new policy")
    assert status("a.test") == 200
    assert "haproxy_config_differs" not in stack.agents[0].log()
