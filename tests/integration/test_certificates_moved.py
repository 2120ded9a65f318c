"""Hosts that become another tenant's: TLS goes on with any valid certificate of ours, no certificate
is wrong for it, and none is ordered that need not be."""

import contextlib
import re
import socket
import ssl
import threading

import pytest
from cryptography import x509

from support.clock import Clock
from support.processes import wait_until
from support.relay import RuntimeRelay

HOST = "chat.example.test"
MOVED = "moved.example.test"
OTHER = "other.example.test"
KEPT_S = 600


def serial_of(path):
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def is_fine(told):
    return told["state"] == "fine" and "doing" not in told


def assert_no_alarm(stack):
    log = stack.agent_log()
    assert "served_wrong" not in log and "rolled_back" not in log
    assert stack.certs_code("--check") == 0


def anyone_is_trusted():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_host_that_has_moved_is_served_with_either(new_certified, ca):
    """The one before is as good as the new one, and its tenant needs no other."""
    stack = new_certified()
    stack.want(("a", HOST, MOVED), ("b", OTHER))
    stack.start()
    for host in (HOST, MOVED, OTHER):
        stack.wait_served(host)
    orders, before = ca.orders(), stack.serial_on_disk("a.pem")
    stack.want(("a", HOST), ("b", OTHER, MOVED))
    stack.wait_told("b.pem", lambda told: MOVED in told.get("names", ()) and is_fine(told), "fine")
    wait_until(lambda: "served_another certificate=b.pem" in stack.agent_log(), "looked at", 30)
    assert stack.serial(MOVED) in (before, stack.serial_on_disk("b.pem"))
    assert_no_alarm(stack)
    assert ca.orders() == orders + 1 and stack.serial_on_disk("a.pem") == before


@pytest.mark.parametrize("days", [0.2, -0.5])
def test_what_is_not_renewed_hides_no_other(new_certified, authority, days):
    """Whether it comes to its end or has expired: HAProxy has it in its folder, where it comes first,
    and has it again after each of its starts."""
    stack = new_certified(acme={"directory": "none"})
    worse = serial_of(authority.issue([HOST, MOVED], stack.crt_dir / "a.pem", days=days))
    own = serial_of(authority.issue([MOVED], stack.crt_dir / "b.pem"))
    stack.want(("a", HOST), ("b", MOVED))
    stack.start()
    anyone = anyone_is_trusted()
    for _ in range(2):
        looked = lambda: stack.serial(MOVED, context=anyone) == own
        wait_until(looked, "the one that lasts is served", 60)
        stack.wait_told("b.pem", is_fine, "fine")
        assert stack.serial(HOST, context=anyone) == worse
        stack.haproxy.stop()
        stack.start_haproxy()
        assert stack.serial(MOVED, context=anyone) in (own, worse)
    assert "rolled_back" not in stack.agent_log()


class Hindered(RuntimeRelay):
    """A Runtime API that does not take the first certificate, or takes it and keeps that to itself
    until it is told to go on."""

    def __init__(self, stack, is_refused):
        self.is_refused = is_refused
        self.is_taken = False
        self.is_hindered = False
        self.go_on = threading.Event()
        super().__init__(stack.directory / "hindered.sock", stack.runtime_socket, self.wait)

    def serve(self, near):
        asked = near.recv(65536, socket.MSG_PEEK)
        if self.is_refused and not self.is_hindered and asked.startswith(b"set ssl cert "):
            self.is_hindered = True
            with near:
                near.recv(65536)
                near.sendall(b"no\n")
            return
        with contextlib.suppress(OSError):  # HAProxy may be away
            super().serve(near)

    def wait(self, command):
        if self.is_taken and not self.is_hindered and command.startswith("show ssl cert "):
            self.is_hindered = True
            self.go_on.wait(30)
        self.is_taken |= command.startswith("commit ssl cert ") and not self.is_refused


@pytest.mark.parametrize("is_refused", [True, False])
def test_what_is_in_front_again_is_put_behind_again(new_certified, authority, is_refused):
    """Whether HAProxy did not take it, or has started since, before anybody has looked."""
    stack = new_certified(acme={"directory": "none"})
    authority.issue([HOST, MOVED], stack.crt_dir / "a.pem", days=0.2)
    own = serial_of(authority.issue([MOVED], stack.crt_dir / "b.pem"))
    stack.want(("a", HOST), ("b", MOVED))
    stack.write_config()
    stack.write_haproxy_config()
    stack.start_haproxy()
    relay = Hindered(stack, is_refused)
    try:
        stack.config["haproxy"]["runtime"] = [str(relay.path)]
        stack.write_config()
        stack.start_agent()
        wait_until(lambda: relay.is_hindered, "put behind in vain", 30)
        if not is_refused:
            stack.haproxy.stop()
            stack.start_haproxy()
        relay.go_on.set()
        anyone = anyone_is_trusted()
        wait_until(lambda: stack.serial(MOVED, context=anyone) == own, "it is behind", 60)
    finally:
        relay.stop()


def test_a_good_one_does_not_keep_a_worse_one_in_front(new_certified, authority):
    """Of two that are shown for hosts of a third."""
    stack = new_certified(acme={"directory": "none"})
    authority.issue([HOST, MOVED], stack.crt_dir / "a.pem", days=0.2)
    authority.issue(["good.example.test", OTHER], stack.crt_dir / "aa.pem")
    own = serial_of(authority.issue([MOVED, OTHER], stack.crt_dir / "b.pem"))
    stack.want(("a", HOST), ("aa", "good.example.test"), ("b", MOVED, OTHER))
    stack.start()
    anyone = anyone_is_trusted()
    wait_until(
        lambda: stack.serial(MOVED, context=anyone) == own, "the one that lasts is served", 60
    )


def test_a_bundle_of_another_client_is_for_several_tenants(new_certified, authority, tmp_path):
    """Which stays as it is: the client renews it."""
    live = tmp_path / "le" / "live" / "bundle"
    live.mkdir(parents=True)
    pem = authority.issue([HOST, OTHER], tmp_path / "bundle.pem").read_text()
    key = re.search(r"-----BEGIN [A-Z ]*KEY-----.*?-----END [A-Z ]*KEY-----\n", pem, re.S)[0]
    (live / "privkey.pem").write_text(key)
    (live / "fullchain.pem").write_text(pem.replace(key, ""))
    stack = new_certified(acme={"certbot_live": str(tmp_path / "le")})
    stack.want(("a", HOST), ("b", OTHER))
    stack.start()
    stack.wait_told("a.pem", is_fine, "imported", 60)
    bundle = stack.serial_on_disk("a.pem")
    stack.wait_told("b.pem", is_fine, "ordered", 60)
    wait_until(lambda: "served_another certificate=b.pem" in stack.agent_log(), "looked at", 30)
    assert_no_alarm(stack)
    assert stack.serial_on_disk("a.pem") == bundle


def test_a_rename_is_no_alarm(new_certified):
    """Not while HAProxy shows the one before, nor when that has left."""
    stack = new_certified()
    clock = Clock(stack)
    stack.want(("old", HOST))
    stack.start()
    stack.wait_served(HOST)
    (stack.tenants_dir / "old.json").unlink()
    stack.want(("renamed", HOST))
    told = re.compile("(served_another|served_wrong) certificate=renamed.pem")
    wait_until(lambda: told.search(stack.agent_log()), "looked at", 30)
    stack.wait_told("renamed.pem", is_fine, "fine")
    clock.go_on(KEPT_S + 1)
    wait_until(lambda: stack.serial(HOST) == stack.serial_on_disk("renamed.pem"), "served", 40)
    assert stack.files() == {"renamed.pem"}
    stack.wait_told("renamed.pem", is_fine, "fine")
    assert_no_alarm(stack)
