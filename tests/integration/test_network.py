"""HAProxy and the agent on two machines, and what a network between them does on a bad day."""

import ctypes
import functools
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from support.background import Background
from support.clients import Echo, request
from support.processes import wait_until
from support.stack import HAPROXY_VERSION, USUAL_TIMEOUTS, Upstream
from support.stalls import Stalls

PORT = 12345
TENANTS = ("one", "two")
_libc = ctypes.CDLL(None, use_errno=True)
_PIDFD_GETFD = 438
TCP_USER_TIMEOUT = 18


@pytest.fixture
def apart(wire, new_stack, tmp_path):
    """A stack with its agent on the far machine; tenants, each with an upstream of its name."""
    servers = [Upstream(name, tmp_path).start() for name in TENANTS]
    stack = new_stack(haproxy_changes={**USUAL_TIMEOUTS, "agents": [f"tcp:{wire.FAR}:{PORT}"]})
    stack.config["listen"].append(f"tcp:{wire.FAR}:{PORT}")
    stack.agent_wrapper = wire.on_far()
    stack.write_tenants(
        {
            server.name: {
                "hosts": [f"{server.name}.test"],
                "upstream": server.wait().url,
                "https": "off",
            }
            for server in servers
        }
    )
    stack.start()
    yield stack
    for server in servers:
        server.stop()


class Visitors(Background):
    """Somebody at each tenant, who claims to be somebody else; what they are answered."""

    def __init__(self, stack):
        self.stack = stack
        self.answers = []  # when it was asked, how long it took, the status
        self.wrong = []
        super().__init__([functools.partial(self._visit, tenant) for tenant in TENANTS * 2])

    def _visit(self, tenant):
        claims = [("X-Tenant-ID", "other"), ("X-Forwarded-For", "192.0.2.9")]
        while not self.ended.is_set():
            asked = time.monotonic()
            answer = request(self.stack.http_port, "/api/echo", f"{tenant}.test", headers=claims)
            status = answer.status if answer else 0
            if status == 200:
                told = Echo(answer)
                seen = (told.name, told.all("x-tenant-id"), told.all("x-forwarded-for"))
                if seen != (tenant, [tenant], ["127.0.0.1"]):
                    self.wrong.append((tenant, seen))
            elif status != 503:
                self.wrong.append((tenant, status))
            self.answers.append((asked, time.monotonic() - asked, status))
            time.sleep(0.002)

    def since(self, when):
        return [answer for answer in list(self.answers) if answer[0] >= when]

    def longest(self, begin, end, stalls):
        """How long anybody waited who did so in this time, less what the machine stood still."""
        return max(
            took - stalls.between(asked, asked + took)
            for asked, took, _ in self.answers
            if asked + took >= begin and asked <= end
        )

    def wait_for(self, status, count, after):
        """How long after `after` the first of `count` answers with this status in a row came."""

        def in_a_row():
            row = []
            for asked, took, found in sorted(self.since(after)):
                row = row + [asked + took] if found == status else []
                if len(row) == count:
                    return row[0] - after
            return None

        return wait_until(in_a_row, f"{count} answers {status} in a row", 30)


def test_delay_loss_and_another_order(wire, apart, record_property):
    """Requests go to their tenant with what the agent says of them, or are refused."""
    with Stalls() as stalls, Visitors(apart) as visitors:
        visitors.wait_for(200, 10, time.monotonic())
        wire.delay_s, wire.loss = (0.002, 0.06), 0.05
        bad = time.monotonic()
        wait_until(lambda: len(visitors.since(bad)) >= 150, "requests", 30)
        wire.delay_s, wire.loss = (0.0, 0.0), 0.0
        healed = time.monotonic()
        recovered = visitors.wait_for(200, 20, healed)
    meanwhile = [answer for answer in visitors.since(bad) if answer[0] < healed]
    refused = sum(status == 503 for _, _, status in meanwhile)
    record_property("recovered_ms", round(recovered * 1000))
    print(f"\n  {refused} of {len(meanwhile)} refused, well again after {recovered * 1000:.0f} ms")
    assert not visitors.wrong, visitors.wrong[:5]
    assert 0 < len(meanwhile) - refused
    assert visitors.longest(bad, healed, stalls) < 3
    assert recovered < 5


def connections(wire, *, far):
    """Those that are established, between HAProxy and the agent."""
    command = ["ss", "-Htn", "state", "established"]
    command += [("sport" if far else "dport"), "=", f":{PORT}"]
    done = subprocess.run(
        wire.on_far(*command) if far else command, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_machine_that_vanishes(wire, apart, record_property):
    """No FIN, no reset: requests are refused in time, and HAProxy goes on by itself when the machine is
    there again. Before, it leaves its half of the connections; since 3.1 it keeps those that are
    idle, on which nothing is sent that could fail."""
    with Stalls() as stalls, Visitors(apart) as visitors:
        visitors.wait_for(200, 10, time.monotonic())
        wire.is_cut = True
        cut = time.monotonic()
        visitors.wait_for(503, 10, cut)
        apart.wait_for_agents(0)
        if HAPROXY_VERSION < (3, 1):
            wait_until(lambda: not connections(wire, far=False), "HAProxy has left its half", 20)
        left = time.monotonic() - cut
        wire.is_cut = False
        healed = time.monotonic()
        recovered = visitors.wait_for(200, 20, healed)
    record_property("recovered_ms", round(recovered * 1000))
    print(f"\n  left after {left:.1f} s, well again after {recovered * 1000:.0f} ms")
    assert not visitors.wrong, visitors.wrong[:5]
    assert visitors.longest(cut, healed, stalls) < 3
    assert recovered < 5


def user_timeouts(pid):
    """TCP_USER_TIMEOUT of each TCP connection of a process, in ms."""
    process = os.pidfd_open(pid)
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        copy = _libc.syscall(_PIDFD_GETFD, process, int(name), 0)
        if copy < 0:
            continue
        try:
            with socket.socket(fileno=copy) as sock:
                if sock.family == socket.AF_INET and sock.getpeername():
                    found.append(sock.getsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT))
        except OSError:
            continue  # it listens, or is no socket
    os.close(process)
    return found


def test_what_is_left_of_a_haproxy_that_vanished(wire, apart):
    """The agent's half: whether an answer was under way or not, the kernel gives it up after a minute
    and a half, not after a quarter of an hour."""
    with Visitors(apart) as visitors:
        visitors.wait_for(200, 10, time.monotonic())
    assert connections(wire, far=True)
    wire.is_cut = True
    apart.haproxy.stop(signal.SIGKILL)
    timeouts = user_timeouts(apart.agents[0].pid)
    assert timeouts and set(timeouts) == {90_000}
