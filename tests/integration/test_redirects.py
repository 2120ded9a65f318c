"""Where a request should have gone: https, the canonical host, and what is let be."""

import asyncio
import json

import pytest

from support.clients import HANDSHAKE, SOCKET, Browser, Http2, echo, request
from support.stack import Stack, run_agent_command

YEAR = "max-age=31536000; includeSubDomains; preload"


def tenants(upstreams):
    alpha, beta = upstreams["alpha"].url, upstreams["beta"].url
    return {
        "plain": {
            "hosts": ["chat.one.test", "ai.one.test", "*.one.test"],
            "upstream": beta,
            "https": "off",
            "canonical_host": True,
        },
        "safe": {
            "hosts": ["chat.two.test", "ai.two.test"],
            "paths": [{"host": "two.test", "prefix": "/owui", "mode": "redirect"}],
            "upstream": beta,
            "canonical_host": True,
        },
        "strict": {
            "hosts": ["chat.three.test", "ai.three.test"],
            "paths": [{"host": "two.test", "prefix": "/llm", "mode": "strip"}],
            "upstream": alpha,
            "canonical_host": True,
            "hsts": {"max_age": "365d", "subdomains": True, "preload": True},
        },
        "fleet": {
            "hosts": ["*.new.test", "*.old.test"],
            "upstream": beta,
            "https": "off",
            "canonical_host": True,
        },
        "pending": {
            "hosts": ["chat.four.test"],
            "upstream": "http://nowhere.invalid:1",
            "hsts": {"max_age": "1d"},
        },
    }


@pytest.fixture(scope="module")
def own(folder, authority, upstreams):
    stack = Stack(folder / "redirects", upstreams, authority)
    stack.write_tenants(tenants(upstreams))
    stack.issue("chat.two.test", "ai.two.test", "two.test", "chat.three.test", "ai.three.test")
    stack.issue("chat.four.test")
    try:
        yield stack.start()
    finally:
        stack.stop()


def location(answer):
    """No browser is to keep it: it would go by it when hosts, or `https`, have changed."""
    assert answer.status == 308, answer
    assert answer.header("Cache-Control") == "no-store", answer
    return answer.header("Location")


@pytest.mark.parametrize(
    "host, target",
    [
        ("ai.one.test", "http://chat.one.test"),
        ("AI.One.Test.", "http://chat.one.test"),
        ("ai.one.test:8080", "http://chat.one.test:8080"),
        ("any.one.test", "http://chat.one.test"),
        ("acme.old.test", "http://acme.new.test"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_alias_leads_to_the_canonical_host(own, host, target, method):
    answer = request(own.http_port, "/c/42?q=a%20b&x=/", host, method)
    assert location(answer) == f"{target}/c/42?q=a%20b&x=/"
    assert answer.header("X-Upstream") is None


@pytest.mark.parametrize("host", ["chat.one.test", "CHAT.one.test:81", "acme.new.test"])
def test_the_canonical_host_is_served(own, host):
    assert echo(own.http_port, host).header("Host") == host.lower()


def test_one_redirect_leads_to_https_and_to_the_canonical_host(own):
    answer = request(own.http_port, "/x", "ai.two.test")
    assert location(answer) == f"https://chat.two.test:{own.https_port}/x"
    answer = request(own.https_port, "/x", "ai.two.test", tls_name="ai.two.test")
    assert location(answer) == "https://chat.two.test/x"


@pytest.mark.parametrize("path", ["/health", "/ready"])
@pytest.mark.parametrize("host", ["ai.one.test", "ai.two.test", "chat.two.test", "ai.three.test"])
def test_health_checks_are_answered_where_they_are_asked_for(own, host, path):
    answer = request(own.http_port, path, host)
    assert (answer.status, answer.json()) == (200, {"status": True})
    assert request(own.http_port, path + "/x", host).status in (200, 308)
    assert request(own.http_port, path + "x", "ai.two.test").status == 308


def test_a_challenge_is_nobodys_to_redirect(own):
    """503 by the challenge backend: nobody listens there in this stack."""
    answer = request(own.http_port, "/.well-known/acme-challenge/token", "ai.two.test")
    assert answer.status == 503
    assert answer.header("Location") is None


def test_a_handshake_on_an_alias_is_served(own):
    async def chat():
        async with Browser(f"http://ai.one.test:{own.http_port}") as browser:
            canonical = f"http://chat.one.test:{own.http_port}"
            browser.url = canonical
            await browser.sign_in()
            browser.url = f"http://ai.one.test:{own.http_port}"
            await browser.open_socket()
            browser.url = canonical
            await browser.chat()
            while len(browser.events) < 6:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(chat(), 10))


def test_a_handshake_on_an_alias_is_served_over_http2(own):
    with Http2(own.https_port, "ai.two.test") as browser:
        stream, status = browser.open_websocket(SOCKET, [("origin", "https://ai.two.test")])
        assert status == 200
        assert b"sid" in browser.read_data(stream)


def test_a_handshake_without_tls_is_refused_by_a_redirect(own):
    answer = request(own.http_port, SOCKET, "chat.two.test", headers=HANDSHAKE)
    assert location(answer).startswith(f"https://chat.two.test:{own.https_port}/ws/")


# --- HSTS ---------------------------------------------------------------------------------------


def test_hsts_is_told_on_https_alone(own):
    port = own.https_port
    answer = request(port, "/api/echo", "chat.three.test", tls_name="chat.three.test")
    assert (answer.status, answer.header("Strict-Transport-Security")) == (200, YEAR)
    answer = request(port, "/x", "ai.three.test", tls_name="ai.three.test")
    assert location(answer) == "https://chat.three.test/x"
    assert answer.header("Strict-Transport-Security") == YEAR
    answer = request(own.http_port, "/health", "chat.three.test")
    assert (answer.status, answer.header("Strict-Transport-Security")) == (200, None)


def test_an_alias_with_hsts_is_first_sent_to_https(own):
    answer = request(own.http_port, "/x", "ai.three.test")
    assert location(answer) == f"https://ai.three.test:{own.https_port}/x"
    assert answer.header("Strict-Transport-Security") is None


def test_hsts_is_told_with_a_refusal(own):
    answer = request(own.https_port, "/", "chat.four.test", tls_name="chat.four.test")
    assert (answer.status, answer.header("X-Refused")) == (503, "upstream-unresolved")
    assert answer.header("Strict-Transport-Security") == "max-age=86400"


def test_hsts_is_not_told_on_the_host_of_others(own):
    answer = request(own.https_port, "/llm/api/echo", "two.test", tls_name="two.test")
    assert (answer.status, answer.header("X-Upstream")) == (200, "alpha")
    assert answer.header("Strict-Transport-Security") is None


def test_an_upstream_cannot_say_it_for_a_tenant_without(own):
    answer = request(own.https_port, "/api/echo", "chat.two.test", tls_name="chat.two.test")
    assert answer.header("Strict-Transport-Security") is None


# --- explain ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url, headers, decision, to, hsts",
    [
        ("http://ai.one.test/x", [], "redirect-canonical", "http://chat.one.test", None),
        ("http://ai.one.test/x", ["Upgrade: websocket"], "forward", None, None),
        ("http://ai.one.test/ready", [], "forward", None, None),
        ("https://ai.three.test/x", [], "redirect-canonical", "https://chat.three.test", YEAR),
        ("https://chat.three.test/x", [], "forward", None, YEAR),
    ],
)
def test_explain_knows_redirects_and_hsts(own, url, headers, decision, to, hsts):
    more = [part for header in headers for part in ("--header", header)]
    done = run_agent_command("explain", "-c", own.config_path, url, "--json", *more)
    told = json.loads(done.stdout)
    assert (told["decision"], told.get("to"), told.get("hsts")) == (decision, to, hsts)


def test_the_defaults_may_say_so_and_a_tenant_not(new_stack, upstreams):
    stack = new_stack(
        changes={"defaults": {"https": "off", "canonical_host": True, "hsts": {"max_age": "30d"}}}
    )
    hosts = {"hosts": ["chat.a.test", "ai.a.test"], "upstream": upstreams["alpha"].url}
    other = {"hosts": ["chat.b.test", "ai.b.test"], "upstream": upstreams["alpha"].url}
    stack.write_tenants({"a": hosts, "b": {**other, "canonical_host": False, "hsts": None}})
    stack.issue("chat.a.test", "chat.b.test")
    stack.start()
    assert location(request(stack.http_port, "/", "ai.a.test")) == "http://chat.a.test/"
    assert echo(stack.http_port, "ai.b.test").name == "alpha"
    answer = request(stack.https_port, "/health", "chat.a.test", tls_name="chat.a.test")
    assert answer.header("Strict-Transport-Security") == "max-age=2592000"
    answer = request(stack.https_port, "/health", "chat.b.test", tls_name="chat.b.test")
    assert answer.header("Strict-Transport-Security") is None
