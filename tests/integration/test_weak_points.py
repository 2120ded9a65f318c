"""What haproxy-manager gets wrong and no other test here is about: docs/HAPROXY-MANAGER.md has the
list, and where the rest is tested."""

import json

import pytest

from support import openapi
from support.admin_http import AdminHttp, settings
from support.processes import wait_until

CERTIFICATE_S = 200  # a CA may fail, and is asked again after a minute


@pytest.fixture
def certified(new_certified):
    """Two tenants with certificates, and the admin interface over TCP."""
    stack = new_certified(changes=settings(requests_per_minute=100000))
    stack.want(("one", "one.weak.test", "too.weak.test"), ("two", "two.weak.test"))
    stack.start()
    for host in ("one.weak.test", "two.weak.test"):
        stack.wait_served(host, timeout_s=CERTIFICATE_S)
    stack.api = AdminHttp(stack)
    stack.token = stack.api.token("alice", "admin")
    return stack


def test_a_name_that_goes_takes_no_siblings_certificate(certified):
    """Weak point 6: deleting one name removed the file that its siblings shared."""
    workers, serial = certified.haproxy_workers(), certified.serial("two.weak.test")
    one = {"hosts": ["one.weak.test"], "upstream": certified.upstreams["alpha"].url}
    answer = certified.api.ask("PUT", "/v1/tenants/one", one, token=certified.token)
    assert answer[0] == 200
    assert certified.served("one.weak.test") is not None  # before another one is there, too
    certified.wait_told("one.pem", lambda told: told["hosts"] == ["one.weak.test"], "fewer", 60)
    assert certified.served("one.weak.test") is not None and "one.pem" in certified.files()
    assert certified.api.ask("DELETE", "/v1/tenants/one", token=certified.token)[0] == 200
    wait_until(lambda: certified.told("one.pem") is None, "it is not wanted any more", 60)
    assert certified.serial("two.weak.test") == serial and "two.pem" in certified.files()
    assert certified.haproxy_workers() == workers


def test_no_answer_holds_a_key(certified):
    """Weak point 9: whoever had the one API key could download every private key."""
    items = {"name": ["one", "one.pem", "two"], "id": ["1"]}
    secret = (certified.crt_dir / "one.pem").read_text().split("PRIVATE KEY-----")[1][10:60]
    looked = 0
    for method, path in openapi.OPERATIONS:
        if method != "GET":
            continue
        paths = [path]
        for hole, values in items.items():
            paths = [one.replace("{%s}" % hole, value) for one in paths for value in values]
        for one in set(paths):
            told = certified.api.ask("GET", one, token=certified.token)[1]
            text = told if isinstance(told, str) else json.dumps(told)
            assert "PRIVATE KEY" not in text and secret not in text, one
            looked += 1
    assert looked > 15


INJECTION = "\n    http-request return status 200\n"


def test_nothing_that_is_told_becomes_a_line_of_haproxys(certified):
    """Weak point 11: a newline in a domain, a backend or a server was a line of haproxy.cfg."""
    before = certified.write_haproxy_config().read_text()
    good = {"hosts": ["x.weak.test"], "upstream": certified.upstreams["alpha"].url}
    for change in [
        {"hosts": [f"x.weak.test{INJECTION}"]},
        {"upstream": good["upstream"] + INJECTION},
        {"upstream": None, "backend": f"b{INJECTION}"},
        {"headers": {f"X-A{INJECTION}": "b"}},
        {"headers": {"X-A": f"b{INJECTION}"}},
        {"paths": [{"host": "x.weak.test", "prefix": f"/a{INJECTION}"}]},
        {"label": f"a{INJECTION}"},
        {"upstream_tls": {"server_name": f"a{INJECTION}"}},
        {"origins": [f"https://a.test{INJECTION}"]},
    ]:
        body = {key: value for key, value in {**good, **change}.items() if value is not None}
        status, told, _ = certified.api.ask("POST", "/v1/tenants/x", body, token=certified.token)
        assert status == 422 and told["problems"], change
    for name in ["x%0aacl", "x%20y", "x;y"]:
        path = f"/v1/tenants/{name}"
        assert certified.api.ask("POST", path, good, token=certified.token)[0] == 400
    assert certified.write_haproxy_config().read_text() == before
    assert [path.name for path in certified.tenants_dir.glob("x*")] == []


def test_a_dead_haproxy_is_not_healthy(certified):
    """Weak point 14: /health was 200 while HAProxy was dead."""

    def haproxys():
        return certified.api.ask("GET", "/v1/status", token=certified.token)[1]["haproxys"]

    assert [one.get("problem") for one in haproxys()] == [None]
    wait_until(lambda: certified.certs_code("--check") == 0, "all is well", 60)
    certified.haproxy.stop()
    wait_until(lambda: all(one.get("problem") for one in haproxys()), "it is missed", 60)
    assert certified.certs_code("--check") == 1
