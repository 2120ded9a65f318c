"""The page, in a browser: what it shows and does, by mouse and by keyboard, and what it lets nobody do.

    OWUI_SCREENSHOTS=$PWD/docs/images tests/run integration -- tests/integration/test_page.py -k screenshots

makes the pictures of docs/ADMIN.md anew."""

import base64
import http.client
import http.server
import json
import os
import pathlib
import re
import threading
import types

import pytest

from support import png
from support.acme import CHALLTESTSRV, PEBBLE, Pebble
from support.admin_http import AdminHttp, settings
from support.browser import CHROMEDRIVER, CHROMIUM, Chromium
from support.certified import CertifiedStack
from support.clients import request
from support.processes import wait_until
from support.stack import REPOSITORY
from test_admin import agent, tenant  # noqa: F401 (agent is a fixture)

pytestmark = pytest.mark.skipif(
    None in (CHROMIUM, CHROMEDRIVER, PEBBLE, CHALLTESTSRV), reason="needs chromium and pebble"
)

TAB, ENTER, ESCAPE, SHIFT, SPACE = "\ue004", "\ue007", "\ue00c", "\ue008", " "
# A text that would be seen to run if it were taken for markup, wherever that may be.
HOSTILE = "\"'><img src=x onerror=window.pwned=1><script>window.pwned=1</script>"


class Page:
    """The page in a browser, as somebody sees it."""

    def __init__(self, browser, api):
        self.browser, self.api = browser, api

    def open(self, view=""):
        self.browser.open(f"{self.api.url}/{view}")

    def sign_in(self, token, view=""):
        self.open(view)
        self.see("#token", "the form is there")
        self.fill("#token", token)
        self.click("#login button")
        self.see("#app", "the token is taken")

    def js(self, script):
        return self.browser.run(script)

    def see(self, selector, what):
        return self.browser.wait(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            ".some(one => one.checkVisibility())",
            what,
        )

    def text(self, selector):
        return self.js(f"(document.querySelector({json.dumps(selector)}) || {{}}).innerText || ''")

    def wait_text(self, selector, part, what=""):
        script = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".some(one => one.innerText.includes({json.dumps(part)}))"
        )
        return self.browser.wait(script, what or f"{part} in {selector}")

    def fill(self, selector, text):
        self.js(
            f"(one => {{ one.value = {json.dumps(text)};"
            " one.dispatchEvent(new Event('input', {bubbles: true}));"
            " one.dispatchEvent(new Event('change', {bubbles: true})) })"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def click(self, selector, label=None):
        """The first that is visible, and says so."""
        wanted = (
            "true"
            if label is None
            else f"one.innerText.trim() === {json.dumps(label)} ||"
            f" one.getAttribute('aria-label') === {json.dumps(label)}"
        )
        self.browser.wait(
            f"(one => one ? (one.click(), true) : false)"
            f"([...document.querySelectorAll({json.dumps(selector)})]"
            f".find(one => one.checkVisibility() && !one.disabled && ({wanted})))",
            f"{selector} {label or ''} can be clicked",
        )

    def confirm(self, title):
        """The dialog that asks, which is answered with yes, and goes."""
        self.wait_text("#ask[open] h2", title)
        self.click("#ask-yes")
        self.gone("#ask[open]")

    def gone(self, selector):
        self.browser.wait(
            f"document.querySelector({json.dumps(selector)}) === null", f"{selector} is gone"
        )

    def row(self, name):
        """The cells of a tenant's row."""
        return self.js(
            "[...document.querySelectorAll('#tenant-rows tr')]"
            ".map(row => [...row.cells].map(cell => cell.innerText))"
            f".find(cells => cells[0] === {json.dumps(name)}) || null"
        )

    def wait_row(self, name, column, text):
        return wait_until(
            lambda: (self.row(name) or [""] * 5)[column] == text, f"{name} is {text}", 30
        )


@pytest.fixture(scope="module")
def ca(folder, authority):
    """One whose certificates live as long as people's do."""
    path = folder / "page-ca"
    path.mkdir()
    one = Pebble(path, authority, validity_s=90 * 86400).start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def own(folder, authority, upstreams, ca):
    """An installation with certificates, and whom its admin interface knows."""
    path = folder / "page"
    path.mkdir()
    stack = CertifiedStack(
        path,
        upstreams,
        authority,
        ca,
        changes={"trace": 1000, **settings(requests_per_minute=100000)},
    )
    stack.want(("chat", "chat.page.test", "www.page.test"), ("sales", "sales.page.test"))
    try:
        stack.start()
        api = AdminHttp(stack)
        api.tokens = {"admin": api.token("alice", "admin"), "read": api.token("bob")}
        for host in ("chat.page.test", "sales.page.test"):
            stack.wait_served(host, timeout_s=200)  # the CA may fail, and is asked again
        yield api
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def browser(folder, own):
    with Chromium(folder / "page-browser", [], logs=("browser", "performance")) as one:
        yield one


@pytest.fixture
def page(browser, own):
    """A browser that has not been there yet. Nothing that a test does with it leaves the origin, or is
    complained about."""
    page = Page(browser, own)
    page.expected = ()
    page.open()
    page.see("#login, #app", "it knows who comes")
    page.js("leave()")
    browser.open("about:blank")
    browser.cdp("Emulation.clearDeviceMetricsOverride")
    for kind in browser.logs:
        browser.log(kind)
    yield page
    complaints = [
        entry["message"]
        for entry in browser.log("browser")
        if entry["level"] in ("SEVERE", "WARNING")
        and not any(text in entry["message"] for text in page.expected)
    ]
    assert complaints == []
    assert asked_for(browser) <= {page.api.url}


def asked_for(browser):
    """The origins of all requests."""
    found = set()
    for entry in browser.log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith(("data:", "about:", "chrome:")):
                found.add("/".join(url.split("/")[:3]))
    return found


class Between(http.server.BaseHTTPRequestHandler):
    """What stands before the daemon, and cuts answers off behind their heads."""

    def do_GET(self):
        connection = http.client.HTTPConnection(self.server.api.host, self.server.api.port)
        connection.request("GET", self.path, headers=dict(self.headers))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:5] if self.path == self.server.cut else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def between(page, own):
    """The page is there through a proxy that cuts answers about its .cut off."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between) as proxy:
        proxy.api, proxy.cut = own, None
        page.expected = ("Failed to load resource", "ERR_CONTENT_LENGTH_MISMATCH")
        page.api = types.SimpleNamespace(
            url=f"http://127.0.0.1:{proxy.server_port}", tokens=own.tokens
        )
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        page.browser.open("about:blank")
        proxy.shutdown()


# --- coming in ------------------------------------------------------------------------------------


def test_a_wrong_token_is_told_and_nothing_is_shown(page):
    page.expected = ("401",)  # Chromium tells of the answer itself
    page.open()
    page.see("#login", "the form is there")
    assert page.js("document.activeElement.id") == "token"
    page.fill("#token", "owui_" + "A" * 43)
    page.click("#login button")
    page.wait_text("#login-wrong", "not known")
    assert page.js("document.querySelector('#app').checkVisibility()") is False
    assert page.js("sessionStorage.length") == 0 and page.text("#tenant-rows") == ""


def test_signing_in_and_out(page):
    page.sign_in(page.api.tokens["admin"])
    page.wait_text("#who", "alice · admin")
    page.wait_text("#tenant-rows", "chat.page.test")
    assert page.browser.title == "Tenants · owui-spoa"
    page.browser.open(page.api.url + "/#changes")  # and a reload keeps it
    page.wait_text("#changes h1", "Changes")
    assert page.js("document.cookie") == "" and page.js("localStorage.length") == 0
    assert page.js("location.href").startswith(page.api.url) and "owui_" not in page.browser.url
    page.click("#leave")
    page.see("#login", "signed out")
    assert page.js("sessionStorage.length") == 0 and page.text("#change-rows") == ""


def test_a_token_that_is_removed_ends_the_visit(page):
    from support.stack import run_agent_command

    page.expected = ("401",)
    page.sign_in(page.api.token("guest"))
    page.wait_text("#tenant-rows", "chat")
    config = ["-c", page.api.stack.config_path]
    assert run_agent_command("token", "remove", "guest", *config).returncode == 0
    page.see("#login", "signed out")
    page.wait_text("#login-wrong", "not known any more")
    assert page.text("#tenant-rows") == ""


def test_a_daemon_that_is_away_takes_no_token(page, between):
    """Whoever comes back while it starts anew, or has asked too often, is not signed out."""
    page.sign_in(page.api.tokens["read"])
    page.wait_text("#who", "bob")
    between.cut = "/v1"
    page.open()
    page.wait_text("#login-wrong", "does not answer")
    assert page.js("document.querySelector('#app').checkVisibility()") is False
    between.cut = None
    page.open()
    page.wait_text("#who", "bob")
    page.click("#leave")
    assert page.js("sessionStorage.length") == 0


def test_a_reader_is_offered_no_change(page):
    admin = page.api.tokens["admin"]
    assert page.api.ask("PATCH", "/v1/tenants/sales", {"_note": "x"}, token=admin)[0] == 200
    page.sign_in(page.api.tokens["read"])
    page.wait_text("#tenant-rows", "chat.page.test")
    assert page.js("document.querySelector('#add').checkVisibility()") is False
    assert page.js("document.querySelectorAll('#tenant-rows .act button').length") == 0
    page.open("#certificates")
    page.wait_text("#cert-rows", "chat")
    assert page.js("document.querySelectorAll('#cert-rows button').length") == 0
    page.open("#changes")
    page.wait_text("#change-rows", "Diff")
    assert "Roll back" not in page.text("#change-rows")


# --- what is done ---------------------------------------------------------------------------------


def test_a_tenant_is_added_and_routed(page):
    stack = page.api.stack
    page.sign_in(page.api.tokens["admin"])
    page.click("#add")
    page.see("#new[open]", "the form is there")
    for field, text in [
        ("#new-name", "fresh"),
        ("#new-hosts", "fresh.page.test, too.page.test"),
        ("#new-upstream", stack.upstreams["beta"].url),
        ("#new-https", "off"),
    ]:
        page.fill(field, text)
    page.click("#new button.main")
    page.wait_text("#ask-text", '"too.page.test"')
    page.confirm("Add fresh?")
    page.wait_text("#said", "fresh is added")
    page.wait_row("fresh", 1, "live")
    assert (
        request(stack.http_port, "/api/version", "fresh.page.test").header("X-Upstream") == "beta"
    )
    page.click("#add")
    page.fill("#new-name", "other")
    page.fill("#new-hosts", "fresh.page.test")
    page.fill("#new-upstream", "http://127.0.0.1:1")
    page.click("#new button.main")
    page.wait_text("#ask[open] h2", "Add other?")
    page.expected = ("409",)
    page.click("#ask-yes")  # what is refused stays there, with the reason
    page.wait_text("#ask-wrong", "belongs to tenant")
    page.click("#ask-no")  # back to the form, as it was filled in
    page.see("#new[open]", "the form is there")
    assert page.js("document.querySelector('#new-hosts').value") == "fresh.page.test"
    page.click("#new-cancel")
    page.gone("#new[open]")
    assert not (stack.tenants_dir / "other.json").exists()
    assert page.api.ask("DELETE", "/v1/tenants/fresh", token=page.api.tokens["admin"])[0] == 200


# Whether what is said lies above everything else.
SEEN = """(one => {
  const { left, top, width, height } = one.getBoundingClientRect();
  return width > 0 && document.elementFromPoint(left + width / 2, top + height / 2) === one;
})(document.querySelector('#said'))"""


def test_maintenance_begins_and_ends(page):
    stack = page.api.stack

    def status():
        answer = request(
            stack.https_port,
            "/api/version",
            "sales.page.test",
            tls_name="sales.page.test",
            tls=trust,
        )
        return answer.status

    trust = stack.trust()
    page.sign_in(page.api.tokens["admin"])
    page.click("#tenant-rows button", "Begin maintenance of sales")
    page.wait_text("#ask[open] h2", "Begin maintenance of sales?")
    page.click("#ask-no")  # nothing happens
    page.gone("#ask[open]")
    assert status() == 200
    page.click("#tenant-rows button", "sales")  # from the tenant's own panel
    page.wait_text("#tenant[open]", "sales.page.test")
    page.click("#tenant button", "Begin maintenance of sales")
    page.confirm("Begin maintenance of sales?")
    page.wait_text("#tenant[open] .facts", "maintenance")
    # What is said stays, and the panel is made anew.
    page.js("(say('told'), clearTimeout(said), reopen())")
    page.browser.wait(f"document.querySelector('#tenant').open && {SEEN}", "told above the panel")
    page.js("put('said')")
    assert status() == 503
    page.click("#tenant-close")
    page.wait_row("sales", 1, "maintenance")
    page.click("#tenant-rows button", "End maintenance of sales")
    page.confirm("End maintenance of sales?")
    page.wait_row("sales", 1, "live")
    assert status() == 200


def test_a_certificate_is_renewed(page):
    stack = page.api.stack
    before = stack.serial("sales.page.test")
    page.sign_in(page.api.tokens["admin"], "#certificates")
    page.wait_text("#cert-rows", "sales.page.test")
    assert page.js("document.querySelectorAll('#cert-rows .track .life').length") == 2
    page.click("#cert-rows button", "Renew sales.pem")
    page.confirm("Renew sales.pem now?")
    page.wait_text("#said", "is being renewed")
    stack.wait_served("sales.page.test", but_not=before, timeout_s=200)


def test_changes_are_shown_and_rolled_back(page):
    stack, admin = page.api.stack, page.api.tokens["admin"]
    page.api.ask("PATCH", "/v1/tenants/chat", {"_note": "before"}, token=admin)
    base = page.api.ask("GET", "/v1/history", token=admin)[1]["history"][0]["id"]
    page.api.ask("PATCH", "/v1/tenants/chat", {"_note": "after"}, token=admin)
    page.sign_in(admin, "#changes")
    page.wait_text("#change-rows", "by token alice")
    page.click("#change-rows button", f"Differences of change {base + 1}")
    page.wait_text(".diff .minus", '"_note": "before"')
    page.wait_text(".diff .plus", '"_note": "after"')
    assert page.js("document.querySelectorAll('.diff .plus, .diff .minus').length") == 2
    page.click("#change-rows button", f"Roll back to change {base}")
    page.wait_text("#ask-text", "1 later change is undone")
    page.confirm(f"Roll back to change {base}?")
    page.wait_text("#change-rows", f"roll back to {base}")
    assert '"before"' in (stack.tenants_dir / "chat.json").read_text()


def test_no_more_is_undone_than_is_asked_for(page):
    page.expected = ("412",)
    admin = page.api.tokens["admin"]
    page.api.ask("PATCH", "/v1/tenants/chat", {"_note": "to go back to"}, token=admin)
    base = page.api.ask("GET", "/v1/history", token=admin)[1]["history"][0]["id"]
    page.api.ask("PATCH", "/v1/tenants/chat", {"_note": "to be undone"}, token=admin)
    page.sign_in(admin, "#changes")
    page.click("#change-rows button", f"Roll back to change {base}")
    page.wait_text("#ask-text", "1 later change is undone")
    page.api.ask("PATCH", "/v1/tenants/chat", {"_note": "somebody else's"}, token=admin)
    page.click("#ask-yes")
    page.wait_text("#ask-wrong", "since you looked")
    assert focus(page) == "Look again"
    page.click("#ask-no")
    page.click("#change-rows button", f"Differences of change {base + 2}")
    page.wait_text(".diff .plus", "somebody else's")
    page.click("#change-rows button", f"Roll back to change {base}")
    page.wait_text("#ask-text", "2 later changes are undone")
    page.confirm(f"Roll back to change {base}?")
    page.wait_text("#change-rows", f"roll back to {base}")


def test_a_diff_that_is_read_stays_and_other_views_go_on(page):
    stack, admin = page.api.stack, page.api.tokens["admin"]
    page.api.ask("PATCH", "/v1/tenants/chat", {"_note": "to be read"}, token=admin)
    page.sign_in(admin, "#changes")
    page.click("#change-rows button", "Diff")
    page.see(".diff", "the diff is there")
    page.api.ask("PATCH", "/v1/tenants/chat", {"_note": "while it is read"}, token=admin)
    page.browser.wait("ticks > 3", "it was asked for changes")
    page.see(".diff", "the diff is still there")
    page.open("#tenants")
    page.wait_row("sales", 1, "live")
    stack.write_tenants(
        {"late": {"hosts": ["late.page.test"], "upstream": "http://127.0.0.1:1"}}, "late.json"
    )
    page.wait_text("#tenant-rows", "late.page.test")
    (stack.tenants_dir / "late.json").unlink()


def test_one_of_two_diffs_that_are_read_may_be_closed(page):
    page.expected = ("412",)
    admin = page.api.tokens["admin"]
    for note in ("the one", "the other"):
        page.api.ask("PATCH", "/v1/tenants/chat", {"_note": note}, token=admin)
    newest = page.api.ask("GET", "/v1/history", token=admin)[1]["history"][0]["id"]
    page.sign_in(admin, "#changes")
    for change in (newest, newest - 1):
        page.click("#change-rows button", f"Differences of change {change}")
    page.browser.wait("document.querySelectorAll('.diff').length === 2", "both are open")
    page.click("#change-rows button", f"Differences of change {newest}")
    page.browser.wait("document.querySelectorAll('.diff').length === 1", "one is open")
    page.api.ask("PATCH", "/v1/tenants/chat", {"_note": "a third"}, token=admin)
    page.js("ticks = 4")  # the list is asked for with each fifth
    page.browser.wait("ticks > 6", "it was asked for changes")
    page.see(".diff", "the other is still there")
    # What one asks for oneself is shown in any case.
    page.click("#change-rows button", f"Roll back to change {newest - 1}")
    page.click("#ask-yes")
    page.wait_text("#ask-wrong", "since you looked")
    page.click("#ask-no")
    page.see(f"[aria-label='Differences of change {newest + 1}']", "it is looked at again")


def test_what_differs_in_a_long_tenant_is_seen_wherever_it_is(page):
    stack, admin = page.api.stack, page.api.tokens["admin"]
    many = {f"X-Team-{number}": "blue" for number in range(500)}
    definition = {"hosts": ["long.page.test"], "upstream": "http://127.0.0.1:1", "https": "off"}
    path = "/v1/tenants/long"
    assert page.api.ask("POST", path, definition | {"_notes": many}, token=admin)[0] == 201
    told = page.api.ask("PATCH", path, {"_notes": many | {"X-Team-450": "red"}}, token=admin)
    assert told[0] == 200
    page.sign_in(admin, "#changes")
    page.click("#change-rows button", "Diff")
    page.wait_text(".diff .minus", '"X-Team-450": "blue"')
    page.wait_text(".diff .plus", '"X-Team-450": "red"')
    assert page.js("document.querySelectorAll('.diff .plus, .diff .minus').length") == 2
    assert "equal lines" in page.text(".diff")
    assert page.js("document.querySelectorAll('.diff pre span').length") < 20
    # Too much to compare is said to be.
    page.click("#change-rows button", "Diff")
    assert page.api.ask("DELETE", path, token=admin)[0] in (200, 204)
    page.js("refresh()")
    newest = page.api.ask("GET", "/v1/history", token=admin)[1]["history"][0]["id"]
    page.click("#change-rows button", f"Differences of change {newest}")
    page.wait_text(".diff", "more lines are not shown")


def test_files_that_do_not_count_are_told_on_every_view(page):
    stack = page.api.stack
    page.sign_in(page.api.tokens["read"], "#traffic")
    page.see("#traffic", "the view is there")
    (stack.tenants_dir / "broken.json").write_text('{"tenants": {')
    page.wait_text("#file-problems", "broken.json does not count")
    page.wait_text("#file-problems", "broken.json:1:")
    (stack.tenants_dir / "broken.json").unlink()
    page.browser.wait("document.querySelector('#file-problems').hidden", "it is over")
    stack.config["listen_mode"] = "0600"
    stack.write_config()
    page.wait_text("#file-problems", '"listen_mode" has changed in the global file')
    page.wait_text("#file-problems", "systemctl restart owui-spoa")
    del stack.config["listen_mode"]
    stack.write_config()
    page.browser.wait("document.querySelector('#file-problems').hidden", "it is as it was")


def test_traffic_is_seen_as_it_comes(page):
    stack = page.api.stack
    page.sign_in(page.api.tokens["read"], "#traffic")
    request(stack.http_port, "/c/seen-by-the-page", "chat.page.test")
    request(stack.http_port, "/", "nobody.page.test")
    page.wait_text("#decision-rows", "/c/seen-by-the-page")
    page.wait_text("#decision-rows", "404")
    page.wait_text("#outcomes", "deny-unknown-host")
    for _ in range(3):
        request(stack.http_port, "/c/again-and-again", "chat.page.test")
    page.wait_text("#decision-rows", "/c/again-and-again × 3")
    page.click("#refused")
    page.wait_text("#decision-rows", "nobody.page.test")
    assert "/c/seen-by-the-page" not in page.text("#decision-rows")
    page.wait_text("#event-rows", "path=/v1/")


def test_the_daemon_goes_and_comes_back(page):
    page.expected = ("Failed to load resource", "ERR_CONNECTION_REFUSED")
    page.sign_in(page.api.tokens["read"])
    page.wait_text("#t-agent", "Serving")
    page.api.stack.agents[0].stop()
    page.see("#lost", "it is told that nobody answers")
    page.api.stack.start_agent()
    page.browser.wait("document.querySelector('#lost').hidden", "it is over", 60)
    assert page.js("document.querySelector('#app').checkVisibility()") is True


def test_an_answer_that_breaks_off_is_not_the_last(page, between):
    page.sign_in(page.api.tokens["read"])
    page.wait_text("#t-agent", "Serving")
    between.cut = "/v1/status"
    page.see("#lost", "it is told that nobody answers")
    between.cut = None
    page.browser.wait("document.querySelector('#lost').hidden", "it is over", 60)


def test_a_question_that_nobody_answers(page):
    page.expected = ("Failed to load resource", "ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE")
    page.sign_in(page.api.tokens["admin"])
    page.click("#tenant-rows button", "Begin maintenance of sales")
    page.see("#ask[open]", "asked")
    page.api.stack.agents[0].stop()
    page.click("#ask-yes")
    page.wait_text("#ask-wrong", "The daemon does not answer.")
    page.api.stack.start_agent()
    page.click("#ask-no")
    page.browser.wait("document.querySelector('#lost').hidden", "it is over", 60)
    page.wait_row("sales", 1, "live")


@pytest.mark.parametrize("status", [200, 409])
def test_an_answer_to_a_question_that_was_left_is_not_told_in_the_next(page, status):
    page.sign_in(page.api.tokens["admin"])
    page.js(
        "(window.answers = [], window.usual = window.fetch, window.fetch = (path, how) =>"
        " how && how.method === 'POST' ? new Promise(told => answers.push(told))"
        " : usual(path, how), 0)"
    )
    page.click("#tenant-rows button", "Begin maintenance of chat")
    page.wait_text("#ask[open] h2", "Begin maintenance of chat?")
    page.click("#ask-yes")
    page.browser.wait("answers.length === 1", "it was asked for")
    page.js("document.querySelector('#ask').close()")
    page.click("#tenant-rows button", "Begin maintenance of sales")
    page.wait_text("#ask[open] h2", "Begin maintenance of sales?")
    body = json.dumps({"title": "it is somebody else's", "status": status})
    page.js(
        f"answers[0](new Response({json.dumps(body)},"
        f" {{status: {status}, headers: {{'Content-Type': 'application/json'}}}}))"
    )
    page.browser.wait("document.querySelector('#said').innerText !== ''", "it is told")
    assert page.text("#ask[open] h2") == "Begin maintenance of sales?"
    assert page.js("document.querySelector('#ask-wrong').hidden") is True
    assert page.js("document.querySelector('#ask-yes').disabled") is False
    page.js("window.fetch = usual")
    page.click("#ask-no")
    page.gone("#ask[open]")


def test_what_somebody_else_has_changed_is_looked_at_again(page):
    page.expected = ("412",)
    admin = page.api.tokens["admin"]
    page.sign_in(admin)
    page.click("#tenant-rows button", "sales")
    page.see("#tenant[open]", "the panel is open")
    note = {"_note": "somebody else was here"}
    assert page.api.ask("PATCH", "/v1/tenants/sales", note, token=admin)[0] == 200
    page.click("#tenant button", "Begin maintenance of sales")
    page.wait_text("#ask[open] h2", "Begin maintenance of sales?")
    page.click("#ask-yes")
    page.wait_text("#ask-wrong", "since you looked at it")
    assert page.js("document.querySelector('#ask-yes').disabled") is True
    assert focus(page) == "Look again"
    page.click("#ask-no")
    page.wait_text("#tenant[open] pre", "somebody else was here")
    page.click("#tenant button", "Begin maintenance of sales")
    page.wait_text("#ask[open] h2", "Begin maintenance of sales?")
    assert page.text("#ask-no") == "Cancel"
    page.click("#ask-no")
    page.gone("#ask[open]")
    page.click("#tenant-close")


# --- by keyboard, and for those who hear it -------------------------------------------------------


def focus(page):
    return page.js(
        "(one => one.getAttribute('aria-label') || one.innerText || one.id)(document.activeElement)"
    )


def tab_to(page, label):
    """By nothing but the tabulator; what is reached is seen to be."""
    for _ in range(80):
        page.browser.type(TAB)
        if focus(page) == label:
            ring = "getComputedStyle(document.activeElement).outlineStyle"
            assert page.js(ring) != "none", f"{label} does not show its focus"
            return
    raise AssertionError(f"{label} is not reached; at {focus(page)}")


def test_everything_by_keyboard(page):
    page.open()
    page.see("#login", "the form is there")
    page.browser.type(*page.api.tokens["admin"], ENTER)
    page.wait_text("#tenant-rows", "chat.page.test")
    page.browser.type("/", *"sales")
    page.browser.wait(
        "document.querySelectorAll('#tenant-rows tr').length === 1", "the search is done"
    )
    tab_to(page, "sales")
    page.browser.type(ENTER)
    page.see("#tenant[open]", "the panel is open")
    assert page.js("document.querySelector('#tenant').contains(document.activeElement)")
    page.browser.type(ESCAPE)
    page.gone("#tenant[open]")
    assert focus(page) == "sales"  # where it was
    tab_to(page, "Begin maintenance of sales")
    page.browser.type(ENTER)
    page.wait_text("#ask[open] h2", "Begin maintenance of sales?")
    assert focus(page) == "Cancel"
    page.browser.type(TAB, ENTER)
    page.gone("#ask[open]")
    page.wait_row("sales", 1, "maintenance")
    tab_to(page, "End maintenance of sales")
    page.browser.type(ENTER)
    page.wait_text("#ask[open] h2", "End maintenance of sales?")
    page.browser.type(TAB, SPACE)
    page.wait_row("sales", 1, "live")
    page.browser.wait("(document.activeElement.blur(), scrollTo(0, 0), true)", "from the start")
    tab_to(page, "Certificates")
    page.browser.type(ENTER)
    page.wait_text("#cert-rows", "chat")
    assert page.js("document.querySelector('nav [aria-current]').innerText") == "Certificates"


def tree(page):
    """Role and name of all that is told to those who hear the page."""
    nodes = page.browser.cdp("Accessibility.getFullAXTree")["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]


NAMED = {
    "button",
    "link",
    "textbox",
    "searchbox",
    "combobox",
    "checkbox",
    "table",
    "dialog",
    "list",
}


def test_it_is_told_by_roles_and_names(page):
    page.open()
    page.see("#login", "the form is there")
    assert {("textbox", "Token"), ("button", "Sign in"), ("heading", "owui-spoa")} <= set(
        tree(page)
    )
    page.sign_in(page.api.tokens["admin"])
    page.wait_text("#tenant-rows", "chat.page.test")
    told = tree(page)
    assert ("navigation", "Views") in told and ("main", "") in told
    for view in ("Tenants", "Certificates", "Traffic", "Changes"):
        assert ("link", view) in told
    for role, name in [
        ("searchbox", "Search tenants"),
        ("button", "Add tenant"),
        ("button", "chat"),
        ("button", "Begin maintenance of chat"),
        ("columnheader", "Upstream"),
        ("link", "Skip to content"),
    ]:
        assert (role, name) in told, (role, name)
    assert any(role == "table" and name.startswith("Tenants") for role, name in told)
    page.click("#tenant-rows button", "chat")
    page.see("#tenant[open]", "the panel is open")
    assert ("dialog", "chat") in tree(page)
    page.click("#tenant-close")
    page.click("#tenant-rows button", "Begin maintenance of chat")
    assert ("dialog", "Begin maintenance of chat?") in tree(page)
    page.click("#ask-no")
    for view, what in [("certificates", "Renew chat.pem"), ("changes", "Diff"), ("traffic", "")]:
        page.open(f"#{view}")
        page.see(f"#{view}", "the view is there")
        if what.startswith("Renew"):
            page.browser.wait("document.querySelector('#cert-rows button') !== null", "rows")
            assert ("button", what) in tree(page)
            rows = [one for one in tree(page) if one[0] == "row"]
            assert len(rows) >= 3  # with the header
        nameless = [one for one in tree(page) if one[0] in NAMED and not one[1]]
        assert nameless == [], view


# --- what it lets nobody do -----------------------------------------------------------------------


def test_what_comes_from_outside_is_never_markup(page):
    stack = page.api.stack
    definition = {"hosts": ["x.page.test"], "upstream": "http://127.0.0.1:1"}
    stack.write_tenants({"hostile": {**definition, "_note": HOSTILE, HOSTILE: 1}}, "hostile.json")
    stack.write_tenants({"noted": {**definition, "_note": HOSTILE, "https": "off"}}, "noted.json")
    page.sign_in(page.api.tokens["admin"])
    page.wait_text("#tenant-rows", "onerror=window.pwned")  # in what is wrong with it
    page.click("#tenant-rows button", "noted")
    page.wait_text("#tenant pre", "onerror=window.pwned")
    page.click("#tenant-close")
    for path in (
        "/<img%20src=x%20onerror=window.pwned=1>",
        "/%3Cscript%3Ewindow.pwned=1%3C/script%3E",
    ):
        request(stack.http_port, path, "x.page.test")
    page.open("#traffic")
    page.wait_text("#decision-rows", "window.pwned=1")
    page.open("#changes")
    page.wait_text("#change-rows", "noted.json")
    page.click("#change-rows button", "Diff")
    page.wait_text("#change-rows .diff", "onerror=window.pwned")
    assert page.js("typeof window.pwned") == "undefined"
    assert page.js("document.images.length") == 0 and page.js("document.scripts.length") == 1
    for name in ("hostile", "noted"):
        (stack.tenants_dir / f"{name}.json").unlink()


def test_no_other_script_would_run(page):
    """By its Content-Security-Policy, even if something got in."""
    page.expected = ("Content Security Policy", "requires 'Trusted", "violates")
    page.open()
    page.see("#login", "the form is there")
    status, text, headers = page.api.ask("GET", "/")
    policy = headers["Content-Security-Policy"]
    assert status == 200 and "unsafe" not in policy and "default-src 'none'" in policy
    assert "http" not in policy and "*" not in policy
    assert text.count("<script>") == 1 and "innerHTML" not in text and " on" + "click=" not in text
    page.browser.cdp(
        "Runtime.evaluate",
        expression="(one => { one.textContent = 'window.pwned = 1'; document.body.append(one) })"
        "(document.createElement('script'))",
    )
    page.browser.cdp(
        "Runtime.evaluate", expression="document.body.innerHTML = '<img src=x onerror=pwned=1>'"
    )
    assert page.js("typeof window.pwned") == "undefined"
    reached = page.js(
        "fetch('http://127.0.0.1:1/').then(() => 'reached', error => error.constructor.name)"
    )
    assert reached == "TypeError"
    framed = page.js(
        "new Promise(done => { const one = document.createElement('iframe'); one.src = '/';"
        " one.onload = () => done(one.contentDocument === null || one.contentDocument.title === '');"
        " document.body.append(one) })"
    )
    assert framed is True


def test_ten_thousand_tenants(agent, tmp_path):  # noqa: F811
    many = {f"tenant-{n:05}": tenant(n % 250, f"t{n}.example.test") for n in range(10000)}
    api = AdminHttp(agent(many, **settings(requests_per_minute=100000)))
    with Chromium(tmp_path, []) as one:
        page = Page(one, api)
        page.sign_in(api.token("reader"))
        page.wait_text("#tenant-pager", "1–100 of 10,000")
        assert page.js("document.querySelectorAll('#tenant-rows tr').length") == 100
        page.click("#tenant-pager button", "Next")
        page.wait_text("#tenant-pager", "101–200 of 10,000")
        page.wait_text("#tenant-rows", "tenant-00100")
        page.fill("#search", "t7777.")
        page.wait_text("#tenants-count", "1")
        page.browser.wait("document.querySelectorAll('#tenant-rows tr').length === 1", "found")
        page.wait_text("#tenant-rows", "tenant-07777")
        page.wait_text("#t-tenants", "10,000")


# --- what it looks like ---------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_cut_off_on_a_narrow_screen(page, width):
    page.browser.cdp(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=800,
        deviceScaleFactor=1,
        mobile=False,
    )
    page.sign_in(page.api.tokens["admin"])
    page.wait_text("#tenant-rows", "chat.page.test")
    for view in ("tenants", "certificates", "traffic", "changes"):
        page.open(f"#{view}")
        page.see(f"#{view}", "the view is there")
        assert page.js("document.documentElement.scrollWidth") <= width, view
        nav = "document.querySelector('nav')"
        assert page.js(f"{nav}.scrollWidth - {nav}.clientWidth") <= 0, "the views' names"
    page.open("#tenants")
    page.see("#tenants", "the view is there")
    for text in ("Maintenance", page.api.stack.upstreams["alpha"].url):
        assert page.js(f"({LINES})({json.dumps(text)})") == [1], f"{text} is broken in two"


# How many lines each text takes that is exactly this one, every tenant's once.
LINES = """
wanted => {
  const walker = document.createTreeWalker(document.querySelector('#tenant-rows'), NodeFilter.SHOW_TEXT);
  const found = new Set();
  while (walker.nextNode()) {
    if (walker.currentNode.data !== wanted) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    found.add(new Set([...range.getClientRects()].map(one => Math.round(one.top))).size);
  }
  return [...found];
}
"""


# Whatever text is seen, and how much its colour and what is behind it are apart (WCAG 2, 1.4.3).
PALE = """
(() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const behind = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pale = [];
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || !node.checkVisibility() || node.closest('script, [disabled], option')) continue;
    const [a, b] = [light(numbers(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) pale.push(`${text}: ${ratio.toFixed(2)}`);
  }
  return pale;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_is_readable(page, scheme):
    page.expected = ("401",)
    page.browser.cdp(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    stack = page.api.stack
    (stack.tenants_dir / "no.json").write_text('{"tenants": {')
    stack.write_tenants({"wrong": {"hosts": ["wrong.page.test"], "upstrem": "x"}}, "wrong.json")
    page.open()
    page.see("#login", "the form is there")
    page.fill("#token", "owui_" + "B" * 43)
    page.click("#login button")
    page.wait_text("#login-wrong", "not known")
    assert page.js(PALE) == []
    page.sign_in(page.api.tokens["admin"])
    page.wait_text("#tenant-rows", "wrong")
    page.wait_text("#file-problems", "no.json")
    request(stack.http_port, "/", "nobody.page.test")
    for view, part in [
        ("tenants", "wrong"),
        ("certificates", "sales"),
        ("traffic", "nobody.page.test"),
        ("changes", "by hand"),
    ]:
        page.open(f"#{view}")
        page.wait_text(f"#{view}", part)
        if view == "changes":
            page.click("#change-rows button", "Diff")
            page.see(".diff, #change-rows .none", "the diff is there")
        assert page.js(PALE) == [], view
    page.open("#tenants")
    page.click("#tenant-rows button", "wrong")
    page.see("#tenant[open] .wrong", "the panel is open")
    assert page.js(PALE) == []
    page.click("#tenant-close")
    page.click("#tenant-rows button", "Begin maintenance of chat")
    page.see("#ask[open]", "asked")
    assert page.js(PALE) == []
    page.click("#ask-no")
    for name in ("no", "wrong"):
        (stack.tenants_dir / f"{name}.json").unlink()


def test_the_longest_names_break_nothing(page):
    """63 letters without a place to break, at the width of a small telephone."""
    stack, name = page.api.stack, "m" * 63
    host = f"{'w' * 63}.{'x' * 63}.page.test"
    definition = {"hosts": [host, f"{name}.page.test"], "upstream": f"http://{'y' * 60}.test:3000"}
    stack.write_tenants({name: definition}, "long.json")
    screen(page, 320, 700)
    page.sign_in(page.api.tokens["admin"])
    page.wait_text("#tenant-rows", name)

    def fits(selector):
        script = f"(one => one.scrollWidth - one.clientWidth)(document.querySelector({selector!r}))"
        return page.js(script) <= 0 and page.js("document.documentElement.scrollWidth") <= 320

    assert fits("main")
    page.click("#tenant-rows button", name)
    page.see("#tenant[open]", "the panel is open")
    assert fits("#tenant > div")
    page.click("#tenant-close")
    page.click("#tenant-rows button", f"Begin maintenance of {name}")
    page.see("#ask[open]", "asked")
    assert fits("#ask > div")
    page.click("#ask-no")
    for view in ("certificates", "changes"):
        page.open(f"#{view}")
        page.wait_text(f"#{view}", "long" if view == "changes" else name)
        assert fits("main"), view
    (stack.tenants_dir / "long.json").unlink()


SHOTS = os.environ.get("OWUI_SCREENSHOTS")
SHOWN = {  # in docs/ADMIN.md
    "tenants-light",
    "tenant-dark",
    "certificates-dark",
    "traffic-dark",
    "changes-light",
    "narrow-light",
    "narrow-certificates-dark",
}


@pytest.mark.skipif(SHOTS is None, reason="OWUI_SCREENSHOTS names no folder")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots(page, scheme):
    stack, admin = page.api.stack, page.api.tokens["admin"]
    up = stack.upstreams
    filed = {
        "acme": {"hosts": ["ai.acme.example", "chat.acme.example"], "upstream": up["beta"].url},
        "globex": {
            "hosts": ["globex.example"],
            "replicas": {"servers": [up["alpha"].url, up["beta"].url, up["gamma"].url]},
            "check": {"every": "1s"},
        },
        "hooli": {
            "hosts": ["hooli.example"],
            "upstream": up["gamma"].url,
            "maintenance": {"on": True},
        },
        "pied-piper": {"hosts": ["piper.example"], "upstream": up["beta"].url},
        "soylent": {"hosts": ["soylent.example"], "upstream": up["gamma"].url},
        "vandelay": {"hosts": ["blocked.example.test"], "upstream": up["alpha"].url},
        "initech": {"hosts": ["chat.initech.example"], "upstrem": "http://10.0.0.9:3000"},
        "umbrella": {"hosts": ["*.umbrella.example"], "upstream": up["alpha"].url, "https": "off"},
    }
    for name, days in [
        ("acme", 47),
        ("globex", 71),
        ("hooli", 12),
        ("pied-piper", 27),
        ("soylent", 3),
    ]:
        stack.authority.issue(filed[name]["hosts"], stack.crt_dir / f"{name}.pem", days=days)
    for name, definition in filed.items():
        if name == "initech":  # which is wrong
            stack.write_haproxy_config()
        stack.write_tenants({name: definition}, f"{name}.json")
    stack.haproxy.stop()
    stack.start_haproxy()
    page.browser.cdp(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    screen(page, 1180, 760)
    page.sign_in(admin)
    page.wait_text("#tenant-rows", "umbrella")
    page.wait_text("#tenant-rows", "3 replicas, 3 up")
    for n in range(60):
        host = ["chat.page.test", "ai.acme.example", "globex.example", "nobody.example"][n % 4]
        request(stack.http_port, f"/c/{n}", host)
    wait_until(lambda: page.text("#t-rate") not in ("–", ""), "a rate is told", 30)
    shoot(page, f"tenants-{scheme}")
    page.open("#certificates")
    page.wait_text("#cert-rows", "globex")
    page.wait_text("#cert-rows", "forbidden by policy")
    shoot(page, f"certificates-{scheme}")
    page.open("#traffic")
    page.wait_text("#decision-rows", "nobody.example")
    shoot(page, f"traffic-{scheme}")
    page.open("#changes")
    page.api.ask("PATCH", "/v1/tenants/acme", {"upstream": up["gamma"].url}, token=admin)
    page.wait_text("#change-rows", "change tenant acme")
    page.click("#change-rows button", "Diff")
    page.wait_text(".diff .plus", "upstream")
    shoot(page, f"changes-{scheme}")
    page.open("#tenants")
    page.click("#tenant-rows button", "Begin maintenance of acme")
    page.see("#ask[open]", "asked")
    shoot(page, f"confirm-{scheme}")
    page.click("#ask-no")
    page.click("#tenant-rows button", "globex")
    page.see("#tenant[open]", "shown")
    shoot(page, f"tenant-{scheme}")
    page.click("#tenant-close")
    screen(page, 390, 800)
    shoot(page, f"narrow-{scheme}")
    page.open("#certificates")
    page.wait_text("#cert-rows", "globex")
    shoot(page, f"narrow-certificates-{scheme}")
    page.click("#leave")
    page.see("#login", "signed out")
    shoot(page, f"login-{scheme}")
    for name in filed:
        (stack.tenants_dir / f"{name}.json").unlink()


def test_what_the_documentation_shows_is_there():
    text = (REPOSITORY / "docs/ADMIN.md").read_text()
    told = set(re.findall(r"\(images/([\w-]+)\.png\)", text))
    there = {path.stem for path in (REPOSITORY / "docs/images").glob("*.png")}
    assert told == there == SHOWN


def screen(page, width, height):
    page.browser.cdp(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=False,
    )


# Folders are shown as a package has them.
USUAL = """
(() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode())
    walker.currentNode.data = walker.currentNode.data.replaceAll(%s, '/etc/owui-spoa');
})()
"""


def shoot(page, name):
    if name not in SHOWN:
        return
    page.js(USUAL % json.dumps(str(page.api.stack.directory)))
    page.js("new Promise(done => requestAnimationFrame(() => setTimeout(done, 400)))")
    data = page.browser.cdp("Page.captureScreenshot", format="png", optimizeForSpeed=False)["data"]
    folder = pathlib.Path(SHOTS)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(png.small(base64.b64decode(data)))
