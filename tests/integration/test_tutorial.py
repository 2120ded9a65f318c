"""The tutorial that the agent replaces ("HTTPS using HAProxy"), request by request: what it
promises works, and what it gets wrong is right."""

import pytest

from support.clients import Http2, echo, request

SUBDOMAIN = "chat.alpha.test"


def test_the_subdomain_method(http, https):
    assert echo(http, SUBDOMAIN).name == "alpha"
    assert echo(https, SUBDOMAIN, tls_name=SUBDOMAIN).name == "alpha"


def test_a_port_or_a_dot_behind_the_name_is_no_503(http):
    for host in (f"{SUBDOMAIN}:80", f"{SUBDOMAIN}."):
        assert echo(http, host).name == "alpha"


def test_the_path_method_leads_somewhere(http):
    """Open WebUI has no base path: a browser is sent to a host instead."""
    for path in ("/owui", "/owui/", "/owui/c/1"):
        answer = request(http, path, "apps.test")
        assert answer.status == 308
        assert answer.header("Location").startswith("http://owui.apps.test/")


def test_x_client_ip_is_the_clients(http):
    seen = echo(http, SUBDOMAIN, headers=[("X-CLIENT-IP", "6.6.6.6")])
    assert seen.header("X-Client-IP") == "127.0.0.1"


def test_x_forwarded_proto_cannot_be_claimed_on_port_80(http, https):
    claim = [("X-Forwarded-Proto", "https")]
    assert echo(http, SUBDOMAIN, headers=claim).scheme == "http"
    assert echo(https, SUBDOMAIN, tls_name=SUBDOMAIN).scheme == "https"


def test_credentials_do_not_travel_in_clear_text(http):
    answer = request(http, "/auth", "chat.beta.test")
    assert answer.status == 308 and answer.header("Location").startswith("https://chat.beta.test")


def test_http2_is_offered(https):
    with Http2(https, SUBDOMAIN) as client:
        assert client.request("/health").json() == {"status": True}


@pytest.mark.parametrize(
    "path", ["/_app/version.json", "/static/favicon.png", "/api/config", "/ws"]
)
def test_root_paths_reach_the_tenant(http, path):
    assert request(http, path, SUBDOMAIN).header("X-Upstream") == "alpha"


def test_acme_challenges_reach_the_responder_on_both_ports(http, https):
    path = "/.well-known/acme-challenge/no-such-token"
    for answer in (
        request(http, path, "chat.beta.test"),  # no redirect to https on the way
        request(https, path, SUBDOMAIN, tls_name=SUBDOMAIN),
    ):
        assert answer.status in (404, 503)
        assert answer.header("X-Upstream") is None
        assert answer.header("Location") is None


def test_a_name_without_a_certificate_gets_no_other_names(https):
    import ssl

    with pytest.raises(ssl.SSLError):
        request(https, "/", "nobody.test", tls_name="nobody.test")
