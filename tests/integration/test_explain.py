"""`explain` says what really happens: each case is asked of it and of HAProxy, and compared."""

import json

import pytest

from support.clients import request
from support.stack import run_agent_command
from support.tenants import TRUSTED_CDN, TRUSTED_PROXY, TRUSTED_RFC7239

CLIENT = "127.0.0.1"

# URL, who connects, headers of the request
CASES = {
    "a host": ("http://chat.alpha.test/api/echo", CLIENT, []),
    "another spelling": ("http://CHAT.Alpha.test.:8080/api/echo", CLIENT, []),
    "a wildcard": ("http://acme.fleet.test/api/echo", CLIENT, []),
    "exact before wildcard": ("http://vip.fleet.test/api/echo", CLIENT, []),
    "a refused label": ("http://9.x.fleet.test/api/echo", CLIENT, []),
    "nobody": ("http://nobody.test/api/echo", CLIENT, []),
    "https first": ("http://chat.beta.test/c/1?q=2", CLIENT, []),
    "strip": ("http://apps.test/llm/api/echo?q=/llm", CLIENT, []),
    "strip two": ("http://apps.test/llm/deep/er/api/echo", CLIENT, []),
    "redirect a path": ("http://apps.test/owui/c/1?q=2", CLIENT, []),
    "no such path": ("http://apps.test/other", CLIENT, []),
    "a path out of normal form": ("http://chat.alpha.test//%61pi/./echo", CLIENT, []),
    "a bad path": ("http://chat.alpha.test/api%5cecho", CLIENT, []),
    "spoofed": (
        "http://chat.alpha.test/api/echo",
        CLIENT,
        [
            ("X-Forwarded-For", "6.6.6.6"),
            ("X-User-Email", "root@x"),
            ("X-Forwarded-Proto", "https"),
        ],
    ),
    "a trusted proxy": (
        "http://chat.alpha.test/api/echo",
        TRUSTED_PROXY,
        [("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-Proto", "https")],
    ),
    "a trusted proxy's request id": (
        "http://chat.alpha.test/api/echo",
        TRUSTED_PROXY,
        [("X-Forwarded-For", "203.0.113.9"), ("X-Request-ID", "abcdef-0123456789")],
    ),
    "a trusted CDN": (
        "http://chat.alpha.test/api/echo",
        TRUSTED_CDN,
        [("CF-Connecting-IP", "2001:db8::7"), ("X-Forwarded-For", "6.6.6.6")],
    ),
    "Forwarded": (
        "http://chat.alpha.test/api/echo",
        TRUSTED_RFC7239,
        [("Forwarded", "for=203.0.113.9;proto=https")],
    ),
    "an IPv6 upstream": ("http://six.test/api/echo", CLIENT, []),
    "an https upstream": ("http://secure.test/api/echo", CLIENT, []),
    "a named backend": ("http://named.test/api/echo", CLIENT, []),
}


def explain(stack, url, source, headers, *more):
    arguments = ["explain", "-c", stack.config_path, url, "--from", source, "--json", *more]
    for name, value in headers:
        arguments += ["--header", f"{name}: {value}"]
    done = run_agent_command(*arguments)
    return done.returncode, json.loads(done.stdout)


def compare_headers(told, answer):
    reached = {}
    for name, value in answer.json()["headers"]:
        assert name not in reached or name == "cookie", f"{name} came twice"
        reached[name] = value
    for name, value in told["set"].items():
        if value != "(made by HAProxy)":
            assert reached[name.lower()] == str(value), name
    names_set = {name.lower() for name in told["set"]}
    for name in told["deleted"]:
        prefix = name.lower().rstrip("*")
        left = {
            one for one in reached if one == prefix or (name[-1] == "*" and one.startswith(prefix))
        }
        assert left <= names_set, name


@pytest.mark.parametrize("url, source, headers", CASES.values(), ids=CASES.keys())
def test_explain_says_what_happens(stack, url, source, headers):
    status, told = explain(stack, url, source, headers)
    host, _, rest = url.removeprefix("http://").partition("/")
    answer = request(stack.http_port, f"/{rest}", host, headers=headers, source=source)
    if told["decision"] == "forward":
        assert (status, answer.status) == (0, 200), answer
        assert answer.json()["name"] in ("alpha", "beta", "gamma", "secure", "six")
        assert dict(answer.json()["headers"])["x-tenant-id"] == told["tenant"]["name"]
        compare_headers(told["headers"], answer)
    elif told["decision"].startswith("redirect"):
        assert (status, answer.status) == (0, 308), answer
        assert answer.header("Location").startswith(told["to"] + "/")
    else:
        assert status == 1
        assert answer.status == told["variables"]["status"]
        assert answer.header("X-Refused") == told["variables"]["reason"]


def test_explain_knows_what_the_agent_is_not_asked(stack):
    url = "http://chat.alpha.test/.well-known/acme-challenge/token"
    status, told = explain(stack, url, CLIENT, [])
    assert (status, told["decision"]) == (0, "acme")
    assert told["upstream"] == f"127.0.0.1:{stack.challenge_port}"
    status, told = explain(stack, "http://chat.alpha.test/", CLIENT, [], "--method", "CONNECT")
    assert (status, told["decision"], told["status"]) == (1, "method-refused", 405)
    answer = request(stack.http_port, "chat.alpha.test:80", "chat.alpha.test:80", "CONNECT")
    assert answer.status == told["status"]


SHARED = {
    "a": {
        "hosts": ["a.test"],
        "upstream": "http://10.0.0.1:80",
        "deny_ips": ["192.0.2.0/24"],
        "routes": [{"match": {"share": 10}, "tenant": "b"}],
    },
    "b": {"hosts": ["b.test"], "upstream": "http://10.0.0.2:80"},
}


def test_a_share_is_told_only_where_it_was_looked_at(tmp_path):
    path = tmp_path / "owui-spoa.json"
    path.write_text(json.dumps({"tenants": SHARED}))
    command = ["explain", "-c", path, "--json", "https://a.test/", "-H", "Cookie: owui_share=07"]
    told = json.loads(run_agent_command(*command, "--from", "198.51.100.1").stdout)
    assert (told["tenant"]["name"], told["share"]) == ("b", 7)
    told = json.loads(run_agent_command(*command, "--from", "192.0.2.1").stdout)
    assert told["reason"] == "address" and "share" not in told


def test_a_second_line_of_cookies_takes_nothing_away(tmp_path):
    path = tmp_path / "owui-spoa.json"
    path.write_text(json.dumps({"tenants": SHARED}))
    command = ["explain", "-c", path, "--json", "https://a.test/", "-H", "Cookie: owui_tenant=x"]
    for more in ([], ["-H", "Cookie: a=b"]):
        assert "takeover" in json.loads(run_agent_command(*command, *more).stdout), more
