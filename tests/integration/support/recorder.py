"""Upstreams that keep what HAProxy sent them, byte by byte."""

import contextlib
import socket
import threading


def read_head(stream):
    """Of the next message of a socket's makefile("rb"); empty when there is none."""
    head = line = stream.readline()
    while line and line != b"\r\n":
        line = stream.readline()
        head += line
    return head if line else b""


class Recorder:
    """Serves each connection in a thread of its own; an error of the socket's ends it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def serve(self, sock):
        raise NotImplementedError

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.listener.getsockname()[1]

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):  # it was closed
            while True:
                sock = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock):
        with sock, contextlib.suppress(OSError):
            self.serve(sock)
