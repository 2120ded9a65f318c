"""Between HAProxy and its peers: whoever stands there can do what a peer does on a bad day."""

import fcntl
import os
import socket
import struct
import termios
import threading

from .spop import ACK, AGENT_HELLO, HELLO, NOTIFY, Reader, text, varint

SET_VARIABLE = b"\x01\x03\x02"  # the action, three arguments, the scope of a transaction


def frame_bytes(body):
    return struct.pack(">I", len(body)) + body


def frame_head(body):
    """Type, stream-id, frame-id and where the payload begins."""
    reader = Reader(body)
    kind = reader.take(1)[0]
    reader.take(4)
    return kind, reader.varint(), reader.varint(), reader.at


def answer_to(body, kind, payload=b"", flags=1):
    """A frame with the ids of another."""
    _, stream, frame, _ = frame_head(body)
    return bytes([kind]) + struct.pack(">I", flags) + varint(stream) + varint(frame) + payload


def padded(body, size):
    """An ACK that has `size` bytes, by a variable that no configuration mentions."""
    action = SET_VARIABLE + text("unheard-of") + b"\x08"
    room = size - len(body) - len(action)
    fill = room - len(varint(room))
    assert fill >= 0, f"an ACK of {len(body)} bytes has no room for more in {size}"
    body += action + varint(fill) + b"x" * fill
    assert len(body) == size
    return body


class Link:
    """One connection of HAProxy and its counterpart with the agent."""

    def __init__(self, relay, near, far):
        self.relay = relay
        self.near = near
        self.far = far
        self.asked = 0  # questions that came
        self.is_check = False  # of health, which ends with its HELLO

    def to_haproxy(self, *bodies):
        """All of them in one piece, as an agent does that was woken late."""
        self._send(self.near, bodies)

    def to_agent(self, *bodies):
        self._send(self.far, bodies)

    def is_read(self):
        """Whether HAProxy has taken all that it was sent."""
        try:
            unread = fcntl.ioctl(self.near, termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):
            return True  # it has gone
        return struct.unpack("i", unread)[0] == 0

    @staticmethod
    def _send(sock, bodies):
        try:
            sock.sendall(b"".join(map(frame_bytes, bodies)))
        except OSError:
            pass  # that side has gone

    def close(self):
        for sock in (self.near, self.far):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def pump(self, source, take):
        stream = source.makefile("rb")
        try:
            while len(head := stream.read(4)) == 4:
                body = stream.read(struct.unpack(">I", head)[0])
                take(self, body)
        except (OSError, ValueError):
            pass
        self.close()


class Server:
    """Accepts on a unix socket until it is stopped; each connection has a thread."""

    def __init__(self, path):
        self.path = path
        self.ended = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chmod(path, 0o777)
        self.listener.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        raise NotImplementedError

    def stop(self):
        self.ended = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


class Relay(Server):
    """Passes SPOP frames on; tests change what is passed by overriding hello(), question() and
    answer(). What health checks say is passed as it is, but for hello()."""

    def __init__(self, path, agent_path):
        self.agent_path = agent_path
        self.links = []
        super().__init__(path)

    def serve(self, near):
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(str(self.agent_path))
        except OSError:
            near.close()
            return
        link = Link(self, near, far)
        self.links.append(link)
        back = threading.Thread(target=link.pump, args=(far, self._from_agent), daemon=True)
        back.start()
        link.pump(near, self._from_haproxy)
        back.join()
        near.close()
        far.close()

    def _from_haproxy(self, link, body):
        if body[0] == NOTIFY:
            link.asked += 1
            self.question(link, body)
        elif body[0] == HELLO:
            link.is_check = text("healthcheck") in body
            self.ask_hello(link, body)
        else:
            link.to_agent(body)

    def _from_agent(self, link, body):
        if body[0] == AGENT_HELLO:
            self.hello(link, body)
        elif body[0] == ACK:
            self.answer(link, body)
        else:
            link.to_haproxy(body)

    def ask_hello(self, link, body):
        link.to_agent(body)

    def hello(self, link, body):
        link.to_haproxy(body)

    def question(self, link, body):
        link.to_agent(body)

    def answer(self, link, body):
        link.to_haproxy(body)


class RuntimeRelay(Server):
    """Passes commands on to a Runtime API; before(command) is called with each one's first line, and
    HAProxy is connected to when it has returned."""

    def __init__(self, path, haproxy_path, before):
        self.haproxy_path = haproxy_path
        self.before = before
        super().__init__(path)

    def serve(self, near):
        with near, socket.socket(socket.AF_UNIX) as far:
            asked = near.recv(65536)
            self.before(asked.split(b"\n")[0].decode())
            far.connect(str(self.haproxy_path))
            far.sendall(asked)
            forth = threading.Thread(target=self._copy, args=(near, far), daemon=True)
            forth.start()
            self._copy(far, near)
            forth.join(1)

    @staticmethod
    def _copy(source, target):
        try:
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
