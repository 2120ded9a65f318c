"""Who the client is, and which headers reach an upstream: what a client says about itself does not
count, what a trusted proxy says does."""

import pytest

from support.clients import HANDSHAKE, SOCKET, Http2, echo, exchange, request, request_bytes
from support.spoofs import ADDRESS_SPOOFS, IDENTITY_SPOOFS, PROTO_SPOOFS
from support.tenants import TRUSTED_CDN, TRUSTED_PROXY, TRUSTED_PROXY_2, TRUSTED_RFC7239

HOST = "chat.alpha.test"
PARSERS = {"httptools": HOST, "h11": "six.test"}  # of the upstreams' requests
CLIENT = "127.0.0.1"


def assert_client(seen, address, proto="http"):
    """One line each, and uvicorn agrees."""
    for name in ("X-Forwarded-For", "X-Real-IP", "X-Client-IP"):
        assert seen.header(name) == address, name
    assert seen.header("X-Forwarded-Proto") == proto
    assert seen.header("Forwarded") is None
    assert seen.client == address
    assert seen.scheme == proto


def test_the_headers_of_a_plain_request(http):
    seen = echo(http, HOST)
    assert_client(seen, CLIENT)
    assert seen.header("X-Forwarded-Host") == HOST
    assert seen.header("X-Forwarded-Port") == "80"
    assert seen.header("X-Tenant-ID") == "alpha"
    assert seen.header("X-Team") == "red"
    assert seen.header("X-Seen-By") == f"alpha for {CLIENT}"


def test_the_headers_of_a_tls_request(https):
    seen = echo(https, HOST, tls_name=HOST)
    assert_client(seen, CLIENT, "https")
    assert seen.header("X-Forwarded-Port") == "443"


def test_a_port_in_host_is_the_public_port(http):
    assert echo(http, f"{HOST}:8443").header("X-Forwarded-Port") == "8443"


@pytest.mark.parametrize("headers", ADDRESS_SPOOFS.values(), ids=ADDRESS_SPOOFS.keys())
@pytest.mark.parametrize("host", PARSERS.values(), ids=PARSERS.keys())
def test_a_client_cannot_say_where_it_comes_from(http, host, headers):
    seen = echo(http, host, headers=headers)
    assert_client(seen, CLIENT)
    told = [value for _, value in seen.headers]
    assert not [value for value in told if "6.6.6" in value or "7.7.7" in value], seen.headers


@pytest.mark.parametrize("headers", PROTO_SPOOFS.values(), ids=PROTO_SPOOFS.keys())
@pytest.mark.parametrize("host", PARSERS.values(), ids=PARSERS.keys())
def test_a_client_cannot_say_what_it_asked_for(http, host, headers):
    seen = echo(http, host, headers=headers)
    assert_client(seen, CLIENT)
    assert seen.header("X-Forwarded-Host") == host
    assert seen.header("X-Forwarded-Port") == "80"
    allowed = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"}
    left = {name for name in seen.names() if name.startswith("x-forwarded")}
    assert left == allowed
    for name, _ in headers:
        assert name.lower() in allowed or name.lower() not in seen.names()


@pytest.mark.parametrize("headers", IDENTITY_SPOOFS.values(), ids=IDENTITY_SPOOFS.keys())
@pytest.mark.parametrize("host", [HOST, "chat.gamma.test"])
def test_a_client_cannot_say_who_it_is(http, host, headers):
    seen = echo(http, host, headers=headers)
    told = " ".join(value for _, value in seen.headers)
    assert "root" not in told and "admin" not in told, seen.headers
    sign_in = request(
        http, "/api/v1/auths/signin", host, "POST", headers=headers, body=b'{"email":"me@x.test"}'
    )
    if host == HOST:  # this one takes X-User-Email for the truth
        assert sign_in.status == 400
    else:
        assert sign_in.json()["email"] == "me@x.test"


@pytest.mark.parametrize("headers", IDENTITY_SPOOFS.values(), ids=IDENTITY_SPOOFS.keys())
def test_a_client_cannot_say_who_it_is_over_http2(https, headers):
    with Http2(https, HOST) as client:
        lower = [(name.lower(), value) for name, value in headers]
        told = client.request("/api/echo", headers=lower).json()
        values = " ".join(value for _, value in told["headers"])
        assert "root" not in values and "admin" not in values, told["headers"]


def test_connection_cannot_take_a_header_away(http):
    headers = [("Connection", "keep-alive, X-Forwarded-For, X-Tenant-ID, Host")]
    seen = echo(http, HOST, headers=headers)
    assert_client(seen, CLIENT)
    assert "x-forwarded" not in " ".join(seen.all("Connection")).lower()


@pytest.mark.parametrize("upgrade", ["h2c", "TLS/1.0", "foo", "websocket2"])
def test_no_upgrade_but_to_websocket(http, upgrade):
    headers = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", upgrade),
        ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
    ]
    seen = echo(http, HOST, headers=headers)
    assert seen.header("Upgrade") is None
    assert seen.header("HTTP2-Settings") is None


def test_an_upgrade_to_two_things_is_refused(http):
    headers = [("Connection", "Upgrade"), ("Upgrade", "h2c, websocket")]
    answer = request(http, "/api/echo", HOST, headers=headers)
    assert answer.status == 400 and answer.header("X-Upstream") is None


def test_no_tunnel_past_the_rules(http):
    answer = exchange(
        http, b"CONNECT chat.alpha.test:80 HTTP/1.1\r\nHost: chat.alpha.test:80\r\n\r\n"
    )
    assert answer.status == 405


def test_no_tunnel_past_the_rules_over_http2(https):
    with Http2(https, HOST) as client:
        stream = client.connection.get_next_available_stream_id()
        pseudo = [(":method", "CONNECT"), (":authority", f"{HOST}:443")]
        client.connection.send_headers(stream, pseudo)
        client.sock.sendall(client.connection.data_to_send())
        answer = client.read(stream)
        assert answer is None or answer.status in (400, 405), answer


# --- trusted proxies ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines, client",
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9, 127.0.7.2"], "203.0.113.9"),
        (["203.0.113.9", "127.0.7.3", "127.0.7.2"], "203.0.113.9"),
        (["127.0.7.3, 127.0.7.2"], "127.0.7.3"),
        (["203.0.113.9, unknown, 127.0.7.2"], "127.0.7.2"),
        (["unknown"], TRUSTED_PROXY),
        (["_hidden"], TRUSTED_PROXY),
        ([""], TRUSTED_PROXY),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:db8::7]:443"], "2001:db8::7"),
        (["2001:DB8:0:0::7"], "2001:db8::7"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["\t203.0.113.9\t"], "203.0.113.9"),
        ([", ".join(["203.0.113.9"] * 21)], TRUSTED_PROXY),
        (["203.0.113.9"] * 4, TRUSTED_PROXY),
        (["203.0.113.9 " + "x" * 2100], TRUSTED_PROXY),
        ([], TRUSTED_PROXY),
    ],
)
def test_the_rightmost_untrusted_address_is_the_client(http, lines, client):
    headers = [("X-Forwarded-For", line) for line in lines]
    assert_client(echo(http, HOST, headers=headers, source=TRUSTED_PROXY), client)


def test_every_member_of_a_group_is_trusted(http):
    headers = [("X-Forwarded-For", "203.0.113.9")]
    assert_client(echo(http, HOST, headers=headers, source=TRUSTED_PROXY_2), "203.0.113.9")


def test_a_group_is_believed_in_its_own_header_only(http):
    headers = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
        ("CF-Connecting-IP", "203.0.113.9"),
    ]
    assert_client(echo(http, HOST, headers=headers, source=TRUSTED_CDN), "203.0.113.9")
    assert_client(echo(http, HOST, headers=headers, source=TRUSTED_PROXY), "6.6.6.6")


@pytest.mark.parametrize(
    "value, client, proto",
    [
        ("for=203.0.113.9;proto=https", "203.0.113.9", "https"),
        ('for="[2001:db8::7]:443";proto=http', "2001:db8::7", "http"),
        ("for=6.6.6.6, for=203.0.113.9", "203.0.113.9", "http"),
        ("for=unknown", TRUSTED_RFC7239, "http"),
    ],
)
def test_forwarded_is_read(http, value, client, proto):
    seen = echo(http, HOST, headers=[("Forwarded", value)], source=TRUSTED_RFC7239)
    assert_client(seen, client, proto)


@pytest.mark.parametrize(
    "values, proto",
    [
        (["https"], "https"),
        (["http"], "http"),
        (["HTTPS"], "http"),
        (["https,http"], "http"),
        (["wss"], "https"),
        (["ws"], "http"),
        ([""], "http"),
        ([], "http"),
    ],
)
def test_a_trusted_proxy_tells_the_scheme(http, values, proto):
    headers = [("X-Forwarded-For", "203.0.113.9")]
    headers += [("X-Forwarded-Proto", value) for value in values]
    seen = echo(http, HOST, headers=headers, source=TRUSTED_PROXY)
    assert_client(seen, "203.0.113.9", proto)
    assert seen.header("X-Forwarded-Port") == ("443" if proto == "https" else "80")


def test_tls_that_ended_before_haproxy_needs_no_redirect(http):
    headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")]
    assert echo(http, "chat.beta.test", headers=headers, source=TRUSTED_PROXY).name == "beta"
    assert request(http, "/", "chat.beta.test", headers=headers).status == 308


def test_a_socket_opens_behind_a_proxy_that_tells_wss(http):
    """As Traefik does where it has ended TLS."""
    headers = HANDSHAKE + [
        ("Origin", "https://chat.beta.test"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "wss"),
    ]
    answer = request(http, SOCKET, "chat.beta.test", headers=headers, source=TRUSTED_PROXY)
    assert answer.status == 101


# --- request ids --------------------------------------------------------------------------------


def test_a_request_id_is_made_and_told_to_both_sides(http):
    seen = echo(http, HOST, headers=[("X-Request-ID", "from-the-client")])
    made = seen.header("X-Request-ID")
    assert made != "from-the-client" and len(made) == 36
    assert seen.answer.header("X-Request-ID") == made
    assert echo(http, HOST).header("X-Request-ID") != made


@pytest.mark.parametrize(
    "sent, kept",
    [
        ("0123-abcd.EF_9", True),
        ("short", False),
        ("with blanks in it", False),
        ("x" * 129, False),
        ("<script>alert(1)</script>", False),
    ],
)
def test_a_trusted_proxys_request_id_is_kept(http, sent, kept):
    headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Request-ID", sent)]
    seen = echo(http, HOST, headers=headers, source=TRUSTED_PROXY)
    assert (seen.header("X-Request-ID") == sent) == kept
    assert seen.answer.header("X-Request-ID") == seen.header("X-Request-ID")


def test_a_refusal_has_a_request_id_too(http):
    assert len(request(http, "/", "nobody.test").header("X-Request-ID")) == 36


@pytest.mark.parametrize("name", ["traceparent", "tracestate"])
def test_a_client_cannot_join_a_trace(http, name):
    value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert echo(http, HOST, headers=[(name, value)]).header(name) is None


def test_other_headers_pass_unchanged(http):
    headers = [
        ("Authorization", "Bearer sk-0123456789abcdef"),
        ("Cookie", "token=a; owui-session=b"),
        ("User-Agent", "test (x; y)"),
        ("Accept-Language", "de, en;q=0.5"),
        ("X-Api-Key", "sk-1"),
    ]
    seen = echo(http, HOST, headers=headers)
    for name, value in headers:
        assert seen.header(name) == value


def test_oauth_sees_the_public_url(http, https):
    location = request(http, "/oauth/oidc/login", HOST).header("Location")
    assert f"redirect_uri=http://{HOST}/oauth/oidc/login/callback" in location
    location = request(https, "/oauth/oidc/login", HOST, tls_name=HOST).header("Location")
    assert f"redirect_uri=https://{HOST}/oauth/oidc/login/callback" in location
    spoofed = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.test")]
    location = request(http, "/oauth/oidc/login", HOST, headers=spoofed).header("Location")
    assert f"redirect_uri=http://{HOST}/" in location


def test_a_header_that_haproxy_would_refuse_stays_refused(http):
    raw = request_bytes("GET", "/api/echo", HOST, [("X-Bad Name", "1")])
    assert exchange(http, raw).status == 400


def test_one_tenants_authorization_is_not_taken_from_the_others(new_stack, upstreams):
    """An upstream behind HTTP Basic; the others' clients sign in with that header."""
    alpha = {"upstream": upstreams["alpha"].url, "https": "off"}
    basic = {"headers": {"Authorization": "Basic YTpi"}}
    stack = new_stack()
    stack.write_tenants(
        {
            "basic": {"hosts": ["basic.test"], **alpha, **basic},
            "own": {"hosts": ["own.test"], **alpha},
        }
    )
    stack.start()
    sent = [("Authorization", "Bearer sk-1")]
    assert echo(stack.http_port, "own.test", headers=sent).all("Authorization") == ["Bearer sk-1"]
    assert echo(stack.http_port, "own.test").header("Authorization") is None
    for headers in (sent, []):
        told = echo(stack.http_port, "basic.test", headers=headers)
        assert told.all("Authorization") == ["Basic YTpi"]
