"""The admin interface over loopback TCP, with tokens."""

import http.client
import json

from . import openapi
from .processes import accepts, free_port, wait_until
from .stack import run_agent_command


def settings(**more):
    """What a stack's configuration needs for it: Stack(changes=settings())."""
    return {"admin_http": {"listen": f"127.0.0.1:{free_port()}", **more}}


class AdminHttp:
    def __init__(self, stack):
        self.stack = stack
        self.host, port = stack.config["admin_http"]["listen"].rsplit(":", 1)
        self.port = int(port)
        wait_until(lambda: accepts((self.host, self.port)), "the admin interface listens", 30)

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def token(self, name, role="read"):
        done = run_agent_command(
            "token", "add", name, "--role", role, "--json", "-c", self.stack.config_path
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["token"]

    def ask(self, method, path, body=None, token=None, headers=()):
        """Status, parsed body (or text) and headers."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        payload = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        told = dict(headers)
        connection.putrequest(method, path, skip_host="Host" in told)
        if token is not None:
            connection.putheader("Authorization", f"Bearer {token}")
        if payload is not None:
            connection.putheader("Content-Length", str(len(payload)))
        for name, value in told.items():
            connection.putheader(name, value)
        connection.endheaders(payload)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        media_type = answer.headers["Content-Type"]
        told = json.loads(text) if media_type == "application/json" else text.decode()
        openapi.hold(method, path, answer.status, media_type, told)
        return answer.status, told, answer.headers
