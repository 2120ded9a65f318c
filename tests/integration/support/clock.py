"""What is preloaded into a stack's agents, so that time passes at once, disks are slow and loops stand
still."""

import socket
import struct

import pytest

from .stack import BINARY, SANITIZERS

TESTS = BINARY.resolve().parents[2] / "tests"


def preload(stack, library, **environment):
    path = TESTS / library
    if not path.exists():
        pytest.skip(f"needs {path}, which is built with the tests")
    before = stack.agent_env.get("LD_PRELOAD")
    stack.agent_env.update(
        environment,
        ASAN_OPTIONS=SANITIZERS["ASAN_OPTIONS"] + ":verify_asan_link_order=0",
        LD_PRELOAD=str(path) if before is None else f"{before} {path}",
    )


class Clock:
    """The clocks of a stack's agents; it is made before they are started."""

    def __init__(self, stack):
        self.path = stack.directory / "clock"
        self.path.write_bytes(struct.pack("qq", 0, 0))
        preload(stack, "clock_shift.so", CLOCK_SHIFT=str(self.path))

    def go_on(self, seconds, wall_s=0):
        """The monotonic clock's seconds since the start, and those of the wall's."""
        with open(self.path, "r+b") as file:
            file.write(struct.pack("qq", wall_s, seconds))


class SlowDisk:
    """Files with `name` in their paths are not on the disk until it is done."""

    def __init__(self, stack, name):
        self.path = stack.directory / "slow"
        self.path.touch()
        preload(stack, "slow_sync.so", SLOW_SYNC=str(self.path), SLOW_SYNC_NAME=name)

    def done(self):
        self.path.unlink(missing_ok=True)


class StuckLoops:
    """Loops, or other threads, that receive something stand still until they are freed."""

    def __init__(self, stack, thread="loop-"):
        self.stack = stack
        self.path = stack.directory / "stuck"
        self.sent = []
        preload(stack, "stuck_loop.so", STUCK_LOOP=str(self.path), STUCK_THREAD=thread)

    def stop(self, loops):
        """All of so many: each gets one of the next connections."""
        self.path.touch()
        for _ in range(loops):
            self._send(self.stack.sockets[0])

    def stop_main(self):
        """The main thread, where that is the one that is meant: it receives what the admin socket gets."""
        self.path.touch()
        self._send(self.stack.config["admin_socket"])

    def _send(self, path):
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(path))
        one.sendall(b"\0")
        self.sent.append(one)

    def free(self):
        self.path.unlink(missing_ok=True)
        for one in self.sent:
            one.close()
        self.sent.clear()
