"""When no agent is there: HAProxy goes on by the map that the last one has left (fallback_map), for
those who can do without; nobody else is served, and nobody gets in what the agent keeps out."""

import contextlib
import http.server
import os
import re
import signal
import socket
import ssl
import threading
import time

import pytest

from support.clients import HANDSHAKE, connect, echo, read_answer, request, request_bytes
from support.load import Load
from support.processes import wait_until
from support.relay import RuntimeRelay
from support.stack import HAPROXY_VERSION, run_agent_command
from support.spoofs import ADDRESS, FORMS, HEADERS, IDENTITY

PLAIN = {"https": "off"}
MANY = int(os.environ.get("OWUI_FALLBACK_TENANTS", "2000"))
JWT = {"from": "jwt", "issuer": "https://id.test", "audience": "owui", "jwks": "/nowhere/keys.json"}


def the_tenants(upstreams):
    def on(name, **keys):
        return {"upstream": upstreams[name].url, **PLAIN, **keys}

    identity = {**JWT, "set": {"X-User-Email": "{email}"}}
    return {
        "alpha": on("alpha", hosts=["chat.alpha.test", "ai.alpha.test"]),
        "beta": on("beta", hosts=["chat.beta.test"], https="redirect"),
        "fleet": on("beta", hosts=["*.fleet.test"]),
        "vip": on("gamma", hosts=["vip.fleet.test"], suspended={}),
        "star": on("gamma", hosts=["star.fleet.test"]),
        "labels": on("alpha", hosts=["*.label.test"], label="a+"),
        "teams": on("alpha", hosts=["teams.test"], headers={"X-Team": "red; {tenant}"}),
        "dynamic": on("alpha", hosts=["dynamic.test"], headers={"X-Ip": "{client_ip}"}),
        "nobody": on("alpha", hosts=["nobody.test"], identity=identity),
        "known": on("alpha", hosts=["known.test"], identity={**identity, "required": True}),
        "away": on("alpha", hosts=["away.test"], suspended={}),
        "works": on("alpha", hosts=["works.test"], maintenance={"on": True}),
        "later": on(
            "alpha",
            hosts=["later.test"],
            maintenance={"window": {"from": "2999-01-01T00:00Z", "to": "2999-01-02T00:00Z"}},
        ),
        "earlier": on(
            "alpha",
            hosts=["earlier.test"],
            maintenance={"window": {"from": "2001-01-01T00:00Z", "to": "2001-01-02T00:00Z"}},
        ),
        "shared": on("alpha", hosts=["apps.test"]),
        "path": on(
            "beta",
            hosts=["path.test"],
            paths=[{"host": "apps.test", "prefix": "/llm/", "mode": "strip"}],
        ),
        "inside": on("alpha", hosts=["inside.test"], allow_ips=["10.0.0.0/8"]),
        "routed": on("alpha", hosts=["routed.test"], routes=[{"match": {"path": "/x"}}]),
        "unknown": {"hosts": ["unknown.test"], "upstream": "http://no.such.test:80", **PLAIN},
        "limited": on("alpha", hosts=["limited.test"], limits={"requests_per_10s": 5}),
        "guessed": on("alpha", hosts=["guess.test"], limits={"signin_per_minute_per_ip": 2}),
        "six": on("six", hosts=["six.test"]),
        "secure": on("secure", hosts=["s.test"], upstream_tls={"server_name": "secure.internal"}),
        "wrong": on("secure", hosts=["wrong.test"], upstream_tls={"server_name": "other.internal"}),
        "named": {"hosts": ["named.test"], "backend": "replicas", **PLAIN},
        "several": {
            "hosts": ["several.test"],
            "replicas": {
                "servers": [upstreams["alpha"].url, upstreams["beta"].url],
                "draining": [upstreams["alpha"].url],
            },
            **PLAIN,
        },
    }


def entries(text):
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    return dict(line.split(" ", 1) for line in lines)


class Fallback:
    def __init__(self, stack):
        self.stack = stack
        self.path = stack.directory / "fallback.map"
        stack.config["haproxy"]["fallback_map"] = str(self.path)

    def in_file(self):
        return entries(self.path.read_text()) if self.path.exists() else {}

    def in_haproxy(self):
        shown = self.stack.runtime(f"show map {self.path}")
        return entries("\n".join(line.split(" ", 1)[1] for line in shown.splitlines() if line))

    def wait_for(self, condition, what="the map"):
        """Until the file and HAProxy have what satisfies `condition`, and have the same."""

        def there():
            held = self.in_file()
            return condition(held) and self.in_haproxy() == held

        wait_until(there, what, 30)

    def kill_agents(self):
        for agent in self.stack.agents:
            agent.stop(signal.SIGKILL)
        self.stack.wait_for_agents(0)


class Handshakes(http.server.ThreadingHTTPServer):
    """A TLS server that answers with the name that the handshake has asked for."""

    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("X-Name", repr(getattr(self.connection, "asked_for", None)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    def __init__(self, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.context.sni_callback = lambda sock, name, _: setattr(sock, "asked_for", name)
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def get_request(self):
        sock, peer = super().get_request()
        return self.context.wrap_socket(sock, True, do_handshake_on_connect=False), peer

    def handle_error(self, *_):
        pass  # who looks whether it is there makes no handshake

    @property
    def url(self):
        return f"https://127.0.0.1:{self.server_port}"


def refusal(answer):
    return answer.status, answer.header("X-Refused")


@pytest.fixture(scope="module")
def silent():
    """The URL of a server that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def without_agent(new_module_stack, upstreams, silent):
    servers = [upstreams["alpha"].address]
    stack = new_module_stack(
        changes={"strip_headers": [name for name in IDENTITY if name != "X-Tenant-ID"]},
        haproxy_changes={"backends": {"replicas": {"servers": servers, "check": "/health"}}},
    )
    tenants = the_tenants(upstreams)
    tenants["slow"] = {
        "hosts": ["slow.test"],
        "upstream": silent,
        "timeouts": {"server": "200ms"},
        **PLAIN,
    }
    stack.write_tenants(tenants)
    stack.issue("chat.beta.test", "chat.alpha.test", "teams.test")
    fallback = Fallback(stack)
    stack.start()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)
    fallback.kill_agents()
    return stack


@pytest.mark.parametrize(
    "host, name, tenant",
    [
        ("chat.alpha.test", "alpha", "alpha"),
        ("ai.alpha.test", "alpha", "alpha"),
        ("CHAT.Alpha.test", "alpha", "alpha"),
        ("one.fleet.test", "beta", "fleet"),
        ("star.fleet.test", "gamma", "star"),
        ("nobody.test", "alpha", "nobody"),
        ("earlier.test", "alpha", "earlier"),
        ("path.test", "beta", "path"),
        ("six.test", "six", "six"),
        ("s.test", "secure", "secure"),
        ("named.test", "alpha", "named"),
        ("several.test", "beta", "several"),
    ],
)
def test_who_can_do_without_the_agent_is_served(without_agent, host, name, tenant):
    port = without_agent.http_port
    told = echo(port, f"{host}:{port}")
    assert (told.name, told.header("X-Tenant-ID")) == (name, tenant)
    assert told.header("Host") == f"{host.lower()}:{port}"
    assert told.header("X-Forwarded-For") == told.header("X-Real-IP") == "127.0.0.1"
    assert told.header("X-Forwarded-Proto") == "http"
    assert told.header("X-Forwarded-Host") == f"{host.lower()}:{port}"
    assert told.header("X-Forwarded-Port") == str(port)
    assert told.header("X-Request-ID")


@pytest.mark.parametrize(
    "host",
    [
        "vip.fleet.test",  # is not the wildcard's
        "two.labels.fleet.test",
        "fleet.test",
        ".fleet.test",
        "a.label.test",
        "dynamic.test",
        "known.test",
        "away.test",
        "works.test",
        "later.test",
        "apps.test",  # a path of it is somebody else's
        "inside.test",
        "routed.test",
        "unknown.test",
        "nowhere.test",
        "chat.alpha.test.",
        "chat.alpha.test:x",
        "chat.alpha.test:80:80",
        "chat.alpha.test/*",
        "fleet.test/*",
        "teams/h_x_team",
        "-",
        "",
    ],
)
def test_everybody_else_is_refused(without_agent, host):
    answer = request(without_agent.http_port, "/api/echo", host)
    assert answer.status in (400, 503), answer
    if answer.status == 503:
        assert refusal(answer) == (503, "no-agent")


def test_a_paths_tenant_is_not_taken_for_the_hosts(without_agent):
    assert refusal(request(without_agent.http_port, "/llm/api/echo", "apps.test"))[0] == 503


@pytest.mark.parametrize("form", FORMS)
def test_what_a_client_may_not_say_is_stripped(without_agent, form):
    port = without_agent.http_port
    for name, value in HEADERS.items():
        said = echo(port, "nobody.test", headers=FORMS[form](name, value)).headers
        told = {name.lower(): value for name, value in said}
        assert ADDRESS not in "".join(told.values()), (name, told)
        assert told["x-forwarded-proto"] == "http" and told["x-forwarded-port"] == "80", name


def test_no_identity_is_told(without_agent):
    headers = [("X-User-Email", "root@test"), ("x-user-email", "root@test")]
    told = echo(without_agent.http_port, "nobody.test", headers=headers)
    assert told.all("X-User-Email") == []


def test_a_tenants_headers_are_told(without_agent):
    spoofed = [("X-Team", "blue")]
    told = echo(without_agent.http_port, "teams.test", headers=spoofed)
    assert told.header("X-Team") == "red; teams"
    told = echo(without_agent.http_port, "chat.alpha.test", headers=spoofed)
    assert told.all("X-Team") == []


def test_tls_upstreams_are_verified(without_agent):
    assert request(without_agent.http_port, "/api/echo", "wrong.test").status == 503


def test_plain_http_is_sent_to_https(without_agent):
    stack = without_agent
    answer = request(stack.http_port, "/c/1?x=2", f"chat.beta.test:{stack.http_port}")
    assert answer.status == 308
    assert answer.header("Location") == f"https://chat.beta.test:{stack.https_port}/c/1?x=2"
    assert answer.header("Cache-Control") == "no-store"
    assert request(stack.http_port, "/health", "chat.beta.test").status == 200
    told = echo(stack.https_port, "chat.beta.test", tls_name="chat.beta.test")
    assert (told.name, told.header("X-Forwarded-Proto")) == ("beta", "https")
    assert told.header("X-Forwarded-Port") == "443"


@pytest.mark.parametrize(
    "origin, status",
    [
        (None, 101),
        ("http://chat.alpha.test", 101),
        ("https://chat.alpha.test", 101),
        ("https://ai.alpha.test", 403),
        ("https://evil.test", 403),
        ("https://chat.alpha.test.evil.test", 403),
        ("https://chat.alpha.test:8443", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_a_foreign_page_opens_no_websocket(without_agent, origin, status):
    headers = HANDSHAKE + ([("Origin", origin)] if origin is not None else [])
    target = "/ws/socket.io/?EIO=4&transport=websocket"
    with connect(without_agent.http_port) as sock:
        sock.sendall(request_bytes("GET", target, "chat.alpha.test", headers))
        head = sock.recv(4096)
    assert int(head.split()[1]) == status, head


def test_a_page_that_came_without_tls_opens_none_with(without_agent):
    headers = HANDSHAKE + [("Origin", "http://chat.beta.test")]
    data = request_bytes("GET", "/ws/socket.io/", "chat.beta.test", headers)
    with connect(without_agent.https_port, "chat.beta.test") as sock:
        sock.sendall(data)
        assert refusal(read_answer(sock)) == (403, "origin")


def test_limits_hold(without_agent):
    port = without_agent.http_port
    statuses = [request(port, "/health", "limited.test").status for _ in range(12)]
    assert statuses[0] == 200 and 429 in statuses, statuses
    # however the path is written
    paths = ["/api/v1/auths/signin", "/api/v1/auths/%73ignin", "/api//v1/auths/./signin"]
    paths += ["/api/v1/auths/update/password", "/api/v1/auths%2Fsignin", "/api/v1/auths/ldap"]
    body = b'{"email": "a@test"}'
    kind = [("Content-Type", "application/json")]
    answers = [request(port, path, "guess.test", "POST", kind, body) for path in paths]
    assert [answer.status for answer in answers][2:] == [429] * 4
    assert request(port, "/health", "guess.test").status == 200


def test_timeouts_hold(without_agent):
    assert request(without_agent.http_port, "/health", "slow.test").status == 504


@pytest.fixture
def small(new_stack, upstreams):
    def make(agents=1, tenants=None, **options):
        stack = new_stack(agents=agents, **options)
        stack.write_tenants(tenants or {"alpha": tenant(upstreams, "alpha", "chat.alpha.test")})
        return stack, Fallback(stack)

    return make


def tenant(upstreams, name, *hosts):
    return {"hosts": list(hosts), "upstream": upstreams[name].url, **PLAIN}


def test_each_label_has_its_own_limit(small, upstreams):
    fleet = {"hosts": ["*.fleet.test"], "upstream_map": "fleet.csv", **PLAIN}
    stack, fallback = small(tenants={"fleet": {**fleet, "limits": {"requests_per_10s": 5}}})
    url = upstreams["alpha"].url
    (stack.tenants_dir / "fleet.csv").write_text(f"acme,{url}\nglobex,{url}\n")
    stack.start()
    hosts = [f"{label}.fleet.test" for label in ("acme", "globex")]
    for host in hosts:
        assert request(stack.http_port, "/health", host).status == 200
    fallback.wait_for(lambda held: set(hosts) <= set(held))
    fallback.kill_agents()
    statuses = [request(stack.http_port, "/health", hosts[0]).status for _ in range(12)]
    assert statuses[0] == 200 and 429 in statuses, statuses
    assert request(stack.http_port, "/health", hosts[1]).status == 200


def test_handshakes_ask_for_the_name_that_there_is(small, authority, tmp_path):
    """An address is none, and what stands for nothing in the map is none either."""
    server = Handshakes(authority.issue(["any.internal"], tmp_path / "server.pem"))
    tls = {"bare": {}, "told": {"server_name": "any.internal"}}
    stack, fallback = small(
        tenants={
            name: {
                "hosts": [f"{name}.test"],
                "upstream": server.url,
                "upstream_tls": {"verify": False, **keys},
                **PLAIN,
            }
            for name, keys in tls.items()
        }
    )

    def names():
        answers = {name: request(stack.http_port, "/", f"{name}.test") for name in tls}
        assert [answer.status for answer in answers.values()] == [200, 200]
        return {name: answer.header("X-Name") for name, answer in answers.items()}

    try:
        stack.start()
        fallback.wait_for(lambda held: "bare.test" in held and "told.test" in held)
        expected = {"bare": "None", "told": "'any.internal'"}
        # HAProxy would offer the last session of its thread to the next server, and its name, too.
        assert [names() for _ in range(16)] == [expected] * 16
        fallback.kill_agents()
        assert [names() for _ in range(16)] == [expected] * 16
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("short_heads_only", [True, False])
def test_what_is_too_big_to_be_asked_is_not_let_in(small, upstreams, short_heads_only):
    """A client cannot make HAProxy go by the map: here, by a message that fits into no frame, as
    there are where an admin has HAProxy take larger heads of requests. Before 3.1 that is told as a
    timeout is, which counts only where heads are short."""
    stack, fallback = small()
    cookie = {**JWT, "cookie": "token", "set": {"X-User-Email": "{email}"}}
    jwt = {**tenant(upstreams, "beta", "jwt.test"), "identity": cookie}
    stack.write_tenants({"jwt": jwt}, "jwt.json")
    path = stack.add_own_line("global", "tune.bufsize 40000")
    text = path.read_text()
    remedy = " { req.hdrs -m len 0:4000 } { path -m len 0:4000 } { method -m len 0:32 }"
    assert remedy in text
    path.write_text(text if short_heads_only else text.replace(remedy, ""))
    stack.start_agent()
    stack.start_haproxy()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)
    # How large a frame may be is known from the first on, which is small.
    assert request(stack.http_port, "/health", "chat.alpha.test").status == 200
    much = "b" * 20000
    answers = [
        request(
            stack.http_port, "/health", "chat.alpha.test", headers=[("Cookie", f"token={much}")]
        ),
        request(stack.http_port, f"/static/../{much}", "chat.alpha.test"),
        request(stack.http_port, "/health", "chat.alpha.test", method=much),
    ]
    told = set(re.findall("SPOE.* st=(1|3|259) ", stack.haproxy.log()))
    assert told
    if short_heads_only or told <= {"3", "259"} or HAPROXY_VERSION >= (3, 1):
        assert {refusal(answer) for answer in answers[:2]} == {(503, "no-agent")}
        assert answers[2].status != 200
    else:
        assert 200 in {answer.status for answer in answers}
    assert request(stack.http_port, "/health", "chat.alpha.test").status == 200


def test_who_closes_its_side_is_not_let_in(small):
    """A client cannot make HAProxy go by the map by having gone while the agent is asked, either:
    what the map lets in and the agent refuses stays refused."""
    stack, fallback = small()
    stack.start()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)
    seen = set()
    for number in range(40):
        with connect(stack.http_port) as sock:
            sock.sendall(request_bytes("GET", "/wp-login.php", "chat.alpha.test"))
            time.sleep(number / 4000)  # before, while and after the agent answers
            sock.shutdown(socket.SHUT_WR)
            answer = read_answer(sock)
            seen.add(answer and refusal(answer))
    assert seen <= {None, (503, "no-agent"), (404, "scanner")}, seen
    assert (404, "scanner") in seen  # the agent was asked
    fallback.kill_agents()
    assert request(stack.http_port, "/wp-login.php", "chat.alpha.test").status == 200


def test_a_buffer_that_an_admin_has_made_smaller(small, upstreams):
    """The map goes in commands for which there is room, and the agent stays up, though the checks
    of 3.1 and later tell of larger frames than they take. Without TLS, for newer versions refuse
    so small a buffer beside HTTP/2."""
    hosts = {f"t{i}": tenant(upstreams, "alpha", f"t{i}.a-longer-name.test") for i in range(300)}
    stack, fallback = small(tenants=hosts)
    stack.config["haproxy"]["https"] = []
    stack.add_own_line("global", "tune.bufsize 4096")
    stack.start()
    fallback.wait_for(lambda held: len(held) >= len(hosts))
    row = re.compile("^owui_agents,agent1,.*,L7OK,", re.MULTILINE)
    wait_until(lambda: row.search(stack.runtime("show stat")), "a check that went well", 15)
    assert stack.agents_up() == 1
    assert request(stack.http_port, "/health", "t7.a-longer-name.test").status == 200
    wait_until(lambda: "tenant=t7" in stack.haproxy.log(), "its line in the log")


def test_no_request_fails_when_the_only_agent_is_killed(small, record_property):
    stack, fallback = small()
    stack.start()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)
    with Load(stack.http_port, "chat.alpha.test") as load:
        load.wait_for_more(100)
        stack.agents[0].stop(signal.SIGKILL)
        load.wait_for_more(200)
        stack.wait_for_agents(0)
        load.wait_for_more(200)
        stack.start_agent()
        stack.wait_for_agents(1)
        load.wait_for_more(200)
    record_property("requests", load.count())
    print(f"\n  kill -9 of the only agent: none of {load.count()} requests failed")
    # those under way included
    assert set(load.statuses) == {200}, load.statuses


def test_an_agent_that_hangs_is_done_without(small):
    stack, fallback = small()
    stack.start()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)
    with Load(stack.http_port, "chat.alpha.test") as load:
        load.wait_for_more(50)
        stack.agents[0].send_signal(signal.SIGSTOP)
        try:
            load.wait_for_more(20)
            stack.wait_for_agents(0)
            load.wait_for_more(100)
        finally:
            stack.agents[0].send_signal(signal.SIGCONT)
        stack.wait_for_agents(1)
        load.wait_for_more(50)
    assert set(load.statuses) == {200}, load.statuses


def test_the_agents_decisions_count_again_when_it_is_back(small, upstreams):
    stack, fallback = small()
    stack.start()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)
    fallback.kill_agents()
    assert echo(stack.http_port, "chat.alpha.test").name == "alpha"
    away = {**tenant(upstreams, "alpha", "chat.alpha.test"), "suspended": {}}
    stack.write_tenants({"alpha": away})
    stack.start_agent()
    stack.wait_for_agents(1)
    assert request(stack.http_port, "/api/echo", "chat.alpha.test").status == 402
    fallback.wait_for(lambda held: held == {})
    fallback.kill_agents()
    assert refusal(request(stack.http_port, "/api/echo", "chat.alpha.test")) == (503, "no-agent")


def test_changes_are_in_the_map(small, upstreams):
    stack, fallback = small(agents=2)
    stack.start()
    others = {f"t{i}": tenant(upstreams, "beta", f"t{i}.test") for i in range(3)}
    alpha = {"alpha": tenant(upstreams, "alpha", "chat.alpha.test", "*.alpha.test")}
    both = {"chat.alpha.test", "alpha.test/*"}
    stack.write_tenants({**alpha, **others})
    fallback.wait_for(lambda held: set(held) == both | {f"t{i}.test" for i in range(3)})
    gone = {name: other for name, other in others.items() if name != "t1"}
    moved = {"t0": tenant(upstreams, "gamma", "t0.test")}
    stack.write_tenants({**alpha, **gone, **moved})
    port = upstreams["gamma"].port
    fallback.wait_for(lambda held: "t1.test" not in held and f"/{port}/" in held["t0.test"])
    fallback.kill_agents()
    assert echo(stack.http_port, "t0.test").name == "gamma"
    assert echo(stack.http_port, "t2.test").name == "beta"
    assert request(stack.http_port, "/api/echo", "t1.test").status == 503
    assert echo(stack.http_port, "new.alpha.test").name == "alpha"


def test_a_key_that_haproxy_has_twice_is_deleted(small, upstreams):
    """As two agents add one at the same time; HAProxy 3.4 deletes one of them."""
    stack, fallback = small()
    stack.start()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)
    value = fallback.in_file()["chat.alpha.test"]
    stack.runtime(f"add map {fallback.path} chat.alpha.test {value}")
    stack.write_tenants({"beta": tenant(upstreams, "beta", "chat.beta.test")})
    fallback.wait_for(lambda held: set(held) == {"chat.beta.test"})
    assert stack.runtime(f"show map {fallback.path}").count("alpha") == 0
    fallback.kill_agents()
    for _ in range(2):
        stack.runtime(f"add map {fallback.path} twice.test {value}")
    stack.runtime(f"del map {fallback.path} twice.test")
    left = stack.runtime(f"show map {fallback.path}").count("twice.test")
    assert left == (1 if HAPROXY_VERSION >= (3, 4) else 0)


def test_haproxy_is_reloaded_and_restarted_meanwhile(small, upstreams):
    stack, fallback = small()
    stack.start()
    stack.write_tenants(
        {
            "alpha": tenant(upstreams, "alpha", "chat.alpha.test"),
            "beta": tenant(upstreams, "beta", "chat.beta.test"),
        }
    )
    fallback.wait_for(lambda held: len(held) == 2)
    fallback.kill_agents()
    before = stack.haproxy_workers()
    stack.haproxy.send_signal(signal.SIGUSR2)
    wait_until(lambda: not set(before) & set(stack.haproxy_workers()), "new workers", 30)
    stack.wait_for_agents(0)
    assert echo(stack.http_port, "chat.beta.test").name == "beta"
    stack.haproxy.stop()
    stack.sockets, sockets = [], stack.sockets
    stack.start_haproxy()
    stack.sockets = sockets
    assert echo(stack.http_port, "chat.beta.test").name == "beta"
    assert echo(stack.http_port, "chat.alpha.test").name == "alpha"


def test_a_haproxy_that_comes_later_gets_what_changed(small, upstreams):
    """Its file was read before; the map comes over its Runtime API once it is noticed."""
    stack, fallback = small()
    stack.start()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)
    stack.haproxy.stop()
    sockets, stack.sockets = stack.sockets, []
    stack.agents[0].send_signal(signal.SIGSTOP)  # or it might notice before we are ready
    try:
        stack.start_haproxy()
        # what a race with a reload would leave there
        stack.runtime(f"del map {fallback.path} chat.alpha.test")
        assert "chat.alpha.test" not in fallback.in_haproxy()
    finally:
        stack.agents[0].send_signal(signal.SIGCONT)
        stack.sockets = sockets
    wait_until(lambda: "chat.alpha.test" in fallback.in_haproxy(), "the map", 30)


class CutShort(RuntimeRelay):
    """HAProxy takes what is added to a prepared map, and its answer is lost on the way."""

    def __init__(self, path, haproxy_path):
        self.cut = 0
        self.cutting = True
        super().__init__(path, haproxy_path, lambda command: None)

    def serve(self, near):
        if not self.cutting or not near.recv(65536, socket.MSG_PEEK).startswith(b"add map @"):
            with contextlib.suppress(OSError):  # HAProxy is not there yet
                super().serve(near)
            return
        with near, socket.socket(socket.AF_UNIX) as far:
            far.connect(str(self.haproxy_path))
            while part := near.recv(65536):
                far.sendall(part)
            far.shutdown(socket.SHUT_WR)
            assert far.recv(65536) == b"\n"
            self.cut += 1


def test_what_was_prepared_in_vain_is_taken_away(small):
    stack, fallback = small()
    stack.write_config()
    stack.write_haproxy_config()
    relay = CutShort(stack.directory / "short.sock", stack.runtime_socket)
    stack.config["haproxy"]["runtime"] = [str(relay.path)]
    stack.write_config()
    stack.start_agent()
    stack.start_haproxy()
    stack.runtime(f"clear map {fallback.path}")  # it has read the file

    def prepared():
        """Entries in HAProxy's memory, those of all versions together."""
        line = next(
            one for one in stack.runtime("show map").splitlines() if str(fallback.path) in one
        )
        return int(re.search(r"entry_cnt=(\d+)", line).group(1))

    try:
        wait_until(lambda: relay.cut >= 2, "a map that was cut short twice", 30)
        wait_until(lambda: prepared() == 0, "nothing is left of it", 10)
        relay.cutting = False
        wait_until(lambda: "chat.alpha.test" in fallback.in_haproxy(), "the map", 30)
    finally:
        relay.stop()


def test_one_of_many_tenants_is_told_alone(small, upstreams, record_property):
    many = {f"t{i}": tenant(upstreams, "beta", f"t{i}.test") for i in range(MANY)}
    alpha = {"alpha": tenant(upstreams, "alpha", "chat.alpha.test")}
    stack, fallback = small(tenants=alpha)
    stack.write_tenants(many, "many.json")
    stack.config["log"] = {"level": "debug"}
    stack.start()
    fallback.wait_for(lambda held: len(held) == MANY + 1)
    # HAProxy may have read all that from the file, and the agent be about to send it
    wait_until(lambda: "fallback_loaded" in stack.agents[0].log(), "the agent has sent it", 30)
    wholes = stack.agents[0].log().count("whole=1")
    started = time.monotonic()
    stack.write_tenants({"alpha": tenant(upstreams, "gamma", "chat.alpha.test")})
    port = upstreams["gamma"].port
    shown = f"get map {fallback.path} chat.alpha.test"
    wait_until(lambda: f"/{port}/" in stack.runtime(shown), "the change in HAProxy", 30)
    changed_ms = round((time.monotonic() - started) * 1000)
    # one line, not the world again
    assert stack.agents[0].log().count("whole=1") == wholes
    record_property("changed_ms", changed_ms)
    print(f"\n  one of {MANY} tenants changed: in HAProxy's map after {changed_ms} ms")
    fallback.kill_agents()
    assert echo(stack.http_port, f"t{MANY - 1}.test").name == "beta"
    assert echo(stack.http_port, "chat.alpha.test").name == "gamma"


def test_headers_that_haproxy_does_not_strip_keep_their_tenant_out(small, upstreams):
    """Its file is older than the tenant who believes the header: anybody could send it."""
    stack, fallback = small()
    stack.start()
    identity = {**JWT, "set": {"X-User-Email": "{email}"}}
    known = {**tenant(upstreams, "beta", "known.test"), "identity": identity}
    stack.write_tenants({"known": known}, "known.json")
    fallback.wait_for(lambda held: ".x_user_email." in held.get("known.test", ""))
    fallback.kill_agents()
    root = [("X-User-Email", "root@test")]
    answer = request(stack.http_port, "/api/echo", "known.test", headers=root)
    assert refusal(answer) == (503, "no-agent")
    assert echo(stack.http_port, "chat.alpha.test").name == "alpha"
    stack.write_haproxy_config()
    before = stack.haproxy_workers()
    stack.haproxy.send_signal(signal.SIGUSR2)
    wait_until(lambda: not set(before) & set(stack.haproxy_workers()), "new workers", 30)
    told = echo(stack.http_port, "known.test", headers=root)
    assert told.name == "beta" and told.all("X-User-Email") == []


def test_what_a_proxy_says_is_not_believed_without_the_agent(small, upstreams):
    stack, fallback = small()
    proxies = {"name": "lb", "cidrs": ["127.0.0.0/8"], "client_ip_header": "X-Forwarded-For"}
    stack.config["trusted_proxies"] = [proxies]
    secure = {**tenant(upstreams, "beta", "chat.beta.test"), "https": "redirect"}
    stack.write_tenants({"secure": secure}, "secure.json")
    stack.start()
    said = [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "https")]
    port = stack.http_port
    fallback.wait_for(lambda held: len(held) == 2)
    assert echo(port, "chat.beta.test", headers=said).header("X-Forwarded-For") == "192.0.2.7"
    fallback.kill_agents()
    # neither served as if it were safe nor sent round in circles
    answer = request(port, "/api/echo", "chat.beta.test", headers=said)
    assert refusal(answer) == (503, "no-agent")
    told = echo(port, "chat.alpha.test", headers=said)
    assert told.header("X-Forwarded-For") == "127.0.0.1"
    assert told.header("X-Forwarded-Proto") == "http"


PROXY_LINES = {
    "TCP4 203.0.113.9 192.0.2.1": "203.0.113.9",
    "TCP6 ::ffff:203.0.113.9 ::ffff:192.0.2.1": "203.0.113.9",
    "TCP6 2001:db8::9 2001:db8::1": "2001:db8::9",
    "TCP6 2002:cb00:7109::9 2001:db8::1": "2002:cb00:7109::9",
    "TCP6 64:ff9b::203.0.113.9 2001:db8::1": "64:ff9b::cb00:7109",
    "TCP6 ::ffff:0:203.0.113.9 2001:db8::1": "::ffff:0:cb00:7109",
    "TCP6 ::1 ::1": "::1",
}


def test_a_client_of_a_proxy_line_is_who_it_is_with_the_agent(small):
    sender = "127.0.5.1"
    stack, fallback = small(haproxy_changes={"proxy_protocol": {"from": [f"{sender}/32"]}})
    stack.start()
    fallback.wait_for(lambda held: held)

    def clients():
        for line in PROXY_LINES:
            first = f"PROXY {line} 4711 80\r\n".encode()
            told = echo(stack.http_port, "chat.alpha.test", source=sender, first=first)
            assert told.header("X-Forwarded-For") == told.header("X-Real-IP")
            yield told.header("X-Real-IP")

    assert list(clients()) == list(PROXY_LINES.values())
    fallback.kill_agents()
    assert list(clients()) == list(PROXY_LINES.values())


def test_a_label_that_was_asked_for_is_in_the_map(small, upstreams):
    port = upstreams["alpha"].port
    names = {"hosts": ["*.names.test"], "upstream": f"http://{{1}}:{port}", **PLAIN}
    stack, fallback = small(tenants={"names": names})
    stack.start()

    def served():
        answer = request(stack.http_port, "/api/echo", "localhost.names.test")
        return answer.status == 200

    wait_until(served, "the label's address", 30)
    fallback.wait_for(lambda held: "localhost.names.test" in held)
    fallback.kill_agents()
    told = echo(stack.http_port, "localhost.names.test")
    assert (told.name, told.header("X-Tenant-ID")) == ("alpha", "names")
    other = request(stack.http_port, "/api/echo", "other.names.test")
    assert refusal(other) == (503, "no-agent")


def test_turned_off_the_map_is_emptied(small):
    stack, fallback = small()
    stack.start()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)
    del stack.config["haproxy"]["fallback_map"]
    stack.write_config()
    fallback.wait_for(lambda held: held == {})
    log = stack.agents[0].log
    wait_until(lambda: "haproxy_config_differs" in log(), "the word about haproxy.cfg", 30)


def test_a_file_that_cannot_be_written_is_told(small):
    stack, fallback = small()
    folder = stack.directory / "folder"
    folder.mkdir()
    fallback.path = folder / "fallback.map"
    stack.config["haproxy"]["fallback_map"] = str(fallback.path)
    fallback.path.with_name("fallback.map.new").mkdir()
    stack.start()
    log = stack.agents[0].log
    wait_until(lambda: "fallback_not_written" in log(), "the word about the file", 30)
    # HAProxy has it all the same
    wait_until(lambda: "chat.alpha.test" in fallback.in_haproxy(), "the map", 30)
    fallback.path.with_name("fallback.map.new").rmdir()
    fallback.wait_for(lambda held: "chat.alpha.test" in held)


def test_without_the_setting_there_is_no_map(new_stack, upstreams):
    stack = new_stack()
    stack.write_tenants({"alpha": tenant(upstreams, "alpha", "chat.alpha.test")})
    stack.start()
    assert "map_str" not in (stack.haproxy_dir / "haproxy.cfg").read_text()
    stack.agents[0].stop(signal.SIGKILL)
    stack.wait_for_agents(0)
    assert refusal(request(stack.http_port, "/api/echo", "chat.alpha.test")) == (503, "no-agent")


def test_explain_tells_it(small, upstreams):
    """Before an agent is needed: who will be served without, and why others will not."""
    away = {**tenant(upstreams, "beta", "away.test"), "suspended": {}}
    port = upstreams["alpha"].port
    named = {"hosts": ["named.test"], "upstream": f"http://localhost:{port}", "https": "redirect"}
    stack, _ = small(
        tenants={
            "alpha": tenant(upstreams, "alpha", "chat.alpha.test"),
            "away": away,
            "named": named,
        }
    )
    stack.write_config()

    def explained(host):
        done = run_agent_command("explain", "-c", stack.config_path, f"http://{host}/")
        return re.search("^no agent +(.*)$", done.stdout, re.M).group(1)

    assert f"alpha/http/127.0.0.1/{upstreams['alpha'].port}/" in explained("chat.alpha.test")
    assert explained("away.test") == "refused: suspended"
    # the daemon has the address, also where a redirect comes first
    assert f": named/http/127.0.0.1/{port}/-/s" in explained("named.test")


@pytest.mark.parametrize("version", ["2.6", "3.0", "3.2", "3.4"])
def test_every_version_has_its_own_form(small, tmp_path, version):
    stack, _ = small()
    stack.write_config()
    done = run_agent_command(
        "haproxy-config", "-c", stack.config_path, "--for", version, "--out", tmp_path
    )
    assert done.returncode == 0, done.stderr
    haproxy = (tmp_path / "haproxy.cfg").read_text()
    assert ".if" not in haproxy and "map_str" in haproxy
    assert ("req.hdrs" in haproxy) == (version < "3.1")
