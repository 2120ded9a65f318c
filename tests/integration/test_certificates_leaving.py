"""Certificates that no tenant wants any more leave, and those that an admin put there stay.

The ten minutes that they are kept pass at once, by a clock that is preloaded into the agent.
"""

import contextlib
import json
import re
import socket
import ssl

import pytest

from support.clock import Clock
from support.processes import wait_until
from support.relay import RuntimeRelay

HOST = "chat.example.test"
OTHER = "other.example.test"
KEPT_S = 600


def start_clocked(stack, runtime=None):
    """Two tenants, whose certificates are served, and the clock of their agent, which finds HAProxy at
    another socket when there is one."""
    clock = Clock(stack)
    stack.want(("old", HOST), ("other", OTHER))
    stack.write_config()
    stack.write_haproxy_config()
    stack.start_haproxy()
    if runtime is not None:
        stack.config["haproxy"]["runtime"] = [str(runtime)]
        stack.write_config()
    stack.start_agent()
    for host in (HOST, OTHER):
        stack.wait_served(host)
    return stack, clock


@pytest.fixture
def clocked(new_certified):
    return start_clocked(new_certified())


class Unwilling(RuntimeRelay):
    """A Runtime API that does not take certificates out, and says so or says nothing."""

    def __init__(self, path, haproxy_path, answer):
        self.answer = answer
        self.willing = False
        super().__init__(path, haproxy_path, lambda command: None)

    def serve(self, near):
        asked = near.recv(65536, socket.MSG_PEEK)
        if self.willing or not asked.startswith(b"del ssl cert "):
            with contextlib.suppress(OSError):  # HAProxy may be away
                super().serve(near)
            return
        with near:
            near.recv(65536)
            near.sendall(self.answer)


@pytest.fixture
def unwilling(new_certified):
    """Makes such a stack, with the relay at which its agent finds HAProxy."""
    stack, relays = new_certified(), []

    def start(answer):
        path = stack.directory / "unwilling.sock"
        relays.append(Unwilling(path, stack.runtime_socket, answer.encode()))
        return (*start_clocked(stack, path), relays[0])

    yield start
    for relay in relays:
        relay.stop()


def remove(stack, *names):
    for name in names:
        (stack.tenants_dir / f"{name}.json").unlink()


def wait_wanted(stack, *names):
    """Until the sidecar knows that these are all."""

    def look():
        try:
            status, text = stack.admin("GET", "/v1/certificates")
        except OSError:
            return False  # a daemon that has just started
        return status == 200 and {one["name"] for one in json.loads(text)["certificates"]} == set(
            names
        )

    wait_until(look, f"wanted: {names}")


def wait_looked(stack):
    """A HAProxy that is noticed: a look has begun since this was called, and whatever had to leave
    leaves at its beginning."""
    seen = stack.agent_log().count("haproxy_seen")
    stack.haproxy.stop()
    stack.start_haproxy()
    wait_until(lambda: stack.agent_log().count("haproxy_seen") > seen, "a look at HAProxy")


def wait_left(stack, name):
    wait_until(lambda: name not in stack.files(), f"{name} has left the folder")
    wait_until(
        lambda: f"/{name}\n" not in stack.runtime("show ssl cert"), f"{name} has left HAProxy"
    )


@pytest.mark.parametrize("restart", ["none", "after", "meanwhile"])
def test_a_renamed_tenants_certificate_leaves(clocked, restart):
    """Whether the agent is restarted afterwards, or was down when its tenant was renamed. Its host is
    served with the new one's from then on."""
    stack, clock = clocked
    if restart == "meanwhile":
        stack.agents[0].stop()
    remove(stack, "old")
    stack.want(("renamed", HOST))
    if restart == "meanwhile":
        stack.start_agent()
    wait_wanted(stack, "other.pem", "renamed.pem")
    stack.wait_told("renamed.pem", lambda told: told["haproxys"][0]["served"], "served")
    if restart == "after":
        stack.restart_agent()
        wait_wanted(stack, "other.pem", "renamed.pem")
    assert "old.pem" in stack.files()  # whoever is back within ten minutes needs no order
    clock.go_on(KEPT_S + 1)
    wait_left(stack, "old.pem")
    stack.wait_served(HOST)
    assert stack.serial(HOST) == stack.serial_on_disk("renamed.pem")
    assert stack.files() == {"other.pem", "renamed.pem"}


def test_what_returns_after_a_restart_stays(clocked, ca):
    stack, clock = clocked
    before, orders = stack.serial(HOST), ca.orders()
    remove(stack, "old")
    wait_wanted(stack, "other.pem")
    stack.restart_agent()
    wait_wanted(stack, "other.pem")
    stack.want(("old", HOST))
    wait_wanted(stack, "old.pem", "other.pem")
    clock.go_on(KEPT_S + 1)
    wait_looked(stack)
    assert stack.files() == {"old.pem", "other.pem"}
    stack.wait_served(HOST)
    assert (stack.serial(HOST), ca.orders()) == (before, orders)


def test_a_start_without_any_tenant_costs_no_certificate(clocked):
    """Their folder may not have been there."""
    stack, clock = clocked
    stack.agents[0].stop()
    remove(stack, "old", "other")
    stack.start_agent()
    wait_looked(stack)
    clock.go_on(KEPT_S + 1)
    wait_looked(stack)
    assert stack.files() == {"old.pem", "other.pem"}
    stack.want(("other", OTHER))
    wait_wanted(stack, "other.pem")
    clock.go_on(2 * (KEPT_S + 1))
    wait_left(stack, "old.pem")
    assert stack.files() == {"other.pem"}


@pytest.mark.parametrize("restart", [False, True])
def test_what_an_admin_put_there_stays(clocked, restart):
    stack, clock = clocked
    stack.authority.issue(["own.example.test"], stack.crt_dir / "own.pem")
    by_hand = (stack.crt_dir / "own.pem").read_bytes()
    remove(stack, "old")
    wait_wanted(stack, "other.pem")
    if restart:
        stack.restart_agent()
        wait_wanted(stack, "other.pem")
    clock.go_on(KEPT_S + 1)
    wait_left(stack, "old.pem")
    wait_looked(stack)
    assert stack.files() == {"other.pem", "own.pem"}
    assert (stack.crt_dir / "own.pem").read_bytes() == by_hand


@pytest.mark.parametrize("restart", [False, True])
def test_an_admins_file_in_a_tenants_place_stays(clocked, restart):
    """Where the daemon's own was, of a tenant that goes."""
    stack, clock = clocked
    beside = stack.authority.issue([HOST], stack.crt_dir.parent / "old.pem")
    by_hand = beside.read_bytes()
    beside.rename(stack.crt_dir / "old.pem")
    remove(stack, "old")
    wait_wanted(stack, "other.pem")
    if restart:
        stack.restart_agent()
        wait_wanted(stack, "other.pem")
    clock.go_on(KEPT_S + 1)
    wait_looked(stack)
    assert stack.files() == {"old.pem", "other.pem"}
    assert (stack.crt_dir / "old.pem").read_bytes() == by_hand
    trust = ssl.create_default_context(cafile=stack.authority.path)
    stack.wait_served(HOST, context=trust, timeout_s=30)


def test_without_a_ca_all_is_the_admins(clocked):
    stack, clock = clocked
    remove(stack, "old")
    wait_wanted(stack, "other.pem")
    stack.config["acme"]["directory"] = "none"
    stack.write_config()
    stack.restart_agent()
    wait_wanted(stack, "other.pem")
    remove(stack, "other")
    wait_wanted(stack)
    clock.go_on(KEPT_S + 1)
    wait_looked(stack)
    assert stack.files() == {"old.pem", "other.pem"}


def test_what_serves_until_another_kind_of_key_is_there_stays_until_then(clocked, ca):
    """A tenant with `"key": "both"` has two files, with other names than the one that it had."""
    stack, clock = clocked
    remove(stack, "other")
    wait_wanted(stack, "old.pem")
    stack.config["acme"].update(key="both", directory="https://127.0.0.1:1/directory")
    stack.write_config()
    stack.restart_agent()
    wait_wanted(stack, "old.pem.ecdsa", "old.pem.rsa")
    clock.go_on(KEPT_S + 1)
    wait_left(stack, "other.pem")
    wait_looked(stack)
    assert stack.files() == {"old.pem"}
    stack.config["acme"]["directory"] = ca.directory
    stack.write_config()
    stack.restart_agent()
    wait_wanted(stack, "old.pem.ecdsa", "old.pem.rsa")
    for name in ("old.pem.ecdsa", "old.pem.rsa"):
        stack.act(name, "renew")  # what has failed would wait for its turn
    wait_until(lambda: len(stack.files()) == 3, "both are there", 60)
    clock.go_on(2 * (KEPT_S + 1))
    wait_left(stack, "old.pem")
    assert stack.files() == {"old.pem.ecdsa", "old.pem.rsa"}


def failed_swaps(stack):
    text = stack.admin("GET", "/metrics")[1]
    return int(re.search(r'owui_spoa_swaps_total\{result="failed"\} (\d+)', text)[1])


@pytest.mark.parametrize("answer", ["certificate 'old.pem' is in use\n", ""])
def test_a_haproxy_that_does_not_let_go_is_asked_again(unwilling, answer):
    stack, clock, relay = unwilling(answer)
    remove(stack, "old")
    wait_wanted(stack, "other.pem")
    passed_s, failed = KEPT_S + 1, 0
    for _ in range(4):
        clock.go_on(passed_s)
        wait_until(lambda: failed_swaps(stack) > failed, f"more than {failed} times", 60)
        failed = failed_swaps(stack)  # on a busy machine, one more by itself
        passed_s += 10 * 2**failed  # twice the pause
    assert "old.pem" not in stack.files()
    assert "/old.pem\n" in stack.runtime("show ssl cert")
    relay.willing = True
    clock.go_on(passed_s)
    wait_left(stack, "old.pem")
    done = "deployed certificate=old.pem"
    wait_until(lambda: stack.agent_log().count(done) == 2, "told", 30)  # the first brought it
    assert stack.agent_log().count("withdraw_failed certificate=old.pem") == 1


def test_a_restart_forgets_none_that_haproxy_did_not_let_go_of(unwilling):
    stack, clock, relay = unwilling("no\n")
    remove(stack, "old")
    wait_wanted(stack, "other.pem")
    clock.go_on(KEPT_S + 1)
    wait_until(lambda: failed_swaps(stack) >= 1, "not taken out", 30)
    relay.willing = True
    stack.restart_agent()
    wait_left(stack, "old.pem")
    # Once is enough.
    wait_until(lambda: not (stack.state_dir / "ours/old.pem.json").exists(), "it is forgotten", 30)
    stack.wait_served(OTHER)


def test_who_returns_is_not_taken_out_of_haproxy(unwilling):
    stack, clock, relay = unwilling("no\n")
    before = stack.serial(HOST)
    remove(stack, "old")
    wait_wanted(stack, "other.pem")
    clock.go_on(KEPT_S + 1)
    wait_until(lambda: failed_swaps(stack) >= 1, "not taken out", 30)
    relay.willing = True
    stack.want(("old", HOST))
    assert stack.wait_served(HOST).serial_number == before
    stack.wait_told("old.pem", lambda told: told["haproxys"][0]["served"], "served")
    clock.go_on(KEPT_S + 60)
    wait_looked(stack)
    clock.go_on(KEPT_S + 3600)
    wait_looked(stack)
    # HAProxy answers nobody while it is asked by the agent
    wait_until(lambda: "/old.pem\n" in stack.runtime("show ssl cert"), "it is still there", 30)
    assert stack.serial(HOST) == stack.serial_on_disk("old.pem")


@pytest.mark.parametrize("tenants", [[("renamed", HOST)], [("other", OTHER, HOST)]])
def test_no_change_of_tenants_ends_tls_while_the_ca_is_away(new_certified, new_ca, tenants):
    """A tenant is renamed, or becomes another one's part; the certificate before leaves when there is
    one in its place."""
    ca = new_ca()
    stack = new_certified(ca)
    clock = Clock(stack)
    stack.want(("old", HOST), ("other", OTHER), ("tail", "tail.example.test"))
    stack.start()
    for host in (HOST, OTHER, "tail.example.test"):
        stack.wait_served(host)
    trust = stack.trust()
    directory = stack.config["acme"]["directory"]
    stack.config["acme"]["directory"] = "https://127.0.0.1:1/directory"
    stack.write_config()
    stack.restart_agent()
    remove(stack, "old", "tail")
    stack.want(*tenants)
    name = f"{tenants[0][0]}.pem"
    wanted = lambda told: told["hosts"] == list(tenants[0][1:]) and told["failures"] > 0
    stack.wait_told(name, wanted, "fails")
    clock.go_on(KEPT_S + 1)
    wait_until(lambda: "tail.pem" not in stack.files(), "the last that is nobody's has left", 40)
    assert "old.pem" in stack.files() and stack.served(HOST, context=trust) is not None
    stack.config["acme"]["directory"] = directory
    stack.write_config()
    stack.restart_agent()
    stack.wait_told(name, lambda told: HOST in told["hosts"], "wanted")
    stack.act(name, "renew")
    stack.wait_told(name, lambda told: HOST in told.get("names", ()), "ordered", 60)
    clock.go_on(10 * (KEPT_S + 1))
    wait_until(lambda: "old.pem" not in stack.files(), "left", 40)
    wait_until(lambda: stack.serial(HOST) == stack.serial_on_disk(name), "served", 20)


def test_who_is_back_after_it_has_left_needs_no_order(new_certified, new_ca):
    ca = new_ca()
    stack = new_certified(ca)
    clock = Clock(stack)
    stack.want(("chat", HOST), ("other", OTHER))
    stack.start()
    before = stack.wait_served(HOST).serial_number
    stack.wait_served(OTHER)
    trust, orders = stack.trust(), ca.orders()
    for times in (1, 2):  # what is back is the daemon's own, and leaves again
        (stack.tenants_dir / "chat.json").unlink()
        wait_wanted(stack, "other.pem")
        clock.go_on(times * (KEPT_S + 1))
        wait_until(lambda: "chat.pem" not in stack.files(), "left", 40)
        wait_until(lambda: stack.served(HOST, context=trust) is None, "not served")
        stack.want(("chat", HOST))
        assert stack.wait_served(HOST, context=trust).serial_number == before
        told = stack.wait_told("chat.pem", lambda told: told["state"] == "fine", "fine")
        assert (told["source"], told["ca"]) == ("acme", ca.directory)
    assert ca.orders() == orders
