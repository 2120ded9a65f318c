"""Names and addresses that a test makes up: a name server that says what it is told to say, and
upstreams that differ in their address alone."""

import contextlib
import http.server
import ipaddress
import socket
import socketserver
import struct
import threading

from .processes import free_port

A, CNAME, AAAA = 1, 5, 28
NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3


class NameServer:
    """Answers for the names in `records`: {"chat.internal": ["127.0.1.1"]}; denies all others."""

    def __init__(self, ttl_s=1, address=("127.0.0.1", 0)):
        self.records = {}
        self.aliases = {}  # {"chat.internal": "host.internal"}, of the shortest time to live
        self.ttl_s = ttl_s
        self.failing = False  # every answer is SERVFAIL
        self.silent = False
        self.silent_about = None  # one kind of record
        self.silent_for = None  # names that begin so
        self.delay_s = 0.0
        self.questions = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.address = f"{address[0]}:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def stop(self):
        # Closed under a thread that waits for it, a socket would stay open, and be asked once more.
        with contextlib.suppress(OSError):  # it has no peer, but the thread is woken
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()

    @contextlib.contextmanager
    def serving_streams(self):
        """Over TCP as well, which is where more than 512 bytes are asked for."""
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while len(size := self.rfile.read(2)) == 2:
                    answer = server._answer(self.rfile.read(int.from_bytes(size, "big")))
                    self.wfile.write(len(answer).to_bytes(2, "big") + answer)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True

        streams = Server(self.socket.getsockname(), Handler)
        threading.Thread(target=streams.serve_forever, daemon=True).start()
        yield
        streams.shutdown()
        streams.server_close()

    def asked(self, name):
        return sum(asked == name for asked, _ in self.questions)

    def _serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
                if not query:  # by stop()
                    return
                answer = self._answer(query)
                if self._is_heard():
                    threading.Timer(self.delay_s, self._send, (answer, peer)).start()
            except OSError:
                return

    def _send(self, answer, peer):
        with contextlib.suppress(OSError):  # nobody asks any more
            self.socket.sendto(answer, peer)

    def _is_heard(self):
        name, kind = self.questions[-1]
        is_dead = self.silent_for is not None and name.startswith(self.silent_for)
        return not (self.silent or is_dead or kind == self.silent_about)

    def _answer(self, query):
        labels, at = [], 12
        while query[at] != 0:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12 : at + 5]
        kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
        name = ".".join(labels).lower()
        self.questions.append((name, kind))
        alias = self.aliases.get(name)
        texts = self.records.get(alias or name, [])
        addresses = [ipaddress.ip_address(text) for text in texts]
        wanted = [one for one in addresses if (A if one.version == 4 else AAAA) == kind]
        code = NO_ERROR if alias or name in self.records else NO_SUCH_NAME
        if self.failing:
            code, wanted, alias = SERVER_FAILURE, [], None
        count = len(wanted) + (alias is not None)
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, count, 0, 0)
        owner, chain = b"\xc0\x0c", b""
        if alias:
            owner = b"".join(bytes([len(one)]) + one.encode() for one in alias.split(".")) + b"\0"
            chain = b"\xc0\x0c" + struct.pack(">HHIH", CNAME, 1, 1, len(owner)) + owner
        records = b"".join(
            owner + struct.pack(">HHIH", kind, 1, self.ttl_s, len(one.packed)) + one.packed
            for one in wanted
        )
        return head + question + chain + records


class Places:
    """HTTP servers on one port of several addresses, each answering with its address."""

    def __init__(self, hosts):
        self.port = free_port(hosts[0])
        self.servers = [self._serve(host) for host in hosts]

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def _serve(self, host):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = host.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # HAProxy closes idle connections as it likes

        server = Server((host, self.port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server
