"""Threads that go on doing something until the end of a `with` block."""

import threading

ENDS_WITHIN_S = 15  # longer than a request is waited for


class Background:
    """Each of `runs` is called in a thread of its own, and returns when `ended` is set. What one of
    them raises is raised at the end of the block: nobody would miss what it did no more."""

    def __init__(self, runs):
        self.ended = threading.Event()
        self.raised = []
        self.threads = [
            threading.Thread(target=self._call, args=(run,), daemon=True) for run in runs
        ]

    def _call(self, run):
        try:
            run()
        except Exception as error:  # pylint: disable=broad-except
            self.raised.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(ENDS_WITHIN_S)
        for error in self.raised:
            raise error
        assert not any(thread.is_alive() for thread in self.threads), "a thread does not end"
