"""Decisions recorded on disk through real HAProxy, decided again by another configuration, and
explained by the id that the client got."""

import json
import os
import re
import resource
import signal
import subprocess

import pytest

from support.clients import request
from support.load import Load
from support.processes import wait_until
from support.stack import BINARY, SANITIZERS, run_agent_command

SECRETS = ["s3cret-query", "s3cret-cookie", "s3cret-token", "s3cret-body"]


@pytest.fixture
def recording(new_stack, upstreams):
    """A stack that records; stack.trace is the file."""

    def make(more=None, trace=None, **changes):
        stack = new_stack(changes=changes)
        stack.trace = stack.directory / "trace"
        stack.config["trace"] = {"entries": 50, "file": str(stack.trace), **(trace or {})}
        alpha = upstreams["alpha"].url
        stack.write_tenants(
            {
                "one": {"hosts": ["one.test"], "upstream": alpha, "https": "off"},
                "two": {"hosts": ["two.test"], "upstream": alpha, "https": "off"},
                "rules": {
                    "hosts": ["rules.test"],
                    "upstream": alpha,
                    "https": "off",
                    "routes": [
                        {"match": {"path": "/api", "credential": "api_key"}, "action": "deny"},
                        {"match": {"path": "/api", "method": ["DELETE"]}, "action": "deny"},
                    ],
                },
                **(more or {}),
            }
        )
        return stack.start()

    return make


def get(stack, host, path="/api/config", **options):
    return request(stack.http_port, path, host, **options)


def replay(stack, *arguments):
    config = arguments or ("-c", stack.config_path)
    done = run_agent_command("replay", stack.trace, "--json", *config)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_recorded_decisions_are_decided_again(recording, tmp_path):
    stack = recording()
    for host in ["one.test", "one.test", "two.test", "nobody.test"]:
        get(stack, host)
    code, told = replay(stack)
    assert (code, told["decided"], told["differ"]) == (0, 4, 0), told
    other = tmp_path / "owui-spoa.json"
    folder = tmp_path / "tenants.d"
    folder.mkdir()
    tenants = {"one": {"hosts": ["one.test"], "upstream": "http://127.0.0.9:3000", "https": "off"}}
    (folder / "all.json").write_text(json.dumps({"tenants": tenants}))
    other.write_text(json.dumps({**stack.config, "tenants_dir": str(folder)}))
    code, told = replay(stack, "-c", other)
    assert (code, told["decided"], told["differ"]) == (1, 4, 3)
    by_url = {one["url"]: one for one in told["differences"]}
    one = by_url["http://one.test/api/config"]
    assert one["count"] == 2 and set(one["difference"]) == {"upstream"}
    assert one["difference"]["upstream"]["after"] == "127.0.0.9:3000"
    two = by_url["http://two.test/api/config"]["difference"]
    assert two["decision"] == {"before": "forward", "after": "deny-unknown-host"}
    text = run_agent_command("replay", stack.trace, "-c", other).stdout
    assert text.endswith("3 of 4 decisions differ\n")


def test_how_many_are_not_listed_is_told(recording, upstreams):
    stack = recording(trace={"entries": 1200})
    for number in range(1010):
        get(stack, f"h{number}.nobody.test")
    fleet = {"hosts": ["*.nobody.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"fleet": fleet})
    code, told = replay(stack)
    assert (code, told["decided"], told["differ"]) == (1, 1010, 1010)
    assert (len(told["differences"]), told["differences_left_out"]) == (1000, 10)
    text = run_agent_command("replay", stack.trace, "-c", stack.config_path).stdout
    assert "\n10 more are not listed" in text


def test_any_replica_is_as_good_as_another(recording, upstreams):
    """Who is new begins at one that the time tells, later it is the one of the client's address."""
    lan = {"name": "lan", "cidrs": ["127.0.0.0/8"], "client_ip_header": "X-Forwarded-For"}
    servers = [f"127.0.0.1:{upstreams[name].port}" for name in ("alpha", "beta", "gamma")]
    many = {"hosts": ["many.test"], "replicas": {"servers": servers}, "https": "off"}
    stack = recording({"many": many}, trusted_proxies=[lan])
    for number in range(20):
        headers = [("X-Forwarded-For", f"203.0.113.{number}")]
        assert get(stack, "many.test", headers=headers).status == 200
    code, told = replay(stack)
    assert (code, told["decided"], told["differ"]) == (0, 20, 0), told
    many["replicas"]["servers"] = ["127.0.0.9:3000", "127.0.0.9:3001"]
    stack.write_tenants({"many": many})
    assert replay(stack)[1]["differ"] == 20


def test_what_a_cookie_decides_is_not_decided_again(recording, upstreams):
    paths = [{"host": "shared.test", "prefix": "/other", "mode": "takeover"}]
    other = {"paths": paths, "upstream": upstreams["beta"].url, "https": "off"}
    stack = recording({"other": other})
    cookie = get(stack, "shared.test", "/other").header("Set-Cookie").split(";")[0]
    before = replay(stack)[1]["skipped"]
    assert get(stack, "shared.test", headers=[("Cookie", cookie)]).status == 200
    code, told = replay(stack)
    assert (code, told["differ"], told["skipped"]) == (0, 0, before + 1), told


def test_a_request_is_explained_by_its_id(recording):
    stack = recording()
    answer = get(stack, "one.test")
    name = answer.header("X-Request-ID")
    arguments = ["explain", "-c", stack.config_path, "--request-id", name]
    done = run_agent_command(*arguments, "--json")
    told = json.loads(done.stdout)
    assert (told["recorded"]["decision"], told["recorded"]["tenant"]) == ("forward", "one")
    assert (told["decision"], told["tenant"]["name"]) == ("forward", "one")
    assert told["url"] == "http://one.test/api/config" and told["client"]["ip"] == "127.0.0.1"
    text = run_agent_command(*arguments).stdout
    assert text.startswith("recorded ") and "as it would be decided now:" in text
    done = run_agent_command("explain", "-c", stack.config_path, "--request-id", "nobody")
    assert done.returncode == 2 and "no request nobody among the 1" in done.stderr


def test_what_was_recorded_is_not_mixed_with_what_is_typed(recording):
    stack = recording()
    answer = get(stack, "one.test", "/api/echo", method="DELETE")
    arguments = ["explain", "-c", stack.config_path, "--request-id", answer.header("X-Request-ID")]
    assert json.loads(run_agent_command(*arguments, "--json").stdout)["method"] == "DELETE"
    assert "DELETE http://one.test/api/echo from 127.0.0.1" in run_agent_command(*arguments).stdout
    for more in (
        ("-H", "Origin: https://one.test"),
        ("--from", "192.0.2.1"),
        ("--method", "GET"),
        ("--sni", "one.test"),
        ("--at", "2026-12-01T02:00Z"),
    ):
        done = run_agent_command(*arguments, *more)
        assert done.returncode == 2 and "has its own --from" in done.stderr, more


def test_who_the_client_was_is_known_when_it_is_decided_again(recording):
    trusted = {"name": "lan", "cidrs": ["127.0.0.0/8"], "client_ip_header": "X-Forwarded-For"}
    stack = recording(trusted_proxies=[trusted])
    headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Request-ID", "from-the-proxy-1")]
    get(stack, "one.test", headers=headers)
    arguments = ["--request-id", "from-the-proxy-1", "--json"]
    done = run_agent_command("explain", "-c", stack.config_path, *arguments)
    assert json.loads(done.stdout)["client"]["ip"] == "203.0.113.9"
    assert replay(stack)[1]["differ"] == 0


def test_the_scheme_is_known_where_a_proxy_tells_of_nobody(recording):
    trusted = {"name": "lan", "cidrs": ["127.0.0.0/8"], "client_ip_header": "X-Forwarded-For"}
    safe = {"hosts": ["safe.test"], "upstream": "http://127.0.0.9:3000"}
    stack = recording({"safe": safe}, trusted_proxies=[trusted])
    headers = [("X-Forwarded-Proto", "https"), ("X-Request-ID", "from-the-proxy-2")]
    get(stack, "safe.test", headers=headers)
    arguments = ["--request-id", "from-the-proxy-2", "--json"]
    told = json.loads(run_agent_command("explain", "-c", stack.config_path, *arguments).stdout)
    assert (told["decision"], told["client"]["proto"]) == ("forward", "https"), told
    assert replay(stack)[1]["differ"] == 0


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded"])
def test_that_nobody_knows_the_client_is_known_too(recording, name):
    trusted = {"name": "lan", "cidrs": ["127.0.0.0/8"], "client_ip_header": name}
    inside = {"hosts": ["inside.test"], "upstream": "http://127.0.0.9:3000", "https": "off"}
    inside["allow_ips"] = ["127.0.0.0/8"]
    stack = recording({"inside": inside}, trusted_proxies=[trusted])
    form = "for={}" if name == "Forwarded" else "{}"
    chains = [["unknown"], ["unknown", "127.0.0.2"]]
    for number, nodes in enumerate(chains):
        value = ", ".join(form.format(node) for node in nodes)
        headers = [(name, value), ("X-Request-ID", f"from-the-proxy-{number}")]
        assert get(stack, "inside.test", headers=headers).status == 403
    for number, ip in enumerate(["127.0.0.1", "127.0.0.2"]):
        arguments = ["--request-id", f"from-the-proxy-{number}", "--json"]
        told = json.loads(run_agent_command("explain", "-c", stack.config_path, *arguments).stdout)
        assert (told["reason"], told["client"]["ip"]) == ("address", ip), told
    assert replay(stack)[1]["differ"] == 0


def test_method_and_kind_of_credential_are_known_too(recording):
    stack = recording()
    for value, status in [("Bearer sk-0123", 403), ("Bearer eyJ0", 200), ("Basic eDp5", 200)]:
        headers = [("Authorization", value)]
        assert get(stack, "rules.test", "/api/echo", headers=headers).status == status
    assert get(stack, "rules.test", "/api/echo", method="DELETE").status == 403
    code, told = replay(stack)
    assert (code, told["decided"], told["differ"]) == (0, 4, 0), told


def test_what_found_no_room_is_not_decided_again(recording):
    stack = recording()
    origin = ("Origin", "https://" + "o" * 60 + ".test")
    for path in ("/" + "a" * 199, "/" + "a" * 254, "/" + "a" * 255, "/" + "a" * 3000):
        get(stack, "one.test", path, headers=[origin])
    code, told = replay(stack)
    assert (code, told["decided"], told["differ"], told["skipped"]) == (0, 2, 0, 2), told
    for length, known in ((9, 9), (900, 254)):  # it is still told what it was about
        name = get(stack, "one.test", "/" + "b" * length).header("X-Request-ID")
        command = ["explain", "-c", stack.config_path, "--request-id", name, "--json"]
        told = json.loads(run_agent_command(*command).stdout)
        assert told["url"] == "http://one.test/" + "b" * known
        assert told["recorded"]["decision"] == "forward"


def test_no_secret_is_recorded(recording):
    stack = recording()
    headers = [
        ("Cookie", f"token={SECRETS[1]}"),
        ("Authorization", f"Bearer {SECRETS[2]}"),
        ("X-Other", SECRETS[2]),
    ]
    get(stack, "one.test", f"/api/config?key={SECRETS[0]}", headers=headers)
    get(stack, "one.test", "/api/x", method="POST", body=SECRETS[3].encode(), headers=headers)
    data = stack.trace.read_bytes()
    assert b"/api/config" in data and b"one.test" in data
    assert not [secret for secret in SECRETS if secret.encode() in data]
    assert stack.trace.stat().st_mode & 0o777 == 0o640


def test_the_file_is_a_ring_and_survives_a_kill(recording):
    stack = recording(loops=1)  # each has a ring
    size = stack.trace.stat().st_size
    for number in range(60):
        get(stack, "one.test", f"/api/{number}")
    assert stack.trace.stat().st_size == size
    stack.agents[0].stop(signal.SIGKILL)
    code, told = replay(stack)
    assert (code, told["decided"]) == (0, 50)
    data = stack.trace.read_bytes()
    assert b"/api/59" in data and b"/api/5\0" not in data
    stack.start_agent()
    wait_until(lambda: stack.trace.with_name("trace.old").exists(), "the old one is kept")
    assert stack.trace.with_name("trace.old").read_bytes() == data
    assert replay(stack)[1]["decided"] == 0


@pytest.mark.parametrize("size", [0, 4096 + 512 * 20, 100])
def test_who_cuts_the_file_short_does_not_end_it(recording, size):
    """As `: >trace` does, or logrotate's copytruncate: decisions are recorded in memory from then on."""
    stack = recording(loops=2, trace={"entries": 50})
    with Load(stack.http_port, "one.test") as load:
        load.wait_for_more(100)
        os.truncate(stack.trace, size)
        load.wait_for_more(300)
    assert set(load.statuses) == {200}
    agent = stack.agents[0]
    wait_until(lambda: "trace_not_written" in agent.log(), "it is told")
    told = [line for line in agent.log().splitlines() if "trace_not_written" in line]
    assert len(told) == 1 and str(stack.trace) in told[0] and " error " in told[0]
    assert stack.trace.stat().st_size == size
    get(stack, "two.test", "/after")
    agent.send_signal(signal.SIGUSR1)
    wait_until(lambda: " path=/after " in agent.log(), "the last decision")
    assert agent.stop() == 0
    stack.start_agent()
    wait_until(lambda: get(stack, "two.test", "/anew").status == 200, "it is asked again")
    assert replay(stack)[1]["decided"] >= 1


def test_the_last_hundred_of_each_loop_are_shown(recording):
    stack = recording(loops=1, trace={"entries": 1000})
    for number in range(130):
        get(stack, "one.test", f"/api/{number}")
    agent = stack.agents[0]
    for asked in (1, 2):
        agent.send_signal(signal.SIGUSR1)
        wait_until(lambda: agent.log().count(" path=/api/129 ") == asked, "the last decision")
    lines = [line for line in agent.log().splitlines() if " trace " in line]
    shown = [re.search(r" path=/api/(\d+) ", line)[1] for line in lines]
    assert shown == [str(number) for number in range(30, 130)] * 2


def test_decisions_are_shown_in_the_logs_format(recording):
    stack = recording(log={"format": "json", "level": "error"})
    get(stack, "one.test", "/api/shown")
    agent = stack.agents[0]
    agent.send_signal(signal.SIGUSR1)
    wait_until(lambda: "/api/shown" in agent.log(), "the decision")
    lines = [line for line in agent.log().splitlines() if "/api/shown" in line]
    told = json.loads(lines[0])
    assert (told["event"], told["host"], told["outcome"]) == ("trace", "one.test", "forward")


def test_a_broken_file_is_told_and_a_broken_entry_left_out(recording, tmp_path):
    stack = recording()
    for host in ["one.test", "two.test"]:
        get(stack, host)
    data = bytearray(stack.trace.read_bytes())
    at = data.index(b"two.test")
    for cut in [0, 7, 40, 4095]:
        broken = tmp_path / "broken"
        broken.write_bytes(data[:cut])
        done = run_agent_command("replay", broken, "-c", stack.config_path)
        assert done.returncode == 2 and "is no trace" in done.stderr
    data[at] ^= 1
    stack.trace = tmp_path / "trace"
    stack.trace.write_bytes(data)
    assert replay(stack)[1]["decided"] == 1
    for seed in range(40):
        place = (seed * 79190) % len(data)
        spoiled = bytearray(data)
        spoiled[place] ^= 0xFF
        stack.trace.write_bytes(spoiled[: len(data) - seed])
        done = run_agent_command("replay", stack.trace, "-c", stack.config_path)
        assert done.returncode in (0, 1, 2)


def test_a_trace_that_cannot_be_written_ends_the_start(new_stack):
    stack = new_stack(changes={"trace": {"file": "/nowhere/trace"}})
    stack.write_config()
    done = run_agent_command("run", "-c", stack.config_path)
    assert done.returncode == 2 and "/nowhere/trace.new" in done.stderr


def no_room():
    """Files get no longer, as on a full disk. (The signal would be the default.)"""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))


def test_a_full_disk_keeps_nobody_from_being_served(new_stack, tmp_path):
    """What was recorded before has filled it, and the service is restarted."""
    trace = tmp_path / "trace"
    stack = new_stack(changes={"trace": {"entries": 1000, "file": str(trace)}})
    stack.write_config()
    log = tmp_path / "log"
    with open(log, "w") as out:
        process = subprocess.Popen(
            [BINARY, "run", "-c", stack.agent_config_path(0)],
            stderr=out,
            env={**os.environ, **SANITIZERS},
            preexec_fn=no_room,
        )
    try:
        wait_until(lambda: " ready " in log.read_text() or process.poll() is not None, "it serves")
        assert " ready " in log.read_text(), log.read_text()
    finally:
        process.terminate()
        code = process.wait(timeout=60)
    assert code == 0 and "trace_not_written" in log.read_text()
    assert "File too large" in log.read_text() and not list(tmp_path.glob("trace*"))


def test_haproxy_tells_its_ids_only_where_they_are_recorded(recording, new_stack):
    stack = recording()
    assert "args uid=unique-id\n" in (stack.haproxy_dir / "owui.spoe.cfg").read_text()
    plain = new_stack()
    plain.write_config()
    plain.write_haproxy_config()
    assert "uid=" not in (plain.haproxy_dir / "owui.spoe.cfg").read_text()
    assert os.path.exists(stack.trace)
