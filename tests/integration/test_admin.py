"""The running daemon asked and told over its admin socket, by the command line and by HTTP."""

import grp
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import openapi
from support.clock import SlowDisk
from support.identity import Key, key_set
from support.processes import accepts, no_descriptors, wait_until
from support.spop import Asker
from support.stack import LOOPS, run_agent_command
from test_certificates_disk import SmallDisk, may_mount


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
        is_json = answer.headers["Content-Type"] == "application/json"
        told = json.loads(text) if is_json else text
        openapi.hold(method, path, answer.status, answer.headers["Content-Type"], told)
        return answer.status, told, answer.headers

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
        wait_until(lambda: " ready " in stack.agents[0].log(), "everything is read")
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
    assert told["connections"] >= 0 and told["loops"] == LOOPS
    assert "forward" in told["decisions"]
    code, text, _ = admin.run("status")
    assert code == 0 and f"generation   {told['generation']}, hash {told['hash']}\n" in text
    assert text.splitlines()[0].endswith(": all is well")


def test_status_says_when_something_is_wrong(agent):
    stack = agent({"a": tenant(1), "b": {"hosts": ["b.test"], "upstrem": "x"}})
    code, told = stack.admin.json("status")
    assert code == 1 and told["tenants"]["live"] == 1 and told["tenants"]["broken"] == 1
    code, text, _ = stack.admin.run("status")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert code == 1 and lines[0].endswith(": 1 thing to look at")
    assert lines[2] == "tenant b is broken: it is not served"
    flat = " ".join(lines)
    line = 1 + next(
        i
        for i, line in enumerate((stack.tenants_dir / "tenants.json").read_text().splitlines())
        if "upstrem" in line
    )
    assert f"/tenants.json:{line}:" in flat and 'unknown key "upstrem"' in flat
    assert '-> did you mean "upstream"?' in lines


def test_status_tells_of_files_that_do_not_count(agent):
    """No tenant's state tells of them: all that is in force is well."""
    stack = agent({"a": tenant(1)})
    (stack.tenants_dir / "broken.json").write_text('{"tenants": {')
    wait_until(lambda: stack.admin.json("status")[0] == 1, "the file is told of")
    told = stack.admin.json("status")[1]
    assert [(one["code"], one["line"]) for one in told["problems"]] == [("E102", 1)]
    assert told["problems"][0]["file"].endswith("/broken.json") and told["tenants"]["live"] == 1
    (stack.tenants_dir / "broken.json").unlink()
    wait_until(lambda: stack.admin.json("status")[0] == 0, "it is gone")
    stack.config_path.write_text('{"lopps": 2}')
    socket_of = ["--socket", stack.config["admin_socket"]]
    assert run_agent_command("reload", *socket_of).returncode == 1
    done = run_agent_command("status", *socket_of)
    flat = " ".join(done.stdout.split())
    assert done.returncode == 1 and flat.count("does not count: what it said before does") == 1
    assert 'unknown key "lopps" -> did you mean "loops"?' in flat
    assert "1 thing to look at" in flat
    stack.write_config()
    wait_until(lambda: stack.admin.json("status")[0] == 0, "all is well")


def notices(stack, kind):
    code, told = stack.admin.json("status")
    of_kind = [one["message"] for one in told["notices"] if one["kind"] == kind]
    assert code == 1 or not of_kind
    return of_kind


def test_status_tells_what_waits_for_a_restart(agent):
    stack = agent({"a": tenant(1)})
    listen = stack.config["listen"]
    stack.config.update(listen=[*listen, f"unix:{stack.directory}/more.sock"], loops=3)
    stack.write_config()
    wait_until(lambda: len(notices(stack, "restart_needed")) == 2, "both are told", 30)
    code, text, _ = stack.admin.run("status")
    flat = " ".join(text.split())
    assert code == 1 and '"loops" has changed in the global file since the service was' in flat
    assert "-> systemctl restart owui-spoa" in flat
    assert "restart_needed" in str(stack.admin.json("reload"))
    # What is as it was waits for nothing.
    stack.config["loops"] = LOOPS
    stack.write_config()
    wait_until(lambda: len(notices(stack, "restart_needed")) == 1, "one is changed back", 30)
    stack.config["listen"] = listen
    stack.write_config()
    wait_until(lambda: stack.admin.json("status")[0] == 0, "all is well", 30)
    assert stack.agents[0].log().count("restart_needed") == 2


@pytest.mark.parametrize("certificates", [True, False])
def test_what_certificates_need_waits_for_a_restart_by_its_own_name(agent, certificates):
    stack = agent({"a": tenant(1)})
    stack.agents[0].stop()
    acme = {"acme": {"directory": "none", "state_dir": f"{stack.directory}/state"}}
    stack.config.update(acme if certificates else {})
    stack.config["haproxy"]["crt_dir"] = str(stack.directory)
    stack.write_config()
    stack.start_agent()
    wait_until(lambda: stack.admin.run("status")[0] != 2, "it answers", 30)
    more = [*stack.config["haproxy"].get("runtime", []), f"{stack.directory}/more.sock"]
    stack.config["haproxy"]["runtime"] = more
    stack.write_config()
    wait_until(lambda: stack.agents[-1].log().count(" reload ") >= 1, "read", 30)
    expected = ['"haproxy.runtime" has changed'] if certificates else []
    told = [one.split(" in ")[0] for one in notices(stack, "restart_needed")]
    assert told == expected


def test_status_tells_that_descriptors_ran_out(agent):
    stack = agent({"a": tenant(1)})
    assert notices(stack, "accept_paused") == []
    with no_descriptors(stack.agents[0].pid), socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(stack.sockets[0]))
        wait_until(lambda: "accept_paused" in stack.agents[0].log(), "it is not taken", 30)
        # Nor who asks for a page, which the log tells of as well.
        with socket.create_connection(("127.0.0.1", stack.pages_port)):
            paused = f"accept_paused address=tcp:127.0.0.1:{stack.pages_port} reason="
            wait_until(lambda: paused in stack.agents[0].log(), "it is told", 30)
    assert f"accept_paused address=unix:{stack.sockets[0]} reason=" in stack.agents[0].log()
    assert len(notices(stack, "accept_paused")) == 1
    flat = " ".join(stack.admin.run("status")[1].split())
    assert "had to wait because they could not be accepted" in flat and "raise LimitNOFILE=" in flat


def test_status_tells_of_keys_that_cannot_be_had(agent, tmp_path):
    keys = tmp_path / "keys.json"
    identity = {"from": "jwt", "issuer": "https://id.test", "audience": "chat"}
    identity.update(jwks=str(keys), set={"X-User-Email": "{email}"})
    stack = agent({"a": tenant(1, identity=identity)})
    wait_until(lambda: notices(stack, "jwks_failed"), "they are told", 30)
    code, text, _ = stack.admin.run("status")
    flat = " ".join(text.split())
    assert code == 1 and f"the keys of {keys} cannot be had" in flat
    assert "who comes with a token of this issuer is nobody" in flat
    keys.write_text(key_set(Key()))
    wait_until(lambda: stack.admin.json("status")[0] == 0, "they are there", 30)
    # The last good ones count while there are none, and while they are moved away and back.
    keys.rename(tmp_path / "aside")
    wait_until(lambda: notices(stack, "jwks_failed"), "they are gone", 30)
    assert "the last good ones stay in force" in notices(stack, "jwks_failed")[0]
    (tmp_path / "aside").rename(keys)
    wait_until(lambda: stack.admin.json("status")[0] == 0, "they are back", 30)


def test_status_tells_of_a_haproxy_cfg_that_lacks_something(agent):
    """Whenever that came about: also while no daemon ran."""
    stack = agent({"a": tenant(1)})
    assert notices(stack, "haproxy_config_differs") == []  # there is no file: it may be elsewhere
    stack.write_haproxy_config()
    assert stack.admin.json("status")[0] == 0
    stack.agents[0].stop()
    stack.write_tenants({"a": tenant(1, headers={"X-Team": "blue"})})
    stack.start_agent()
    wait_until(lambda: stack.agents[-1].log().count(" ready ") > 0, "it is ready", 30)
    lacks = lambda: notices(stack, "haproxy_config_differs")
    wait_until(lambda: len(lacks()) == 1, "the header is missed", 30)
    assert "lacks what the configuration asks for: http-request del-header X-Team" in lacks()[0]
    assert stack.admin.json("status")[1]["haproxy_config_differs"] is True
    stack.write_haproxy_config()
    assert lacks() == []
    # What is there besides does no harm, and is no reason to write it anew.
    stack.write_tenants({"a": tenant(1)})
    wait_until(lambda: "X-Team" not in str(stack.admin.http("GET", "/v1/tenants/a")), "gone", 30)
    assert lacks() == []
    # Lines of one's own count for nothing; those that are missed do.
    config = stack.haproxy_dir / "haproxy.cfg"
    mark = "# own lines, global (kept when this file is written again)\n"
    config.write_text(config.read_text().replace(mark, mark + "    maxconn 4000\n"))
    assert lacks() == []
    config.write_text(config.read_text().replace("    http-request del-header X-Real-IP\n", ""))
    assert "X-Real-IP" in lacks()[0]
    # Somebody else's file is nobody's to judge.
    config.write_text("global\n")
    assert lacks() == []


def test_status_tells_of_a_haproxy_cfg_for_as_long_as_it_differs(agent):
    stack = agent({"a": tenant(1)})
    config = stack.write_haproxy_config()
    differs = lambda: len(notices(stack, "haproxy_config_differs"))

    def tell(what):
        read = stack.agents[0].log().count(" reload ")
        stack.config["haproxy"]["tell"] = what
        stack.write_config()
        wait_until(lambda: stack.agents[0].log().count(" reload ") > read, "it is read", 30)

    tell(["sni"])
    assert differs() == 1
    tell([])
    assert differs() == 0  # who takes a change back has nothing to write
    # Nobody asks between the file and the next change.
    tell(["sni"])
    stack.write_haproxy_config()
    tell([])
    assert differs() == 1
    # The SPOE file alone is written anew: the other is what it was.
    before = config.stat()
    stack.write_haproxy_config()
    os.utime(config, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert differs() == 0


def test_status_tells_of_a_tenant_without_an_address(agent):
    upstream = {"upstream": "http://no-such-host.invalid:3000"}
    stack = agent({"a": {**tenant(1), **upstream}}, resolver={"nameservers": ["127.0.0.1:9"]})
    code, text, _ = stack.admin.run("status")
    flat = " ".join(text.split())
    assert code == 1 and "1 thing to look at" in flat
    assert "tenant a is unresolved: it has no address to go to" in flat
    assert "no-such-host.invalid has no address" in flat


def test_what_is_wrong_is_listed_first_and_the_daemon_away_leaves_no_table(agent):
    named = {f"t{n}": tenant(1, f"t{n}.test") for n in range(3)}
    long_name = "a-name-that-is-much-longer-than-others"
    stack = agent({**named, long_name: tenant(2, "x." * 20 + "test"), "z": {"hosts": ["z.test"]}})
    code, text, _ = stack.admin.run("tenants")
    lines = text.splitlines()
    assert code == 1 and lines[0] == "z is broken" and lines[-1] == "5 tenants, 1 wrong"
    head = lines.index(next(line for line in lines if line.startswith("TENANT ")))
    assert lines[head + 1].split() == [long_name, "live", "x." * 20 + "test"]
    assert lines[head + 3].split() == ["t0", "live", "t0.test", "http://10.0.0.1:3000"]
    stack.agents[0].stop()
    code, text, error = stack.admin.run("tenants")
    assert (code, text) == (2, "") and "is owui-spoa running" in error
    code, _, error = stack.admin.run("upgrade", "t0", "--yes")
    assert code == 2 and "nothing was changed" in error


def test_nobody_there_is_told(tmp_path):
    done = run_agent_command("status", "--socket", tmp_path / "admin.sock")
    assert done.returncode == 2 and "is owui-spoa running" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a socket to another group")
def test_the_group_that_may_ask_for_decisions_may_not_change_tenants(agent):
    other = next(group for group in grp.getgrall() if group.gr_gid != os.getegid())
    stack = agent({"a": tenant(1)}, listen_group=other.gr_name)
    assert os.stat(stack.sockets[0]).st_gid == other.gr_gid
    assert os.stat(stack.config["admin_socket"]).st_gid == os.getegid()


def test_a_daemon_serves_without_its_admin_socket(new_stack):
    stack = new_stack(changes={"admin_socket": "/nowhere/admin.sock"})
    stack.write_tenants({"a": tenant(1)})
    stack.write_config()
    stack.start_agent()
    wait_until(lambda: "cannot_be_asked" in stack.agents[0].log(), "told")


def test_a_global_file_that_is_wrong_keeps_nobody_from_asking(agent):
    """The daemon serves by what it said before, and it is `status` that people are sent to."""
    stack = agent({"a": tenant(1)})
    stack.config["loops"] = "many"
    stack.write_config()
    told = f"{stack.config_path} is wrong: asked is the daemon that has it, at "
    code, out, error = stack.admin.run("status")
    assert code == 1 and f"{stack.config_path} does not count" in out, error
    assert '"loops"' in error and told + stack.config["admin_socket"] in " ".join(error.split())
    code, out, error = stack.admin.run("tenants", "--json")
    assert code == 0 and told in " ".join(error.split())
    assert json.loads(out)["tenants"][0]["name"] == "a"
    code, out, error = stack.admin.run("maintenance", "a")
    assert code == 0 and "maintenance begun" in out and told in " ".join(error.split())


def test_of_a_file_that_is_wrong_no_other_daemon_is_asked(agent):
    """Where one listens is what it says, and that may be wrong as well."""
    stack = agent({"a": tenant(1)})
    other = stack.directory / "other.json"
    for text in (json.dumps({**stack.config, "loops": "many"}), '{"loops": 1'):
        other.write_text(text)
        done = run_agent_command("maintenance", "a", "-c", other)
        said = " ".join(done.stderr.split())
        assert done.returncode == 2 and "begun" not in done.stdout, done.stdout
        assert f"{other} cannot be read; -c FILE names another one, --socket PATH" in said
    done = run_agent_command(
        "maintenance", "a", "-c", other, "--socket", stack.config["admin_socket"]
    )
    assert done.returncode == 0, done.stderr
    done = run_agent_command("status", "-c", stack.directory / "nowhere.json")
    assert done.returncode == 2 and "--socket" not in done.stderr, done.stderr


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
    # The one to change is not the one that counts.
    assert f"from {stack.tenants_dir}/zz.json" in shadowed["problems"][0]["hint"]
    code, text, _ = stack.admin.run("tenants", "--state", "broken")
    assert "good" not in text and 'unknown key "typo"' in text


def test_a_tenant_whose_host_is_another_ones_is_not_well(agent):
    """Its file is right by itself, and nothing of it is served: that is no state to be left alone."""
    stack = agent({"a": tenant(1)})
    stack.write_tenants({"b": tenant(2), "c": tenant(3, "c.test")}, "b.json")
    wait_until(lambda: tenants(stack).get("b") == "contested", "contested", 30)
    assert tenants(stack) == {"a": "live", "b": "contested", "c": "live"}
    code, text, _ = stack.admin.run("status")
    assert code == 1 and "tenant b is contested: it has not all of its hosts and paths" in text
    text = " ".join(text.split())  # lines are folded
    assert 'b.json:5:9: tenant "b": host "chat.test" is already taken' in text
    assert 'by tenant "a"' in text and "tenants.json:5:9). Kept: a." in text
    code, told = stack.admin.json("tenants", "b")
    assert code == 1 and [problem["code"] for problem in told["problems"]] == ["E204"]
    assert stack.admin.json("tenants", "--state", "contested")[1]["tenants"][0]["name"] == "b"
    # Who had it gives it up.
    stack.write_tenants({"a": tenant(1, "a.test")})
    wait_until(lambda: set(tenants(stack).values()) == {"live"}, "all of them live", 30)
    assert stack.admin.json("status")[0] == 0


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
    shown = stack.admin.run("tenants", "a")[1]  # there is no line to tell
    assert "/tenants.json\n" in shown and "tenants.json:0" not in shown, shown
    assert tenants(stack) == {"a": "kept"}


def test_a_tenant_whose_name_has_no_address_is_unresolved(agent):
    nameserver = {"nameservers": ["127.0.0.1:9"]}
    stack = agent(
        {"a": {**tenant(1), "upstream": "http://no-such-host.invalid:3000"}}, resolver=nameserver
    )
    assert tenants(stack) == {"a": "unresolved"}
    assert stack.admin.run("tenants", "nobody")[0] == 1


def test_a_tenant_comes_with_what_its_open_webui_has_to_be_told(agent):
    main = {"hosts": ["chat.test", "*.chat.test", "ai.test"]}
    stack = agent({"a": {**tenant(1), **main, "https": "redirect"}, "b": tenant(2, "b.test")})
    port = stack.https_port  # other than 443: a page's Origin has it too
    told = stack.admin.json("tenants", "a")[1]["environment"]
    assert told == {
        "WEBUI_URL": f"https://chat.test:{port}",
        "CORS_ALLOW_ORIGIN": f"https://chat.test:{port};https://ai.test:{port}",
        "WEBUI_AUTH_COOKIE_SECURE": "true",
        "WEBUI_SESSION_COOKIE_SECURE": "true",
        "FORWARDED_ALLOW_IPS": "*",
    }
    text = stack.admin.run("tenants", "a")[1]
    assert f"for Open WebUI's environment\n  WEBUI_URL=https://chat.test:{port}\n" in text
    told = stack.admin.json("tenants", "b")[1]["environment"]
    assert told["WEBUI_URL"] == "http://b.test" and "WEBUI_AUTH_COOKIE_SECURE" not in told
    keys = stack.directory / "keys.json"
    keys.write_text(key_set(Key("ES256")))
    identity = {"from": "jwt", "issuer": "https://id.test", "audience": "a", "jwks": str(keys)}
    identity["set"] = {"X-User-Email": "{email}", "X-User-Groups": "{groups}"}
    identity["set"]["X-User"] = "{name} <{email}>"
    code, _, error = stack.admin.run("tenants", "set", "b", f"identity={json.dumps(identity)}")
    assert code == 0, error
    told = stack.admin.json("tenants", "b")[1]["environment"]
    trusted = {key: value for key, value in told.items() if "TRUSTED" in key}
    assert trusted == {
        "WEBUI_AUTH_TRUSTED_EMAIL_HEADER": "X-User-Email",
        "WEBUI_AUTH_TRUSTED_GROUPS_HEADER": "X-User-Groups",
    }


def test_open_webui_is_told_of_other_pages_that_may_use_its_sockets(agent):
    more = {"hosts": ["chat.test", "ai.test"], "origins": ["https://portal.test"]}
    stack = agent(
        {"a": {**tenant(1), **more}, "b": tenant(2, "b.test")},
        defaults={"origins": ["https://all.test"]},
    )
    told = stack.admin.json("tenants", "a")[1]["environment"]["CORS_ALLOW_ORIGIN"]
    assert told == "http://chat.test;http://ai.test;https://portal.test"
    told = stack.admin.json("tenants", "b")[1]["environment"]["CORS_ALLOW_ORIGIN"]
    assert told == "http://b.test;https://all.test"


def test_many_tenants_come_page_by_page(agent):
    stack = agent({f"t{n}": tenant(1, f"t{n}.test") for n in range(2500)})
    status, told, _ = stack.admin.http("GET", "/v1/tenants")
    assert (status, len(told["tenants"]), told["after"]) == (200, 1000, told["tenants"][-1]["name"])
    names = [one["name"] for one in stack.admin.json("tenants")[1]["tenants"]]
    assert len(names) == 2500 and names == sorted(names)


def test_the_next_page_begins_behind_any_name(agent):
    """Those of tenants that are broken may be anything."""
    names = ["50%41", "a+b", "a&b=c", "two words", "\N{LATIN SMALL LETTER U WITH DIAERESIS}rich"]
    stack = agent({"t": tenant(1)})
    stack.write_tenants({name: tenant(2, "x.test") for name in names}, "broken.json")
    wait_until(lambda: len(stack.admin.http("GET", "/v1/tenants")[1]["tenants"]) == 6, "read")
    told, after = [], ""
    while len(told) < 10:
        query = urllib.parse.urlencode({"after": after, "limit": 1})
        page = stack.admin.http("GET", "/v1/tenants?" + query)[1]
        told += [one["name"] for one in page["tenants"]]
        after = page.get("after")
        if after is None:
            break
    assert told == sorted([*names, "t"])
    status = "--state", "broken"
    assert [one["name"] for one in stack.admin.json("tenants", *status)[1]["tenants"]] == sorted(
        names
    )


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
        status, told, headers = stack.admin.http("GET", path)
        assert status == 405 and headers["Allow"] == "POST" and "is not for" in told["error"]
    assert stack.admin.http("PUT", "/v1/status")[2]["Allow"] == "GET"
    headers = stack.admin.http("OPTIONS", "/v1/tenants/a")[2]
    assert sorted(headers["Allow"].split(", ")) == ["DELETE", "GET", "PATCH", "POST", "PUT"]
    assert stack.admin.http("GET", "/v1/nothing")[2]["Allow"] is None
    assert stack.admin.http("GET", "/v1/certificates")[0] == 409
    assert "by=admin" not in stack.agents[0].log()


BAD_BODIES = [b"{", b"\xff\xff", b"[" * 100, b'{"a": 1, "a": 2}', b"\0"]


@pytest.mark.parametrize("body", BAD_BODIES, ids=["cut", "bytes", "deep", "twice", "nul"])
def test_a_bad_body_is_refused(agent, body):
    stack = agent({"a": tenant(1)})
    status, told, _ = stack.admin.http("POST", "/v1/reload", body)
    assert status == 400 and "the body is not JSON" in told["error"]


# --- changes --------------------------------------------------------------------------------------

BY_HAND = """{
    "//": "of the sales department; ask Jo before you touch it",
    "tenants": {
        "one":   {"hosts": ["one.test"], "upstream": "http://10.0.0.1:3000", "https": "off"},
        "two": {
            "_note": "the old machine",
            "hosts":    ["two.test"],
            "upstream": "http://10.0.0.2:3000",
            "https":    "off"
        }
    }
}
"""


@pytest.fixture
def by_hand(agent):
    """An agent with a file that somebody wrote with care."""

    def make(**changes):
        stack = agent({}, **changes)
        stack.file = stack.tenants_dir / "sales.json"
        beside = stack.directory / "sales.new"
        beside.write_text(BY_HAND)
        beside.rename(stack.file)
        wait_until(lambda: {"one", "two"} <= set(tenants(stack)), "read")
        stack.asker = Asker(stack.sockets[0])
        return stack

    return make


def place(stack, host):
    """The last number of the upstream's address, or why there is none."""
    variables = stack.asker.ask(host)
    return int(variables["dst"].split(".")[3]) if "dst" in variables else variables["reason"]


def test_a_change_leaves_the_rest_of_the_file_as_it_is(by_hand):
    stack = by_hand()
    stack.file.chmod(0o604)
    code, out, error = stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    assert (code, error) == (0, "") and out.startswith("two: changed in ")
    assert place(stack, "two.test") == 9
    assert stack.file.read_text() == BY_HAND.replace("10.0.0.2", "10.0.0.9")
    assert stack.file.stat().st_mode & 0o7777 == 0o604
    assert os.listdir(stack.tenants_dir).count("sales.json") == 1
    assert not [name for name in os.listdir(stack.tenants_dir) if name.startswith(".")]


def test_who_adds_a_tenant_is_told_what_open_webui_needs(by_hand):
    stack = by_hand()
    hosts = 'hosts=["bücher.test", "*.b.test", "alias.test"]'
    code, out, _ = stack.admin.run("tenants", "add", "b", hosts, "upstream=http://10.0.0.3:80")
    assert code == 0 and out.startswith("b: added in ")
    name = "xn--bcher-kva.test"
    assert f"\n\nnames that have to lead to HAProxy:\n  {name}\n  alias.test\n" in out
    port = stack.https_port
    assert f"  WEBUI_URL=https://{name}:{port}\n" in out
    assert f"  CORS_ALLOW_ORIGIN=https://{name}:{port};https://alias.test:{port}\n" in out
    assert "  WEBUI_AUTH_COOKIE_SECURE=true\n" in out and "REDIS" not in out
    pairs = ['hosts=["c.test", "d.test"]', "canonical_host=true", "https=off"]
    pairs.append('replicas={"servers": ["10.0.0.4:80", "10.0.0.5:80"]}')
    out = stack.admin.run("tenants", "add", "c", *pairs)[1]
    assert "  WEBUI_URL=http://c.test\n  CORS_ALLOW_ORIGIN=http://c.test\n" in out
    assert "COOKIE_SECURE" not in out and "REDIS_KEY_PREFIX" in out
    out = stack.admin.run("tenants", "add", "w", 'hosts=["*.w.test"]', "upstream=http://10.0.0.6")[
        1
    ]
    assert out.count("\n") == 1
    out = stack.admin.run("tenants", "set", "b", "upstream=http://10.0.0.7:80")[1]
    assert "WEBUI_URL" not in out


def test_who_sets_a_header_is_told_that_clients_can_send_it_yet(by_hand):
    stack = by_hand()
    stack.write_haproxy_config()
    pairs = ['hosts=["b.test"]', "upstream=http://10.0.0.3:80", "https=off"]
    kept_out = '"X-OpenWebUI-Key": "k"'  # by how it begins
    pairs.append(f'headers={{"X-Gate-Key": "k", "Authorization": "Basic YTpi", {kept_out}}}')
    check = lambda: run_agent_command("check", "-c", stack.config_path).stdout

    code, out, error = stack.admin.run("tenants", "add", "b", *pairs)
    assert code == 0 and out.startswith("b: added in ")
    assert error.count("owui-spoa: warning: ") == 1 and "owui-spoa haproxy-config" in error
    assert 'a tenant sets the header "X-Gate-Key", and ' in error and "lets clients send" in error
    wait_until(lambda: "headers=X-Gate-Key" in stack.agents[0].log().replace('"', ""), "the log")
    assert 'sets the header "X-Gate-Key"' in check() and '"Authorization"' not in check()
    told = stack.admin.json("tenants", "set", "b", "https=off")[1]
    assert [one["severity"] for one in told["warnings"]] == ["warning"]

    stack.write_haproxy_config()
    assert "lets clients send" not in check()
    assert stack.admin.run("tenants", "set", "b", "upstream=http://10.0.0.4:80")[2] == ""


def test_somebody_elses_haproxy_cfg_may_keep_a_header_out_in_its_own_way(by_hand):
    stack = by_hand()
    config = stack.write_haproxy_config()
    config.write_text("frontend f\n    http-request del-header X-Gate-\n")
    stack.admin.run("tenants", "set", "two", 'headers={"X-Gate-Key": "s3cret"}')
    assert "lets clients" not in run_agent_command("check", "-c", stack.config_path).stdout


def test_defaults_count_for_what_open_webui_needs(by_hand):
    stack = by_hand(defaults={"https": "off", "canonical_host": True})
    pairs = ['hosts=["b.test", "alias.test"]', "upstream=http://10.0.0.3:80"]
    out = stack.admin.run("tenants", "add", "b", *pairs)[1]
    assert "  WEBUI_URL=http://b.test\n  CORS_ALLOW_ORIGIN=http://b.test\n" in out
    assert "COOKIE_SECURE" not in out


def test_a_tenant_is_added_changed_and_removed(by_hand):
    stack = by_hand()
    hosts = 'hosts=["new.test"]'
    pairs = [hosts, "upstream=http://10.0.0.3:3000", "https=off"]
    code, told = stack.admin.json("tenants", "add", "new", *pairs)
    assert code == 0 and told["state"] == "live" and told["changed"] is True
    file = stack.tenants_dir / "new.json"
    assert json.loads(file.read_text())["tenants"]["new"]["hosts"] == ["new.test"]
    assert place(stack, "new.test") == 3
    assert stack.admin.run("tenants", "add", "new", *pairs)[0] == 1
    assert stack.admin.run("tenants", "set", "new", "https=")[0] == 0
    assert "https" not in json.loads(file.read_text())["tenants"]["new"]
    assert stack.admin.run("tenants", "remove", "new")[0] == 0
    assert place(stack, "new.test") == "unknown-host" and not file.exists()
    assert stack.admin.run("tenants", "remove", "new")[0] == 1
    assert stack.file.read_text() == BY_HAND


def test_a_tenant_is_added_to_a_file_and_leaves_it_as_it_was(by_hand, tmp_path):
    stack = by_hand()
    wish = tmp_path / "wish.json"
    wish.write_text(json.dumps(tenant(4, "four.test", headers={"X-Team": "red, green and blue"})))
    assert stack.admin.run("tenants", "add", "four", wish, "--file", "sales.json")[0] == 0
    text = stack.file.read_text()
    assert text.startswith(BY_HAND[: BY_HAND.index('"https":    "off"')])
    assert '\n        "four": {\n' in text and place(stack, "four.test") == 4
    assert stack.admin.run("tenants", "remove", "four")[0] == 0
    assert stack.file.read_text() == BY_HAND


def test_a_file_goes_with_its_tenant_when_it_says_nothing_else(by_hand):
    """And has the tenant's name: another's may be linked to, or watched."""
    stack = by_hand()
    note = {"// why": "a trial"}
    tenants = {"three": tenant(3, "three.test"), "four": tenant(4, "four.test")}
    (stack.tenants_dir / "other.json").write_text(
        json.dumps({"tenants": {"three": tenants["three"]}})
    )
    (stack.tenants_dir / "four.json").write_text(
        json.dumps({**note, "tenants": {"four": tenants["four"]}})
    )
    wait_until(lambda: place(stack, "three.test") == 3, "three")
    wait_until(lambda: place(stack, "four.test") == 4, "four")
    for name in tenants:
        assert stack.admin.run("tenants", "remove", name)[0] == 0
    left = [json.loads((stack.tenants_dir / f"{n}.json").read_text()) for n in ("other", "four")]
    assert left == [{"tenants": {}}, {**note, "tenants": {}}]


def test_what_would_be_wrong_is_not_written(by_hand):
    stack = by_hand()
    refused = [
        (["set", "two", "upsteam=http://10.0.0.9:3000"], 'did you mean "upstream"?'),
        (["set", "two", "upstream=http://192.0.2.1:3000"], "192.0.2.1"),
        (["set", "two", 'hosts=["one.test"]'], 'one.test belongs to tenant "one"'),
        (["add", "x", 'hosts=["one.test"]', "upstream=http://10.0.0.3:3000"], "belongs to tenant"),
        (["add", "x", "upstream=http://10.0.0.3:3000"], "neither a host nor a path"),
        (["set", "nobody", "https=off"], 'no tenant "nobody"'),
    ]
    for arguments, reason in refused:
        code, _, error = stack.admin.run("tenants", *arguments)
        assert code == 1 and reason in error, error
    assert stack.file.read_text() == BY_HAND and os.listdir(stack.tenants_dir).count("x.json") == 0
    assert tenants(stack) == {"one": "live", "two": "live"}


def test_a_body_has_as_many_keys_as_a_tenant_may_have(by_hand):
    """Each is a walk through the file, on the thread that must not stand still."""
    stack = by_hand()
    keys = {f"key-{number}": 1 for number in range(5000)}
    assert stack.admin.run("maintenance", "two")[0] == 0
    for method, path, body in [
        ("PATCH", "/v1/tenants/two", keys),
        ("POST", "/v1/tenants/two/maintenance", {"on": True, **keys}),
    ]:
        start = time.monotonic()
        status, told, _ = stack.admin.http(method, path, body)
        assert status == 422 and "expected up to 100" in told["error"]
        assert time.monotonic() - start < 2
    notes = {f"_note-{number}": 1 for number in range(100)}
    assert stack.admin.http("PATCH", "/v1/tenants/two", notes)[0] == 200


def test_names_do_not_lead_out_of_the_folder(by_hand):
    stack = by_hand()
    body = tenant(3, "evil.test")
    for name in ["../x", "..%2fx", "%2e%2e", "..", ".hidden", "UPPER", "a%00b", "x" * 64]:
        status = stack.admin.http("POST", f"/v1/tenants/{name}", body)[0]
        assert status in (400, 404), name
    long = f"{'x' * 250}.json"
    for file in ["../x.json", "..%2fx.json", ".x.json", "x", "/tmp/x.json", "a/b.json", long]:
        status = stack.admin.http("POST", f"/v1/tenants/evil?file={file}", body)[0]
        assert status == 400, file
    assert not list(stack.directory.glob("**/x.json")) and place(stack, "evil.test") != 3
    assert stack.admin.run("tenants", "add", "../x", "https=off")[0] == 2


def test_a_files_name_is_decoded(by_hand):
    stack = by_hand()
    names = {"my%2Dfile+x.json": "my-file x.json", "%C3%A4.json": "\u00e4.json"}
    for number, (sent, name) in enumerate(names.items(), 3):
        path = f"/v1/tenants/new{number}?file={sent}"
        status, told, _ = stack.admin.http("POST", path, tenant(number, f"new{number}.test"))
        assert status == 201 and told["file"] == str(stack.tenants_dir / name)
        assert (stack.tenants_dir / name).exists() and place(stack, f"new{number}.test") == number
    for sent in ["a%0Ab.json", "%1b.json", "%7f.json", "%ff.json", "..%2Fx.json", "%2ex.json"]:
        path = f"/v1/tenants/evil?file={sent}"
        assert stack.admin.http("POST", path, tenant(9, "evil.test"))[0] == 400, sent
    assert stack.admin.http("POST", "/v1/tenants/own?file=", tenant(9, "own.test"))[0] == 201
    assert (stack.tenants_dir / "own.json").exists()


def test_bodies_that_are_no_tenant_are_refused(by_hand):
    stack = by_hand()
    for body in [None, [], [1], {}, {"hosts": 1}, {"hosts": ["n.test"], "upstream": None}]:
        assert stack.admin.http("POST", "/v1/tenants/new", body)[0] in (400, 422), body
        assert stack.admin.http("PUT", "/v1/tenants/two", body)[0] in (400, 422), body
    for body in [None, [], {"on": 1}, {"to": "x"}, {"to": 1}]:
        for word in ["maintenance", "switch"]:
            assert stack.admin.http("POST", f"/v1/tenants/two/{word}", body)[0] in (400, 422)
    assert stack.admin.http("PATCH", "/v1/tenants/two", b"{" * 2000000)[0] == 413
    assert stack.file.read_text() == BY_HAND


def test_only_what_was_looked_at_is_changed(by_hand):
    stack = by_hand()
    status, told, headers = stack.admin.http("GET", "/v1/tenants/two")
    etag = headers["ETag"]
    assert status == 200 and told["etag"] == etag
    stack.file.write_text(BY_HAND.replace("the old machine", "the new machine"))
    change = {"upstream": "http://10.0.0.9:3000"}
    status, told, _ = stack.admin.http("PATCH", "/v1/tenants/two", change, If_Match=etag)
    assert status == 412 and "since you looked" in told["error"]
    assert stack.admin.http("DELETE", "/v1/tenants/two", If_Match=etag)[0] == 412
    other = {"upstream": "http://10.0.0.7:3000"}
    assert stack.admin.http("PATCH", "/v1/tenants/two", other, If_Match="*")[0] == 200
    etag = stack.admin.http("GET", "/v1/tenants/two")[2]["ETag"]
    status, told, headers = stack.admin.http("PATCH", "/v1/tenants/two", change, If_Match=etag)
    assert status == 200 and headers["ETag"] == told["etag"] != etag
    status, told, headers = stack.admin.http("PATCH", "/v1/tenants/two", change)
    assert status == 200 and told["changed"] is False and place(stack, "two.test") == 9


def test_an_if_match_is_a_list_that_says_something(by_hand):
    stack = by_hand()
    change = {"upstream": "http://10.0.0.9:3000"}
    for nothing in ["", " "]:
        status, told, _ = stack.admin.http("PATCH", "/v1/tenants/two", change, If_Match=nothing)
        assert status == 400 and "If-Match" in told["error"]
    for wrong in ['"0"', '"0", "1"', ",", '"0",']:
        assert stack.admin.http("PATCH", "/v1/tenants/two", change, If_Match=wrong)[0] == 412, wrong
    assert stack.file.read_text() == BY_HAND
    etag = stack.admin.http("GET", "/v1/tenants/two")[2]["ETag"]
    for around in ['"0", {}', '{},"0"', '"0" ,{}, "1"']:
        change, right = {"_note": around}, around.format(etag)
        status, told, headers = stack.admin.http("PATCH", "/v1/tenants/two", change, If_Match=right)
        assert status == 200 and told["changed"] is True, right
        etag = headers["ETag"]


def test_what_is_changed_to_what_it_is_already_is_in_force(by_hand):
    """Written without being closed, so that the daemon has not heard of it."""
    stack = by_hand()
    with open(stack.file, "r+") as unseen:
        unseen.write(BY_HAND.replace("10.0.0.2:", "10.0.0.9:"))
        unseen.flush()
        change = {"upstream": "http://10.0.0.9:3000"}
        status, told, _ = stack.admin.http("PATCH", "/v1/tenants/two", change)
        assert status == 200 and told["changed"] is False and place(stack, "two.test") == 9
    assert history(stack)[0]["by"] == "watch"


def test_what_is_written_by_hand_in_the_meantime_stays(new_stack):
    """The disk is slow, so that there is time to do it."""
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"]})
    stack.write_tenants({"one": tenant(1, "one.test")}, "one.json")
    disk = SlowDisk(stack, f"{stack.tenants_dir}/.")
    disk.done()
    stack.write_config()
    stack.start_agent()
    wait_until(lambda: " ready " in stack.agents[0].log(), "everything is read")
    stack.admin = Admin(stack)
    change = {"upstream": "http://10.0.0.2:3000"}
    assert stack.admin.http("PATCH", "/v1/tenants/one", change)[0] == 200
    for number, (name, *asked) in enumerate(
        [
            ("one", "POST", "/v1/history/0/rollback?force=1"),
            ("one", "PATCH", "/v1/tenants/one", {"_note": "the service's"}),
            ("new", "POST", "/v1/tenants/new", tenant(9, "new.test")),
        ],
        3,
    ):
        mine = json.dumps({"tenants": {name: tenant(number, f"{name}.test")}})
        file, latest = stack.tenants_dir / f"{name}.json", history(stack)[0]["id"]
        beside = stack.directory / "beside"
        beside.write_text(mine)
        disk.path.touch()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(stack.admin.http, *asked)
            wait_until((file.parent / f".{name}.json.new").exists, "it is being written")
            beside.rename(file)
            disk.done()
            status, told, _ = answer.result()
        assert status == 409 and "has just been changed: try again" in told["error"], told
        assert file.read_text() == mine and not (file.parent / f".{name}.json.new").exists()
        wait_until(lambda: history(stack)[0]["id"] > latest, "it is read")
        assert history(stack)[0]["by"] == "watch" and tenants(stack)[name] == "live"


def test_blue_and_green_by_one_command(by_hand):
    stack = by_hand()
    versions = {"blue": "http://10.0.0.11:3000", "green": "http://10.0.0.12:3000"}
    body = {"upstream": None, "versions": versions, "active": "blue"}
    assert stack.admin.http("PATCH", "/v1/tenants/two", body)[0] == 200
    assert place(stack, "two.test") == 11
    assert stack.admin.run("switch", "two", "green")[0] == 0
    assert place(stack, "two.test") == 12
    code, _, error = stack.admin.run("switch", "two", "red")
    assert code == 1 and "red" in error and place(stack, "two.test") == 12
    assert stack.admin.run("switch", "two", "blue")[0] == 0
    assert place(stack, "two.test") == 11
    history = stack.admin.http("GET", "/v1/history")[1]["history"]
    assert [one["what"] for one in history[:2]] == [
        "switch tenant two from green to blue",
        "switch tenant two from blue to green",
    ]


def test_two_admins_at_once_lose_nothing(by_hand):
    stack = by_hand()

    def add(number):
        body = tenant(number, f"t{number}.test")
        return stack.admin.http("POST", f"/v1/tenants/t{number}?file=sales.json", body)[0]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add, range(10, 50))) == {201}
    held = json.loads(stack.file.read_text())["tenants"]
    assert len(held) == 42 and set(tenants(stack).values()) == {"live"}
    with ThreadPoolExecutor(8) as pool:
        remove = lambda n: stack.admin.http("DELETE", f"/v1/tenants/t{n}")[0]  # noqa: E731
        assert set(pool.map(remove, range(10, 50))) == {200}
    assert stack.file.read_text() == BY_HAND


def test_who_changed_what_is_logged(by_hand):
    stack = by_hand()
    assert stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")[0] == 0
    log = stack.agents[0].log()
    assert f"admin method=PATCH path=/v1/tenants/two uid={os.getuid()} pid=" in log
    assert "reload by=admin" in log


def test_a_killed_agent_leaves_a_whole_file(by_hand):
    stack = by_hand()
    for _ in range(3):
        before = {one: f"http://10.0.0.{one}:3000" for one in range(20, 30)}

        def change(number):
            for _ in range(20):
                try:
                    body = {"upstream": before[number], "_filler": "x" * 200000}
                    stack.admin.http("PATCH", "/v1/tenants/two", body)
                except OSError:
                    return

        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(change, number) for number in (20, 21, 22, 23)]
            wait_until(lambda: "10.0.0.2" in stack.file.read_text(), "a change")
            stack.agents[0].stop(signal.SIGKILL)
            for one in done:
                one.exception()
        held = json.loads(stack.file.read_text())["tenants"]
        assert held["one"]["hosts"] == ["one.test"] and held["two"]["hosts"] == ["two.test"]
        stack.start_agent()
        wait_until(lambda: accepts(stack.config["admin_socket"]), "the admin socket is there")
    assert set(tenants(stack).values()) == {"live"}


@pytest.mark.skipif(not may_mount(), reason="needs to mount in a namespace of its own")
def test_a_full_disk_changes_nothing(new_stack):
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"]})
    disk = SmallDisk(stack, stack.tenants_dir)
    try:
        file = disk.seen(stack.tenants_dir / "sales.json")
        file.write_text(BY_HAND)
        stack.write_config()
        disk.start_agent()
        wait_until(lambda: accepts(stack.config["admin_socket"]), "the admin socket is there")
        admin = Admin(stack)
        disk.fill()
        change = {"_filler": "x" * 20000, "upstream": "http://10.0.0.9:3000"}
        status, told, _ = admin.http("PATCH", "/v1/tenants/two", change)
        assert status == 507 and told["error"].startswith("nothing is changed: ")
        assert "No space left" in told["error"]
        assert file.read_text() == BY_HAND
        assert sorted(os.listdir(file.parent)) == ["filler", "sales.json"]
        disk.free()
        assert admin.http("PATCH", "/v1/tenants/two", change)[0] == 200
        assert json.loads(file.read_text())["tenants"]["two"]["upstream"] == change["upstream"]
    finally:
        stack.agents[0].stop()
        disk.holder.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the agent another user")
def test_a_folder_that_may_not_be_written_is_told_with_its_remedy(new_stack):
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"]})
    stack.write_tenants({"a": tenant(1)})
    stack.write_config()
    stack.directory.chmod(0o777)
    stack.start_agent(user=65534)
    wait_until(lambda: accepts(stack.config["admin_socket"]), "the admin socket is there")
    code, _, error = Admin(stack).run("tenants", "set", "a", "upstream=http://10.0.0.2:3000")
    assert code == 1 and "Permission denied" in error
    assert f"chmod 2770 {stack.tenants_dir}" in error
    code, _, error = Admin(stack).run("tenants", "remove", "a")
    assert code == 1 and error.count(f"chmod 2770 {stack.tenants_dir}") == 1, error


@pytest.mark.skipif(not may_mount(), reason="mounts a file")
def test_a_file_that_is_mounted_by_itself_is_told_with_its_remedy(new_stack):
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"]})
    stack.write_tenants({"a": tenant(1)})
    (file,) = stack.tenants_dir.iterdir()
    mount = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$0" && exec "$@"', file]
    stack.agent_wrapper = mount
    stack.write_config()
    stack.start_agent()
    before = file.read_text()
    assert Admin(stack).http("PATCH", "/v1/tenants/a", {"https": "redirect"})[0] == 409
    code, _, error = Admin(stack).run("tenants", "set", "a", "upstream=http://10.0.0.2:3000")
    assert code == 1 and f"{file} is mounted by itself" in error, error
    assert "mount its folder instead" in error
    assert file.read_text() == before and list(stack.tenants_dir.iterdir()) == [file]


def test_a_link_and_the_global_file_are_left_alone(by_hand, tmp_path):
    stack = by_hand(tenants={"inlined": tenant(7, "inlined.test")})
    elsewhere = tmp_path / "linked.json"
    elsewhere.write_text(json.dumps({"tenants": {"linked": tenant(5, "linked.test")}}))
    (stack.tenants_dir / "linked.json").symlink_to(elsewhere)
    wait_until(lambda: "linked" in tenants(stack), "the link is read")
    change = {"https": "redirect"}
    assert stack.admin.http("PATCH", "/v1/tenants/linked", change)[0] == 409
    code, _, error = stack.admin.run("tenants", "set", "linked", "https=redirect")
    assert code == 1 and "is a link" in error and elsewhere.read_text().count("off") == 1
    code, _, error = stack.admin.run("tenants", "remove", "linked")
    assert code == 1 and "is a link" in error and (stack.tenants_dir / "linked.json").is_symlink()
    code, _, error = stack.admin.run("tenants", "set", "inlined", "https=redirect")
    assert code == 1 and "stands in the global file" in error


def test_a_wildcard_that_is_taken_is_refused_also_beside_an_exact_host(by_hand):
    stack = by_hand()
    for name, host in ("w", "*.w.test"), ("x", "x.w.test"):
        assert stack.admin.http("POST", f"/v1/tenants/{name}", tenant(8, host))[0] == 201
    status, answer = stack.admin.http("POST", "/v1/tenants/late", tenant(9, "*.w.test"))[:2]
    assert status == 409 and '*.w.test belongs to tenant "w"' in json.dumps(answer).replace(
        "\\", ""
    )


def test_a_contested_tenant_is_changed_like_others(by_hand):
    """What it does not get is known, and no reason to let it go on."""
    stack = by_hand()
    late = {"tenants": {"late": {**tenant(9), "hosts": ["late.test", "one.test"]}}}
    (stack.tenants_dir / "z.json").write_text(json.dumps(late))
    wait_until(lambda: tenants(stack).get("late") == "contested", "read")
    assert stack.admin.run("suspend", "late")[0] == 0
    assert place(stack, "late.test") == "suspended"
    status = stack.admin.http("PATCH", "/v1/tenants/late", {"hosts": ["late.test", "two.test"]})[0]
    assert status == 409


def test_suspended_and_resumed_by_one_command(by_hand):
    stack = by_hand()
    assert stack.admin.run("suspend", "two", "status=403")[0] == 0
    assert place(stack, "two.test") == "suspended"
    assert json.loads(stack.file.read_text())["tenants"]["two"]["suspended"] == {"status": 403}
    code, _, error = stack.admin.run("suspend", "two", "status=200")
    assert code == 1 and "status" in error
    assert stack.admin.run("suspend", "two", "--off")[0] == 0
    assert stack.file.read_text() == BY_HAND and place(stack, "two.test") == 2


def test_maintenance_keeps_what_stands_there(by_hand):
    stack = by_hand()
    allowed = 'allow_ips=["203.0.113.0/24"]'
    assert stack.admin.run("maintenance", "two", allowed, "retry_after=30m")[0] == 0
    assert place(stack, "two.test") == "maintenance"
    assert stack.admin.run("maintenance", "two", "--off")[0] == 0
    assert place(stack, "two.test") == 2
    held = json.loads(stack.file.read_text())["tenants"]["two"]["maintenance"]
    assert held == {"allow_ips": ["203.0.113.0/24"], "retry_after": "30m", "on": False}
    assert stack.admin.run("maintenance", "two")[0] == 0
    assert place(stack, "two.test") == "maintenance"


def test_what_is_said_of_on_counts(by_hand, tmp_path):
    """Who writes that it is off must not get an outage."""
    stack = by_hand()
    file = tmp_path / "off.json"
    file.write_text('{"on": false}')
    for word in ("on=false", file):
        assert stack.admin.run("maintenance", "two")[0] == 0
        code, said, _ = stack.admin.run("maintenance", "two", word)
        assert code == 0 and "two: maintenance ended in" in said
        assert place(stack, "two.test") == 2
    code, said, _ = stack.admin.run("maintenance", "two", "on=true")
    assert code == 0 and "two: maintenance begun in" in said
    code, _, error = stack.admin.run("maintenance", "two", "--off", "on=true")
    assert code == 2 and "one of them is enough" in error
    assert stack.admin.run("maintenance", "two", "on=maybe")[0] == 1
    assert place(stack, "two.test") == "maintenance"


def test_a_window_is_planned_and_no_more(by_hand):
    stack = by_hand()
    window = 'window={"from": "2126-12-01T02:00Z", "to": "2126-12-01T03:00Z"}'
    code, said = stack.admin.run("maintenance", "two", window)[:2]
    assert code == 0 and "two: maintenance is planned in" in said
    assert place(stack, "two.test") == 2
    # It takes nothing back either.
    assert stack.admin.run("maintenance", "two")[0] == 0
    assert stack.admin.run("maintenance", "two", window.replace("03:00", "04:00"))[0] == 0
    assert place(stack, "two.test") == "maintenance"
    held = json.loads(stack.file.read_text())["tenants"]["two"]["maintenance"]
    assert held["on"] is True and held["window"]["to"] == "2126-12-01T04:00Z"
    assert stack.admin.run("maintenance", "two", "--off")[0] == 0
    assert place(stack, "two.test") == 2


def test_no_window_is_none_where_none_was(by_hand):
    stack = by_hand()
    for pair, body in ((), {"window": None}), (("--off",), {"on": False, "window": None}):
        code, said, error = stack.admin.run("maintenance", "two", *pair, "window=")
        assert (code, error) == (0, ""), said
        stack.file.write_text(BY_HAND)
        code, told, _ = stack.admin.http("POST", "/v1/tenants/two/maintenance", body)
        assert code == 200 and told["changed"] == ("on" in body)
        held = json.loads(stack.file.read_text())["tenants"]["two"].get("maintenance")
        assert held == ({"on": False} if "on" in body else None)
        stack.file.write_text(BY_HAND)


def test_an_end_by_hand_tells_of_a_window_that_stays(by_hand):
    """It would be thought that the tenant serves, or that nothing is planned any more."""
    stack = by_hand()
    window = 'window={"from": "2006-12-01T02:00Z", "to": "2126-12-01T03:00Z"}'
    assert stack.admin.run("maintenance", "two", window)[0] == 0
    code, said, error = stack.admin.run("maintenance", "two", "--off")
    assert code == 0 and "from 2006-12-01T02:00Z to 2126-12-01T03:00Z" in error, said + error
    assert "owui-spoa maintenance two --off window=" in error
    code, said, error = stack.admin.run("maintenance", "two", "--off", "window=")
    assert (code, error) == (0, "") and "two: maintenance ended in" in said
    assert place(stack, "two.test") == 2
    assert stack.admin.run("maintenance", "two", window)[0] == 0
    code, said, error = stack.admin.run("maintenance", "two", "window=")
    assert (code, error) == (0, "") and "two: maintenance is planned no more in" in said
    assert place(stack, "two.test") == 2
    past = window.replace("2126", "2016")
    assert stack.admin.run("maintenance", "two", past)[0] == 0
    assert stack.admin.run("maintenance", "two", "--off")[2] == ""


@pytest.mark.parametrize("command", ["maintenance", "suspend"])
def test_what_is_no_object_is_refused(by_hand, tmp_path, command):
    stack = by_hand()
    file = tmp_path / "list.json"
    file.write_text("[1]")
    code, _, error = stack.admin.run(command, "two", file)
    assert code == 2 and f"{file}: expected an object" in error
    code, _, error = stack.admin.run(command, "two", "page.html")
    assert code == 2 and "neither KEY=VALUE nor a file that can be read" in error
    assert stack.file.read_text() == BY_HAND


def test_the_end_of_a_suspension_takes_no_keys(by_hand):
    code, _, error = by_hand().admin.run("suspend", "two", "--off", "status=403")
    assert code == 2 and 'unexpected argument "status=403"' in error


def test_tenants_tell_who_does_not_serve(by_hand):
    stack = by_hand()
    assert stack.admin.run("maintenance", "two")[0] == 0
    assert stack.admin.run("suspend", "one")[0] == 0
    rows = stack.admin.run("tenants")[1].splitlines()
    (one,) = [row for row in rows if row.startswith("one ")]
    (two,) = [row for row in rows if row.startswith("two ")]
    assert one.endswith(", suspended") and two.endswith(", in maintenance")
    assert "outage     suspended\n" in stack.admin.run("tenants", "one")[1]
    assert stack.admin.run("suspend", "one", "--off")[0] == 0
    assert "outage" not in stack.admin.run("tenants", "one")[1]


# --- history and rollback -------------------------------------------------------------------------


def history(stack):
    """The latest first."""
    return stack.admin.json("history")[1]["history"]


def test_every_change_is_told_with_who_and_what(by_hand):
    stack = by_hand()
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    stack.file.write_text(stack.file.read_text().replace("10.0.0.1:", "10.0.0.8:"))
    wait_until(lambda: place(stack, "one.test") == 8, "read")
    by_file, by_admin, first = history(stack)
    assert (by_file["by"], by_file["tenants"]) == ("watch", ["one"])
    assert (by_admin["by"], by_admin["what"]) == ("admin", "change tenant two")
    assert f"(uid {os.getuid()}, pid " in by_admin["who"]
    assert sorted(first["tenants"]) == ["one", "two"] and first["by"] == "watch"
    assert [file["name"] for file in by_file["files"]] == ["sales.json"]
    told = stack.admin.json("history", by_admin["id"])[1]["differences"]
    assert [one["tenant"] for one in told] == ["two"]
    assert told[0]["before"]["upstream"] == "http://10.0.0.2:3000"
    assert told[0]["after"]["upstream"] == "http://10.0.0.9:3000"
    code, text, _ = stack.admin.run("history")
    assert code == 0 and "change tenant two" in text
    assert stack.admin.run("history", 99)[0] == 1
    stack.file.write_text(stack.file.read_text() + "\n")  # nothing that a tenant shows
    wait_until(lambda: len(history(stack)) == 4, "written down")
    assert "  sales.json, by whoever" in stack.admin.run("history")[1]


def test_a_rollback_writes_the_files_back(by_hand):
    stack = by_hand()
    base = history(stack)[0]["id"]
    stack.file.chmod(0o640)
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    body = tenant(3, "new.test")
    assert stack.admin.http("POST", "/v1/tenants/new", body)[0] == 201
    stack.file.write_text(stack.file.read_text().replace("10.0.0.1:", "10.0.0.8:"))
    wait_until(lambda: place(stack, "one.test") == 8, "read")
    after = history(stack)[0]["id"]
    code, told = stack.admin.json("rollback", base)
    assert code == 0 and len(told["files"]) == 2
    assert stack.file.read_text() == BY_HAND and stack.file.stat().st_mode & 0o777 == 0o640
    assert not (stack.tenants_dir / "new.json").exists()
    assert [place(stack, f"{host}.test") for host in ("one", "two")] == [1, 2]
    assert place(stack, "new.test") == "unknown-host"
    latest = history(stack)[0]
    assert latest["what"] == f"roll back to {base}" and latest["id"] == after + 1
    assert stack.admin.run("rollback", after)[0] == 0
    assert [place(stack, f"{host}.test") for host in ("one", "two", "new")] == [8, 9, 3]
    assert stack.admin.run("rollback", 999)[0] == 1
    assert stack.admin.run("rollback", latest["id"])[0] == 0
    assert stack.file.read_text() == BY_HAND


def test_no_way_back_leads_into_another_folder(by_hand):
    """Records have names of files, and were of those in the folder that was named then."""
    stack = by_hand()
    base = history(stack)[0]["id"]
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    other = stack.directory / "other.d"
    other.mkdir()
    (other / "z.json").write_text(json.dumps({"tenants": {"z": tenant(4, "z.test")}}))
    stack.config["tenants_dir"] = str(other)
    stack.write_config()
    stack.agents[0].send_signal(signal.SIGHUP)
    wait_until(lambda: place(stack, "z.test") == 4, "read")
    moved = history(stack)[0]["id"]
    for number in base, moved - 1:
        code, _, error = stack.admin.run("rollback", number)
        assert code == 1 and "tenants_dir" in error
    assert os.listdir(other) == ["z.json"] and place(stack, "z.test") == 4
    stack.admin.run("tenants", "set", "z", "upstream=http://10.0.0.5:3000")
    assert stack.admin.run("rollback", moved)[0] == 0
    assert place(stack, "z.test") == 4


def test_a_folder_may_be_named_in_another_way(by_hand):
    """The default, which is beside the global file, as a name and as a path."""
    stack = by_hand()
    for number, folder in enumerate([None, "tenants.d", str(stack.tenants_dir)]):
        before = history(stack)[0]["id"]
        stack.config["tenants_dir"] = folder
        if folder is None:
            del stack.config["tenants_dir"]
        stack.write_config()
        wait_until(lambda: history(stack)[0]["id"] > before, "recorded")
        stack.admin.run("tenants", "set", "two", f"upstream=http://10.0.0.{number + 4}:3000")
        wait_until(lambda: place(stack, "two.test") == number + 4, "changed")
        code, _, error = stack.admin.run("rollback", before)
        assert code == 0, error
        assert place(stack, "two.test") == 2


def test_what_changed_is_told_up_to_the_next_change(by_hand):
    """Of a file that a later change has in common with it, and of one that none has."""
    stack = by_hand()
    names = [f"t{number}" for number in range(40)]
    for name in names:
        assert stack.admin.http("POST", f"/v1/tenants/{name}", tenant(3, f"{name}.test"))[0] == 201
    base = history(stack)[0]["id"] - len(names)
    assert stack.admin.run("rollback", base)[0] == 0
    taken = history(stack)[0]["id"]
    assert stack.admin.http("POST", "/v1/tenants/t1", tenant(4, "t1.test"))[0] == 201
    told = stack.admin.json("history", taken)[1]["differences"]
    assert sorted(one["tenant"] for one in told) == sorted(names)
    assert all("after" not in one for one in told)
    told = stack.admin.json("history", base + 2)[1]["differences"]
    assert [(one["tenant"], one["after"]["upstream"]) for one in told] == [
        ("t1", "http://10.0.0.3:3000")
    ]


def test_a_rollback_tells_what_it_has_written_and_no_more(by_hand):
    stack = by_hand()
    base = history(stack)[0]["id"]
    assert stack.admin.http("POST", "/v1/tenants/new", tenant(3, "new.test"))[0] == 201
    assert stack.admin.run("tenants", "remove", "new")[0] == 0
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    code, told = stack.admin.json("rollback", base)
    assert code == 0 and told["files"] == [str(stack.file)]
    code, told = stack.admin.json("rollback", base)
    assert code == 0 and told["files"] == []
    assert "nothing to change" in stack.admin.run("rollback", base)[1]


def test_a_rollback_undoes_what_was_looked_at(by_hand):
    stack = by_hand()
    base = history(stack)[0]["id"]
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    for last in (base, base + 2, 0):
        path = f"/v1/history/{base}/rollback?last={last}"
        status, told, _ = stack.admin.http("POST", path)
        assert status == 412 and "since you looked" in told["error"]
        assert stack.admin.http("POST", path + "&force=1")[0] == 412
    assert place(stack, "two.test") == 9
    path = f"/v1/history/{base}/rollback?last={base + 1}"
    assert stack.admin.http("POST", path)[0] == 200 and place(stack, "two.test") == 2


def test_a_rollback_to_what_is_there_already_is_in_force(by_hand):
    """Written without being closed, so that the daemon has not heard of it."""
    stack = by_hand()
    base = history(stack)[0]["id"]
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    with open(stack.file, "r+") as unseen:
        unseen.write(BY_HAND)
        unseen.truncate()
        unseen.flush()
        code, told = stack.admin.json("rollback", base)
        assert code == 0 and told["files"] == [] and place(stack, "two.test") == 2


def test_a_file_may_be_called_as_the_record_is(by_hand):
    """record.json is the name of what tells about a change, too."""
    stack = by_hand()
    base = history(stack)[0]["id"]
    assert stack.admin.http("POST", "/v1/tenants/record", tenant(3, "new.test"))[0] == 201
    added = history(stack)[0]["id"]
    change = {"upstream": "http://10.0.0.4:3000"}
    assert stack.admin.http("PATCH", "/v1/tenants/record", change)[0] == 200
    changed = history(stack)[0]["id"]
    (told,) = stack.admin.json("history", changed)[1]["differences"]
    assert told["before"]["upstream"] == "http://10.0.0.3:3000"
    for number, there in ((added, 3), (changed, 4), (base, "unknown-host"), (added, 3)):
        code, _, error = stack.admin.run("rollback", number)
        assert code == 0 and place(stack, "new.test") == there, error


def test_a_change_that_cannot_be_recorded_is_recorded_later(by_hand):
    """A folder is in the way of what the next change is compared with."""
    stack = by_hand()
    base = history(stack)[0]["id"]
    way = stack.directory / "state/history/shadow/.sales.json.new"

    def change(number):
        stack.admin.run("tenants", "set", "two", f"upstream=http://10.0.0.{number}:3000")
        assert place(stack, "two.test") == number

    def roll_back(to, number):
        code, _, error = stack.admin.run("rollback", to)
        assert code == 0 and place(stack, "two.test") == number, error

    way.mkdir()
    change(7)
    log = stack.agents[0].log()
    assert "history_failed" in log and "cannot be rolled back" in log
    code, _, error = stack.admin.run("rollback", base)
    assert code == 1 and "could not be recorded" in error and "history_failed" in error
    assert place(stack, "two.test") == 7 and history(stack)[0]["id"] == base
    way.rmdir()
    roll_back(base, 2)
    assert [one["id"] - base for one in history(stack)[:2]] == [2, 1]
    assert history(stack)[1]["what"] == "could not be recorded at once"
    roll_back(base + 1, 7)

    way.mkdir()
    change(8)
    way.rmdir()
    change(9)
    assert history(stack)[0]["id"] == base + 4
    (told,) = stack.admin.json("history", base + 4)[1]["differences"]
    assert told["before"]["upstream"] == "http://10.0.0.7:3000"
    roll_back(base + 3, 7)
    roll_back(base + 4, 9)


def test_what_cannot_be_read_is_not_taken_for_what_was_not_there(by_hand):
    """To go back behind such a change would take the file away."""
    stack = by_hand()
    base = history(stack)[0]["id"]
    shadow = stack.directory / "state/history/shadow/sales.json"
    kept = shadow.read_bytes()
    shadow.unlink()
    shadow.symlink_to(shadow.name)  # a loop
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.7:3000")
    assert f"cannot open {shadow}" in stack.agents[0].log()
    assert history(stack)[0]["id"] == base
    code, _, error = stack.admin.run("rollback", base)
    assert code == 1 and "could not be recorded" in error
    assert place(stack, "two.test") == 7 and stack.file.exists()
    shadow.unlink()
    shadow.write_bytes(kept)
    assert stack.admin.run("rollback", base)[0] == 0 and stack.file.read_text() == BY_HAND


def test_what_is_in_the_way_of_a_record_is_named(by_hand):
    """As the folder of one that was made by another user is."""
    stack = by_hand()
    base = history(stack)[0]["id"]
    way = stack.directory / f"state/history/{base + 1:08}"
    way.write_text("")
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.7:3000")
    assert f"cannot open the folder {way}" in stack.agents[0].log()


def test_a_change_of_two_files_is_recorded_as_a_whole_or_not(by_hand):
    """Or with the next change, though that is one of another file."""
    stack = by_hand()
    places = lambda *names: [place(stack, f"{name}.test") for name in names]
    assert stack.admin.http("POST", "/v1/tenants/new", tenant(3, "new.test"))[0] == 201
    base = history(stack)[0]["id"]
    for name in ("two", "new"):
        stack.admin.run("tenants", "set", name, "upstream=http://10.0.0.8:3000")
    for file in ("new.json", "sales.json"):  # the first of the two cannot follow, or the second
        latest = history(stack)[0]["id"]
        way = stack.directory / f"state/history/shadow/.{file}.new"
        way.mkdir()
        assert stack.admin.run("rollback", base)[0] == 0 and places("two", "new") == [2, 3]
        assert history(stack)[0]["id"] == latest
        way.rmdir()
        other = tenant(4, "other.test")
        assert stack.admin.http("POST", "/v1/tenants/other", other)[0] == 201
        record = history(stack)[0]
        files = [one["name"] for one in record["files"]]
        assert sorted(files) == ["new.json", "other.json", "sales.json"]
        assert record["id"] == latest + 1
        assert stack.admin.run("rollback", latest)[0] == 0
        assert places("two", "new", "other") == [8, 8, "unknown-host"]


def test_a_record_that_lacks_a_file_is_no_way_back(by_hand):
    """Taken for one that was not there, it would be removed."""
    stack = by_hand()
    base = history(stack)[0]["id"]
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    (stack.directory / f"state/history/{base + 1:08}/sales.json").unlink()
    code, _, error = stack.admin.run("rollback", base)
    assert code == 1 and "cannot be gone back to" in error
    assert place(stack, "two.test") == 9


def test_a_rollback_does_not_overwrite_what_nobody_has_seen(by_hand):
    stack = by_hand()
    base = history(stack)[0]["id"]
    for _ in range(5):
        stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
        # Written without being closed, so that the daemon has not heard of it; only where it was
        # late to look at what it had written itself has it seen this, too.
        with open(stack.file, "a") as unseen:
            unseen.write("\n\n")
            unseen.flush()
            code, _, error = stack.admin.run("rollback", base)
            if code == 0:
                continue
            assert code == 1 and "in the meantime" in error
            assert stack.file.read_text().endswith("\n\n\n")
            assert stack.admin.run("rollback", base, "--force")[0] == 0
            assert stack.file.read_text() == BY_HAND
            return
    raise AssertionError("what nobody has seen is overwritten each time")


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_rollback_that_fails_on_its_way_changes_nothing(by_hand, force):
    """What has been written by then is as it was, also where nobody has seen it yet."""
    stack = by_hand()
    assert stack.admin.http("POST", "/v1/tenants/new", tenant(3, "new.test"))[0] == 201
    base = history(stack)[0]["id"]
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    stack.admin.run("tenants", "set", "new", "upstream=http://10.0.0.4:3000")
    new = stack.tenants_dir / "new.json"
    if force:
        unseen = open(new, "a")
        unseen.write("\n\n")
        unseen.flush()
    before = new.read_text(), stack.file.read_text()
    if subprocess.run(["chattr", "+i", stack.file], capture_output=True).returncode != 0:
        pytest.skip("no files that cannot be replaced here")
    try:
        code, _, error = stack.admin.run("rollback", base, *force)
    finally:
        subprocess.run(["chattr", "-i", stack.file], check=True)
    if force:
        unseen.close()
    assert code == 1 and "nothing is changed" in error, error
    assert (new.read_text(), stack.file.read_text()) == before
    assert (place(stack, "new.test"), place(stack, "two.test")) == (4, 9)


def test_a_rollback_to_what_is_not_right_today_is_refused(by_hand):
    """The files were good then; the global file has become stricter since."""
    stack = by_hand()
    base = history(stack)[0]["id"]
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.5.9:3000")
    new = tenant(3, "new.test")
    assert stack.admin.http("POST", "/v1/tenants/new", new)[0] == 201
    change = {"upstream": "http://10.0.5.1:3000"}
    assert stack.admin.http("PATCH", "/v1/tenants/one", change)[0] == 200
    assert stack.admin.http("PATCH", "/v1/tenants/new", change)[0] == 200
    stack.config["upstream_allow"] = ["10.0.5.0/24"]
    stack.write_config()
    assert stack.admin.run("reload")[0] == 0
    before = {path.name: path.read_text() for path in stack.tenants_dir.iterdir()}
    latest = history(stack)[0]["id"]
    for more in ([], ["--force"]):
        code, _, error = stack.admin.run("rollback", base, *more)
        assert code == 1 and "nothing is changed" in error, error
        assert f"{stack.file}:" in error and "error[E208]" in error and "10.0.0.1" in error
    status, told, _ = stack.admin.http("POST", f"/v1/history/{base}/rollback")
    assert status == 422 and [one["code"] for one in told["problems"]] == ["E208", "E208"]
    assert {path.name: path.read_text() for path in stack.tenants_dir.iterdir()} == before
    assert history(stack)[0]["id"] == latest and place(stack, "one.test") == 1


@pytest.mark.parametrize("kind", ["host", "path", "name"])
def test_a_rollback_takes_nothing_from_the_global_file(by_hand, kind):
    """What a tenant of the global file has got since is not there to be gone back to."""
    stack = by_hand()
    paths = {"paths": [{"host": "shared.test", "prefix": "/two", "mode": "keep"}]}
    assert stack.admin.http("PATCH", "/v1/tenants/two", paths)[0] == 200
    base = history(stack)[0]["id"]
    assert stack.admin.http("DELETE", "/v1/tenants/two")[0] == 200
    owner = {
        "host": {"central": tenant(7, "two.test")},
        "path": {"central": tenant(7, "central.test", **paths)},
        "name": {"two": tenant(7, "central.test")},
    }[kind]
    stack.config["tenants"] = owner
    stack.write_config()
    assert stack.admin.run("reload")[0] == 0
    before = stack.file.read_text()
    for more in ([], ["--force"]):
        code, _, error = stack.admin.run("rollback", base, *more)
        assert code == 1 and "nothing is changed" in error, error
        expected = {
            "host": 'host "two.test" is already taken, by tenant "central"',
            "path": 'path "shared.test/two" is already taken, by tenant "central"',
            "name": 'tenant "two"',
        }[kind]
        assert expected in error and f"{stack.file}:" in error, error
        assert str(stack.config_path) in error, error
    assert stack.file.read_text() == before
    stack.config["tenants"] = {}
    stack.write_config()
    assert stack.admin.run("reload")[0] == 0
    assert stack.admin.run("rollback", base)[0] == 0
    assert place(stack, "two.test") == 2


def test_a_rollback_minds_no_tenant_that_is_wrong_all_the_time(by_hand):
    stack = by_hand()
    wrong = BY_HAND.replace("10.0.0.1:", "10.0.0.1:x")
    stack.file.write_text(wrong)
    wait_until(lambda: "tenant_broken" in stack.agents[0].log(), "told")
    base = history(stack)[0]["id"]
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    assert place(stack, "two.test") == 9
    assert stack.admin.run("rollback", base)[0] == 0
    assert stack.file.read_text() == wrong and place(stack, "two.test") == 2
    stack.file.write_text(BY_HAND)
    wait_until(lambda: history(stack)[0]["by"] == "watch", "recorded")
    code, _, error = stack.admin.run("rollback", base)
    assert code == 1 and "error[E" in error and stack.file.read_text() == BY_HAND


def test_the_history_outlives_the_daemon(by_hand):
    stack = by_hand()
    base = history(stack)[0]["id"]
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    assert stack.agents[0].stop() == 0
    stack.file.write_text(stack.file.read_text().replace("10.0.0.1:", "10.0.0.8:"))
    stack.start_agent()
    wait_until(lambda: accepts(stack.config["admin_socket"]), "the admin socket is there")
    stack.asker = Asker(stack.sockets[0])
    assert [one["by"] for one in history(stack)[:2]] == ["start", "admin"]
    assert stack.admin.run("rollback", base)[0] == 0
    assert stack.file.read_text() == BY_HAND and place(stack, "one.test") == 1


def restart(stack, between=lambda: None):
    assert stack.agents[0].stop() == 0
    between()
    stack.start_agent()
    wait_until(lambda: accepts(stack.config["admin_socket"]), "the admin socket is there")
    wait_until(lambda: " ready " in stack.agents[0].log().rsplit(" start ", 1)[1], "read", 30)
    stack.asker = Asker(stack.sockets[0])


def test_an_end_in_the_midst_of_a_record_takes_no_way_back(by_hand):
    """The record is written, and what the next change is compared with is not yet."""
    stack = by_hand()
    shadow = stack.directory / "state/history/shadow/sales.json"
    before = shadow.read_bytes()
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.8:3000")
    latest = history(stack)[0]["id"]
    restart(stack, lambda: shadow.write_bytes(before))
    assert history(stack)[0]["id"] == latest
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    assert stack.admin.run("rollback", latest)[0] == 0 and place(stack, "two.test") == 8
    assert stack.admin.run("rollback", latest - 1)[0] == 0 and place(stack, "two.test") == 2


WRONG = {
    "a wrong tenant": BY_HAND.replace("10.0.0.1:", "10.0.0.1:x"),
    "no JSON": BY_HAND[: len(BY_HAND) // 2],
    "an empty file": "",
}


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("kind", WRONG)
def test_what_was_right_outlives_the_daemon(by_hand, kind, offline):
    """A file that was broken before the start has its tenants in force as they last were right."""
    stack = by_hand()
    stack.admin.run("tenants", "set", "one", "upstream=http://10.0.0.5:3000")
    wrong = WRONG[kind]

    def break_it():
        stack.file.write_text(wrong)

    if not offline:
        changes = len(history(stack))
        break_it()
        wait_until(lambda: len(history(stack)) > changes, "recorded", 30)
    restart(stack, break_it if offline else lambda: None)
    assert "last_good_revived" in stack.agents[0].log()
    assert (place(stack, "one.test"), place(stack, "two.test")) == (5, 2)
    states = tenants(stack)
    assert states["one"] == "kept" and states["two"] == (
        "kept" if kind != "a wrong tenant" else "live"
    )
    assert stack.file.read_text() == wrong
    # and once more, since nothing is mended by a start
    restart(stack)
    assert place(stack, "one.test") == 5
    # a mended file counts at once
    stack.file.write_text(BY_HAND.replace("10.0.0.1:", "10.0.0.7:"))
    wait_until(lambda: place(stack, "one.test") == 7, "mended", 30)
    assert set(tenants(stack).values()) == {"live"}


def test_a_file_that_cannot_be_read_any_more_is_in_force_as_it_was(by_hand):
    stack = by_hand()
    assert stack.admin.run("tenants", "set", "one", "upstream=http://10.0.0.5:3000")[0] == 0
    text = stack.file.read_text()

    def lose():
        stack.file.unlink()
        stack.file.symlink_to(stack.file.name)  # not even root can read it

    restart(stack, lose)
    assert (place(stack, "one.test"), place(stack, "two.test")) == (5, 2)
    assert "last_good_revived" in stack.agents[0].log()
    stack.file.unlink()
    stack.file.write_text(text)
    wait_until(lambda: set(tenants(stack).values()) == {"live"}, "mended", 30)


def test_a_file_that_could_not_be_read_at_first_is_not_taken_away(by_hand):
    stack = by_hand()
    other = stack.tenants_dir / "other.json"
    text = json.dumps({"tenants": {"other": tenant(8, "other.test")}})

    def forget():
        shutil.rmtree(stack.directory / "state/history")
        other.symlink_to(other.name)

    restart(stack, forget)
    other.unlink()
    other.write_text(text)
    wait_until(lambda: tenants(stack).get("other") == "live", "readable", 30)
    assert stack.admin.run("tenants", "set", "one", "upstream=http://10.0.0.6:3000")[0] == 0
    (change,) = history(stack)
    assert stack.admin.run("rollback", change["id"] - 1)[0] == 0
    assert place(stack, "one.test") == 1 and other.read_text() == text


def test_one_whose_first_reading_cannot_be_kept_is_not_taken_away_either(by_hand):
    stack = by_hand()
    other = stack.tenants_dir / "other.json"
    way = stack.directory / "state/history/shadow/.other.json.new"

    def forget():
        shutil.rmtree(stack.directory / "state/history")
        other.symlink_to(other.name)

    restart(stack, forget)
    way.mkdir()
    other.unlink()
    other.write_text(json.dumps({"tenants": {"other": tenant(8, "other.test")}}))
    wait_until(lambda: tenants(stack).get("other") == "live", "readable", 30)
    way.rmdir()
    assert stack.admin.run("tenants", "set", "other", "upstream=http://10.0.0.9:3000")[0] == 0
    assert stack.admin.run("tenants", "set", "one", "upstream=http://10.0.0.6:3000")[0] == 0
    first = history(stack)[-1]["id"]
    assert stack.admin.run("rollback", first - 1)[0] == 0
    assert place(stack, "one.test") == 1 and other.exists()


def test_what_is_gone_or_forbidden_is_not_revived(by_hand):
    stack = by_hand()
    document = json.loads(BY_HAND)
    document["tenants"]["one"]["upstream"] = "http://10.0.5.1:x"
    del document["tenants"]["two"]

    def change():
        stack.file.write_text(json.dumps(document))
        stack.config["upstream_allow"] = ["10.0.5.0/24"]
        stack.write_config()

    restart(stack, change)
    assert tenants(stack) == {"one": "broken"}
    assert place(stack, "one.test") == place(stack, "two.test") == "unknown-host"


@pytest.mark.parametrize("gone", ["one tenant", "all tenants", "the file"])
@pytest.mark.parametrize("kind", ["a wrong tenant", "no JSON"])
def test_what_was_removed_before_is_not_revived(by_hand, gone, kind):
    """The daemon ended it while it ran: what is wrong after that has no last good version."""
    stack = by_hand()
    if gone == "the file":
        stack.file.unlink()
    else:
        assert stack.admin.run("tenants", "remove", "one")[0] == 0
    if gone == "all tenants":
        assert stack.admin.run("tenants", "remove", "two")[0] == 0
    wait_until(lambda: place(stack, "one.test") == "unknown-host", "ended", 30)
    changes = len(history(stack))
    stack.file.write_text(WRONG[kind])
    wait_until(lambda: len(history(stack)) > changes, "recorded, too", 30)
    live = place(stack, "one.test"), place(stack, "two.test")
    for _ in range(2):
        restart(stack)
        assert (place(stack, "one.test"), place(stack, "two.test")) == live
    assert live[0] == "unknown-host"


def test_a_file_that_was_gone_before_it_could_not_be_read_is_not_revived(by_hand):
    stack = by_hand()
    stack.file.unlink()
    wait_until(lambda: place(stack, "one.test") == "unknown-host", "ended", 30)
    restart(stack, lambda: stack.file.symlink_to(stack.file.name))
    assert place(stack, "one.test") == "unknown-host"
    stack.file.unlink()
    stack.file.write_text(WRONG["no JSON"])
    shadow = stack.directory / "state/history/shadow/sales.json"
    wait_until(lambda: shadow.exists(), "read", 30)
    restart(stack)
    assert place(stack, "one.test") == "unknown-host"


def reason(stack, host, peer):
    return stack.asker.ask(host, peer=peer).get("reason")


def deny_networks(stack):
    """For all tenants, as somebody does who is attacked."""
    stack.config["defaults"] = {"deny_ips": ["203.0.113.0/24"]}
    stack.write_config()


@pytest.mark.parametrize("kind", ["a wrong tenant", "no JSON"])
def test_what_is_kept_gets_what_changes_for_all(by_hand, kind):
    stack = by_hand()
    stack.file.write_text(BY_HAND.replace("10.0.0.1:", "10.0.0.5:"))
    wait_until(lambda: place(stack, "one.test") == 5, "live", 30)
    stack.file.write_text(WRONG[kind])
    wait_until(lambda: tenants(stack)["one"] == "kept", "kept", 30)
    deny_networks(stack)
    for host in ("one.test", "two.test"):
        wait_until(lambda: reason(stack, host, "203.0.113.9") == "address", "refused", 10)
        assert reason(stack, host, "198.51.100.1") is None
    assert (place(stack, "one.test"), place(stack, "two.test")) == (5, 2)
    assert tenants(stack)["one"] == "kept" and "last_good_renewed" in stack.agents[0].log()
    restart(stack)
    assert place(stack, "one.test") == 5
    assert reason(stack, "one.test", "203.0.113.9") == "address"


def test_what_is_kept_and_cannot_be_read_again_is_told(by_hand):
    stack = by_hand()
    stack.file.write_text(WRONG["a wrong tenant"])
    wait_until(lambda: tenants(stack)["one"] == "kept", "kept", 30)
    shutil.rmtree(next((stack.directory / "state/history").glob("*2")))
    deny_networks(stack)
    wait_until(lambda: "last_good_outdated" in stack.agents[0].log(), "told", 30)
    assert reason(stack, "one.test", "203.0.113.9") is None
    assert reason(stack, "two.test", "203.0.113.9") == "address"
    stack.file.write_text(BY_HAND)
    wait_until(lambda: reason(stack, "one.test", "203.0.113.9") == "address", "mended", 30)


def age_history(stack):
    """What was changed was so two days ago."""
    then = time.time() - 2 * 24 * 3600
    for record in (stack.directory / "state/history").glob("*/record.json"):
        os.utime(record, (then, then))


def test_the_history_is_of_a_limited_length(by_hand):
    stack = by_hand()
    for number in range(60):
        status = stack.admin.http("PATCH", "/v1/tenants/two", {"_n": number})[0]
        assert status == 200
    assert len(history(stack)) == 61
    age_history(stack)
    for number in range(60, 63):  # it is looked through at each sixteenth
        assert stack.admin.http("PATCH", "/v1/tenants/two", {"_n": number})[0] == 200
    told = history(stack)
    assert len(told) == 50 and told[0]["id"] == 64
    assert len(os.listdir(stack.directory / "state/history")) == 52  # and two of its own
    assert stack.admin.run("rollback", told[-1]["id"] - 1)[0] == 0
    assert json.loads(stack.file.read_text())["tenants"]["two"]["_n"] == 12
    assert stack.admin.run("rollback", 5)[0] == 1


def test_what_a_tool_changes_in_one_go_leaves_the_way_back(by_hand):
    stack = by_hand()
    base = history(stack)[0]["id"]
    for number in range(60):
        assert stack.admin.http("PATCH", "/v1/tenants/two", {"_n": number})[0] == 200
    assert stack.admin.run("rollback", base)[0] == 0
    assert stack.file.read_text() == BY_HAND
    (latest, *_) = history(stack)
    large = stack.directory / f"state/history/{latest['id'] - 55:08}/sales.json"
    os.truncate(large, 65 << 20)
    for number in range(60, 62):
        assert stack.admin.http("PATCH", "/v1/tenants/two", {"_n": number})[0] == 200
    assert [one["id"] for one in history(stack)][-1] == latest["id"] - 54


def test_the_history_is_of_a_limited_size(by_hand):
    stack = by_hand()
    for number in range(8):
        assert stack.admin.http("PATCH", "/v1/tenants/two", {"_n": number})[0] == 200
    latest = history(stack)[0]["id"]

    def enlarge(count, megabytes):
        for number in range(latest, latest - count, -1):
            path = stack.directory / f"state/history/{number:08}/sales.json"
            os.truncate(path, megabytes << 20)

    def kept():
        return [one["id"] for one in history(stack)]

    restart(stack, lambda: enlarge(7, 100))
    assert kept() == list(range(latest, latest - 5, -1))  # 512 MB
    restart(stack, lambda: enlarge(5, 200))
    assert kept() == list(range(latest, latest - 5, -1))  # which are spared
    assert stack.admin.http("PATCH", "/v1/tenants/two", {"_n": 8})[0] == 200
    assert kept() == list(range(latest + 1, latest - 4, -1))
    assert stack.admin.run("rollback", latest - 1)[0] == 1
    assert stack.admin.run("rollback", latest)[0] == 0


def test_two_daemons_do_not_share_a_history(by_hand, new_stack):
    stack = by_hand()
    acme = {**stack.config["acme"]}
    other = new_stack(changes={"acme": acme})
    other.write_tenants({"a": tenant(1)})
    other.write_config()
    other.start_agent()
    wait_until(lambda: "history_off" in other.agents[0].log(), "told")
    wait_until(lambda: accepts(other.config["admin_socket"]), "the admin socket is there")
    code, _, error = Admin(other).run("history")
    assert code == 1 and "state_dir" in error


def test_a_history_is_of_one_configuration(by_hand, new_stack):
    stack = by_hand()
    stack.admin.run("tenants", "set", "two", "upstream=http://10.0.0.9:3000")
    stack.agents[0].stop()
    other = new_stack(changes={"acme": {**stack.config["acme"]}})
    other.write_tenants({"a": tenant(1)})
    other.write_config()
    other.start_agent()
    wait_until(lambda: "history_off" in other.agents[0].log(), "told")
    assert f"is the history of {stack.config_path.resolve()}" in other.agents[0].log()
    other.agents[0].stop()
    stack.start_agent()
    wait_until(lambda: " ready " in stack.agents[0].log().rsplit(" start ", 1)[1], "read")
    assert history(stack)[0]["what"] == "change tenant two"


# --- diff -----------------------------------------------------------------------------------------


def test_diff_tells_behaviour_and_not_text(by_hand, tmp_path):
    stack = by_hand()
    changed = tmp_path / "sales.json"
    changed.write_text(json.dumps(json.loads(BY_HAND)))
    code, told = stack.admin.json("diff", changed)
    assert (code, told["differ"], told["differences"]) == (0, 0, [])
    text = BY_HAND.replace("10.0.0.2", "10.0.0.9").replace('"one.test"', '"uno.test"')
    changed.write_text(text)
    code, told = stack.admin.json("diff", changed)
    assert code == 1 and sorted(told["changed"]) == ["one", "two"]
    by_url = {one["url"]: one["difference"] for one in told["differences"]}
    moved = by_url["https://two.test/"]["upstream"]
    assert moved == {"before": "http://10.0.0.2:3000", "after": "http://10.0.0.9:3000"}
    assert set(by_url["https://two.test/"]) == {"upstream"}
    gone = by_url["http://one.test/api/config"]
    assert gone["decision"] == {"before": "forward", "after": "deny-unknown-host"}
    assert by_url["http://uno.test/"]["tenant"] == {"after": "one"}
    assert stack.file.read_text() == BY_HAND and place(stack, "two.test") == 2
    code, text, _ = stack.admin.run("diff", changed)
    assert code == 1 and text.endswith(f"{told['differ']} of {told['decided']} decisions differ\n")
    # People are not told header by header that nothing is forwarded.
    assert "deny-unknown-host" in text and "header" not in text


def test_diff_tells_limits(by_hand, tmp_path):
    stack = by_hand()
    document = json.loads(BY_HAND)
    document["tenants"]["two"]["limits"] = {"requests_per_10s": 7}
    changed = tmp_path / "sales.json"
    changed.write_text(json.dumps(document))
    code, told = stack.admin.json("diff", changed)
    assert code == 1 and told["changed"] == ["two"]
    by_url = {one["url"]: one["difference"] for one in told["differences"]}
    assert by_url["https://two.test/"]["limit requests_per_10s"] == {"after": "7"}


URL = "https://two.test"

# What "two" has before and after, and a request that is decided otherwise.
CHANGES = {
    "a path": ({}, {"paths": [{"host": "x.test", "prefix": "/owui"}]}, ["https://x.test/owui", ""]),
    "the prefix of a path": (
        {"paths": [{"host": "x.test", "prefix": "/a/b", "mode": "strip", "only": ["/api/"]}]},
        {"paths": [{"host": "x.test", "prefix": "/a", "mode": "strip", "only": ["/api/"]}]},
        ["https://x.test/a/b/api/", ""],
    ),
    "a route": (
        {},
        {"routes": [{"match": {"path": "/api/v1/scim/"}, "action": "deny"}]},
        [f"{URL}/api/v1/scim", ""],
    ),
    "the path of a route": (
        {"routes": [{"match": {"path": "/admin/settings"}, "action": "deny"}]},
        {"routes": [{"match": {"path": "/admin/settings/x"}, "action": "deny"}]},
        [f"{URL}/admin/settings", ""],
    ),
    "the status of a route": (
        {"routes": [{"match": {"path": "/admin"}, "action": "deny"}]},
        {"routes": [{"match": {"path": "/admin"}, "action": "deny", "status": 404}]},
        [f"{URL}/admin", ""],
    ),
    "a method": (
        {"routes": [{"match": {"path": "/api", "method": ["PUT", "DELETE"]}, "action": "deny"}]},
        {"routes": [{"match": {"path": "/api", "method": ["PUT"]}, "action": "deny"}]},
        [f"{URL}/api", "--method DELETE"],
    ),
    "a credential": (
        {"routes": [{"match": {"path": "/api", "credential": "api_key"}, "action": "deny"}]},
        {"routes": [{"match": {"path": "/api", "credential": "session"}, "action": "deny"}]},
        [f"{URL}/api", "--header 'Authorization: Bearer sk-'"],
    ),
    "a network of a route": (
        {"routes": [{"match": {"path": "/scim", "not_ip": ["203.0.113.0/24"]}, "action": "deny"}]},
        {"routes": [{"match": {"path": "/scim", "not_ip": ["192.0.2.0/24"]}, "action": "deny"}]},
        [f"{URL}/scim", "--from 203.0.113.1"],
    ),
    "a route behind a list of addresses": (
        {"allow_ips": ["203.0.113.0/24"]},
        {
            "allow_ips": ["203.0.113.0/24"],
            "routes": [{"match": {"path": "/admin"}, "action": "deny"}],
        },
        [f"{URL}/admin", "--from 203.0.113.1"],
    ),
    "the limit of a route": (
        {"routes": [{"match": {"path": "/api"}, "limits": {"requests_per_10s": 5}}]},
        {"routes": [{"match": {"path": "/api"}, "limits": {"requests_per_10s": 6}}]},
        [f"{URL}/api", ""],
    ),
    "sign-ins": (
        {},
        {"limits": {"signin_per_minute_per_ip": 9}},
        [f"{URL}/api/v1/auths/signin", "--method POST"],
    ),
    "addresses that are kept out": ({}, {"deny_ips": ["203.0.113.7"]}, [f"{URL}/", "--from 203.0.113.7"]),
    "scanners": ({}, {"refuse_scanners": False}, [f"{URL}/.env", ""]),
    "an origin": (
        {"origins": ["https://portal.test"]},
        {},
        [
            f"{URL}/ws/socket.io/",
            "--header 'Upgrade: websocket' --header 'Origin: https://portal.test'",
        ],
    ),
    "no origin": (
        {},
        {"origin_check": "required"},
        [f"{URL}/ws/socket.io/", "--header 'Upgrade: websocket'"],
    ),
    "another name in the handshake": ({}, {"require_sni_match": True}, [f"{URL}/", "--sni other.invalid"]),
    "a window": (
        {},
        {"maintenance": {"window": {"from": "2098-12-01T02:00Z", "to": "2098-12-01T03:00Z"}}},
        [f"{URL}/", "--at 2098-12-01T02:00:00Z"],
    ),
    "who is let in meanwhile": (
        {"maintenance": {"on": True}},
        {"maintenance": {"on": True, "allow_ips": ["203.0.113.9"]}},
        [f"{URL}/", "--from 203.0.113.9"],
    ),
    "hsts": ({}, {"hsts": {"max_age": "1d"}}, [f"{URL}/", ""]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_diff_asks_for_what_either_version_names(name, tmp_path):
    """In both directions, and `explain` says the same of the request that is told."""
    earlier, later, expected = CHANGES[name]
    files = []
    for number, more in enumerate((earlier, later)):
        two = {"hosts": ["two.test"], "upstream": "http://10.0.0.2:3000", "https": "off", **more}
        one = {"hosts": ["one.test"], "upstream": "http://10.0.0.1:3000"}
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"two": two, "one": one}}))
    for before, after in (files, files[::-1]):
        done = run_agent_command("diff", "--to-config", after, "-c", before, "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["changed"], told["unseen"]) == (1, ["two"], [])
        asked = [[one["url"], one["options"]] for one in told["differences"]]
        assert expected in asked, asked
    text = run_agent_command("diff", "--to-config", files[1], "-c", files[0]).stdout
    assert "  ".join(part for part in expected if part) + "\n" in text
    explained = [
        run_agent_command("explain", "-c", file, *shlex.split(expected[1]), expected[0]).stdout
        for file in files
    ]
    assert explained[0] != explained[1] and "owui-spoa:" not in "".join(explained)


def test_diff_asks_on_every_host_and_path(tmp_path):
    """Also on those that are not the first, with a label for a wildcard, and behind a prefix."""
    files = []
    for number, routes in enumerate(([], [{"match": {"path": "/admin"}, "action": "deny"}])):
        two = {
            "hosts": ["two.test", "alias.test", "*.w.test"],
            "label": "t[0-9]+",
            "paths": [
                {"host": "x.test", "prefix": "/llm/v1", "mode": "strip"},
                {"host": "y.test", "prefix": "/old", "mode": "redirect"},
                {"host": "z.test", "mode": "root-share"},
            ],
            "upstream": "http://10.0.0.2:3000",
            "https": "off",
            "routes": routes,
        }
        site = {"hosts": ["z.test"], "upstream": "http://10.0.0.1:3000"}
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"two": two, "site": site}}))
    done = run_agent_command("diff", "--to-config", files[1], "-c", files[0], "--json")
    told = json.loads(done.stdout)
    asked = {one["url"] for one in told["differences"]}
    where = ["two.test", "alias.test", "t1.w.test", "x.test/llm/v1", "z.test"]
    assert {f"https://{place}/admin" for place in where} <= asked
    assert not [url for url in asked if "y.test" in url]
    assert told["left_out"] == 0


@pytest.mark.parametrize("path", [{"mode": "keep"}, {"mode": "strip", "only": ["/api/"]}])
@pytest.mark.parametrize(
    "change",
    [
        {"deny_ips": ["192.0.2.0/24"]},
        {"routes": [{"match": {"method": ["DELETE"]}, "action": "deny"}]},
        {"maintenance": {"on": True}},
    ],
)
def test_diff_asks_where_a_path_leads(path, change, tmp_path):
    """The host's root is not the tenant's there."""
    files = []
    for number, more in enumerate(({}, change)):
        paths = [{"host": "x.test", "prefix": "/o", **path}]
        two = {"paths": paths, "upstream": "http://10.0.0.2:3000", "https": "off", **more}
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"two": two}}))
    done = run_agent_command("diff", "--to-config", files[1], "-c", files[0], "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["unseen"]) == (1, [])
    assert told["differ"] > 0


def test_diff_asks_no_more_than_it_can(tmp_path):
    """A tenant with many hosts and many networks: some hosts are asked for the most alone."""
    networks = [f"10.{number // 250}.{number % 250}.0/24" for number in range(250)]
    files = []
    for number, status in enumerate((403, 404)):
        two = {
            "hosts": [f"h{number}.test" for number in range(120)],
            "upstream": "http://10.0.0.2:3000",
            "routes": [{"match": {"ip": networks}, "action": "deny", "status": status}],
        }
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"two": two}}))
    command = ["diff", "--to-config", files[1], "-c", files[0]]
    told = json.loads(run_agent_command(*command, "--json").stdout)
    assert told["decided"] < 4000 and 0 < told["left_out"] < 120
    assert f"{told['left_out']} hosts or paths" in run_agent_command(*command).stdout


def test_diff_leaves_no_host_out_for_the_edges_of_hours(tmp_path):
    """Each day of a route's hours has two; they are asked for on the first host alone."""
    office = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}
    files = []
    for number in range(2):
        match = {"match": {"path": "/p0", "hours": {**office, "to": f"18:0{number}"}}}
        two = {
            "hosts": ["a.test", "b.test", "c.test"],
            "paths": [{"host": "x.test", "prefix": "/llm/v1", "mode": "strip"}],
            "upstream": "http://10.0.0.2:3000",
            "routes": [{**match, "action": "deny"}]
            + [
                {"match": {"path": f"/p{route}", "hours": office}, "action": "deny"}
                for route in range(1, 40)
            ]
            + [{"match": {"path": "/more"}, "action": "deny", "status": 403 + number}],
        }
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"two": two}}))
    done = run_agent_command("diff", "--to-config", files[1], "-c", files[0], "--json")
    told = json.loads(done.stdout)
    asked = {one["url"] for one in told["differences"]}
    places = ["a.test", "b.test", "c.test", "x.test/llm/v1"]
    assert {f"https://{place}/more" for place in places} <= asked
    assert "https://a.test/p0" in asked, "an edge"
    assert told["left_out"] == 0


def test_diff_tells_how_many_it_does_not_list(tmp_path):
    files = []
    for number in (2, 3):
        two = {
            "hosts": [f"h{host}.test" for host in range(200)],
            "upstream": f"http://10.0.0.{number}:3000",
            "https": "off",
        }
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"two": two}}))
    command = ["diff", "--to-config", files[1], "-c", files[0]]
    told = json.loads(run_agent_command(*command, "--json").stdout)
    assert (told["differ"], len(told["differences"])) == (1200, 1000)
    assert told["differences_left_out"] == 200
    assert "\n200 more are not listed\n" in run_agent_command(*command).stdout


def test_diff_tells_what_no_decision_shows(tmp_path):
    files = []
    for number, more in enumerate(({}, {"check": {"every": "9s"}})):
        two = {"hosts": ["two.test"], "upstream": "http://10.0.0.2:3000", **more}
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"two": two}}))
    command = ["diff", "--to-config", files[1], "-c", files[0]]
    done = run_agent_command(*command, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["differ"], told["unseen"]) == (1, 0, ["two"])
    assert "no decision that was asked for shows: two\n" in run_agent_command(*command).stdout
    assert run_agent_command("diff", "--to-config", files[0], "-c", files[0]).returncode == 0


def test_diff_tells_servers_that_go_without_draining(tmp_path):
    def file(name, **replicas):
        two = {"hosts": ["two.test"], "https": "off", **replicas}
        path = tmp_path / f"owui-spoa.{name}.json"
        path.write_text(json.dumps({"tenants": {"two": two}}))
        return path

    def undrained(before, after):
        command = ["diff", "--to-config", after, "-c", before]
        told = json.loads(run_agent_command(*command, "--json").stdout)["undrained"]
        assert bool(told) == ("without having drained" in run_agent_command(*command).stdout)
        return [one["server"] for one in told]

    one, two, three = "http://10.0.0.1:80", "https://two.internal:443", "http://[2001:db8::3]:8080"
    verify = {"upstream_tls": {"verify": False}}
    all_in = file("all", replicas={"servers": [one, two, three], "sticky": "cookie"}, **verify)
    drains = file("drains", replicas={"servers": [one, two, three], "draining": [two]}, **verify)
    without = file("without", replicas={"servers": [three, one]})
    single = file("single", upstream=three)
    assert undrained(all_in, drains) == [] and undrained(drains, without) == []
    assert undrained(all_in, without) == [two]
    assert undrained(all_in, single) == [one, two]
    assert undrained(single, all_in) == []
    moved = json.loads(
        run_agent_command("diff", "--to-config", without, "-c", all_in, "--json").stdout
    )["differences"]
    assert [one for one in moved if "owui_replica=" in one["options"]]


def test_diff_asks_from_behind_proxies(tmp_path):
    files = []
    for number, cidrs in enumerate((["10.1.0.0/16"], ["10.1.0.0/16", "10.2.0.0/16"])):
        lb = {"name": "lb", "cidrs": cidrs, "client_ip_header": "X-Forwarded-For"}
        two = {"hosts": ["two.test"], "upstream": "http://10.0.0.2:3000"}
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"trusted_proxies": [lb], "tenants": {"two": two}}))
    told = json.loads(
        run_agent_command("diff", "--to-config", files[1], "-c", files[0], "--json").stdout
    )
    one = [one for one in told["differences"] if "10.2.0.1" in one["options"]][0]
    assert one["options"] == "--from 10.2.0.1 --header 'X-Forwarded-For: 203.0.113.77'"
    assert one["difference"]["header X-Forwarded-For"] == {
        "before": "10.2.0.1",
        "after": "203.0.113.77",
    }
    assert not [one for one in told["differences"] if "10.1.0.1" in one["options"]]


def test_diff_of_a_folder_and_of_a_global_file(by_hand, tmp_path):
    stack = by_hand()
    folder = tmp_path / "tenants.d"
    folder.mkdir()
    fleet = {"hosts": ["*.fleet.test"], "upstream": "http://{1}.internal:3000", "https": "off"}
    (folder / "all.json").write_text(json.dumps({"tenants": {"fleet": fleet}}))
    code, told = stack.admin.json("diff", folder)
    assert code == 1 and (told["added"], sorted(told["removed"])) == (["fleet"], ["one", "two"])
    by_url = {one["url"]: one["difference"] for one in told["differences"]}
    assert "any.internal" in by_url["https://any.fleet.test/"]["upstream"]["after"]
    other = tmp_path / "owui-spoa.json"
    other.write_text(json.dumps({**stack.config, "headers": {"X-Site": "north"}}))
    code, told = stack.admin.json("diff", "--to-config", other)
    by_url = {one["url"]: one["difference"] for one in told["differences"]}
    assert code == 1 and by_url["http://one.test/"]["header X-Site"] == {"after": "north"}
    assert stack.admin.run("diff")[0] == 2 and stack.admin.run("diff", "/nowhere")[0] == 2
    # What would not be read does nothing, and "all decisions differ" would be wrong.
    for name in ("all.json.new", "all.txt", ".all.json"):
        (tmp_path / name).write_text((folder / "all.json").read_text())
        code, said, error = stack.admin.run("diff", tmp_path / name)
        assert (code, said) == (2, "") and "others are not read" in error, name
