"""Clients that come by IPv6: as those by IPv4, and each with the address that it has."""

import pathlib
import re

import pytest

from support.clients import Echo, exchange, request_bytes
from support.stack import Upstream, run_agent_command

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
