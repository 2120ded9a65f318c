"""What somebody has to know about certificates and CAs is in the log."""

import json
import re

import pytest

from support.acme import FaultyProxy
from support.processes import accepts, wait_until

HOST = "chat.example.test"
NAME = "chat.pem"


class ToldDirectory:
    """A pebble behind a HAProxy that changes what its answers say besides certificates."""

    def __init__(self, ca, folder):
        self.proxy = FaultyProxy(ca, folder, [])
        self.url = self.proxy.directory

    def start(self, terms, ahead_s=0):
        base = f"https://localhost:{self.proxy.port}"
        places = {"newNonce": "nonce-plz", "newAccount": "sign-me-up", "newOrder": "order-plz"}
        directory = {name: f"{base}/{place}" for name, place in places.items()}
        directory["meta"] = {"termsOfService": terms}
        text = json.dumps(directory).replace('"', '\\"')
        rules = [
            f'http-request return content-type application/json string "{text}" if {{ path /dir }}'
        ]
        if ahead_s > 0:
            rules.append(f"http-response set-header Date %[date({ahead_s}),http_date]")
        self.proxy.set_rules(rules)
        self.proxy.start()

    def restart(self, *arguments):
        self.proxy.stop()
        self.start(*arguments)


@pytest.fixture
def told_ca(new_ca, tmp_path):
    ca = new_ca()
    ca.told = ToldDirectory(ca, tmp_path)
    ca.told.start("https://ca.example/terms/1")
    ca.directory = ca.told.url
    yield ca
    ca.told.proxy.stop()


def test_terms_that_have_changed_are_told(new_certified, told_ca):
    stack = new_certified(told_ca)
    stack.want(("chat", HOST))
    stack.start()
    serial = stack.wait_served(HOST).serial_number
    assert "acme_terms_changed" not in stack.agent_log()
    told_ca.told.restart("https://ca.example/terms/2")
    for _ in range(2):
        stack.restart_agent()
        wait_until(lambda: accepts(stack.config["admin_socket"]), "up")
        stack.wait_told(NAME, lambda told: "serial" in told, "known")
        stack.certs("renew", "chat")
        serial = stack.wait_served(HOST, but_not=serial).serial_number
    told = [line for line in stack.agent_log().splitlines() if "acme_terms_changed" in line]
    assert len(told) == 1  # once, not at every start
    assert "terms=https://ca.example/terms/2 before=https://ca.example/terms/1" in told[0]


def test_a_clock_that_differs_from_the_cas_is_told(new_certified, told_ca):
    told_ca.told.restart("https://ca.example/terms/1", 1200)
    stack = new_certified(told_ca)
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)  # it is told, and no more
    assert stack.agent_log().count("acme_clocks_differ") == 1
    assert re.search(r"acme_clocks_differ ca=\S+ ahead_s=-1[12]\d\d ", stack.agent_log())


@pytest.mark.parametrize(
    "days, event", [(0.2, "certificate_expiring"), (-0.5, "certificate_expired")]
)
def test_an_end_that_is_near_is_told(new_certified, authority, days, event):
    """Nobody renews this one: no CA is configured."""
    stack = new_certified(acme={"directory": "none"})
    authority.issue([HOST], stack.crt_dir / NAME, days=days)
    stack.want(("chat", HOST))
    stack.start()
    wait_until(lambda: event in stack.agent_log(), "told", 15)
    assert (
        stack.agent_log().count(event) == 1 and f"{event} certificate={NAME}" in stack.agent_log()
    )
    assert stack.certs_code("--check") == 1


def test_metrics_follow_files_that_others_put_there(new_certified, authority):
    """What is known of a file is kept in memory while it is the same one."""
    stack = new_certified(acme={"directory": "none"})
    stack.want(("chat", HOST))
    stack.start()

    def put(days):
        beside = stack.crt_dir.parent / NAME
        authority.issue([HOST], beside, days=days).chmod(0o600)
        beside.rename(stack.crt_dir / NAME)

    def counts(state):
        """The same at a second look, which reads nothing anew."""
        line = f'owui_spoa_certificates{{state="{state}"}} 1\n'
        try:
            return all(line in stack.admin("GET", "/metrics")[1] for _ in range(2))
        except OSError:
            return False  # has just started

    wait_until(lambda: counts("missing"), "missing", 30)
    put(days=0.2)
    wait_until(lambda: counts("expiring"), "expiring", 30)
    put(days=90)
    wait_until(lambda: not counts("expiring") and not counts("missing"), "renewed", 30)
    put(days=-0.5)
    wait_until(lambda: counts("expired"), "expired", 30)
    (stack.crt_dir / NAME).unlink()
    wait_until(lambda: counts("missing"), "gone", 30)


def test_a_changed_section_asks_for_a_restart(new_certified):
    stack = new_certified(acme={"directory": "none"})
    stack.want(("chat", HOST))
    stack.start()
    stack.config["loops"] = 2
    stack.write_config()
    wait_until(lambda: "restart_needed key=loops" in stack.agent_log(), "read again")
    assert "key=acme" not in stack.agent_log()
    stack.config["acme"]["key"] = "rsa"
    stack.write_config()
    wait_until(lambda: "restart_needed key=acme" in stack.agent_log(), "told", 10)
