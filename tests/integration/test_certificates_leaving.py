"""Certificates that no tenant wants any more leave, and those that an admin put there stay.

The ten minutes that they are kept pass at once, by a clock that is preloaded into the agent.
"""

import json
import ssl
import struct

import pytest

from support.processes import wait_until
from support.stack import BINARY, SANITIZERS

HOST = "chat.example.test"
OTHER = "other.example.test"
CLOCK = BINARY.resolve().parents[2] / "tests/clock_shift.so"
KEPT_S = 600


class Clock:
    """The monotonic clock of a stack's agents."""

    def __init__(self, stack):
        self.path = stack.directory / "clock"
        self.path.write_bytes(struct.pack("qq", 0, 0))
        options = SANITIZERS["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        stack.agent_env = {
            "ASAN_OPTIONS": options,
            "LD_PRELOAD": str(CLOCK),
            "CLOCK_SHIFT": str(self.path),
        }

    def go_on(self, seconds):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("qq", 0, seconds))


@pytest.fixture
def clocked(new_certified):
    """Two tenants, whose certificates are served, and the clock of their agent."""
    if not CLOCK.exists():
        pytest.skip(f"needs {CLOCK}, which is built with the tests")
    stack = new_certified()
    clock = Clock(stack)
    stack.want(("old", HOST), ("other", OTHER))
    stack.start()
    for host in (HOST, OTHER):
        stack.wait_served(host)
    return stack, clock


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
