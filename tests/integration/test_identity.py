"""Who the user is: tokens and client certificates that were verified become headers, whatever was
not becomes nothing."""

import json
import os
import socket
import ssl
import time

import pytest

from support.clients import (
    Echo,
    Http2,
    Pipeline,
    connect,
    echo,
    read_answer,
    request,
    request_bytes,
    tls_context,
)
from support.identity import (
    AUDIENCE,
    ISSUER,
    Key,
    Provider,
    base64url,
    claims,
    key_set,
    unsigned_token,
)
from support.processes import no_descriptors, wait_until
from support.stack import HAPROXY_VERSION, run_agent_command

SET = {
    "X-User-Email": "{email}",
    "X-User-Name": "{name}",
    "X-User-Groups": "{groups}",
    "X-User-Role": "{role}",
}
OPEN, CLOSED, PAGES = "open.id.test", "closed.id.test", "pages.id.test"
CERTS, SHARED, COOKIE = "certs.id.test", "shared.id.test", "cookie.id.test"
CASE = "case.id.test"
LIMITED = "limited.id.test"
REALM, CLIENT = "realm.id.test", "client.id.test"
LOGIN = "https://id.test/start?client=owui"


def jwt(jwks, **more):
    about = {"from": "jwt", "issuer": ISSUER, "audience": AUDIENCE, "jwks": str(jwks), "set": SET}
    about.update(more)
    return {key: value for key, value in about.items() if value is not ...}


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


class Identities:
    """A stack whose tenants ask who the user is, and the keys of those who may tell."""

    def __init__(self, stack, upstreams, authority):
        self.stack = stack
        self.keys = {
            name: Key(name, kid=f"k-{name}") for name in ("RS256", "PS256", "ES256", "EdDSA")
        }
        self.key = self.keys["ES256"]
        self.jwks = stack.directory / "jwks.json"
        self.jwks.write_text(key_set(*self.keys.values()))
        self.clients = stack.directory / "clients.pem"
        self.clients.write_bytes(authority.path.read_bytes())
        self.authority = authority
        stack.config["haproxy"]["client_ca_file"] = str(self.clients)
        stack.config["log"] = {"format": "json"}
        stack.issue(OPEN, CLOSED, PAGES, CERTS, SHARED, COOKIE, CASE)
        alpha, beta, gamma = (upstreams[name].url for name in ("alpha", "beta", "gamma"))
        domains = {"example.com": "staff", "guests.test": "guests"}
        stack.write_tenants(
            {
                "open": self.tenant(OPEN, alpha, jwt(self.jwks)),
                "closed": self.tenant(CLOSED, alpha, jwt(self.jwks, required=True)),
                "pages": self.tenant(PAGES, alpha, jwt(self.jwks, required=True, login=LOGIN)),
                "cookie": self.tenant(COOKIE, alpha, jwt(self.jwks, cookie="idp.token")),
                "case": self.tenant(CASE, alpha, jwt(self.jwks, cookie="IDP_Token")),
                "realm": self.tenant(REALM, alpha, jwt(self.jwks, groups="realm_access.roles")),
                "client": self.tenant(
                    CLIENT,
                    alpha,
                    jwt(
                        self.jwks,
                        groups=["resource_access", "open.webui", "roles"],
                        name="https://id.test/name",
                    ),
                ),
                "certs": self.tenant(
                    CERTS, alpha, {"from": "client_cert", "groups": "subject_ou", "set": SET}
                ),
                "shared": self.tenant(
                    SHARED, alpha, jwt(self.jwks, set=..., required=True, email_domains=domains)
                ),
                "staff": {
                    "upstream": beta,
                    "identity": {"from": "shared", "set": SET},
                    "limits": {"max_body": "1KB"},
                    "routes": [{"match": {"path": "/api/v1/scim"}, "action": "deny"}],
                },
                "guests": {
                    "upstream": gamma,
                    "identity": {"from": "shared", "set": {"X-Guest": "{email}"}},
                },
                "limited": {
                    **self.tenant(LIMITED, alpha, jwt(self.jwks)),
                    "limits": {
                        "requests_per_10s": 4,
                        "signin_per_minute_per_ip": 2,
                        "signin_per_minute_per_subnet": 50,
                        "max_body": "100MB",
                        "websockets": 2000,
                    },
                    "timeouts": {"server": "30m", "tunnel": "1h"},
                },
                "plain": {"hosts": ["plain.id.test"], "upstream": alpha, "https": "off"},
            }
        )

    @staticmethod
    def tenant(host, upstream, identity):
        return {"hosts": [host], "upstream": upstream, "https": "off", "identity": identity}

    @property
    def http(self):
        return self.stack.http_port

    def refusals(self):
        lines = self.stack.agents[0].log().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event["reason"] for event in events if event.get("event") == "identity_refused"]


@pytest.fixture(scope="module")
def identities(folder, authority, upstreams):
    from support.stack import Stack

    stack = Stack(folder / "identities", upstreams, authority)
    made = Identities(stack, upstreams, authority)
    stack.start()
    yield made
    stack.stop()


def assert_nobody(seen):
    for name in [*SET, "X-Guest"]:
        assert seen.header(name) is None, seen.headers


# --- tokens -------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_verified_token_becomes_headers(identities, algorithm):
    told = claims(name="Jörg Müller", groups=["staff", "r d"], role="user")
    seen = echo(identities.http, OPEN, headers=bearer(identities.keys[algorithm].token(told)))
    assert seen.header("X-User-Email") == "ann@example.com"
    assert seen.header("X-User-Name") == "J%C3%B6rg M%C3%BCller"
    assert seen.header("X-User-Groups") == "staff,r d"
    assert seen.header("X-User-Role") == "user"
    # The provider's token would only have Open WebUI refuse the request.
    assert seen.header("Authorization") is None


GROUPS = [
    ("Büro, ÿ".split(", "), "Büro,ÿ"),
    (["été à la mer", "staff"], "été à la mer,staff"),
    # no byte of a header is such a character
    (["Łódź"], "Łódź".encode().decode("latin-1")),
]


@pytest.mark.parametrize("groups, read", GROUPS)
def test_a_group_is_what_open_webui_reads(identities, groups, read):
    """It reads a byte of a header as a character, decodes no more, and takes who is signed in out of
    all groups that are not told."""
    token = identities.key.token(claims(groups=groups))
    assert echo(identities.http, OPEN, headers=bearer(token)).header("X-User-Groups") == read
    command = ["explain", "-c", identities.stack.config_path, "--json", f"http://{OPEN}/"]
    told = run_agent_command(*command, "--header", f"Authorization: Bearer {token}").stdout
    assert json.loads(told)["identity"]["groups"] == read
    assert json.loads(told)["headers"]["set"]["X-User-Groups"] == read


def test_open_webui_signs_the_user_in(identities):
    headers = bearer(identities.key.token())
    answer = request(identities.http, "/api/v1/auths/signin", OPEN, "POST", headers, b"{}")
    assert answer.json()["email"] == "ann@example.com"
    assert request(identities.http, "/api/v1/auths/signin", OPEN, "POST", [], b"{}").status == 400


def test_a_user_is_told_beside_limits(identities):
    """As much of each as there may be, in one answer with all limits and timeouts."""
    email, groups = "e" * 68 + "@example.com", "g" * 80
    told = claims(email=email, name="n" * 48, groups=[groups], role="r" * 12)
    headers = bearer(identities.key.token(told))
    seen = echo(identities.http, LIMITED, headers=headers)
    assert seen.header("X-User-Email") == email and seen.header("X-User-Groups") == groups
    assert seen.header("X-User-Name") == "n" * 48 and seen.header("X-User-Role") == "r" * 12
    sign_in = ("/api/v1/auths/signin", LIMITED, "POST", headers, b"{}")
    answers = [request(identities.http, *sign_in) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[0].json()["email"] == email and answers[2].header("X-Refused") == "signin"
    others = [request(identities.http, "/health", LIMITED, headers=headers) for _ in range(2)]
    assert [answer.header("X-Refused") for answer in others] == [None, "requests"]


def test_what_a_token_does_not_say_is_not_told(identities):
    seen = echo(identities.http, OPEN, headers=bearer(identities.key.token()))
    assert seen.header("X-User-Email") == "ann@example.com"
    for name in ("X-User-Name", "X-User-Groups", "X-User-Role"):
        assert seen.header(name) is None


KEYCLOAK = {
    "realm_access": {"roles": ["staff", "offline_access"]},
    "resource_access": {"open.webui": {"roles": ["editor"]}, "account": {"roles": ["manage"]}},
    "https://id.test/name": "Ann",
}


def test_claims_within_others(identities):
    headers = bearer(identities.key.token(claims(**KEYCLOAK)))
    assert echo(identities.http, REALM, headers=headers).header("X-User-Groups") == (
        "staff,offline_access"
    )
    seen = echo(identities.http, CLIENT, headers=headers)
    assert seen.header("X-User-Groups") == "editor" and seen.header("X-User-Name") == "Ann"
    headers = bearer(identities.key.token(claims(roles=["admin"], realm_access={"x": 1})))
    seen = echo(identities.http, REALM, headers=headers)
    assert seen.header("X-User-Email") == "ann@example.com"
    assert seen.header("X-User-Groups") is None


def test_a_way_to_a_claim_through_what_is_no_object(identities):
    for claim in ([{"roles": ["admin"]}], '{"roles": ["admin"]}', 1, {"roles": {"admin": 1}}):
        headers = bearer(identities.key.token(claims(realm_access=claim)))
        assert_nobody(echo(identities.http, REALM, headers=headers))
    text = json.dumps(claims(realm_access={"roles": ["staff"]}))
    twice = text.replace('"roles": ["staff"]', '"roles": ["staff"], "roles": ["admin"]')
    headers = bearer(identities.key.token(text))
    assert echo(identities.http, REALM, headers=headers).header("X-User-Groups") == "staff"
    assert_nobody(echo(identities.http, REALM, headers=bearer(identities.key.token(twice))))


def test_explain_tells_where_a_claim_was_found(identities):
    token = identities.key.token(claims(**KEYCLOAK))
    command = ["explain", "-c", identities.stack.config_path, f"http://{REALM}/"]
    command += ["--header", f"Authorization: Bearer {token}"]
    assert "staff,offline_access  (realm_access > roles)\n" in run_agent_command(*command).stdout
    told = json.loads(run_agent_command(*command, "--json").stdout)["identity"]
    assert told["claims"]["groups"] == ["realm_access", "roles"]
    assert told["claims"]["email"] == ["email"]


def test_the_longest_values_fit(identities):
    told = claims(
        email="a" * 60 + "@" + "b" * 15 + ".com", name="n" * 200, groups=["g" * 80], role="r" * 12
    )
    seen = echo(identities.http, OPEN, headers=bearer(identities.key.token(told)))
    assert len(seen.header("X-User-Email")) == 80
    assert seen.header("X-User-Name") == "n" * 48
    assert seen.header("X-User-Groups") == "g" * 80
    assert seen.header("X-User-Role") == "r" * 12


def test_without_a_token_the_user_is_nobody(identities):
    spoof = [(name, "root@evil.test") for name in SET]
    assert_nobody(echo(identities.http, OPEN, headers=spoof))
    own = [("Authorization", "Bearer sk-0123456789abcdef0123456789abcdef")]
    seen = echo(identities.http, OPEN, headers=own + spoof)
    assert_nobody(seen)
    assert seen.header("Authorization") == own[0][1]


def test_a_token_counts_for_its_own_tenant_only(identities):
    seen = echo(identities.http, "plain.id.test", headers=bearer(identities.key.token()))
    assert_nobody(seen)
    assert seen.header("Authorization") is not None


def test_a_required_identity(identities):
    good = bearer(identities.key.token())
    assert echo(identities.http, CLOSED, headers=good).header("X-User-Email") == "ann@example.com"
    for path in ("/", "/api/echo", "/ws/socket.io/"):
        answer = request(identities.http, path, CLOSED)
        assert answer.status == 401 and answer.header("X-Upstream") is None
        assert answer.header("X-Refused") == "identity-required"
        assert answer.header("WWW-Authenticate") == "Bearer"


def test_pages_lead_to_the_sign_in(identities):
    answer = request(identities.http, "/c/1?x=y", PAGES)
    assert answer.status == 302 and answer.header("Location") == LOGIN
    assert request(identities.http, "/api/echo", PAGES).status == 401
    assert request(identities.http, "/ws/socket.io/", PAGES).status == 401
    assert echo(identities.http, PAGES, headers=bearer(identities.key.token())).name == "alpha"


def test_a_token_in_a_cookie(identities):
    token = identities.key.token()
    seen = echo(identities.http, COOKIE, headers=[("Cookie", f"token=x; idp.token={token}; a=b")])
    assert seen.header("X-User-Email") == "ann@example.com"
    twice = [("Cookie", f"idp.token={token}; idp.token={token}")]
    assert_nobody(echo(identities.http, COOKIE, headers=twice))
    assert_nobody(echo(identities.http, COOKIE, headers=bearer(token)))


def test_cookies_of_like_names_are_kept_apart(identities):
    token = identities.key.token()
    mine = f"IDP_Token={token}; idp.token=x; idp_token=x"
    seen = echo(identities.http, CASE, headers=[("Cookie", mine)])
    assert seen.header("X-User-Email") == "ann@example.com"
    others = f"IDP_Token=x; idp.token={token}; idp_token={token}"
    assert_nobody(echo(identities.http, CASE, headers=[("Cookie", others)]))
    seen = echo(identities.http, COOKIE, headers=[("Cookie", others)])
    assert seen.header("X-User-Email") == "ann@example.com"


def test_over_http2(identities):
    with Http2(identities.stack.https_port, OPEN) as client:
        headers = [("authorization", f"Bearer {identities.key.token()}")]
        told = client.request("/api/echo", headers=headers).json()
        assert ["x-user-email", "ann@example.com"] in told["headers"]


# --- attacks ------------------------------------------------------------------------------------


def _now(offset):
    return int(time.time()) + offset


# Name: the token, made from the provider's keys, and the reason that the log tells.
ATTACKS = {
    "alg none": (
        lambda k: unsigned_token(claims(), {"alg": "none", "kid": "k-ES256"}),
        "algorithm-not-allowed",
    ),
    "alg nOnE": (lambda k: unsigned_token(claims(), {"alg": "nOnE"}), "algorithm-not-allowed"),
    "no signature": (
        lambda k: unsigned_token(claims(), {"alg": "ES256", "kid": "k-ES256"}),
        "signature-invalid",
    ),
    "public key as HMAC secret": (
        lambda k: unsigned_token(
            claims(), {"alg": "HS256", "kid": "k-RS256"}, k["RS256"].public_pem()
        ),
        "algorithm-not-allowed",
    ),
    "HMAC that calls itself RS256": (
        lambda k: unsigned_token(
            claims(), {"alg": "RS256", "kid": "k-RS256"}, k["RS256"].public_pem()
        ),
        "signature-invalid",
    ),
    "another kind of key": (
        lambda k: k["ES256"].token(header={"alg": "ES256", "kid": "k-RS256"}),
        "key-of-another-kind",
    ),
    "kid of nobody": (
        lambda k: k["ES256"].token(header={"alg": "ES256", "kid": "nobody"}),
        "unknown-key",
    ),
    "kid as a path": (
        lambda k: unsigned_token(claims(), {"alg": "ES256", "kid": "../../../dev/null"}),
        "unknown-key",
    ),
    "kid that is no text": (
        lambda k: k["ES256"].token(header={"alg": "ES256", "kid": ["k-ES256"]}),
        "token-header-invalid",
    ),
    "own key in the header": (
        lambda k: (lambda o: o.token(header={"alg": "ES256", "kid": "k-ES256", "jwk": o.jwk()}))(
            Key("ES256")
        ),
        "signature-invalid",
    ),
    "own key elsewhere": (
        lambda k: Key("ES256").token(
            header={"alg": "ES256", "kid": "x", "jku": "https://evil.test/jwks"}
        ),
        "unknown-key",
    ),
    "expired": (lambda k: k["ES256"].token(claims(exp=_now(-60))), "expired"),
    "never expires": (lambda k: k["ES256"].token(claims(exp=...)), "claims-invalid"),
    "from tomorrow": (lambda k: k["ES256"].token(claims(nbf=_now(86400))), "not-yet-valid"),
    "another audience": (lambda k: k["ES256"].token(claims(aud="grafana")), "audience-wrong"),
    "no audience": (lambda k: k["ES256"].token(claims(aud=...)), "audience-wrong"),
    "another issuer": (lambda k: k["ES256"].token(claims(iss="https://evil.test")), "issuer-wrong"),
    "unknown crit": (
        lambda k: k["ES256"].token(header={"alg": "ES256", "kid": "k-ES256", "crit": ["x"]}),
        "critical-extension",
    ),
    "unencoded payload": (
        lambda k: k["ES256"].token(header={"alg": "ES256", "kid": "k-ES256", "b64": False}),
        "critical-extension",
    ),
    "huge": (lambda k: k["ES256"].token(claims(x="x" * 7000)), "token-too-big"),
    "nested": (
        lambda k: k["ES256"].token(
            k["ES256"].token(), header={"alg": "ES256", "kid": "k-ES256", "cty": "JWT"}
        ),
        "token-type",
    ),
    "deep": (
        lambda k: k["ES256"].token(json.dumps(claims())[:-1] + ',"x":' + "[" * 99 + "]" * 99 + "}"),
        "claims-invalid",
    ),
    "duplicate claim": (
        lambda k: k["ES256"].token(json.dumps(claims())[:-1] + ',"email":"root@evil.test"}'),
        "claims-invalid",
    ),
    "duplicate header": (
        lambda k: k["ES256"].token(header='{"alg":"ES256","kid":"k-ES256","alg":"none"}'),
        "token-header-invalid",
    ),
    "logout token": (
        lambda k: k["ES256"].token(header={"alg": "ES256", "kid": "k-ES256", "typ": "logout+jwt"}),
        "token-type",
    ),
    "encrypted": (lambda k: k["ES256"].token() + ".x.y", "not-a-token"),
    "unverified address": (
        lambda k: k["ES256"].token(claims(email_verified=False)),
        "email-unverified",
    ),
    "header injection": (
        lambda k: k["ES256"].token(claims(email="a@b.test\r\nX-User-Role: admin")),
        "email-missing",
    ),
    "group injection": (lambda k: k["ES256"].token(claims(groups=["a,admin"])), "value-unfit"),
}


def test_attacks_with_tokens(identities):
    """Each is refused with its reason in the log, of which the reply tells nothing."""
    expected = [
        "algorithm-not-allowed", "signature-invalid", "key-of-another-kind", "unknown-key",
        "token-header-invalid", "expired", "claims-invalid", "not-yet-valid", "audience-wrong",
        "issuer-wrong", "critical-extension", "token-too-big", "token-type", "not-a-token",
        "email-unverified", "email-missing", "value-unfit",
    ]  # fmt: skip
    assert {reason for _, reason in ATTACKS.values()} == set(expected)
    replies = set()
    for name, (make, _) in ATTACKS.items():
        token = make(identities.keys)
        spoof = bearer(token) + [("X-User-Email", "root@evil.test"), ("X-User-Role", "admin")]
        answer = request(identities.http, "/api/echo", CLOSED, headers=spoof)
        assert answer.status == 401, (name, answer)
        replies.add((answer.header("X-Refused"), answer.body))
        assert_nobody(echo(identities.http, OPEN, headers=spoof))
    assert replies == {("identity-required", b'{"detail":"Sign in first"}')}

    # One line for each reason in ten seconds: earlier tests may have had theirs.
    def all_told():
        for make, _ in ATTACKS.values():
            request(identities.http, "/", CLOSED, headers=bearer(make(identities.keys)))
        return set(expected) <= set(identities.refusals())

    wait_until(all_told, "every reason in the log", 40)
    log = identities.stack.agents[0].log()
    assert "eyJ" not in log and "evil.test" not in log


@pytest.mark.parametrize("name", ATTACKS)
def test_explain_tells_why_a_token_is_refused(identities, name):
    make, reason = ATTACKS[name]
    command = ["explain", "-c", identities.stack.config_path, "--json", f"http://{OPEN}/"]
    header = f"Authorization: Bearer {make(identities.keys)}"
    told = json.loads(run_agent_command(*command, "--header", header).stdout)
    assert told["identity"]["refused"] == reason
    assert not [key for key in told["headers"]["set"] if key in SET]


def test_two_tokens_are_none(identities):
    headers = bearer(identities.key.token()) * 2
    assert request(identities.http, "/api/echo", CLOSED, headers=headers).status == 401


def test_bad_tokens_take_no_time_from_other_tenants(new_stack, upstreams, authority):
    """Each has a signature that nobody made, which is tried with four keys of the slowest kind."""
    stack, keys = new_stack(), [Key("ES384", f"k-{i}") for i in range(4)]
    jwks = stack.directory / "slow.json"
    jwks.write_text(key_set(*keys))
    about = jwt(jwks, required=True)
    stack.config["log"] = {"format": "json"}
    stack.write_tenants(
        {
            "flooded": Identities.tenant(CLOSED, upstreams["alpha"].url, about),
            "other": Identities.tenant(OPEN, upstreams["beta"].url, about),
        }
    )
    stack.start()

    def status(host, token):
        return request(stack.http_port, "/api/echo", host, headers=bearer(token)).status

    signed_by_nobody = keys[0].token(header={"alg": "ES384"}).rpartition(".")[0]
    known = keys[0].token(claims("known@example.com"))
    assert status(CLOSED, known) == 200
    refusals = []
    with connect(stack.http_port) as sock:
        answers = Pipeline(sock)
        while refusals[-1:] != [(503, "identity-unverified")]:
            token = f"{signed_by_nobody}.{base64url(os.urandom(96))}"
            sock.sendall(request_bytes("GET", "/api/echo", CLOSED, bearer(token)))
            answer = read_answer(answers)
            refusals.append((answer.status, answer.header("X-Refused")))
            assert len(refusals) < 3000
    assert set(refusals[:-1]) == {(401, "identity-required")}
    assert answer.header("Retry-After") == "5"
    assert status(CLOSED, known) == 200
    assert status(OPEN, keys[1].token(claims("new@example.com"))) == 200
    fresh = keys[2].token(claims("fresh@example.com"))
    wait_until(lambda: status(CLOSED, fresh) == 200, "the end of it", 10)
    events = stack.agents[0].log().splitlines()
    told = [json.loads(line) for line in events if '"identity-unverified"' in line]
    assert [(one["event"], one["tenant"]) for one in told] == [("identity_refused", "flooded")]


# --- client certificates ------------------------------------------------------------------------


def with_certificate(identities, path, host=CERTS):
    context = tls_context()
    if path is not None:
        context.load_cert_chain(path)
    return echo(identities.stack.https_port, host, tls_name=host, tls=context)


def test_a_verified_certificate_becomes_headers(identities, tmp_path):
    path = identities.authority.issue_client(
        tmp_path / "ann.pem", "Ann Ö", ["Ann@Example.com"], ["staff", "ops"]
    )
    seen = with_certificate(identities, path)
    assert seen.header("X-User-Email") == "ann@example.com"
    assert seen.header("X-User-Name") == "Ann %C3%96"
    assert seen.header("X-User-Groups") == "staff,ops"
    assert_nobody(with_certificate(identities, path, OPEN))


def test_no_certificate_is_nobody(identities):
    assert_nobody(with_certificate(identities, None))


def test_a_certificate_of_a_stranger_is_nobody(identities, tmp_path):
    from support.certificates import Authority

    stranger = Authority(tmp_path)
    assert_nobody(
        with_certificate(
            identities, stranger.issue_client(tmp_path / "x.pem", "x", ["root@evil.test"])
        )
    )


@pytest.mark.parametrize(
    "emails, days", [(["a@b.test", "c@d.test"], 30), ([], 30), (["a@b.test"], -1)]
)
def test_certificates_that_are_not_good_enough(identities, tmp_path, emails, days):
    path = identities.authority.issue_client(tmp_path / "c.pem", "c", emails, days=days)
    assert_nobody(with_certificate(identities, path))


def test_a_resumed_session_is_still_the_user(identities, tmp_path):
    path = identities.authority.issue_client(tmp_path / "r.pem", "r", ["r@example.com"])
    context = tls_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(path)
    session, seen = None, []
    for _ in range(2):
        raw = socket.create_connection(("127.0.0.1", identities.stack.https_port), timeout=10)
        with context.wrap_socket(raw, server_hostname=CERTS, session=session) as sock:
            sock.sendall(request_bytes("GET", "/api/echo", CERTS))
            told = Echo(read_answer(sock)).header("X-User-Email")
            seen.append((sock.session_reused, told))
            session = sock.session
    assert seen == [(False, "r@example.com"), (True, "r@example.com")]


# --- users of a shared host ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "email, upstream, header", [
        ("ann@example.com", "beta", "X-User-Email"),
        ("Bob@Guests.TEST", "gamma", "X-Guest"),
    ],
)  # fmt: skip
def test_the_address_leads_to_the_tenant(identities, email, upstream, header):
    seen = echo(identities.http, SHARED, headers=bearer(identities.key.token(claims(email))))
    assert seen.name == upstream
    assert seen.header(header) == email.lower()
    assert seen.header("X-Tenant-ID") == {"beta": "staff", "gamma": "guests"}[upstream]


def test_the_tenant_that_it_leads_to_has_rules_of_its_own(identities):
    def status(email, path, body=b""):
        headers = bearer(identities.key.token(claims(email)))
        method = "POST" if body else "GET"
        return request(identities.http, path, SHARED, method, headers, body).status

    assert status("ann@example.com", "/api/v1/scim/v2/Users") == 403
    assert status("bob@guests.test", "/api/v1/scim/v2/Users") == 200
    assert status("ann@example.com", "/api/echo", b"x" * 1025) == 413
    assert status("bob@guests.test", "/api/echo", b"x" * 1025) == 200


def test_an_address_of_nobodys_domain(identities):
    for email in ("x@evil.test", "x@sub.example.com", "x@example.com.evil.test"):
        answer = request(
            identities.http, "/", SHARED, headers=bearer(identities.key.token(claims(email)))
        )
        assert answer.status == 403 and answer.header("X-Refused") == "email-domain", email
    assert request(identities.http, "/", SHARED).status == 401


# --- keys that change ---------------------------------------------------------------------------


def test_a_changed_file_of_keys_counts(new_stack, upstreams, authority):
    stack = new_stack()
    made = Identities(stack, upstreams, authority)
    stack.start()
    other = Key("ES256", "k-2")
    assert_nobody(echo(made.http, OPEN, headers=bearer(other.token())))
    beside = stack.directory / "jwks.new"
    beside.write_text(key_set(other))
    beside.rename(made.jwks)
    wait_until(
        lambda: echo(made.http, OPEN, headers=bearer(other.token())).header("X-User-Email"),
        "the new key",
    )
    assert_nobody(echo(made.http, OPEN, headers=bearer(made.key.token())))
    made.jwks.write_text("{}")  # nonsense changes nothing
    wait_until(lambda: "jwks_failed" in stack.agents[0].log(), "a complaint")
    seen = echo(made.http, OPEN, headers=bearer(other.token()))
    assert seen.header("X-User-Email") == "ann@example.com"


def test_keys_that_could_not_be_read_are_read_later(new_stack, upstreams, authority):
    """Once the process has used up its descriptors, and the file has changed meanwhile."""
    stack = new_stack()
    made = Identities(stack, upstreams, authority)
    stack.start()
    agent, other = stack.agents[0], Key("ES256", "k-2")
    with no_descriptors(agent.pid):
        made.jwks.write_text(key_set(other))
        wait_until(lambda: "Too many open files" in agent.log(), "a complaint")
        time.sleep(2.5)  # two looks
    wait_until(lambda: request(made.http, "/api/version", OPEN).status == 200, "HAProxy is back")
    wait_until(
        lambda: echo(made.http, OPEN, headers=bearer(other.token())).header("X-User-Email"),
        "the new key",
    )
    assert agent.log().count("jwks_failed") == 1


@pytest.fixture
def provider(authority, tmp_path):
    one = Provider(authority, tmp_path)
    yield one
    one.stop()


def start_with_keys(stack, upstreams, authority, provider, **jwks):
    """What gives the address that the upstream is told for a token by a key."""
    stack.config["jwks"] = {"ca_file": str(authority.path), **jwks}
    tenant = Identities.tenant(OPEN, upstreams["alpha"].url, jwt(provider.url))
    stack.write_tenants({"open": tenant})
    stack.issue(OPEN)
    stack.start()
    return lambda key: echo(stack.http_port, OPEN, headers=bearer(key.token())).header(
        "X-User-Email"
    )


def test_keys_are_fetched_kept_and_rotated(new_stack, upstreams, authority, provider):
    first, second = Key("ES256", "k-1"), Key("RS256", "k-2")
    provider.body = key_set(first)
    stack = new_stack()
    cache = stack.directory / "jwks"
    email = start_with_keys(
        stack, upstreams, authority, provider, refresh="2s", cache_dir=str(cache)
    )

    wait_until(lambda: email(first), "the first key")
    assert [path.stat().st_mode & 0o777 for path in cache.iterdir()] == [0o600]
    assert email(second) is None
    # Rotation: a token with an unknown key id has the provider asked again.
    provider.body = key_set(first, second)
    wait_until(lambda: email(second), "the second key")
    # A provider that is out of order changes nothing.
    provider.status = 500
    wait_until(lambda: "jwks_failed" in stack.agents[0].log(), "a complaint")
    provider.protocol, provider.status = "HTTP/2", 99999
    wait_until(lambda: "has no status" in stack.agents[0].log(), "another one")
    assert email(first) and email(second)
    # Nor does a restart meanwhile.
    stack.agents[0].stop()
    stack.start_agent()
    stack.wait_for_agents(1)
    assert email(first) and email(second)
    # A key that is taken back is gone.
    provider.protocol, provider.status = "HTTP/1.0", 200
    provider.body = key_set(second)
    wait_until(lambda: email(first) is None, "the end of the first key")
    assert email(second)


def test_another_key_under_the_same_name_is_fetched(new_stack, upstreams, authority, provider):
    """Some providers have one name for all of their keys."""
    first, second = Key("ES256", "k-1"), Key("ES256", "k-1")
    provider.body = key_set(first)
    email = start_with_keys(new_stack(), upstreams, authority, provider, refresh="1h")

    wait_until(lambda: email(first), "the first key")
    provider.body = key_set(second)
    wait_until(lambda: email(second), "the second key", 60)
    assert email(first) is None


def test_keys_that_could_not_be_kept_are_kept_later(new_stack, upstreams, authority, provider):
    provider.body = key_set(Key("ES256", "k-1"))
    stack = new_stack()
    cache = stack.directory / "jwks"
    cache.write_text("no folder")
    start_with_keys(stack, upstreams, authority, provider, refresh="2s", cache_dir=str(cache))
    wait_until(lambda: "jwks_not_kept" in stack.agents[0].log(), "a complaint")
    cache.unlink()
    wait_until(lambda: cache.is_dir() and list(cache.iterdir()), "the keys on disk")


def test_keys_are_kept_in_the_folder_that_is_told_now(new_stack, upstreams, authority, provider):
    key = Key("ES256", "k-1")
    provider.body = key_set(key)
    stack = new_stack()
    jwks = {"refresh": "1h", "cache_dir": str(stack.directory / "jwks")}
    email = start_with_keys(stack, upstreams, authority, provider, **jwks)
    wait_until(lambda: email(key), "the key")
    cache = stack.directory / "elsewhere"
    stack.config["jwks"]["cache_dir"] = str(cache)
    stack.write_config()
    wait_until(lambda: cache.is_dir() and list(cache.iterdir()), "the key in the new folder")
    provider.status = 500
    stack.agents[0].stop()
    stack.start_agent()
    stack.wait_for_agents(1)
    assert email(key)


def test_a_token_by_no_known_key_has_its_own_issuer_asked_alone(
    new_stack, upstreams, authority, provider, tmp_path
):
    """Whoever sends such tokens must not have all issuers asked, of whom there may be thousands."""
    (tmp_path / "other").mkdir()
    other = Provider(authority, tmp_path / "other")
    try:
        known = Key("ES256", "k-1")
        provider.body = other.body = key_set(known)
        stack = new_stack()
        stack.config["jwks"] = {"ca_file": str(authority.path), "refresh": "1h"}
        tenants = {
            "open": Identities.tenant(OPEN, upstreams["alpha"].url, jwt(provider.url)),
            "closed": Identities.tenant(CLOSED, upstreams["alpha"].url, jwt(other.url)),
        }
        stack.write_tenants(tenants)
        for host in OPEN, CLOSED:
            stack.issue(host)
        stack.start()

        def email(host, key):
            headers = bearer(key.token())
            return echo(stack.http_port, host, headers=headers).header("X-User-Email")

        for host in OPEN, CLOSED:
            wait_until(lambda host=host: email(host, known), "the keys")
        asked = provider.requests
        stranger = Key("ES256", "k-2")
        provider.body = key_set(known, stranger)
        wait_until(lambda: email(OPEN, stranger), "the second key", 60)
        assert provider.requests == asked + 1 and other.requests == 1
    finally:
        other.stop()


def test_a_provider_is_verified_too(new_stack, upstreams, authority, provider, tmp_path):
    from support.certificates import Authority

    stranger = tmp_path / "stranger"
    stranger.mkdir()
    stack = new_stack()
    stack.config["jwks"] = {
        "ca_file": str(Authority(stranger).path),
        "cache_dir": str(stack.directory / "jwks"),
    }
    key = Key("ES256")
    provider.body = key_set(key)
    tenant = Identities.tenant(OPEN, upstreams["alpha"].url, jwt(provider.url, required=True))
    stack.write_tenants({"open": tenant})
    stack.issue(OPEN)
    stack.start()
    wait_until(lambda: "jwks_failed" in stack.agents[0].log(), "a complaint")
    assert request(stack.http_port, "/", OPEN, headers=bearer(key.token())).status == 401
    assert provider.requests == 0


# --- HAProxy's configuration --------------------------------------------------------------------


def test_a_header_that_haproxy_does_not_strip_is_not_believed(new_stack, upstreams, authority):
    """A tenant whose header is of a new name is live at once, haproxy.cfg is not."""
    stack = new_stack()
    made = Identities(stack, upstreams, authority)
    stack.start()
    identity = jwt(made.jwks, set={"X-New-Email": "{email}"})
    late = Identities.tenant("late.id.test", upstreams["alpha"].url, identity)
    stack.write_tenants({"late": late}, file="late.json")
    wait_until(lambda: request(made.http, "/", "late.id.test").status == 503, "the new tenant")
    for headers in ([], [("X-New-Email", "root@evil.test")], bearer(made.key.token())):
        answer = request(made.http, "/", "late.id.test", headers=headers)
        assert answer.status == 503 and answer.header("X-Refused") == "header-not-stripped"
    wait_until(lambda: "haproxy_config_differs" in stack.agents[0].log(), "the hint")
    assert "header-not-stripped" in made.refusals()
    # The others go on.
    assert echo(made.http, OPEN, headers=bearer(made.key.token())).header("X-User-Email")
    stack.write_haproxy_config()
    stack.haproxy.stop()
    stack.start_haproxy()
    seen = echo(made.http, "late.id.test", headers=bearer(made.key.token()))
    assert seen.header("X-New-Email") == "ann@example.com"
    seen = echo(made.http, "late.id.test", headers=[("X-New-Email", "root@evil.test")])
    assert seen.header("X-New-Email") is None


def test_check_proves_that_every_trusted_header_is_stripped(identities, tmp_path):
    def check(*arguments, config=identities.stack.config_path):
        return run_agent_command("check", "-c", config, *arguments)

    told = json.loads(check("--json").stdout)
    assert sorted(told["stripped"]) == sorted([*SET, "X-Guest"])
    text = check().stdout
    assert "\nno client can send: " in "\n" + text and "lets clients send" not in text

    # What HAProxy has is older, and changed by hand.
    lines = (identities.stack.haproxy_dir / "haproxy.cfg").read_text().splitlines(keepends=True)
    rule = "http-request del-header "
    changed = [line for line in lines if line.strip() != rule + "X-User-Role"]
    place = next(i for i, line in enumerate(changed) if line.strip() == rule + "X-User-Email")
    changed[place] = changed[place].rstrip("\n") + " if { src 10.0.0.0/8 }\n"
    assert len(changed) == len(lines) - 1
    (tmp_path / "haproxy.cfg").write_text("".join(changed))
    config = tmp_path / "owui-spoa.json"
    spoe = {"spoe_file": str(tmp_path / "owui.spoe.cfg")}
    haproxy = {**identities.stack.config["haproxy"], **spoe}
    config.write_text(json.dumps({**identities.stack.config, "haproxy": haproxy}))
    done = check("--json", config=config)
    told = json.loads(done.stdout)
    assert sorted(told["stripped"]) == ["X-Guest", "X-User-Groups", "X-User-Name"]
    missing = [
        one["message"] for one in told["diagnostics"] if "lets clients send" in one["message"]
    ]
    assert len(missing) == 2 and done.returncode == 0
    assert "X-User-Email" in "".join(missing) and "X-User-Role" in "".join(missing)
    (tmp_path / "haproxy.cfg").unlink()
    assert "stripped" not in json.loads(check("--json", config=config).stdout)


def test_every_trusted_header_is_stripped(identities):
    text = (identities.stack.haproxy_dir / "haproxy.cfg").read_text()
    for name in [*SET, "X-Guest"]:
        assert text.count(f"http-request del-header {name}\n") == 1
    spoe = (identities.stack.haproxy_dir / "owui.spoe.cfg").read_text()
    stripped = "/x_guest/x_user_email/x_user_groups/x_user_name/x_user_role/"
    assert f"strip=str({stripped})" in spoe
    assert HAPROXY_VERSION >= (2, 6)
