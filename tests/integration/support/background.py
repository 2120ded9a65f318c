"""Threads that go on doing something until the end of a `with` block."""

import threading


class Background:
    """Each of `runs` is called in a thread of its own, and returns when `ended` is set."""

    def __init__(self, runs):
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True) for run in runs]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(15)
