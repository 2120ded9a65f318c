"""Threads of the agent that stop coming round: who tells of it, and how the agent is ended."""

import contextlib
import pathlib
import re
import signal
import socket
import threading
import time

import pytest

from support.clock import SlowDisk, StuckLoops
from support.processes import wait_until
from support.spop import Asker
from test_admin import Admin, notices, tenant

LOOPS = 2
GIVEN_UP_S = 6.5  # after a signal to end, and some
NOTICED_S = 40  # 11 looks, on a machine that may be busy
QUIET_S = 2  # ten times as long as the service manager has to wait for a word


@pytest.fixture
def still(new_stack):
    """An agent without HAProxy, whose loops can be stopped."""
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"], "loops": LOOPS})
    stack.write_tenants({"a": tenant(1)})
    stack.write_config()
    stack.loops = StuckLoops(stack)
    stack.admin = Admin(stack)
    yield stack
    stack.loops.free()


class Manager(threading.Thread):
    """What systemd is to a service that it watches: it counts how often that says it is alive."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.inbox.bind(str(path))
        self.words = 0

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                self.words += self.inbox.recv(4096) == b"WATCHDOG=1"

    def is_quiet(self):
        before = self.words
        time.sleep(QUIET_S)
        return self.words == before

    def hears(self, times=2):
        before = self.words
        wait_until(lambda: self.words >= before + times, "it is alive")


@pytest.fixture
def manager(still):
    path = still.directory / "notify"
    still.agent_env.update(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="200000")
    told = Manager(path)
    told.start()
    yield told
    told.inbox.close()


def start(stack):
    stack.start_agent()
    wait_until(lambda: " ready " in stack.agents[0].log(), "it serves")
    return stack.agents[0]


def is_told(stack):
    return notices(stack, "thread_stands_still")


def test_loops_that_stand_still_are_told_of(still, manager):
    agent = start(still)
    asker = Asker(still.sockets[0])
    assert is_told(still) == []
    still.loops.stop(LOOPS)
    wait_until(lambda: len(is_told(still)) == LOOPS, "status tells", NOTICED_S)
    code, text, _ = still.admin.run("status")
    flat = " ".join(text.split())
    assert code == 1 and "loop-0 has stood still for" in flat and f"/proc/{agent.pid}/task/" in flat
    assert agent.log().count(" thread_stands_still ") == LOOPS
    metrics = still.admin.http("GET", "/metrics")[1].decode()
    assert f'owui_spoa_notices{{kind="thread_stands_still"}} {LOOPS}' in metrics
    # The service manager hears no more that it is alive, and hears it again.
    assert manager.is_quiet()
    still.loops.free()
    assert "dst" in asker.ask("chat.test")
    wait_until(lambda: is_told(still) == [], "it is over")
    manager.hears()
    assert agent.log().count(" thread_goes_on ") == LOOPS
    asker.close()


def test_one_loop_is_enough(still, manager):
    start(still)
    still.loops.stop(1)
    wait_until(lambda: is_told(still), "status tells", NOTICED_S)
    assert manager.is_quiet()


@pytest.mark.parametrize("connections", [LOOPS, LOOPS + 1])  # the next one is another loop's
def test_decisions_of_the_other_loops_are_shown(still, connections):
    """Who asks for them asks why something stands still."""
    still.config["trace"] = {"entries": 100}
    still.write_config()
    agent = start(still)
    askers = [Asker(still.sockets[0]) for _ in range(connections)]
    for number, asker in enumerate(askers):
        asker.ask("chat.test", f"/{number}")
    still.loops.stop(1)
    wait_until(lambda: still.admin.json("status")[1]["connections"] > connections, "it is taken")
    agent.send_signal(signal.SIGUSR1)
    wait_until(lambda: " trace_not_shown " in agent.log(), "it is told", NOTICED_S)
    stuck = int(re.search(r" trace_not_shown loop=(\d) ", agent.log())[1])
    wait_until(lambda: f" trace loop={1 - stuck} " in agent.log(), "the other's are shown")
    assert f" trace loop={stuck} " not in agent.log()
    still.loops.free()
    agent.send_signal(signal.SIGUSR1)
    wait_until(lambda: f" trace loop={stuck} " in agent.log(), "it is asked again")
    assert agent.log().count(" trace_not_shown ") == 1
    for asker in askers:
        asker.close()


def test_a_process_that_was_stopped_is_no_alarm(still, manager):
    """As a machine that slept is not."""
    agent = start(still)
    agent.send_signal(signal.SIGSTOP)
    time.sleep(15)  # what is awaited is that time passes
    agent.send_signal(signal.SIGCONT)
    manager.hears()
    assert is_told(still) == [] and "thread_stands_still" not in agent.log()


@pytest.mark.parametrize("signals", [1, 2])
def test_loops_that_stand_still_do_not_keep_the_agent_from_ending(still, signals):
    agent = start(still)
    still.loops.stop(LOOPS)
    wait_until(lambda: still.admin.json("status")[1]["connections"] >= LOOPS, "they are taken")
    began = time.monotonic()
    agent.send_signal(signal.SIGTERM)
    wait_until(lambda: " drain " in agent.log(), "it is told")
    if signals == 2:
        agent.send_signal(signal.SIGTERM)
    assert agent.child.wait(30) == 1
    assert time.monotonic() - began < (12 if signals == 1 else 5)
    assert " stop_forced " in agent.log()
    still.agents.clear()
    still.loops.free()
    start(still)
    assert still.admin.json("status")[0] == 0


def loops_run(pid):
    """Whether a loop's thread is there."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ends at this moment
            if (task / "comm").read_text().startswith("loop-"):
                return True
    return False


def test_loops_that_have_ended_in_time_are_not_given_up(new_stack):
    """Although the main thread hears of it late, as when it has had much to do."""
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"], "loops": LOOPS})
    stack.write_tenants({"a": tenant(1)})
    stack.write_config()
    main = StuckLoops(stack, "owui-spoa")
    agent = start(stack)
    asker = Asker(stack.sockets[0])
    asker.socket.sendall(b"\0\0")  # it is waited for, as long as loops may take
    agent.send_signal(signal.SIGTERM)
    wait_until(lambda: " drain " in agent.log(), "it is told")
    told = time.monotonic()
    main.stop_main()
    assert loops_run(agent.pid)
    wait_until(lambda: not loops_run(agent.pid), "the loops have ended")
    time.sleep(max(0, told + GIVEN_UP_S - time.monotonic()))  # what is awaited is that time passes
    main.free()
    assert agent.child.wait(30) == 0
    assert " stop_forced " not in agent.log() and " info stop" in agent.log()
    asker.close()


def test_who_connects_is_served_while_the_main_thread_is_busy(new_stack):
    """With a large configuration, which it reads or keeps: a new HAProxy, or a health check, does not
    wait for a second."""
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"], "loops": LOOPS})
    stack.write_tenants({"a": tenant(1)})
    stack.write_config()
    main = StuckLoops(stack, "owui-spoa")
    agent = start(stack)
    main.stop_main()
    try:
        for _ in range(2 * LOOPS):
            asker = Asker(stack.sockets[0])
            assert "dst" in asker.ask("chat.test")
            asker.close()
    finally:
        main.free()
    assert agent.is_running()


@pytest.fixture
def stuck_sidecar(new_certified):
    """One that stands still for as long as its disk is slow."""
    stack = new_certified()
    stack.disk = SlowDisk(stack, ".pem")
    stack.want(("one", "one.still.test"))
    stack.start()
    try:
        wait_until(lambda: "thread_stands_still" in stack.agents[0].log(), "it is told", 150)
        yield stack
    finally:
        stack.disk.done()


@pytest.mark.slow
def test_a_sidecar_that_stands_still_is_told_of(stuck_sidecar):
    stack = stuck_sidecar
    asked = Admin(stack)
    (told,) = asked.json("status")[1]["notices"]
    assert told["kind"] == "thread_stands_still" and "no certificate" in told["message"]
    assert asked.http("GET", "/v1/certificates")[0] == 503
    assert asked.http("GET", "/metrics")[0] == 200
    stack.disk.done()
    wait_until(lambda: "thread_goes_on" in stack.agents[0].log(), "it goes on")
    assert asked.json("status")[1]["notices"] == []
    assert asked.http("GET", "/v1/certificates")[0] == 200
    stack.wait_served("one.still.test", timeout_s=200)


@pytest.mark.slow
def test_a_sidecar_that_stands_still_is_not_waited_for_for_ever(stuck_sidecar):
    agent = stuck_sidecar.agents[0]
    agent.send_signal(signal.SIGTERM)
    wait_until(lambda: " info stop" in agent.log(), "the loops have ended")
    agent.send_signal(signal.SIGTERM)
    assert agent.child.wait(10) == -signal.SIGTERM
    stuck_sidecar.agents.clear()
