"""When the machine had no time for us: a sleep that took much longer is nobody's fault here."""

import threading
import time


class Stalls(threading.Thread):
    """Looks until the end of the `with` block, or, started by itself, until that of the process."""

    LOOK_S = 0.05
    COUNTS_S = 0.2

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = []  # from when to when, and how much of it was too long
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(10)

    def run(self):
        while not self.ended.is_set():
            began = time.monotonic()
            time.sleep(self.LOOK_S)
            end = time.monotonic()
            late = end - began - self.LOOK_S
            if late > self.COUNTS_S:
                self.seen.append((began, end, late))

    def between(self, when, until):
        """Seconds of all that lie in this time, if only in part."""
        return sum(late for began, end, late in self.seen if end >= when and began <= until)

    def since(self, when):
        return self.between(when, time.monotonic())
