"""Routes that lead somewhere else than to the tenant's usual servers: to a pool of its replicas, to
another tenant; for a share of the clients, at some hours. Through real HAProxy."""

import bisect
import datetime
import json
import re
import signal
import socket
from pathlib import Path

import pytest

from support.clients import HANDSHAKE, SOCKET, Echo, echo, request
from support.identity import AUDIENCE, ISSUER, Key, key_set
from support.processes import free_port, wait_until
from support.stack import run_agent_command
from test_certificates_disk import may_mount

API_KEY = ("Authorization", "Bearer sk-0123456789abcdef0123456789abcdef")
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
OPEN = {"to": "24:00", "zone": "Europe/Berlin"}


def closed():
    """A day that is neither today nor near it, wherever."""
    day = datetime.datetime.now(datetime.timezone.utc).weekday() + 3
    return {"days": [DAYS[day % 7]], "from": "00:00", "to": "12:00", "zone": "-03:30"}


def tenants(upstreams):
    alpha, beta, gamma = (upstreams[name].url for name in ("alpha", "beta", "gamma"))
    plain = {"https": "off"}
    return {
        "pool": {
            "hosts": ["pool.test"],
            "replicas": {"servers": [alpha, beta], "pools": {"jobs": [beta]}, "sticky": "cookie"},
            "check": False,
            "routes": [
                {"match": {"path": "/api/", "credential": "api_key"}, "pool": "jobs"},
                {"match": {"path": "/api/v1/audio"}, "pool": "jobs", "timeouts": {"server": "9m"}},
            ],
            **plain,
        },
        "main": {
            "hosts": ["main.test"],
            "upstream": alpha,
            "routes": [
                {"match": {"path": "/admin"}, "action": "deny"},
                {"match": {"share": 10}, "tenant": "canary"},
            ],
            "headers": {"X-Team": "main"},
            **plain,
        },
        "canary": {
            "hosts": ["canary.test"],
            "upstream": beta,
            "headers": {"X-Team": "canary"},
            "routes": [
                {"match": {"path": "/api/secret"}, "action": "deny", "status": 404},
                {"match": {}, "tenant": "gamma"},
            ],
            **plain,
        },
        "gamma": {"hosts": ["gamma.test"], "upstream": gamma, **plain},
        "guarded": {
            "hosts": ["guarded.test"],
            "upstream": gamma,
            "allow_ips": ["127.0.5.0/24"],
            **plain,
        },
        "out": {"hosts": ["out.test"], "upstream": gamma, "maintenance": {"on": True}, **plain},
        "strict": {
            "hosts": ["strict.test"],
            "upstream": gamma,
            "identity": {
                "from": "jwt",
                "issuer": "https://id.test",
                "audience": "owui",
                "jwks": "/nonexistent/jwks.json",
                "set": {"X-User-Email": "{email}"},
                "required": True,
            },
            "routes": [
                {"match": {"path": "/api/v1/scim/"}, "tenant": "programs"},
                {"match": {"method": ["OPTIONS"]}, "tenant": "programs"},
            ],
            **plain,
        },
        "programs": {
            "upstream": gamma,
            "identity": {"from": "shared", "set": {"X-User-Email": "{email}"}},
            **plain,
        },
        "leaves": {"hosts": ["leaves.test"], "upstream": gamma, **plain},
        "leads": {
            "hosts": ["leads.test"],
            "upstream": alpha,
            "routes": [
                {"match": {"path": "/guarded"}, "tenant": "guarded"},
                {"match": {"path": "/out"}, "tenant": "out"},
                {"match": {"path": "/strict"}, "tenant": "strict"},
                {"match": {"path": "/gamma"}, "tenant": "gamma"},
                {"match": {"path": "/ws"}, "tenant": "canary"},
                {"match": {"path": "/gone"}, "tenant": "leaves"},
            ],
            **plain,
        },
        "wild": {
            "hosts": ["*.wild.test"],
            "upstream": alpha,
            "routes": [{"match": {"path": "/gone"}, "tenant": "leaves"}],
            **plain,
        },
        "office": {
            "hosts": ["office.test"],
            "upstream": alpha,
            "routes": [
                {"match": {"path": "/open", "not_hours": OPEN}, "action": "deny"},
                {"match": {"path": "/closed", "not_hours": closed()}, "action": "deny"},
                {"match": {"path": "/night", "hours": closed()}, "tenant": "gamma"},
                {"match": {"path": "/day", "hours": OPEN}, "tenant": "gamma"},
            ],
            **plain,
        },
    }


@pytest.fixture(scope="module")
def leads(new_module_stack, upstreams):
    stack = new_module_stack()
    stack.write_tenants(tenants(upstreams))
    return stack.start()


def explain(stack, url, *more):
    done = run_agent_command("explain", "-c", stack.config_path, url, "--json", *more)
    return json.loads(done.stdout)


def place(stack, host, path="/", headers=(), **where):
    """Which server has the request, or why none."""
    answer = request(stack.http_port, path, host, headers=list(headers), **where)
    return answer.header("X-Upstream") or answer.header("X-Refused")


# --- A pool of replicas ---------------------------------------------------------------------------


def test_api_keys_have_servers_of_their_own(leads):
    for number in range(20):
        source = f"127.0.6.{number + 1}"
        assert place(leads, "pool.test", "/api/models", source=source) == "alpha"
        answer = request(
            leads.http_port, "/api/models", "pool.test", headers=[API_KEY], source=source
        )
        assert answer.header("X-Upstream") == "beta" and not answer.all("Set-Cookie")
    assert place(leads, "pool.test", "/api/v1/audio/speech") == "beta"
    told = explain(leads, "http://pool.test/api/models", "--header", ": ".join(API_KEY))
    assert told["route"]["pool"] == "jobs" and "pool jobs" in told["replica"]["which"]
    told = explain(leads, "http://pool.test/api/v1/audio")
    assert told["limits"]["server_timeout_ms"] == 540000


def test_a_pool_is_left_to_who_is_sent_there(leads):
    """Also by a cookie that names one of its servers."""
    cookie = None
    for number in range(20):
        headers = [("Cookie", cookie)] if cookie else []
        answer = request(leads.http_port, "/", "pool.test", headers=headers)
        assert answer.header("X-Upstream") == "alpha"
        for line in answer.all("Set-Cookie"):
            cookie = line.split(";")[0] if line.startswith("owui_replica=") else cookie
    assert cookie
    answer = request(leads.http_port, "/api/x", "pool.test", headers=[API_KEY, ("Cookie", cookie)])
    assert answer.header("X-Upstream") == "beta"


def test_the_pool_may_be_down_alone(new_stack, upstreams):
    """People do not notice; what is meant for the pool is tried there all the same."""
    stack = new_stack()
    gone = f"http://127.0.0.1:{free_port()}"
    stack.write_tenants(
        {
            "pool": {
                "hosts": ["pool.test"],
                "replicas": {
                    "servers": [upstreams["alpha"].url, gone],
                    "pools": {"jobs": [gone]},
                    "sticky": "client",
                },
                "check": {"every": "200ms"},
                "routes": [{"match": {"credential": "api_key"}, "pool": "jobs"}],
                "https": "off",
            }
        }
    )
    stack.start()
    wait_until(lambda: "server_down" in stack.agents[0].log(), "it is seen to be down", 30)
    for number in range(10):
        assert place(stack, "pool.test", "/", source=f"127.0.6.{number + 1}") == "alpha"
    answer = request(stack.http_port, "/api/models", "pool.test", headers=[API_KEY])
    assert answer.status == 503 and answer.header("X-Upstream") is None


# --- A share of the clients -----------------------------------------------------------------------


def share_cookie(answer):
    lines = [line for line in answer.all("Set-Cookie") if line.startswith("owui_share=")]
    assert len(lines) <= 1
    return lines[0] if lines else None


def test_a_browser_gets_a_number_and_keeps_its_side(leads):
    sides = {}
    for number in range(60):
        source = f"127.0.{number + 10}.1"
        first = request(leads.http_port, "/api/echo", "main.test", source=source)
        line = share_cookie(first)
        digits = re.fullmatch(
            r"owui_share=(\d\d); Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax", line
        )[1]
        side = "beta" if int(digits) < 10 else "alpha"
        assert first.header("X-Upstream") == side
        assert Echo(first).header("X-Team") == ("canary" if side == "beta" else "main")
        # the cookie keeps it, from wherever
        headers = [("Cookie", f"a=b; owui_share={digits}")]
        again = request(leads.http_port, "/", "main.test", headers=headers, source="127.0.99.1")
        assert again.header("X-Upstream") == side and share_cookie(again) is None
        sides[side] = sides.get(side, 0) + 1
        told = explain(leads, "http://main.test/", "--from", source)
        assert (told["share"], told["tenant"]["name"]) == (
            int(digits),
            "canary" if side == "beta" else "main",
        )
    assert sides["alpha"] > sides.get("beta", 0)


@pytest.mark.parametrize(
    "number, name", [("00", "beta"), ("09", "beta"), ("10", "alpha"), ("99", "alpha")]
)
def test_the_edge_of_a_share(leads, number, name):
    headers = [("Cookie", f"owui_share={number}")]
    assert place(leads, "main.test", "/", headers) == name
    team = echo(leads.http_port, "main.test", headers=headers).header("X-Tenant-ID")
    assert team == ("canary" if name == "beta" else "main")


@pytest.mark.parametrize(
    "cookie", ["owui_share=", "owui_share=5", "owui_share=xx", "owui_share=100"]
)
def test_a_cookie_that_is_none_is_set_anew(leads, cookie):
    answer = request(leads.http_port, "/", "main.test", headers=[("Cookie", cookie)])
    assert answer.status == 200 and share_cookie(answer)


def test_only_who_may_be_led_gets_a_number(leads):
    answer = request(leads.http_port, "/", "canary.test")
    assert share_cookie(answer) is None
    answer = request(leads.http_port, "/admin/x", "main.test")
    assert (answer.status, share_cookie(answer)) == (403, None)


def test_a_share_grows_without_moving_anybody_back(new_stack, upstreams):
    stack = new_stack()
    config = tenants(upstreams)
    stack.write_tenants(config)
    stack.start()
    before = {
        n: place(stack, "main.test", "/", [("Cookie", f"owui_share={n:02}")]) for n in range(100)
    }
    assert sum(name == "beta" for name in before.values()) == 10
    config["main"]["routes"][1]["match"]["share"] = 25
    stack.write_tenants(config)
    wait_until(
        lambda: place(stack, "main.test", "/", [("Cookie", "owui_share=24")]) == "beta", "live", 30
    )
    after = {
        n: place(stack, "main.test", "/", [("Cookie", f"owui_share={n:02}")]) for n in range(100)
    }
    assert sum(name == "beta" for name in after.values()) == 25
    assert not [n for n in before if before[n] == "beta" and after[n] != "beta"]


def held_requests(stack):
    """How many had to wait for their label's instance."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(stack.config["admin_socket"])
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")
        text = sock.makefile("rb").read().decode()
    return int(re.search(r"^owui_spoa_held_requests_total (\d+)$", text, re.M)[1])


# --- Another tenant -------------------------------------------------------------------------------


def test_the_other_tenants_rules_hold_there(leads):
    canary = [("Cookie", "owui_share=00")]
    answer = request(leads.http_port, "/api/secret", "main.test", headers=canary)
    assert (answer.status, answer.header("X-Refused")) == (404, "route")
    # one step: the other's own route to a third one is for its own hosts
    assert place(leads, "main.test", "/", canary) == "beta"
    assert place(leads, "canary.test", "/") == "gamma"
    assert place(leads, "leads.test", "/gamma/x") == "gamma"
    assert place(leads, "leads.test", "/x") == "alpha"
    assert place(leads, "leads.test", "/guarded") == "address"
    assert place(leads, "leads.test", "/guarded", source="127.0.5.1") == "gamma"
    answer = request(leads.http_port, "/out", "leads.test")
    assert (answer.status, answer.header("X-Refused")) == (503, "maintenance")
    answer = request(leads.http_port, "/strict", "leads.test")
    assert (answer.status, answer.header("X-Refused")) == (401, "identity-required")


def test_what_has_no_identity_has_a_way_of_its_own(leads):
    """SCIM, and the requests by which browsers ask beforehand: they never have a token of the
    provider's. The tenant behind has no host, so that nobody gets there past the routes."""
    bearer = ("Authorization", "Bearer of-scim")
    scim = "/api/v1/scim/v2/Users"
    assert place(leads, "strict.test", scim, [bearer]) == "gamma"
    asks = [("Origin", "https://portal.test"), ("Access-Control-Request-Method", "GET")]
    answer = request(leads.http_port, "/api/echo", "strict.test", method="OPTIONS", headers=asks)
    assert answer.header("X-Upstream") == "gamma"
    assert place(leads, "strict.test", "/api/echo", [bearer]) == "identity-required"
    assert place(leads, "programs", scim) == "unknown-host"


def test_a_tenant_that_is_gone_is_no_reason_to_go_elsewhere(leads, upstreams):
    config = tenants(upstreams)
    assert place(leads, "leads.test", "/gone") == "gamma"
    leads.write_tenants({name: one for name, one in config.items() if name != "leaves"})
    try:
        gone = "upstream-unresolved"
        wait_until(lambda: place(leads, "leads.test", "/gone") == gone, "refused", 30)
        assert request(leads.http_port, "/gone", "leads.test").status == 503
        assert place(leads, "leads.test", "/x") == "alpha"
        # at once: there is nothing that would come for a label
        held = held_requests(leads)
        assert place(leads, "a.wild.test", "/gone") == gone
        assert held_requests(leads) == held
        assert place(leads, "a.wild.test", "/x") == "alpha"
    finally:
        leads.write_tenants(config)
    wait_until(lambda: place(leads, "leads.test", "/gone") == "gamma", "back", 30)


def test_explain_tells_who_led(leads):
    told = explain(leads, "http://leads.test/gamma")
    assert (told["tenant"]["name"], told["led"]["from"]) == ("gamma", "leads")
    assert told["led"]["place"].startswith(str(leads.tenants_dir))
    told = explain(leads, "http://leads.test/strict")
    assert (told["reason"], told["identity"]["by"]) == ("identity-required", "strict")
    done = run_agent_command("explain", "-c", leads.config_path, "http://leads.test/gamma")
    assert "led from   leads  (route)" in done.stdout


OUT = [
    {"maintenance": {"on": True}},
    {"suspended": {"status": 403}},
    {"maintenance": {"on": True}, "routes": [{"match": {"path": "/admin"}, "action": "deny"}]},
]


def explain_led(tmp_path, tenants, *more):
    path = tmp_path / "owui-spoa.json"
    path.write_text(json.dumps({"tenants": tenants}))
    command = ["explain", "-c", path, "https://a.test/api/x", *more]
    assert run_agent_command(*command).returncode == 1
    return json.loads(run_agent_command(*command, "--json").stdout)


@pytest.mark.parametrize("out", OUT, ids=["maintenance", "suspended", "with routes"])
def test_who_is_led_to_an_outage_has_matched_none_of_its_routes(tmp_path, out):
    """The route that has led is the first tenant's, and is told by its place."""
    a = {"hosts": ["a.test"], "upstream": "http://10.0.0.1:80"}
    a["routes"] = [{"match": {"path": "/api/"}, "tenant": "b"}]
    b = {"hosts": ["b.test"], "upstream": "http://10.0.0.2:80"}
    told = explain_led(tmp_path, {"a": a, "b": {**b, **out}})
    assert told["decision"] == next(iter(out)) and told["tenant"]["name"] == "b"
    assert told["led"]["from"] == "a" and "route" not in told
    later = tmp_path / "later.json"
    later.write_text(json.dumps({"tenants": {"a": a, "b": b}}))
    done = run_agent_command("diff", "--to-config", later, "-c", tmp_path / "owui-spoa.json")
    assert done.returncode == 1 and "https://a.test/api/" in done.stdout, done


@pytest.mark.parametrize("out", OUT, ids=["maintenance", "suspended", "with routes"])
def test_nor_has_who_is_led_there_by_an_address(tmp_path, out):
    key, keys = Key(), tmp_path / "jwks.json"
    keys.write_text(key_set(key))
    asks = {"from": "jwt", "issuer": ISSUER, "audience": AUDIENCE, "jwks": str(keys)}
    asks.update({"required": True, "email_domains": {"example.com": "b"}})
    a = {"hosts": ["a.test"], "upstream": "http://10.0.0.1:80", "identity": asks}
    a["routes"] = [{"match": {"path": "/api/"}, "limits": {"requests_per_10s": 9}}]
    b = {"upstream": "http://10.0.0.2:80"}
    b["identity"] = {"from": "shared", "set": {"X-User-Email": "{email}"}}
    header = f"Authorization: Bearer {key.token()}"
    told = explain_led(tmp_path, {"a": a, "b": {**b, **out}}, "--header", header)
    assert told["decision"] == next(iter(out)) and told["tenant"]["name"] == "b", told
    assert told["led"]["by"] == "email domain" and "route" not in told


def test_a_socket_is_led_too(leads):
    headers = HANDSHAKE + [("Origin", "http://leads.test")]
    answer = request(leads.http_port, SOCKET, "leads.test", headers=headers)
    assert answer.status == 101
    headers = HANDSHAKE + [("Origin", "http://evil.test")]
    told = request(leads.http_port, SOCKET, "leads.test", headers=headers)
    assert told.header("X-Refused") == "origin"


def test_check_says_where_routes_cannot_lead(leads, upstreams, tmp_path):
    def check(**changes):
        path = tmp_path / "owui-spoa.json"
        path.write_text(json.dumps({"tenants": changes}))
        done = run_agent_command("check", "-c", path)
        return done.returncode, done.stdout + done.stderr

    base = {"hosts": ["a.test"], "upstream": "http://10.0.0.1:80"}
    other = {"hosts": ["b.test"], "upstream": "http://10.0.0.2:80"}
    fleet = {"hosts": ["*.f.test"], "label": "[a-z]+", "upstream": "http://{1}.internal:80"}

    def led(to, **match):
        return {**base, "routes": [{"match": match, "tenant": to}]}

    assert check(a=led("b"), b=other)[0] == 0
    for wrong in (check(a=led("c"), b=other), check(a=led("a")), check(a=led("f"), f=fleet)):
        assert wrong[0] == 1 and "error[E233]" in wrong[1], wrong
    code, text = check(a=led("b", share=10), b=other)
    assert code == 0 and "warning[W530]" in text and "must not share a database" in text
    pool = {**base, "routes": [{"match": {}, "pool": "jobs"}]}
    code, text = check(a=pool)
    assert code == 1 and "error[E232]" in text and 'no pool "jobs"' in text
    servers = {"servers": ["10.0.0.1:80", "10.0.0.2:80"], "pools": {"jobs": ["10.0.0.3:80"]}}
    code, text = check(a={"hosts": ["a.test"], "replicas": servers})
    assert code == 1 and "error[E232]" in text
    servers["pools"] = {"jobs": ["10.0.0.1:80"], "more": ["10.0.0.2:80"]}
    code, text = check(a={"hosts": ["a.test"], "replicas": servers})
    assert code == 1 and "every server is in a pool" in text


# A user with an address whose domain leads on, and without.
ASKS = {"from": "client_cert", "required": True, "email_domains": {"example.com": "b"}}
SHARED = {"from": "shared", "set": {"X-User-Email": "{email}"}}


@pytest.mark.parametrize("way", ["route", "address", "both"])
def test_who_is_led_finds_the_room_that_was_checked(tmp_path, way):
    """The host is another's, and longer than any of its own."""
    path, authority = tmp_path / "owui-spoa.json", tmp_path / "ca.pem"
    authority.touch()
    host = "a-host-name-of-an-ordinary-length.department.example.com"
    hsts = {"max_age": "730d", "subdomains": True, "preload": True}
    share = [{"match": {"share": 50}, "tenant": "m" if way == "both" else "b"}]
    a = {"hosts": [host], "upstream": "http://10.0.0.1:80", "hsts": hsts}
    a.update({"identity": ASKS} if way == "address" else {"routes": share})
    m = {"hosts": ["m.test"], "upstream": "http://10.0.0.3:80", "identity": ASKS}
    b = {"hosts": ["b.test"], "upstream": "http://10.0.0.2:80"}
    if way != "route":
        b["identity"] = SHARED

    def check(size):
        where = "{host} {host} {host}" if way == "route" else "{host}"
        headers = {"X-Where": where, "X-Fill": "f" * size}
        tenants = {"a": a, "b": {**b, "headers": headers}, **({"m": m} if way == "both" else {})}
        config = {"haproxy": {"client_ca_file": str(authority)}, "tenants": tenants}
        path.write_text(json.dumps(config))
        told = run_agent_command("check", "--elsewhere", "-c", path).stdout
        assert set(re.findall(r"error\[(\w+)\]", told)) <= {"E219"}, told
        return "E219" in told, told

    size = bisect.bisect(range(201), False, key=lambda size: check(size)[0]) - 1
    assert 0 < size < 200
    told = check(size + 1)[1]
    assert 'what is led to tenant "b" does not fit' in told
    check(size)
    for url in f"https://{host}/api/x", f"https://{host.upper()}//api/x":
        if way != "route":
            break  # nobody has a certificate here
        command = ["explain", "-c", path, url, "--json", "--header", "Cookie: owui_share=03"]
        told = json.loads(run_agent_command(*command).stdout)
        assert told["decision"] == "forward" and told["tenant"]["name"] == "b", told


# --- Hours ----------------------------------------------------------------------------------------


def test_hours(leads):
    assert place(leads, "office.test", "/open") == "alpha"
    assert place(leads, "office.test", "/closed") == "route"
    assert place(leads, "office.test", "/night") == "alpha"
    assert place(leads, "office.test", "/day") == "gamma"


@pytest.mark.parametrize(
    "at, decision",
    [
        ("2026-01-05T06:59:59Z", "deny-route"),
        ("2026-01-05T07:00:00Z", "forward"),
        ("2026-07-06T06:00:00Z", "forward"),
        ("2026-07-06T16:00:00Z", "deny-route"),
        ("2026-01-10T10:00:00Z", "deny-route"),
    ],
)
def test_hours_of_another_day(tmp_path, at, decision):
    """By the clock of the place: an hour earlier in summer."""
    office = {"days": DAYS[:5], "from": "08:00", "to": "18:00", "zone": "Europe/Berlin"}
    path = tmp_path / "owui-spoa.json"
    tenant = {"hosts": ["a.test"], "upstream": "http://10.0.0.1:80"}
    tenant["routes"] = [{"match": {"not_hours": office}, "action": "deny"}]
    path.write_text(json.dumps({"tenants": {"a": tenant}}))
    done = run_agent_command("explain", "-c", path, "https://a.test/", "--at", at, "--json")
    assert json.loads(done.stdout)["decision"] == decision


# --- diff -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "earlier, later, expected",
    [
        ({"share": 10}, {"share": 11}, ["https://a.test/", "--header 'Cookie: owui_share=10'"]),
        (
            {"hours": {"days": ["mon"], "from": "08:00"}},
            {"hours": {"days": ["mon"], "from": "09:00"}},
            ["https://a.test/", "--at 2026-01-05T08:00:00Z"],
        ),
        (
            {"not_hours": {"days": ["mon"]}},
            {"not_hours": {"days": ["tue"]}},
            ["https://a.test/", "--at 2026-01-05T00:00:00Z"],
        ),
        (
            {"hours": {"from": "08:00", "to": "17:00"}},
            {"hours": {"from": "08:00", "to": "18:00"}},
            ["https://a.test/", "--at 2026-01-05T17:59:00Z"],
        ),
        (
            {"not_hours": {"days": ["sun"], "from": "22:00", "to": "02:30"}},
            {"not_hours": {"days": ["sun"], "from": "22:00", "to": "02:00"}},
            ["https://a.test/", "--at 2026-01-05T02:29:00Z"],
        ),
        (
            {"hours": {"days": ["wed"], "from": "08:05", "to": "08:10"}},
            {"hours": {"days": ["wed"], "from": "08:05", "to": "08:11"}},
            ["https://a.test/", "--at 2026-01-07T08:10:00Z"],
        ),
    ],
)
def test_diff_asks_for_shares_and_hours(tmp_path, earlier, later, expected):
    files = []
    for number, match in enumerate((earlier, later)):
        a = {"hosts": ["a.test"], "upstream": "http://10.0.0.1:80"}
        a["routes"] = [{"match": match, "tenant": "b"}]
        b = {"hosts": ["b.test"], "upstream": "http://10.0.0.2:80"}
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"a": a, "b": b}}))
    for before, after in (files, files[::-1]):
        done = run_agent_command("diff", "--to-config", after, "-c", before, "--json")
        asked = [[one["url"], one["options"]] for one in json.loads(done.stdout)["differences"]]
        assert expected in asked, asked


def test_diff_asks_those_who_lead_to_what_changes(tmp_path):
    files = []
    for number in (2, 3):
        a = {"hosts": ["a.test"], "upstream": "http://10.0.0.1:80"}
        a["routes"] = [{"match": {"path": "/jobs"}, "tenant": "b"}]
        b = {"hosts": ["b.test"], "upstream": f"http://10.0.0.{number}:80"}
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"a": a, "b": b}}))
    done = run_agent_command("diff", "--to-config", files[1], "-c", files[0], "--json")
    told = json.loads(done.stdout)
    assert told["changed"] == ["b"]
    assert "https://a.test/jobs" in [one["url"] for one in told["differences"]]


@pytest.mark.skipif(not may_mount(), reason="mounts a file")
def test_a_zone_is_that_of_its_file_now(new_stack, upstreams, tmp_path):
    """A package of other rules comes when a government has made them, and waits for no restart."""
    zone, moved = tmp_path / "zone", "Europe/Berlin"
    folder = Path("/usr/share/zoneinfo")
    zone.write_bytes((folder / "Asia/Tokyo").read_bytes())
    now = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=9)))
    hours = [(now + datetime.timedelta(hours=distance)).strftime("%H:00") for distance in (-1, 2)]
    match = {"path": "/day", "hours": {"from": hours[0], "to": hours[1], "zone": moved}}
    stack = new_stack()
    stack.write_tenants(
        {
            "acme": {
                "hosts": ["acme.test"],
                "upstream": upstreams["alpha"].url,
                "https": "off",
                "routes": [{"match": match, "action": "deny"}],
            }
        }
    )
    mount = 'mount --bind "$0" "$1" && shift && exec "$@"'
    stack.agent_wrapper = ["unshare", "--mount", "sh", "-c", mount, zone, folder / moved]
    stack.start()

    def is_refused():
        return request(stack.http_port, "/day", "acme.test").status == 403

    assert is_refused()
    zone.write_bytes((folder / "America/New_York").read_bytes())
    stack.agents[0].send_signal(signal.SIGHUP)
    wait_until(lambda: not is_refused(), "read again")
    log = stack.agents[0].log()
    stack.agents[0].send_signal(signal.SIGHUP)
    wait_until(lambda: "by=signal" in stack.agents[0].log()[len(log) :], "read once more")
    assert "changed=0" in stack.agents[0].log()[len(log) :]
    zone.write_bytes(b"nothing")
    stack.agents[0].send_signal(signal.SIGHUP)
    wait_until(lambda: "is not a time zone" in stack.agents[0].log(), "told")
    assert not is_refused()
