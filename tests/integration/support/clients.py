"""Clients that send exactly what a test says: bytes over a socket, HTTP/2 frames, Socket.IO."""

import http.client
import io
import json
import socket
import ssl

import aiohttp
import aiohttp.abc
import h2.config
import h2.connection
import h2.events
import h2.settings
import socketio

TIMEOUT_S = 10.0
# Open WebUI's WebSocket, and what asks for one.
SOCKET = "/ws/socket.io/?EIO=4&transport=websocket"
HANDSHAKE = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


class Answer:
    """Status, headers in their order, and body of a response."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        """The value of a header that may come once only; None without it."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Echo:
    """What reached the application, as /api/echo tells it."""

    def __init__(self, answer):
        assert answer is not None and answer.status == 200, answer
        self.answer = answer
        told = answer.json()
        self.name = told["name"]
        self.method = told["method"]
        self.path = told["path"]
        self.query = told["query"]
        self.scheme = told["scheme"]
        self.client = told["client"]
        self.body_bytes = told["body_bytes"]
        self.headers = [tuple(header) for header in told["headers"]]

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} reached the upstream {len(values)} times: {values}"
        return values[0] if values else None

    def names(self):
        return [key.lower() for key, _ in self.headers]


def tls_context(ca_path=None, alpn=("http/1.1",)):
    context = ssl.create_default_context(cafile=str(ca_path) if ca_path else None)
    if ca_path is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context


def connect(port, tls_name=None, tls=None, source=None, host="127.0.0.1", first=b""):
    """A socket to HAProxy; `source` picks the client's address, `first` goes before TLS."""
    address = (source, 0) if source else None
    sock = socket.create_connection((host, port), timeout=TIMEOUT_S, source_address=address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if first:
        sock.sendall(first)
    if tls_name:
        sock = (tls or tls_context()).wrap_socket(sock, server_hostname=tls_name)
    return sock


def read_answer(sock, method="GET"):
    """The next response on a socket; None if the peer closed without one, or in its midst."""
    response = http.client.HTTPResponse(sock, method=method)
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ConnectionError):
        return None
    return Answer(response.status, response.getheaders(), body)


class Pipeline:
    """Reads the responses of one connection one after the other, and loses nothing in between."""

    def __init__(self, sock):
        self.file = sock.makefile("rb")

    def makefile(self, _mode):
        return self

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self):
        """A response closes what it was read from; here, more may follow."""


def exchange(port, data, method="GET", **where):
    """Sends bytes on a connection of their own and reads one response."""
    with connect(port, **where) as sock:
        sock.sendall(data)
        return read_answer(sock, method)


def request_bytes(method, target, host, headers=(), body=b"", version="1.1"):
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def request(port, target, host, method="GET", headers=(), body=b"", **where):
    return exchange(port, request_bytes(method, target, host, headers, body), method, **where)


def echo(port, host, target="/api/echo", headers=(), **options):
    return Echo(request(port, target, host, headers=headers, **options))


class Http2:
    """A client of one HTTP/2 connection over TLS."""

    def __init__(self, port, tls_name, source=None, tls=None):
        self.sock = connect(port, tls_name, tls or tls_context(alpn=("h2",)), source)
        assert self.sock.selected_alpn_protocol() == "h2"
        self.tls_name = tls_name
        # Malformed requests are sent as the test wants them.
        config = h2.config.H2Configuration(
            header_encoding="utf-8",
            normalize_outbound_headers=False,
            validate_outbound_headers=False,
        )
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.settings = None
        self.reset_code = None  # of the last stream that was reset
        self.waiting = []  # events that belong to a stream nobody reads now
        self._send()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _send(self):
        self.sock.sendall(self.connection.data_to_send())

    def _receive(self):
        """Takes in what has come; False at the end of the connection."""
        data = self.sock.recv(65536)
        if not data:
            return False
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.RemoteSettingsChanged):
                self.settings = event.changed_settings
            if isinstance(event, h2.events.DataReceived):
                length = event.flow_controlled_length
                self.connection.acknowledge_received_data(length, event.stream_id)
            self.waiting.append(event)
        self._send()
        return True

    def _events(self, stream):
        while True:
            mine = [event for event in self.waiting if getattr(event, "stream_id", 0) == stream]
            for event in mine:
                self.waiting.remove(event)
                yield event
            if not mine and not self._receive():
                return

    def send(self, path, method="GET", headers=(), body=b"", authority=None, end=True):
        stream = self.connection.get_next_available_stream_id()
        pseudo = [
            (":method", method),
            (":scheme", "https"),
            (":authority", authority or self.tls_name),
            (":path", path),
        ]
        extra = [pair for pair in headers if pair[0].startswith(":")]
        rest = [pair for pair in headers if not pair[0].startswith(":")]
        self.connection.send_headers(stream, pseudo + extra + rest, end_stream=end and not body)
        self._send()
        self.send_body(stream, body)
        return stream

    def send_body(self, stream, body):
        while body:
            room = self.connection.local_flow_control_window(stream)
            if room <= 0:
                assert self._receive()
                continue
            size = min(room, self.connection.max_outbound_frame_size, len(body))
            chunk, body = body[:size], body[size:]
            self.connection.send_data(stream, chunk, end_stream=not body)
            self._send()

    def read(self, stream):
        """The whole response of a stream; None if it was reset."""
        status, headers, body = 0, [], io.BytesIO()
        for event in self._events(stream):
            if isinstance(event, h2.events.ResponseReceived):
                headers = [pair for pair in event.headers if not pair[0].startswith(":")]
                status = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                body.write(event.data)
            elif isinstance(event, h2.events.StreamReset):
                self.reset_code = event.error_code
                return None
            elif isinstance(event, h2.events.StreamEnded):
                return Answer(status, headers, body.getvalue())
        return None

    def request(self, path, **options):
        return self.read(self.send(path, **options))

    def open_websocket(self, path, headers=()):
        """Extended CONNECT (RFC 8441); the stream and the status that answered it."""
        while self.settings is None:
            assert self._receive()
        enabled = self.settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL]
        assert enabled.new_value == 1
        protocol = [(":protocol", "websocket"), ("sec-websocket-version", "13")]
        stream = self.send(path, "CONNECT", headers=protocol + list(headers), end=False)
        for event in self._events(stream):
            if isinstance(event, h2.events.ResponseReceived):
                return stream, int(dict(event.headers)[":status"])
            if isinstance(event, h2.events.StreamReset):
                break
        return stream, 0

    def send_data(self, stream, data, end=False):
        self.connection.send_data(stream, data, end_stream=end)
        self._send()

    def send_trailers(self, stream, headers):
        self.connection.send_headers(stream, headers, end_stream=True)
        self._send()

    def read_data(self, stream):
        for event in self._events(stream):
            if isinstance(event, h2.events.DataReceived):
                return event.data
        return b""


class LoopbackResolver(aiohttp.abc.AbstractResolver):
    """Every name is this machine, so that Host and SNI are what a browser would send."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self):
        pass


class Browser:
    """One Open WebUI tab: signs in, keeps a Socket.IO connection, gets its tokens there."""

    def __init__(self, url, tls=None):
        self.url = url
        self.tls = tls or False  # what verifies the server; nothing unless told
        self.events = []
        self.disconnects = 0

    async def __aenter__(self):
        connector = aiohttp.TCPConnector(resolver=LoopbackResolver(), ssl=self.tls)
        self.http = aiohttp.ClientSession(connector=connector)
        self.socket = socketio.AsyncClient(http_session=self.http, reconnection=False)
        self.socket.on("events", self.events.append)
        self.socket.on("disconnect", self._count_disconnect)
        return self

    async def __aexit__(self, *_):
        if self.socket.connected:
            last_words = self.socket.eio.write_loop_task
            await self.socket.disconnect()
            await last_words  # by a session of their own, where it polls
            await self.socket.eio.http.close()
        await self.http.close()

    def _count_disconnect(self):
        self.disconnects += 1

    async def sign_in(self, email="user@example.com", headers=None):
        async with self.http.post(
            f"{self.url}/api/v1/auths/signin", json={"email": email}, headers=headers
        ) as response:
            assert response.status == 200, await response.text()
            self.token = (await response.json())["token"]

    async def open_socket(self, headers=None, transport="websocket"):
        await self.socket.connect(
            self.url,
            headers=headers or {},
            auth={"token": self.token},
            transports=[transport],
            socketio_path="ws/socket.io",
            wait_timeout=TIMEOUT_S,
        )

    async def chat(self):
        """Asks as the web interface does; the tokens come as events."""
        body = {"session_id": self.socket.get_sid(), "chat_id": "c1", "id": "m1", "messages": []}
        async with self.http.post(f"{self.url}/api/chat/completions", json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()
