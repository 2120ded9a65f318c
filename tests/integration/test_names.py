"""Upstreams given by name: found, followed, kept when asking fails, and never where they may not
point; and upstreams that depend on a wildcard's label."""

import bisect
import itertools
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.clients import request
from support.names import AAAA, A, NameServer, Places
from support.processes import free_port, wait_until
from support.stack import run_agent_command
from test_certificates_disk import may_mount

HERE, THERE, FORBIDDEN = "127.0.1.1", "127.0.1.2", "127.0.9.9"
HOST = "chat.test"


@pytest.fixture(scope="module")
def places():
    servers = Places([HERE, THERE, FORBIDDEN])
    yield servers
    servers.stop()


@pytest.fixture
def named_stack(new_stack, names, places):
    """A stack that asks `names`; upstreams may be in 127.0.1.0/24."""

    def make(tenants, **changes):
        stack = new_stack(
            changes={
                "resolver": {"nameservers": [names.address], "interval": "1m"},
                "upstream_allow": ["127.0.1.0/24"],
                **changes,
            }
        )
        stack.write_tenants(tenants)
        return stack.start()

    return make


def tenant(places, upstream, host=HOST, **more):
    return {"hosts": [host], "upstream": f"http://{upstream}:{places.port}", "https": "off", **more}


def ask(stack, host=HOST):
    """Where the request went, or why it did not go."""
    answer = request(stack.http_port, "/", host)
    return answer.body.decode() if answer.status == 200 else answer.header("X-Refused")


def reload(stack):
    stack.agents[0].send_signal(signal.SIGHUP)


def await_place(stack, place, host=HOST, timeout_s=30.0):
    wait_until(lambda: ask(stack, host) == place, f"{host} at {place}", timeout_s)


def test_the_first_request_after_the_start_finds_its_upstream(named_stack, names, places):
    names.records["a.internal"] = [HERE]
    stack = named_stack({"a": tenant(places, "a.internal")})
    assert ask(stack) == HERE


def test_the_end_comes_between_two_answers(named_stack, names, places):
    """c-ares hands out what it has when it is told to end: one kind of address of two."""
    names.silent_about = AAAA
    names.records["a.internal"] = [HERE]
    stack = named_stack({"a": tenant(places, "a.internal")})
    wait_until(lambda: len(names.questions) >= 2, "both kinds have been asked for")
    assert stack.agents[0].stop() == 0


def test_one_answer_that_is_lost_moves_no_upstream_to_the_other_family(named_stack, names, places):
    names.records["a.internal"] = [HERE, "::1"]
    stack = named_stack({"a": tenant(places, "a.internal")}, upstream_allow=["127.0.1.0/24", "::1"])
    assert ask(stack) == HERE
    names.silent_about = A
    reload(stack)
    for seconds in 13, 14:  # one answer that lacks it, and the next one, which does not
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert ask(stack) == HERE
            time.sleep(0.1)
        names.silent_about = None


@pytest.mark.skipif(not may_mount(), reason="mounts a file")
def test_the_systems_name_servers_are_those_of_now(new_stack, places, tmp_path):
    """As after a start without a network, or in another one."""
    server = NameServer(address=("127.0.7.1", 53))
    system = tmp_path / "resolv.conf"
    system.write_text("nameserver 127.0.7.9\n")
    try:
        server.records["a.internal"] = [HERE]
        stack = new_stack(changes={"upstream_allow": ["127.0.1.0/24"]})
        stack.write_tenants({"a": tenant(places, "a.internal")})
        mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        stack.agent_wrapper = ["unshare", "--mount", "sh", "-c", mount, system]
        stack.start()
        assert ask(stack) == "upstream-unresolved"
        system.write_text("nameserver 127.0.7.1\n")
        await_place(stack, HERE)
        assert "nameservers_changed" in stack.agents[0].log()
    finally:
        server.stop()


def test_names_that_nobody_answers_for_hold_up_nobody_else(named_stack, names, places):
    dead = {
        f"t{i}": {"hosts": [f"t{i}.test"], "upstream": f"http://dead{i}.internal", "https": "off"}
        for i in range(300)
    }
    names.records["a.internal"] = [HERE]
    names.silent_for = "dead"
    stack = named_stack(dead)
    told = lambda: stack.agents[0].log().count(" resolve_failed name=dead")
    wait_until(lambda: told() >= 50, "the first failures", 60)  # as many as the log tells
    asked_again = lambda: len([name for name, _ in names.questions if name.startswith("dead")])
    wait_until(lambda: asked_again() > 300 * 2 * 3, "all have failed once", 90)
    stack.write_tenants({**dead, "a": tenant(places, "a.internal")})
    began = time.monotonic()
    await_place(stack, HERE)
    assert time.monotonic() - began < 10


def test_names_that_are_made_up_hold_up_nobody_who_is_there(named_stack, names, places):
    """Each is asked for a first time, which somebody waits for."""
    names.records["a.internal"] = [HERE]
    names.silent_for = "dead"
    known = {"a": tenant(places, "a.internal")}
    stack = named_stack(known)
    assert ask(stack) == HERE
    made_up = {
        f"t{i}": {"hosts": [f"t{i}.test"], "upstream": f"http://dead{i}.internal", "https": "off"}
        for i in range(600)
    }
    stack.write_tenants({**known, **made_up})
    dead = lambda: any(name.startswith("dead") for name, _ in names.questions)
    wait_until(dead, "they are asked for", 60)
    names.records["a.internal"] = [THERE]
    await_place(stack, THERE)
    assert len({name for name, _ in names.questions if name.startswith("dead")}) < 600


def test_no_network_is_no_end_however_many_names_there_are(named_stack, names, places):
    """Each question fails at once, and begins the next one."""
    many = {
        f"t{i}": {"hosts": [f"t{i}.test"], "upstream": f"http://u{i}.internal", "https": "off"}
        for i in range(5000)
    }
    stack = named_stack(many, resolver={"nameservers": ["255.255.255.255"]})
    reload(stack)
    wait_until(lambda: "reload by=signal" in stack.agents[0].log(), "read again", 60)
    assert ask(stack, "t4999.test") == "upstream-unresolved"


def test_a_name_is_followed_when_its_time_to_live_is_over(named_stack, names, places):
    names.records["a.internal"] = [HERE]
    stack = named_stack({"a": tenant(places, "a.internal")})
    assert ask(stack) == HERE
    names.records["a.internal"] = [THERE]
    await_place(stack, THERE)  # 5 s is the shortest that an answer is kept


def test_an_alias_is_followed_when_its_own_time_is_over(named_stack, names, places):
    """The addresses that it leads to are good for an hour each."""
    names.ttl_s = 3600
    names.records.update({"blue.internal": [HERE], "green.internal": [THERE]})
    names.aliases["a.internal"] = "blue.internal"
    stack = named_stack({"a": tenant(places, "a.internal")})
    assert ask(stack) == HERE
    names.aliases["a.internal"] = "green.internal"
    await_place(stack, THERE)


def test_the_address_in_use_stays_while_it_is_among_the_answers(named_stack, names, places):
    names.records["a.internal"] = [THERE]
    stack = named_stack({"a": tenant(places, "a.internal")})
    names.records["a.internal"] = [HERE, THERE]
    asked = names.asked("a.internal")
    reload(stack)
    wait_until(lambda: names.asked("a.internal") >= asked + 2, "asked again")
    assert {ask(stack) for _ in range(20)} == {THERE}


def test_the_address_in_use_stays_wherever_it_is_among_many(named_stack, places):
    names = NameServer(address=("127.0.7.2", 0))  # where nobody else has the port over TCP
    names.records["a.internal"] = [THERE]
    with names.serving_streams():
        resolver = {"nameservers": [names.address], "interval": "1m"}
        stack = named_stack({"a": tenant(places, "a.internal")}, resolver=resolver)
        assert ask(stack) == THERE
        others = [f"127.0.1.{number}" for number in range(100, 200)]
        names.records["a.internal"] = [HERE, *others, THERE]
        asked = names.asked("a.internal")
        reload(stack)
        wait_until(lambda: names.asked("a.internal") >= asked + 4, "asked again")
        assert {ask(stack) for _ in range(20)} == {THERE}
    names.stop()


@pytest.mark.parametrize("how", ["failing", "silent", "gone"])
def test_when_asking_fails_the_last_address_stays(named_stack, names, places, how):
    names.records["a.internal"] = [HERE]
    stack = named_stack({"a": tenant(places, "a.internal")})
    if how == "gone":
        del names.records["a.internal"]
    else:
        setattr(names, how, True)
    reload(stack)
    if how != "silent":
        told = "resolve_failed name=a.internal"
        wait_until(lambda: told in stack.agents[0].log(), "the failure is told", 15)
        assert f"still={HERE}" in stack.agents[0].log()
    assert ask(stack) == HERE


def test_a_name_cannot_be_bound_to_where_it_may_not_point(named_stack, names, places):
    """DNS rebinding: the address is looked at after each answer."""
    names.records["a.internal"] = [HERE]
    names.records["b.internal"] = [FORBIDDEN, "169.254.169.254"]
    stack = named_stack(
        {"a": tenant(places, "a.internal"), "b": tenant(places, "b.internal", "b.test")}
    )
    assert ask(stack, "b.test") == "upstream-unresolved"
    names.records["a.internal"] = [FORBIDDEN]
    reload(stack)
    told = "resolve_failed name=a.internal"
    wait_until(lambda: told in stack.agents[0].log(), "the refusal is told", 15)
    assert ask(stack) == HERE
    names.records["b.internal"] = [FORBIDDEN, THERE]
    reload(stack)
    await_place(stack, THERE, "b.test")


def test_no_name_leads_to_what_is_the_admins(named_stack, names, places):
    """The numbers of a tenant's visitors are no business of another's, who names the upstream; and
    with a template it is a visitor who does."""
    port = free_port()
    names.records["a.internal"] = ["127.0.0.1"]
    upstreams = {HOST: "a.internal", "*.fleet.test": "127.0.0.{1}"}
    stack = named_stack(
        {
            name: {"hosts": [host], "upstream": f"http://{upstreams[host]}:{port}", "https": "off"}
            for name, host in zip("ab", upstreams)
        },
        metrics={"listen": f"127.0.0.1:{port}"},
        upstream_allow=["127.0.0.0/8"],
    )
    for host in HOST, "1.fleet.test":
        assert ask(stack, host) == "upstream-unresolved"
        told = run_agent_command("explain", "-c", stack.config_path, f"http://{host}/").stdout
        assert "upstream-unresolved" in told
    told = run_agent_command("doctor", "--json", "-c", stack.config_path, "a").stdout
    assert f'its name leads to \\"127.0.0.1:{port}\\"' in told, told
    assert request(port, "/metrics", "127.0.0.1").status == 200
    assert request(stack.http_port, "/", "2.fleet.test").status == 503


def test_a_tenant_moves_to_a_new_name_when_that_has_an_address(named_stack, names, places):
    names.records["a.internal"] = [HERE]
    stack = named_stack({"a": tenant(places, "a.internal")})
    stack.write_tenants({"a": tenant(places, "new.internal")})
    wait_until(lambda: names.asked("new.internal") > 0, "asked for")
    assert {ask(stack) for _ in range(20)} == {HERE}
    names.records["new.internal"] = [THERE]
    reload(stack)
    await_place(stack, THERE)


def test_a_narrowed_list_of_addresses_counts_for_those_who_are_there(named_stack, names, places):
    names.records["a.internal"] = [HERE]
    stack = named_stack(
        {"a": tenant(places, "a.internal"), "b": tenant(places, HERE, "b.test")},
    )
    assert (ask(stack), ask(stack, "b.test")) == (HERE, HERE)
    stack.config["upstream_allow"] = [f"{THERE}/32"]
    stack.write_config()
    wait_until(lambda: ask(stack) == "upstream-unresolved", "the name is refused")
    wait_until(lambda: ask(stack, "b.test") == "unknown-host", "the tenant is gone")


def test_a_name_with_another_address_in_a_narrowed_list_is_asked_for_at_once(
    named_stack, names, places
):
    names.ttl_s = 3600
    names.records["a.internal"] = [HERE, THERE]
    stack = named_stack(
        {"a": tenant(places, "a.internal")},
        resolver={"nameservers": [names.address], "interval": "1h"},
    )
    assert ask(stack) == HERE
    stack.config["upstream_allow"] = [f"{THERE}/32"]
    stack.write_config()
    await_place(stack, THERE)


def test_a_longer_address_finds_the_room_that_was_checked(named_stack, names, places):
    names.records["a.internal"] = [HERE]
    known = {"a": tenant(places, "a.internal")}
    stack = named_stack(known, upstream_allow=["127.0.1.0/24", "::1"])
    assert ask(stack) == HERE

    def crowded(name, size):
        headers = {"X-Fill": "f" * 200, "X-More": "m" * size}
        return {name: tenant(places, "a.internal", f"{name}.test", headers=headers)}

    def is_refused(size):
        stack.write_tenants({**known, **crowded("b", size)})
        return "E219" in run_agent_command("check", "-c", stack.config_path).stdout

    size = bisect.bisect(range(200), False, key=is_refused) - 1
    assert 0 < size < 199
    # What check refuses, the daemon does: also where it has a short address at hand.
    stack.write_tenants({**known, **crowded("b", size), **crowded("c", size + 1)})
    await_place(stack, HERE, "b.test")
    wait_until(lambda: 'message="tenant \\"c\\"' in stack.agents[0].log(), "c is read")
    assert ask(stack, "c.test") == "unknown-host"
    names.records["a.internal"] = ["::1"]
    await_place(stack, None, "b.test")  # where nobody listens
    assert stack.agents[0].is_running()


# --- labels ---------------------------------------------------------------------------------------


@pytest.fixture
def fleet(named_stack, places):
    return named_stack(
        {
            "fleet": tenant(
                places,
                "{1}.internal",
                "*.fleet.test",
                label="[a-z0-9]{1,8}",
                headers={"X-Label": "{label}"},
            ),
            "other": tenant(places, HERE, "fixed.fleet.test"),
        }
    )


def test_the_first_request_of_a_label_waits_for_its_address(fleet, names):
    names.records["acme.internal"] = [HERE]
    names.records["globex.internal"] = [THERE]
    assert ask(fleet, "acme.fleet.test") == HERE
    assert ask(fleet, "globex.fleet.test") == THERE
    assert ask(fleet, "acme.fleet.test") == HERE
    assert ask(fleet, "fixed.fleet.test") == HERE
    assert names.asked("acme.internal") == 2  # A and AAAA, once
    assert ask(fleet, "not-one.fleet.test") == "unknown-label"


def test_a_label_that_leads_nowhere_is_refused_and_not_asked_for_again(fleet, names):
    started = time.monotonic()
    assert ask(fleet, "nobody.fleet.test") == "upstream-unresolved"
    assert time.monotonic() - started < 1.0
    asked = names.asked("nobody.internal")
    assert asked > 0
    started = time.monotonic()
    assert {ask(fleet, "nobody.fleet.test") for _ in range(20)} == {"upstream-unresolved"}
    assert time.monotonic() - started < 1.0
    assert names.asked("nobody.internal") == asked


def test_a_label_without_an_answer_is_refused_in_time(fleet, names):
    names.silent = True
    started = time.monotonic()
    assert ask(fleet, "acme.fleet.test") == "upstream-unresolved"
    assert 0.2 < time.monotonic() - started < 1.5
    names.records["acme.internal"] = [HERE]
    names.silent = False
    # The question is asked again by itself; who waits for it longer than its request is served.
    await_place(fleet, HERE, "acme.fleet.test", 40)


def test_labels_follow_their_parent(fleet, names, places):
    names.records["acme.internal"] = [HERE]
    assert ask(fleet, "acme.fleet.test") == HERE
    names.records["acme.new"] = [THERE]
    fleet.write_tenants({"fleet": tenant(places, "{1}.new", "*.fleet.test")})
    await_place(fleet, THERE, "acme.fleet.test")
    fleet.write_tenants({"fleet": tenant(places, HERE, "*.fleet.test")})
    await_place(fleet, HERE, "acme.fleet.test")
    fleet.write_tenants({})
    await_place(fleet, "unknown-host", "acme.fleet.test")


def test_many_new_labels_at_once(fleet, names):
    """More than a connection's window and than questions are asked at a time: all are held, and
    answered as their addresses come. A machine that is busy with something else may take longer for
    that than a request is held; who waited in vain is refused, and counted."""
    names.delay_s = 0.05
    places = [HERE, THERE]
    in_vain = []

    def ask_all(first):
        labels = {f"t{number}": places[number % 2] for number in range(first, first + 60)}
        for label, place in labels.items():
            names.records[f"{label}.internal"] = [place]
        with ThreadPoolExecutor(30) as pool:
            answers = list(pool.map(lambda label: ask(fleet, f"{label}.fleet.test"), labels))
        in_vain.extend(answer for answer in answers if answer == "upstream-unresolved")
        assert set(zip(answers, labels.values())) <= {
            (HERE, HERE),
            (THERE, THERE),
            ("upstream-unresolved", HERE),
            ("upstream-unresolved", THERE),
        }
        return answers == list(labels.values())

    rounds = itertools.count(0, 60)
    wait_until(lambda: ask_all(next(rounds)), "all of a round in time", 120)
    fleet.agents[0].send_signal(signal.SIGUSR1)
    wait_until(lambda: "requests_held=" in fleet.agents[0].log(), "the counters")
    told = re.search(r"requests_held_in_vain=(\d+)", fleet.agents[0].log())
    assert (int(told[1]) if told else 0) <= len(in_vain)


def test_more_labels_than_can_be_held(named_stack, names, places):
    """Who finds no room is refused at once, like one without an address; nobody waits for ever."""
    labels = [f"t{number}" for number in range(400)]
    for label in labels:
        names.records[f"{label}.internal"] = [HERE]
    stack = named_stack({"fleet": tenant(places, "{1}.internal", "*.fleet.test")}, loops=2)
    names.silent = True
    with ThreadPoolExecutor(200) as pool:
        answers = set(pool.map(lambda label: ask(stack, f"{label}.fleet.test"), labels))
    assert answers <= {"upstream-unresolved", "no-agent"}, answers
    names.silent = False
    wait_until(
        lambda: {ask(stack, f"t{number}.fleet.test") for number in range(0, 400, 37)} == {HERE},
        "every label at its place",
        60,
    )
