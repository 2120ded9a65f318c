"""The published JSON Schemas say what the program says: documents that both take or both refuse,
and the keys of every object, which both must know."""

import copy
import json
import re

import jsonschema
import pytest

from support.stack import REPOSITORY, run_agent_command

FOLDER = REPOSITORY / "docs/schema"
SCHEMAS = {
    name: json.loads((FOLDER / f"{name}.schema.json").read_text())
    for name in ("owui-spoa", "tenants")
}
TENANT = {"hosts": ["chat.example.com"], "upstream": "http://10.0.0.1:3000"}
VERSIONS = {"blue": "http://10.0.0.1:3000", "green": "https://green.internal"}
PATH = {"host": "example.com", "prefix": "/owui/"}


def validator(name):
    store = {schema["$id"]: schema for schema in SCHEMAS.values()}
    resolver = jsonschema.RefResolver(SCHEMAS[name]["$id"], SCHEMAS[name], store=store)
    return jsonschema.Draft7Validator(SCHEMAS[name], resolver=resolver)


def check(folder, document):
    path = folder / "owui-spoa.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    (folder / "fleet.csv").write_text("acme,http://10.0.0.1:3000\n")
    return run_agent_command("check", "--elsewhere", "-c", path)


def refused(done):
    """1: some tenants are wrong; 2: nothing can be served."""
    return done.returncode in (1, 2) and "error[E" in done.stdout + done.stderr


def with_global(**keys):
    return {**keys, "tenants": {"chat": TENANT}}


def with_tenant(**keys):
    tenant = {key: value for key, value in {**TENANT, **keys}.items() if value is not ...}
    return {"haproxy": {"backends": {"big": {}}}, "tenants": {"chat": tenant}}


def with_haproxy(**keys):
    return with_global(haproxy=keys)


JWT = {
    "from": "jwt",
    "issuer": "https://id.test",
    "audience": "owui",
    "jwks": "https://id.test/jwks",
    "set": {"X-User-Email": "{email}"},
}
CERT = {"from": "client_cert", "set": {"X-User-Email": "{email}"}}


def with_identity(base=JWT, **keys):
    identity = {key: value for key, value in {**base, **keys}.items() if value is not ...}
    document = with_tenant(identity=identity)
    document["haproxy"]["client_ca_file"] = "/etc/haproxy/clients.pem"
    document["tenants"]["other"] = {
        "upstream": "http://10.0.0.2:3000",
        "identity": {"from": "shared", "set": {"X-User-Email": "{email}"}},
    }
    return document


def with_other(routes):
    document = with_tenant(routes=routes)
    document["tenants"]["chat-2.b_c"] = {**TENANT, "hosts": ["two.example.com"]}
    return document


def with_replicas(_check=..., upstream=..., **keys):
    replicas = {"servers": ["10.0.0.1:80", "10.0.0.2:80"], **keys}
    replicas = {key: value for key, value in replicas.items() if value is not ...}
    return with_tenant(upstream=upstream, replicas=replicas, check=_check)


def with_labels(hosts=("*.example.com",), upstream=..., **keys):
    keys.setdefault("upstream_map", "fleet.csv")
    return with_tenant(hosts=list(hosts), upstream=upstream, **keys)


def unknown(**keys):
    return with_labels(unknown_label=keys)


def with_path(**keys):
    path = {key: value for key, value in {**PATH, **keys}.items() if value is not ...}
    return with_tenant(paths=[path])


GOOD = [
    {},
    {"tenants": {}},
    {"tenants": {"chat": TENANT}},
    with_tenant(hosts=["192.0.2.7", "[::1]"], https="off"),
    with_global(schema=1, **{"$schema": "https://example.com/x", "// note": 1, "_x": {"y": 2}}),
    with_global(listen=["unix:@a", "unix:/var/lib/haproxy/a.sock", "tcp:12345", "tcp:[::1]:1"]),
    with_global(listen=["tcp:127.0.0.1:1", "systemd:spop"]),
    with_global(listen_group="haproxy", listen_mode="0600", loops=64, trace=0),
    with_global(trace={"entries": 10, "file": "/tmp/trace"}),
    with_global(trace={}),
    with_global(log={"level": "debug", "format": "json", "// c": 1}),
    with_global(trusted_proxies=[{"cidrs": ["10.0.0.0/8", "fd00::/8"], "name": "lb"}]),
    with_global(trusted_proxies=[{"cidrs": [], "client_ip_header": "cf-connecting-ip"}]),
    with_global(upstream_allow=["10.0.0.0/8", "::1", "192.0.2.7"]),
    with_global(forwarding={}, generation_header={"for": ["10.0.0.0/8", "::1"], "_": 1}),
    with_global(forwarding={"x_forwarded_for": "append", "forwarded": True, "trace": "keep"}),
    with_global(forwarding={"x_forwarded_for": "single", "trace": "drop", "// c": 1}),
    with_global(unknown_host={}),
    with_global(unknown_host={"action": "deny", "status": 421}),
    with_global(unknown_host={"status": 403}),
    with_global(unknown_host={"action": "redirect", "to": "https://example.com"}),
    with_global(unknown_host={"action": "tenant", "tenant": "chat"}),
    with_global(strip_headers=["X-User-Email"], tenant_id_header="X-Owner"),
    with_global(tenant_id_header="X-Tenant-ID"),
    with_global(headers={"X-Site": "main", "// c": 5}),
    with_global(defaults={"https": "off", "headers": {"X-Ip": "{client_ip}"}}),
    with_global(resolver={"interval": "10m"}),
    with_global(resolver={"interval": "5s"}),
    with_global(resolver={"nameservers": ["10.0.0.2", "127.0.0.1:8600", "[::1]", "[::1]:53"]}),
    with_haproxy(),
    with_haproxy(http=["*:80", ":81", "127.0.0.1:82", "[::1]:83"], https=[], https_port=8443),
    with_haproxy(runtime=["/run/h.sock", "master:/run/m.sock"], agents=["tcp:1"]),
    with_haproxy(crt_dir="/etc/certs", spoe_file="/etc/o.cfg", upstream_ca_file="/etc/ca.pem"),
    with_haproxy(chroot=None, user=None, group=None),
    with_haproxy(fallback_map="/var/lib/owui-spoa/fallback.map"),
    with_haproxy(decision_map="/var/lib/owui-spoa/decisions.map"),
    with_haproxy(user="h", group="h-1", proxy_protocol={"from": ["10.0.0.0/8"]}),
    with_haproxy(backends={"big": {"servers": ["10.0.0.1:80", "b.test:80"], "check": "/ready"}}),
    with_haproxy(timeouts={"server": "30m", "tunnel": "1d", "agent": "200ms"}),
    with_global(acme={"challenge_listen": "127.0.0.1:8688"}),
    with_global(acme={"directory": "https://ca.test/dir", "contact": ["mailto:a@b.test"]}),
    with_global(acme={"preflight": False}),
    with_global(acme={"placeholder": True}),
    with_global(acme={"owner": "haproxy", "group": "haproxy"}),
    with_global(acme={"second": {"directory": "letsencrypt"}}),
    with_global(
        acme={
            "second": {
                "directory": "https://ca.test/dir",
                "ca_file": "ca.pem",
                "after": 2,
                "external_account": {"kid": "k", "secret_file": "secret"},
            }
        }
    ),
    with_global(acme={"preflight": {"haproxy": False, "_": "another container", "dns": True}}),
    with_global(acme={"preflight": {}}),
    with_global(acme={"limits": "off"}),
    with_tenant(hosts=["*.example.com", "a.example.com", "Bücher.example"]),
    with_tenant(upstream="https://chat.internal:8443/"),
    with_tenant(upstream="http://[fd00::1]:3000"),
    with_tenant(upstream="http://open_webui:8080"),
    with_tenant(hosts=["*.a.test"], label="[a-z]+", upstream="http://{1}.internal:80"),
    with_tenant(hosts=["*.a.test"], label="[a-z]+", upstream="https://x-{label}"),
    with_tenant(upstream="https://10.0.0.1", upstream_tls={"verify": False}),
    with_tenant(upstream="https://10.0.0.1", upstream_tls={"server_name": "a.test"}),
    with_tenant(upstream=..., backend="big"),
    with_tenant(https="off", headers={"X-Team": "{tenant}", "X-Drop": None, "_": []}),
    with_tenant(upstream=..., versions=VERSIONS, active="green"),
    with_tenant(upstream=..., versions={**VERSIONS, "_": 1}, active="blue", upstream_tls={}),
    with_global(defaults={"canonical_host": True, "hsts": {"max_age": "365d"}}),
    with_tenant(canonical_host=False, hsts=None),
    with_tenant(secure_cookies=True, nosniff=False),
    with_tenant(certificate_file="wildcard.pem"),
    with_global(defaults={"secure_cookies": False, "nosniff": True}),
    with_global(defaults={"hsts": None}),
    with_tenant(hsts={"max_age": "0s", "subdomains": False, "// c": 1}),
    with_tenant(hsts={"max_age": "730d", "subdomains": True, "preload": True}),
    with_tenant(origins=["https://portal.test", "tauri://localhost", "http://[::1]:81"]),
    with_tenant(origins=[], origin_check="required", require_sni_match=True),
    with_global(defaults={"origins": ["https://a.test"], "origin_check": "off"}),
    with_global(pages_listen="[::1]:8700"),
    with_global(admin_http={}),
    with_global(
        admin_http={
            "listen": "[::1]:8690",
            "tokens_file": "/etc/owui-spoa/tokens.json",
            "hosts": ["admin.example.com", "a"],
            "requests_per_minute": 60,
            "// c": 1,
        }
    ),
    with_global(metrics={}),
    with_global(metrics={"listen": "127.0.0.1:9478", "tenants": 0, "_": 1}),
    with_global(metrics={"listen": "[::1]:9478", "tenants": 10000}),
    with_global(metrics={"listen": "127.1.2.3:9478"}),
    with_tenant(maintenance={"on": False, "retry_after": "1d", "allow_ips": ["::1", "10.0.0.0/8"]}),
    with_tenant(maintenance={"on": True, "_": 0}, suspended={}),
    with_tenant(maintenance={"window": {"from": "2026-12-01T02:00Z", "to": "2026-12-01T03:00Z"}}),
    with_tenant(
        maintenance={
            "window": {"from": "2026-12-01T02:00:30.5+02:00", "to": "2027-01-01T00:00-01:00"}
        }
    ),
    with_tenant(suspended={"status": 403, "// c": 1}),
    with_global(jwks={"ca_file": "/etc/ca.pem", "cache_dir": "/var/x", "refresh": "10m"}),
    with_identity(),
    with_identity(audience=["a", "b c"], algorithms=["ES256", "EdDSA"], leeway="0s"),
    with_identity(header="Cf-Access-Jwt-Assertion", jwks="/etc/owui-spoa/jwks.json"),
    with_identity(cookie="idp.token", required=True, login="https://id.test/start?a=b"),
    with_identity(email="upn", name="https://id.test/name", groups="g", role="r"),
    with_identity(groups="realm_access.roles", role="a.b.c.d.e.f.g.h", email="user.mail"),
    with_identity(groups=["resource_access", "my.client", "roles"], email=["https://a.b/c"]),
    with_identity(groups="https://a.b/c.https://d", role="a b.c d", name=["a.b"] * 8),
    with_identity(set=..., email_domains={"example.com": "other", "*": "other", "// c": 1}),
    with_identity(set={"X-Forwarded-Email": "{email}", "Remote-User": "<{name}>", "_": 0}),
    with_identity(CERT),
    with_identity(CERT, email="subject_cn", name="subject_email", groups="subject_ou"),
    with_identity(CERT, set=..., required=True, **{"// c": 1}),
    with_haproxy(tell=["origin", "sni", "method", "credential", "user", "replica"]),
    with_tenant(allow_ips=["10.0.0.0/8", "::1"], deny_ips=[], refuse_scanners=False),
    with_global(defaults={"allow_ips": ["10.0.0.0/8"], "refuse_scanners": True}),
    with_tenant(limits={}, timeouts={}),
    with_tenant(limits={"requests_per_10s": 400, "max_body": "100MB", "websockets": 2000, "_": 1}),
    with_tenant(
        limits={"signin_per_minute_per_ip": 10, "signin_per_minute_per_subnet": 50},
        timeouts={"server": "30m", "tunnel": "1h"},
    ),
    with_tenant(limits={"requests_per_10s": None, "max_body": None}, timeouts={"server": None}),
    with_global(defaults={"limits": {"max_body": "1GB"}, "timeouts": {"tunnel": "1d"}}),
    with_tenant(
        routes=[
            {
                "match": {},
                "limits": {"requests_per_10s": 5, "websockets": 5},
                "timeouts": {"server": "30m"},
            },
            {"match": {}, "action": "allow", "limits": {"max_body": None}},
        ]
    ),
    with_haproxy(tables={"requests": 1000, "signin": 1000000, "websockets": 5000}),
    with_tenant(routes=[]),
    with_tenant(routes=[{"match": {}}, {"match": {"path": "/"}, "action": "allow", "_": 1}]),
    with_tenant(routes=[{"match": {"method": ["GET"]}, "action": "deny", "status": 404}]),
    with_other([{"match": {"share": 10, "hours": {}}, "tenant": "chat-2.b_c", "_": 1}]),
    with_labels(label="[a-z]+"),
    with_labels(upstream_tls={"verify": False}),
    unknown(),
    unknown(action="deny", status=421, _=1),
    unknown(action="redirect", to="https://example.com/signup?name={1}&again={label}"),
    with_tenant(
        routes=[
            {
                "match": {
                    "hours": {"days": ["mon"], "from": "22:00", "to": "06:00", "// c": 1},
                    "not_hours": {"zone": "Europe/Berlin", "to": "24:00", "from": "23:59"},
                }
            },
            {"match": {"hours": {"zone": "+05:45"}}, "action": "deny"},
        ]
    ),
    with_replicas(pools={}),
    with_replicas(pools={"jobs": ["10.0.0.1:80"], "_": 1}),
    with_tenant(
        routes=[{"match": {"path": "/a/", "credential": "none", "ip": ["::/0"], "not_ip": ["::1"]}}]
    ),
    with_path(mode="takeover"),
    with_path(mode="root-share", prefix=...),
    with_global(cookie_key_file="/etc/owui-spoa/cookie.key"),
    with_replicas(),
    with_replicas(sticky="user", fallback="client", slow_start="0s", draining=["10.0.0.1:80"]),
    with_replicas(servers=["https://a.test", "http://[::1]:81", "b_c:8080"], sticky="cookie"),
    with_replicas(_check=False),
    with_replicas(_check={"path": "/a?b", "fallback": None, "every": "1s", "rise": 1, "fall": 20}),
    with_tenant(check={"// c": 1}),
    with_path(),
    with_path(mode="redirect", prefix="/a/b"),
    with_path(mode="strip", only=["/api/", "/openai/v1"]),
    with_path(mode="keep"),
    with_tenant(hosts=..., paths=[{**PATH, "mode": "strip", "only": ["/api/"]}]),
]

# Both refuse.
BAD = [
    [],
    with_global(jwks={"refresh": "often"}),
    with_global(forwarding=True),
    with_tenant(secure_cookies="yes"),
    with_tenant(certificate_file="../wildcard.pem"),
    with_tenant(certificate_file=".wildcard.pem"),
    with_tenant(certificate_file="wildcard.crt"),
    with_global(defaults={"nosniff": 1}),
    with_tenant(routes=[{"match": {"share": 0}}]),
    with_tenant(routes=[{"match": {"share": 100}}]),
    with_tenant(routes=[{"match": {"share": "10%"}}]),
    with_tenant(routes=[{"match": {"hours": "08:00"}}]),
    with_labels(upstream="http://10.0.0.1:3000"),
    with_labels(upstream_map=""),
    with_labels(upstream_map=["fleet.csv"]),
    with_labels(check={}),
    with_tenant(unknown_label={}),
    with_labels(unknown_label="deny"),
    unknown(action="tenant"),
    unknown(status=402),
    unknown(status=0),
    unknown(status="404"),
    unknown(action="redirect"),
    unknown(action="redirect", to="https://example.com/", status=404),
    unknown(to="https://example.com/"),
    unknown(action="redirect", to="http://example.com/"),
    unknown(action="redirect", to="https://example.com/{host}"),
    unknown(action="redirect", to="https://example.com/a b"),
    unknown(action="redirect", to="https://example.com/%20"),
    unknown(why="x"),
    with_tenant(routes=[{"match": {"hours": {"days": []}}}]),
    with_tenant(routes=[{"match": {"hours": {"days": ["monday"]}}}]),
    with_tenant(routes=[{"match": {"hours": {"days": ["mon", "mon"]}}}]),
    with_tenant(routes=[{"match": {"hours": {"from": "8:00"}}}]),
    with_tenant(routes=[{"match": {"hours": {"from": "24:01"}}}]),
    with_tenant(routes=[{"match": {"hours": {"to": "12:60"}}}]),
    with_tenant(routes=[{"match": {"not_hours": {"zone": "+1"}}}]),
    with_tenant(routes=[{"match": {"not_hours": {"zone": "../../etc/passwd"}}}]),
    with_tenant(routes=[{"match": {}, "tenant": "A"}]),
    with_tenant(routes=[{"match": {}, "tenant": "other", "pool": "jobs"}]),
    with_tenant(routes=[{"match": {}, "tenant": "other", "limits": {}}]),
    with_tenant(routes=[{"match": {}, "tenant": "other", "timeouts": {}}]),
    with_tenant(routes=[{"match": {}, "action": "deny", "tenant": "other"}]),
    with_tenant(routes=[{"match": {}, "action": "deny", "pool": "jobs"}]),
    with_replicas(pools={"-": ["10.0.0.1:80"]}),
    with_replicas(pools={"jobs": []}),
    with_replicas(pools=["10.0.0.1:80"]),
    with_global(forwarding={"x_forwarded_for": "many"}),
    with_global(forwarding={"forwarded": "yes"}),
    with_global(forwarding={"trace": True}),
    with_global(generation_header={}),
    with_global(generation_header={"for": []}),
    with_global(generation_header={"for": ["me"]}),
    with_global(jwks=[]),
    with_identity({}),
    with_identity(**{"from": "basic"}),
    with_identity(issuer=...),
    with_identity(audience=...),
    with_identity(audience=[]),
    with_identity(audience=["a", "a"]),
    with_identity(audience=" a"),
    with_identity(jwks=...),
    with_identity(jwks="http://id.test/jwks"),
    with_identity(algorithms=[]),
    with_identity(algorithms=["HS256"]),
    with_identity(algorithms=["none"]),
    with_identity(header="X_Y"),
    with_identity(cookie="a;b"),
    with_identity(header="X-A", cookie="a"),
    with_identity(leeway=30),
    with_identity(required="yes"),
    with_identity(login="https://id.test/"),
    with_identity(required=True, login="/login"),
    with_identity(set=...),
    with_identity(set={"X-User-Email": "root"}),
    with_identity(set={"Authorization": "{email}"}),
    with_identity(set={"X-Api-Key": "{email}"}),
    with_identity(set={"X-Forwarded-For": "{email}"}),
    with_identity(set={"X-User-Email": 1}),
    with_identity(email_domains={}),
    with_identity(email_domains={"Example.com": "other"}),
    with_identity(email_domains={"example.com": 1}),
    with_identity(issuer_file="/etc/ca.pem"),
    with_identity(groups="a..b"),
    with_identity(groups=".a"),
    with_identity(groups="a."),
    with_identity(groups="."),
    with_identity(groups="a. b"),
    with_identity(groups="a.b.c.d.e.f.g.h.i"),
    with_identity(groups="user.https://a.b/c"),
    with_identity(groups=[]),
    with_identity(groups=[""]),
    with_identity(groups=["a"] * 9),
    with_identity(groups=["a", ["b"]]),
    with_identity(groups=["a\nb"]),
    with_identity(groups={"a": "b"}),
    with_identity(email=7),
    with_identity(CERT, email=["san_email"]),
    with_identity(CERT, email="san.email"),
    with_identity(CERT, issuer="x"),
    with_identity(CERT, email="email"),
    with_identity(CERT, role="subject_ou"),
    with_identity({"from": "shared", "set": {"X-A": "{email}"}}, email="a"),
    with_identity({"from": "shared"}),
    with_tenant(identity=[]),
    with_global(nope=1),
    with_global(schema=2),
    with_global(schema="1"),
    with_global(**{"$schema": 1}),
    with_global(listen=[]),
    with_global(listen="unix:@a"),
    with_global(listen=["unix:@a", "unix:@a"]),
    with_global(listen=["/run/a.sock"]),
    with_global(listen=["tcp:localhost:1"]),
    with_global(listen_mode="660x"),
    with_global(listen_mode=660),
    with_global(listen_group="a b"),
    with_global(loops=0),
    with_global(loops=65),
    with_global(loops=1.5),
    with_global(trace=-1),
    with_global(trace={"entries": 0}),
    with_global(trace={"file": 1}),
    with_global(trace={"fil": "/tmp/trace"}),
    with_global(trace="on"),
    with_global(log={"level": "loud"}),
    with_global(log={"colour": True}),
    with_global(tenants_dir="a b"),
    with_global(trusted_proxies=[{"name": "x"}]),
    with_global(trusted_proxies=[{"cidrs": ["example.com"]}]),
    with_global(trusted_proxies=[{"cidrs": [], "client_ip_header": "X-Ip"}]),
    with_global(trusted_proxies={"cidrs": []}),
    with_global(upstream_allow=[]),
    with_global(upstream_allow=["10.0.0.0/x"]),
    with_global(unknown_host={"action": "drop"}),
    with_global(unknown_host={"status": 200}),
    with_global(unknown_host={"action": "redirect"}),
    with_global(unknown_host={"action": "tenant"}),
    with_global(unknown_host={"to": "https://example.com"}),
    with_global(unknown_host={"action": "redirect", "to": "https://example.com/x"}),
    with_global(unknown_host={"action": "redirect", "to": "https://a.test", "status": 404}),
    with_global(strip_headers=["X User"]),
    with_global(strip_headers=["X-A", "X-A"]),
    with_global(tenant_id_header="X_Owner"),
    with_global(tenant_id_header="Host"),
    with_global(headers={"X_Site": "a"}),
    with_global(headers={"Connection": "a"}),
    with_global(headers={"x-forwarded-for": "a"}),
    with_global(headers={"X-Site": None}),
    with_global(headers={"X-Site": 5}),
    with_global(headers={"X-Site": "x" * 201}),
    with_global(defaults={"https": "on"}),
    with_global(defaults={"upstream": "http://h"}),
    with_global(resolver={"interval": "30"}),
    with_global(resolver={"interval": 30}),
    with_global(resolver={"nameservers": []}),
    with_global(resolver={"nameservers": ["dns.test"]}),
    with_global(resolver={"nameservers": ["::1"]}),
    with_haproxy(http=[]),
    with_haproxy(http=["80"]),
    with_haproxy(https=["example.com:443"]),
    with_haproxy(https_port=65536),
    with_haproxy(runtime=["tcp:1"]),
    with_haproxy(agents=[]),
    with_haproxy(agents=["systemd:x"]),
    with_haproxy(crt_dir="/etc/my certs"),
    with_haproxy(crt_dir=""),
    with_haproxy(user="a b"),
    with_haproxy(proxy_protocol={"from": ["x"]}),
    with_haproxy(proxy_protocol={"to": []}),
    with_haproxy(backends={"Big": {}}),
    with_haproxy(backends={"requests": {}}),
    with_haproxy(backends={"https_noverify": {"servers": ["10.0.0.1:80"]}}),
    with_haproxy(backends={"big": {"servers": ["10.0.0.1"]}}),
    with_haproxy(backends={"big": {"check": "ready"}}),
    with_haproxy(backends={"big": {"weight": 1}}),
    with_haproxy(timeouts={"server": 600}),
    with_haproxy(timeouts={"queue": "1s"}),
    with_haproxy(port=1),
    with_global(acme={"challenge_listen": "8688"}),
    with_global(acme={"directory": "http://ca.test"}),
    with_global(acme={"contact": ["a@b.test"]}),
    with_global(acme={"email": "a@b.test"}),
    with_global(acme={"preflight": "dns"}),
    with_global(acme={"placeholder": "self-signed"}),
    with_global(acme={"owner": "root:haproxy"}),
    with_global(acme={"owner": 0}),
    with_haproxy(runtime=[], decision_map="/var/lib/owui-spoa/decisions.map"),
    with_global(acme={"second": "letsencrypt"}),
    with_global(acme={"second": {}}),
    with_global(acme={"second": {"directory": "none"}}),
    with_global(acme={"second": {"directory": "letsencrypt", "after": 0}}),
    with_global(acme={"second": {"directory": "letsencrypt", "ca_file": ""}}),
    with_global(acme={"second": {"directory": "letsencrypt", "external_account": {"kid": "k"}}}),
    with_global(acme={"external_account": {"kid": "", "secret_file": "secret"}}),
    with_global(acme={"external_account": {"kid": "k\x01k", "secret_file": "secret"}}),
    with_global(acme={"preferred_chain": ""}),
    with_global(acme={"preferred_chain": " ISRG Root X1"}),
    with_global(acme={"preflight": {"http": True}}),
    with_global(acme={"preflight": {"dns": "no"}}),
    with_global(acme={"limits": False}),
    {"tenants": []},
    {"tenants": {"Chat": TENANT}},
    {"tenants": {"-": TENANT}},
    {"tenants": {"a" * 64: TENANT}},
    {"tenants": {"chat": []}},
    with_tenant(hosts=...),
    with_tenant(hosts=[]),
    with_tenant(hosts="chat.example.com"),
    with_tenant(hosts=["a.test", "a.test"]),
    with_tenant(hosts=["https://a.test"]),
    with_tenant(hosts=["a.test:80"]),
    with_tenant(hosts=["a.*.test"]),
    with_tenant(hosts=["*"]),
    with_tenant(hosts=["a b"]),
    with_tenant(hosts=[5]),
    with_tenant(upstream=...),
    with_tenant(backend="big"),
    with_tenant(upstream="10.0.0.1:3000"),
    with_tenant(upstream="http://h/owui"),
    with_tenant(upstream="http://h?x"),
    with_tenant(upstream="http://u:p@h"),
    with_tenant(upstream="http://h:0"),
    with_tenant(upstream="http://"),
    with_tenant(upstream="ftp://h"),
    with_tenant(upstream=["http://h"]),
    with_tenant(upstream_tls={}),
    with_tenant(upstream=..., backend="big", upstream_tls={}),
    with_tenant(upstream="https://h", upstream_tls={"server_name": "a b"}),
    with_tenant(upstream="https://h", upstream_tls={"ca": "x"}),
    with_tenant(label=5),
    with_tenant(https=True),
    with_tenant(canonical_host="chat.example.com"),
    with_tenant(hsts="365d"),
    with_tenant(hsts={}),
    with_tenant(hsts={"max_age": 31536000}),
    with_tenant(hsts={"max_age": "1y"}),
    with_tenant(hsts={"max_age": "365d", "includeSubDomains": True}),
    with_tenant(hsts={"max_age": "365d", "preload": True}),
    with_tenant(headers={"Host": "x"}),
    with_tenant(headers={"cookie": "a=b"}),
    with_tenant(headers={"X A": "x"}),
    with_tenant(headers={"X-" + "a" * 37: "x"}),
    with_tenant(headers=[]),
    with_global(pages_listen="*:8689"),
    with_global(metrics=True),
    with_global(metrics={"listen": "0.0.0.0:9478"}),
    with_global(metrics={"listen": "10.0.0.1:9478"}),
    with_global(metrics={"listen": "[2001:db8::1]:9478"}),
    with_global(metrics={"listen": "localhost:9478"}),
    with_global(metrics={"listen": "127.0.0.1"}),
    with_global(metrics={"tenants": -1}),
    with_global(metrics={"tenants": 10001}),
    with_global(metrics={"port": 9478}),
    with_tenant(maintenance={}),
    with_tenant(maintenance=True),
    with_tenant(maintenance={"on": "yes"}),
    with_tenant(maintenance={"on": True, "retry_after": 120}),
    with_tenant(maintenance={"on": True, "allow_ips": ["admin"]}),
    with_tenant(maintenance={"on": True, "page": "my page.html"}),
    with_tenant(maintenance={"window": {"from": "2026-12-01T02:00Z"}}),
    with_tenant(maintenance={"window": {"from": "2026-12-01", "to": "2026-12-02"}}),
    with_tenant(maintenance={"window": {"from": "2026-12-01T02:00", "to": "2026-12-01T03:00"}}),
    with_tenant(suspended=True),
    with_tenant(suspended={"status": 503}),
    with_tenant(suspended={"since": "2026-12-01T02:00Z"}),
    with_tenant(versions=VERSIONS, active="blue"),
    with_tenant(active="blue"),
    with_tenant(upstream=..., versions=VERSIONS),
    with_tenant(upstream=..., versions=VERSIONS, active={"blue": 90, "green": 10}),
    with_tenant(upstream=..., versions={"blue": {"weight": 9}}, active="blue"),
    with_tenant(upstream=..., versions={"Blue": "http://h"}, active="Blue"),
    with_tenant(upstream=..., versions={"blue": "http://{1}.i"}, active="blue"),
    with_tenant(upstream=..., versions={"blue": "http://h"}, active="blue", upstream_tls={}),
    with_tenant(headers={f"X-H{i}": "a" for i in range(257)}),
    with_tenant(origins=[f"https://{i}.test" for i in range(65)]),
    with_tenant(origins=["portal.test"]),
    with_tenant(origins=["https://portal.test/"]),
    with_tenant(origins=["null"]),
    with_tenant(origin_check=True),
    with_tenant(require_sni_match="yes"),
    with_global(defaults={"origins": "https://a.test"}),
    with_haproxy(tell=["src"]),
    with_tenant(allow_ips=["example.com"]),
    with_tenant(deny_ips="10.0.0.0/8"),
    with_tenant(refuse_scanners="no"),
    with_tenant(limits={"requests_per_10s": 0}),
    with_tenant(limits={"requests_per_10s": "5"}),
    with_tenant(limits={"requests": 5}),
    with_tenant(limits={"max_body": 5}),
    with_tenant(limits={"max_body": "5"}),
    with_tenant(limits={"max_body": "5mb"}),
    with_tenant(limits=[]),
    with_tenant(timeouts={"server": 5}),
    with_tenant(timeouts={"client": "5s"}),
    with_tenant(routes=[{"match": {}, "limits": {"websockets": 0}}]),
    with_tenant(routes=[{"match": {}, "action": "deny", "limits": {}}]),
    with_tenant(routes=[{"match": {}, "action": "deny", "timeouts": {}}]),
    with_haproxy(tables={"requests": 1}),
    with_haproxy(tables={"ips": 1000}),
    with_tenant(routes={}),
    with_tenant(routes=[{}]),
    with_tenant(routes=[{"match": {"path": "api"}}]),
    with_tenant(routes=[{"match": {"path": "/a b"}}]),
    with_tenant(routes=[{"match": {"path": "/a%20b"}}]),
    with_tenant(routes=[{"match": {"method": "GET"}}]),
    with_tenant(routes=[{"match": {"method": ["BREW"]}}]),
    with_tenant(routes=[{"match": {"method": []}}]),
    with_tenant(routes=[{"match": {"credential": "cookie"}}]),
    with_tenant(routes=[{"match": {"ip": []}}]),
    with_tenant(routes=[{"match": {}, "action": "drop"}]),
    with_tenant(routes=[{"match": {}, "action": "deny", "status": 200}]),
    with_tenant(routes=[{"match": {}, "status": 404}]),
    with_global(defaults={"routes": []}),
    with_haproxy(tell=["sni", "sni"]),
    with_path(mode="root-share"),
    with_path(mode="root-share", prefix=..., only=["/api/"]),
    with_path(mode="takeover", prefix=...),
    with_global(cookie_key_file="my key"),
    with_global(admin_http=True),
    with_global(admin_http={"listen": "0.0.0.0:8690"}),
    with_global(admin_http={"listen": "192.0.2.1:8690"}),
    with_global(admin_http={"listen": "127.0.0.1"}),
    with_global(admin_http={"listen": "localhost:8690"}),
    with_global(admin_http={"tokens_file": 1}),
    with_global(admin_http={"hosts": ["Admin.example.com"]}),
    with_global(admin_http={"hosts": ["admin.example.com:443"]}),
    with_global(admin_http={"hosts": ["a", "a"]}),
    with_global(admin_http={"requests_per_minute": 0}),
    with_global(admin_http={"port": 8690}),
    with_replicas(servers=...),
    with_replicas(servers=[]),
    with_replicas(servers=["10.0.0.1"]),
    with_replicas(servers=["10.0.0.1:80", "10.0.0.1:80"]),
    with_replicas(servers=["http://{1}.test:80"]),
    with_replicas(servers=[{"url": "http://h", "weight": 9}]),
    with_replicas(draining="10.0.0.1:80"),
    with_replicas(sticky="ip"),
    with_replicas(sticky="cookie", fallback="client"),
    with_replicas(fallback="user"),
    with_replicas(slow_start=30),
    with_replicas(weights={}),
    with_replicas(_check=True, upstream="http://h"),
    with_replicas(_check=[]),
    with_replicas(_check={"path": "ready"}),
    with_replicas(_check={"path": "/a b"}),
    with_replicas(_check={"every": 5}),
    with_replicas(_check={"rise": 0}),
    with_replicas(_check={"fall": 21}),
    with_replicas(_check={"status": 200}),
    with_tenant(upstream=..., backend="big", check={}),
    with_tenant(hosts=["*.a.test"], label="a", upstream="http://{1}.b", check={}),
    with_path(host=...),
    with_path(prefix=...),
    with_path(prefix="owui"),
    with_path(prefix="/"),
    with_path(prefix="/a?b"),
    with_path(prefix="//a"),
    with_path(prefix="/1/2/3/4/5/6/7/8/9"),
    with_path(mode="proxy"),
    with_path(only=[]),
    with_path(only=["api"]),
    with_path(strip=True),
    with_tenant(paths=PATH),
]

# What a schema cannot see: the program alone refuses.
BEYOND_SCHEMA = {
    "a list of labels, and a host without one": with_labels(hosts=["*.a.test", "b.test"]),
    "a list of labels that is not there": with_labels(upstream_map="nowhere.csv"),
    "more than two labels in a redirect": unknown(action="redirect", to="https://{1}.{1}.{1}/"),
    "no body at all": with_tenant(limits={"max_body": "0MB"}),
    "a body beyond reason": with_tenant(limits={"max_body": "999999GB"}),
    "a timeout too short": with_tenant(timeouts={"server": "1ms"}),
    "dots in a route": with_tenant(routes=[{"match": {"path": "/a/../b"}}]),
    "two tenants with one host": {"tenants": {"a": TENANT, "b": TENANT}},
    "one host in two spellings": with_tenant(hosts=["a.test", "A.test"]),
    "an unknown backend": with_tenant(upstream=..., backend="bigg"),
    "an unknown tenant": with_global(unknown_host={"action": "tenant", "tenant": "nobody"}),
    "bits behind the prefix": with_global(upstream_allow=["10.0.0.1/8"]),
    "no such octet": with_global(upstream_allow=["10.0.0.256"]),
    "an address outside upstream_allow": with_global(upstream_allow=["10.1.0.0/16"]),
    "link-local": with_tenant(upstream="http://169.254.169.254"),
    "a loop": with_tenant(upstream="http://127.0.0.1:80"),
    "an address in disguise": with_tenant(upstream="http://127.1"),
    "a label without a wildcard": with_tenant(label="a"),
    "a template without a wildcard": with_tenant(upstream="http://{1}.i"),
    "no such version": with_tenant(upstream=..., versions=VERSIONS, active="red"),
    "a server that is not there": with_replicas(draining=["10.0.0.9:80"]),
    "one server in two spellings": with_replicas(servers=["10.0.0.1:80", "http://10.0.0.1"]),
    "a forbidden replica": with_replicas(servers=["10.0.0.1:80", "169.254.1.1:80"]),
    "a check every moment": with_replicas(_check={"every": "1ms"}),
    "not a regular expression": with_tenant(hosts=["*.test"], label="["),
    "an unknown placeholder": with_tenant(headers={"X-A": "{ip}"}),
    "a line break": with_tenant(headers={"X-A": "a\r\nb"}),
    "one header twice": with_tenant(headers={"X-A": "1", "x-a": "2"}),
    "a redirect to nowhere": with_tenant(hosts=["*.a.test"], paths=[PATH]),
    "dots in a path": with_path(prefix="/a/../b"),
    "a name that cannot be verified": with_tenant(upstream="https://10.0.0.1"),
    "no agent is that slow": with_haproxy(timeouts={"agent": "1m"}),
    "too short": with_global(resolver={"interval": "4s"}),
    "a port beyond 65535": with_tenant(upstream="http://h:65536"),
    "a socket outside the chroot": with_global(listen=["unix:/run/a.sock"]),
    "a folder that is not there": with_global(tenants_dir="nowhere"),
    "a file that is not there": with_global(trusted_proxies=[{"cidrs_file": "nowhere"}]),
    "a preload that is too short": with_tenant(
        hsts={"max_age": "30d", "subdomains": True, "preload": True}
    ),
    "a preload without https": with_tenant(
        https="off", hsts={"max_age": "365d", "subdomains": True, "preload": True}
    ),
    "an age beyond ten years": with_tenant(hsts={"max_age": "3651d"}),
    "a window that ends first": with_tenant(
        maintenance={"window": {"from": "2026-12-01T03:00Z", "to": "2026-12-01T03:00Z"}}
    ),
    "an hour that is none": with_tenant(
        maintenance={"window": {"from": "2026-12-01T24:00Z", "to": "2026-12-02T03:00Z"}}
    ),
    "a retry that is too long": with_tenant(maintenance={"on": True, "retry_after": "2d"}),
    "the agent's own pages": with_tenant(upstream="http://127.0.0.1:8689"),
    "a user in plain headers": with_tenant(headers={"X-User-Email": "{email}"}),
    "a leeway of an hour": with_identity(leeway="1h"),
    "an identity header twice": with_identity(set={"X-A": "{email}", "x-a": "{name}"}),
    "one header for two things": with_tenant(identity=JWT, headers={"x-user-email": "root"}),
    "domain of nobody": with_identity(email_domains={"a.test": "nobody"}),
    "domain of a tenant that is not shared": with_identity(email_domains={"a.test": "chat"}),
    "certificates without an authority": with_tenant(identity=CERT),
    "a missing issuer file": with_identity(CERT, issuer_file="nowhere.pem"),
    "a header of everybody": with_global(strip_headers=["Upgrade"]),
}


def name_of(document):
    return json.dumps(document, ensure_ascii=False)[:60]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_schemas(name):
    jsonschema.Draft7Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("document", GOOD, ids=name_of)
def test_both_take(tmp_path, document):
    done = check(tmp_path, document)
    assert done.returncode == 0, done.stdout + done.stderr
    validator("owui-spoa").validate(document)


@pytest.mark.parametrize("document", BAD, ids=name_of)
def test_both_refuse(tmp_path, document):
    done = check(tmp_path, document)
    assert refused(done), done.stdout + done.stderr
    assert not validator("owui-spoa").is_valid(document)


@pytest.mark.parametrize("reason", BEYOND_SCHEMA)
def test_the_program_sees_more(tmp_path, reason):
    done = check(tmp_path, BEYOND_SCHEMA[reason])
    assert refused(done), done.stdout + done.stderr
    assert validator("owui-spoa").is_valid(BEYOND_SCHEMA[reason])


def test_duplicate_keys_are_refused(tmp_path):
    done = check(tmp_path, '{"loops": 1, "loops": 2}')
    assert refused(done)
    assert "E103" in done.stdout + done.stderr


def test_a_tenants_file(tmp_path):
    (tmp_path / "tenants.d").mkdir()
    path = tmp_path / "tenants.d/a.json"
    for document, good in [
        ({"tenants": {"chat": TENANT}}, True),
        ({"schema": 1, "// c": 0, "$schema": "x", "tenants": {}}, True),
        ({}, False),
        ({"tenants": {"chat": TENANT}, "loops": 1}, False),
        ({"chat": TENANT}, False),
    ]:
        path.write_text(json.dumps(document))
        assert (check(tmp_path, {}).returncode == 0) == good, document
        assert validator("tenants").is_valid(document) == good, document


def test_reserved_headers_are_the_same(tmp_path):
    """Taken from the source, so that a name that is added there is added here too."""
    source = (REPOSITORY / "src/route/header.c").read_text()
    block = re.search(r"RESERVED_NAMES\[\] = \{(.*?)\};", source, re.DOTALL)[1]
    names = re.findall(r'"([^"]+)"', block)
    assert "Host" in names and len(names) > 20
    for name in names:
        full = name + "Any" if name.endswith("-") else name
        document = with_tenant(headers={full.swapcase(): "x"})
        assert not validator("owui-spoa").is_valid(document), full
        assert refused(check(tmp_path, document)), full
    pattern = SCHEMAS["tenants"]["definitions"]["reserved_header"]["pattern"]
    assert pattern.count("|") + 1 == len(names)


GUIDE = (REPOSITORY / "docs/CONFIGURATION.md").read_text()


def all_keys(schema):
    for name, inner in schema.get("properties", {}).items():
        if inner is not False:
            yield name
    for inner in schema.values():
        if isinstance(inner, dict):
            yield from all_keys(inner)
        elif isinstance(inner, list):
            for part in inner:
                if isinstance(part, dict):
                    yield from all_keys(part)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_guide_names_every_key(name):
    missing = {
        key for key in all_keys(SCHEMAS[name]) if not re.search(rf"\W{re.escape(key)}\W", GUIDE)
    }
    assert missing == set()


def test_the_guide_lists_every_code():
    source = (REPOSITORY / "include/conf/codes.h").read_text().replace("\\\n", " ")
    rows = re.findall(r'X\(\w+,\s*(\d+),\s*(\w+),\s*"((?:[^"\\]|\\.)*)"\)', source)
    assert len(rows) == source.count("X(") - 1 and len(rows) > 40
    for number, severity, meaning in rows:
        code = ("E" if severity == "ERROR" else "W") + number
        assert f"| {code} | {meaning} |".replace('\\"', '"') in GUIDE


def test_the_guide_lists_every_word_of_x_refused():
    told = GUIDE.split("\n## Refusals\n")[1]
    header = (REPOSITORY / "include/route/host.h").read_text()
    agent = (REPOSITORY / "src/agent/decide.c").read_text()
    haproxy = (REPOSITORY / "haproxy/haproxy.cfg").read_text()
    words = set(re.findall(r'X\([A-Z_]+, "([a-z-]+)"\)', header)) - {"none"}
    words |= set(re.findall(r'case OUTCOME_\w+: return "([a-z-]+)"', agent))
    words |= set(re.findall(r"hdr X-Refused ([a-z-]+) ", haproxy))
    words |= set(re.findall(r"txn\.owui\.over\) str\((\w+)\)", haproxy))
    assert len(words) > 30
    listed = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| [45]", told, re.M)
    assert words == {word for row in listed for word in re.findall(r"[a-z-]+", row)}


# The guide's tables that tell defaults, and what each is about.
TABLES = [
    ["tenants", "tenants", "chat", "unknown_label"],
    ["tenants", "tenants", "chat", "replicas"],
    ["tenants", "tenants", "chat", "check"],
    ["tenants", "tenants", "chat", "identity"],
    ["tenants", "tenants", "chat", "identity"],  # of tokens
    ["owui-spoa"],
    ["owui-spoa", "acme"],
    ["owui-spoa", "haproxy"],
]
HEADING = re.compile(r"^\| key(?: of `\w+`)? \| default \| .*\|\n\|.*\n((?:\|.*\n)+)", re.M)


def told_defaults(row):
    """The keys of a row, each with its default where that is a value: `30s`, 1 or `true`."""
    names, told = (cell.strip() for cell in row.split("|")[1:3])
    keys, values = re.findall(r"`(\w+)`", names), re.findall(r"`([^`]+)`", told)
    if re.fullmatch(r"[0-9]+", told):
        values = [told] * len(keys)
    is_words = len(values) != len(keys) or not re.fullmatch(r"[`0-9](.*[`0-9])?", told)
    return zip(keys, [None] * len(keys) if is_words else values)


def as_told(value):
    return value if isinstance(value, str) else json.dumps(value)


def test_the_guide_tells_the_schemas_defaults():
    tables = HEADING.findall(GUIDE)
    assert len(tables) == len(TABLES)
    compared, wrong = 0, []
    for table, way in zip(tables, TABLES):
        parts = properties_at(way)
        for row in table.splitlines():
            for key, told in told_defaults(row):
                default = as_told(parts[key].get("default"))
                if told is not None:
                    wrong += [(key, told, default)] * (told.strip('"') != default)
                elif default not in ("null", "false"):
                    wrong += [(key, default)] * (default not in row)
                compared += 1
    assert wrong == [] and compared > 60


def test_the_schemas_defaults_are_the_programs(tmp_path):
    """As far as HAProxy's files show them; `http` and `https` depend on the machine."""
    told = {
        key: part["default"]
        for key, part in properties_at(["owui-spoa"]).items()
        if "default" in part
    }
    haproxy = properties_at(["owui-spoa", "haproxy"])
    told["haproxy"] = {
        key: part["default"]
        for key, part in haproxy.items()
        if "default" in part and key not in ("http", "https")
    }
    for section in ("timeouts", "tables"):
        parts = properties_at(["owui-spoa", "haproxy", section]).items()
        told["haproxy"][section] = {key: part["default"] for key, part in parts}
    told["forwarding"] = {"x_forwarded_for": "single", "forwarded": False, "trace": "drop"}
    told["acme"] = {"challenge_listen": "127.0.0.1:8688", "placeholder": False}
    written = []
    for document in ({}, told):
        path = tmp_path / "owui-spoa.json"
        path.write_text(json.dumps({**document, "tenants": {"chat": TENANT}}))
        for spoe in ([], ["--spoe"]):
            done = run_agent_command("haproxy-config", "-c", path, *spoe)
            assert done.returncode == 0, done.stderr
            written.append(done.stdout)
    assert written[:2] == written[2:]
    assert "timeout connect 5s" in written[0] and len(told["haproxy"]) > 7


STRANGER = "zzzzzzzzzzzzzzzz"
OBJECTS = {
    "": ({}, ["owui-spoa"]),
    "log": (with_global(log={}), ["owui-spoa", "log"]),
    "trusted_proxies": (
        with_global(trusted_proxies=[{"cidrs": []}]),
        ["owui-spoa", "trusted_proxies", 0],
    ),
    "unknown_host": (with_global(unknown_host={}), ["owui-spoa", "unknown_host"]),
    "defaults": (with_global(defaults={}), ["owui-spoa", "defaults"]),
    "resolver": (with_global(resolver={}), ["owui-spoa", "resolver"]),
    "haproxy": (with_haproxy(), ["owui-spoa", "haproxy"]),
    "proxy_protocol": (
        with_haproxy(proxy_protocol={}),
        ["owui-spoa", "haproxy", "proxy_protocol"],
    ),
    "timeouts": (with_haproxy(timeouts={}), ["owui-spoa", "haproxy", "timeouts"]),
    "backend": (with_haproxy(backends={"b": {}}), ["owui-spoa", "haproxy", "backends", "b"]),
    "acme": (with_global(acme={}), ["owui-spoa", "acme"]),
    "second": (
        with_global(acme={"second": {"directory": "letsencrypt"}}),
        ["owui-spoa", "acme", "second"],
    ),
    "preflight": (with_global(acme={"preflight": {}}), ["owui-spoa", "acme", "preflight"]),
    "admin_http": (with_global(admin_http={}), ["owui-spoa", "admin_http"]),
    "metrics": (with_global(metrics={}), ["owui-spoa", "metrics"]),
    "forwarding": (with_global(forwarding={}), ["owui-spoa", "forwarding"]),
    "trace": (with_global(trace={}), ["owui-spoa", "trace"]),
    "tenant": (with_tenant(), ["owui-spoa", "tenants", "chat"]),
    "upstream_tls": (
        with_tenant(upstream="https://h", upstream_tls={}),
        ["owui-spoa", "tenants", "chat", "upstream_tls"],
    ),
    "hsts": (
        with_tenant(hsts={"max_age": "1d"}),
        ["owui-spoa", "tenants", "chat", "hsts"],
    ),
    "maintenance": (
        with_tenant(maintenance={"on": True}),
        ["owui-spoa", "tenants", "chat", "maintenance"],
    ),
    "window": (
        with_tenant(
            maintenance={"window": {"from": "2026-12-01T02:00Z", "to": "2026-12-02T03:00Z"}}
        ),
        ["owui-spoa", "tenants", "chat", "maintenance", "window"],
    ),
    "suspended": (with_tenant(suspended={}), ["owui-spoa", "tenants", "chat", "suspended"]),
    "jwks": (with_global(jwks={}), ["owui-spoa", "jwks"]),
    "identity": (with_identity(), ["owui-spoa", "tenants", "chat", "identity"]),
    "limits": (with_tenant(limits={}), ["owui-spoa", "tenants", "chat", "limits"]),
    "timeouts of a tenant": (
        with_tenant(timeouts={}),
        ["owui-spoa", "tenants", "chat", "timeouts"],
    ),
    "tables": (with_haproxy(tables={}), ["owui-spoa", "haproxy", "tables"]),
    "limits of a route": (
        with_tenant(routes=[{"match": {}, "limits": {}}]),
        ["owui-spoa", "tenants", "chat", "routes", 0, "limits"],
    ),
    "route": (
        with_tenant(routes=[{"match": {}}]),
        ["owui-spoa", "tenants", "chat", "routes", 0],
    ),
    "match": (
        with_tenant(routes=[{"match": {}}]),
        ["owui-spoa", "tenants", "chat", "routes", 0, "match"],
    ),
    "replicas": (with_replicas(), ["owui-spoa", "tenants", "chat", "replicas"]),
    "check": (with_replicas(_check={}), ["owui-spoa", "tenants", "chat", "check"]),
    "unknown_label": (unknown(), ["owui-spoa", "tenants", "chat", "unknown_label"]),
    "path": (with_path(), ["owui-spoa", "tenants", "chat", "paths", 0]),
}


def resolve(schema, document):
    """The schema that a reference stands for, and the document that further ones are relative to."""
    while "$ref" in schema:
        file, _, pointer = schema["$ref"].partition("#")
        document = SCHEMAS[file.removesuffix(".schema.json")] if file else document
        schema = document
        for part in pointer.strip("/").split("/"):
            schema = schema[part]
    return schema, document


def properties_at(way):
    """The schemas of an object's keys."""
    document = schema = SCHEMAS[way[0]]
    for step in way[1:]:
        if isinstance(step, int):
            schema = schema["items"]
        elif step in schema.get("properties", {}):
            schema = schema["properties"][step]
        else:
            patterns = schema["patternProperties"].items()
            schema = next(inner for pattern, inner in patterns if re.search(pattern, step))
        schema, document = resolve(schema, document)
        ways = [schema, schema.get("then", {}), *schema.get("oneOf", []), *schema.get("anyOf", [])]
        schema = next((one for one in ways if "properties" in one), schema)
    parts = schema["properties"].items()
    return {key: {**resolve(part, document)[0], **part} for key, part in parts if part}


def check_with(folder, place, key, value):
    """Of a good document, with one key more in one of its objects."""
    document, way = copy.deepcopy(OBJECTS[place])
    target = document
    for step in way[1:]:
        target = target[step]
    target[key] = value
    return check(folder, document)


@pytest.mark.parametrize("place", OBJECTS)
def test_both_know_the_same_keys(tmp_path, place):
    done = check_with(tmp_path, place, STRANGER, 1)
    known = re.search(r"known: (.*)", done.stdout + done.stderr)
    assert known, done.stdout + done.stderr
    assert set(re.findall(r'"([^"]+)"', known[1])) == set(properties_at(OBJECTS[place][1]))


NUMBERS = [
    (place, key)
    for place, (_, way) in OBJECTS.items()
    for key, part in properties_at(way).items()
    if "maximum" in part
]


@pytest.mark.parametrize("place, key", NUMBERS)
def test_both_know_the_same_ranges(tmp_path, place, key):
    part = properties_at(OBJECTS[place][1])[key]
    done = check_with(tmp_path, place, key, part["maximum"] + 1)
    known = re.search(r"out of range: from (\d+) to (\d+)", done.stdout + done.stderr)
    assert known, done.stdout + done.stderr
    assert [int(number) for number in known.groups()] == [part["minimum"], part["maximum"]]
