"""A Socket.IO client of bare bytes: what its handshake carried is what a test sent."""

import base64
import json
import os
import struct

from .clients import connect, request, request_bytes

PATH = "/ws/socket.io/?EIO=4&transport=websocket"


def _read_exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        assert part, "the connection ended"
        data += part
    return data


def read_frame(sock):
    first, second = _read_exactly(sock, 2)
    size = second & 0x7F
    if size == 126:
        size = struct.unpack(">H", _read_exactly(sock, 2))[0]
    return first & 0x0F, _read_exactly(sock, size)


TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def write_frame(sock, text, opcode=TEXT):
    data, mask = text if isinstance(text, bytes) else text.encode(), os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
    sock.sendall(bytes([0x80 | opcode]) + size + mask + masked)


def handshake_headers(port, host, token, headers=(), source=None):
    """Opens a socket with these headers; those that reached the application, or the status that
    refused it."""
    connection = [("Connection", "Upgrade")]
    if any(name.lower() == "connection" for name, _ in headers):
        headers = [(n, f"Upgrade, {v}" if n.lower() == "connection" else v) for n, v in headers]
        connection = []
    sent = connection + [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
        *headers,
    ]
    with connect(port, source=source) as sock:
        sock.sendall(request_bytes("GET", PATH, host, sent))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _read_exactly(sock, 1)
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            return status
        read_frame(sock)  # Engine.IO opens
        write_frame(sock, "40" + json.dumps({"token": token}))
        _, told = read_frame(sock)
        assert told.startswith(b"40"), told
        session = json.loads(told[2:])["sid"]
        answer = request(port, f"/api/sockets/{session}", host)
        return [tuple(header) for header in answer.json()["headers"]]
