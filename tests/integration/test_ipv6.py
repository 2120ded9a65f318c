"""Clients that come by IPv6: as those by IPv4, and each with the address that it has."""

import json
import pathlib
import re
import subprocess

import pytest

from support.clients import Echo, exchange, request, request_bytes
from support.names import NameServer
from support.processes import free_port, has_ipv6, wait_until
from support.stack import Upstream, run_agent_command

HOST = "six.example.test"


@pytest.fixture
def wire(wire):
    if not has_ipv6():  # a kernel without it
        pytest.skip("needs ::1")
    return wire


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


# --- Proxies that come by it ----------------------------------------------------------------------

BALANCER, CDN, SENDER, STRANGER = "fd77:7::1", "fd77:8::1", "fd77:9::1", "fd77:10::1"


@pytest.fixture
def proxied(wire, new_stack, folder, tmp_path):
    """What is in front of HAProxy has addresses of IPv6."""
    for address in (BALANCER, CDN, SENDER, STRANGER):
        subprocess.run(["ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad"], check=True)
    upstream = Upstream("behind", folder).start()
    (tmp_path / "cdn.txt").write_text("# ours\nfd77:8::/32\n")
    stack = new_stack()
    stack.config["haproxy"]["http"].append(f"[::]:{stack.http_port}")
    stack.config["haproxy"]["proxy_protocol"] = {"from": [f"{SENDER}/128"]}
    stack.config["trusted_proxies"] = [
        {"cidrs": ["fd77:7::/32"], "client_ip_header": "X-Forwarded-For"},
        {"cidrs_file": str(tmp_path / "cdn.txt"), "client_ip_header": "Forwarded"},
    ]
    allowed = {"allow_ips": ["2001:db8::/64", "203.0.113.0/24"], "deny_ips": ["2001:db8::66"]}
    tenant = {"hosts": [HOST], "upstream": upstream.wait().url, "https": "off", **allowed}
    stack.write_tenants({"behind": tenant})
    yield stack.start()
    upstream.stop()


def test_who_is_behind_a_proxy_of_ipv6(proxied):
    def client(source, headers=(), first=b""):
        asked = request_bytes("GET", "/api/echo", HOST, headers)
        answer = exchange(proxied.http_port, asked, host="::1", source=source, first=first)
        return Echo(answer).header("X-Real-IP") if answer.status == 200 else answer.status

    told = {
        "2001:db8::9": "2001:db8::9",
        "[2001:DB8:0::9]:443": "2001:db8::9",
        "2001:db8::9%eth0": "2001:db8::9",
        "::ffff:203.0.113.9": "203.0.113.9",
        "2001:db8::66": 403,
        "2001:db8:0:1::9": 403,
        "::ffff:198.51.100.9": 403,
    }
    for address, expected in told.items():
        assert client(BALANCER, [("X-Forwarded-For", address)]) == expected, address
        quoted = f'"[{address}]"' if "[" not in address else f'"{address}"'
        assert client(CDN, [("Forwarded", f"for={quoted};proto=https")]) == expected, address
        assert client(STRANGER, [("X-Forwarded-For", address)]) == 403
    for address in ("2001:db8::9", "::ffff:203.0.113.9", "2001:db8::66"):
        line = f"PROXY TCP6 {address} 2001:db8::1 4711 80\r\n".encode()
        assert client(SENDER, first=line) == told[address]
    assert client(SENDER, [("X-Forwarded-For", "2001:db8::9")], b"PROXY UNKNOWN\r\n") == 403


# --- Names that have both --------------------------------------------------------------------------

NO_WAY = "198.51.100.7"  # the machine has no route to it
NAMES = {"four": "127.0.0.1", "of-six": "::1"}
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


def test_explain_tells_the_address_that_haproxy_goes_to(named):
    """By the name servers that the configuration names; the system's know nothing of these."""

    def told(tenant):
        url = f"http://{tenant}.test/"
        done = run_agent_command("explain", url, "--json", "-c", named.config_path)
        return json.loads(done.stdout)["variables"]

    answers = {tenant: told(tenant)["dst"] for tenant in RECORDS}
    assert answers == {"both": "127.0.0.1", "far": "::1", "six": "::1"}
