"""README's "When something is wrong": each symptom that has a word of ours is made to happen, and the
commands that the table names tell what it says."""

import http.server
import os
import re
import signal
import socket
import threading

import pytest

from support.clients import HANDSHAKE, SOCKET, request
from support.processes import free_port, wait_until
from support.stack import HAPROXY_VERSION, REPOSITORY, Upstream, run_agent_command
from test_admin import Admin

SIGN_IN, CERTIFIED = "login.example.test", "chat.example.test"


def table():
    """What one sees, of each row."""
    text = (REPOSITORY / "README.md").read_text()
    part = text.split("\n### When something is wrong\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")]
    return rows[1:]


@pytest.fixture(scope="module")
def silent():
    """The port of a server that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def stack(new_module_stack, upstreams, silent):
    stack = new_module_stack()
    gamma = upstreams["gamma"].url  # whose own CORS_ALLOW_ORIGIN is another host's
    plain = {"https": "off"}
    stack.write_tenants(
        {
            "good": {"hosts": ["good.test"], "upstream": upstreams["alpha"].url, **plain},
            "gone": {"hosts": ["gone.test"], "upstream": "http://no-such.invalid:3000", **plain},
            "dead": {
                "hosts": ["dead.test"],
                "upstream": f"http://127.0.0.1:{free_port()}",
                **plain,
            },
            "slow": {
                "hosts": ["slow.test"],
                "upstream": f"http://127.0.0.1:{silent}",
                "timeouts": {"server": "1s"},
                **plain,
            },
            "other": {"hosts": ["other.test"], "upstream": gamma, **plain},
            "few": {
                "hosts": ["few.test"],
                "upstream": upstreams["alpha"].url,
                "limits": {"requests_per_10s": 1},
                **plain,
            },
        }
    )
    return stack.start()


def told(stack, *arguments):
    """What a command prints, in one line."""
    return " ".join(Admin(stack).run(*arguments)[1].split())


def seen(stack, host, path="/api/version", headers=()):
    answer = request(stack.http_port, path, host, headers=list(headers))
    return answer.status, answer.header("X-Refused")


def unresolved(stack):
    assert seen(stack, "gone.test") == (503, "upstream-unresolved")
    assert "no-such.invalid has no address" in told(stack, "status")
    assert "resolve_failed name=no-such.invalid" in stack.agents[0].log()


def dead(stack):
    assert seen(stack, "dead.test") == (503, None)
    assert "nobody listens there" in told(stack, "doctor", "dead")


def unknown_host(stack):
    assert seen(stack, "nobody.test") == (404, "unknown-host")
    assert "reason unknown-host" in told(stack, "explain", "http://nobody.test/")
    assert "nobody.test" not in told(stack, "tenants")


def slow(stack):
    assert seen(stack, "slow.test") == (504, None)


def scanner(stack):
    assert seen(stack, "good.test", "/wp-login.php") == (404, "scanner")


def two_parsers(stack):
    assert seen(stack, "good.test", "/a/%2e%2e/b")[1].startswith("path-")
    status, word = seen(stack, "good_test..")
    assert status == 400 and word.startswith("host-")
    assert re.search(rf" bad requests .*\b\d+ {word}\b", told(stack, "status"))


def length(stack):
    if HAPROXY_VERSION < (3, 2):
        chunked = [("Transfer-Encoding", "chunked")]
        assert seen(stack, "good.test", "/api/echo", chunked) == (411, "length")


def limit(stack):
    wait_until(lambda: seen(stack, "few.test") == (429, "requests"), "it is over its limit", 30)


def origin(stack):
    stranger = [*HANDSHAKE, ("Origin", "http://stranger.test")]
    assert seen(stack, "good.test", SOCKET, stranger) == (403, "origin")


def cors(stack):
    own = [*HANDSHAKE, ("Origin", "http://other.test")]
    status, word = seen(stack, "other.test", SOCKET, own)
    assert status in (400, 403) and word is None
    assert "CORS_ALLOW_ORIGIN=http://other.test" in told(stack, "tenants", "other")


def kept(stack):
    stack.write_tenants({"good": {"hosts": ["good.test"], "upstrem": "x"}}, "later.json")
    wait_until(lambda: 'unknown key "upstrem"' in told(stack, "status"), "it is told", 30)
    done = run_agent_command("check", "-c", stack.config_path)
    assert 'did you mean "upstream"?' in done.stdout + done.stderr
    (stack.tenants_dir / "later.json").unlink()


def no_agent(stack):
    stack.agents[0].stop()
    wait_until(lambda: seen(stack, "good.test") == (503, "no-agent"), "HAProxy says so", 30)
    assert Admin(stack).run("status")[0] == 2
    stack.start_agent()
    wait_until(lambda: seen(stack, "good.test")[0] == 200, "it is there again", 30)


TRIED = {
    "503, `X-Refused: no-agent`": no_agent,
    "503, `X-Refused: upstream-unresolved`": unresolved,
    "503 without `X-Refused`, as a page that looks again by itself": dead,
    "504 without `X-Refused`": slow,
    "404, `X-Refused: unknown-host`": unknown_host,
    "404, `X-Refused: scanner`": scanner,
    "400, `X-Refused: host-...` or `path-...`": two_parsers,
    "400 or 431 without `X-Refused`, for some people only": "test_headers_that_are_too_long",
    "411, `X-Refused: length`": length,
    "429, `X-Refused: requests`, `signin` or `websockets`": limit,
    "pages load, chat does not answer; 403, `X-Refused: origin`": origin,
    "pages load, chat does not answer; no `X-Refused`": cors,
    "too many redirects": "test_too_many_redirects",
    "login ends on http://": "test_a_login_that_ends_on_http",
    "no certificate": "test_no_certificate",
    "the wrong certificate": "test_the_wrong_certificate",
    "a change is not in force": kept,
}


def test_every_symptom_is_tried():
    assert table() == list(TRIED)
    assert all(trial in globals() for trial in TRIED.values() if isinstance(trial, str))


@pytest.mark.parametrize("symptom", [name for name, trial in TRIED.items() if callable(trial)])
def test_a_symptom(stack, symptom):
    TRIED[symptom](stack)


def test_headers_that_are_too_long(new_stack, upstreams):
    stack = new_stack()
    tenant = {"hosts": ["good.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    # The agent is told of what is in them.
    match = {"path": "/api/models", "credential": "api_key"}
    tenant["routes"] = [{"match": match, "action": "deny"}]
    stack.write_tenants({"good": tenant})
    stack.start()
    cookies = [("Cookie", f"oauth_id_token={'x' * 20000}; token=eyJ")]
    assert seen(stack, "good.test", headers=cookies) in ((400, None), (431, None))
    assert seen(stack, "good.test") == (200, None)
    stack.add_own_line("global", "tune.bufsize 32768")
    stack.haproxy.stop(signal.SIGTERM)
    stack.start_haproxy()
    assert seen(stack, "good.test", headers=cookies) == (200, None)


def test_too_many_redirects(new_stack, upstreams):
    """A tunnel comes from this machine, and brings what it got by HTTPS without TLS."""
    stack = new_stack()
    stack.write_tenants({"good": {"hosts": ["good.test"], "upstream": upstreams["alpha"].url}})
    stack.start()
    told_by_it = [("X-Forwarded-Proto", "https"), ("CF-Connecting-IP", "203.0.113.9")]
    assert seen(stack, "good.test", headers=told_by_it) == (308, None)
    stack.config["trusted_proxies"] = [
        {"cidrs": ["127.0.0.1/32"], "client_ip_header": "CF-Connecting-IP"}
    ]
    stack.write_config()
    stack.write_haproxy_config()
    os.kill(stack.haproxy.pid, signal.SIGUSR2)  # `systemctl reload haproxy`
    wait_until(lambda: seen(stack, "good.test", headers=told_by_it) == (200, None), "served", 30)


# --- with TLS: each is made to happen, and the advice mends it ------------------------------------


def test_a_login_that_ends_on_http(new_certified, folder):
    stack = new_certified()
    port = free_port()
    look = ("doctor", "login", "--seconds", "60")
    running = []

    def open_webui(believes):
        """It is started anew, with another FORWARDED_ALLOW_IPS."""
        for one in running:
            one.stop()
        env = {"OAUTH_PROVIDER_NAME": "SSO", "CORS_ALLOW_ORIGIN": f"https://{SIGN_IN}"}
        one = Upstream("login", folder, env=env, believes=believes, port=port)
        running[:] = [one.start().wait()]

    def redirect_uri():
        """Where the identity provider is asked to send the user afterwards."""
        answer = stack.get(SIGN_IN, "/oauth/oidc/login")
        return answer.status, answer.header("Location").split("redirect_uri=")[1]

    try:
        open_webui("192.0.2.1")  # anybody but HAProxy
        tenant = {"hosts": [SIGN_IN], "upstream": running[0].url}
        stack.write_tenants({"login": tenant}, "login.json")
        stack.start()
        stack.wait_served(SIGN_IN)
        assert redirect_uri() == (302, f"http://{SIGN_IN}/oauth/oidc/login/callback")
        wait_until(lambda: "FORWARDED_ALLOW_IPS" in told(stack, *look), "told", 120)
        for believes in ("*", "127.0.0.1"):  # as the table has it: either of them
            open_webui(believes)
            assert redirect_uri() == (302, f"https://{SIGN_IN}/oauth/oidc/login/callback")
        wait_until(lambda: "FORWARDED" not in told(stack, *look), "well", 120)
    finally:
        for one in running:
            one.stop()


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A web server that has port 80, and at first does not pass on what HAProxy has to answer."""

    passes_to = None

    def do_GET(self):
        if self.passes_to is None:
            self.send_error(404)
            return
        answer = request(self.passes_to, self.path, self.headers["Host"])
        self.send_response(answer.status)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_):
        pass


def test_no_certificate(new_certified, monkeypatch):
    stack = new_certified()
    seen_by_the_ca, stack.http_port = stack.http_port, free_port()
    stack.config["haproxy"]["http"] = [f"127.0.0.1:{stack.http_port}"]
    stack.want(("chat", CERTIFIED))
    with http.server.ThreadingHTTPServer(("127.0.0.1", seen_by_the_ca), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            stack.start()
            stack.wait_told("chat.pem", lambda one: "problem" in one, "refused", 60)
            assert stack.served(CERTIFIED) is None
            shown = told(stack, "certs")
            words = f"last problem: unauthorized: {CERTIFIED}: "  # then the CA's own
            assert "/.well-known/acme-challenge/" in shown.split(words)[1] and "404" in shown
            monkeypatch.setattr(Elsewhere, "passes_to", stack.http_port)
            stack.certs("renew", "chat")
            stack.wait_served(CERTIFIED, timeout_s=60)
            wait_until(lambda: stack.certs_code("--check") == 0, "all fine", 30)
        finally:
            server.shutdown()
            thread.join()


def test_the_wrong_certificate(new_certified):
    """Somebody's haproxy.cfg reads another folder, with a certificate that was there before."""
    stack = new_certified()
    stack.want(("chat", CERTIFIED))
    before = stack.haproxy_dir / "before"
    before.mkdir()
    stack.authority.issue([CERTIFIED], before / "chat.pem")
    stack.write_config()
    stack.write_haproxy_config()
    path = stack.haproxy_dir / "haproxy.cfg"
    path.write_text(path.read_text().replace(str(stack.crt_dir), str(before)))
    stack.start_haproxy()
    stack.start_agent()
    stack.wait_told("chat.pem", lambda one: "serial" in one, "obtained", 60)
    assert stack.served(CERTIFIED) is None  # of this CA
    wait_until(lambda: stack.certs_code("--check") == 1, "not served", 30)
    wait_until(lambda: f'lacks "ssl crt {stack.crt_dir}"' in told(stack, "certs"), "why", 30)
    stack.write_haproxy_config()  # `owui-spoa haproxy-config --out`
    os.kill(stack.haproxy.pid, signal.SIGUSR2)  # `systemctl reload haproxy`
    stack.wait_served(CERTIFIED, timeout_s=60)
    wait_until(lambda: stack.certs_code("--check") == 0, "all fine", 30)


def test_the_commands_that_are_named_are_there():
    text = (REPOSITORY / "README.md").read_text()
    part = text.split("\n### When something is wrong\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`(?:sudo )?owui-spoa ([a-z-]+)", part))
    listed = run_agent_command("--help").stdout
    assert named and all(f"\n  {name} " in listed for name in named), named
