"""Tenants that do not serve: maintenance by switch and by window, suspension, and their pages."""

import asyncio
import datetime
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from support.clients import HANDSHAKE, SOCKET, Browser, Http2, echo, request
from support.processes import wait_until
from support.stack import Stack, run_agent_command
from support.tenants import TRUSTED_PROXY

ADMIN = "127.0.5.1"
OWN_PAGE = "<!doctype html><title>Mine</title><h1>Zurück um drei</h1>"


def stamp(seconds):
    """So many seconds from now, in RFC 3339."""
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def tenants(upstreams):
    url = upstreams["beta"].url
    plain = {"upstream": url, "https": "off"}
    past = {"from": "2020-01-01T00:00Z", "to": "2020-01-02T00:00Z"}
    return {
        "down": {
            "hosts": ["down.test"],
            "paths": [{"host": "apps.test", "prefix": "/down", "mode": "strip"}],
            "maintenance": {"on": True, "retry_after": "7m", "allow_ips": ["127.0.5.0/24"]},
            **plain,
        },
        "own": {
            "hosts": ["own.test"],
            "maintenance": {"on": True, "page": "own.html"},
            **plain,
        },
        "ready": {"hosts": ["ready.test"], "maintenance": {"on": False}, **plain},
        "past": {"hosts": ["past.test"], "maintenance": {"window": past}, **plain},
        "during": {
            "hosts": ["*.during.test"],
            "maintenance": {"window": {"from": stamp(-600), "to": stamp(1800)}},
            **plain,
        },
        "unpaid": {"hosts": ["unpaid.test"], "suspended": {}, **plain},
        "banned": {
            "hosts": ["banned.test"],
            "suspended": {"status": 403, "page": "banned.html"},
            "maintenance": {"on": True, "allow_ips": ["127.0.0.0/8"]},
            **plain,
        },
        "secure": {
            "hosts": ["chat.secure.test", "ai.secure.test"],
            "upstream": url,
            "canonical_host": True,
            "hsts": {"max_age": "1d"},
            "suspended": {},
        },
        "away": {
            "hosts": ["away.test"],
            "upstream": "http://nowhere.invalid:1",
            "https": "off",
            "maintenance": {"on": True},
        },
    }


@pytest.fixture(scope="module")
def own(folder, authority, upstreams):
    lb = {"name": "lb", "cidrs": ["127.0.7.0/24"], "client_ip_header": "X-Forwarded-For"}
    stack = Stack(folder / "outages", upstreams, authority, changes={"trusted_proxies": [lb]})
    (stack.tenants_dir / "own.html").write_text(OWN_PAGE)
    stack.write_tenants(tenants(upstreams))
    stack.issue("chat.secure.test", "ai.secure.test")
    try:
        yield stack.start()
    finally:
        stack.stop()


def refused(answer, status, word):
    assert (answer.status, answer.header("X-Refused")) == (status, word), answer
    assert answer.header("X-Upstream") is None
    assert answer.header("Cache-Control") == "no-store"
    return answer


# --- maintenance --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/c/42?q=1", "/auth", "/admin/users", "/no/such/page"])
def test_people_get_a_page(own, path):
    answer = refused(request(own.http_port, path, "down.test"), 503, "maintenance")
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert answer.header("Retry-After") == "420"
    assert b"Under maintenance" in answer.body
    assert b'http-equiv="refresh" content="60"' in answer.body
    policy = answer.all("Content-Security-Policy")[0]
    assert policy.startswith("default-src 'none'")
    assert b"http://" not in answer.body and b"https://" not in answer.body
    assert b"prefers-color-scheme: dark" in answer.body


def test_head_of_a_page(own):
    answer = refused(request(own.http_port, "/", "down.test", "HEAD"), 503, "maintenance")
    assert (answer.header("Retry-After"), answer.body) == ("420", b"")


@pytest.mark.parametrize(
    "path", ["/api/config", "/api/v1/auths/signin", "/openai/models", "/ollama/api/tags", "/health"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_programs_get_json(own, path, method):
    answer = refused(request(own.http_port, path, "down.test", method), 503, "maintenance")
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("Retry-After") == "420"
    assert answer.json() == {"detail": "This service is under maintenance"}


@pytest.mark.parametrize(
    "path, headers",
    [
        (SOCKET, HANDSHAKE),
        (SOCKET, []),
        ("/api/v1/terminals/a/api/terminals/b", HANDSHAKE),
        ("/_app/immutable/x.js", []),
        ("/static/logo.png", []),
    ],
)
def test_sockets_and_assets_get_a_word(own, path, headers):
    answer = request(own.http_port, path, "down.test", headers=headers)
    refused(answer, 503, "maintenance")
    assert (answer.header("Content-Type"), answer.header("Retry-After")) == ("text/plain", "420")
    assert answer.body == b"Service unavailable\n"


def test_a_form_that_is_sent_gets_a_word(own):
    answer = request(own.http_port, "/c/42", "down.test", "POST", body=b"x" * 3000)
    assert refused(answer, 503, "maintenance").header("Content-Type") == "text/plain"


def test_the_path_is_looked_at_without_its_prefix(own):
    answer = request(own.http_port, "/down/api/config", "apps.test")
    assert refused(answer, 503, "maintenance").header("Content-Type") == "application/json"
    answer = request(own.http_port, "/down/c/1", "apps.test")
    assert b"Under maintenance" in refused(answer, 503, "maintenance").body


def test_admins_pass(own):
    assert echo(own.http_port, "down.test", source=ADMIN).name == "beta"
    headers = [("X-Forwarded-For", ADMIN)]
    answer = request(own.http_port, "/api/echo", "down.test", headers=headers)
    refused(answer, 503, "maintenance")  # anybody can say so
    seen = echo(own.http_port, "down.test", headers=headers, source=TRUSTED_PROXY)
    assert seen.header("X-Forwarded-For") == ADMIN
    headers = [("X-Forwarded-For", "203.0.113.9")]
    answer = request(own.http_port, "/", "down.test", headers=headers, source=TRUSTED_PROXY)
    refused(answer, 503, "maintenance")


def test_an_admin_has_a_socket(own):
    answer = request(own.http_port, SOCKET, "down.test", headers=HANDSHAKE, source=ADMIN)
    assert answer.status == 101


def test_what_is_not_on_does_not_hold(own):
    assert echo(own.http_port, "ready.test").name == "beta"
    assert echo(own.http_port, "past.test").name == "beta"


def test_a_window_holds_and_tells_its_end(own):
    answer = refused(request(own.http_port, "/", "a.during.test"), 503, "maintenance")
    assert 1700 < int(answer.header("Retry-After")) <= 1800
    assert b"It is expected by " in answer.body


def test_maintenance_goes_before_an_upstream_that_is_away(own):
    refused(request(own.http_port, "/api/config", "away.test"), 503, "maintenance")


def test_a_tenants_own_page_is_as_the_file_is(own):
    path = own.tenants_dir / "own.html"
    try:
        answer = refused(request(own.http_port, "/", "own.test"), 503, "maintenance")
        assert answer.body.decode() == OWN_PAGE
        assert answer.header("Retry-After") == "120"
        path.write_text("<h1>another</h1>")
        assert request(own.http_port, "/", "own.test").body == b"<h1>another</h1>"
        path.write_text("\ufeff\n<h1>with a mark</h1>")
        assert b"with a mark" in request(own.http_port, "/", "own.test").body
        path.write_text("<" * (256 * 1024 + 1))
        assert b"Under maintenance" in request(own.http_port, "/", "own.test").body
        path.unlink()
        answer = refused(request(own.http_port, "/", "own.test"), 503, "maintenance")
        assert b"Under maintenance" in answer.body
        wait_until(lambda: "page_unreadable" in own.agents[0].log(), "told in the log")
    finally:
        path.write_text(OWN_PAGE)


def test_over_http2(own):
    with Http2(own.https_port, "chat.secure.test") as browser:
        answer = refused(browser.request("/"), 402, "suspended")
        assert b"This service is suspended" in answer.body
        assert answer.header("strict-transport-security") == "max-age=86400"


# --- suspension ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host, status", [("unpaid.test", 402), ("banned.test", 403)])
def test_the_suspended_are_refused(own, host, status):
    answer = refused(request(own.http_port, "/c/1", host), status, "suspended")
    assert b"This service is suspended" in answer.body
    assert b"refresh" not in answer.body
    assert answer.header("Retry-After") is None
    answer = refused(request(own.http_port, "/api/config", host), status, "suspended")
    assert answer.json() == {"detail": "This service is suspended"}
    answer = request(own.http_port, SOCKET, host, headers=HANDSHAKE)
    assert refused(answer, status, "suspended").header("Content-Type") == "text/plain"


def test_redirects_come_first(own):
    answer = request(own.http_port, "/x", "chat.secure.test")
    assert answer.header("Location") == f"https://chat.secure.test:{own.https_port}/x"
    answer = request(own.https_port, "/x", "ai.secure.test", tls_name="ai.secure.test")
    assert answer.header("Location") == "https://chat.secure.test/x"


# --- changes ------------------------------------------------------------------------------------


def live(new_stack, upstreams):
    stack = new_stack()
    stack.write_tenants(
        {"t": {"hosts": ["t.test"], "upstream": upstreams["beta"].url, "https": "off"}}
    )
    return stack.start()


def put(stack, upstreams, **keys):
    tenant = {"hosts": ["t.test"], "upstream": upstreams["beta"].url, "https": "off", **keys}
    stack.write_tenants({"t": tenant})


def status_of(stack):
    return request(stack.http_port, "/api/config", "t.test").status


def test_a_window_begins_and_ends_by_itself(new_stack, upstreams):
    """Stamps are whole seconds, cut off."""
    stack = live(new_stack, upstreams)
    worker = stack.haproxy_workers()
    begins = time.time() + 4
    put(stack, upstreams, maintenance={"window": {"from": stamp(4), "to": stamp(3600)}})
    while status_of(stack) == 200:
        assert time.time() < begins + 30
        time.sleep(0.05)
    assert time.time() >= begins - 1 and status_of(stack) == 503
    ends = time.time() + 4
    put(stack, upstreams, maintenance={"window": {"from": stamp(-3600), "to": stamp(4)}})
    wait_until(lambda: status_of(stack) == 200, "the window ends")
    assert time.time() >= ends - 1
    assert stack.haproxy_workers() == worker


def test_an_open_socket_outlives_the_switch(new_stack, upstreams):
    """Maintenance is for what comes: what is under way ends by itself, or with the upstream."""

    async def chat(stack):
        async with Browser(f"http://t.test:{stack.http_port}") as browser:
            await browser.sign_in()
            await browser.open_socket()
            put(stack, upstreams, maintenance={"on": True})
            while status_of(stack) != 503:
                await asyncio.sleep(0.02)
            assert (await browser.socket.call("whoami"))["name"] == "beta"
            assert browser.disconnects == 0

    stack = live(new_stack, upstreams)
    asyncio.run(asyncio.wait_for(chat(stack), 60))
    put(stack, upstreams)
    wait_until(lambda: status_of(stack) == 200, "maintenance is over")


def test_without_the_agents_pages_haproxy_has_one(new_stack, upstreams, folder):
    """A port where nobody serves pages, as when the agent has just died."""
    stack = new_stack()
    put(stack, upstreams, maintenance={"on": True}, suspended={"status": 403})
    stack.start()
    cfg = stack.haproxy_dir / "haproxy.cfg"
    from support.processes import free_port

    text = cfg.read_text()
    pages = f"server pages 127.0.0.1:{stack.pages_port} "
    assert pages in text
    cfg.write_text(text.replace(pages, f"server pages 127.0.0.1:{free_port()} "))
    stack.haproxy.stop()
    stack.start_haproxy()
    answer = refused(request(stack.http_port, "/", "t.test"), 403, "suspended")
    assert answer.header("Content-Type") == "text/html"
    assert b"<h1>suspended</h1>" in answer.body
    put(stack, upstreams, maintenance={"on": True})
    wait_until(lambda: status_of(stack) == 503, "maintenance")
    answer = refused(request(stack.http_port, "/", "t.test"), 503, "maintenance")
    assert b"<h1>maintenance</h1>" in answer.body
    assert answer.header("Retry-After") == "120"


def test_whoever_has_the_pages_port_is_not_the_tenant(new_stack, upstreams):
    """Anybody on the machine can have it while nobody else has."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            for name, value in evil.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    evil = {"Set-Cookie": "token=evil", "Clear-Site-Data": "*", "Alt-Svc": "h3"}
    stack = new_stack()
    put(stack, upstreams, suspended={})
    with HTTPServer(("127.0.0.1", stack.pages_port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.start()
        answer = request(stack.http_port, "/", "t.test")
        server.shutdown()
    assert answer.status == 402 and not set(evil) & {name for name, _ in answer.headers}
    assert answer.header("Content-Security-Policy").startswith("sandbox ")


def test_two_agents_serve_the_pages_in_turn(new_stack, upstreams):
    stack = new_stack(agents=2)
    put(stack, upstreams, suspended={})
    stack.start()
    assert "pages_wait" in stack.agents[1].log()
    assert (
        b"suspended</h1>" in refused(request(stack.http_port, "/", "t.test"), 402, "suspended").body
    )
    stack.agents[0].stop()
    wait_until(lambda: "serving_pages" in stack.agents[1].log(), "the other one serves pages")

    def built_in():
        answer = request(stack.http_port, "/", "t.test")
        return answer.status == 402 and b"This service is suspended" in answer.body

    wait_until(built_in, "a page of the other agent")


def test_two_agents_of_one_machine_miss_nothing_in_haproxy_cfg(new_stack, upstreams):
    """Set up as PRODUCTION.md tells: of its own the second has what it says, and no more."""
    stack = new_stack(agents=2)
    put(stack, upstreams)
    stack.copy_tenants(1)
    stack.start()
    for index in range(2):
        done = run_agent_command("status", "-c", stack.agent_config_path(index))
        assert done.returncode == 0 and "haproxy-config" not in done.stdout, done.stdout


# --- explain ------------------------------------------------------------------------------------


def explain(stack, url, *more):
    done = run_agent_command("explain", "-c", stack.config_path, url, "--json", *more)
    return done.returncode, json.loads(done.stdout)


def test_explain_tells_why_and_what(own):
    status, told = explain(own, "http://down.test/c/1", "--from", "192.0.2.1")
    assert (status, told["decision"], told["status"]) == (1, "maintenance", 503)
    assert told["outage"] == 'maintenance, because "on" is true'
    assert (told["reason"], told["page"]) == ("maintenance", "(built-in)")
    assert told["variables"]["retry"] == 420
    status, told = explain(own, "http://down.test/api/echo", "--from", ADMIN)
    assert (status, told["decision"]) == (0, "forward")
    assert told["outage"].endswith(f'{ADMIN} is in "allow_ips" and passes')
    status, told = explain(own, "http://banned.test/", "--from", ADMIN)
    assert (told["decision"], told["status"]) == ("suspended", 403)
    assert told["page"] == str(own.tenants_dir / "banned.html")


def test_explain_knows_what_a_window_does(own):
    status, told = explain(own, "http://past.test/", "--at", "2020-01-01T12:00:00Z")
    assert (status, told["decision"]) == (1, "maintenance")
    assert told["outage"] == "maintenance until 2020-01-02T00:00:00Z, by its window"
    assert told["variables"]["retry"] == 12 * 3600
    status, told = explain(own, "http://past.test/", "--at", "2019-01-01T12:00:00Z")
    assert (status, told["decision"]) == (0, "forward")
    assert told["outage"] == "none: the window of maintenance begins at 2020-01-01T00:00:00Z"
    status, told = explain(own, "http://past.test/")
    assert told["outage"] == "none: the window of maintenance ended at 2020-01-02T00:00:00Z"
    done = run_agent_command("explain", "-c", own.config_path, "http://down.test/")
    assert 'outage     maintenance, because "on" is true' in done.stdout
    done = run_agent_command("explain", "-c", own.config_path, "http://a.test/", "--at", "noon")
    assert done.returncode == 2 and "--at" in done.stderr


def test_what_is_no_page_is_not_shown(own):
    """A tenant's file names it, and may name what its writer could not read."""
    path = own.tenants_dir / "own.html"
    key = (own.crt_dir / "chat.secure.test.pem").read_text()
    assert "PRIVATE KEY" in key
    try:
        path.unlink()
        path.symlink_to(own.crt_dir / "chat.secure.test.pem")
        answer = refused(request(own.http_port, "/", "own.test"), 503, "maintenance")
        assert b"Under maintenance" in answer.body and b"KEY" not in answer.body
        done = run_agent_command("check", "-c", own.config_path)
        assert 'does not begin with "<"' in done.stdout + done.stderr
    finally:
        path.unlink()
        path.write_text(OWN_PAGE)


def test_check_warns_of_a_page_that_is_not_there(own):
    done = run_agent_command("check", "-c", own.config_path)
    assert done.returncode == 0
    assert "W520" in done.stdout + done.stderr and "banned.html" in done.stdout + done.stderr
