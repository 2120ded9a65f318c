"""Steady requests, as a background against which something happens."""

import threading
import time

from .background import Background
from .clients import request
from .processes import wait_until


class SteadyLoad(Background):
    """A few threads that ask for /health of a host until the end of the `with` block.

    Each answer goes to took(asked, status), in the thread that asked; status is 0 for an answer
    that could not be read, -1 for none in ten seconds and for a connection refused.
    """

    def __init__(self, port, host, threads=4, pause_s=0.0):
        self.port = port
        self.host = host
        self.pause_s = pause_s
        super().__init__([self._run] * threads)

    def took(self, asked, status):
        raise NotImplementedError

    def ask(self):
        return request(self.port, "/health", self.host)

    def _run(self):
        while not self.ended.is_set():
            asked = time.monotonic()
            try:
                answer = self.ask()
                status = answer.status if answer else 0
            except OSError:
                status = -1
            self.took(asked, status)
            if self.pause_s:
                time.sleep(self.pause_s)


class Load(SteadyLoad):
    """Steady requests from a few threads, and what became of them."""

    def __init__(self, port, host, threads=4):
        super().__init__(port, host, threads)
        self.statuses = {}
        self.lock = threading.Lock()

    def took(self, asked, status):
        with self.lock:
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def count(self):
        with self.lock:
            return sum(self.statuses.values())

    def wait_for_more(self, requests):
        target = self.count() + requests
        try:
            wait_until(lambda: self.count() >= target, f"{requests} more requests", 120)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; until then {self.statuses}") from None
