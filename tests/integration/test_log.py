"""Who reads the log, or does not: neither a request nor a signal waits for it, and what was lost is
told when the log can be written again."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import tty

import pytest

from support.processes import Process, die_with_parent, wait_until
from support.spop import NOTIFY, Asker
from support.stack import BINARY, SANITIZERS, program_for
from test_metrics import Metrics

HOST = "chat.test"
NOBODY = 65534


class Sink:
    """An end that an agent logs to, and ours, which is read when a test says so."""

    def __init__(self, kind):
        self.text = ""
        self.is_closed = False
        if kind == "socket":
            ours, theirs = socket.socketpair()
            self.ours, self.theirs = ours.detach(), theirs.detach()
        elif "terminal" in kind:
            self.ours, self.theirs = pty.openpty()
            if kind != "session's terminal":
                tty.setraw(self.theirs)
        else:
            self.ours, self.theirs = os.pipe()
        os.set_blocking(self.ours, False)
        self.kind = kind

    def fill(self):
        """Until nothing more finds room, without a change to what the agent writes to."""
        if self.kind == "stopped terminal":
            termios.tcflow(self.theirs, termios.TCOOFF)  # as Ctrl-S does
        elif self.kind == "socket":
            with socket.socket(fileno=os.dup(self.theirs)) as end:
                self._fill(end, lambda part: end.send(part, socket.MSG_DONTWAIT))
        else:
            path = f"/proc/self/fd/{self.theirs}"
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            self._fill(fd, lambda part: os.write(fd, part))
            os.close(fd)

    @staticmethod
    def _fill(end, write):
        """A terminal takes more a moment later, when the kernel has moved what it has taken."""
        is_full = False
        while not is_full:
            for size in (4096, 64, 1):
                with contextlib.suppress(BlockingIOError):
                    while True:
                        write(b"x" * size)
            is_full = not select.select([], [end], [], 0.2)[1]

    def read(self):
        """All that was told so far."""
        if self.is_closed:
            return self.text
        if self.kind == "stopped terminal":
            termios.tcflow(self.theirs, termios.TCOON)
        try:
            while part := os.read(self.ours, 65536):
                self.text += part.decode(errors="replace")
        except OSError:
            pass
        return self.text

    def close(self):
        self.read()
        self.is_closed = True
        os.close(self.ours)
        os.close(self.theirs)


class Telling(Process):
    """An agent that logs to a sink."""

    def __init__(self, stack, sink, user=None):
        program = program_for(user, stack.directory)
        command = [program, "run", "-c", stack.config_path]
        super().__init__("agent1", command, stack.directory, SANITIZERS)
        self.sink = sink
        self.user = user

    def start(self):
        self.child = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.sink.theirs,
            env={**os.environ, **SANITIZERS},
            preexec_fn=self._prepare,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
        )
        return self

    def _prepare(self):
        """What a shell has done for the commands that it runs."""
        die_with_parent()
        if self.sink.kind == "session's terminal":
            os.setsid()
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)

    def log(self):
        return self.sink.read()


@pytest.fixture
def telling(new_stack):
    """make(kind): a stack whose agent logs to stack.sink."""
    stacks = []

    def make(kind, user=None, **changes):
        stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"], **changes})
        tenant = {"hosts": [HOST], "upstream": "http://10.0.0.1:3000", "https": "off"}
        stack.write_tenants({"a": tenant})
        stack.write_config()
        if user is not None:
            for path in [stack.directory, *stack.directory.rglob("*")]:
                os.chown(path, user, user)
        stack.sink = Sink(kind)
        stacks.append(stack)
        stack.agents.append(Telling(stack, stack.sink, user).start())
        stack.agents[0].wait_for(lambda: " ready " in stack.sink.read(), "ready", 120)
        return stack

    yield make
    for stack in stacks:
        stack.agents[0].stop()
        stack.sink.close()


def break_protocol(stack):
    """A frame without a HELLO before it, which is logged."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(stack.sockets[0]))
        peer.sendall(struct.pack(">IBI2s", 7, NOTIFY, 1, b"\0\0"))
        while peer.recv(4096):
            pass


def is_answered(stack):
    asker = Asker(stack.sockets[0])
    answer = asker.ask(HOST)
    asker.close()
    return "dst" in answer


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal", "stopped terminal"])
def test_a_log_that_nobody_reads_stops_nothing(telling, kind):
    stack = telling(kind)
    stack.sink.fill()
    for _ in range(3):
        break_protocol(stack)
    assert is_answered(stack)
    lost = Metrics(stack)("owui_spoa_log_lines_lost_total")
    assert lost >= 3
    stack.sink.read()
    break_protocol(stack)
    wait_until(lambda: "log_lost" in stack.sink.read(), "it is told that lines are missing")
    told = re.search(r"^\S+ warning log_lost lines=(\d+) .*\n(.*)", stack.sink.read(), re.MULTILINE)
    assert int(told[1]) == lost
    assert " protocol_error " in told[2], "what is told next is not missing"
    stack.sink.fill()
    assert stack.agents[0].stop() == 0


def test_a_log_that_cannot_be_opened_anew_stops_nothing_either(telling):
    """A pipe is of the user that made it: who starts the service as another one keeps it."""
    if os.geteuid() != 0:
        pytest.skip("root alone can start it as another user")
    stack = telling("pipe", user=NOBODY)
    stack.sink.fill()
    for _ in range(3):
        break_protocol(stack)
    assert is_answered(stack)
    stack.sink.read()
    break_protocol(stack)
    wait_until(lambda: "log_lost" in stack.sink.read(), "it is told that lines are missing")
    stack.sink.fill()
    assert stack.agents[0].stop() == 0


def test_a_terminal_that_cannot_be_opened_anew_stops_nothing_either(telling):
    """It is of the user that has logged in. It takes a part of a line, and has us wait with the rest."""
    if os.geteuid() != 0:
        pytest.skip("root alone can start it as another user")
    stack = telling("session's terminal", user=NOBODY, trace=1000)
    asker = Asker(stack.sockets[0])
    for number in range(200):
        asker.ask(HOST, f"/{number}/" + "x" * 600)
    asker.close()
    stack.agents[0].send_signal(signal.SIGUSR1)
    wait_until(
        lambda: Metrics(stack)("owui_spoa_log_lines_lost_total") >= 20, "the last ones are lost"
    )
    assert is_answered(stack)
    stack.sink.read()
    break_protocol(stack)
    wait_until(lambda: "log_lost" in stack.sink.read(), "it is told that lines are missing")
    assert os.get_blocking(stack.sink.theirs)
    assert stack.agents[0].stop() == 0


def test_what_others_write_to_is_left_as_it_was(telling):
    """Who shares the pipe with us has not asked for writes that fail."""
    stack = telling("pipe")
    assert os.get_blocking(stack.sink.theirs)


def test_a_log_whose_reader_has_gone_stops_nothing(telling):
    stack = telling("pipe")
    reader, stack.sink.ours = stack.sink.ours, os.open("/dev/null", os.O_RDONLY)
    os.close(reader)
    os.close(stack.sink.theirs)
    stack.sink.theirs = os.open("/dev/null", os.O_WRONLY)
    break_protocol(stack)
    assert is_answered(stack)
    assert stack.agents[0].stop() == 0


def test_recent_decisions_keep_nobody_waiting(telling):
    stack = telling("pipe", trace=1000)
    asker = Asker(stack.sockets[0])
    for number in range(300):
        asker.ask(HOST, f"/{number}")
    stack.sink.read()
    stack.sink.fill()
    stack.agents[0].send_signal(signal.SIGUSR1)
    for number in range(300):
        asker.ask(HOST, f"/{number}")
    wait_until(
        lambda: Metrics(stack)("owui_spoa_log_lines_lost_total") >= 100, "all of them are lost"
    )
    asker.close()
    assert stack.agents[0].stop() == 0


def test_commands_wait_for_who_reads_them(tmp_path):
    """A page of errors that is read late is read whole."""
    sink = Sink("pipe")
    config = tmp_path / "owui-spoa.json"
    config.write_text(json.dumps({f"wrong{number}": "x" * 60 for number in range(1000)}))
    child = subprocess.Popen(
        [BINARY, "run", "-c", config],
        stdin=subprocess.DEVNULL,
        stderr=sink.theirs,
        env={**os.environ, **SANITIZERS},
    )
    ended = threading.Event()
    waiting = threading.Thread(target=lambda: (child.wait(), ended.set()))
    waiting.start()
    assert not ended.wait(1)
    wait_until(lambda: sink.read() and ended.is_set(), "it ends when all is read", 60)
    waiting.join()
    assert all(f'"wrong{number}"' in sink.text for number in range(1000)), sink.text
    sink.close()
