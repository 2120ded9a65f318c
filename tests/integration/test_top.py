"""`owui-spoa top`: live on a terminal, once for scripts, and the terminal as it was afterwards."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import socketserver
import struct
import termios
import threading
import time

import pytest

from support.clients import connect, request
from support.processes import wait_until
from support.stack import BINARY, run_agent_command
from support.told import described, hold

ENTER, LEAVE, HOME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"
LONG = "a-tenant-whose-name-is-as-long-as-names-of-tenants-may-be-63-x"


@pytest.fixture
def busy(new_stack, upstreams):
    """A stack that somebody asks all the time."""
    stack = new_stack()

    def tenant(host, **more):
        return {"hosts": [host], "upstream": upstreams["alpha"].url, "https": "off", **more}

    stack.write_tenants({"chat": tenant("chat.test"), LONG: tenant("long.test")})
    stack.start()
    over = threading.Event()

    def ask():
        while not over.is_set():
            request(stack.http_port, "/api/version", "chat.test")
            request(stack.http_port, "/.env", "chat.test")
            request(stack.http_port, "/api/version", "long.test")

    asker = threading.Thread(target=ask)
    asker.start()
    yield stack
    over.set()
    asker.join()


class Screen:
    """`owui-spoa top` on a terminal of its own."""

    def __init__(self, stack, columns=80, lines=24, environment=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", **(environment or {})})
            os.environ.pop("NO_COLOR", None) if not environment else None
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            time.sleep(0.05)  # the size is set first
            os.execv(BINARY, [str(BINARY), "top", "-c", str(stack.config_path)])
        self.text = ""
        self.resize(columns, lines)
        self.usual = termios.tcgetattr(self.fd)

    def resize(self, columns, lines):
        self.columns = columns
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                chunk = os.read(self.fd, 65536)
            except OSError:
                return  # it has ended
            self.text += chunk.decode()

    def pictures(self):
        """All whole ones, in plain text."""
        self.read()
        whole = [part for part in self.text.split(HOME)[1:] if "\x1b[J" in part]
        plain = (re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", part) for part in whole)
        return [picture.replace("\r", "").split("\n") for picture in plain]

    def wait_for(self, condition, what):
        """The first picture, of those still to come, for which it holds."""
        seen = len(self.pictures())

        def look():
            return next((one for one in self.pictures()[seen:] if condition(one)), None)

        return wait_until(look, what, 30)

    def press(self, keys):
        os.write(self.fd, keys)

    def send(self, number):
        os.kill(self.pid, number)

    def wait_for_end(self):
        """Its status; what it has written till then is read."""

        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (status,) if pid else None

        (status,) = wait_until(ended, "its end", 30)
        self.read()
        return status

    def is_as_it_was(self):
        return termios.tcgetattr(self.fd) == self.usual


def row_of(picture, name):
    return next((line for line in picture if line.startswith(name)), None)


def rate(text):
    return float(text.rstrip("k"))


@pytest.mark.parametrize("columns", [80, 120, 50])
def test_it_is_live(busy, columns):
    screen = Screen(busy, columns)
    first = screen.wait_for(lambda picture: row_of(picture, "chat "), "a picture")
    assert screen.text.startswith(ENTER)
    later = screen.wait_for(
        lambda picture: (row := row_of(picture, "chat ")) and rate(row.split()[2]) > 0, "refusals"
    )
    # name, requests a second, refused a second, p99 (of which both words), sockets, all requests
    words = row_of(later, "chat ").split()
    assert rate(words[1]) >= rate(words[2]) > 0
    assert words[-2] == "-" and int(words[-1]) >= int(row_of(first, "chat ").split()[-1])
    assert any(line.startswith("requests ") and " open " in line for line in later)
    if columns >= 80:
        assert max(len(line.rstrip()) for line in later) < columns
    assert "\x1b[31m" in screen.text  # what is refused is red
    screen.press(b"q")
    assert screen.wait_for_end() == 0
    assert screen.text.endswith(LEAVE) and "\x1b[?25h" in screen.text


def test_keys_sort(busy):
    screen = Screen(busy)
    screen.wait_for(lambda picture: row_of(picture, "chat "), "a picture")
    for title in ("REFUSED/S*", "P99*", "SOCKETS*", "TENANT*", "REQ/S*"):
        screen.press(b"s")
        picture = screen.wait_for(lambda picture, title=title: title in picture[3], title)
        if title == "TENANT*":
            names = [line.split()[0] for line in picture[4:] if line.strip()]
            assert names == sorted(names) and len(names) == 2
    screen.press(b"q")
    assert screen.wait_for_end() == 0


def test_it_follows_the_size_of_the_terminal(busy):
    screen = Screen(busy, 120, 24)
    screen.wait_for(lambda picture: row_of(picture, LONG), "the whole name")
    screen.resize(80, 24)
    screen.send(signal.SIGWINCH)
    picture = screen.wait_for(
        lambda picture: row_of(picture, LONG[:20]) and not row_of(picture, LONG), "narrower"
    )
    assert max(len(line.rstrip()) for line in picture) < 80
    screen.resize(80, 6)
    screen.send(signal.SIGWINCH)
    screen.wait_for(lambda picture: len(picture) <= 6, "lower")
    screen.press(b"q")
    assert screen.wait_for_end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGABRT])
def test_the_terminal_is_given_back(busy, number):
    screen = Screen(busy)
    screen.wait_for(lambda picture: row_of(picture, "chat "), "a picture")
    assert not screen.is_as_it_was()  # keys come as they are pressed
    keep = os.dup(screen.fd)
    screen.send(number)
    status = screen.wait_for_end()
    assert (status == 0) == (number != signal.SIGABRT)
    assert LEAVE in screen.text and ENTER not in screen.text[screen.text.rindex(LEAVE) :]
    os.close(keep)


def test_a_daemon_that_goes_away_is_told_and_found_again(busy):
    screen = Screen(busy)
    screen.wait_for(lambda picture: row_of(picture, "chat "), "a picture")
    busy.agents[0].stop()
    screen.wait_for(lambda picture: "cannot connect to" in picture[2], "told")
    busy.start_agent()
    screen.wait_for(
        lambda picture: not picture[2].strip() and row_of(picture, "chat "), "found again"
    )
    screen.press(b"q")
    assert screen.wait_for_end() == 0


@contextlib.contextmanager
def second_haproxy(stack):
    """The same HAProxy over another socket, which answers as long as `answers` is set."""

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        answers = threading.Event()
        asked = {True: 0, False: 0}

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            question = self.request.recv(65536)
            is_answered = self.server.answers.is_set()
            if is_answered:
                with socket.socket(socket.AF_UNIX) as haproxy:
                    haproxy.connect(str(stack.runtime_socket))
                    haproxy.sendall(question)
                    self.request.sendall(b"".join(iter(lambda: haproxy.recv(65536), b"")))
            self.server.asked[is_answered] += b"show stat" in question

    path = stack.directory / "second.sock"
    with Server(str(path), Handler) as server:
        server.answers.set()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.config["haproxy"]["runtime"] = [str(stack.runtime_socket), str(path)]
        stack.write_config()
        yield server
        server.shutdown()


def test_errors_of_a_haproxy_that_was_silent_are_not_new_ones(busy):
    """All that it has counted since its start is no rate of the second in which it answers again."""

    def await_asked(server, is_answered):
        before = server.asked[is_answered]
        wait_until(lambda: server.asked[is_answered] >= before + 3, "asked thrice", 30)

    busy.write_tenants(
        {"gone": {"hosts": ["gone.test"], "upstream": "http://127.0.0.1:1", "https": "off"}},
        "gone.json",
    )
    wait_until(lambda: request(busy.http_port, "/", "gone.test").status == 503, "in force", 30)
    for _ in range(50):
        assert request(busy.http_port, "/", "gone.test").status == 503
    with second_haproxy(busy) as server:
        screen = Screen(busy)
        screen.wait_for(lambda picture: "5xx 0.0/s" in picture[1], "a rate")
        server.answers.clear()
        await_asked(server, False)
        # The other one's is known.
        screen.wait_for(lambda picture: "5xx 0.0/s" in picture[1], "a rate of one")
        server.answers.set()
        await_asked(server, True)
        screen.wait_for(lambda picture: "5xx 0.0/s" in picture[1], "a rate of both")
        screen.press(b"q")
        assert screen.wait_for_end() == 0
    told = {picture[1].split("5xx ")[1].strip() for picture in screen.pictures()}
    assert told <= {"-/s", "0.0/s"}


def test_no_colours_where_none_are_wanted(busy):
    screen = Screen(busy, environment={"NO_COLOR": "1"})
    screen.wait_for(
        lambda picture: (row := row_of(picture, "chat ")) and rate(row.split()[2]) > 0, "refusals"
    )
    screen.press(b"q")
    assert screen.wait_for_end() == 0
    assert not re.search(r"\x1b\[[0-9;]*m", screen.text)


def test_once(busy):
    done = run_agent_command("top", "-c", busy.config_path, "--once")
    assert done.returncode == 0 and "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert row_of(lines, "chat ") and row_of(lines, LONG[:20])
    # Without a terminal it is the same.
    done = run_agent_command("top", "-c", busy.config_path, "--rows", "1")
    assert done.stdout.splitlines()[-1] == "and 1 more"


def test_json(busy):
    def look():
        done = run_agent_command("top", "-c", busy.config_path, "--json", "--interval", "2")
        told = json.loads(done.stdout)
        found = [one for one in told["tenants"] if one["name"] == "chat"]
        return (told, found[0]) if found and found[0]["refused_per_1000_s"] > 0 else None

    told, chat = wait_until(look, "refusals", 60)
    assert chat["requests"] > 0 and chat["requests_per_1000_s"] >= chat["refused_per_1000_s"]
    assert told["requests_per_1000_s"] >= chat["requests_per_1000_s"]
    assert told["open"] >= 0 and told["errors_per_1000_s"] == 0 and told["tenants_active"] == 2
    assert hold("top", told) == set(described("top")) - {"tenants[].sockets"}


def test_sockets_of_tenants_that_count_them(new_stack, upstreams):
    stack = new_stack()
    limited = {"hosts": ["chat.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    routes = [{"match": {"path": "/ws/"}, "limits": {"websockets": 5}}]
    stack.write_tenants({"chat": {**limited, "limits": {"websockets": 5}, "routes": routes}})
    stack.start()
    with socket_of(stack.http_port, "chat.test"), socket_of(stack.http_port, "chat.test"):

        def told():
            done = run_agent_command("top", "-c", stack.config_path, "--json")
            told = json.loads(done.stdout)
            hold("top", told)
            return told["tenants"][0].get("sockets") == 2

        wait_until(told, "two sockets", 30)


def socket_of(port, host):
    """A WebSocket that stays open."""
    sock = connect(port)
    sock.sendall(
        f"GET /ws/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert b" 101 " in sock.recv(4096)
    return sock


def test_nobody_there_is_told(tmp_path):
    done = run_agent_command("top", "--once", "--socket", tmp_path / "admin.sock")
    assert done.returncode == 2 and "is owui-spoa running" in done.stderr
    assert run_agent_command("top", "--interval", "0").returncode == 2
    assert run_agent_command("top", "--rows", "x").returncode == 2
