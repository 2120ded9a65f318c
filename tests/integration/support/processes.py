"""Programs under test: started with a log, awaited by condition, stopped by their own process id."""

import contextlib
import ctypes
import itertools
import os
import random
import resource
import signal
import socket
import subprocess
import time

# What is asked here is on loopback, and a proxy would not lead to it: not our own requests, not those
# of the programs that are started.
for _name in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# Ports are below those that the kernel gives to connections (net.ipv4.ip_local_port_range), so that
# none is taken before it is listened on. Each process has a block of them to itself for as long as it
# runs, by a name that one socket of a network namespace can have at a time: others, of this run or of
# another, have other blocks. They are so large that a port is not given out again while somebody has
# it who does not listen just then, as an agent that is being restarted.
_PORTS_FROM, _PORTS_TO, _BLOCK = 12000, 32000, 1000
_block = []  # the socket, and endlessly the block's ports
_kept = set()


def _take_block():
    firsts = list(range(_PORTS_FROM, _PORTS_TO, _BLOCK))
    random.shuffle(firsts)  # what a run has left behind is not met by the next one
    for first in firsts:
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0owui-test-ports-{first}")
        except OSError:
            name.close()
            continue
        return name, itertools.cycle(range(first, first + _BLOCK))
    raise RuntimeError(f"all {len(firsts)} blocks of ports are somebody's")


def free_port(host="127.0.0.1"):
    """A port that nobody listens on now, not given out again before all others of the block were."""
    if not _block:
        _block.extend(_take_block())
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    why = "kept"
    for _ in range(_BLOCK):
        port = next(_block[1])
        if port in _kept:
            continue
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                why = error
                continue
            return port
    raise RuntimeError(f"no port of the block can be had at {host}; the last one: {why}")


def has_ipv6():
    """Whether this machine, or the network namespace that it is asked in, has ::1: many containers
    have not."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def kept_port():
    """One that is not given out again at all: somebody has it who listens now and then."""
    port = free_port()
    _kept.add(port)
    return port


def wait_until(condition, what, timeout_s=30.0):
    """The first true value of `condition`; an error that names `what` when none comes in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(0.01)


@contextlib.contextmanager
def no_descriptors(pid):
    """Meanwhile the process can open nothing more."""
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)


def accepts(address):
    """Whether somebody listens: (host, port) or the path of a unix socket."""
    try:
        if isinstance(address, tuple):
            socket.create_connection(address, timeout=1).close()
        else:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(str(address))
        return True
    except OSError:
        return False


def die_with_parent():
    """For what is started by a thread that lives as long as it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child process, whose output goes to a log file."""

    def __init__(self, name, command, log_dir, env=None, cwd=None):
        self.name = name
        self.command = [str(part) for part in command]
        self.log_path = log_dir / f"{name}.log"
        self.env = {**os.environ, **(env or {})}
        self.cwd = cwd
        self.pass_fds = ()
        self.user = None  # another user's id to run as
        self.patience_s = 10.0  # until it has to have ended that was asked to
        self.was_hanging = False  # and had to be ended
        self.child = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                preexec_fn=die_with_parent,
                pass_fds=self.pass_fds,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )
        return self

    @property
    def pid(self):
        return self.child.pid

    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def wait_for(self, condition, what, timeout_s=30.0):
        """Waits for `condition`, but not for a process that has ended."""

        def ready_or_dead():
            if not self.is_running():
                raise RuntimeError(
                    f"{self.name} ended with {self.child.returncode}:\n{self.log()[-4000:]}"
                )
            return condition()

        try:
            wait_until(ready_or_dead, f"{self.name}: {what}", timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log()[-4000:]}") from None
        return self

    def send_signal(self, number):
        os.kill(self.child.pid, number)

    def stop(self, number=signal.SIGTERM, timeout_s=None):
        """Asks the process to end, then ends it; returns its exit status."""
        if self.child is None:
            return None
        if self.child.poll() is None:
            self.child.send_signal(number)
            try:
                self.child.wait(timeout_s or self.patience_s)
            except subprocess.TimeoutExpired:
                self.was_hanging = True
                self.child.kill()
                self.child.wait()
        return self.child.returncode

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


SANITIZER_BANNERS = (
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "ERROR: ThreadSanitizer",
    "WARNING: ThreadSanitizer",
    "runtime error:",
    "Assertion `",  # an invariant of ours did not hold, which is as much of a defect
)


def sanitizer_report(log):
    """What a sanitizer wrote to a log, or an assertion; or None."""
    for banner in SANITIZER_BANNERS:
        at = log.find(banner)
        if at >= 0:
            return log[max(0, at - 200) : at + 4000]
    return None
