"""docs/openapi.json and the server are held against each other: every operation of the one is one of
the other, and each answers as it is told to. (Whatever other tests ask is held against it too:
support/openapi.py.)"""

import json
import re
import subprocess

import jsonschema
import pytest

from support import openapi
from support.admin_http import AdminHttp, settings
from support.processes import wait_until
from support.stack import REPOSITORY
from test_admin import agent, tenant  # noqa: F401 (agent is a fixture)

TENANT = tenant(2, "b.test")

# What is asked of an agent with a tenant "a" and no certificates: one request at least for each
# operation, in this order.
REQUESTS = [
    ("GET", "/", None, 200),
    ("GET", "/v1", None, 200),
    ("GET", "/v1/openapi.json", None, 200),
    ("GET", "/metrics", None, 200),
    ("GET", "/v1/top", None, 200),
    ("GET", "/v1/status", None, 200),
    ("POST", "/v1/reload", None, 200),
    ("POST", "/v1/check", None, 200),
    ("POST", "/v1/diff?file=b.json", {"tenants": {"b": TENANT}}, 200),
    ("POST", "/v1/diff", {"tenants": {}}, 400),
    ("POST", "/v1/diff?file=b.json", None, 400),
    ("POST", "/v1/replay", None, 409),
    ("GET", "/v1/haproxy-config", None, 200),
    ("GET", "/v1/haproxy-config?for=3.2&spoe=1", None, 200),
    ("GET", "/v1/haproxy-config?for=1.8", None, 400),
    ("POST", "/v1/explain", {"url": "http://chat.test/x"}, 200),
    ("POST", "/v1/explain", {"url": "http://nobody.test/", "from": "192.0.2.9"}, 200),
    ("POST", "/v1/explain", {"url": "http://a.test/.well-known/acme-challenge/x"}, 200),
    ("POST", "/v1/explain", {"url": "ftp://a.test/"}, 400),
    ("POST", "/v1/explain", {"url": "http://a.test/", "from": "nobody"}, 400),
    ("POST", "/v1/explain", {"url": "http://a.test/", "headers": ["x"]}, 400),
    ("POST", "/v1/explain", None, 400),
    ("GET", "/v1/decisions", None, 200),
    ("GET", "/v1/events", None, 200),
    ("GET", "/v1/tenants", None, 200),
    ("GET", "/v1/tenants?state=live&limit=1&search=chat", None, 200),
    ("GET", "/v1/tenants?state=brokn", None, 400),
    ("GET", "/v1/tenants/a", None, 200),
    ("GET", "/v1/tenants/nobody", None, 404),
    ("POST", "/v1/tenants/b", TENANT, 201),
    ("POST", "/v1/tenants/b", TENANT, 409),
    ("POST", "/v1/tenants/c", {"hosts": ["c.test"], "upsteam": "x"}, 422),
    ("PUT", "/v1/tenants/b", TENANT, 200),
    ("PATCH", "/v1/tenants/b", {"_": "x"}, 200),
    ("PATCH", "/v1/tenants/b", [], 400),
    ("POST", "/v1/tenants/b/suspend", {"status": 403}, 200),
    ("POST", "/v1/tenants/b/resume", None, 200),
    ("POST", "/v1/tenants/b/maintenance", {"on": True}, 200),
    ("POST", "/v1/tenants/b/maintenance", {"window": None}, 200),
    ("POST", "/v1/tenants/b/maintenance", {"on": 1}, 400),
    ("POST", "/v1/tenants/b/switch", {"to": "green"}, 422),
    ("POST", "/v1/tenants/nobody/suspend", None, 404),
    ("DELETE", "/v1/tenants/b", None, 200),
    ("DELETE", "/v1/tenants/b", None, 404),
    ("GET", "/v1/history", None, 200),
    ("GET", "/v1/history/1", None, 200),
    ("GET", "/v1/history/999", None, 404),
    ("POST", "/v1/history/1/rollback", None, 200),
    ("POST", "/v1/history/999/rollback", None, 404),
    ("GET", "/v1/certificates", None, 409),
    ("GET", "/v1/certificates/a", None, 409),
    ("POST", "/v1/certificates/a/renew", None, 409),
    ("POST", "/v1/certificates/a/revoke", None, 409),
    ("POST", "/v1/certificates/a/deploy", None, 409),
    ("POST", "/v1/certificates/a/rollback", None, 409),
    ("POST", "/v1/account/rollover", None, 409),
    ("POST", "/v1/import", {"folder": "/tmp"}, 409),
]


@pytest.fixture
def api(agent):  # noqa: F811
    return AdminHttp(agent({"a": tenant(1)}, **settings(requests_per_minute=100000)))


def same_holes(path):
    return re.sub(r"\{\w+\}", "{}", path)


def test_every_operation_is_told_and_no_other(api):
    told = api.ask("GET", "/v1", token=api.token("reader"))[1]
    assert told["you"] == {"token": "reader", "role": "read"}
    assert api.stack.admin.http("GET", "/v1")[1]["you"] == {"role": "admin"}
    offered = {(one["method"], one["path"]): one["role"] for one in told["operations"]}
    described = {
        (method, same_holes(path)): operation["x-role"]
        for (method, path), operation in openapi.OPERATIONS.items()
    }
    assert offered == described
    assert api.ask("GET", "/v1/openapi.json")[1] == openapi.DOCUMENT


def test_every_operation_answers_as_it_is_told_to(api):
    """AdminHttp.ask() holds each answer against the description."""
    admin = api.token("alice", "admin")
    asked = set()
    for method, path, body, status in REQUESTS:
        found = openapi.find(method, path)
        assert found is not None, path
        asked.add((method, found[0]))
        assert api.ask(method, path, body, token=admin)[0] == status, (method, path)
    assert asked == set(openapi.OPERATIONS)


def test_what_a_query_may_have_is_told_and_nothing_else_is_taken(api):
    """What is mistyped is not passed over: `?state` of certificates, or no SPOE file after all."""
    admin = api.token("alice", "admin")
    for (method, path), operation in openapi.OPERATIONS.items():
        target = path.replace("{name}", "a").replace("{id}", "1")
        status, told, _ = api.ask(method, f"{target}?x", token=admin)
        assert status == 400, (method, path)
        known = re.findall(r"\?(\w+)", told["error"].split(" has ")[1])
        parameters = [openapi.resolve(one) for one in operation.get("parameters", [])]
        assert known == [one["name"] for one in parameters if one["in"] == "query"], path
        assert "400" in operation["responses"], path
    for query in ("spoe=yes", "spoe", "force=true", "spoe=1&for=3.2&version=3.2"):
        assert api.ask("GET", f"/v1/haproxy-config?{query}", token=admin)[0] == 400, query
    for query in ("limit=x", "limit=-1", "limit=1&offset=1"):
        assert api.ask("GET", f"/v1/tenants?{query}", token=admin)[0] == 400, query
    assert api.ask("GET", "/v1/certificates?sort=name", token=admin)[0] == 400
    for path in ("/v1/tenants", "/v1/certificates"):
        parameters = openapi.OPERATIONS["GET", path]["parameters"]
        (schema,) = [one["schema"] for one in parameters if one.get("name") == "limit"]
        for number in (0, 1, 5000):
            openapi.validate(schema, number)
            assert api.ask("GET", f"{path}?limit={number}", token=admin)[0] != 400, number


def test_roles_are_as_told(api):
    reader = api.token("reader")
    for method, path, body, _ in REQUESTS:
        role = openapi.find(method, path)[1]["x-role"]
        status = api.ask(method, path, body)[0]
        assert (status == 401) == (role != "anybody"), (method, path)
        status = api.ask(method, path, body, token=reader)[0]
        assert (status == 403) == (role == "admin"), (method, path)


def test_examples_of_bodies_are_valid_too():
    for method, path, body, status in REQUESTS:
        told = openapi.find(method, path)[1].get("requestBody")
        if body is not None and status < 400:
            openapi.validate(told["content"]["application/json"]["schema"], body)


def test_the_description_is_well_formed():
    document = openapi.DOCUMENT
    assert document["openapi"].startswith("3.1.")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = [operation["operationId"] for operation in openapi.OPERATIONS.values()]
    assert len(names) == len(set(names))
    text = json.dumps(document)
    for reference in set(re.findall(r'"\$ref": "(#[^"]+)"', text)):
        openapi.RESOLVER.resolve(reference)
    for kind in ("schemas", "responses", "parameters"):
        for name in document["components"][kind]:
            assert f"#/components/{kind}/{name}" in text, f"{name} is used by nothing"
    for (method, path), operation in openapi.OPERATIONS.items():
        holes = re.findall(r"\{(\w+)\}", path)
        parameters = [openapi.resolve(one) for one in operation.get("parameters", [])]
        in_path = [one["name"] for one in parameters if one["in"] == "path"]
        assert holes == in_path, path
        assert method != "GET" or "requestBody" not in operation
        assert ("403" in operation["responses"]) == (method != "GET"), (method, path)


def test_the_examples_of_the_documentation_work(agent, tmp_path):  # noqa: F811
    """Those with curl over the unix socket, from docs/ADMIN.md, as one script."""
    stack = agent({"a": tenant(1)}, trace={"entries": 100, "file": str(tmp_path / "trace")})
    text = (REPOSITORY / "docs/ADMIN.md").read_text()
    block = text.split("## Examples\n")[1].split("\n## ")[0]
    script = "\n".join(line.removeprefix("    ") for line in block.splitlines())
    assert script.count("--unix-socket /run/owui-spoa/admin.sock") == 1
    assert script.count("\napi ") + script.count("$(api ") == 14
    script = script.replace("/run/owui-spoa/admin.sock", stack.config["admin_socket"])
    script = script.replace("127.0.0.1:300", "10.0.0.1:300")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "frontend" in (tmp_path / "haproxy.cfg").read_text()
    assert "[owui]" in (tmp_path / "owui.spoe.cfg").read_text()
    answers = done.stdout
    assert '"state": "live"' in answers and '"decision"' in answers and '"refused": 0' in answers
    assert '"what": "end of maintenance of tenant sales"' in answers
    changes = [one["what"] for one in stack.admin.json("history")[1]["history"]]
    assert changes[0] == "roll back to 1" and len(changes) == 5


def test_decisions_are_told_while_they_are_made(agent):  # noqa: F811
    from support.spop import Asker

    stack = agent({"a": tenant(1)}, trace=100, **settings(requests_per_minute=100000))
    api = AdminHttp(stack)
    token = api.token("reader")
    asker = Asker(stack.sockets[0])
    assert "dst" in asker.ask("chat.test") and "dst" not in asker.ask("nobody.test")

    def told():
        answer = api.ask("GET", "/v1/decisions", token=token)[1]
        assert answer["recorded"] is True
        return len(answer["decisions"]) >= 2 and answer["decisions"]

    latest, first = wait_until(told, "both are told", 30)[:2]
    assert (first["tenant"], first["host"], first["decision"]) == ("a", "chat.test", "forward")
    assert latest["host"] == "nobody.test" and latest["status"] == 404


def test_decisions_that_are_not_recorded_are_told_as_such(api):
    told = api.ask("GET", "/v1/decisions", token=api.token("reader"))[1]
    assert told == {"recorded": False, "pending": False, "decisions": []}


def test_events_are_the_logs(api):
    admin = api.token("alice", "admin")
    assert api.ask("POST", "/v1/reload", token=admin)[0] == 200
    events = api.ask("GET", "/v1/events", token=admin)[1]["events"]
    last = events[-1]
    assert (last["event"], last["path"], last["token"]) == ("admin", "/v1/reload", "alice")
    assert not [one for one in events if one["level"] in ("info", "debug")]


def test_explain_tells_what_the_subcommand_tells(api):
    admin = api.token("alice", "admin")
    for url in ["http://chat.test/c/1?x=y", "https://chat.test/", "http://nobody.test/wp-admin"]:
        told = api.ask("POST", "/v1/explain", {"url": url}, token=admin)[1]
        del told["generation"]
        assert told == api.stack.admin.json("explain", url)[1]


def test_check_tells_what_the_subcommand_tells(api):
    token = api.token("reader")
    api.stack.write_tenants(
        {"b": {"hosts": ["b.test"], "upsteam": "http://10.0.0.1:3000"}}, "b.json"
    )
    told = api.ask("POST", "/v1/check", token=token)[1]
    assert told == api.stack.admin.json("check")[1]
    assert told["refused"] == 1 and told["diagnostics"][0]["code"] == "E107"


def test_check_misses_nothing_that_is_where_haproxy_is(agent, tmp_path):  # noqa: F811
    """HAProxy's files are in its container, and the CAs' beside them."""
    away = tmp_path / "away"
    files = {"spoe_file": str(away / "owui.spoe.cfg"), "upstream_ca_file": str(away / "ca.pem")}
    haproxy = {"runtime": [], "chroot": None, **files}
    api = AdminHttp(agent({"a": tenant(1)}, haproxy=haproxy, **settings()))
    told = api.ask("POST", "/v1/check", token=api.token("reader"))[1]
    assert told["errors"] == 0, told
    assert [one["code"] for one in told["diagnostics"]] == ["W521"]


def test_tenants_are_searched_page_by_page(agent):  # noqa: F811
    many = {f"t{n:04}": tenant(1, f"h{n}.example.test") for n in range(1200)}
    stack = agent(
        {**many, "other": tenant(1, "other.test")}, **settings(requests_per_minute=100000)
    )
    api = AdminHttp(stack)
    token = api.token("reader")

    def ask(query):
        return api.ask("GET", f"/v1/tenants?{query}", token=token)[1]

    told = ask("limit=100")
    assert (len(told["tenants"]), told["total"], told["after"]) == (100, 1201, "t0098")
    names, after = [], ""
    while after is not None:
        told = ask(f"search=EXAMPLE.test&limit=500&after={after}")
        assert told["total"] == 1200
        names += [one["name"] for one in told["tenants"]]
        after = told.get("after")
    assert names == sorted(many)
    assert [one["name"] for one in ask("search=h7.exa")["tenants"]] == ["t0007"]
    assert [one["name"] for one in ask("search=%6Fther")["tenants"]] == ["other"]
    assert ask("search=%00")["total"] == 0
    assert ask("search=nothing")["tenants"] == [] and ask("limit=0")["total"] == 1201
