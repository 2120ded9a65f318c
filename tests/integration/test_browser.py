"""What a real browser makes of it: path modes, cookies, sockets, and the page of maintenance."""

import pytest

from support.browser import CHROMEDRIVER, CHROMIUM, Chromium
from support.clients import request
from support.processes import wait_until
from support.stack import Stack, run_agent_command

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None, reason="needs chromium and chromium-driver"
)

HOSTS = (
    "shared.test",
    "site.test",
    "chat.moved.test",
    "moved.test",
    "down.test",
    "wrong.test",
    "versions.test",
    "replicas.test",
)
TOKENS = "The quick brown fox."


def tenants(upstreams):
    beta, delta, site = (upstreams[name].url for name in ("beta", "delta", "site"))

    def path(host, prefix, mode):
        return {"host": host, "prefix": prefix, "mode": mode}

    return {
        "website": {"hosts": ["shared.test", "site.test"], "upstream": site},
        "first": {"paths": [path("shared.test", "/owui/", "takeover")], "upstream": beta},
        "second": {"paths": [path("shared.test", "/two/", "takeover")], "upstream": delta},
        "guest": {"paths": [{"host": "site.test", "mode": "root-share"}], "upstream": beta},
        "moved": {
            "hosts": ["chat.moved.test"],
            "paths": [path("moved.test", "/owui/", "redirect")],
            "upstream": beta,
        },
        "wrong": {"paths": [path("wrong.test", "/owui/", "strip")], "upstream": beta},
        "down": {
            "hosts": ["down.test"],
            "upstream": beta,
            "maintenance": {"on": True, "retry_after": "10s"},
        },
        "versions": {
            "hosts": ["versions.test"],
            "versions": {"blue": beta, "green": delta},
            "active": "blue",
        },
        "replicas": replicated([beta, delta]),
    }


def replicated(servers, draining=()):
    return {
        "hosts": ["replicas.test"],
        "replicas": {"servers": servers, "draining": list(draining), "sticky": "cookie"},
    }


@pytest.fixture(scope="module")
def own(folder, authority, upstreams):
    from support.stack import Upstream

    more = {name: Upstream(name, folder) for name in ("delta", "site")}
    stack = Stack(
        folder / "browser",
        {**upstreams, **more},
        authority,
        changes={"cookie_key_file": str(folder / "browser" / "cookie.key")},
    )
    for upstream in more.values():
        upstream.start()
    for upstream in more.values():
        upstream.wait()
    stack.write_tenants(tenants(stack.upstreams))
    stack.issue(*HOSTS)
    try:
        yield stack.start()
    finally:
        stack.stop()
        for upstream in more.values():
            upstream.stop()


@pytest.fixture
def browser(own, tmp_path):
    with Chromium(tmp_path, [own.crt_dir / f"{HOSTS[0]}.pem"]) as one:
        one.at = lambda host, path: f"https://{host}:{own.https_port}{path}"
        yield one


def shows(browser, name):
    """The page has come, and what it has fetched from the root is this upstream's."""
    browser.wait(f"document.getElementById('app').textContent === '{name}'", f"{name} is shown")
    assert browser.title == name


def chat(browser, email):
    browser.run(f"signIn('{email}')")
    browser.wait("state.sid !== null", "the socket is open")
    assert browser.run("ask()") == 200
    browser.wait(f"answer() === '{TOKENS}'", "tokens come over the socket")


def cookies_that_reach(browser):
    return browser.run(
        "fetch('/api/echo').then(answer => answer.json()).then(told => told.headers"
        ".filter(([name]) => name === 'cookie' || name === 'authorization')"
        ".map(([, value]) => value).join('; '))"
    )


def test_takeover(browser):
    browser.open(browser.at("shared.test", "/blog/"))
    shows(browser, "site")
    browser.open(browser.at("shared.test", "/owui/"))
    assert browser.url == browser.at("shared.test", "/")
    shows(browser, "beta")
    chat(browser, "one@example.com")
    cookie = browser.cookies()["owui_tenant"]
    assert cookie["httpOnly"] and cookie["secure"] and cookie["sameSite"] == "Lax"
    assert "owui_tenant" not in browser.run("document.cookie")

    browser.open(browser.at("shared.test", "/c/42"))  # a bookmark, and the session goes on
    shows(browser, "beta")
    browser.wait("state.sid !== null", "the socket is open again")
    browser.open(browser.at("shared.test", "/blog/"))
    browser.wait("document.title === 'site'", "the website is still there")

    browser.open(browser.at("shared.test", "/owui/leave"))
    shows(browser, "site")
    assert browser.url == browser.at("shared.test", "/")
    assert "owui_tenant" not in browser.cookies()


def test_one_tenants_login_does_not_reach_the_next(browser):
    browser.open(browser.at("shared.test", "/owui/"))
    shows(browser, "beta")
    chat(browser, "one@example.com")
    assert "token=" in cookies_that_reach(browser)
    browser.open(browser.at("shared.test", "/two/"))
    shows(browser, "delta")
    assert browser.run("localStorage.token || ''") == ""
    reached = cookies_that_reach(browser)
    assert "owui_tenant=" in reached and "; token=" not in "; " + reached
    chat(browser, "two@example.com")


def test_root_share(browser):
    browser.open(browser.at("site.test", "/"))
    browser.wait("document.title === 'site'", "the website has its start page")
    browser.open(browser.at("site.test", "/auth"))
    shows(browser, "beta")
    chat(browser, "one@example.com")
    browser.open(browser.at("site.test", "/c/42"))
    shows(browser, "beta")
    browser.wait("state.sid !== null", "the socket is open again")
    browser.open(browser.at("site.test", "/blog/"))
    browser.wait("document.title === 'site'", "the website has the rest")


def test_redirect(browser):
    browser.open(browser.at("moved.test", "/owui/c/1"))
    assert browser.url == browser.at("chat.moved.test", "/c/1")
    shows(browser, "beta")
    chat(browser, "one@example.com")
    assert set(browser.cookies()) == {"token"}


def test_strip_does_not_work_as_check_says(browser):
    """The page comes, and nothing that it asks for at the root does."""
    browser.open(browser.at("wrong.test", "/owui/"))
    assert browser.title == "beta"
    assert browser.run("typeof state") == "undefined"
    assert browser.run("fetch('/api/config').then(answer => answer.status)") == 404


def answered_by(browser):
    return browser.run(
        "fetch('/api/version').then(answer => answer.json()).then(told => told.deployment_id)"
    )


def switch(own, browser, version, name):
    """By the command; the next request of the page that is open is answered by the new version."""
    done = run_agent_command("switch", "versions", version, "-c", own.config_path)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: answered_by(browser) == name, f"answered by {name}")


def test_a_socket_across_a_switch_and_the_way_back(browser, own):
    """The page that is open keeps its socket, and with it the version that it began with."""
    workers = own.haproxy_workers()
    browser.open(browser.at("versions.test", "/"))
    shows(browser, "beta")
    chat(browser, "one@example.com")
    assert browser.run("whoami()")["name"] == "beta"
    old = browser.tab
    try:
        switch(own, browser, "green", "delta")
        assert browser.run("whoami()")["name"] == "beta" and browser.run("state.closed") == 0

        browser.new_tab()
        browser.open(browser.at("versions.test", "/"))
        shows(browser, "delta")
        browser.wait("state.sid !== null", "the new page's socket is open")
        assert browser.run("whoami()")["name"] == "delta"
        assert browser.run("ask()") == 200
        browser.wait(f"answer() === '{TOKENS}'", "tokens come over the new page's socket")

        switch(own, browser, "blue", "beta")
        assert browser.run("whoami()")["name"] == "delta" and browser.run("state.closed") == 0
        browser.go_to_tab(old)
        assert browser.run("state.closed") == 0
        assert browser.run("whoami()")["name"] == "beta"
        assert browser.run("state.events = [], ask()") == 200  # as if there had been no switch
        browser.wait(f"answer() === '{TOKENS}'", "tokens come over the old page's socket")
        assert own.haproxy_workers() == workers
    finally:
        own.write_tenants(tenants(own.upstreams))


def test_the_cookie_of_a_replica(browser, own):
    """A browser stays where its cookie says, with all that a page does, also while that drains."""
    browser.open(browser.at("replicas.test", "/"))
    home = browser.title
    shows(browser, home)
    cookie = browser.cookies()["owui_replica"]
    assert cookie["httpOnly"] and cookie["secure"] and cookie["sameSite"] == "Lax"
    assert "expiry" not in cookie  # until the browser is closed
    chat(browser, "one@example.com")
    assert browser.run("whoami()")["name"] == home

    servers = [own.upstreams[name].url for name in ("beta", "delta")]
    changed = tenants(own.upstreams)
    changed["replicas"] = replicated(servers, [own.upstreams[home].url])
    own.write_tenants(changed)
    try:
        wait_until(
            lambda: request(
                own.https_port, "/api/version", "replicas.test", tls_name="replicas.test"
            ).json()["deployment_id"]
            != home,
            "nobody new comes to the replica that drains",
        )
        browser.open(browser.at("replicas.test", "/c/42"))
        shows(browser, home)
        browser.wait("state.sid !== null", "the socket is open again")
        assert browser.run("whoami()")["name"] == home
    finally:
        own.write_tenants(tenants(own.upstreams))


def test_the_page_of_maintenance_comes_back_by_itself(browser, own):
    browser.open(browser.at("down.test", "/c/42"))
    assert browser.title == "Maintenance"
    assert browser.run("document.querySelector('h1').textContent") == "Under maintenance"
    assert browser.run("getComputedStyle(document.body).display") == "grid"  # its style is let in
    assert browser.run("performance.getEntriesByType('resource').length") == 0
    assert browser.run("fetch('/x').then(answer => answer.status)").startswith("failed")
    others = tenants(own.upstreams)
    del others["down"]["maintenance"]
    own.write_tenants(others)
    try:
        wait_until(
            lambda: request(own.https_port, "/health", "down.test", tls_name="down.test").status
            == 200,
            "maintenance is over",
        )
        wait_until(lambda: browser.title == "beta", "the page has come back by itself", 40)
        assert browser.url == browser.at("down.test", "/c/42")
    finally:
        own.write_tenants(tenants(own.upstreams))
