"""Clients that come by IPv6: as those by IPv4, and each with the address that it has."""

import json
import pathlib
import re
import subprocess

import pytest

from support.clients import Echo, exchange, request, request_bytes
from support.names import NameServer
from support.processes import free_port, wait_until
from support.stack import BINARY, Upstream, run_agent_command

HOST = "six.example.test"


@pytest.fixture
def stack(wire, new_stack, folder):
    """On a machine of its own, because HAProxy listens on each of its addresses."""
    upstream = Upstream("both", folder).start()
    stack = new_stack()
    for key, port in (("http", stack.http_port), ("https", stack.https_port)):
        stack.config["haproxy"][key] = [f"*:{port}", f"[::]:{port}"]
    stack.issue(HOST)
    tenant = {"hosts": [HOST], "upstream": upstream.wait().url, "https": "off"}
    stack.write_tenants({"both": tenant})
    yield stack.start()
    upstream.stop()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_client_has_its_own_address(stack, tls):
    """By both ways; never ::ffff:127.0.0.1, which is how IPv4 looks to a socket for both."""
    port = stack.https_port if tls else stack.http_port
    for address in ["127.0.0.1", "::1"] * 10:
        asked = request_bytes("GET", "/api/echo", HOST)
        heard = Echo(exchange(port, asked, host=address, tls_name=HOST if tls else None))
        assert heard.header("X-Client-IP") == heard.header("X-Forwarded-For") == address


def test_what_haproxy_listens_on_unless_told(wire, new_stack):
    """Both families; where IPv6 was turned off, a bind to it would keep HAProxy from starting."""
    stack = new_stack()
    for key in ("http", "https"):
        del stack.config["haproxy"][key]
    stack.write_config()

    def binds():
        done = run_agent_command("haproxy-config", "-c", stack.config_path)
        return re.findall(r"^    bind (\S+)( v6only)?", done.stdout, re.MULTILINE)

    assert binds() == [("*:80,[::]:80", " v6only"), ("*:443,[::]:443", " v6only")]
    pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    assert binds() == [("*:80", ""), ("*:443", "")]


# --- Names that have both --------------------------------------------------------------------------

NO_WAY = "198.51.100.7"  # the machine has no route to it
RECORDS = {"both": ["::1", "127.0.0.1"], "far": [NO_WAY, "::1"], "six": ["::1"]}


@pytest.fixture
def named(wire, new_stack, folder):
    """Upstreams at one port of both addresses, and names that lead there."""
    port = free_port()
    upstreams = [Upstream(name, folder, host, port=port).start() for name, host in NAMES.items()]
    server = NameServer()
    server.records = {f"{name}.internal": addresses for name, addresses in RECORDS.items()}
    stack = new_stack(changes={"resolver": {"nameservers": [server.address]}})
    stack.write_tenants(
        {
            name: {
                "hosts": [f"{name}.test"],
                "upstream": f"http://{name}.internal:{port}",
                "https": "off",
            }
            for name in RECORDS
        }
    )
    stack.config["upstream_allow"].append(f"{NO_WAY}/32")
    for upstream in upstreams:
        upstream.wait()
    stack.servers = dict(zip(NAMES, upstreams))
    yield stack.start()
    server.stop()
    for upstream in upstreams:
        upstream.stop()


NAMES = {"four": "127.0.0.1", "of-six": "::1"}


def test_ipv4_goes_first_where_there_is_a_way(named):
    expected = {"both": "four", "far": "of-six", "six": "of-six"}
    for tenant, server in expected.items():
        answer = request(named.http_port, "/api/echo", f"{tenant}.test")
        assert answer.status == 200 and Echo(answer).name == server, tenant


def test_doctor_asks_the_address_that_haproxy_goes_to(named):
    def findings(tenant):
        done = run_agent_command("doctor", tenant, "--json", "-c", named.config_path)
        found = json.loads(done.stdout)["findings"]
        return [one["message"] for one in found if one["check"] == "server"]

    for tenant in RECORDS:
        wait_until(lambda tenant=tenant: findings(tenant) == [], f"nothing about {tenant}", 30)
    named.servers["four"].stop()
    port = named.servers["four"].port
    (message,) = wait_until(lambda: findings("both"), "what is wrong", 30)
    assert f"nobody listens there (127.0.0.1:{port}, one of its 2 addresses)" in message


def test_explain_tells_the_address_that_haproxy_goes_to(named, tmp_path):
    hosts = tmp_path / "hosts"
    lines = [f"{ip} {name}.internal\n" for name, ips in RECORDS.items() for ip in ips]
    hosts.write_text("".join(lines))

    def told(tenant):
        explain = f"{BINARY} explain http://{tenant}.test/ --json -c {named.config_path}"
        script = f"mount --bind {hosts} /etc/hosts && exec {explain}"
        command = ["unshare", "--mount", "sh", "-c", script]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    answers = {tenant: told(tenant)["variables"]["dst"] for tenant in RECORDS}
    assert answers == {"both": "127.0.0.1", "far": "::1", "six": "::1"}
