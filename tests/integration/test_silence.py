"""A daemon that does not answer: commands end, and say what it is."""

import os
import socket
import subprocess
import threading

import pytest

from support.stack import BINARY, SANITIZERS

WAITS_S = 30  # of each command, for an answer


def ask(path):
    return subprocess.Popen(
        [BINARY, "reload", "--socket", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **SANITIZERS},
    )


def listen(path, backlog):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(backlog)
    return listener


def fill(path):
    """As many connections as wait to be taken."""
    waiting = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        waiting.append(client)
        try:
            client.connect(str(path))
        except BlockingIOError:
            return waiting


def test_nobody_waits_for_ever(tmp_path):
    """It is stopped, and its queue has room or has none any more."""
    silent, full = tmp_path / "silent.sock", tmp_path / "full.sock"
    kept = [listen(silent, 16), listen(full, 0), *fill(full)]
    running = [ask(silent), ask(full)]
    for one in running:
        told = one.communicate(timeout=WAITS_S * 10)[1]
        assert one.returncode == 2 and f"within {WAITS_S} s: the daemon hangs" in told, told
    for one in kept:
        one.close()


@pytest.mark.parametrize(
    "answer, told",
    [
        (b"", "without an answer"),
        (b"SSH-2.0-dropbear\r\n\r\n", "is not HTTP"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"generation": 1, "diagn', "cut off"),
    ],
)
def test_an_answer_that_ends_too_early(tmp_path, answer, told):
    path = tmp_path / "admin.sock"
    listener = listen(path, 1)

    def serve():
        client, _ = listener.accept()
        client.recv(65536)
        client.sendall(answer)
        client.close()

    server = threading.Thread(target=serve)
    server.start()
    running = ask(path)
    said = running.communicate(timeout=120)[1]
    server.join()
    listener.close()
    assert running.returncode == 2 and told in said, said
