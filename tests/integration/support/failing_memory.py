"""What is preloaded into a stack's agents, so that allocations of their libraries fail."""

import os
import struct

import pytest

from .clock import preload
from .stack import BINARY, HERE

NEVER = 1 << 62
MANY = 1 << 30


class FailingMemory:
    """It is made before the agents are started; nothing fails until it is told to."""

    def __init__(self, stack):
        if b"__asan_init" not in BINARY.read_bytes():
            pytest.skip("needs a build whose functions have frames, as with the address sanitizer")
        self.path = stack.directory / "failing_memory"
        self._write(0, 0)
        preload(
            stack,
            "failing_memory.so",
            FAILING_MEMORY=str(self.path),
            LSAN_OPTIONS=f"suppressions={HERE / 'failing_memory.supp'}:print_suppressions=0",
        )

    def _write(self, first, count):
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(file, struct.pack("qqq", count, 0, 0), 8)
        os.pwrite(file, struct.pack("q", first), 0)
        os.close(file)

    def fail(self, first, count=1):
        """So many allocations, from the one of that number on."""
        self._write(first, count)

    def watch(self):
        """They are counted, and none fails."""
        self._write(NEVER, 1)

    @property
    def failed(self):
        return struct.unpack("q", self.path.read_bytes()[24:32])[0]

    def done(self):
        """How many there were."""
        seen = struct.unpack("q", self.path.read_bytes()[16:24])[0]
        self._write(0, 0)
        return seen


def moments(total, tries):
    """As many, spread over 1 to `total`; each of them once where there are fewer. They do not
    all lie in one place of something that is done over and over."""
    if total <= tries:
        return list(range(1, total + 1))
    return sorted({1 + (total - 1) * i // (tries - 1) for i in range(tries)})
