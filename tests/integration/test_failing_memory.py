"""Allocations that fail within libraries: of OpenSSL, libcurl, libidn2, PCRE2, c-ares and what they
need. What was good is kept, on disk and in service, and the next try succeeds. A library that the
configuration is read with ends the daemon instead, which says so (core/memory.h)."""

import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

from support.certified import read_pem
from support.clients import request
from support.clock import TESTS
from support.failing_memory import MANY, NEVER, FailingMemory, moments
from support.identity import AUDIENCE, ISSUER, Key, claims, key_set
from support.processes import sanitizer_report, wait_until
from support.stack import BINARY, REPOSITORY, SANITIZERS, run_agent_command

HOST, NAME = "chat.example.test", "chat.pem"
LONG = pytest.param(400, id="long", marks=pytest.mark.slow)


def ended_for_want_of_memory(agent):
    return (
        not agent.is_running()
        and agent.child.returncode == -signal.SIGABRT
        and "out of memory" in agent.log()
    )


def begin_another_log(agent):
    """What the sanitizers said in the one before is no more to be seen at the end."""
    assert sanitizer_report(agent.log()) is None, agent.log()
    agent.log_path.write_text("")


def start_again(stack):
    """After an end for which there was a reason."""
    stack.agents.clear()
    stack.start_agent()


def descriptors(agent):
    """How many there are, without those of HAProxy's connections, which are its own affair."""
    fields = [line.split() for line in open("/proc/net/unix").readlines()[1:]]
    haproxys = {f"socket:[{f[6]}]" for f in fields if f[7:] and f[7].endswith("/agent1.sock")}
    folder = f"/proc/{agent.pid}/fd"
    with contextlib.suppress(FileNotFoundError):  # one that is closed meanwhile: look again
        return sum(os.readlink(f"{folder}/{fd}") not in haproxys for fd in os.listdir(folder))
    return descriptors(agent)


class Renewals:
    """A certificate that is renewed again and again, and all that must not be lost by it."""

    def __init__(self, stack):
        self.stack = stack
        self.memory = FailingMemory(stack)
        stack.want(("chat", HOST))
        stack.start()
        stack.wait_served(HOST)
        self.trust = stack.trust()
        self.wait_for_rest()
        self.keys = self.account_keys()
        assert self.keys

    def account_keys(self):
        return {
            path.name: path.read_bytes() for path in self.stack.state_dir.glob("accounts/*.key")
        }

    def told(self):
        list_ = json.loads(self.stack.admin("GET", "/v1/certificates")[1])["certificates"]
        return next((one for one in list_ if one["name"] == NAME), None)

    def wait_for_rest(self, timeout_s=90):
        return wait_until(
            lambda: (told := self.told()) and "doing" not in told and told, "at rest", timeout_s
        )

    def serial(self):
        return self.stack.serial(HOST, context=self.trust)

    def wait_served(self):
        """What is on disk."""
        wait_until(lambda: self.serial() == self.stack.serial_on_disk(NAME), "it is served", 20)

    def renew(self):
        """Whether there is another one, when all is at rest again."""
        before, log = self.stack.serial_on_disk(NAME), len(self.stack.agent_log())
        end = re.compile(rf" certificate(_failed)? certificate={NAME} ")
        self.stack.act("chat", "renew")
        wait_until(lambda: end.search(self.stack.agent_log()[log:]), "it has ended", 90)
        self.wait_for_rest()
        return self.stack.serial_on_disk(NAME) != before

    def look(self):
        assert self.stack.agents[0].is_running()
        assert self.serial() is not None
        read_pem(self.stack.crt_dir / NAME)
        assert self.account_keys() == self.keys
        assert list((self.stack.state_dir / "trash").iterdir()) == []
        assert self.stack.get(HOST).status == 200

    def allocations(self):
        """Of a renewal."""
        self.memory.watch()
        assert self.renew()
        self.wait_served()
        return self.memory.done()

    def fail(self, first, count):
        """Whether the renewal came to nothing."""
        log = len(self.stack.agent_log())
        self.memory.fail(first, count)
        renewed = self.renew()
        self.look()
        failed = self.memory.failed
        self.memory.done()
        if not renewed:
            assert failed and self.stack.agent_log()[log:], "nothing was told"
            assert self.renew(), self.stack.agent_log()[-3000:]
        self.wait_served()
        self.look()
        return not renewed


@pytest.mark.parametrize("tries", [pytest.param(8, id="short"), LONG])
def test_a_renewal(new_certified, tries, record_property):
    renewals = Renewals(new_certified())
    total = renewals.allocations()
    agent = renewals.stack.agents[0]
    before = descriptors(agent)
    failures = [
        first for first in moments(total, tries) if renewals.fail(first, 1 if first % 2 else 50)
    ]
    assert renewals.fail(total // 2, MANY) or renewals.fail(total // 4, MANY)
    record_property(
        "renewals", f"{total} allocations, {tries} tries, {len(failures)} came to nothing"
    )
    wait_until(lambda: descriptors(agent) <= before + 2, "descriptors are closed", 70)
    assert "served_wrong" not in renewals.told()


@pytest.mark.parametrize("tries", [pytest.param(4, id="short"), LONG])
def test_a_reload(new_stack, upstreams, tries):
    """Of names that libidn2 knows and patterns that PCRE2 does: none is told to be wrong, and another
    tenant's server answers for none."""
    stack = new_stack()
    memory = FailingMemory(stack)

    def write(name):
        fleet = {"hosts": ["*.fleet.test"], "label": "[a-z]{1,9}", "upstream": upstreams[name].url}
        town = {"hosts": ["münchen.test"], "upstream": upstreams[name].url}
        stack.write_tenants({"fleet": {**fleet, "https": "off"}, "town": {**town, "https": "off"}})

    def answers():
        got = [
            request(stack.http_port, "/api/version", host)
            for host in ("one.fleet.test", "xn--mnchen-3ya.test")
        ]
        return {one.json()["deployment_id"] if one.status == 200 else one.status for one in got}

    def served(name):
        wait_until(lambda: answers() == {name}, f"{name} is served", 20)

    write("alpha")
    stack.start()
    memory.watch()
    write("beta")
    served("beta")
    total = memory.done()
    assert total > 0
    ends = 0
    for first in moments(total, tries):
        before, now = ("alpha", "beta") if ends % 2 else ("beta", "alpha")
        write(before)
        served(before)
        memory.fail(first)
        write(now)
        wait_until(lambda: memory.failed, "one has failed", 20)
        agent = stack.agents[0]
        wait_until(lambda: not agent.is_running() or answers() == {now}, "read, or ended", 20)
        memory.done()
        if not agent.is_running():
            assert ended_for_want_of_memory(agent), agent.log()
            ends += 1
            begin_another_log(agent)
            start_again(stack)
            stack.wait_for_agents(1)
        served(now)
        assert run_agent_command("status", "-c", stack.config_path).returncode == 0
    assert ends > 0


@pytest.mark.parametrize("tries", [pytest.param(6, id="short"), LONG])
def test_a_start(new_certified, tries):
    """It starts, or says why not and ends; the start after it is as any."""
    renewals = Renewals(new_certified())
    stack, memory = renewals.stack, renewals.memory
    serial = renewals.serial()

    def start(first, count):
        assert stack.agents[0].stop() == 0, stack.agent_log()
        begin_another_log(stack.agents[0])
        memory.fail(first, count)
        with contextlib.suppress(RuntimeError):  # it has ended before it listened
            stack.start_agent()
        agent = stack.agents[0]
        wait_until(lambda: " ready " in agent.log() or not agent.is_running(), "ready, or ended")
        if not agent.is_running():
            assert agent.child.returncode > 0 or ended_for_want_of_memory(agent), agent.log()
            assert "out of memory" in agent.log(), agent.log()
        seen = memory.done()
        if not stack.agents[0].is_running():
            start_again(stack)
        return seen

    total = start(NEVER, 1)
    assert total > 0
    for first in moments(total, tries):
        start(first, 1 if first % 2 else 20)
        stack.wait_for_agents(1)
        renewals.look()
        assert renewals.serial() == serial  # nothing was ordered
    renewals.wait_for_rest()
    assert renewals.renew()
    renewals.wait_served()


@pytest.mark.parametrize("tries", [pytest.param(6, id="short"), LONG])
def test_who_a_user_is(new_stack, upstreams, tries):
    """A token that cannot be verified for want of memory is none, and lets nobody in."""
    stack = new_stack()
    memory = FailingMemory(stack)
    keys = [Key("ES256", kid="k1"), Key("RS256", kid="k2")]
    jwks = stack.directory / "jwks.json"
    jwks.write_text(key_set(*keys))
    about = {"from": "jwt", "issuer": ISSUER, "audience": AUDIENCE, "jwks": str(jwks)}
    about |= {"set": {"X-User-Email": "{email}"}, "required": True}
    tenant = {"hosts": ["id.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"id": {**tenant, "identity": about}})
    stack.start()

    def ask(number):
        """The status; a user who is let in is the one that the token tells of."""
        key, email = keys[number % 2], f"u{number}@example.com"
        token = key.token(claims(email=email))
        answer = request(
            stack.http_port, "/api/echo", "id.test", headers=[("Authorization", f"Bearer {token}")]
        )
        if answer.status == 200:
            assert email.encode() in answer.body
        return answer.status

    assert [ask(1), ask(2)] == [200, 200]
    memory.watch()
    assert [ask(3), ask(4)] == [200, 200]
    total = memory.done()
    refused = 0
    for number, first in enumerate(moments(total, tries)):
        memory.fail(first)
        statuses = {ask(10 * number + 10), ask(10 * number + 11)}
        memory.done()
        assert statuses <= {200, 401, 403}, statuses
        refused += statuses != {200}
        assert [ask(10 * number + 12), ask(10 * number + 13)] == [200, 200]
    assert refused > 0


@pytest.mark.parametrize("tries", [pytest.param(6, id="short"), LONG])
def test_a_check(new_stack, upstreams, tries):
    stack = new_stack()
    memory = FailingMemory(stack)
    stack.write_config()
    tenant = {"hosts": ["*.fleet.test"], "label": "[a-z]{1,9}", "upstream": upstreams["alpha"].url}
    town = {"hosts": ["münchen.test"], "upstream": upstreams["alpha"].url}
    stack.write_tenants({"fleet": tenant, "town": town})

    def check():
        done = subprocess.run(
            [str(BINARY), "check", "-c", str(stack.config_path)],
            capture_output=True,
            text=True,
            env={**os.environ, **SANITIZERS, **stack.agent_env},
        )
        assert sanitizer_report(done.stderr) is None, done.stderr
        return done

    memory.watch()
    assert check().returncode == 0
    total = memory.done()
    assert total > 0
    for first in moments(total, tries):
        memory.fail(first)
        done = check()
        memory.done()
        told = "out of memory" in done.stderr
        assert done.returncode == 0 or told, (done.returncode, done.stderr, done.stdout)


@pytest.mark.parametrize("tries", [pytest.param(40, id="short"), LONG])
def test_keys_and_certificates(new_stack, tries):
    """The layer over OpenSSL by itself; what leaks here is its own."""
    program = TESTS / "failing_crypto"
    if not program.exists():
        pytest.skip(f"needs {program}, which is built with the tests")
    stack = new_stack()
    FailingMemory(stack)
    env = {**os.environ, **SANITIZERS, **stack.agent_env}
    env.pop("LSAN_OPTIONS")
    vectors = REPOSITORY / "tests/vectors/acme"
    done = subprocess.run(
        [str(program), str(vectors), str(tries)], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stdout + done.stderr
