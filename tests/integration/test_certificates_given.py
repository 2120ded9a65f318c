"""Certificates that somebody else gets and renews: a tenant names the file, and it is looked after."""

import os
import ssl

import pytest
from cryptography import x509

from support.processes import wait_until

HOST = "chat.example.test"
BELOW = "ai.example.test"
FILE = "wildcard.pem"


def tenant(*hosts, **keys):
    return {"hosts": list(hosts), "upstream": "http://127.0.0.1:1", **keys}


def put(authority, stack, names, file=FILE, **how):
    """As `mv` does, and another client's hook should."""
    new = stack.crt_dir / f".{file}.new"
    authority.issue(names, new, **how)
    os.replace(new, stack.crt_dir / file)
    return x509.load_pem_x509_certificate((stack.crt_dir / file).read_bytes())


def is_served(told):
    return told["haproxys"][0]["served"]


@pytest.fixture
def trust(authority):
    return ssl.create_default_context(cafile=authority.path)


@pytest.fixture
def given(new_certified, authority):
    """A stack with a CA, one tenant that it is asked for and one with a wildcard of an admin's."""
    stack = new_certified()
    stack.write_tenants(
        {"chat": tenant(HOST), "fleet": tenant(f"*.{BELOW}", certificate_file=FILE)}
    )
    return stack.start()


@pytest.fixture
def orders(ca):
    """How many there were since."""
    before = ca.orders()
    return lambda: ca.orders() - before


def test_a_wildcard_that_another_client_renews(orders, given, authority, trust):
    given.wait_served(HOST)
    told = given.wait_told(FILE, lambda told: told["state"] == "missing", "missing")
    assert told["hosts"] == [f"*.{BELOW}"] and told["tenant"] == "fleet"
    assert told["next"].endswith(f"as one file: {given.crt_dir}/{FILE}")
    assert given.certs_code("--check", FILE) == 1

    first = put(authority, given, [f"*.{BELOW}", BELOW])
    assert given.wait_served(f"acme.{BELOW}", context=trust, timeout_s=20) == first
    told = given.wait_told(FILE, lambda told: told["state"] == "fine", "fine")
    assert told["source"] == "file" and told["next"].startswith("yours to replace before its end")
    assert given.certs_code("--check") == 0

    second = authority.issue([f"*.{BELOW}"], given.directory / "second.pem").read_bytes()
    (given.crt_dir / FILE).write_bytes(second)  # in its place, as `cp` does
    assert given.wait_served(
        f"acme.{BELOW}", context=trust, timeout_s=20, but_not=first.serial_number
    ) == x509.load_pem_x509_certificate(second)
    assert orders() == 1 and "served_wrong" not in given.agent_log()


def test_what_is_anothers_is_not_ordered_or_revoked(orders, given, authority):
    put(authority, given, [f"*.{BELOW}"])
    given.wait_told(FILE, is_served, "served")
    for what in ("renew", "revoke"):
        status, text = given.admin("POST", f"/v1/certificates/{FILE}/{what}", b"")
        assert status == 409 and "another client gets and renews" in text, text
    given.wait_served(HOST)
    assert orders() == 1


def test_one_file_for_several_tenants(new_certified, authority, trust):
    stack = new_certified(acme={"directory": "none"})
    stack.write_tenants(
        {
            name: tenant(f"{name}.{BELOW}", certificate_file=FILE)
            for name in ("acme", "globex", "initech")
        }
    )
    stack.start()
    shared = put(authority, stack, [f"*.{BELOW}"])
    for name in ("acme", "globex", "initech"):
        assert stack.wait_served(f"{name}.{BELOW}", context=trust, timeout_s=20) == shared
    told = stack.wait_told(FILE, lambda told: told["state"] == "fine", "fine")
    assert told["hosts"] == [f"{name}.{BELOW}" for name in ("acme", "globex", "initech")]
    assert stack.certs_code("--check") == 0

    put(authority, stack, [f"acme.{BELOW}"])  # one that is for a single tenant of them
    told = stack.wait_told(FILE, lambda told: told["state"] == "incomplete", "incomplete")
    assert told["lacking"] == [f"globex.{BELOW}", f"initech.{BELOW}"]
    assert stack.certs_code("--check") == 1


def test_a_file_that_is_another_tenants_own(orders, new_certified):
    """Which is ordered for that one all the same: `check` tells of the other (W513)."""
    stack = new_certified()
    stack.write_tenants(
        {"wildcard": tenant(HOST), "fleet": tenant(f"*.{BELOW}", certificate_file=FILE)}
    )
    stack.start()
    stack.wait_served(HOST)
    told = stack.wait_told(FILE, lambda told: told["state"] == "fine", "fine")
    assert told["hosts"] == [HOST] and told["source"] == "acme" and orders() == 1


def test_the_end_of_anothers_certificate_is_told(given, authority):
    put(authority, given, [f"*.{BELOW}"], days=0.2)
    given.wait_told(FILE, lambda told: told["state"] == "expiring", "expiring")
    assert given.certs_code("--check", FILE) == 1
    wait_until(lambda: "another client has to renew it" in given.agent_log(), "in the log", 20)


def test_a_tenant_that_turns_to_a_file_of_its_own(orders, new_certified, authority):
    stack = new_certified()
    stack.write_tenants({"chat": tenant(HOST)})
    stack.start()
    stack.wait_served(HOST)
    put(authority, stack, [HOST])
    stack.write_tenants({"chat": tenant(HOST, certificate_file=FILE)})
    stack.wait_told(FILE, is_served, "served")
    assert stack.admin("GET", "/v1/certificates/chat")[0] == 404
    assert orders() == 1


def test_many_files_that_arrive_at_once(new_certified, authority):
    """A second machine's copy of the folder: nobody waits for the audit's turn."""
    stack = new_certified(acme={"directory": "none"})
    names = [f"t{number:02}" for number in range(60)]
    stack.write_tenants({name: tenant(f"{name}.test") for name in names})
    stack.start()
    stack.wait_told("t59.pem", lambda told: told["state"] == "missing", "known")
    for name in names:
        put(authority, stack, [f"{name}.test"], f"{name}.pem")
    for name in names:
        stack.wait_told(f"{name}.pem", is_served, "served", 40)
