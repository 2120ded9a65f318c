"""Rules of a tenant, addresses that it lets in and scanners' paths, through real HAProxy. Each case
is asked of `explain` too, which has to say the same."""

import json

import pytest

from support.clients import Http2, request
from support.processes import wait_until
from support.stack import run_agent_command
from support.tenants import TRUSTED_PROXY

OFFICE = "127.0.5.1"
ELSEWHERE = "127.0.6.1"
API_KEY = ("Authorization", "Bearer sk-0123456789abcdef0123456789abcdef")
TOKEN = ("Authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x")
COOKIE = ("Cookie", "theme=dark; token=eyJhbGciOiJIUzI1NiJ9.e30.x; a=b")


@pytest.fixture(scope="module")
def routes(new_module_stack, upstreams):
    stack = new_module_stack(
        changes={"trusted_proxies": [{"cidrs": ["127.0.7.0/24"]}]},
    )
    stack.issue("rules.test")
    url = upstreams["alpha"].url
    stack.write_tenants(
        {
            "rules": {
                "hosts": ["rules.test"],
                "upstream": url,
                "https": "off",
                "routes": [
                    {
                        "match": {"path": "/api/v1/scim/", "not_ip": ["127.0.5.0/24"]},
                        "action": "deny",
                    },
                    {"match": {"path": "/open/door"}, "action": "allow"},
                    {"match": {"path": "/open"}, "action": "deny", "status": 404},
                    {"match": {"path": "/api/chat", "credential": "session"}, "action": "deny"},
                    {"match": {"path": "/api/models", "credential": "api_key"}, "action": "deny"},
                    {"match": {"path": "/api/secret", "credential": "none"}, "action": "deny"},
                    {"match": {"path": "/c", "method": ["POST", "DELETE"]}, "action": "deny"},
                ],
            },
            "office": {
                "hosts": ["office.test"],
                "upstream": url,
                "https": "off",
                "allow_ips": ["127.0.5.0/24", "203.0.113.9"],
                "deny_ips": ["127.0.5.66"],
            },
            "inside": {
                "hosts": ["inside.test"],
                "upstream": url,
                "https": "off",
                "allow_ips": ["127.0.0.0/8"],  # the proxies are there too
            },
            "outside": {
                "hosts": ["outside.test"],
                "upstream": url,
                "https": "off",
                "deny_ips": ["203.0.113.9"],
            },
            "php": {
                "hosts": ["php.test"],
                "upstream": url,
                "https": "off",
                "refuse_scanners": False,
            },
            "kept": {
                "paths": [{"host": "apps.test", "prefix": "/kept/", "mode": "keep"}],
                "upstream": url,
                "https": "off",
            },
            "prefix": {
                "paths": [{"host": "apps.test", "prefix": "/llm/", "mode": "strip"}],
                "upstream": url,
                "https": "off",
                "routes": [{"match": {"path": "/api/v1/scim"}, "action": "deny"}],
            },
        }
    )
    return stack.start()


def behind(*addresses):
    return [("X-Forwarded-For", ", ".join(addresses))]


# host, path, method, headers, from, status, word
CASES = {
    "a proxy itself": ("inside.test", "/api/echo", "GET", [], TRUSTED_PROXY, 200, None),
    "behind a proxy, inside": (
        "inside.test",
        "/api/echo",
        "GET",
        behind(ELSEWHERE),
        TRUSTED_PROXY,
        200,
        None,
    ),
    "behind a proxy, nobody knows who": (
        "inside.test",
        "/api/echo",
        "GET",
        behind("unknown"),
        TRUSTED_PROXY,
        403,
        "address",
    ),
    "behind a proxy, too many to be believed": (
        "inside.test",
        "/api/echo",
        "GET",
        behind(*["203.0.113.9"] * 21),
        TRUSTED_PROXY,
        403,
        "address",
    ),
    "kept out, and no way around": (
        "outside.test",
        "/api/echo",
        "GET",
        behind(*["203.0.113.9"] * 21),
        TRUSTED_PROXY,
        403,
        "address",
    ),
    "not kept out": (
        "outside.test",
        "/api/echo",
        "GET",
        behind("203.0.113.8"),
        TRUSTED_PROXY,
        200,
        None,
    ),
    "no rule": ("rules.test", "/api/echo", "GET", [], ELSEWHERE, 200, None),
    "SCIM from elsewhere": (
        "rules.test",
        "/api/v1/scim/v2/Users",
        "GET",
        [],
        ELSEWHERE,
        403,
        "route",
    ),
    "SCIM without a slash": ("rules.test", "/api/v1/scim", "GET", [], ELSEWHERE, 403, "route"),
    "SCIM in another spelling": (
        "rules.test",
        "//api/./v1/%73cim/",
        "GET",
        [],
        ELSEWHERE,
        403,
        "route",
    ),
    "SCIM from the office": ("rules.test", "/api/v1/scim/", "GET", [], OFFICE, 200, None),
    "no whole segment": ("rules.test", "/api/v1/scims", "GET", [], ELSEWHERE, 200, None),
    "the first that matches": ("rules.test", "/open/door/x", "GET", [], ELSEWHERE, 200, None),
    "the next": ("rules.test", "/open/window", "GET", [], ELSEWHERE, 404, "route"),
    "a browser": ("rules.test", "/api/chat", "GET", [COOKIE], ELSEWHERE, 403, "route"),
    "a browser's bearer": ("rules.test", "/api/chat", "GET", [TOKEN], ELSEWHERE, 403, "route"),
    "no browser": ("rules.test", "/api/chat", "GET", [API_KEY], ELSEWHERE, 200, None),
    "nobody": ("rules.test", "/api/chat", "GET", [], ELSEWHERE, 200, None),
    "an API key": ("rules.test", "/api/models", "GET", [API_KEY], ELSEWHERE, 403, "route"),
    "an API key before a cookie": (
        "rules.test",
        "/api/models",
        "GET",
        [COOKIE, API_KEY],
        ELSEWHERE,
        403,
        "route",
    ),
    "an API key's own header": (
        "rules.test",
        "/api/models",
        "GET",
        [("X-Api-Key", "x")],
        ELSEWHERE,
        403,
        "route",
    ),
    "an API key in the cookie": (
        "rules.test",
        "/api/models",
        "GET",
        [("Cookie", "token=sk-1")],
        ELSEWHERE,
        403,
        "route",
    ),
    "an API key that comes first": (
        "rules.test",
        "/api/models",
        "GET",
        [API_KEY, TOKEN],
        ELSEWHERE,
        403,
        "route",
    ),
    "no API key": ("rules.test", "/api/models", "GET", [TOKEN], ELSEWHERE, 200, None),
    "cookies of other names": (
        "rules.test",
        "/api/models",
        "GET",
        [("Cookie", "x-token=sk-1; tokens=sk-1; x=token=sk-1; token=eyJ")],
        ELSEWHERE,
        200,
        None,
    ),
    "a password": (
        "rules.test",
        "/api/models",
        "GET",
        [("Authorization", "Basic eDp5")],
        ELSEWHERE,
        200,
        None,
    ),
    "a password beside the cookie": (
        "rules.test",
        "/api/models",
        "GET",
        [("Authorization", "Basic c2steTp5"), COOKIE],
        ELSEWHERE,
        200,
        None,
    ),
    "nothing to show": ("rules.test", "/api/secret", "GET", [], ELSEWHERE, 403, "route"),
    "something to show": ("rules.test", "/api/secret", "GET", [COOKIE], ELSEWHERE, 200, None),
    "a method": ("rules.test", "/c/1", "DELETE", [], ELSEWHERE, 403, "route"),
    "another method": ("rules.test", "/c/1", "GET", [], ELSEWHERE, 200, None),
    "let in": ("office.test", "/api/echo", "GET", [], OFFICE, 200, None),
    "not let in": ("office.test", "/api/echo", "GET", [], ELSEWHERE, 403, "address"),
    "kept out": ("office.test", "/api/echo", "GET", [], "127.0.5.66", 403, "address"),
    "let in behind a proxy": (
        "office.test",
        "/api/echo",
        "GET",
        [("X-Forwarded-For", "203.0.113.9")],
        TRUSTED_PROXY,
        200,
        None,
    ),
    "a spoofed address": (
        "office.test",
        "/api/echo",
        "GET",
        [("X-Forwarded-For", "203.0.113.9")],
        ELSEWHERE,
        403,
        "address",
    ),
    "a scanner": ("rules.test", "/wp-admin/setup-config.php", "GET", [], ELSEWHERE, 404, "scanner"),
    "a scanner's spelling": ("rules.test", "/%2eenv", "GET", [], ELSEWHERE, 404, "scanner"),
    "a file with such a name": (
        "rules.test",
        "/cache/x/image.php",
        "GET",
        [],
        ELSEWHERE,
        200,
        None,
    ),
    "a file behind a prefix": ("apps.test", "/llm/cache/x.php", "GET", [], ELSEWHERE, 200, None),
    "a file behind a prefix that stays": (
        "apps.test",
        "/kept/cache/x.php",
        "GET",
        [],
        ELSEWHERE,
        200,
        None,
    ),
    "a scanner behind a prefix that stays": (
        "apps.test",
        "/kept/wp-admin/",
        "GET",
        [],
        ELSEWHERE,
        404,
        "scanner",
    ),
    "scanners let in": ("php.test", "/.env", "GET", [], ELSEWHERE, 200, None),
    "behind a prefix": ("apps.test", "/llm/api/v1/scim/x", "GET", [], ELSEWHERE, 403, "route"),
    "no rule behind a prefix": ("apps.test", "/llm/api/echo", "GET", [], ELSEWHERE, 200, None),
    "a scanner behind a prefix": (
        "apps.test",
        "/llm/.git/HEAD",
        "GET",
        [],
        ELSEWHERE,
        404,
        "scanner",
    ),
}


# Cookies that HAProxy itself would read in another way than Open WebUI, whose libraries split them at
# semicolons and nowhere else.
KEYS = {
    "between quotes": [("Cookie", 'x="; token=sk-1; y="')],
    "behind a comma": [("Cookie", "token=sk-1; a=b,token=eyJ")],
}
# What Open WebUI (utils/auth.py, utils/asgi_middleware.py) takes for one credential with some
# versions of its libraries, and for another with others.
UNCLEAR = {
    "two blanks": [("Authorization", "Bearer  sk-1")],
    "another blank": [("Authorization", "Bearer \xa0sk-1")],
    "another scheme": [("Authorization", "Basic sk-1")],
    "a long scheme": [("Authorization", "Negotiating sk-1")],
    "a token behind another scheme": [("Authorization", "Basic eyJhbGciOiJIUzI1NiJ9.e30.x")],
    "quotes": [("Cookie", 'token="sk-1"')],
    "two in a line": [("Cookie", "token=sk-1; token=eyJ")],
    "two lines": [("Cookie", "token=sk-1"), ("Cookie", "token=eyJ")],
    "two lines, the other way": [("Cookie", "token=eyJ"), ("Cookie", "token=sk-1")],
    "the first of two lines": [("Cookie", "token=sk-1"), ("Cookie", "theme=dark")],
    "another blank in a cookie": [("Cookie", "a=b;\xa0token=\xa0sk-1")],
}
for told, headers in KEYS.items():
    for path, *answer in (("/api/models", 403, "route"), ("/api/chat", 200, None)):
        CASES[f"a key at {path}: {told}"] = ("rules.test", path, "GET", headers, ELSEWHERE, *answer)
for told, headers in UNCLEAR.items():
    for path in ("/api/models", "/api/chat", "/api/secret"):
        unclear = ("rules.test", path, "GET", headers, ELSEWHERE, 403, "route")
        CASES[f"unclear at {path}: {told}"] = unclear


@pytest.mark.parametrize(
    "host, path, method, headers, source, status, word", CASES.values(), ids=CASES.keys()
)
def test_what_is_let_in(routes, host, path, method, headers, source, status, word):
    answer = request(routes.http_port, path, host, method, headers=headers, source=source)
    assert (answer.status, answer.header("X-Refused")) == (status, word), answer
    if word is not None and "/api/" in path:  # Open WebUI's own page shows "detail"
        assert answer.header("Content-Type") == "application/json"
        assert json.loads(answer.body)["detail"] in ("Forbidden", "Not found")
    elif word is not None:
        assert answer.header("Content-Type") == "text/plain"
    arguments = ["--from", source, "--method", method, "--json"]
    for name, value in headers:
        arguments += ["--header", f"{name}: {value}"]
    url = f"http://{host}{path}"
    told = json.loads(
        run_agent_command("explain", "-c", routes.config_path, url, *arguments).stdout
    )
    assert (told.get("status", 200), told.get("reason")) == (status, word), told
    assert "route" in told or word != "route"


def test_http2_is_no_way_around(routes):
    with Http2(routes.https_port, "rules.test") as client:
        for key in ("token=sk-1", 'token="sk-1"'):
            cookies = [("cookie", "theme=dark"), ("cookie", key)]
            assert client.request("/api/models", headers=cookies).status == 403
        cookies = [("cookie", "theme=dark"), ("cookie", "token=eyJ")]
        assert client.request("/api/models", headers=cookies).status == 200
        assert client.request("/c/1", method="DELETE").status == 403
        assert client.request("/api/v1/scim/").status == 403
        assert client.request("/api/echo").status == 200


def test_explain_shows_the_rule(routes):
    done = run_agent_command(
        "explain", "-c", routes.config_path, "http://rules.test/open/window", "--from", ELSEWHERE
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("route"))
    assert line.startswith("route      3, deny  (") and "tenants.json:" in line


def test_a_rule_that_haproxy_does_not_tell_about_denies(new_stack, upstreams):
    stack = new_stack()
    tenant = {"hosts": ["a.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"a": tenant})
    stack.start()
    assert request(stack.http_port, "/api/echo", "a.test").status == 200
    rules = [
        {"match": {"path": "/api/version", "method": ["GET"]}},
        {"match": {"path": "/api", "method": ["POST"]}, "action": "deny"},
    ]
    stack.write_tenants({"a": {**tenant, "routes": rules}})
    stack.haproxy.wait_for(
        lambda: request(stack.http_port, "/api/echo", "a.test").status == 403, "the rule"
    )
    # what allows does not match either
    assert request(stack.http_port, "/api/version", "a.test").status == 403
    wait_until(lambda: "haproxy_config_differs" in stack.agents[0].log(), "the warning")
    status = lambda: run_agent_command("status", "-c", stack.config_path)
    told = status()
    flat = " ".join(told.stdout.split())
    assert told.returncode == 1 and "lacks what the configuration asks for: args meth=" in flat
    stack.write_haproxy_config()
    told = status()
    assert told.returncode == 0 and "haproxy.cfg" not in told.stdout, told.stdout
