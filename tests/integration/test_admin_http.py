"""The admin interface over loopback TCP: who is let in, and what for."""

import http.client
import json
import os
import socket

import pytest

from support.admin_http import AdminHttp, settings
from support.processes import no_descriptors, wait_until
from support.stack import run_agent_command
from test_admin import agent, history, tenant, tenants  # noqa: F401 (agent is a fixture)


@pytest.fixture
def tcp(agent):  # noqa: F811
    """tcp(**admin_http) gives an AdminHttp of an agent with one tenant."""

    def make(filed=None, **more):
        stack = agent(filed or {"a": tenant(1)}, **settings(**more))
        return AdminHttp(stack)

    return make


# --- who is let in --------------------------------------------------------------------------------


def test_it_is_off_unless_told(agent):  # noqa: F811
    stack = agent({"a": tenant(1)})
    listening = [line for line in stack.agents[0].log().splitlines() if " listening " in line]
    assert len(listening) == 1 and "agent1.sock" in listening[0]


@pytest.mark.parametrize("address", ["0.0.0.0:8690", "192.0.2.1:8690", "[::]:8690", "*:8690"])
def test_only_a_loopback_address_will_do(tmp_path, address):
    path = tmp_path / "owui-spoa.json"
    path.write_text(json.dumps({"admin_http": {"listen": address}, "tenants": {}}))
    done = run_agent_command("check", "-c", path)
    assert done.returncode == 2 and "error[E111]" in done.stdout
    assert f'"{address}" is no loopback address, and ' in done.stdout


def test_without_a_token_there_is_nothing(tcp):
    api = tcp()
    token = api.token("reader")
    assert api.ask("GET", "/v1/status", token=token)[0] == 200
    for wrong in [None, "", "x", token[:-1], token + "A", token.upper(), "owui_" + "A" * 43]:
        status, told, headers = api.ask("GET", "/v1/status", token=wrong)
        assert status == 401 and set(told) == {"error"}, wrong
        assert headers["WWW-Authenticate"] == "Bearer"
        assert "admin_refused method=GET path=/v1/status" in api.stack.agents[0].log()
        assert api.ask("POST", "/v1/reload", token=wrong)[0] == 401
        assert api.ask("GET", "/v1/nothing", token=wrong)[0] == 401
    basic = {"Authorization": f"Basic {token}"}
    assert api.ask("GET", "/v1/status", headers=basic)[0] == 401
    assert api.ask("GET", f"/v1/status?token={token}")[0] == 401
    assert api.ask("GET", "/v1/status", headers={"Cookie": f"token={token}"})[0] == 401


def test_a_token_is_told_once_and_kept_as_its_hash(tcp):
    api = tcp()
    token = api.token("alice", "admin")
    assert token.startswith("owui_") and len(token) == 48
    path = api.stack.directory / "state" / "tokens.json"
    assert path.stat().st_mode & 0o7777 == 0o600
    text = path.read_text()
    assert token not in text and token.removeprefix("owui_") not in text
    assert token not in api.stack.agents[0].log()
    kept = json.loads(text)["tokens"]["alice"]
    assert kept["role"] == "admin" and len(kept["sha256"]) == 64
    listed = run_agent_command("token", "list", "--json", "-c", api.stack.config_path)
    assert [one["name"] for one in json.loads(listed.stdout)["tokens"]] == ["alice"]
    assert "sha256" not in listed.stdout
    assert api.token("bob") != api.token("carol")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_service_can_read_what_root_has_made(tcp):
    api = tcp()
    state = api.stack.directory / "state"
    os.chown(state, 65534, 65534)
    try:
        api.token("alice")
        about = (state / "tokens.json").stat()
        assert (about.st_uid, about.st_gid, about.st_mode & 0o7777) == (65534, 65534, 0o600)
    finally:
        os.chown(state, 0, 0)


def test_tokens_come_and_go_while_it_runs(tcp):
    api = tcp()
    first, second = api.token("first"), api.token("second")
    assert api.ask("GET", "/v1/status", token=first)[0] == 200
    done = run_agent_command("token", "remove", "first", "-c", api.stack.config_path)
    assert done.returncode == 0
    assert api.ask("GET", "/v1/status", token=first)[0] == 401
    assert api.ask("GET", "/v1/status", token=second)[0] == 200
    assert (
        run_agent_command("token", "remove", "first", "-c", api.stack.config_path).returncode == 1
    )


def test_tokens_that_could_not_be_read_are_read_later(tcp):
    """Once the process has used up its descriptors, and the file has changed meanwhile."""
    api = tcp()
    token = api.token("alice")

    def ask():
        connection.request("GET", "/v1/status", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
        return response.status

    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    assert ask() == 200
    api.token("bob")
    with no_descriptors(api.stack.agents[0].pid):
        assert ask() == 401
    assert ask() == 200
    assert api.stack.agents[0].log().count("nobody is let in") == 1
    connection.close()


def test_a_file_that_others_may_read_lets_nobody_in(tcp):
    api = tcp()
    token = api.token("alice")
    path = api.stack.directory / "state" / "tokens.json"
    path.chmod(0o640)
    assert api.ask("GET", "/v1/status", token=token)[0] == 401
    assert "chmod 600" in api.stack.agents[0].log()
    path.chmod(0o600)
    assert api.ask("GET", "/v1/status", token=token)[0] == 200
    path.write_text("{")
    assert api.ask("GET", "/v1/status", token=token)[0] == 401
    path.unlink()
    assert api.ask("GET", "/v1/status", token=token)[0] == 401


def test_what_the_subcommand_refuses(tcp):
    api = tcp()
    config = ["-c", api.stack.config_path]
    api.token("alice")
    for words, code, reason in [
        (["add", "alice"], 1, "already"),
        (["add", "Alice"], 1, "no name"),
        (["add", "a/b"], 1, "no name"),
        (["add", "x" * 33], 1, "no name"),
        (["add", "bob", "--role", "root"], 2, "admin"),
        (["add"], 2, "whose?"),
        (["remove", "nobody"], 1, "no token"),
        (["show"], 2, "none of"),
    ]:
        done = run_agent_command("token", *words, *config)
        assert done.returncode == code and reason in done.stderr, (words, done.stderr)
    plain = run_agent_command("token", "add", "plain", *config)
    assert plain.returncode == 0 and len(plain.stdout) == 49  # nothing but the token and a newline


# --- what for -------------------------------------------------------------------------------------


def test_a_reader_changes_nothing(tcp):
    api = tcp()
    reader = api.token("reader")
    for method, path in [
        ("POST", "/v1/reload"),
        ("POST", "/v1/tenants/b"),
        ("PUT", "/v1/tenants/a"),
        ("PATCH", "/v1/tenants/a"),
        ("DELETE", "/v1/tenants/a"),
        ("POST", "/v1/tenants/a/suspend"),
        ("POST", "/v1/tenants/a/maintenance"),
        ("POST", "/v1/history/0/rollback"),
        ("POST", "/v1/import"),
    ]:
        status, told, _ = api.ask(method, path, tenant(2, "b.test"), token=reader)
        assert status == 403 and "reader" in told["error"], path
    assert tenants(api.stack) == {"a": "live"}
    assert "by=admin" not in api.stack.agents[0].log()
    assert api.ask("GET", "/v1/tenants/a", token=reader)[0] == 200


def test_who_did_it_is_the_tokens_name(tcp):
    """Whatever strangers try meanwhile."""
    api = tcp()
    admin = api.token("alice", "admin")
    for _ in range(30):
        assert api.ask("POST", "/v1/tenants/b", tenant(2, "b.test"))[0] in (401, 429)
    assert api.ask("POST", "/v1/tenants/b", tenant(2, "b.test"), token=admin)[0] == 201
    assert history(api.stack)[0]["who"] == "token alice"
    assert "admin method=POST path=/v1/tenants/b token=alice status=201" in (
        api.stack.agents[0].log()
    )


def test_a_get_changes_nothing_here_either(tcp):
    api = tcp()
    admin = api.token("alice", "admin")
    for path in ["/v1/reload", "/v1/import", "/v1/tenants/a/suspend", "/v1/history/0/rollback"]:
        assert api.ask("GET", path, token=admin)[0] == 405, path


# --- browsers -------------------------------------------------------------------------------------


def test_a_name_that_is_not_ours_is_refused(tcp):
    """DNS rebinding: a page of evil.test asks evil.test, which leads here by now."""
    api = tcp(hosts=["admin.example.com"])
    token = api.token("alice", "admin")
    for good in ["localhost", f"localhost:{api.port}", f"127.0.0.1:{api.port}", "127.1.2.3"] + [
        "[::1]:99",
        "admin.example.com",
        "Admin.Example.com:443",
    ]:
        assert api.ask("GET", "/v1/status", token=token, headers={"Host": good})[0] == 200, good
    for bad in [
        "evil.test",
        f"evil.test:{api.port}",
        "localhost.evil.test",
        "",
        "10.0.0.1",
        "a b",
    ] + [
        "[::2]",
        "127.0.0.1.evil.test",
        "2130706433",
        "example.com",
    ]:
        assert api.ask("GET", "/v1/status", token=token, headers={"Host": bad})[0] in (
            400,
            421,
        ), bad


def test_another_sites_page_changes_nothing(tcp):
    api = tcp()
    token = api.token("alice", "admin")
    for headers in [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{api.port + 1}"},
        {"Origin": "file://"},
    ]:
        assert api.ask("POST", "/v1/reload", token=token, headers=headers)[0] == 403, headers
    for headers in [
        {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{api.port}"},
        {"Sec-Fetch-Site": "none"},
        {},
    ]:
        assert api.ask("POST", "/v1/reload", token=token, headers=headers)[0] == 200, headers


def test_no_answer_is_for_another_site(tcp):
    api = tcp()
    token = api.token("alice", "admin")
    origin = {"Origin": "https://evil.test", "Access-Control-Request-Method": "POST"}
    for method, path in [("GET", "/v1/status"), ("OPTIONS", "/v1/reload"), ("GET", "/nothing")]:
        headers = api.ask(method, path, token=token, headers=origin)[2]
        assert not [name for name in headers if name.lower().startswith("access-control-")]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert api.ask("OPTIONS", "/v1/reload", token=token, headers=origin)[0] == 403


# --- limits ---------------------------------------------------------------------------------------


def test_each_token_has_its_rate(tcp):
    api = tcp(requests_per_minute=20)
    one, other = api.token("one"), api.token("other")

    def statuses(token):
        """Until it is refused: in no time, where a minute's worth comes back in a minute."""
        told = []
        while len(told) < 1000 and (not told or told[-1] != 429):
            told.append(api.ask("GET", "/v1/status", token=token)[0])
        return told

    told = statuses(one)
    assert told[-1] == 429 and told[:20] == [200] * 20
    assert api.ask("GET", "/v1/status", token=other)[0] == 200
    told = statuses("nobody")
    assert told[-1] == 429 and told[:20] == [401] * 20
    assert api.ask("GET", "/v1/status", token=other)[0] == 200
    assert api.stack.admin.http("GET", "/v1/status")[0] == 200  # the unix socket has none


def test_bodies_and_headers_have_a_size(tcp):
    api = tcp()
    token = api.token("alice", "admin")
    body = b'{"//": "' + b"x" * (1024 * 1024) + b'"}'
    assert api.ask("POST", "/v1/tenants/b", body, token=token)[0] == 413
    big = {"X-Big": "x" * 20000}
    assert api.ask("GET", "/v1/status", token=token, headers=big)[0] in (413, 431)
    assert api.ask("GET", "/v1/status?" + "x" * 20000, token=token)[0] in (413, 414, 431)


def test_strangers_hold_the_tcp_door_and_not_the_socket(tcp):
    """More connections than it takes, all of them silent: those who may come in by the socket do."""
    api = tcp()
    silent = []
    try:
        for _ in range(80):
            one = socket.create_connection((api.host, api.port), timeout=30)
            one.sendall(b"GET / HT")
            silent.append(one)
        assert api.stack.admin.http("GET", "/v1/status")[0] == 200
    finally:
        for one in silent:
            one.close()
    token = api.token("alice")

    def answers():
        try:
            return api.ask("GET", "/v1/status", token=token)[0] == 200
        except OSError:
            return False

    wait_until(answers, "it answers again", 30)
