"""One peer that opens connections to the agent for as long as it is let: everybody else goes on."""

import contextlib
import itertools
import os
import resource
import socket

import pytest

from support.clients import request
from support.processes import wait_until
from support.spop import Asker
from test_admin import Admin, notices

HOST = "chat.test"
DESCRIPTORS = 256
RESERVE = DESCRIPTORS // 4
LOOP_DESCRIPTORS = 4


@pytest.fixture(autouse=True)
def descriptors():
    """Enough for this process, which is the peer."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, usual[1]), usual[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, usual)


@pytest.fixture
def crowded(new_stack, upstreams):
    """HAProxy and an agent that may open few files."""
    stack = new_stack()
    stack.agent_wrapper = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]
    tenant = {"hosts": [HOST], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"a": tenant})
    stack.tenant = tenant
    stack.admin = Admin(stack)
    return stack.start()


class Peer:
    """Opens connections and keeps them, whoever closes them at the other end."""

    def __init__(self, stack):
        self.path = str(stack.sockets[0])
        self.kept = []

    def open(self, greets=True):
        if greets:
            self.kept.append(Asker(self.path).socket)
            return
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(10)
        one.connect(self.path)
        self.kept.append(one)

    def close(self):
        for one in self.kept:
            one.close()
        self.kept.clear()


@contextlib.contextmanager
def peer_of(stack):
    peer = Peer(stack)
    try:
        yield peer
    finally:
        peer.close()


def served(stack, times):
    """How many of so many requests were."""
    answers = [request(stack.http_port, "/api/echo", HOST) for _ in range(times)]
    return sum(answer.status == 200 for answer in answers)


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("greets", [True, False])
def test_who_opens_many_connections_keeps_nobody_out(crowded, greets):
    assert served(crowded, 5) == 5 and notices(crowded, "connections_full") == []
    with peer_of(crowded) as peer:
        for _ in range(2 * DESCRIPTORS):
            peer.open(greets)
        assert served(crowded, 20) == 20
        assert open_files(crowded.agents[0].pid) <= DESCRIPTORS - RESERVE // 2
        # Nor from the admin socket, and files are read.
        (told,) = notices(crowded, "connections_full")
        assert "to make room for new ones" in told
        code, text, _ = crowded.admin.run("status")
        assert code == 1 and "LimitNOFILE=" in text
        crowded.write_tenants({"a": crowded.tenant, "b": dict(crowded.tenant, hosts=["b.test"])})
        wait_until(lambda: request(crowded.http_port, "/", "b.test").status == 200, "it is read")
        text = crowded.admin.http("GET", "/metrics")[1].decode()
        assert 'owui_spoa_connections_closed_total{reason="gave_way"} 0' not in text
        assert 'owui_spoa_notices{kind="connections_full"} 1' in text
    log = crowded.agents[0].log()
    assert "gave_way=pid:" in log and "accept_paused" not in log
    loops = crowded.config.get("loops", 2)
    assert log.count(" connections_full ") <= loops
    # As many as all loops have, which is what LimitNOFILE= changes.
    assert f" connections={DESCRIPTORS - RESERVE - loops * LOOP_DESCRIPTORS} " in log


def test_requests_are_answered_while_somebody_opens_connections(crowded):
    with peer_of(crowded) as peer:
        for _ in range(200):
            for _ in range(5):
                peer.open()
            assert served(crowded, 1) == 1
        assert crowded.admin.json("status")[1]["serving"] is True
    assert "connections_full" in crowded.agents[0].log()


def test_who_asks_is_not_who_gives_way(crowded):
    """However long ago the connection was opened."""
    with peer_of(crowded) as peer, contextlib.closing(Asker(crowded.sockets[0])) as busy:
        for number in itertools.count():
            peer.open()
            assert "dst" in busy.ask(HOST)
            if number >= 2 * DESCRIPTORS:
                break
