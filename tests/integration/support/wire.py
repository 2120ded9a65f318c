"""Two machines and a wire: a network namespace for each with a TUN device in it, and a thread that
passes packets from one to the other, late, in another order, or not at all."""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001


def _enter(namespace):
    """The calling thread, and what it starts."""
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _namespace():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Wire:
    """A context: within it, the thread and what it starts are on the near machine."""

    NEAR, FAR = "10.77.0.1", "10.77.0.2"

    def __init__(self, seed=1):
        self.chance = random.Random(seed)
        self.delay_s = (0.0, 0.0)  # at least, at most: packets overtake each other
        self.loss = 0.0  # of all packets
        self.is_cut = False
        self.opened = []
        self.ended = threading.Event()

    def __enter__(self):
        self.home = _namespace()
        self.opened.append(self.home)
        try:
            ends = [self._machine(self.NEAR), self._machine(self.FAR)]
        except (OSError, subprocess.CalledProcessError):
            self._close()
            raise
        (near, _), (self.far, _) = ends
        _enter(near)
        self.passing = threading.Thread(target=self._pass, args=[[tun for _, tun in ends]])
        self.passing.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.passing.join()
        self._close()

    def _close(self):
        _enter(self.home)
        for descriptor in self.opened:
            os.close(descriptor)

    def on_far(self, *command):
        """A command as it is started on the far machine."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.far}", *command]

    def _machine(self, address):
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        namespace = _namespace()
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.opened += [namespace, tun]
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", b"wire", _IFF_TUN_NO_PI))
        for line in ("link set lo up", f"addr add {address}/24 dev wire", "link set wire up"):
            subprocess.run(["ip", *line.split()], check=True)
        return namespace, tun

    def _pass(self, tuns):
        waiting = []  # when it is due, a number, where it goes, the packet
        count = 0
        while not self.ended.is_set():
            pause = min(0.05, max(0.0, waiting[0][0] - time.monotonic())) if waiting else 0.05
            for tun in select.select(tuns, [], [], pause)[0]:
                packet = os.read(tun, 65536)
                if self.is_cut or self.chance.random() < self.loss:
                    continue
                count += 1
                due = time.monotonic() + self.chance.uniform(*self.delay_s)
                heapq.heappush(waiting, (due, count, tuns[1 - tuns.index(tun)], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, to, packet = heapq.heappop(waiting)
                if not self.is_cut:
                    os.write(to, packet)
