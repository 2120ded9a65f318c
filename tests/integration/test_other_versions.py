"""Another version of the program takes over, and hands back: behind a socket that is kept, under
load, with the same files. OWUI_OTHER_BINARY is the program of the other version."""

import json
import os
import socket
import subprocess

import pytest

from support.certified import read_pem
from support.clients import request
from support.load import Load
from support.processes import accepts, wait_until
from support.stack import BINARY, Inheriting

OTHER = os.environ.get("OWUI_OTHER_BINARY")
HOST, NAME = "chat.example.test", "chat.pem"
MOVING = "moving.example.test"

pytestmark = pytest.mark.skipif(OTHER is None, reason="needs OWUI_OTHER_BINARY")


class Versions:
    """One machine, on which one version after the other is installed."""

    def __init__(self, stack, listener, binary):
        self.stack, self.listener, self.binary = stack, listener, binary
        stack.config["listen"] = ["systemd:owui-spoa"]
        stack.want(("chat", HOST), ("moving", "moving.example.test"))
        path = {"host": HOST, "prefix": "/owui/", "mode": "takeover"}
        stack.write_tenants(
            {"taking": {"paths": [path], "upstream": stack.upstreams["gamma"].url}}, "taking.json"
        )
        stack.write_config()
        self.command("haproxy-config", "--out", stack.haproxy_dir)
        stack.start_haproxy()
        self.start()

    def command(self, *words):
        done = subprocess.run(
            [self.binary, words[0], "-c", self.stack.config_path, *words[1:]],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (self.binary, words, done.stderr, done.stdout)
        return done.stdout

    def start(self):
        self.log_from = len(self.stack.agents[0].log()) if self.stack.agents else 0
        agent = Inheriting(self.stack, self.listener, self.binary).start()
        self.stack.agents = [agent]
        agent.wait_for(lambda: accepts(self.stack.config["admin_socket"]), "it answers", 60)

    def install(self, binary):
        assert self.stack.agents[0].stop() == 0
        self.binary = binary
        self.start()

    def log(self):
        return self.stack.agents[0].log()[self.log_from :]

    def changes(self):
        """The numbers of those that the history knows."""
        return [change["id"] for change in json.loads(self.command("history", "--json"))["history"]]

    def serial(self):
        return self.stack.serial(HOST)

    def state(self):
        return {
            path.name: path.read_bytes()
            for pattern in ("accounts/*.key", "tokens.json", "cookie.key")
            for path in self.stack.state_dir.glob(pattern)
        }

    def ask(self, host, target="/api/version", cookie=None):
        headers = [("Cookie", cookie)] if cookie else []
        tls = self.stack.trust()
        return request(self.stack.https_port, target, host, headers=headers, tls_name=host, tls=tls)

    def where(self, host=MOVING, cookie=None):
        answer = self.ask(host, cookie=cookie)
        return answer.json()["deployment_id"] if answer.status == 200 else answer.status

    def move(self, upstream):
        self.stack.want(("moving", MOVING), upstream=upstream)
        wait_until(lambda: self.where() == upstream, f"it has moved to {upstream}", 20)


class TlsLoad(Load):
    """By HTTPS, for a host that others' changes are none of."""

    def __init__(self, stack, host):
        super().__init__(stack.https_port, host)
        self.stack, self.tls = stack, stack.trust()

    def ask(self):
        return request(self.port, "/health", self.host, tls_name=self.host, tls=self.tls)


@pytest.mark.parametrize("way", ["upgrade", "downgrade"])
def test_there_and_back(new_certified, ca, way, record_property):
    first, second = (OTHER, str(BINARY)) if way == "upgrade" else (str(BINARY), OTHER)
    stack = new_certified()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stack.sockets[0]))
        listener.listen(4096)
        versions = Versions(stack, listener, first)
        serial = stack.wait_served(HOST).serial_number
        stack.wait_served(MOVING)
        versions.move("beta")
        cookie = versions.ask(HOST, "/owui/").header("Set-Cookie").split(";")[0]
        versions.command("token", "add", "monitor", "--role", "read")
        recorded = set(versions.changes())
        kept, orders = versions.state(), ca.good_orders()
        assert len(kept) == 3
        turns = [(second, "beta", "alpha"), (first, "alpha", "beta"), (second, "beta", "alpha")]
        workers = stack.haproxy_workers()
        with TlsLoad(stack, HOST) as load:
            load.wait_for_more(20)
            for binary, was, will_be in turns:
                versions.install(binary)
                load.wait_for_more(50)
                assert (versions.where(), versions.where(HOST, cookie)) == (was, "gamma")
                assert (versions.serial(), ca.good_orders()) == (serial, orders), versions.log()
                assert versions.state() == kept
                assert "monitor" in versions.command("token", "list")
                assert recorded <= set(versions.changes()), versions.log()
                assert list((stack.state_dir / "trash").iterdir()) == [], versions.log()
                versions.move(will_be)
            stack.act("chat", "renew")
            renewed = stack.wait_served(HOST, but_not=serial).serial_number
            orders = ca.good_orders()
            versions.install(first)
            load.wait_for_more(50)
            assert (versions.serial(), ca.good_orders()) == (renewed, orders), versions.log()
            assert read_pem(stack.crt_dir / NAME)[0].serial_number == renewed
            assert versions.where() == "alpha"
            versions.command("rollback", str(max(versions.changes()) - 1))
            wait_until(lambda: versions.where() == "beta", "it is as before the other's change")
        record_property("requests", load.statuses)
        print("\n ", way, load.statuses)
        assert set(load.statuses) == {200}
        assert stack.haproxy_workers() == workers
