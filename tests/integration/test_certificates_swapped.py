"""A swap is a few commands to HAProxy, one after the other. What happens between any two of them:
the daemon dies, or HAProxy loads its configuration anew."""

import contextlib
import http.client
import signal

import pytest

from support.certified import read_pem
from support.processes import wait_until
from support.relay import RuntimeRelay

HOST = "chat.example.test"
NAME = "chat.pem"
SWAP = ["set ssl cert", "commit ssl cert"]


class Between:
    """Stands before HAProxy's Runtime API. `act(command)` is called with each command about the file
    `name`, which is noted, from the first on that changes something: looks come at any time."""

    def __init__(self, stack):
        self.path = stack.directory / "between.sock"
        self.name, self.act, self.seen = None, None, []
        self.relay = RuntimeRelay(self.path, stack.runtime_socket, self._before)
        stack.config["haproxy"]["runtime"] = [str(self.path)]

    def _before(self, command):
        begins = command.startswith(("new ssl cert", "set ssl cert"))
        if self.name and f"/{self.name}" in command and (begins or self.seen):
            self.seen.append(command)
            if self.act:
                self.act(command)

    def watch(self, name, act):
        self.name, self.act, self.seen = name, act, []


@pytest.fixture
def between(new_certified):
    """One tenant that has had two certificates; HAProxy is started by its own socket's path."""
    stack = new_certified()
    stack.want(("chat", HOST))
    stack.write_config()
    stack.write_haproxy_config()
    stack.start_haproxy()
    one = Between(stack)
    one.stack = stack
    stack.write_config()
    stack.start_agent()
    first = stack.wait_served(HOST).serial_number
    stack.act("chat", "renew")
    stack.wait_served(HOST, but_not=first)
    stack.wait_told(NAME, lambda told: "doing" not in told, "at rest")
    yield one
    one.watch(None, None)
    one.relay.stop()


def deaths(between, name, begin):
    """Begins the same again and again; the daemon dies when it has sent its first command about the
    file, its second... HAProxy hears it, and nobody its answer. Yields at each death."""
    stack = between.stack
    for step in range(1, 20):
        this = name(step)
        dead = []

        def die(command):
            if len(between.seen) == step:
                stack.agents[0].stop(signal.SIGKILL)
                dead.append(command)

        done = f"deployed certificate={this} "
        before = stack.agent_log().count(done)
        between.watch(this, die)
        begin(step)
        ended = lambda: dead or stack.agent_log().count(done) > before
        wait_until(ended, f"step {step}: an end", 60)
        between.watch(None, None)
        if not dead:
            return
        yield step, this, dead[0]
        stack.start_agent()
        stack.wait_told(this, lambda told: told["haproxys"][0]["served"], "served", 60)
        assert "*" not in stack.runtime("show ssl cert")  # no transaction is left open
    pytest.fail(f"there are more commands than {step}")


def test_killed_at_every_command_of_a_renewal(between, ca):
    """Either pair is served at any time, and in the end the one on disk."""
    stack = between.stack
    orders, workers = ca.good_orders(), stack.haproxy_workers()
    heard = []

    def begin(_):
        with contextlib.suppress(
            OSError, http.client.HTTPException
        ):  # it may die before it answers
            stack.act("chat", "rollback")

    for step, _, command in deaths(between, lambda _: NAME, begin):
        heard.append(command)
        read_pem(stack.crt_dir / NAME)
        on_disk = stack.serial_on_disk(NAME)
        assert stack.served(HOST) is not None
        if step > 1:
            assert before != on_disk  # each one puts the other pair in place
        before = on_disk
    assert all(any(word in command for command in heard) for word in SWAP), heard
    wait_until(lambda: stack.serial(HOST) == stack.serial_on_disk(NAME), "served", 30)
    assert ca.good_orders() == orders and stack.haproxy_workers() == workers


def test_killed_at_every_command_of_a_new_name(between, ca):
    """One order each, however far it came with HAProxy."""
    stack = between.stack
    orders, workers = ca.good_orders(), stack.haproxy_workers()
    host = lambda step: f"n{step}.example.test"
    heard = []
    for step, name, command in deaths(
        between, lambda step: f"n{step}.pem", lambda step: stack.want((f"n{step}", host(step)))
    ):
        heard.append(command)
        read_pem(stack.crt_dir / name)
        assert stack.served(HOST) is not None
    words = ["new ssl cert", *SWAP, "add ssl crt-list"]
    assert all(any(word in command for command in heard) for word in words), heard
    for step in range(1, len(heard) + 2):
        serial = stack.wait_served(host(step)).serial_number
        assert serial == stack.serial_on_disk(f"n{step}.pem")
    assert ca.good_orders() - orders == len(heard) + 1
    assert stack.haproxy_workers() == workers


@pytest.mark.parametrize("command", SWAP)
def test_a_reload_in_the_midst_of_a_swap(between, command):
    """Its transaction is gone with the process that it was begun in; the file has been there before."""
    stack = between.stack
    workers, before = stack.haproxy_workers(), stack.serial(HOST)
    reloaded = []

    def reload(line):
        if line.startswith(command) and not reloaded:
            stack.haproxy.send_signal(signal.SIGUSR2)
            wait_until(
                lambda: len(now := stack.haproxy_workers()) == 1 and now != workers, "reloaded", 30
            )
            reloaded.append(line)

    between.watch(NAME, reload)
    stack.act("chat", "renew")
    wait_until(lambda: reloaded, "a reload", 60)
    after = stack.wait_served(HOST, but_not=before, timeout_s=60).serial_number
    assert after == stack.serial_on_disk(NAME)
    served = lambda told: "doing" not in told and told["haproxys"][0]["served"]
    told = stack.wait_told(NAME, served, "known to be served", 60)
    assert "problem" not in told["haproxys"][0] and "served_wrong" not in told
    assert "rolled_back" not in stack.agent_log()
    assert "*" not in stack.runtime("show ssl cert")
