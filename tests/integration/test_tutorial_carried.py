"""What is wrong with the tutorial ("HTTPS using HAProxy"), point by point, and how it is after
`owui-spoa setup --tutorial` has carried it over. The file goes in as it was published, with both of
its methods; what comes out runs here with a CA, HAProxy and upstreams."""

import base64
import contextlib
import os
import re
import socket
import subprocess

import pytest

from support.certified import CertifiedStack
from support.clients import connect, echo, request, request_bytes
from support.processes import wait_until
from support.sockets import PATH, read_frame, write_frame
from support.stack import HAPROXY, REPOSITORY, run_agent_command

CHAT, TEAM, PATHS = "chat.carried.test", "team.carried.test", "carried.test"
WAIT_S = 60
CERTIFICATE_S = 200  # the CA may fail, and is asked again after a minute


class Carried(CertifiedStack):
    """The tutorial's HAProxy, carried over."""

    def write_tutorial(self):
        text = (REPOSITORY / "tests/package/tutorial.cfg").read_text()
        text = text.replace("example.test", PATHS)
        for port, name in (("3000", "alpha"), ("3001", "beta")):
            text = text.replace(f"127.0.0.1:{port}", self.upstreams[name].address)
        # It has this line too, which no HAProxy ever knew (point 6).
        text = text.replace("frontend web\n", f"frontend web\n    {UNKNOWN_OPTION}\n")
        self.tutorial = self.haproxy_dir / "haproxy.cfg"
        self.tutorial.write_text(text)
        return text

    def carry_over(self):
        self.before = self.write_tutorial()
        self.refused_before = self.haproxy_check()
        # What certbot had tells which names there are besides those in the file.
        live = self.directory / "letsencrypt" / "live" / PATHS
        live.mkdir(parents=True)
        self.authority.issue([PATHS], live / "fullchain.pem")
        arguments = ["--certbot", live.parent.parent, "-c", self.config_path, "--no-start", "--yes"]
        done = run_agent_command("setup", "--tutorial", self.tutorial, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        self.told = done.stdout
        self.after = self.tutorial.read_text()
        return self

    def haproxy_check(self):
        """What HAProxy has against the file."""
        done = subprocess.run(
            [HAPROXY, "-c", "-f", self.tutorial], capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr if done.returncode != 0 else None

    def timeout_s(self, name):
        """The shortest that the file says."""
        units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
        found = re.findall(rf"^\s*timeout {name} (\d+)(ms|s|m|h)\b", self.after, re.M)
        assert found, name
        return min(int(number) * units[unit] for number, unit in found)

    def tls(self, host):
        return {"tls_name": host, "tls": self.trust()}


UNKNOWN_OPTION = "option h2-workaround-bogus-websocket-clients"


@pytest.fixture(scope="module")
def carried(folder, authority, upstreams, ca):
    path = folder / "carried"
    path.mkdir()
    stack = Carried(path, upstreams, authority, ca)
    stack.write_config()
    try:
        stack.carry_over()
        stack.start_haproxy()
        stack.start_agent()
        for host in (CHAT, TEAM):
            stack.wait_served(host, timeout_s=CERTIFICATE_S)
        # HAProxy was there first, and has yet to see that the agent is up.
        stack.wait_for_agents(1)
        yield stack
    finally:
        stack.stop()


@contextlib.contextmanager
def websocket(port, host, **where):
    """An open one, behind its first frame."""
    key = base64.b64encode(os.urandom(16)).decode()
    headers = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    headers += [("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key)]
    with connect(port, **where) as sock:
        sock.sendall(request_bytes("GET", PATH, host, headers))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = sock.recv(1)
            assert part, head
            head += part
        assert b" 101 " in head.split(b"\r\n")[0], head
        read_frame(sock)
        yield sock


def test_1_the_path_method_leads_to_a_host_that_works(carried):
    assert "/owui/" in carried.before
    answer = request(carried.http_port, "/owui/c/1", PATHS)
    assert answer.status == 308
    place = answer.header("Location")
    assert place in (f"https://{CHAT}/c/1", f"https://{CHAT}:{carried.https_port}/c/1")
    assert echo(carried.https_port, CHAT, **carried.tls(CHAT)).name == "alpha"


@pytest.mark.parametrize("written", [f"{CHAT}:443", f"{CHAT}.", CHAT.upper(), f"{CHAT}.:8443"])
def test_2_a_port_a_dot_or_capitals_are_no_503(carried, written):
    assert echo(carried.https_port, written, **carried.tls(CHAT)).name == "alpha"


def test_3_x_client_ip_is_said_once_and_is_true(carried):
    lies = [("X-CLIENT-IP", "6.6.6.6"), ("x-client-ip", "7.7.7.7")]
    seen = echo(carried.https_port, CHAT, headers=lies, **carried.tls(CHAT))
    assert seen.all("X-Client-IP") == ["127.0.0.1"]


@pytest.mark.parametrize("claim", ["https", "http", "wss", ""])
def test_4_the_scheme_is_what_it_was(carried, claim):
    headers = [("X-Forwarded-Proto", claim)]
    seen = echo(carried.https_port, CHAT, headers=headers, **carried.tls(CHAT))
    assert (seen.scheme, seen.all("X-Forwarded-Proto")) == ("https", ["https"])
    answer = request(carried.http_port, "/auth", CHAT, headers=headers)
    assert answer.status == 308  # on port 80 it is believed no more


def test_5_x_forwarded_for_is_one_true_address(carried):
    lies = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "7.7.7.7, 8.8.8.8")]
    seen = echo(carried.https_port, CHAT, headers=lies, **carried.tls(CHAT))
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]


def test_6_haproxy_starts(carried):
    assert UNKNOWN_OPTION in carried.before and "h2-workaround" in carried.refused_before
    assert UNKNOWN_OPTION not in carried.after and carried.haproxy_check() is None


def test_7_a_websocket_does_not_need_tls(carried):
    path = carried.tenants_dir / f"{TEAM}.json"
    before = path.read_text()
    done = run_agent_command("tenants", "set", TEAM, "https=off", "-c", carried.config_path)
    assert done.returncode == 0, done.stderr
    try:
        with websocket(carried.http_port, TEAM):
            pass
        with websocket(carried.https_port, TEAM, **carried.tls(TEAM)):
            pass
    finally:
        run_agent_command("tenants", "set", TEAM, "https=", "-c", carried.config_path)
    assert path.read_text() == before


def test_8_http_goes_to_https_and_unknown_hosts_are_told(carried):
    answer = request(carried.http_port, "/auth?next=/", CHAT)
    assert answer.status == 308 and answer.header("Location").startswith(f"https://{CHAT}")
    for port, where in ((carried.http_port, {}), (carried.https_port, carried.tls(CHAT))):
        answer = request(port, "/", "nobody.test", **where)
        assert (answer.status, answer.header("X-Refused")) == (404, "unknown-host")


def test_9_nobody_holds_a_connection_without_asking(carried):
    assert "timeout http-request 300s" in carried.before
    assert carried.timeout_s("http-request") <= 10 and carried.timeout_s("connect") <= 5
    with socket.create_connection(("127.0.0.1", carried.http_port), timeout=WAIT_S) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: chat.carr")
        assert b" 408 " in slow.recv(4096).split(b"\r\n")[0]


def test_10_quiet_websockets_stay_and_a_dead_app_is_noticed(carried):
    assert "timeout tunnel" not in carried.before and carried.timeout_s("tunnel") >= 3600
    gone = {"hosts": ["gone.carried.test"], "upstream": "http://127.0.0.1:9", "https": "off"}
    carried.write_tenants({"gone": {**gone, "check": {"every": "1s"}}}, "gone.json")
    try:
        # The agent says so by itself, and a client is told at once instead of after two minutes.
        wait_until(lambda: "server_down" in carried.agent_log(), "it is noticed", WAIT_S)
        wait_until(
            lambda: request(carried.http_port, "/", "gone.carried.test").status in (502, 503),
            "a client is told",
            WAIT_S,
        )
    finally:
        (carried.tenants_dir / "gone.json").unlink()


def test_11_no_certbot_command_is_left_to_be_typed_wrong(carried):
    assert "certbot" not in carried.after
    for host in (CHAT, TEAM):
        assert carried.serial_on_disk(f"{host}.pem") == carried.serial(host)


def test_12_certificates_lie_where_haproxy_reads_them(carried):
    assert "/path/to/ssl/folder/" in carried.before
    folders = set(re.findall(r"^\s*bind .*\bcrt (\S+)", carried.after, re.M))
    assert {path.rstrip("/") for path in folders} == {str(carried.crt_dir)}
    assert {f"{CHAT}.pem", f"{TEAM}.pem"} <= carried.files()
    for host in (CHAT, TEAM):
        assert (carried.crt_dir / f"{host}.pem").stat().st_mode & 0o007 == 0


def test_13_a_new_certificate_drops_no_websocket(carried):
    workers, before = carried.haproxy_workers(), carried.serial(CHAT)
    with websocket(carried.https_port, CHAT, **carried.tls(CHAT)) as sock:
        write_frame(sock, '40{"token": "x"}')
        assert read_frame(sock)[1].startswith(b"4")
        carried.act(f"{CHAT}.pem", "renew")
        carried.wait_served(CHAT, but_not=before, timeout_s=CERTIFICATE_S)
        write_frame(sock, "40/nobody,")  # what is said goes through, and is answered
        told = read_frame(sock)[1]
        while told == b"2":  # the server's ping was on its way
            told = read_frame(sock)[1]
        assert told.startswith(b"44/nobody"), told
    assert carried.haproxy_workers() == workers


def test_14_another_tenant_is_a_file_and_no_restart(carried):
    workers, text = carried.haproxy_workers(), (carried.haproxy_dir / "haproxy.cfg").read_text()
    third = {"hosts": ["third.carried.test"], "upstream": carried.upstreams["gamma"].url}
    carried.write_tenants({"third": {**third, "https": "off"}}, "third.json")
    try:
        wait_until(
            lambda: request(carried.http_port, "/api/version", "third.carried.test").header(
                "X-Upstream"
            )
            == "gamma",
            "it is served",
            WAIT_S,
        )
        with websocket(carried.http_port, "third.carried.test"):
            pass
    finally:
        (carried.tenants_dir / "third.json").unlink()
    assert carried.haproxy_workers() == workers
    for host in (CHAT, TEAM, "third.carried.test"):
        assert host not in text  # who is a tenant is not haproxy.cfg's business
