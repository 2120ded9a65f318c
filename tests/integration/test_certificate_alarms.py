"""What somebody has to know about certificates and CAs is in the log."""

import json
import re

import pytest

from support.acme import FaultyProxy
from support.clock import Clock
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


@pytest.mark.parametrize("days", [20, -0.5])
def test_another_file_for_the_host_is_told_after_each_start(new_certified, authority, days):
    """Of two files for a name HAProxy shows the one that it reads first, and nothing was swapped."""
    stack = new_certified()
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)
    assert stack.certs_code("--check") == 0
    another = authority.issue([HOST], stack.crt_dir / "another.pem", days=days)
    for start_anew in (lambda: start_haproxy_anew(stack), stack.restart_agent):
        start_anew()
        told = stack.wait_told(NAME, lambda told: "served_wrong" in told, "an alarm")
        assert f"serves another certificate for {HOST}" in told["served_wrong"]
        assert told["state"] == "served_wrong" and stack.certs_code("--check") == 1

    serial = stack.serial_on_disk(NAME)  # what is not shown is no worse than the one before
    stack.act("chat", "renew")
    wait_until(lambda: stack.serial_on_disk(NAME) != serial, "a renewal", 30)
    wait_until(lambda: stack.agent_log().count("served_wrong") == 2, "the look after it", 30)
    assert "rolled_back" not in stack.agent_log() and stack.serial_on_disk(NAME) != serial

    another.unlink()
    start_haproxy_anew(stack)
    stack.wait_told(NAME, lambda told: told["state"] == "fine", "fine")
    assert stack.certs_code("--check") == 0


def test_another_file_for_the_host_is_told_in_the_course_of_time(new_certified, authority):
    """HAProxy was given it behind the agent's back, and nothing has started since."""
    stack = new_certified()
    clock = Clock(stack)
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)
    own, path = f"{stack.crt_dir}/{NAME}", f"{stack.crt_dir}/another.pem"
    pem = authority.issue([HOST], stack.directory / "another.pem").read_text().strip()
    for command, said in (
        (f"del ssl crt-list {stack.crt_dir} {own}", "deleted"),
        (f"new ssl cert {path}", "New empty"),
        (f"set ssl cert {path} <<\n{pem}\n", "Transaction created"),
        (f"commit ssl cert {path}", "Success"),
        (f"add ssl crt-list {stack.crt_dir} {path}", "Success"),
        (f"add ssl crt-list {stack.crt_dir} {own}", "Success"),
    ):
        assert said in stack.runtime(command), command
    assert stack.certs_code("--check") == 0
    clock.go_on(25 * 3600)
    stack.wait_told(NAME, lambda told: "served_wrong" in told, "an alarm", 40)


def test_the_end_of_a_file_of_former_days_is_told(new_certified, authority):
    """HAProxy shows a tenant's former file for as long as it has it, which is fine until its end."""
    stack = new_certified()
    clock = Clock(stack)
    authority.issue([HOST], stack.crt_dir / "a.pem", days=20)
    tenant = {"hosts": [HOST], "upstream": stack.upstreams["alpha"].url}
    stack.write_tenants({"chat": {**tenant, "certificate_file": "a.pem"}}, "chat.json")
    stack.start()
    stack.wait_told("a.pem", lambda told: told["haproxys"][0]["served"], "given to HAProxy")
    stack.want(("chat", HOST))
    wait_until(lambda: f"served_another certificate={NAME}" in stack.agent_log(), "looked at", 25)
    stack.wait_told(NAME, lambda told: told["state"] == "fine", "fine")
    clock.go_on(0, wall_s=21 * 86400)
    told = stack.wait_told(NAME, lambda told: "served_wrong" in told, "an alarm", 40)
    assert "serves a.pem" in told["served_wrong"] and "has expired" in told["served_wrong"]


def start_haproxy_anew(stack):
    stack.haproxy.stop()
    stack.start_haproxy()


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
