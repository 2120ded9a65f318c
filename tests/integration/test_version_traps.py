"""Where HAProxy's versions have traps, and what we do about each: the case passes on every version
with our remedy, and where it can be shown, the same case without the remedy fails on those versions
that have the trap. `tests/matrix` runs this on all of them."""

import bisect
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest
from cryptography import x509

from support.certificates import Authority
from support.clients import Echo, connect, echo, read_answer, request, request_bytes
from support.processes import wait_until
from support.relay import SET_VARIABLE, Relay, RuntimeRelay, answer_to, frame_head, padded
from support.spop import ACK, AGENT_DISCONNECT, DISCONNECT, Reader, text, varint
from support.stack import HAPROXY, HAPROXY_VERSION, run_agent_command

HOST = "chat.alpha.test"
ANSWER_MAX_BYTES = 512
BUFFER_BYTES = 16384
COMMAND_MAX_BYTES = 16000  # of the agent, with a certificate
PEM_MAX_BYTES = 15700
PIPELINED = 20  # questions that HAProxy has under way on one connection

# The releases where a behaviour changed.
NEW_SPOP = HAPROXY_VERSION >= (3, 1)  # SPOP as a multiplexer instead of applets


@pytest.fixture
def relayed(new_stack, upstreams):
    """make(Relay's subclass, change): a stack whose HAProxy asks through a relay. `change` is done
    to the text of haproxy.cfg: what a configuration without our remedy would say."""
    relays = []

    def make(kind=Relay, change=None, version=None, agent_ms=400, is_up=True, more=None, **options):
        stack = new_stack(**options)
        between = stack.directory / "relay.sock"
        stack.config["haproxy"]["agents"] = [f"unix:{between}"]
        stack.config["haproxy"]["timeouts"] = {"agent": f"{agent_ms}ms"}
        tenant = {"hosts": [HOST], "upstream": upstreams["alpha"].url, "https": "off"}
        stack.write_tenants({"alpha": tenant, **(more or {})})
        stack.write_config()
        path = stack.write_haproxy_config(*(("--for", version) if version else ()))
        if change:
            text = path.read_text()
            path.write_text(change(text))
            assert path.read_text() != text, "nothing to change: is the remedy gone?"
        stack.start_agent()
        relays.append(kind(between, stack.sockets[0]))
        stack.relay = relays[-1]
        if not is_up:
            stack.sockets = []  # HAProxy is not waited for to find the agent
        stack.start_haproxy()
        return stack

    yield make
    for relay in relays:
        relay.stop()


def without(*words):
    """A change of haproxy.cfg: the lines that hold all of these words are gone."""

    def change(text):
        kept = [
            line
            for line in text.splitlines(keepends=True)
            if not all(word in line for word in words)
        ]
        return "".join(kept)

    return change


def replacing(words, others):
    """A change of haproxy.cfg: other words for some."""
    return lambda text: text.replace(words, others)


def own_lines(place, *lines):
    """A change of haproxy.cfg: lines where an admin would put them."""

    def change(text):
        mark = f"own lines, {place} (kept when this file is written again)\n"
        assert mark in text
        return text.replace(mark, mark + "".join(f"    {line}\n" for line in lines))

    return change


def ask(stack, **options):
    return request(stack.http_port, "/api/echo", HOST, **options)


class AtOnce:
    """Requests that are under way at the same time, and their statuses."""

    def __init__(self, stack, count):
        self.statuses = []
        self.threads = [threading.Thread(target=self._ask, args=(stack,)) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _ask(self, stack):
        try:
            answer = ask(stack)
            self.statuses.append(answer.status if answer else 0)
        except OSError:
            self.statuses.append(-1)

    def wait(self):
        for thread in self.threads:
            thread.join(30)
        return self.statuses


# --- SPOP: the size of answers ----------------------------------------------------------------


class Holding(Relay):
    """Holds answers back until they are let go of, all that a connection has in one piece."""

    size = None
    holding = False

    def __init__(self, *arguments):
        self.held = {}
        self.lock = threading.Lock()
        super().__init__(*arguments)

    def answer(self, link, body):
        with self.lock:
            if self.holding:
                self.held.setdefault(link, []).append(padded(body, self.size))
                return
        link.to_haproxy(body)

    def most(self):
        """How many a connection waits for, that with the most."""
        with self.lock:
            return max(map(len, self.held.values()), default=0)

    def all(self):
        with self.lock:
            return sum(map(len, self.held.values()))

    def let_go(self):
        with self.lock:
            self.holding = False
            held, self.held = self.held, {}
        for link, bodies in held.items():
            link.to_haproxy(*bodies)


@pytest.mark.parametrize("size", [ANSWER_MAX_BYTES, 920])
def test_answers_that_come_all_at_once(relayed, size):
    """Since 3.1 a connection is stuck for good when its buffer of 16,384 bytes fills: so many small
    answers have to fit in, and an answer of ours has 512 bytes at most."""
    stack = relayed(Holding, own_lines("global", "nbthread 1"), agent_ms=2000)
    relay = stack.relay
    assert ask(stack).status == 200  # a connection is there, for the others to share
    relay.size, relay.holding = size, True
    load = AtOnce(stack, PIPELINED)
    wait_until(lambda: relay.all() == PIPELINED, "all have been asked")
    assert relay.most() == PIPELINED or not NEW_SPOP  # which may open more connections
    relay.let_go()
    statuses = load.wait()
    is_stuck = NEW_SPOP and size * PIPELINED > BUFFER_BYTES
    assert (set(statuses) == {200}) == (not is_stuck), statuses
    if not is_stuck:
        assert ask(stack).status == 200


class Measuring(Relay):
    largest = 0

    def answer(self, link, body):
        self.largest = max(self.largest, len(body))
        link.to_haproxy(body)


def test_the_largest_answer_of_ours(relayed, upstreams):
    """A tenant whose headers take all the room that `check` grants, and the longest request."""
    stack = relayed(
        Measuring, changes={"trusted_proxies": [{"name": "all", "cidrs": ["0.0.0.0/0"]}]}
    )
    label = "l" * 63

    def write(size):
        headers = {"X-Long": "{label} " + "x" * size}
        tenant = {"hosts": ["*.alpha.test"], "upstream": upstreams["alpha"].url, "https": "off"}
        stack.write_tenants({"alpha": {**tenant, "headers": headers}})
        return run_agent_command("check", "-c", stack.config_path).returncode == 0

    size = bisect.bisect_left(range(ANSWER_MAX_BYTES), True, key=lambda size: not write(size)) - 1
    assert 0 < size < ANSWER_MAX_BYTES - 1 and write(size)
    stack.write_haproxy_config()
    stack.haproxy.send_signal(signal.SIGUSR2)
    address = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"

    def reached():
        answer = request(
            stack.http_port,
            "/./api//ech%6F",
            f"{label}.alpha.test:{stack.http_port}",
            headers=[("X-Forwarded-For", address)],
        )
        return answer if answer and answer.status == 200 else None

    wait_until(lambda: (answer := reached()) and Echo(answer).header("X-Long"), "it is all there")
    seen = Echo(reached())
    assert seen.header("X-Long") == f"{label} {'x' * size}"
    assert seen.header("X-Client-IP") == address
    assert ANSWER_MAX_BYTES * 0.6 < stack.relay.largest <= ANSWER_MAX_BYTES


# --- SPOP: handshakes, ends and errors ---------------------------------------------------------


class Heard(Relay):
    """Keeps what the agent says in each HELLO, to health checks, too; may leave something out."""

    key = None

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.heard = []

    def hello(self, link, body):
        at = frame_head(body)[3]
        reader, heard, passed = Reader(body[at:]), {}, body[:at]
        while reader.at < len(reader.data):
            start, name = reader.at, reader.text()
            heard[name] = reader.value()
            if name != self.key:
                passed += reader.data[start : reader.at]
        self.heard.append(heard)
        link.to_haproxy(passed)


class WithoutCapabilities(Heard):
    key = "capabilities"


def test_what_the_agent_says_of_itself(relayed):
    """Everything that any version wants to hear, and no capability with which a version could send
    what others cannot: no fragments, no answers by way of another connection."""
    stack = relayed(Heard)
    assert ask(stack).status == 200
    wanted = {"version": "2.0", "max-frame-size": 16380, "capabilities": "pipelining"}
    heard = list(stack.relay.heard)
    assert wanted in heard
    # a health check may want smaller frames
    assert all({**one, "max-frame-size": 16380} == wanted for one in heard), heard


def test_a_health_check_wants_capabilities(relayed):
    """Since 3.1 an agent that leaves them out is down for `option spop-check`."""
    stack = relayed(WithoutCapabilities, is_up=not NEW_SPOP)
    wait_until(lambda: stack.relay.heard, "a check has come")
    if NEW_SPOP:
        wait_until(lambda: ",DOWN," in agent_row(stack), "the agent is down", 5)
        assert "capabilities value not found" in stack.haproxy.log()


class Offers(Holding):
    """Says something else of what it can do."""

    capabilities = "pipelining"

    def hello(self, link, body):
        ours = text("capabilities") + b"\x08" + text("pipelining")
        assert ours in body
        theirs = text("capabilities") + b"\x08" + text(self.capabilities)
        link.to_haproxy(body.replace(ours, theirs))


class OffersAsync(Offers):
    capabilities = "pipelining,async"


@pytest.mark.parametrize("kind", [Offers, OffersAsync])
def test_an_agent_that_offers_async(relayed, kind):
    """Before 3.1, HAProxy then takes an answer from any connection: one that ends is no word on what
    was asked on it as long as there are others, so that nobody asks again before the time is up."""
    stack = relayed(kind, own_lines("global", "nbthread 1"), agent_ms=8000)
    relay = stack.relay
    relay.size, relay.holding = ANSWER_MAX_BYTES, True
    count = PIPELINED + 5
    load = AtOnce(stack, count)
    wait_until(lambda: relay.all() >= count, "all have been asked")
    with relay.lock:
        relay.holding = False  # what is asked again is answered
        ending = next(iter(relay.held))
        relay.held.pop(ending)
        assert relay.held, "all on one connection"
    ending.close()
    is_lost = kind is OffersAsync and not NEW_SPOP
    wait_until(lambda: load.statuses or is_lost, "asked again")
    relay.let_go()
    assert (set(load.wait()) == {200}) == (not is_lost), load.statuses


class WithoutFrameSize(Heard):
    key = "max-frame-size"


def test_how_large_frames_may_be_has_to_be_said(relayed):
    """An agent that leaves it out is down for `option spop-check`; since 3.1, questions alone would
    do without."""
    stack = relayed(WithoutFrameSize, is_up=False)
    wait_until(lambda: ",DOWN," in agent_row(stack), "the agent is down", 30)
    assert "max-frame-size value not found" in stack.haproxy.log()
    assert ask(stack).status == 503


class OffersAnotherVersion(Relay):
    """HAProxy's HELLO names a version of SPOP that nobody has, unless it asks for health."""

    said = 0

    def ask_hello(self, link, body):
        if not link.is_check:
            self.said += 1
            body = body.replace(text("2.0"), text("9.9"))
        link.to_agent(body)


class Refuses(Relay):
    """Refuses HELLOs as the specification has it, up to a number at which that is a storm."""

    STORM = 50
    said = 0

    def ask_hello(self, link, body):
        if link.is_check or self.said >= self.STORM:
            link.to_agent(body)
            return
        self.said += 1
        payload = text("status-code") + b"\x03" + varint(8) + text("message") + b"\x08" + text("no")
        link.to_haproxy(bytes([AGENT_DISCONNECT]) + b"\0\0\0\1\0\0" + payload)


@pytest.mark.parametrize("kind", [OffersAnotherVersion, Refuses])
def test_a_hello_that_is_refused(relayed, kind):
    """Before 3.1, HAProxy comes again at once, hundreds of times for one request; so that the agent
    tells what it can do, whatever it is offered, and HAProxy decides."""
    stack = relayed(kind, own_lines("global", "nbthread 1"), agent_ms=5000)
    status = ask(stack).status
    if kind is OffersAnotherVersion:
        assert (status, stack.relay.said) == (200, 1)
    else:
        assert (stack.relay.said == Refuses.STORM) == (not NEW_SPOP), stack.relay.said
        assert (status == 200) == (not NEW_SPOP)


class SameIds(Relay):
    """Holds two connections' first questions; their answers go where their ids say, which may be
    the other one's connection, when ids are all that is looked at."""

    by_ids_alone = False

    def __init__(self, *arguments):
        self.lock = threading.Lock()
        self.hellos, self.questions = [], []
        self.crossed = []
        super().__init__(*arguments)

    def _both(self, held, link, body):
        with self.lock:
            held.append((link, body))
            return list(held) if len(held) == 2 else []

    def ask_hello(self, link, body):
        if link.is_check:
            link.to_agent(body)
            return
        for waiting, hello in self._both(self.hellos, link, body):
            waiting.to_agent(hello)

    def question(self, link, body):
        for waiting, asked in self._both(self.questions, link, body):
            waiting.to_agent(asked)

    def ids(self):
        return [frame_head(body)[1:3] for _, body in self.questions]

    def answer(self, link, body):
        if not self.by_ids_alone:
            link.to_haproxy(body)
            return
        with self.lock:
            self.crossed.append(body)
            if len(self.crossed) < 2:
                return
        for answered in self.crossed:
            # A table by ids has the last of those that share them.
            links = {frame_head(asked)[1:3]: one for one, asked in self.questions}
            links[frame_head(answered)[1:3]].to_haproxy(answered)


@pytest.mark.parametrize("by_ids_alone", [False, True])
def test_questions_with_the_same_ids(relayed, upstreams, by_ids_alone):
    """Since 3.1 stream-ids count within a connection: an answer belongs to whoever asked on that
    one, and who looks at ids alone gives it to somebody else."""
    beta = {"hosts": ["chat.beta.test"], "upstream": upstreams["beta"].url, "https": "off"}
    stack = relayed(SameIds, own_lines("global", "nbthread 1"), agent_ms=4000, more={"beta": beta})
    stack.relay.by_ids_alone = by_ids_alone
    names = {}

    def get(host):
        answer = request(stack.http_port, "/api/echo", host)
        names[host] = Echo(answer).name if answer.status == 200 else answer.status

    threads = [threading.Thread(target=get, args=(host,)) for host in (HOST, "chat.beta.test")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    first, second = stack.relay.ids()
    assert (first == second) == NEW_SPOP
    is_right = names == {HOST: "alpha", "chat.beta.test": "beta"}
    assert is_right == (not (by_ids_alone and NEW_SPOP)), names


def agent_row(stack):
    rows = stack.runtime("show stat").splitlines()
    return next(row for row in rows if row.startswith("owui_agents,agent1,"))


def connections_now(stack, proxy, side):
    rows = stack.runtime("show stat").splitlines()
    row = next(row for row in rows if row.startswith(f"{proxy},{side},"))
    return int(row.split(",")[rows[0].split(",").index("scur")])


class Ending(Relay):
    """Closes a connection when a question comes, if it was there before end() was called: HAProxy
    has not heard yet that it was about to end."""

    def __init__(self, *arguments):
        self.doomed = set()
        super().__init__(*arguments)

    def end(self):
        self.doomed = {link for link in self.links if link.asked}

    def question(self, link, body):
        if link in self.doomed:
            link.close()
        else:
            link.to_agent(body)


@pytest.mark.parametrize("again", [True, False])
def test_a_connection_that_ends_while_it_is_used_again(relayed, again):
    """HAProxy does not ask again by itself, on any version: its configuration has to."""
    change = None if again else without("send-spoe-group", "route if")
    stack = relayed(Ending, change)
    assert ask(stack).status == 200
    stack.relay.end()
    # More than one connection of HAProxy may be gone, one for each of its threads.
    statuses = [ask(stack).status for _ in range(10)]
    assert (set(statuses) == {200}) == again, statuses


class ClosesThenSilent(Relay):
    """The first question of all ends in a closed connection; later ones are never answered."""

    questions = 0

    def question(self, link, body):
        self.questions += 1
        if self.questions == 1:
            time.sleep(0.05)  # HAProxy waits already, and goes on doing so
            link.close()


@pytest.mark.parametrize("version", [None, "3.0"])
def test_a_second_question_that_nobody_answers(relayed, version):
    """HAProxy 2.6 forgets the timeout of the second group that it sends for a request, so that the
    request waits for ever; hence a configuration of its own, with a second engine."""
    if version == "3.0" and NEW_SPOP:
        version = "3.2"  # the form for 3.0 has no `mode spop`
    stack = relayed(ClosesThenSilent, version=version)
    started = time.monotonic()
    with connect(stack.http_port) as sock:
        sock.settimeout(3)
        sock.sendall(request_bytes("GET", "/api/echo", HOST))
        try:
            status = read_answer(sock).status
        except TimeoutError:
            status = None
    waits_for_ever = version == "3.0" and HAPROXY_VERSION < (3, 0)
    assert status == (None if waits_for_ever else 503)
    assert waits_for_ever or time.monotonic() - started < 1.5
    assert stack.relay.questions >= 2


@pytest.mark.parametrize("given_up", [False, True])
def test_an_answer_that_comes_too_late(relayed, given_up):
    """The time is over, or the client has gone, which newer versions notice while they wait. The
    answer that comes then is for nobody, and the connection goes on being used."""
    stack = relayed(Holding, own_lines("global", "nbthread 1"), agent_ms=1000)
    relay = stack.relay

    def is_settled():
        assert ask(stack).status == 200
        asked = [link for link in relay.links if link.asked]
        return connections_now(stack, "owui_agents", "BACKEND") <= len(asked)

    # 3.0 opens another connection with the second question, though the first one is free. One that
    # comes late takes the question that a free one was woken for, which then is not woken again.
    assert ask(stack).status == 200
    wait_until(is_settled, "each connection has been asked on")
    relay.size, relay.holding = ANSWER_MAX_BYTES, True
    with connect(stack.http_port) as sock:
        sock.sendall(request_bytes("GET", "/api/echo", HOST))
        wait_until(lambda: relay.all() == 1, "it has been asked for")
        if not given_up:
            assert read_answer(sock).status == 503
    (late,) = relay.held
    asked_before = late.asked
    relay.let_go()
    # Until that answer has come, the connection is not free; and some hear of a client that has gone
    # with the answer alone.
    wait_until(lambda: all(link.is_read() for link in relay.links if link.asked), "heard", 30)
    wait_until(lambda: connections_now(stack, "owui", "FRONTEND") == 0, "nobody is left", 30)
    # Those that are free take turns.
    assert {ask(stack).status for _ in range(5)} == {200}
    assert late.asked > asked_before


class WithTheNextIds(Holding):
    """Keeps the first answer until another is asked for, and gives it out as that one's."""

    late = None

    def answer(self, link, body):
        if self.late is None:
            self.late = body
            return
        payload = self.late[frame_head(self.late)[3] :]
        link.to_haproxy(answer_to(body, ACK, payload))


def test_a_late_answer_with_another_questions_ids(relayed, upstreams):
    """HAProxy goes by ids alone: what comes too late is somebody else's, unless it says whose."""
    beta = {"hosts": ["chat.beta.test"], "upstream": upstreams["beta"].url, "https": "off"}
    stack = relayed(WithTheNextIds, without("send-spoe-group", "route if"), more={"beta": beta})
    assert ask(stack).status == 503
    assert echo(stack.http_port, "chat.beta.test").name == "alpha"


class WaitsForGoodbye(Relay):
    """Counts those connections, of all that were asked on, that ended with a goodbye."""

    goodbyes = 0
    ends = 0

    def _from_haproxy(self, link, body):
        self.goodbyes += body[0] == DISCONNECT
        super()._from_haproxy(link, body)

    def serve(self, near):
        super().serve(near)
        self.ends += any(link.near is near and link.asked for link in self.links)


def test_who_waits_for_a_goodbye(relayed):
    """2.6 and 3.0 say one to a connection that was idle for long, newer versions just end: it cannot
    be what an end is told by."""
    stack = relayed(WaitsForGoodbye)
    spoe = stack.haproxy_dir / "owui.spoe.cfg"
    assert "timeout idle 60s" in spoe.read_text()
    spoe.write_text(spoe.read_text().replace("timeout idle 60s", "timeout idle 500ms"))
    stack.haproxy.stop()
    stack.start_haproxy()
    assert ask(stack).status == 200
    if not NEW_SPOP:
        wait_until(lambda: stack.relay.goodbyes > 0, "a goodbye")
    stack.haproxy.stop()
    wait_until(lambda: stack.relay.ends > 0, "the connection has ended")
    assert (stack.relay.goodbyes > 0) == (not NEW_SPOP)


def test_the_end_of_a_connection_is_no_event(new_stack, upstreams):
    """2.6 and 3.0 say goodbye, newer versions reset the connection: an admin need not know."""
    stack = new_stack()
    tenant = {"hosts": [HOST], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"alpha": tenant})
    stack.start()
    before = len(stack.agents[0].log())
    assert ask(stack).status == 200
    stack.haproxy.stop()
    assert stack.agents[0].stop() == 0
    told = stack.agents[0].log()[before:]
    assert " warning " not in told and " error " not in told


class Silent(Relay):
    def question(self, link, body):
        pass


class Closes(Relay):
    def question(self, link, body):
        link.close()


class GivesUp(Relay):
    def question(self, link, body):
        payload = (
            text("status-code") + b"\x03" + varint(13) + text("message") + b"\x08" + text("no")
        )
        link.to_haproxy(bytes([AGENT_DISCONNECT]) + b"\0\0\0\1\0\0" + payload)


class NotTheLastPart(Relay):
    """Answers with a frame that is not marked as the last one of its message."""

    def question(self, link, body):
        link.to_haproxy(answer_to(body, ACK, flags=0))


class Down(Relay):
    def hello(self, link, body):
        link.close()


ERRORS = [
    (Down, 2, 257),
    (Silent, 1, 1),
    (Closes, 257, 257),
    (GivesUp, 256 + 13, 256 + 13),
    (NotTheLastPart, 256, 1),
]


@pytest.mark.parametrize("kind, old, new", ERRORS, ids=[kind.__name__ for kind, _, _ in ERRORS])
def test_errors_have_other_numbers(relayed, kind, old, new):
    """So nothing is decided by an error's number but whether asking again may help; whatever it is,
    what was not answered is not forwarded."""
    tell = "hdr X-Error %[var(txn.owui.err)] hdr X-Refused no-agent"
    change = replacing("hdr X-Refused no-agent", tell)
    stack = relayed(kind, change, is_up=kind is not Down)
    answer = ask(stack)
    assert (answer.status, answer.header("X-Refused")) == (503, "no-agent")
    assert answer.header("X-Error") == str(new if NEW_SPOP else old)
    assert answer.header("X-Upstream") is None


def test_deciding_by_an_errors_number(relayed):
    """What is refused on the versions whose number it is goes on to the next rule on others."""
    change = replacing("unless answered", "if { var(txn.owui.err) -m int 2 }")
    stack = relayed(Down, change, is_up=False)
    answer = ask(stack)
    assert (answer is not None and answer.header("X-Refused") == "no-agent") == (not NEW_SPOP)


# --- configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version, least, words",
    [("3.2", (3, 1), "mode spop"), ("3.4", (3, 4), "set-headers-bin")],
)
def test_a_newer_versions_form_does_not_load_everywhere(new_stack, version, least, words):
    """The form for all versions has these words in a condition. It loads: every other test says."""
    stack = new_stack()
    stack.write_config()
    path = stack.write_haproxy_config("--for", version)
    assert words in path.read_text()
    done = subprocess.run([HAPROXY, "-c", "-f", path], capture_output=True, text=True)
    assert (done.returncode == 0) == (HAPROXY_VERSION >= least), done.stderr


def worker_cpu_s(stack):
    """What HAProxy's worker has computed so far, in seconds."""
    (worker,) = stack.haproxy_workers()
    words = pathlib.Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("checked", [True, False])
def test_waiting_for_an_agent_that_is_gone_costs_nothing(relayed, checked):
    """Before 3.1, HAProxy tries to connect again and again while a request waits for its answer. A
    health check that fails ends that: nobody waits any more."""
    change = None if checked else replacing(" check inter 500ms fall 2 rise 1", "")
    stack = relayed(change=change, agent_ms=2000, is_up=checked)
    stack.relay.stop()
    if checked:
        wait_until(lambda: stack.agents_up() == 0, "the agent is down")
    before = worker_cpu_s(stack)
    started = time.monotonic()
    assert set(AtOnce(stack, 4).wait()) == {503}
    assert (time.monotonic() - started < 1) == (checked or NEW_SPOP)
    is_busy = not checked and not NEW_SPOP
    assert (worker_cpu_s(stack) - before > 0.1) == is_busy


def test_a_header_that_haproxy_has_not_heard_of(new_stack, upstreams):
    """Since 3.4 the agent's answer names the headers; before, the configuration has to, and what a
    client says is passed on until it does. The agent says that it is out of date."""
    stack = new_stack()
    tenant = {"hosts": [HOST], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"alpha": tenant})
    stack.start()
    stack.write_tenants({"alpha": {**tenant, "headers": {"X-New": "{tenant} {host}"}}})

    wait_until(lambda: "haproxy_config_differs" in stack.agents[0].log(), "the agent says so")
    assert 'headers=X-New until_then="clients can send these headers"' in stack.agents[0].log()
    forged = [("X-New", "forged")]
    if HAPROXY_VERSION < (3, 4):
        assert echo(stack.http_port, HOST).header("X-New") is None
        assert echo(stack.http_port, HOST, headers=forged).header("X-New") == "forged"
        stack.write_haproxy_config()
        stack.haproxy.send_signal(signal.SIGUSR2)

    def reached():
        answer = ask(stack, headers=[("X-New", "beta beta.test")])
        return answer and answer.status == 200 and Echo(answer).all("X-New") == [f"alpha {HOST}"]

    wait_until(reached, "the header is there")


def test_names_fit_into_haproxys_buffer(new_stack, upstreams):
    """A variable whose whole name has more than 63 bytes is dropped, or worse."""
    stack = new_stack()
    headers = {"X-" + "n" * size: "here" for size in (1, 20, 36)}
    tenant = {"hosts": [HOST], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"alpha": {**tenant, "headers": headers}})
    stack.start()
    names = re.findall(r"txn\.owui\.\w+", (stack.haproxy_dir / "haproxy.cfg").read_text())
    assert names and max(map(len, names)) <= 63
    seen = echo(stack.http_port, HOST)
    assert [seen.header(name) for name in headers] == ["here"] * 3
    assert "haproxy_config_differs" not in stack.agents[0].log()


class Names(Relay):
    """Sets one more variable."""

    name = None

    def answer(self, link, body):
        if self.name:
            body += SET_VARIABLE + text(self.name) + b"\x08" + text("here")
        link.to_haproxy(body)


@pytest.mark.parametrize("size, fits", [(63, True), (64, False), (70, False)])
def test_a_name_longer_than_haproxys_buffer(relayed, size, fits):
    """It is dropped without a word, though the configuration has it. (Much longer ones may be read
    beyond where they end: nothing that is to be tried.)"""
    whole = "txn.owui.".ljust(size, "n")
    tell = f"http-response set-header X-Long %[var({whole})]"
    stack = relayed(Names, own_lines("frontend after the agent answered", tell))
    stack.relay.name = whole.removeprefix("txn.owui.")
    answer = ask(stack)
    assert answer.status == 200
    assert answer.header("X-Long") == ("here" if fits else "")


# --- the Runtime API ------------------------------------------------------------------------------


@pytest.fixture
def certified(new_stack, upstreams, authority, tmp_path):
    """make(NAME...): a stack that serves a certificate for each tenant, none of them ordered."""

    def make(*names, buffer_bytes=None):
        stack = new_stack()
        stack.config["acme"] |= {"directory": "none", "state_dir": str(stack.directory / "state")}
        stack.write_tenants(
            {
                name: {"hosts": [f"{name}.test"], "upstream": upstreams["alpha"].url}
                for name in names
            }
        )
        for name in names:
            authority.issue([f"{name}.test"], stack.crt_dir / f"{name}.pem")
        if buffer_bytes is not None:
            stack.add_own_line("global", f"tune.bufsize {buffer_bytes}")
        stack.start()
        wait_until(lambda: all(told(stack, name) for name in names), "certificates are known")
        return stack

    return make


def told(stack, name):
    """What the agent tells about a tenant's certificate, once all is well with it."""
    done = run_agent_command("certs", name, "-c", stack.config_path, "--json")
    one = json.loads(done.stdout) if done.returncode == 0 else {}
    return one if one and "serial" in one and all(h["served"] for h in one["haproxys"]) else None


def served_serial(stack, name):
    with connect(stack.https_port, tls_name=f"{name}.test") as sock:
        return x509.load_der_x509_certificate(sock.getpeercert(binary_form=True)).serial_number


def serial_of(pem):
    return x509.load_pem_x509_certificate(
        pem[pem.index("-----BEGIN CERT") :].encode()
    ).serial_number


def held(stack, name):
    """`show ssl cert`: what HAProxy holds under a file's name."""
    return stack.runtime(f"show ssl cert {stack.crt_dir / name}.pem")


def set_certificate(stack, name, pem):
    return stack.runtime(f"set ssl cert {stack.crt_dir / name}.pem <<\n{pem}")


def filled(pem, size):
    """A PEM of this many bytes, by comments in front of it."""
    lines = []
    left = size - len(pem)
    while left > 0:
        take = left if left <= 60 else min(60, left - 2)
        lines.append("#" * (take - 1) + "\n")
        left -= take
    return "".join(lines) + pem


def test_a_command_as_large_as_the_buffer(certified, authority, tmp_path):
    """Exactly 16,384 bytes: 2.6 ends itself, 3.4 does not answer, 3.0 and 3.2 refuse it. Whence the
    limit of ours, below which every version takes a certificate."""
    stack = certified("alpha")
    pem = authority.issue(["alpha.test"], tmp_path / "new.pem").read_text()
    around = len(f"set ssl cert {stack.crt_dir}/alpha.pem <<\n\n")
    assert "Transaction created" in set_certificate(
        stack, "alpha", filled(pem, COMMAND_MAX_BYTES - around)
    )
    stack.runtime(f"abort ssl cert {stack.crt_dir}/alpha.pem")
    command = f"set ssl cert {stack.crt_dir}/alpha.pem <<\n{filled(pem, BUFFER_BYTES - around)}"
    assert len(command) + 1 == BUFFER_BYTES
    if HAPROXY_VERSION < (3, 0):
        with pytest.raises(OSError):
            stack.runtime(command)
        wait_until(lambda: not stack.haproxy.is_running(), "HAProxy has ended", 20)
    elif HAPROXY_VERSION < (3, 4):
        assert "too big" in stack.runtime(command)
    else:
        with pytest.raises(TimeoutError):
            stack.runtime(command)


# Lengths at which 3.4, which takes payloads of up to 128 kB, waits for ever or loses the end.
EDGES = (BUFFER_BYTES + 2, 2 * BUFFER_BYTES)


@pytest.mark.parametrize("size", EDGES + (20000,))
def test_a_command_larger_than_the_buffer(certified, authority, tmp_path, size):
    """Larger ones are no matter of the version alone: 3.4 takes them but for some lengths around the
    edges of its buffers. Nobody is to know them, hence one limit for all."""
    assert all(edge > COMMAND_MAX_BYTES for edge in EDGES)
    stack = certified("alpha")
    pem = authority.issue(["alpha.test"], tmp_path / "new.pem").read_text()
    around = len(f"set ssl cert {stack.crt_dir}/alpha.pem <<\n\n")
    try:
        told_ = set_certificate(stack, "alpha", filled(pem, size - around))
    except OSError as error:
        told_ = repr(error)
    assert ("Transaction created" in told_) == (
        HAPROXY_VERSION >= (3, 4) and size not in EDGES
    ), told_
    assert stack.haproxy.is_running()


def test_commands_behind_a_payload(certified, authority, tmp_path):
    """2.6 goes on with what follows, newer versions leave it: then a certificate would be set, and
    never be in force. The agent has a connection for each command."""
    stack = certified("alpha")
    before = served_serial(stack, "alpha")
    pem = authority.issue(["alpha.test"], tmp_path / "new.pem", days=60).read_text()
    answer = set_certificate(stack, "alpha", f"{pem}\ncommit ssl cert {stack.crt_dir}/alpha.pem\n")
    assert "Transaction created" in answer
    assert ("Success!" in answer) == (HAPROXY_VERSION < (3, 0))
    assert (served_serial(stack, "alpha") == before) == (HAPROXY_VERSION >= (3, 0))
    stack.runtime(f"abort ssl cert {stack.crt_dir}/alpha.pem")
    lineage = Lineage(tmp_path, "alpha")
    newer = authority.issue(["alpha.test"], tmp_path / "newer.pem", days=90).read_text()
    lineage.put(newer)
    assert bring(stack, lineage)["imported"]
    wait_until(lambda: served_serial(stack, "alpha") == serial_of(newer), "it is served", 30)


class Lineage:
    """A folder as certbot keeps it, with one certificate."""

    def __init__(self, folder, name):
        self.folder = folder
        self.live = folder / "live" / name
        self.live.mkdir(parents=True)

    def put(self, pem, between=""):
        """Key and chain of a PEM, the chain's certificates with `between` between them."""
        key = re.search(r"-----BEGIN PRIVATE KEY.*?END PRIVATE KEY-----\n", pem, re.S)[0]
        chain = re.findall(r"-----BEGIN CERT.*?END CERTIFICATE-----\n", pem, re.S)
        (self.live / "privkey.pem").write_text(key)
        (self.live / "fullchain.pem").write_text(between.join(chain))


def bring(stack, lineage):
    """`certs import`: what it told of the lineage."""
    done = run_agent_command("certs", "import", lineage.folder, "-c", stack.config_path, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("over", [False, True])
def test_a_certificate_as_large_as_can_be(certified, authority, tmp_path, over):
    """One more line of PEM, and it is refused before it is put anywhere."""
    stack = certified("alpha")
    before = served_serial(stack, "alpha")
    lineage = Lineage(tmp_path, "alpha")
    own = authority.issue(["alpha.test"], tmp_path / "own.pem", days=60, extra_bytes=8000)
    room = PEM_MAX_BYTES - len(own.read_text())
    size = 8000 + room // 65 * 48 + (96 if over else -48)
    pem = authority.issue(
        ["alpha.test"], tmp_path / "own.pem", days=60, extra_bytes=size
    ).read_text()
    assert -200 < len(pem) - PEM_MAX_BYTES < 200 and (len(pem) > PEM_MAX_BYTES) == over
    lineage.put(pem)
    answer = bring(stack, lineage)
    if over:
        assert "Runtime API takes" in answer["skipped"][0]["reason"], answer
        assert told(stack, "alpha") and served_serial(stack, "alpha") == before
    else:
        assert answer["imported"], answer
        wait_until(lambda: served_serial(stack, "alpha") == serial_of(pem), "it is served")
    assert "served_wrong" not in stack.agents[0].log()


def test_what_a_transaction_of_somebody_else_does(certified, authority, tmp_path):
    """HAProxy has one for all certificates. 2.6 puts what is set for one certificate into the
    transaction of another, and would serve it under that name."""
    stack = certified("alpha", "beta")
    new = {
        name: authority.issue([f"{name}.test"], tmp_path / f"{name}.pem").read_text()
        for name in ("alpha", "beta")
    }
    assert "created" in set_certificate(stack, "alpha", new["alpha"])
    answer = set_certificate(stack, "beta", new["beta"])
    if HAPROXY_VERSION >= (3, 0):
        assert "The ongoing transaction is about" in answer
        stack.runtime(f"abort ssl cert {stack.crt_dir}/alpha.pem")
        return
    assert f"Transaction updated for certificate {stack.crt_dir}/alpha.pem!" in answer
    assert "Success!" in stack.runtime(f"commit ssl cert {stack.crt_dir}/alpha.pem")
    assert f"{serial_of(new['beta']):X}" in held(stack, "alpha")


def test_a_transaction_of_somebody_else_comes_between(certified, authority, tmp_path):
    """The agent has looked, there was none; when it sets its certificate, there is one. Nothing of
    the two may be mixed, and in the end each name has its own."""
    stack = certified("alpha", "beta")
    alpha = served_serial(stack, "alpha")
    foreign = authority.issue(["alpha.test"], tmp_path / "foreign.pem").read_text()
    interfered = []

    def interfere(command):
        if command.startswith("set ssl cert") and not interfered:
            interfered.append(set_certificate(stack, "alpha", foreign))

    between = stack.directory / "between.sock"
    relay = RuntimeRelay(between, stack.runtime_socket, interfere)
    stack.config["haproxy"]["runtime"] = [str(between)]
    stack.write_config()
    stack.agents[0].stop()
    stack.start_agent()
    stack.wait_for_agents(1)
    wait_until(lambda: told(stack, "alpha") and told(stack, "beta"), "all is well")
    lineage = Lineage(tmp_path, "beta")
    pem = authority.issue(["beta.test"], tmp_path / "beta.pem", days=60).read_text()
    lineage.put(pem)
    assert bring(stack, lineage)["imported"]
    wait_until(lambda: interfered, "the other transaction")
    assert "created" in interfered[0]
    wait_until(lambda: served_serial(stack, "beta") == serial_of(pem), "the new one is served", 20)
    assert served_serial(stack, "alpha") == alpha
    assert "*" not in stack.runtime("show ssl cert")
    relay.stop()


def issue_for_command(stack, authority, path, names, size):
    """A certificate for one of the names, whose command has just that size."""
    extra = {name: size // 2 for name in names}
    for name in names * 100:
        pem = authority.issue([f"{name}.test"], path, days=60, extra_bytes=extra[name]).read_text()
        missing = size - len(f"set ssl cert {stack.crt_dir}/{name}.pem <<\n{pem}\n")
        if missing == 0:
            return name, pem
        extra[name] += missing * 48 // 65
    raise AssertionError("no name leads to that size")


@pytest.mark.skipif(HAPROXY_VERSION >= (3, 0), reason="it refuses so small a buffer beside HTTP/2")
def test_a_buffer_that_an_admin_has_made_smaller(certified, authority, tmp_path):
    """tune.bufsize among an admin's own lines: a command of just that size would end 2.6. It is not
    sent, and the way out is told; what has room is served."""
    names = ["a", "bb", "ccc", "dddd"]  # one of them leads to the size
    stack = certified(*names, buffer_bytes=8192)
    worker = stack.haproxy_workers()
    name, pem = issue_for_command(stack, authority, tmp_path / "new.pem", names, 8192)
    before = served_serial(stack, name)
    lineage = Lineage(tmp_path, name)
    lineage.put(pem)
    assert bring(stack, lineage)["imported"]
    wait_until(lambda: "tune.bufsize allows 7808" in stack.agents[0].log(), "it is told", 20)
    assert (stack.haproxy_workers(), served_serial(stack, name)) == (worker, before)
    assert "tune.bufsize" in run_agent_command("doctor", "-c", stack.config_path).stdout
    fits = authority.issue([f"{name}.test"], tmp_path / "fits.pem", days=61, extra_bytes=4500)
    lineage.put(fits.read_text())
    assert bring(stack, lineage)["imported"]
    serial = serial_of(fits.read_text())
    wait_until(lambda: served_serial(stack, name) == serial, "what has room is served", 20)
    assert stack.haproxy_workers() == worker


def issue_with_chain(authority, folder, **options):
    """Key, certificate and intermediate, in this order."""
    intermediate = Authority(folder, authority)
    pem = intermediate.issue(["alpha.test"], folder / "own.pem", **options).read_text()
    at = pem.index("-----BEGIN PRIVATE")
    return pem[at:] + pem[:at] + intermediate.path.read_text()


@pytest.mark.parametrize("between, newline", [("\n", "\n"), ("\n\n", "\n"), ("", "\r\n")])
def test_blank_lines_in_a_chain(certified, authority, tmp_path, between, newline):
    """A blank line ends a payload, so that HAProxy, which says that all is well, has half of the
    chain; the CR of another system's file may keep it from ending at all."""
    stack = certified("alpha")
    pem = issue_with_chain(authority, tmp_path, days=60)
    lineage = Lineage(tmp_path, "alpha")
    lineage.put(pem, between)
    full = lineage.live / "fullchain.pem"
    full.write_bytes(full.read_text().replace("\n", newline).encode())
    assert bring(stack, lineage)["imported"]
    wait_until(lambda: served_serial(stack, "alpha") == serial_of(pem), "it is served")
    assert held(stack, "alpha").count("Chain Subject") == 1
    text = (stack.crt_dir / "alpha.pem").read_text()
    assert text.count("BEGIN CERT") == 2 and "\n\n" not in text and "\r" not in text


def test_a_carriage_return_that_nobody_took_out(certified, authority, tmp_path):
    """From 3.0 on the line that should end the payload does not, as it is not empty."""
    stack = certified("alpha")
    pem = authority.issue(["alpha.test"], tmp_path / "new.pem").read_text()
    lines = (pem + "\n").replace("\n", "\r\n").removesuffix("\n")
    if HAPROXY_VERSION < (3, 0):
        assert "created" in set_certificate(stack, "alpha", lines)
    else:
        with pytest.raises(TimeoutError):
            set_certificate(stack, "alpha", lines)


def test_what_a_reload_brings_back(certified, authority, tmp_path):
    """What the file holds, whatever was set: nobody is there to notice."""
    stack = certified("alpha")
    before = served_serial(stack, "alpha")
    stack.agents[0].stop()
    pem = authority.issue(["alpha.test"], tmp_path / "new.pem").read_text()
    assert "created" in set_certificate(stack, "alpha", pem)
    assert "Success!" in stack.runtime(f"commit ssl cert {stack.crt_dir}/alpha.pem")
    assert served_serial(stack, "alpha") == serial_of(pem)
    (worker,) = stack.haproxy_workers()
    stack.haproxy.send_signal(signal.SIGUSR2)
    wait_until(lambda: stack.haproxy_workers() not in ([], [worker]), "another worker", 30)
    wait_until(lambda: served_serial(stack, "alpha") == before, "yesterday's certificate", 30)


def test_a_blank_line_that_nobody_took_out(certified, authority, tmp_path):
    stack = certified("alpha")
    pem = issue_with_chain(authority, tmp_path)
    pem = pem.replace("END CERTIFICATE-----\n", "END CERTIFICATE-----\n\n", 1)
    assert "created" in set_certificate(stack, "alpha", pem)
    assert "Success!" in stack.runtime(f"commit ssl cert {stack.crt_dir}/alpha.pem")
    assert "Chain Subject" not in held(stack, "alpha")
