"""What the admin interface answers by reading all files: `check`, `diff`, `replay` and
`haproxy-config`. They tell what the subcommands tell, and keep nothing else waiting."""

import json
import select
import socket

import pytest

from support.admin_http import AdminHttp, settings
from support.stack import run_agent_command
from test_admin import Admin, agent, tenant  # noqa: F401 (agent is a fixture)
from test_trace import get, recording, replay  # noqa: F401 (recording is a fixture)

MANY = 3000  # to read them takes long, by any machine's measure of a request


@pytest.fixture
def api(agent):  # noqa: F811
    return AdminHttp(agent({"a": tenant(1)}, **settings(requests_per_minute=100000)))


def ask_later(stack, method, path, body=b""):
    """A connection with the request on its way."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(stack.config["admin_socket"])
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def is_answered(connection):
    return bool(select.select([connection], [], [], 0)[0])


def answer_of(connection, seconds=300):
    """Status and parsed body."""
    connection.settimeout(seconds)
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.fixture
def crowded(agent):  # noqa: F811
    """An agent with many tenants, in ten files."""
    stack = agent({})
    for file in range(10):
        few = range(file, MANY, 10)
        tenants = {f"t{n}": tenant(1, f"t{n}.example.test") for n in few}
        stack.write_tenants(tenants, f"crowd{file}.json")
    assert stack.admin.http("POST", "/v1/reload")[1]["tenants"]["live"] == MANY
    return stack


# --- nobody is kept waiting -----------------------------------------------------------------------


@pytest.mark.parametrize("what", ["check", "diff", "haproxy-config"])
def test_others_are_answered_while_all_files_are_read(crowded, what):
    """Were they read in the thread that answers, a status at most would be told before."""
    stack = crowded
    method, path, body = {
        "check": ("POST", "/v1/check", b""),
        "diff": ("POST", "/v1/diff?file=new.json", json.dumps({"tenants": {}}).encode()),
        "haproxy-config": ("GET", "/v1/haproxy-config", b""),
    }[what]
    best = 0
    for _ in range(5):
        connection = ask_later(stack, method, path, body)
        told = 0
        while not is_answered(connection) and told < 10:
            assert stack.admin.http("GET", "/v1/status")[0] == 200
            told += 1
        best = max(best, told - is_answered(connection))
        connection.settimeout(300)
        assert connection.recv(20).startswith(b"HTTP/1.1 200"), what
        connection.close()
        if best > 2:
            break
    assert best > 2


def test_one_at_a_time_and_few_wait(crowded):
    stack = crowded
    asked = [ask_later(stack, "POST", "/v1/check") for _ in range(20)]
    answers = [answer_of(connection) for connection in asked]
    good = [told for status, told in answers if status == 200]
    refused = [told for status, told in answers if status == 429]
    assert len(good) + len(refused) == 20 and len(good) >= 5 and refused
    assert {told["tenants"] for told in good} == {MANY}
    assert refused[0] == {"error": "too many of these are being done already"}
    assert stack.admin.http("POST", "/v1/check")[0] == 200


def test_a_stop_does_not_wait_for_what_is_read(crowded):
    """Those in line are refused, the one in hand is given up or done; nothing is left over."""
    stack = crowded
    asked = [ask_later(stack, "POST", "/v1/check") for _ in range(3)]
    assert stack.admin.http("GET", "/v1/status")[0] == 200
    assert stack.agents[0].stop(timeout_s=60) == 0
    statuses = []
    for connection in asked:
        connection.settimeout(30)
        head = connection.recv(20)
        statuses.append(head.split()[1] if head else b"")
    assert set(statuses) <= {b"200", b"503", b""}, statuses


def test_changes_are_taken_while_files_are_read(crowded):
    """With the thread sanitizer's build it is the threads that are looked at."""
    stack = crowded
    body = json.dumps({"tenants": {"x": tenant(9, "x.test")}}).encode()
    asked = [
        ask_later(stack, *what)
        for what in (
            ("POST", "/v1/check"),
            ("POST", "/v1/diff?file=x.json", body),
            ("GET", "/v1/haproxy-config"),
        )
    ]
    for number in range(10):
        name = f"n{number}"
        added = stack.admin.http("POST", f"/v1/tenants/{name}", tenant(7, f"{name}.test"))
        assert added[0] == 201
        stack.write_tenants({f"z{number}": tenant(3, f"z{number}.test")}, f"z{number}.json")
    assert stack.admin.http("POST", "/v1/reload")[1]["tenants"]["live"] == MANY + 20
    for connection in asked:
        connection.settimeout(300)
        assert connection.recv(20).startswith(b"HTTP/1.1 200")


# --- they tell what the subcommands tell ----------------------------------------------------------


def test_diff_tells_what_the_subcommand_tells(api, tmp_path):
    admin = api.token("alice", "admin")
    changed = {"tenants": {"a": tenant(2), "b": tenant(3, "b.test")}}
    file = tmp_path / "tenants.json"
    file.write_text(json.dumps(changed))
    name = next(api.stack.tenants_dir.iterdir()).name
    file = file.rename(tmp_path / name)
    status, told, _ = api.ask("POST", f"/v1/diff?file={name}", changed, token=admin)
    assert status == 200 and told.pop("problems") == []
    assert told == api.stack.admin.json("diff", file)[1]
    assert (told["changed"], told["added"]) == (["a"], ["b"])
    # Beside the others it is another tenant of a name that is taken.
    told = api.ask("POST", "/v1/diff?file=other.json", changed, token=admin)[1]
    assert (told["changed"], told["added"]) == ([], ["b"])
    (problem,) = told["problems"]
    assert problem["file"].endswith("/other.json") and "a" in problem["message"]
    # Nothing has been written.
    assert [path.name for path in api.stack.tenants_dir.iterdir()] == [name]


def test_diff_tells_what_would_be_wrong(api):
    admin = api.token("alice", "admin")
    changed = {"tenants": {"b": {"hosts": ["b.test"], "upsteam": "http://10.0.0.1:3000"}}}
    told = api.ask("POST", "/v1/diff?file=b.json", changed, token=admin)[1]
    assert (told["added"], told["problems"][0]["code"]) == ([], "E107")
    for query in ("", "?file=", "?file=b", "?file=.b.json", "?file=../b.json", "?file=%2Fb.json"):
        assert api.ask("POST", f"/v1/diff{query}", changed, token=admin)[0] == 400, query
    told = api.ask("POST", "/v1/diff?file=b.json", [], token=admin)[1]
    assert told["differ"] == 0 and told["problems"]


def test_replay_tells_what_the_subcommand_tells(recording):  # noqa: F811
    stack = recording()
    for host in ("one.test", "one.test", "two.test", "nobody.test"):
        get(stack, host)
    stack.admin = Admin(stack)
    status, told, _ = stack.admin.http("POST", "/v1/replay")
    assert status == 200 and told.pop("problems") == []
    assert told == replay(stack)[1] and (told["decided"], told["differ"]) == (4, 0)
    (file,) = stack.tenants_dir.iterdir()
    changed = json.loads(file.read_text())
    changed["tenants"]["one"]["upstream"] = "http://127.0.0.9:3000"
    status, told, _ = stack.admin.http("POST", f"/v1/replay?file={file.name}", changed)
    assert status == 200 and (told["decided"], told["differ"]) == (4, 2)
    (one,) = told["differences"]
    assert (one["url"], one["count"]) == ("http://one.test/api/config", 2)
    assert one["difference"]["upstream"]["after"] == "127.0.0.9:3000"
    assert stack.admin.http("POST", "/v1/replay", changed)[0] == 400
    assert stack.admin.http("POST", f"/v1/replay?file={file.name}")[0] == 400
    stack.trace.unlink()
    status, told, _ = stack.admin.http("POST", "/v1/replay")
    assert status == 422 and str(stack.trace) in told["error"]


@pytest.mark.parametrize("version", [None, "2.6", "3.0", "3.2", "3.4"])
@pytest.mark.parametrize("spoe", [False, True])
def test_haproxy_config_is_what_the_subcommand_prints(api, version, spoe):
    query = (f"&for={version}" if version else "") + ("&spoe=1" if spoe else "")
    options = (["--for", version] if version else []) + (["--spoe"] if spoe else [])
    status, told, headers = api.ask("GET", f"/v1/haproxy-config?{query}", token=api.token("reader"))
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    done = run_agent_command("haproxy-config", *options, "-c", api.stack.config_path)
    assert told == done.stdout and ("[owui]" in told if spoe else "frontend" in told)


def test_haproxy_config_of_wrong_tenants_takes_force(api):
    token = api.token("reader")
    api.stack.write_tenants({"b": {"hosts": ["b.test"], "upsteam": "x"}}, "b.json")
    status, told, _ = api.ask("GET", "/v1/haproxy-config", token=token)
    assert status == 422 and "?force=1" in told["error"]
    assert told["problems"][0]["code"] == "E107"
    status, told, _ = api.ask("GET", "/v1/haproxy-config?force=1", token=token)
    assert status == 200 and "frontend" in told
