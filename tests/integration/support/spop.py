"""HAProxy's side of SPOP, for tests that ask the agent without HAProxy between."""

import ipaddress
import socket
import struct

HELLO, DISCONNECT, NOTIFY, AGENT_HELLO, AGENT_DISCONNECT, ACK = 1, 2, 3, 101, 102, 103
SET_VAR, TRANSACTION = 1, 2
NULL, BOOLEAN, INT64, IPV4, IPV6, STRING, BINARY = 0, 1, 4, 6, 7, 8, 9


def varint(value):
    if value < 240:
        return bytes([value])
    coded = bytearray([value & 0xFF | 0xF0])
    value = (value - 240) >> 4
    while value >= 128:
        coded.append(value & 0xFF | 0x80)
        value = (value - 128) >> 7
    coded.append(value)
    return bytes(coded)


def text(value):
    raw = value.encode()
    return varint(len(raw)) + raw


def argument(name, value):
    """An argument of a message as it is on the wire: a string, a number, or nothing."""
    if value is None:
        return text(name) + bytes([NULL])
    if isinstance(value, int):
        return text(name) + bytes([INT64]) + varint(value)
    return text(name) + bytes([STRING]) + text(value)


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, size):
        part = self.data[self.at : self.at + size]
        assert len(part) == size, "the frame ends too soon"
        self.at += size
        return part

    def varint(self):
        value = self.take(1)[0]
        if value < 240:
            return value
        shift = 4
        while True:
            byte = self.take(1)[0]
            value += byte << shift
            shift += 7
            if byte < 128:
                return value

    def text(self):
        return self.take(self.varint()).decode()

    def value(self):
        head = self.take(1)[0]
        kind = head & 0x0F
        if kind == BOOLEAN:
            return bool(head & 0x10)
        if kind in (IPV4, IPV6):
            return str(ipaddress.ip_address(self.take(4 if kind == IPV4 else 16)))
        if kind == STRING:
            return self.text()
        if kind == BINARY:
            return self.take(self.varint())
        return self.varint()


class Asker:
    """One connection. ask() gives the answer's variables of the transaction."""

    def __init__(self, path, frame_bytes=16380):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.stream = 0
        self.frame_bytes = frame_bytes
        keys = text("supported-versions") + bytes([STRING]) + text("2.0")
        keys += text("max-frame-size") + bytes([3]) + varint(frame_bytes)
        keys += text("capabilities") + bytes([STRING]) + text("pipelining")
        self._send(HELLO, 0, 0, keys)
        assert self._receive()[0] == AGENT_HELLO

    def close(self):
        self.socket.close()

    def ask(self, host, path="/", peer="192.0.2.1", tls=False, more=()):
        """`more`: further arguments, of argument()."""
        self.send(host, path, peer, tls, more)
        stream, variables = self.receive()
        assert stream == self.stream
        return variables

    def send(self, host, path="/", peer="192.0.2.1", tls=False, more=()):
        """Asks, and does not wait for the answer."""
        self.stream += 2
        address = ipaddress.ip_address(peer)
        arguments = text("src") + bytes([IPV4 if address.version == 4 else IPV6]) + address.packed
        arguments += text("tls") + bytes([0x11 if tls else 0x01])
        arguments += text("host") + bytes([STRING]) + text(host)
        arguments += text("path") + bytes([STRING]) + text(path)
        arguments += b"".join(more)
        self._send(NOTIFY, self.stream, 1, text("route") + bytes([4 + len(more)]) + arguments)

    def receive(self):
        """The next answer: its question's stream, and the variables."""
        kind, stream, frame, actions = self._receive()
        assert (kind, frame) == (ACK, 1)
        variables = {}
        while actions.at < len(actions.data):
            action, _, scope = actions.take(3)
            name = actions.text()
            value = actions.value() if action == SET_VAR else None
            if scope == TRANSACTION:
                variables[name] = value
        return stream, variables

    def _send(self, kind, stream, frame, payload):
        body = bytes([kind]) + struct.pack(">I", 1) + varint(stream) + varint(frame) + payload
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def _receive(self):
        (size,) = struct.unpack(">I", self._exactly(4))
        assert size <= self.frame_bytes
        reader = Reader(self._exactly(size))
        kind = reader.take(1)[0]
        assert struct.unpack(">I", reader.take(4))[0] == 1
        return kind, reader.varint(), reader.varint(), reader

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the agent closed the connection")
            data += part
        return data
