"""The running daemon asked and told over its admin socket, by the command line and by HTTP."""

import http.client
import json
import os
import socket

import pytest

from support.processes import accepts, wait_until
from support.stack import run_agent_command


class Admin:
    """The admin socket of a stack."""

    def __init__(self, stack):
        self.stack = stack

    def http(self, method, path, body=None, **headers):
        """Status, parsed body and headers."""
        connection = http.client.HTTPConnection("owui-spoa", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        connection.sock.connect(self.stack.config["admin_socket"])
        payload = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None, answer.headers

    def run(self, *arguments):
        """A subcommand: exit code, stdout, stderr."""
        done = run_agent_command(*arguments, "-c", self.stack.config_path)
        return done.returncode, done.stdout, done.stderr

    def json(self, *arguments):
        code, out, error = self.run(*arguments, "--json")
        assert out, error
        return code, json.loads(out)


def tenant(number, host="chat.test", **more):
    return {"hosts": [host], "upstream": f"http://10.0.0.{number}:3000", "https": "off", **more}


@pytest.fixture
def agent(new_stack):
    """An agent without HAProxy: agent(tenants) gives its stack, which has .admin."""

    def make(filed, **changes):
        stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"], **changes})
        stack.write_tenants(filed)
        stack.write_config()
        stack.start_agent()
        wait_until(lambda: accepts(stack.config["admin_socket"]), "the admin socket is there")
        stack.admin = Admin(stack)
        return stack

    return make


def tenants(stack):
    """State by name."""
    return {one["name"]: one["state"] for one in stack.admin.json("tenants")[1]["tenants"]}


# --- status ---------------------------------------------------------------------------------------


def test_status_tells_how_the_daemon_is(stack):
    admin = Admin(stack)
    code, told = admin.json("status")
    assert told["serving"] is True and told["version"] and told["uptime_s"] >= 0
    assert told["pid"] == stack.agents[0].pid
    assert told["tenants"]["live"] > 0 and told["tenants"]["broken"] == 0
    assert told["connections"] >= 0 and told["loops"] == 1
    assert "forward" in told["decisions"]
    code, text, _ = admin.run("status")
    assert code == 0 and f"generation   {told['generation']}, hash {told['hash']}\n" in text
    assert max(map(len, text.splitlines())) <= 160


def test_status_says_when_something_is_wrong(agent):
    stack = agent({"a": tenant(1), "b": {"hosts": ["b.test"], "upstrem": "x"}})
    code, told = stack.admin.json("status")
    assert code == 1 and told["tenants"]["live"] == 1 and told["tenants"]["broken"] == 1


def test_nobody_there_is_told(tmp_path):
    done = run_agent_command("status", "--socket", tmp_path / "admin.sock")
    assert done.returncode == 2 and "is owui-spoa running" in done.stderr


def test_a_daemon_serves_without_its_admin_socket(new_stack):
    stack = new_stack(changes={"admin_socket": "/nowhere/admin.sock"})
    stack.write_tenants({"a": tenant(1)})
    stack.write_config()
    stack.start_agent()
    assert "cannot_be_asked" in stack.agents[0].log()


# --- tenants --------------------------------------------------------------------------------------


def test_tenants_are_listed_with_their_state(agent):
    stack = agent({"good": tenant(1), "bad": {**tenant(2, "b.test"), "typo": 1}})
    stack.write_tenants({"good": tenant(9, "x.test")}, "zz.json")
    wait_until(lambda: stack.admin.json("status")[1]["tenants"]["shadowed"] == 1, "read")
    code, told = stack.admin.json("tenants")
    assert code == 1
    by_place = {(t["name"], t["file"].rsplit("/", 1)[1]): t for t in told["tenants"]}
    assert by_place["good", "tenants.json"]["state"] == "live"
    assert by_place["good", "tenants.json"]["hosts"] == ["chat.test"]
    bad = by_place["bad", "tenants.json"]
    assert bad["state"] == "broken"
    assert [p["code"] for p in bad["problems"]] == ["E107"]
    shadowed = by_place["good", "zz.json"]
    assert shadowed["state"] == "shadowed" and "tenants.json" in shadowed["problems"][0]["message"]
    code, text, _ = stack.admin.run("tenants", "--state", "broken")
    assert "good" not in text and 'unknown key "typo"' in text


def test_a_tenant_that_went_wrong_is_kept(agent):
    stack = agent({"a": tenant(1)})
    stack.write_tenants({"a": {**tenant(2), "typo": 1}})
    wait_until(lambda: tenants(stack) == {"a": "kept"}, "kept")
    code, told = stack.admin.json("tenants", "a")
    assert code == 1 and told["upstream"] == "http://10.0.0.1:3000"
    assert told["definition"]["typo"] == 1 and told["problems"][0]["line"] > 1
    (stack.tenants_dir / "tenants.json").write_text("{")
    wait_until(
        lambda: stack.admin.json("tenants", "a")[1]["problems"][0]["code"] == "E102", "unreadable"
    )
    assert tenants(stack) == {"a": "kept"}


def test_a_tenant_whose_name_has_no_address_is_unresolved(agent):
    nameserver = {"nameservers": ["127.0.0.1:9"]}
    stack = agent(
        {"a": {**tenant(1), "upstream": "http://no-such-host.invalid:3000"}}, resolver=nameserver
    )
    assert tenants(stack) == {"a": "unresolved"}
    assert stack.admin.run("tenants", "nobody")[0] == 1


def test_many_tenants_come_page_by_page(agent):
    stack = agent({f"t{n}": tenant(1, f"t{n}.test") for n in range(2500)})
    status, told, _ = stack.admin.http("GET", "/v1/tenants")
    assert (status, len(told["tenants"]), told["after"]) == (200, 1000, told["tenants"][-1]["name"])
    names = [one["name"] for one in stack.admin.json("tenants")[1]["tenants"]]
    assert len(names) == 2500 and names == sorted(names)


# --- reload ---------------------------------------------------------------------------------------


def test_reload_tells_what_came_of_it(agent):
    stack = agent({"a": tenant(1)})
    code, told = stack.admin.json("reload")
    assert code == 0 and told["tenants"]["live"] == 1 and told["generation"] >= 1
    assert "reload by=admin" in stack.agents[0].log()
    assert f"admin method=POST path=/v1/reload uid={os.getuid()} pid=" in stack.agents[0].log()


def test_a_get_changes_nothing(agent):
    stack = agent({"a": tenant(1)})
    for path in ["/v1/reload", "/v1/import"]:
        assert stack.admin.http("GET", path)[0] == 405
    assert stack.admin.http("GET", "/v1/certificates")[0] == 409
    assert "by=admin" not in stack.agents[0].log()


BAD_BODIES = [b"{", b"\xff\xff", b"[" * 100, b'{"a": 1, "a": 2}', b"\0"]


@pytest.mark.parametrize("body", BAD_BODIES, ids=["cut", "bytes", "deep", "twice", "nul"])
def test_a_bad_body_is_refused(agent, body):
    stack = agent({"a": tenant(1)})
    status, told, _ = stack.admin.http("POST", "/v1/reload", body)
    assert status == 400 and "the body is not JSON" in told["error"]
