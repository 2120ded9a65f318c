"""Files that an admin puts where the daemon's own would be."""

import contextlib
import os
import re
import ssl
import threading

import pytest
from cryptography import x509

from support.processes import wait_until

HOST = "chat.example.test"
NAME = "chat.pem"
PAUSE_S = 0.2


@contextlib.contextmanager
def being_written(path):
    """Somebody's copy goes on, however slowly: the file keeps changing."""
    ended = threading.Event()

    def go_on():
        while not ended.wait(PAUSE_S):
            os.utime(path)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


@pytest.fixture
def by_hand(new_certified, authority, tmp_path):
    """A stack without a tenant, what its admin is going to copy to NAME, and who trusts that."""
    stack = new_certified().start()
    pem = authority.issue([HOST], tmp_path / NAME).read_bytes()
    return stack, pem, ssl.create_default_context(cafile=authority.path)


def set_aside(stack):
    return list((stack.state_dir / "trash").iterdir())


def test_a_file_that_is_being_copied_is_waited_for(by_hand, ca):
    stack, pem, trust = by_hand
    orders = ca.orders()
    (stack.crt_dir / NAME).write_bytes(pem[: len(pem) // 2])
    with being_written(stack.crt_dir / NAME):
        stack.want(("chat", HOST))
        stack.wait_told(NAME, lambda told: told["next"] == "somebody is writing its file", "told")
        with open(stack.crt_dir / NAME, "ab") as file:
            file.write(pem[len(pem) // 2 :])
        served = stack.wait_served(HOST, context=trust, timeout_s=30)
    assert served == x509.load_pem_x509_certificate(pem)
    assert (stack.crt_dir / NAME).read_bytes() == pem
    assert (set_aside(stack), ca.orders()) == ([], orders)


def test_a_file_that_stays_broken_is_kept_and_told_of(by_hand):
    """It would keep HAProxy from starting. An order takes its place."""
    stack, pem, _ = by_hand
    (stack.crt_dir / NAME).write_bytes(pem[: len(pem) // 2])
    stack.want(("chat", HOST))
    stack.wait_served(HOST, timeout_s=60)
    (aside,) = set_aside(stack)
    assert aside.read_bytes() == pem[: len(pem) // 2]
    wait_until(lambda: f"the file is now {aside}" in stack.agent_log(), "told", 30)


@pytest.mark.parametrize("haproxy", ["none is known", "away"])
def test_a_broken_file_goes_where_no_haproxy_is_to_be_asked(new_certified, authority, haproxy):
    """One that is away might be away for just that file."""
    stack = new_certified(acme={"directory": "none"})
    authority.issue([HOST], stack.crt_dir / NAME)
    stack.want(("chat", HOST))
    if haproxy == "none is known":
        stack.config["haproxy"]["runtime"] = []
    stack.start()
    stack.wait_told(NAME, lambda told: "serial" in told, "known")
    if haproxy == "away":
        stack.haproxy.stop()
        wait_until(lambda: "haproxy_unreachable" in stack.agent_log(), "missed", 30)
    pem = (stack.crt_dir / NAME).read_bytes()
    (stack.crt_dir / NAME).write_bytes(pem[: len(pem) // 2])
    wait_until(lambda: NAME not in stack.files(), "out of HAProxy's way", 60)
    (aside,) = set_aside(stack)
    wait_until(lambda: f"the file is now {aside}" in stack.agent_log(), "told", 30)


def test_what_stays_in_a_files_place_is_told_of_when_it_begins_and_ends(by_hand):
    """A folder cannot be set aside."""
    stack, pem, trust = by_hand
    stack.config["acme"]["directory"] = "none"
    stack.write_config()
    stack.restart_agent()
    (stack.crt_dir / NAME).mkdir()
    stack.want(("chat", HOST))
    stack.wait_told(NAME, lambda told: True, "wanted")

    def told(event):
        return stack.agent_log().count(f" {event} certificate={NAME} ")

    for _ in range(3):  # as often as it is looked at
        assert stack.admin("POST", f"/v1/certificates/{NAME}/deploy")[0] == 409
    assert (told("certificate_unreadable"), told("certificate_unreadable_over")) == (1, 0)
    (stack.crt_dir / NAME).rmdir()
    (stack.crt_dir / NAME).write_bytes(pem)
    stack.act(NAME, "deploy")
    stack.wait_served(HOST, context=trust)
    assert (told("certificate_unreadable"), told("certificate_unreadable_over")) == (1, 1)


def test_the_same_certificate_with_another_chain_is_brought_when_told_so(by_hand, authority):
    """As when an intermediate was missing from the file: the certificate itself is there already."""
    stack, pem, trust = by_hand
    (stack.crt_dir / NAME).write_bytes(pem)
    stack.want(("chat", HOST))
    stack.wait_served(HOST, context=trust, timeout_s=30)
    shown = f"show ssl cert {stack.crt_dir / NAME}"
    chain = lambda: re.findall("^Chain Subject: .+$", stack.runtime(shown), re.M)
    before = chain()
    (stack.crt_dir / NAME).write_bytes(pem + authority.path.read_bytes())
    stack.act(NAME, "deploy")
    wait_until(lambda: len(chain()) == len(before) + 1, "another chain", 20)


def test_an_admins_file_serves_in_a_tenants_place(by_hand, ca):
    stack, pem, trust = by_hand
    orders = ca.orders()
    (stack.crt_dir / NAME).write_bytes(pem)
    stack.want(("chat", HOST))
    served = stack.wait_served(HOST, context=trust, timeout_s=30)
    told = stack.wait_told(NAME, lambda told: "doing" not in told, "at rest")
    assert (told["source"], told["next"]) == ("file", "renewal is planned by its life")
    assert served == x509.load_pem_x509_certificate(pem)
    assert (stack.crt_dir / NAME).read_bytes() == pem
    assert ca.orders() == orders


def test_an_admins_file_that_is_replaced_is_kept(by_hand):
    """It lacks a host of the tenant, whose certificate belongs to the same place."""
    stack, pem, _ = by_hand
    (stack.crt_dir / NAME).write_bytes(pem)
    stack.want(("chat", HOST, "alias.example.test"))
    stack.wait_served("alias.example.test", timeout_s=30)
    (kept,) = (stack.state_dir / "history" / NAME).iterdir()
    assert kept.read_bytes() == pem
    stack.certs("rollback", "chat")
    wait_until(lambda: (stack.crt_dir / NAME).read_bytes() == pem, "the admin's is back", 30)


@pytest.mark.parametrize(
    ("host", "days", "expected"),
    [(HOST, -1, "has expired"), ("former.example.test", 2, "it is for former.example.test")],
)
def test_a_certificate_that_no_browser_would_take_is_not_put_back(
    by_hand, authority, host, days, expected
):
    stack, _, _ = by_hand
    authority.issue([host], stack.crt_dir / NAME, days=days)
    stack.want(("chat", HOST))
    serial = stack.wait_served(HOST, timeout_s=30).serial_number
    assert len(list((stack.state_dir / "history" / NAME).iterdir())) == 1
    status, answer = stack.admin("POST", f"/v1/certificates/{NAME}/rollback")
    assert status == 409 and expected in answer
    assert stack.serial_on_disk(NAME) == serial == stack.serial(HOST)


def test_an_admins_file_that_lacks_a_host_is_told_of(by_hand):
    stack, pem, trust = by_hand
    stack.config["acme"]["directory"] = "none"
    stack.write_config()
    stack.restart_agent()
    (stack.crt_dir / NAME).write_bytes(pem)
    stack.want(("chat", HOST))
    stack.wait_served(HOST, context=trust)
    stack.wait_told(NAME, lambda told: told["state"] == "fine", "for its only host")
    stack.want(("chat", HOST, "alias.example.test"))
    told = stack.wait_told(NAME, lambda told: told["state"] == "incomplete", "of two")
    assert told["lacking"] == ["alias.example.test"]
    assert re.search("not for: alias.example.test", stack.certs("chat"))
    assert stack.certs_code("--check") == 1
