"""What happens when a part is missing: the agent dead, stopped, back again; an upstream gone."""

import re
import signal
import socket
import socketserver
import threading
import time

import pytest

from support.clients import Echo, request
from support.load import Load
from support.processes import free_port, wait_until
from support.stack import PATIENT_TIMEOUTS, USUAL_TIMEOUTS

TENANT = "chat.alpha.test"


@pytest.fixture
def small_stack(new_stack, upstreams):
    def make(agents=1, timeouts=USUAL_TIMEOUTS):
        stack = new_stack(agents=agents, haproxy_changes=timeouts)
        tenant = {"hosts": [TENANT], "upstream": upstreams["alpha"].url, "https": "off"}
        dead = {
            "hosts": ["dead.test"],
            "upstream": f"http://127.0.0.1:{free_port()}",
            "https": "off",
        }
        stack.write_tenants({"alpha": tenant, "dead": dead})
        return stack.start()

    return make


def refused_closed(stack):
    """One request that must not reach the upstream; how long its refusal took, in seconds."""
    started = time.monotonic()
    answer = request(stack.http_port, "/api/echo", TENANT)
    assert answer.status == 503, answer
    assert answer.header("X-Refused") == "no-agent"
    assert answer.header("Retry-After") == "2"
    assert answer.header("X-Upstream") is None
    return time.monotonic() - started


def test_without_an_agent_nothing_is_forwarded(small_stack):
    stack = small_stack()
    assert request(stack.http_port, "/api/echo", TENANT).status == 200
    stack.agents[0].stop(signal.SIGKILL)
    assert refused_closed(stack) < 2
    stack.wait_for_agents(0)
    assert refused_closed(stack) < 0.2  # spop-check has taken it out: no waiting
    stack.start_agent()
    stack.wait_for_agents(1)
    assert Echo(request(stack.http_port, "/api/echo", TENANT)).name == "alpha"


def test_a_stopped_agent_costs_the_processing_timeout_then_nothing(small_stack):
    stack = small_stack()
    stack.agents[0].send_signal(signal.SIGSTOP)
    try:
        assert refused_closed(stack) < 1.5
        stack.wait_for_agents(0)
        assert refused_closed(stack) < 0.2
    finally:
        stack.agents[0].send_signal(signal.SIGCONT)
    stack.wait_for_agents(1)
    assert request(stack.http_port, "/api/echo", TENANT).status == 200


def test_acme_challenges_do_not_need_the_agent(small_stack):
    stack = small_stack()
    stack.agents[0].stop(signal.SIGKILL)
    stack.wait_for_agents(0)
    path = "/.well-known/acme-challenge/token"
    answer = request(stack.http_port, path, TENANT)
    # The challenge responder is part of the agent, so HAProxy finds nobody; but it did not ask.
    assert answer.status == 503 and answer.header("X-Refused") is None


def test_an_upstream_that_is_gone_is_a_503_of_its_own_tenant(small_stack):
    stack = small_stack()
    answer = request(stack.http_port, "/", "dead.test")
    assert answer.status == 503 and b"this page looks again every 5 seconds" in answer.body
    assert (answer.header("Retry-After"), answer.header("Cache-Control")) == ("5", "no-store")
    assert answer.header("Content-Type") == "text/html"
    assert request(stack.http_port, "/api/echo", TENANT).status == 200


def test_an_upstream_that_is_gone_may_have_a_page_of_the_admins_own(new_stack):
    stack = new_stack()
    upstream = f"http://127.0.0.1:{free_port()}"
    stack.write_tenants({"dead": {"hosts": ["dead.test"], "upstream": upstream, "https": "off"}})
    own = stack.directory / "503.http"
    own.write_text("HTTP/1.1 503 Gone\r\nContent-Type: text/plain\r\n\r\nback at noon\n")
    stack.add_own_line("defaults", f"errorfile 503 {own}")
    stack.start()
    assert request(stack.http_port, "/", "dead.test").body == b"back at noon\n"


def test_a_label_that_leads_to_haproxy_itself_leads_nowhere(new_stack):
    stack = new_stack()
    upstream = f"http://127.0.0.{{1}}:{stack.http_port}"
    stack.write_tenants({"loop": {"hosts": ["*.loop.test"], "upstream": upstream, "https": "off"}})
    stack.start()
    answer = request(stack.http_port, "/", "1.loop.test")
    assert (answer.status, answer.header("X-Refused")) == (503, "upstream-unresolved")


def test_an_upstream_that_leads_back_to_haproxy_is_no_endless_loop(new_stack):
    """By way of something that the configuration says nothing of."""
    stack = new_stack()

    class Exchange(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.create_connection(("127.0.0.1", stack.http_port), 10) as back:
                back.sendall(self.request.recv(65536))
                self.request.sendall(back.recv(65536))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Exchange) as detour:
        threading.Thread(target=detour.serve_forever).start()
        try:
            upstream = f"http://127.0.0.1:{detour.server_address[1]}"
            loop = {"hosts": ["loop.test"], "upstream": upstream, "https": "off"}
            stack.write_tenants({"loop": loop})
            stack.start()
            answer = request(stack.http_port, "/", "loop.test")
        finally:
            detour.shutdown()
    assert (answer.status, answer.header("X-Refused")) == (508, "loop")
    handled = int(re.search(r"^CumReq: (\d+)$", stack.runtime("show info"), re.MULTILINE)[1])
    assert handled < 50


def assert_none_failed(stack, load):
    """But for those that came while the machine was too busy for the other agent, too: HAProxy's
    checks wait for half a second only."""
    excused = {503} if "is DOWN, reason: Layer7 timeout" in stack.haproxy.log() else set()
    assert {200} <= set(load.statuses) <= {200} | excused, load.statuses


def test_with_two_agents_none_is_missed(small_stack, record_property):
    """One is killed under load, then started again: no request fails."""
    stack = small_stack(agents=2, timeouts=PATIENT_TIMEOUTS)
    with Load(stack.http_port, TENANT) as load:
        load.wait_for_more(50)
        for index in (0, 1):
            stack.agents[index].stop(signal.SIGKILL)
            stack.wait_for_agents(1)
            load.wait_for_more(50)
            stack.start_agent(index)
            stack.wait_for_agents(2)
            load.wait_for_more(50)
    assert_none_failed(stack, load)
    record_property("requests", load.count())


def test_two_agents_are_restarted_in_turn_without_a_failure(small_stack):
    stack = small_stack(agents=2, timeouts=PATIENT_TIMEOUTS)
    with Load(stack.http_port, TENANT) as load:
        for index in (0, 1):
            assert stack.agents[index].stop(signal.SIGTERM) == 0
            stack.wait_for_agents(1)
            stack.start_agent(index)
            stack.wait_for_agents(2)
            load.wait_for_more(30)
    assert_none_failed(stack, load)


def test_a_stopped_agent_of_two_is_taken_out(small_stack):
    """One that hangs costs some requests their tries until spop-check finds out, and then none."""
    stack = small_stack(agents=2)
    stack.agents[0].send_signal(signal.SIGSTOP)
    try:
        with Load(stack.http_port, TENANT) as before:
            stack.wait_for_agents(1)
        with Load(stack.http_port, TENANT) as after:
            after.wait_for_more(50)
    finally:
        stack.agents[0].send_signal(signal.SIGCONT)
    stack.wait_for_agents(2)
    with Load(stack.http_port, TENANT) as again:
        again.wait_for_more(50)
    assert set(before.statuses) <= {200, 503}, before.statuses
    assert set(after.statuses) == set(again.statuses) == {200}, (after.statuses, again.statuses)
