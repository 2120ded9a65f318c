"""A process that asks for a page over TLS until its standard input ends, then tells what it got.

    https_load.py PORT HOST ROOTS THREADS

Every thread opens a connection, verifies the certificate, asks a few times, and begins anew: both
handshakes and connections that were there before are under way at any time.
"""

import http.client
import json
import socket
import ssl
import sys
import threading

REQUESTS_PER_CONNECTION = 8


class Load:
    def __init__(self, port, host, roots):
        self.port, self.host = port, host
        self.context = ssl.create_default_context(cafile=roots)
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.requests = self.connections = 0
        self.failures = []
        self.serials = []  # in the order of their first appearance

    def run(self):
        while not self.ended.is_set():
            try:
                self.one_connection()
            except (OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.failures.append(repr(error))

    def one_connection(self):
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.context)
        connection._create_connection = lambda address, *rest: socket.create_connection(
            ("127.0.0.1", address[1]), timeout=10
        )
        connection.connect()
        serial = connection.sock.getpeercert()["serialNumber"]
        with self.lock:
            self.connections += 1
            if serial not in self.serials:
                self.serials.append(serial)
        try:
            for _ in range(REQUESTS_PER_CONNECTION):
                connection.request("GET", "/health")
                answer = connection.getresponse()
                answer.read()
                with self.lock:
                    self.requests += 1
                    if answer.status != 200:
                        self.failures.append(f"status {answer.status}")
        finally:
            connection.close()


def main(port, host, roots, threads):
    load = Load(int(port), host, roots)
    workers = [threading.Thread(target=load.run) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    sys.stdin.read()
    load.ended.set()
    for worker in workers:
        worker.join()
    told = {
        "requests": load.requests,
        "connections": load.connections,
        "serials": len(load.serials),
        "failures": load.failures,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
