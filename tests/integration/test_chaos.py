"""The short form of tests/chaos: a fixed seed, and bars for a machine that has other things to do."""

import importlib.machinery
import importlib.util
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import types

import pytest

from support.acme import CHALLTESTSRV, PEBBLE
from support.processes import Process, wait_until
from support.stack import BINARY, HAPROXY, REPOSITORY

SECONDS = "18"
sys.path.insert(0, str(REPOSITORY / "tests/chaos"))

import faults  # noqa: E402
import load  # noqa: E402
import seeds  # noqa: E402
import world  # noqa: E402
from faults import Fault  # noqa: E402
from model import SPOOFED, Model, Tenant  # noqa: E402


@pytest.mark.skipif(PEBBLE is None or CHALLTESTSRV is None, reason="needs pebble")
@pytest.mark.parametrize("seed", [1])
def test_faults_in_a_random_order_break_nothing(seed):
    command = [REPOSITORY / "tests/chaos/run", "--seed", str(seed), "--seconds", SECONDS]
    command += ["--agents", "2", "--fallback", "--decisions", "--patience", "20"]
    env = {**os.environ, "OWUI_SPOA_BINARY": str(BINARY), "OWUI_HAPROXY": HAPROXY}
    done = subprocess.run(
        list(map(str, command)), env=env, capture_output=True, text=True, timeout=900
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "0 violations" in done.stdout


@pytest.fixture
def model():
    made = Model()
    made.add(Tenant("chat", "chat.test", "alpha"))
    return made


TOLD = [("x-tenant-id", "chat"), ("x-forwarded-for", "127.0.0.1")]


@pytest.mark.parametrize(
    "name, headers, what",
    [
        ("alpha", TOLD, None),
        ("beta", TOLD, "wrong tenant"),
        ("alpha", [("x-tenant-id", "other")], "wrong tenant told"),
        ("alpha", TOLD[1:], "wrong tenant told"),
        ("alpha", [*TOLD, ("x-user-email", f"root@{SPOOFED}")], "unverified header"),
    ],
)
def test_the_model_sees_what_arrives(model, name, headers, what):
    tenant = model.tenants["chat"]
    model.check_arrival(tenant, {"alpha"}, name, headers)
    assert [what] * bool(what) == [told.split(" ", 1)[1].split(":")[0] for told in model.violations]


def test_the_model_excuses_what_a_fault_explains_and_no_more(model):
    tenant = model.tenants["chat"]
    model.judge(tenant, time.monotonic(), "cut")
    assert len(model.violations) == 1
    asked = time.monotonic()
    window = model.open("haproxy restarted", [("cut", None), ("no-upstream", "beta")])
    model.judge(tenant, asked, "cut")
    assert (len(model.violations), window.excused) == (1, 1)
    model.judge(tenant, asked, "no-agent")
    model.judge(tenant, asked, "no-upstream")
    assert len(model.violations) == 3
    window.end = time.monotonic()
    model.judge(tenant, time.monotonic(), "ok")
    assert len(model.violations) == 3
    time.sleep(0.01)
    model.judge(tenant, time.monotonic(), "cut")
    assert len(model.violations) == 4


def test_the_same_seed_is_the_same_schedule():
    """What is replayed is the order of faults, whatever the machine does."""
    command = [sys.executable, REPOSITORY / "tests/chaos/run", "--seed", "3", "--plan", "40"]
    plans = [
        subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120).stdout
        for _ in range(2)
    ]
    assert plans[0] == plans[1] and len(plans[0].splitlines()) == 40
    assert " and " in plans[0]


class Restart(Fault):
    """Of an agent that takes a while to start, and then is well at once."""

    name = "agent killed"
    ends_by_start = True
    start_s = 0.0

    def __init__(self, world):
        self.world = world

    def finish(self):
        time.sleep(self.start_s)

    def recovered(self):
        return True


@pytest.fixture
def runner(model):
    path = str(REPOSITORY / "tests/chaos/run")
    loader = importlib.machinery.SourceFileLoader("chaos_run", path)
    run = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(run)
    stalls = types.SimpleNamespace(since=lambda when: 0)
    world = types.SimpleNamespace(model=model, stalls=stalls)
    return run.Runner(world, [], None, patience=0.02)


@pytest.mark.parametrize("start_s, violations", [(0.0, 0), (0.3, 1)])
def test_a_slow_start_is_told(runner, start_s, violations):
    fault = Restart(runner.world)
    fault.start_s = start_s
    runner.finish(fault)
    runner.await_end(fault, runner.world.model.open(fault.name, ()))
    told = runner.world.model.violations
    assert len(told) == violations and all(" start" in str(one) for one in told), told
    assert start_s <= runner.starts[0]


def test_what_was_not_felt_at_all_is_no_time(runner):
    runner.world.stalls.since = lambda when: 60
    fault = Restart(runner.world)
    runner.await_end(fault, runner.world.model.open(fault.name, ()))
    assert runner.felt == {fault.name: [(0, 0)]}


class Sleeps(seeds.Seed):
    def command(self):
        return ["sh", "-c", "echo begun; exec sleep 60"]


def test_a_seed_that_hangs_is_told_of_beside_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "SPARE_S", 2)
    seed = Sleeps(7, None, types.SimpleNamespace(seconds=0), tmp_path)
    (found,) = seeds.run_all([seed], 1)
    assert found["seed"] == 7 and found["failed"] == "begun\n\nnot at its end after 2 s"


@pytest.mark.parametrize("kind, leaks", [("open('/dev/null')", True), ("socket.socket()", False)])
def test_a_leak_is_seen_in_an_agent_that_is_killed(model, monkeypatch, kind, leaks):
    """It opens files, and is another process afterwards; of connections there are some at any time."""
    monkeypatch.setattr(world, "LEAK_WAIT_S", 0.1)
    script = (
        f"import socket; input(); kept = [{kind} for _ in range(5)]; print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        looked_at = types.SimpleNamespace(model=model, figures={"agent1": world.Figures(child.pid)})
        looked_at.check_leak = lambda name: world.World.check_leak(looked_at, name)
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()

        def stop(number):
            child.send_signal(number)
            return child.wait()

        agent = types.SimpleNamespace(name="agent1", is_running=lambda: True, stop=stop)
        faults.kill_agent(looked_at, agent)
    assert [" leak: " in str(one) for one in model.violations] == [True] * leaks
    assert child.returncode == -signal.SIGKILL


def test_an_agent_that_has_ended_by_itself_is_told_of(model, tmp_path):
    agent = Process("agent1", ["sh", "-c", "kill -ABRT $$"], tmp_path).start()
    wait_until(lambda: not agent.is_running(), "it ended")
    faults.kill_agent(types.SimpleNamespace(model=model), agent)
    (told,) = model.violations
    assert told.endswith(" end: agent agent1, status -6")


@pytest.mark.parametrize("headers, violations", [(TOLD, 0), ([*TOLD, ("x-team", SPOOFED)], 1)])
def test_what_an_open_socket_came_with_is_looked_at(model, headers, violations):
    near, far = socket.socketpair()
    worker = load.Socket(types.SimpleNamespace(model=model, seed=1), model.tenants["chat"])
    worker.sock = near
    told = "430" + json.dumps([{"name": "alpha", "headers": headers}])
    with near, far:
        far.sendall(struct.pack(">BBH", 0x81, 126, len(told)) + told.encode())
        worker.keep()
    assert len(model.violations) == violations, model.violations


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda folder: None, []),
        (lambda folder: (folder / "chat.json").write_text("{}"), ["file chat.json"]),
        (lambda folder: (folder / "chat.json").unlink(), ["file chat.json"]),
        (lambda folder: (folder / ".chat.json.new").touch(), ["left .chat.json.new"]),
    ],
)
def test_files_that_changed_are_seen(model, tmp_path, change, told):
    path = tmp_path / "chat.json"
    path.write_text('{"tenants": {}}')
    looked_at = types.SimpleNamespace(
        model=model,
        files={path: path.read_bytes()},
        stack=types.SimpleNamespace(tenants_dir=tmp_path),
    )
    change(tmp_path)
    world.World.check_files(looked_at)
    assert [one.split(" configuration: ")[1] for one in model.violations] == told


@pytest.mark.parametrize(
    "second, violations", [([["chat"], "2"], 0), ([["chat"], "3"], 1), ([[], "2"], 1)]
)
def test_an_agent_that_goes_by_something_else_is_seen(model, monkeypatch, second, violations):
    monkeypatch.setattr(world, "SETTLES_S", 0.1)
    model.add(Tenant("mover", "m.test", world.MOVES_FROM))
    looked_at = types.SimpleNamespace(
        model=model,
        stack=types.SimpleNamespace(agents=[types.SimpleNamespace(name=n) for n in "ab"]),
        first=[[["chat"], "1"], [["chat"], "2"]],
        in_force=[[["chat"], "1"], second].__getitem__,
        write_tenant=lambda tenant, upstream: None,
    )
    world.World.check_agents(looked_at)
    assert len(model.violations) == violations
