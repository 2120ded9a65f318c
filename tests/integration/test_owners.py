"""What two files claim stays with the one that had it, over a restart too."""

import json

import pytest

from support.processes import wait_until
from support.spop import Asker
from support.stack import run_agent_command


def tenant(number, *hosts, **more):
    """One that is told by its address: 10.0.0.NUMBER."""
    upstream = f"http://10.0.0.{number}:3000"
    return {"hosts": list(hosts), "upstream": upstream, "https": "off", **more}


def path_of(host, prefix):
    return {"paths": [{"host": host, "prefix": prefix, "mode": "keep"}]}


@pytest.fixture
def agent(new_stack):
    """An agent without HAProxy, whose first file sorts behind those that come later."""

    def make(filed):
        stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"]})
        stack.write_tenants(filed, "z.json")
        stack.write_config()
        stack.start_agent()
        Asker(stack.sockets[0]).close()  # it has begun to serve: its folder and its list are there
        return stack

    return make


def place(stack, host, path="/"):
    """The last number of the address, or the reason of the refusal."""
    asker = Asker(stack.sockets[0])
    variables = asker.ask(host, path)
    asker.close()
    return int(variables["dst"].split(".")[3]) if "dst" in variables else variables["reason"]


def restart(stack):
    stack.agents[0].stop()
    stack.start_agent()


def await_log(stack, text):
    wait_until(lambda: text in stack.agents[0].log(), f"in the log: {text}", 30)


def owners(stack):
    path = stack.directory / "state" / "owners.json"
    return json.loads(path.read_text()) if path.exists() else None


def explain(stack, url):
    return run_agent_command("explain", "-c", stack.config_path, "--json", url)


def explained(stack, url):
    return json.loads(explain(stack, url).stdout)["tenant"]["name"]


@pytest.mark.parametrize(
    "claim, first, later, host, path",
    [
        ("chat.test", ["chat.test"], {}, "chat.test", "/"),
        ("*.fleet.test", ["*.fleet.test"], {}, "x.fleet.test", "/"),
        ("chat.test/owui", ["own.test"], path_of("chat.test", "/owui"), "chat.test", "/owui/x"),
    ],
)
def test_what_two_files_claim_stays_where_it_was(agent, claim, first, later, host, path):
    stack = agent({"old": tenant(1, *first, **later)})
    assert owners(stack) is None
    hosts = [name for name in first if not later]
    stack.write_tenants({"new": tenant(2, *hosts, "new.test", **later)}, "a.json")
    await_log(stack, "E204")
    wait_until(lambda: owners(stack) == {"claims": {claim: "z.json"}, "tenants": {}}, "kept", 30)
    for _ in range(2):
        restart(stack)
        assert place(stack, host, path) == 1
        assert place(stack, "new.test") == 2
    assert "Kept: old. Ignored" in stack.agents[0].log()
    assert explained(stack, f"http://{host}{path}") == "old"
    (stack.tenants_dir / "z.json").unlink()  # it gives up what it had
    wait_until(lambda: place(stack, host, path) == 2, "the next has it", 30)
    wait_until(lambda: owners(stack) is None, "nobody else wants it", 30)
    stack.write_tenants({"old": tenant(1, *first, **later)}, "z.json")
    wait_until(lambda: owners(stack) == {"claims": {claim: "a.json"}, "tenants": {}}, "kept", 30)
    restart(stack)
    assert place(stack, host, path) == 2


def test_each_claim_has_its_own_owner(agent):
    """No order of the files would do."""
    stack = agent({"old": tenant(1, "one.test")})
    stack.write_tenants({"new": tenant(2, "one.test", "two.test")}, "a.json")
    wait_until(lambda: place(stack, "two.test") == 2, "live", 30)
    stack.write_tenants({"old": tenant(1, "one.test", "two.test")}, "z.json")
    both = {"one.test": "z.json", "two.test": "a.json"}
    wait_until(lambda: (owners(stack) or {}).get("claims") == both, "kept", 30)
    restart(stack)
    assert (place(stack, "one.test"), place(stack, "two.test")) == (1, 2)


def test_a_tenants_name_stays_with_its_file(agent):
    stack = agent({"chat": tenant(1, "chat.test")})
    stack.write_tenants({"chat": tenant(2, "chat.test", "other.test")}, "a.json")
    await_log(stack, "E202")
    wait_until(lambda: owners(stack) == {"claims": {}, "tenants": {"chat": "z.json"}}, "kept", 30)
    restart(stack)
    assert (place(stack, "chat.test"), place(stack, "other.test")) == (1, "unknown-host")
    done = run_agent_command("check", "-c", stack.config_path, "--json")
    assert ["a.json"] == [
        problem["file"].rsplit("/")[-1]
        for problem in json.loads(done.stdout)["diagnostics"]
        if problem["code"] == "E202"
    ]
    (stack.tenants_dir / "z.json").unlink()
    wait_until(lambda: place(stack, "other.test") == 2, "the next has it", 30)
    assert place(stack, "chat.test") == 2


@pytest.mark.parametrize("broken", ["10.0.0.1:x", "{"], ids=["a wrong tenant", "no JSON"])
def test_a_tenants_name_stays_with_its_file_while_that_is_broken(agent, broken):
    """The other one's tenant would have its certificate, and the hosts that it claims with it."""
    stack = agent({"chat": tenant(1, "chat.test")})
    stack.write_tenants({"chat": tenant(2, "chat.test", "other.test")}, "a.json")
    kept = {"claims": {}, "tenants": {"chat": "z.json"}}
    wait_until(lambda: owners(stack) == kept, "kept", 30)
    file = stack.tenants_dir / "z.json"
    right = file.read_text()
    stack.agents[0].stop()
    file.write_text(right.replace("10.0.0.1:3000", broken) if broken != "{" else broken)
    for _ in range(2):
        stack.start_agent()
        await_log(stack, "last_good_revived")
        assert (place(stack, "chat.test"), place(stack, "other.test")) == (1, "unknown-host")
        assert owners(stack) == kept
        # What the files say alone is another thing, and it says so.
        assert "owui-spoa tenants --state kept" in explain(stack, "http://chat.test/").stderr
        stack.agents[0].stop()
    stack.start_agent()
    file.write_text(right.replace("10.0.0.1", "10.0.0.3"))
    wait_until(lambda: place(stack, "chat.test") == 3, "mended", 30)
    assert place(stack, "other.test") == "unknown-host"
    file.unlink()
    wait_until(lambda: place(stack, "other.test") == 2, "the next has it", 30)


@pytest.mark.parametrize("later", ["10.0.0.2:x", "{"], ids=["a wrong tenant", "no JSON"])
def test_a_tenants_name_stays_with_its_file_while_both_are_broken(agent, later):
    """What never was in force is nothing that was right before."""
    stack = agent({"chat": tenant(1, "chat.test")})
    stack.write_tenants({"chat": tenant(2, "chat.test", "other.test")}, "a.json")
    await_log(stack, "E202")
    kept = {"claims": {}, "tenants": {"chat": "z.json"}}
    for name, number, broken in (("a.json", 2, later), ("z.json", 1, "10.0.0.1:x")):
        file = stack.tenants_dir / name
        right = file.read_text()
        seen = stack.agents[0].log().count("tenant_broken")
        file.write_text(right.replace(f"10.0.0.{number}:3000", broken) if broken != "{" else broken)
        wait_until(lambda: stack.agents[0].log().count("tenant_broken") > seen, "read", 30)
        wait_until(lambda: owners(stack) == kept, "it is kept whose the name is", 30)
    for _ in range(2):
        live = place(stack, "chat.test"), place(stack, "other.test")
        assert live == (1, "unknown-host")
        restart(stack)
    assert "E202" not in stack.agents[0].log().rsplit(" start ", 1)[1]


def test_a_list_that_could_not_be_written_is_written_later(agent):
    """Though no file is read meanwhile."""
    stack = agent({"old": tenant(1, "chat.test")})
    path = stack.directory / "state" / "owners.json"
    path.mkdir()
    stack.write_tenants({"new": tenant(2, "chat.test")}, "a.json")
    await_log(stack, "owners_not_kept")
    path.rmdir()
    kept = {"claims": {"chat.test": "z.json"}, "tenants": {}}
    wait_until(lambda: owners(stack) == kept, "kept", 60)


def test_a_list_that_cannot_be_read_is_none(agent):
    stack = agent({"old": tenant(1, "chat.test")})
    stack.write_tenants({"new": tenant(2, "chat.test")}, "a.json")
    wait_until(lambda: owners(stack), "kept", 30)
    stack.agents[0].stop()
    (stack.directory / "state" / "owners.json").write_text('{"claims": ')
    stack.start_agent()
    assert place(stack, "chat.test") == 2  # the first by name
    assert owners(stack) == {"claims": {"chat.test": "a.json"}, "tenants": {}}
