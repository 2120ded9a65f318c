"""Requests and sockets that go on all the time, each of them judged."""

import base64
import http.client
import json
import os
import random
import socket
import ssl
import threading
import time

import h2.errors
import h2.exceptions

from support.clients import (
    Echo,
    Http2,
    Pipeline,
    connect,
    read_answer,
    request,
    request_bytes,
)
from support.sockets import PATH, PING, PONG, read_frame, write_frame

from model import SPOOFS

PAUSE_S = 0.02
SOCKET_LOOK_S = 0.5


def outcome_of(answer, tenant):
    """In a word; what the model excuses goes by it."""
    if answer is None:
        return "cut"
    if answer.status == tenant.status:
        return "ok"
    refused = (answer.all("X-Refused") or [""])[0]
    if refused in ("no-agent", "no-upstream"):
        return refused
    if answer.status in (502, 503, 504) and not refused:
        return "no-upstream"
    return f"{answer.status} {refused}".strip()


class Worker(threading.Thread):
    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world = world
        self.random = random.Random(f"{world.seed}/{number}")
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                self.once()
            except Exception as error:  # pylint: disable=broad-except
                # A bug of the load's own must not look like silence.
                self.world.model.violate("load", error=repr(error))
            time.sleep(PAUSE_S)

    def once(self):
        raise NotImplementedError


class Requests(Worker):
    """HTTP and HTTPS, each on a connection of its own, with whatever a client may not say."""

    def once(self):
        world = self.world
        tenant = self.random.choice(list(world.model.tenants.values()))
        allowed = set(tenant.upstreams)
        secure = tenant.name in world.certified
        asked = time.monotonic()
        answer = None
        try:
            answer = self.ask(tenant, secure)
            outcome = outcome_of(answer, tenant)
        except ssl.SSLCertVerificationError as error:
            world.model.violate("certificate", tenant=tenant.name, error=error.verify_message)
            return
        except (TimeoutError, socket.timeout):
            outcome = "silence"
        except (OSError, http.client.HTTPException):
            outcome = "cut"
        about = "https" if secure else "http"
        world.model.judge(tenant, asked, outcome, about, allowed)
        if outcome == "ok" and tenant.status == 200:
            echo = Echo(answer)
            world.model.check_arrival(tenant, allowed, echo.name, echo.headers)

    def ask(self, tenant, secure):
        if secure:
            where = {"tls_name": tenant.host, "tls": self.world.trust()}
            return request(
                self.world.stack.https_port, "/api/echo", tenant.host, headers=SPOOFS, **where
            )
        return request(self.world.stack.http_port, "/api/echo", tenant.host, headers=SPOOFS)


class KeptHttp1:
    """A connection over which requests go one after the other."""

    def __init__(self, world):
        self.sock = connect(world.stack.http_port)
        self.answers = Pipeline(self.sock)

    def close(self):
        self.sock.close()

    def ask(self, tenants):
        """An answer for each, in their order; None where the connection ended instead."""
        for tenant in tenants:
            self.sock.sendall(request_bytes("GET", "/api/echo", tenant.host, SPOOFS))
            yield read_answer(self.answers)

    def is_over(self):
        """Whether a request without an answer is one that the connection's end came before."""
        return True


class KeptHttp2:
    """One over which they go at the same time, by TLS and the certificate of one of them."""

    def __init__(self, world):
        name = world.model.tenants["secure"].host
        self.client = Http2(world.stack.https_port, name, tls=world.http2_context)

    def close(self):
        self.client.close()

    def ask(self, tenants):
        spoofs = [(name.lower(), value) for name, value in SPOOFS]
        streams = [
            self.client.send("/api/echo", headers=spoofs, authority=tenant.host)
            for tenant in tenants
        ]
        for stream in streams:
            yield self.client.read(stream)

    def is_over(self):
        return self.client.reset_code in (None, h2.errors.ErrorCodes.REFUSED_STREAM)


class Kept(Worker):
    """Requests for several tenants on a connection that is kept: what HAProxy has been told about
    one of them must be of no use to another, and of none at all once it is not so any more."""

    AT_ONCE = 4
    STAYS = 0.6  # how often the next requests are for the tenant of the last one

    def __init__(self, world, kind, tenants):
        super().__init__(world, kind.__name__)
        self.kind = kind
        self.tenants = tenants
        self.connection = None
        self.is_used = False  # it has answered
        self.last = tenants[0]
        self.lost = 0  # connections that ended between two requests, as any may
        self.is_over = False
        self.failure = ""
        self.answered = 0
        self.reused = 0  # answers for which no agent was asked

    def once(self):
        tenants = self.pick()
        asked = time.monotonic()
        allowed = [set(tenant.upstreams) for tenant in tenants]
        results = self.ask(tenants)
        about = f"kept, {self.kind.__name__}"
        for tenant, may_answer, (outcome, answer) in zip(tenants, allowed, results):
            self.world.model.judge(tenant, asked, outcome, about, may_answer)
            if outcome == "ok":
                self.count(answer)
            if outcome == "ok" and tenant.status == 200:
                echo = Echo(answer)
                self.world.model.check_arrival(tenant, may_answer, echo.name, echo.headers)

    def pick(self):
        count = self.random.randint(1, self.AT_ONCE)
        if self.random.random() < self.STAYS:
            return [self.last] * count
        tenants = self.random.choices(self.tenants, k=count)
        self.last = tenants[-1]
        return tenants

    def count(self, answer):
        self.answered += 1
        self.reused += answer.header("X-Reused") is not None

    def ask(self, tenants):
        """Outcomes and answers. A connection may end after any answer, as by a reload: whoever was
        not answered asks again then, on a new one, as browsers do. What comes behind one that
        was not answered is not known, and left out."""
        results = []
        while len(results) < len(tenants):
            results += self.ask_now(tenants[len(results) :])
            if not self.is_over:  # after an answer, so that this comes to an end
                break
            self.lost += 1
        if len(results) < len(tenants):
            results.append((self.failure, None))
        return results

    def ask_now(self, tenants):
        """What was answered; `failure` tells why not more was, `is_over` whether to ask again."""
        results = []
        self.is_over = False
        self.failure = "cut"
        try:
            if self.connection is None:
                self.is_used = False
                self.connection = self.kind(self.world)
            for tenant, answer in zip(tenants, self.connection.ask(tenants)):
                if answer is None:
                    self.is_over = self.is_used and self.connection.is_over()
                    break
                self.is_used = True
                results.append((outcome_of(answer, tenant), answer))
                if answer.header("Connection") == "close":
                    self.is_over = True
                    break
            if len(results) == len(tenants) and not self.is_over:
                return results
        except ssl.SSLCertVerificationError as error:
            self.world.model.violate("certificate", kept=True, error=error.verify_message)
        except (TimeoutError, socket.timeout):
            self.failure = "silence"
        except (OSError, http.client.HTTPException, h2.exceptions.H2Error):
            self.is_over = self.is_used
        self.drop()
        return results

    def drop(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Socket(Worker):
    """A Socket.IO connection of one tenant that is kept, and opened again when a fault took it."""

    def __init__(self, world, tenant):
        super().__init__(world, tenant.name)
        self.tenant = tenant
        self.sock = None
        self.heard = 0  # when it was last seen to be open
        self.opened = 0
        self.asked = 0

    def once(self):
        if self.sock is None:
            self.open()
        else:
            self.keep()

    def open(self):
        asked = time.monotonic()
        sock = None
        try:
            sock = connect(self.world.stack.http_port)
            outcome = self.shake_hands(sock)
        except (TimeoutError, socket.timeout):
            outcome = "silence"
        except (OSError, AssertionError):
            outcome = "cut"
        self.world.model.judge(self.tenant, asked, outcome, "opening a socket")
        if outcome == "ok":
            self.sock = sock
            self.heard = asked
            self.opened += 1
        elif sock is not None:
            sock.close()

    def shake_hands(self, sock):
        headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
            *SPOOFS,
        ]
        sock.sendall(request_bytes("GET", PATH, self.tenant.host, headers))
        head = sock.recv(16, socket.MSG_PEEK)
        if not head:
            return "cut"
        if b" 101" not in head:
            return outcome_of(read_answer(sock), self.tenant)
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            byte = sock.recv(1)
            if not byte:
                return "cut"
            data += byte
        read_frame(sock)
        write_frame(sock, "40" + json.dumps({"token": self.world.token}))
        _, told = read_frame(sock)
        return "ok" if told.startswith(b"40") else "cut"

    def keep(self):
        """The application answers, by itself, on the socket that was opened then. What has cut it
        may have come at any time since it was last heard of."""
        asked = self.heard
        try:
            write_frame(self.sock, '420["whoami"]')
            while True:
                opcode, told = read_frame(self.sock)
                if opcode == PING:
                    write_frame(self.sock, told, PONG)
                elif told == b"2":
                    write_frame(self.sock, "3")
                elif told.startswith(b"43"):
                    break
            self.heard = time.monotonic()
            outcome, said = "ok", json.loads(told[told.index(b"[") :])[0]
            allowed = self.tenant.upstreams
            self.world.model.check_arrival(self.tenant, allowed, said["name"], said["headers"])
            time.sleep(SOCKET_LOOK_S)
        except (TimeoutError, socket.timeout):
            outcome = "silence"
        except (OSError, AssertionError):
            outcome = "cut"
        self.world.model.judge(self.tenant, asked, outcome, "an open socket")
        if outcome != "ok":
            self.sock.close()
            self.sock = None
