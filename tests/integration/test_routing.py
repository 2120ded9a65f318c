"""Which tenant a request reaches: hosts, wildcards, paths, and what is refused."""

import pytest

from support import clients
from support.clients import echo, request
from support.processes import wait_until


@pytest.mark.parametrize(
    "host, tenant, upstream",
    [
        ("chat.alpha.test", "alpha", "alpha"),
        ("ai.alpha.test", "alpha", "alpha"),
        ("chat.gamma.test", "gamma", "gamma"),
        ("six.test", "six", "six"),
        ("acme.fleet.test", "fleet", "beta"),
        ("vip.fleet.test", "vip", "gamma"),  # an exact host goes before a wildcard
    ],
)
def test_a_host_leads_to_its_tenant(http, host, tenant, upstream):
    seen = echo(http, host)
    assert (seen.header("X-Tenant-ID"), seen.name) == (tenant, upstream)
    assert seen.header("Host") == host


@pytest.mark.parametrize(
    "sent, canonical",
    [
        ("CHAT.Alpha.TEST", "chat.alpha.test"),
        ("chat.alpha.test.", "chat.alpha.test"),
        ("chat.alpha.test:8080", "chat.alpha.test:8080"),
        ("Chat.Alpha.Test.:8080", "chat.alpha.test:8080"),
    ],
)
def test_spellings_of_a_host_are_one_host(http, sent, canonical):
    seen = echo(http, sent)
    assert seen.name == "alpha"
    assert seen.header("Host") == canonical
    assert seen.header("X-Forwarded-Host") == canonical


def test_plain_http_is_sent_to_https(stack, http, https):
    answer = request(http, "/c/42?q=a%20b&x=/", "chat.beta.test")
    assert answer.status == 308
    port = "" if https == 443 else f":{https}"
    assert answer.header("Location") == f"https://chat.beta.test{port}/c/42?q=a%20b&x=/"
    seen = echo(https, "chat.beta.test", tls_name="chat.beta.test")
    assert (seen.name, seen.scheme) == ("beta", "https")


@pytest.mark.parametrize(
    "host, reason",
    [
        ("nobody.test", "unknown-host"),
        ("alpha.test", "unknown-host"),
        ("x.chat.alpha.test", "unknown-host"),
        ("fleet.test", "unknown-host"),
        ("a.b.fleet.test", "unknown-host"),  # a wildcard matches one label, as certificates do
        ("9lives.fleet.test", "unknown-label"),
        ("a-b.fleet.test", "unknown-label"),
        ("127.0.0.1", "unknown-host"),
        ("[::1]", "unknown-host"),
    ],
)
def test_nobody_serves_an_unknown_host(http, host, reason):
    answer = request(http, "/api/echo", host)
    assert (answer.status, answer.header("X-Refused")) == (404, reason)
    assert answer.header("X-Upstream") is None


def test_unknown_hosts_are_sent_away_or_served(new_stack, upstreams):
    """By the global file, and as it changes."""
    stack = new_stack(changes={"unknown_host": {"action": "redirect", "to": "https://site.test"}})
    alpha = upstreams["alpha"].url
    stack.write_tenants({"one": {"hosts": ["one.test"], "upstream": alpha, "https": "off"}})
    stack.start()

    def ask(path="/c/1?x=y"):
        return request(stack.http_port, path, "nobody.test")

    answer = ask()
    assert (answer.status, answer.header("Location")) == (308, "https://site.test/c/1?x=y")
    # or who asked before a tenant was there would never get to it
    assert answer.header("Cache-Control") == "no-store"
    for change, expected in (
        ({"action": "tenant", "tenant": "one"}, 200),
        ({"action": "deny", "status": 421}, 421),
        ({"action": "deny"}, 404),
    ):
        stack.config["unknown_host"] = change
        stack.write_config()
        wait_until(lambda: ask().status == expected, str(change), 30)
    assert request(stack.http_port, "/", "one.test").status == 200


def test_a_label_can_be_told_to_the_upstream(http):
    assert echo(http, "acme.fleet.test").header("X-Label") == "acme"


def test_an_upstream_can_depend_on_the_label(http):
    def resolved():
        answer = request(http, "/api/echo", "localhost.names.test")
        assert answer.status in (200, 503), answer
        return answer if answer.status == 200 else None

    answer = wait_until(resolved, "localhost.names.test resolved")
    assert answer.header("X-Upstream") == "alpha"


@pytest.mark.parametrize(
    "path, reached",
    [
        ("/llm/api/echo", "/api/echo"),
        ("/llm/api/", "/api/"),
        ("/llm/deep/er/api/echo", "/api/echo"),
        ("/llm/deep/er", "/"),
        ("/llm/deep/er/", "/"),
        ("/llm/deep/er/x/", "/x/"),
        ("/llm/./api//echo", "/api/echo"),
        ("/%6clm/api/echo", "/api/echo"),
        # what is left of it is no challenge of this host's
        ("/llm/deep/er/.well-known/acme-challenge/x", "/.well-known/acme-challenge/x"),
    ],
)
def test_strip_cuts_the_prefix(http, path, reached):
    answer = request(http, path + "?q=/llm/", "apps.test")
    assert answer.header("X-Upstream") == "alpha"
    assert answer.header("X-Upstream-Path") == reached


@pytest.mark.parametrize(
    "path, prefix",
    [
        ("/llm/api/echo", "/llm"),
        ("/llm/deep/er/api/echo?q=/llm/x", "/llm/deep/er"),
        ("/%6clm/./api//echo", "/llm"),
    ],
)
def test_the_prefix_that_was_cut_is_told(http, path, prefix):
    spoofed = [("X-Forwarded-Prefix", "/spoofed"), ("x-forwarded-prefix", "/twice")]
    answer = request(http, path, "apps.test", headers=spoofed)
    told = [value for name, value in answer.json()["headers"] if name == "x-forwarded-prefix"]
    assert told == [prefix]
    answer = request(http, "/api/echo", "chat.alpha.test", headers=spoofed)
    assert "x-forwarded-prefix" not in dict(answer.json()["headers"])


@pytest.mark.parametrize(
    "path",
    ["/llm", "/llm/", "/llmapi/echo", "/llm/apis/echo", "/llm/static/x", "/LLM/api/echo", "/"],
)
def test_what_a_path_tenant_does_not_serve(http, path):
    answer = request(http, path, "apps.test")
    assert (answer.status, answer.header("X-Refused")) == (404, "path-not-served")


@pytest.mark.parametrize(
    "path, target",
    [
        ("/owui", "/"),
        ("/owui/", "/"),
        ("/owui/c/42?q=1", "/c/42?q=1"),
        ("/owui//c", "/c"),
        ("/owui/c/", "/c/"),
        ("/owui?q=1", "/?q=1"),
    ],
)
def test_redirect_sends_a_path_to_the_tenants_host(http, path, target):
    answer = request(http, path, "apps.test")
    assert (answer.status, answer.header("Location")) == (308, f"http://owui.apps.test{target}")
    assert answer.header("Cache-Control") == "no-store"


def test_keep_leaves_the_path_alone(http):
    answer = request(http, "/kept/api/config", "apps.test")
    assert answer.header("X-Upstream") == "gamma"
    assert answer.header("X-Upstream-Path") == "/kept/api/config"


def test_the_longest_prefix_wins(http):
    assert request(http, "/llm/deep/er/health", "apps.test").json() == {"status": True}
    assert request(http, "/llm/deep/health", "apps.test").status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_and_queries_pass(http, method):
    answer = request(http, "/api/echo?b=2&a=%2F..%2f&c=x+y", "chat.alpha.test", method)
    assert answer.status == 200
    if method != "HEAD":
        told = answer.json()
        assert told["method"] == method
        assert told["query"] == "b=2&a=%2F..%2f&c=x+y"


def test_one_connection_serves_many_tenants(http):
    with clients.connect(http) as sock:
        for host, name in [("chat.alpha.test", "alpha"), ("chat.gamma.test", "gamma")] * 5:
            sock.sendall(clients.request_bytes("GET", "/api/version", host))
            assert clients.read_answer(sock).json()["deployment_id"] == name


# --- upstreams ----------------------------------------------------------------------------------


def test_an_https_upstream_is_verified_by_name(http):
    seen = echo(http, "secure.test")
    assert (seen.name, seen.header("Host")) == ("secure", "secure.test")
    answer = request(http, "/api/echo", "wrong.test")
    assert answer.status == 503
    assert answer.header("X-Upstream") is None


def test_verification_can_be_given_up(http):
    assert echo(http, "careless.test").name == "secure"


def test_tls_upstreams_of_tenants_are_not_mixed_up(http):
    """A verified connection must not be lent to a tenant with another name to verify."""
    for _ in range(5):
        assert echo(http, "secure.test").name == "secure"
        assert echo(http, "careless.test").name == "secure"
        assert request(http, "/api/echo", "wrong.test").status == 503


def test_a_named_backend_balances_and_keeps_a_browser_on_its_replica(http):
    names = set()
    for _ in range(8):
        answer = request(http, "/api/version", "named.test")
        names.add(answer.json()["deployment_id"])
        cookie = answer.header("Set-Cookie").split(";")[0]
        for _ in range(3):
            again = request(http, "/api/version", "named.test", headers=[("Cookie", cookie)])
            assert again.json() == answer.json()
    assert names == {"alpha", "beta"}


def test_a_named_backend_gets_the_same_headers(http):
    spoofed = [("X-Forwarded-For", "6.6.6.6"), ("X-User-Email", "root@evil.test")]
    seen = echo(http, "named.test", headers=spoofed)
    assert seen.header("X-Forwarded-For") == "127.0.0.1"
    assert seen.header("X-User-Email") is None
    assert seen.header("X-Tenant-ID") == "named"


def test_a_backends_name_that_nobody_knows_is_its_tenants_trouble(new_stack, upstreams):
    """HAProxy would not start, for anybody."""
    stack = new_stack(haproxy_changes={"backends": {"away": {"servers": ["no.such.invalid:80"]}}})
    stack.write_tenants(
        {
            "here": {"hosts": ["here.test"], "upstream": upstreams["alpha"].url, "https": "off"},
            "away": {"hosts": ["away.test"], "backend": "away", "https": "off"},
        }
    )
    stack.start()
    assert request(stack.http_port, "/", "here.test").status == 200
    assert request(stack.http_port, "/", "away.test").status == 503
