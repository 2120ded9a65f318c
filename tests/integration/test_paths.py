"""Open WebUI on a host that it shares: the root taken over by cookie, and its own paths at the root
of a website's host."""

import fcntl
import json
import os
import re
import stat
import subprocess
import time

import pytest

from support.clock import Clock, SlowDisk
from support.clients import HANDSHAKE, SOCKET, Http2, request
from support.processes import no_descriptors, wait_until
from support.stack import HAPROXY, Stack, run_agent_command


def tenants(upstreams):
    def takeover(host, prefix):
        return [{"host": host, "prefix": prefix, "mode": "takeover"}]

    plain = {"https": "off"}
    alpha, beta, gamma = (upstreams[name].url for name in ("alpha", "beta", "gamma"))
    return {
        "site": {"hosts": ["shared.test"], "upstream": gamma, **plain},
        "first": {"paths": takeover("shared.test", "/owui/"), "upstream": beta, **plain},
        "second": {"paths": takeover("shared.test", "/two"), "upstream": alpha, **plain},
        "alone": {"paths": takeover("alone.test", "/owui"), "upstream": beta, **plain},
        "label": {
            "paths": takeover("*.label.test", "/owui"),
            "label": "[a-z]+",
            "upstream": beta,
            **plain,
        },
        "down": {
            "paths": takeover("alone.test", "/down"),
            "upstream": beta,
            "maintenance": {"on": True},
            **plain,
        },
        "secure": {"paths": takeover("secure.test", "/owui"), "upstream": beta},
        "website": {"hosts": ["site.test"], "upstream": gamma, **plain},
        "guest": {
            "paths": [{"host": "site.test", "mode": "root-share"}],
            "upstream": beta,
            **plain,
        },
        "owner": {"hosts": ["guarded.test", "closed.test"], "upstream": gamma, **plain},
        "guarded": {
            "paths": [{"host": "guarded.test", "mode": "root-share"}],
            "upstream": beta,
            "routes": [
                {"match": {"path": "/api/v1/scim/"}, "action": "deny"},
                {"match": {"path": "/admin"}, "action": "deny", "status": 404},
            ],
            "limits": {"signin_per_minute_per_ip": 2},
            **plain,
        },
        "closed": {
            "paths": [{"host": "closed.test", "mode": "root-share"}],
            "upstream": beta,
            "maintenance": {"on": True},
            **plain,
        },
    }


@pytest.fixture(scope="module")
def own(folder, authority, upstreams):
    key_file = folder / "cookie-keys" / "cookie.key"
    key_file.parent.mkdir()
    stack = Stack(
        folder / "paths", upstreams, authority, changes={"cookie_key_file": str(key_file)}
    )
    stack.key_file = key_file
    stack.write_tenants(tenants(upstreams))
    stack.issue("secure.test")
    try:
        yield stack.start()
    finally:
        stack.stop()


def enter(stack, host, path, cookie=None):
    """The redirect's answer and the cookie that it sets."""
    headers = [("Cookie", f"owui_tenant={cookie}")] if cookie else []
    answer = request(stack.http_port, path, host, headers=headers)
    assert answer.status == 307, answer
    assert answer.header("Cache-Control") == "no-store"
    first = answer.all("Set-Cookie")[0]
    value = re.fullmatch(
        r"owui_tenant=([^;]+); Max-Age=(31536000|0); Path=/; HttpOnly; SameSite=Lax", first
    )
    assert value, first
    return answer, value[1]


def ask(stack, host, path, cookie=None, headers=(), **options):
    headers = list(headers) + ([("Cookie", f"a=b; owui_tenant={cookie}; c=d")] if cookie else [])
    return request(stack.http_port, path, host, headers=headers, **options)


# --- takeover -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, target", [("/owui", "/"), ("/owui/", "/"), ("/owui/c/1?q=2", "/c/1?q=2")]
)
def test_the_path_sets_a_cookie_and_leads_to_the_root(own, path, target):
    answer, _ = enter(own, "shared.test", path)
    assert answer.header("Location") == f"http://shared.test{target}"
    answer, _ = enter(own, "shared.test:8080", path)
    assert answer.header("Location") == f"http://shared.test:8080{target}"


def test_with_the_cookie_open_webuis_paths_are_the_tenants(own):
    _, cookie = enter(own, "shared.test", "/owui/")
    for path in ("/", "/c/42", "/auth", "/api/config", "/_app/version.json", "/static/x.png"):
        assert ask(own, "shared.test", path).header("X-Upstream") == "gamma", path
        assert ask(own, "shared.test", path, cookie).header("X-Upstream") == "beta", path
    for path in ("/blog/", "/index.html", "/about"):
        assert ask(own, "shared.test", path, cookie).header("X-Upstream") == "gamma", path
    answer = ask(own, "shared.test", "/api/echo", cookie)
    assert dict(answer.json()["headers"])["x-tenant-id"] == "first"
    assert answer.json()["path"] == "/api/echo"


def test_the_last_tenant_entered_has_the_root(own):
    _, first = enter(own, "shared.test", "/owui/")
    answer, second = enter(own, "shared.test", "/two", first)
    assert ask(own, "shared.test", "/api/version", second).json()["deployment_id"] == "alpha"
    # what the first one's pages have left must not reach the second one's server
    assert answer.header("Clear-Site-Data") == '"storage"'
    assert "token=; Path=/; Max-Age=0" in answer.all("Set-Cookie")
    again, _ = enter(own, "shared.test", "/two", second)
    assert again.header("Clear-Site-Data") is None and len(again.all("Set-Cookie")) == 1


def test_who_comes_from_the_hosts_own_tenant_brings_nothing_along(own):
    """Its token would go to the next one's server."""
    answer, cookie = enter(own, "shared.test", "/owui/")
    assert answer.header("Clear-Site-Data") == '"storage"'
    assert "token=; Path=/; Max-Age=0" in answer.all("Set-Cookie")
    again, _ = enter(own, "shared.test", "/owui/", cookie)
    assert again.header("Clear-Site-Data") is None and len(again.all("Set-Cookie")) == 1
    # where the root is nobody's, there is only what somebody else's website has left
    answer, _ = enter(own, "alone.test", "/owui")
    assert answer.header("Clear-Site-Data") is None and len(answer.all("Set-Cookie")) == 1


def test_leave_is_the_way_out(own):
    _, cookie = enter(own, "shared.test", "/owui/")
    answer, value = enter(own, "shared.test", "/owui/leave", cookie)
    assert answer.header("Location") == "http://shared.test/"
    assert value == "gone" and "Max-Age=0" in answer.all("Set-Cookie")[0]
    assert answer.header("Clear-Site-Data") == '"storage"'
    assert ask(own, "shared.test", "/", value).header("X-Upstream") == "gamma"


SHUT = [
    {"suspended": {}},
    {"maintenance": {"on": True}},
    {"deny_ips": ["127.0.0.0/8"]},
    {"routes": [{"match": {}, "action": "deny"}]},
]


@pytest.mark.parametrize("shut", SHUT, ids=lambda shut: next(iter(shut)))
def test_the_way_out_is_open_whoever_is_kept_out(own, upstreams, shut):
    _, cookie = enter(own, "shared.test", "/owui/")
    given = tenants(upstreams)
    own.write_tenants({**given, "first": {**given["first"], **shut}})
    try:
        wait_until(lambda: ask(own, "shared.test", "/", cookie).status >= 400, "it is shut")
        assert ask(own, "shared.test", "/owui/").status >= 400
        _, value = enter(own, "shared.test", "/owui/leave", cookie)
        assert value == "gone"
        assert ask(own, "shared.test", "/", value).header("X-Upstream") == "gamma"
    finally:
        own.write_tenants(given)
        wait_until(lambda: ask(own, "shared.test", "/", cookie).status == 200, "it is open")


def test_leaving_goes_by_https_where_the_cookie_does(own):
    answer = ask(own, "secure.test", "/owui/leave")
    target = f"https://secure.test:{own.https_port}/owui/leave"
    assert (answer.status, answer.header("Location")) == (308, target)
    assert answer.header("Set-Cookie") is None


def test_on_a_host_without_a_tenant_all_paths_are_the_tenants(own):
    _, cookie = enter(own, "alone.test", "/owui")
    assert ask(own, "alone.test", "/blog/").status == 404
    assert ask(own, "alone.test", "/blog/", cookie).header("X-Upstream") == "beta"


def test_a_wildcard_host(own):
    _, cookie = enter(own, "acme.label.test", "/owui")
    assert ask(own, "acme.label.test", "/api/config", cookie).header("X-Upstream") == "beta"
    assert ask(own, "other.label.test", "/api/config", cookie).status == 404


def test_a_host_that_becomes_somebodys_is_theirs_whatever_the_cookie(own, upstreams):
    _, cookie = enter(own, "late.label.test", "/owui")
    assert ask(own, "late.label.test", "/", cookie).header("X-Upstream") == "beta"
    late = {"hosts": ["late.label.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    own.write_tenants({**tenants(upstreams), "late": late})
    wait_until(lambda: ask(own, "late.label.test", "/").status == 200, "the new tenant")
    for path in ("/", "/api/config", "/owui"):
        assert ask(own, "late.label.test", path, cookie).header("X-Upstream") == "alpha", path
    own.write_tenants(tenants(upstreams))
    wait_until(lambda: ask(own, "late.label.test", "/").status == 404, "it has gone")


def test_a_socket_goes_with_the_cookie(own):
    _, cookie = enter(own, "shared.test", "/owui/")
    origin = [("Origin", "http://shared.test"), ("Cookie", f"owui_tenant={cookie}")]
    answer = request(own.http_port, SOCKET, "shared.test", headers=HANDSHAKE + origin)
    assert answer.status == 101
    answer = request(own.http_port, SOCKET, "shared.test", headers=HANDSHAKE + origin[:1])
    assert answer.status != 101  # the website's


def test_over_https_the_cookie_is_secure(own):
    answer = request(own.http_port, "/owui/x", "secure.test")
    assert answer.header("Location") == f"https://secure.test:{own.https_port}/owui/x"
    with Http2(own.https_port, "secure.test") as browser:
        answer = browser.request("/owui/x")
        assert (answer.status, answer.header("location")) == (307, "https://secure.test/x")
        cookie = answer.header("set-cookie")
        assert cookie.endswith("; Max-Age=31536000; Secure; Path=/; HttpOnly; SameSite=Lax")
        value = cookie.partition(";")[0]
        answer = browser.request("/api/echo", headers=[("cookie", "a=b"), ("cookie", value)])
        assert answer.json()["name"] == "beta"


def forgeries(cookie):
    end, mac, tenant = cookie.split(".")
    flipped = ("0" if mac[0] != "0" else "1") + mac[1:]
    yield "another tenant", f"{end}.{mac}.second"
    yield "no tenant", f"{end}.{mac}."
    yield "a longer life", f"{int(end, 16) + 1:08x}.{mac}.{tenant}"
    yield "another seal", f"{end}.{flipped}.{tenant}"
    yield "capitals", f"{end}.{mac.upper()}.{tenant}" if mac.upper() != mac else f"x{cookie}"
    yield "cut off", cookie[:-1]
    yield "longer", cookie + "x"
    yield "zeros", f"{end}.{'0' * 32}.{tenant}"
    yield "nothing", "."
    yield "long", "a" * 4000
    yield "bytes", "\xff\x00".replace("\x00", "")


def test_a_forged_cookie_is_ignored(own):
    _, cookie = enter(own, "shared.test", "/owui/")
    for what, forged in forgeries(cookie):
        answer = ask(own, "shared.test", "/api/config", forged)
        assert answer.header("X-Upstream") == "gamma", what


def test_a_cookie_is_good_for_its_host_alone(own):
    _, cookie = enter(own, "shared.test", "/owui/")
    _, other = enter(own, "alone.test", "/owui")
    assert ask(own, "shared.test", "/api/config", other).header("X-Upstream") == "gamma"
    assert ask(own, "alone.test", "/api/config", cookie).status == 404


def test_maintenance_comes_before_the_cookie(own):
    answer = request(own.http_port, "/down", "alone.test")
    assert (answer.status, answer.header("X-Refused")) == (503, "maintenance")


def test_the_key_is_the_services_alone(own):
    mode = stat.S_IMODE(os.stat(own.key_file).st_mode)
    assert mode == 0o600
    assert own.key_file.read_text().splitlines()[0].split()[1] not in own.agents[0].log()


def lines_of(path, count):
    lines = path.read_text().splitlines()
    return lines if len(lines) == count else None


def test_keys_are_renewed_and_the_one_before_stays_good(new_stack, upstreams):
    stack = new_stack()
    clock = Clock(stack)
    key_file = stack.directory / "cookie.key"
    stack.config["cookie_key_file"] = str(key_file)
    old = "00" * 31 + "ab"
    key_file.write_text(f"{int(time.time()) - 31 * 86400} {old}\n")
    key_file.chmod(0o600)
    stack.write_tenants(tenants(upstreams))
    stack.start()
    lines = wait_until(lambda: lines_of(key_file, 2), "another key", 30)
    stack.agents[0].stop()
    clock.go_on(0, wall_s=150)
    stack.start_agent()  # which has the new one from the start
    stack.wait_for_agents(1)
    assert lines[1].endswith(old) and not lines[0].endswith(old)
    _, cookie = enter(stack, "shared.test", "/owui/")
    stack.agents[0].stop()
    # the key that has sealed the cookie becomes the one before, then goes
    made, present = lines[0].split()
    fresh = "11" * 32
    for keys, upstream in [
        (f"{made} {fresh}\n{made} {present}\n", "beta"),
        (f"{made} {fresh}\n", "gamma"),
    ]:
        key_file.write_text(keys)
        stack.start_agent()
        stack.wait_for_agents(1)
        answer = ask(stack, "shared.test", "/api/config", cookie)
        assert answer.header("X-Upstream") == upstream
        stack.agents[0].stop()


def test_a_new_key_is_used_when_other_agents_have_read_it(new_stack, upstreams):
    stack = new_stack()
    clock = Clock(stack)
    key_file = stack.directory / "cookie.key"
    stack.config["cookie_key_file"] = str(key_file)
    old = "66" * 32
    key_file.write_text(f"{int(time.time()) - 31 * 86400} {old}\n")
    key_file.chmod(0o600)
    stack.write_tenants(tenants(upstreams))
    stack.start()
    new = wait_until(lambda: lines_of(key_file, 2), "another key", 30)[0].split()[1]
    _, early = enter(stack, "shared.test", "/owui/")
    clock.go_on(150, wall_s=150)

    def is_of_new_key():
        late = enter(stack, "shared.test", "/owui/")[1]
        end = late.split(".")[0]
        sealed = f"owui_tenant\0shared.test\0{end}first".encode()
        command = ["openssl", "mac", "-cipher", "AES-256-CBC", "-macopt", f"hexkey:{new}", "CMAC"]
        told = subprocess.run(command, input=sealed, capture_output=True, check=True)
        return told.stdout.decode().strip().lower() == late.split(".")[1]

    wait_until(is_of_new_key, "the new key is in use", 30)
    stack.agents[0].stop()
    key_file.write_text(f"{int(time.time())} {old}\n")  # as another agent had it for a moment
    stack.start_agent()
    stack.wait_for_agents(1)
    assert ask(stack, "shared.test", "/api/config", early).header("X-Upstream") == "beta"


def test_a_key_that_others_can_read_is_not_used(new_stack, upstreams):
    stack = new_stack()
    key_file = stack.directory / "cookie.key"
    stack.config["cookie_key_file"] = str(key_file)
    key_file.write_text(f"{int(time.time())} {'22' * 32}\n")
    key_file.chmod(0o644)
    stack.write_tenants(tenants(upstreams))
    stack.start()
    answer = request(stack.http_port, "/owui/", "shared.test")
    assert (answer.status, answer.header("X-Refused")) == (503, "no-cookie-key")
    assert "no_cookie_key" in stack.agents[0].log()
    assert request(stack.http_port, "/", "shared.test").header("X-Upstream") == "gamma"


def test_who_holds_the_keys_lock_holds_nobody_up(new_stack, upstreams):
    """Another agent that was stopped, or a backup."""
    stack = new_stack()
    key_file = stack.directory / "cookie.key"
    stack.config["cookie_key_file"] = str(key_file)
    first = tenants(upstreams)
    with open(f"{key_file}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack.write_tenants(first)
        stack.start()
        agent = stack.agents[0]
        wait_until(lambda: "cookie_key_locked" in agent.log(), "told", 30)
        refused = request(stack.http_port, "/owui/", "shared.test")
        assert (refused.status, refused.header("X-Refused")) == (503, "no-cookie-key")
        assert not key_file.exists()
        # the main thread goes on
        late = {"hosts": ["late.test"], "upstream": upstreams["alpha"].url, "https": "off"}
        stack.write_tenants({**first, "late": late})
        wait_until(lambda: request(stack.http_port, "/", "late.test").status == 200, "live", 30)
    wait_until(lambda: key_file.exists(), "a key", 30)
    wait_until(lambda: request(stack.http_port, "/owui/", "shared.test").status == 307, "good", 30)
    assert agent.log().count("cookie_key_locked") == 1 and "no_cookie_key" not in agent.log()


def test_a_key_that_is_there_is_used_whoever_holds_its_lock(new_stack, upstreams):
    stack = new_stack()
    key_file = stack.directory / "cookie.key"
    stack.config["cookie_key_file"] = str(key_file)
    old = f"{int(time.time()) - 31 * 86400} {'33' * 32}\n"
    key_file.write_text(old)
    key_file.chmod(0o600)
    stack.write_tenants(tenants(upstreams))
    with open(f"{key_file}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack.start()
        _, cookie = enter(stack, "shared.test", "/owui/")
        assert ask(stack, "shared.test", "/api/config", cookie).header("X-Upstream") == "beta"
        assert key_file.read_text() == old
    wait_until(lambda: key_file.read_text() != old, "renewed", 30)
    assert ask(stack, "shared.test", "/api/config", cookie).header("X-Upstream") == "beta"
    assert stack.agents[0].log().count("cookie_key_locked") == 1


def test_a_key_that_cannot_be_written_leaves_the_one_before(new_stack, upstreams):
    stack = new_stack()
    key_file = stack.directory / "cookie.key"
    stack.config["cookie_key_file"] = str(key_file)
    old = f"{int(time.time()) - 31 * 86400} {'44' * 32}\n"
    key_file.write_text(old)
    key_file.chmod(0o600)
    (stack.directory / ".cookie.key.new").mkdir()  # in the way of the new one
    stack.write_tenants(tenants(upstreams))
    stack.start()
    wait_until(lambda: "no_cookie_key" in stack.agents[0].log(), "told", 30)
    _, cookie = enter(stack, "shared.test", "/owui/")
    assert ask(stack, "shared.test", "/api/config", cookie).header("X-Upstream") == "beta"
    assert "the keys that there are stay in use" in stack.agents[0].log()
    assert key_file.read_text() == old


def test_keys_that_cannot_be_read_for_a_while_stay_in_use(new_stack, upstreams):
    stack = new_stack()
    clock = Clock(stack)
    stack.config["cookie_key_file"] = str(stack.directory / "cookie.key")
    stack.write_tenants(tenants(upstreams))
    stack.start()
    agent = stack.agents[0]
    _, cookie = enter(stack, "shared.test", "/owui/")
    with no_descriptors(agent.pid):
        clock.go_on(61)
        wait_until(lambda: "no_cookie_key" in agent.log(), "told", 30)
    # HAProxy may have lost the agent meanwhile.
    wait_until(lambda: request(stack.http_port, "/", "shared.test").status == 200, "back", 30)
    assert ask(stack, "shared.test", "/api/config", cookie).header("X-Upstream") == "beta"
    assert "the keys that there are stay in use" in agent.log()


def test_a_slow_disk_keeps_nobody_waiting_for_a_new_key(new_stack, upstreams):
    stack = new_stack()
    clock, disk = Clock(stack), SlowDisk(stack, "/.cookie.key.new")
    key_file = stack.directory / "cookie.key"
    stack.config["cookie_key_file"] = str(key_file)
    key_file.write_text(f"{int(time.time()) - 29 * 86400} {'55' * 32}\n")
    key_file.chmod(0o600)
    first = tenants(upstreams)
    stack.write_tenants(first)
    stack.start()
    _, cookie = enter(stack, "shared.test", "/owui/")
    clock.go_on(120, wall_s=2 * 86400)
    wait_until((stack.directory / ".cookie.key.new").exists, "a new key is being written", 30)
    late = {"hosts": ["late.test"], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({**first, "late": late})
    wait_until(lambda: request(stack.http_port, "/", "late.test").status == 200, "live", 30)
    enter(stack, "shared.test", "/owui/")
    assert lines_of(key_file, 1)
    disk.done()
    wait_until(lambda: lines_of(key_file, 2), "the new key is there", 30)
    assert ask(stack, "shared.test", "/api/config", cookie).header("X-Upstream") == "beta"


def test_a_tenant_that_is_gone_has_nothing(new_stack, upstreams):
    stack = new_stack()
    stack.config["cookie_key_file"] = str(stack.directory / "cookie.key")
    stack.write_tenants(tenants(upstreams))
    stack.start()
    _, cookie = enter(stack, "shared.test", "/owui/")
    left = {name: one for name, one in tenants(upstreams).items() if name != "first"}
    stack.write_tenants(left)

    def is_gone():
        return request(stack.http_port, "/owui/", "shared.test").status == 200

    wait_until(is_gone, "the path is the website's")
    assert ask(stack, "shared.test", "/api/config", cookie).header("X-Upstream") == "gamma"
    left["first"] = {**tenants(upstreams)["first"]}
    left["first"]["paths"] = [{"host": "shared.test", "prefix": "/owui/", "mode": "strip"}]
    stack.write_tenants(left)
    wait_until(
        lambda: not is_gone()
        or ask(stack, "shared.test", "/owui/api/config").header("X-Upstream") == "beta",
        "the path is another kind",
    )
    assert ask(stack, "shared.test", "/api/config", cookie).header("X-Upstream") == "gamma"


def test_haproxy_is_told_of_the_cookie_only_where_it_counts(own, stack):
    def files(one):
        return (one.haproxy_dir / "owui.spoe.cfg").read_text(), (
            one.haproxy_dir / "haproxy.cfg"
        ).read_text()

    for text in files(own):
        assert "owui_tenant" in text
    for text in files(stack):
        assert "owui_tenant" not in text
    done = subprocess.run(
        [HAPROXY, "-c", "-f", str(own.haproxy_dir / "haproxy.cfg")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# --- root-share ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, upstream",
    [
        ("/auth", "beta"),
        ("/c/42", "beta"),
        ("/api/config", "beta"),
        ("/_app/immutable/entry.js", "beta"),
        ("/static/favicon.png", "beta"),
        ("/manifest.json", "beta"),
        ("/oauth/oidc/login/callback", "beta"),
        ("/automations/1", "beta"),
        ("/calendar", "beta"),
        ("/assets/emojis/1f600.svg", "beta"),
        ("/assets/site.css", "gamma"),
        ("/assets/emojis.css", "gamma"),
        ("/", "gamma"),
        ("/blog/", "gamma"),
        ("/apis", "gamma"),
        ("/health", "gamma"),
    ],
)
def test_open_webuis_paths_are_its_tenants_and_the_others_the_hosts(own, path, upstream):
    answer = request(own.http_port, path, "site.test")
    assert answer.header("X-Upstream") == upstream
    assert answer.header("X-Upstream-Path") == path


def test_a_socket_of_a_shared_root(own):
    headers = HANDSHAKE + [("Origin", "http://site.test")]
    assert request(own.http_port, SOCKET, "site.test", headers=headers).status == 101


def test_a_shared_root_has_its_tenants_rules(own):
    """They are about the paths that Open WebUI sees, and nothing is cut off here."""
    for path in ["/api/v1/scim/v2/Users", "/api/v1/scim%2Fv2/Users", "/api%2fv1%2fscim/v2/Users"]:
        answer = request(own.http_port, path, "guarded.test")
        assert (answer.status, answer.header("X-Refused")) == (403, "route")
    answer = request(own.http_port, "/admin/settings", "guarded.test")
    assert (answer.status, answer.header("X-Refused")) == (404, "route")
    assert request(own.http_port, "/api/v1/scimx", "guarded.test").header("X-Upstream") == "beta"
    signs_in = [
        request(own.http_port, f"/api/v1/auths{slash}signin", "guarded.test", "POST", body=b"{}")
        for slash in ["/", "%2F", "/"]
    ]
    assert [answer.header("X-Refused") for answer in signs_in] == [None, None, "signin"]


def test_maintenance_of_a_shared_root_speaks_json_to_programs(own):
    answer = request(own.http_port, "/api/config", "closed.test")
    assert (answer.status, answer.header("Content-Type")) == (503, "application/json")
    answer = request(own.http_port, "/auth", "closed.test")
    assert answer.status == 503 and answer.header("Content-Type").startswith("text/html")


# --- explain and check --------------------------------------------------------------------------


def explain(stack, url, *more):
    done = run_agent_command("explain", "-c", stack.config_path, url, "--json", *more)
    return done.returncode, json.loads(done.stdout)


def test_explain_reads_the_cookie(own):
    _, cookie = enter(own, "shared.test", "/owui/")
    header = ("--header", f"Cookie: a=b; owui_tenant={cookie}")
    status, told = explain(own, "http://shared.test/api/config", *header)
    assert (status, told["decision"], told["tenant"]["name"]) == (0, "forward", "first")
    assert told["takeover"] == "the cookie gives the host's root to the tenant"
    status, told = explain(own, "http://shared.test/blog", *header)
    assert told["tenant"]["name"] == "site"
    assert told["takeover"] == "the cookie is good, and this path is not its tenant's"
    status, told = explain(own, "http://alone.test/api/config", *header)
    assert (status, told["reason"]) == (1, "path-not-served")
    assert told["takeover"].startswith("the cookie is not good for this host")
    status, told = explain(own, "http://shared.test/owui/c/1")
    assert (status, told["decision"], told["to"]) == (0, "takeover-enter", "http://shared.test")
    status, told = explain(own, "http://shared.test/owui/leave", *header)
    assert (told["decision"], told["variables"]["forget"]) == ("takeover-leave", True)
    status, told = explain(own, "http://site.test/api/config")
    assert told["tenant"] | {"place": ""} == {
        "name": "guest",
        "place": "",
        "path_mode": "root-share",
        "prefix": "/api",
    }


def test_check_warns_of_the_shared_origin_once_per_path(own):
    done = run_agent_command("check", "-c", own.config_path)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    for tenant in ("first", "second", "guest"):
        assert len(re.findall(rf'W508[^\n]*tenant "{tenant}": path[^\n]*is on the host', text)) == 1
    taken = re.findall(r'tenant "(\w+)": path[^\n]*takes over too|that tenant "(\w+)" takes', text)
    assert len(taken) == 2, text  # "first" and "second", "alone" and "down"


def test_the_first_takeover_needs_another_haproxy_configuration(new_stack, upstreams):
    stack = new_stack()
    stack.config["cookie_key_file"] = str(stack.directory / "cookie.key")
    site = {"site": tenants(upstreams)["site"]}
    stack.write_tenants(site)
    stack.start()
    assert "haproxy_config_differs" not in stack.agents[0].log()
    stack.write_tenants({**site, "first": tenants(upstreams)["first"]})
    wait_until(lambda: "haproxy_config_differs" in stack.agents[0].log(), "told in the log")
    stack.write_haproxy_config()
    stack.haproxy.stop()
    stack.start_haproxy()
    _, cookie = enter(stack, "shared.test", "/owui/")
    assert ask(stack, "shared.test", "/api/config", cookie).header("X-Upstream") == "beta"
