"""Several servers of one tenant: who goes where, who moves when one dies, drains or comes back."""

import asyncio
import base64
import collections
import contextlib
import http.client
import json
import re
import socket
import time

import pytest

from support.clients import Browser, echo, request
from support.identity import AUDIENCE, ISSUER, Key, key_set
from support.processes import free_port, wait_until
from support.stack import Upstream, run_agent_command
from upstream import create_token

HOST = "chat.replicas.test"
NAMES = ("one", "two", "three")
SOCKETS = 200
CHECK = {"every": "200ms", "rise": 2, "fall": 2}


@pytest.fixture(scope="module")
def three(folder, tmp_path_factory):
    started = {}
    for name in NAMES:
        file = tmp_path_factory.getbasetemp() / f"ready-{name}"
        started[name] = Upstream(name, folder, env={"WEBUI_READY_FILE": str(file)})
        started[name].ready_file = file
        started[name].start()
    for server in started.values():
        server.wait()
    yield started
    for server in started.values():
        server.stop()


@pytest.fixture
def servers(three):
    """Three of one Open WebUI, which a test may stop, and whose /ready it may change."""
    for server in three.values():
        server.ready_file.write_text("")
        if not server.process.is_running():
            server.start()
        server.wait()
    return three


def tenant(servers, check=CHECK, draining=(), names=NAMES, **replicas):
    replicas.setdefault("slow_start", "0s")
    return {
        "hosts": [HOST],
        "replicas": {
            "servers": [servers[name].address for name in names],
            "draining": [servers[name].address for name in draining],
            **replicas,
        },
        "check": check,
        "https": "off",
    }


@pytest.fixture
def started(new_stack, servers):
    def make(**options):
        stack = new_stack()
        stack.write_tenants({"t": tenant(servers, **options)})
        return stack.start()

    return make


def name_of(stack, source=None, headers=()):
    answer = request(stack.http_port, "/api/version", HOST, headers=headers, source=source)
    return answer.json()["deployment_id"] if answer.status == 200 else answer.status


def sources(count):
    return [f"127.0.{20 + number // 200}.{1 + number % 200}" for number in range(count)]


def by_source(stack, count=60):
    return {source: name_of(stack, source) for source in sources(count)}


def bearer(user):
    token = create_token(user)
    token = token.decode() if isinstance(token, bytes) else token
    return ("Authorization", f"Bearer {token}")


def by_user(stack, count=60):
    return {user: name_of(stack, headers=[bearer(user)]) for user in map(str, range(count))}


def log(stack):
    return stack.agents[0].log()


def await_log(stack, pattern, count=1):
    wait_until(lambda: len(re.findall(pattern, log(stack))) >= count, pattern, 15)


def tenants_command(stack):
    done = run_agent_command("tenants", "-c", stack.config_path, "t")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def moved(before, after):
    return {key for key in before if before[key] != after[key]}


# --- who goes where -------------------------------------------------------------------------------


def test_by_client(started):
    stack = started(sticky="client")
    first = by_source(stack)
    assert set(first.values()) == set(NAMES)
    assert by_source(stack) == first


def test_by_cookie(started):
    stack = started(sticky="cookie")
    first = request(stack.http_port, "/api/version", HOST)
    cookie = first.header("Set-Cookie")
    value, attributes = cookie.split(";", 1)
    assert re.fullmatch(r"owui_replica=[0-9a-f]{8}", value)
    assert attributes == " Path=/; HttpOnly; SameSite=Lax"
    for source in sources(30):
        again = request(
            stack.http_port, "/api/version", HOST, headers=[("Cookie", value)], source=source
        )
        assert again.json() == first.json()
        assert again.header("Set-Cookie") is None
    # What names nobody leads to the same one at any time.
    others = [
        request(stack.http_port, "/api/version", HOST, headers=[("Cookie", f"owui_replica={text}")])
        for text in ("zzzz", "00000000", "zzzz")
    ]
    assert (
        len({(other.json()["deployment_id"], other.header("Set-Cookie")) for other in others}) == 1
    )
    assert others[0].header("Set-Cookie").startswith("owui_replica=")


def test_a_cookie_set_over_https_is_for_https(new_stack, servers):
    stack = new_stack()
    stack.write_tenants({"t": tenant(servers, sticky="cookie")})
    stack.issue(HOST)
    stack.start()

    def ask():
        return request(stack.https_port, "/", HOST, tls_name=HOST)

    wait_until(lambda: ask().status == 200, "an answer", 10)
    answer = ask()
    assert answer.header("Set-Cookie").endswith("; HttpOnly; SameSite=Lax; Secure")


def test_by_user(started):
    """With one token or another, from wherever, in the header or in the cookie of a browser."""
    stack = started(sticky="user")
    first = by_user(stack)
    assert set(first.values()) == set(NAMES)
    for number, (user, name) in enumerate(first.items()):
        source = sources(60)[number]
        _, token = bearer(user)[1].split(" ")
        cookies = ("Cookie", f"a=b; token={token}; c=d")
        assert name_of(stack, source, [bearer(user)]) == name
        assert name_of(stack, source, [cookies]) == name


@pytest.fixture(scope="module")
def pollers(folder):
    """Open WebUIs that are told to do without WebSockets: a session is many requests, and each server
    knows its own alone."""
    env = {"ENABLE_WEBSOCKET_SUPPORT": "false"}
    started = {name: Upstream(f"poller-{name}", folder, env=env).start() for name in NAMES}
    for server in started.values():
        server.wait()
    yield started
    for server in started.values():
        server.stop()


@pytest.mark.parametrize("sticky", ["user", "cookie", "client"])
def test_sessions_that_poll_stay_where_they_began(new_stack, pollers, sticky):
    stack = new_stack()
    stack.write_tenants({"t": tenant(pollers, check=False, sticky=sticky)})
    stack.start()

    async def poll(number):
        async with Browser(f"http://{HOST}:{stack.http_port}") as browser:
            await browser.sign_in(f"{number}@example.com")
            await browser.open_socket(transport="polling")
            told = [await browser.socket.call("whoami", timeout=10) for _ in range(4)]
            assert browser.disconnects == 0
            return {one["name"] for one in told}

    async def all_of_them():
        return await asyncio.gather(*[poll(number) for number in range(12)])

    served = asyncio.run(all_of_them())
    assert all(len(names) == 1 for names in served)
    if sticky == "user":
        assert len(set.union(*served)) > 1


def test_a_hostile_token_is_nobodys(started):
    stack = started(sticky="user", fallback="client")
    home = name_of(stack)
    for token in (
        "a.b.c",
        "..",
        "." * 3000,
        "x.eyJpZCI6.y",
        "x.eyJpZCI6WyJhIl19.y",
        "sk-" + "0" * 32,
    ):
        assert name_of(stack, headers=[("Authorization", f"Bearer {token}")]) == home
        assert name_of(stack, headers=[("Cookie", f"token={token}")]) == home


def test_the_agent_is_not_told_what_can_be_used(started):
    """Neither signature nor API key goes to the agent."""
    stack = started(sticky="user")
    spoe = (stack.haproxy_dir / "owui.spoe.cfg").read_text()
    assert "utk=req.cook(token),field(2,.) uau=req.fhdr(authorization),field(2,.)" in spoe
    assert "rep=req.cook(owui_replica)" in spoe


def test_a_token_is_told_once(new_stack, servers, tmp_path):
    """One that is told as a whole for somebody's identity is not told again for its user: of a long
    one, both would be more than a frame holds."""
    stack = new_stack()
    keys = tmp_path / "keys.json"
    key = Key("ES256", kid="k1")
    keys.write_text(key_set(key))
    about = {"from": "jwt", "issuer": ISSUER, "audience": AUDIENCE, "jwks": str(keys)}
    identity = {**about, "set": {"X-User-Email": "{email}"}}
    believing = {"upstream": servers["one"].url, "https": "off"}
    stack.write_tenants(
        {
            "t": tenant(servers, sticky="user", fallback="client"),
            "header": {**believing, "hosts": ["header.test"], "identity": identity},
            "cookie": {
                **believing,
                "hosts": ["cookie.test"],
                "identity": {**identity, "cookie": "token"},
            },
        }
    )
    stack.start()
    spoe = (stack.haproxy_dir / "owui.spoe.cfg").read_text()
    assert "jc_token=req.cook(token)" in spoe and "jh_authorization=" in spoe
    assert "field(2,.)" not in spoe
    for user in map(str, range(10)):
        name, value = bearer(user)
        token = value.removeprefix("Bearer ")
        home = name_of(stack, headers=[(name, value)])
        claims, signature = token.split(".")[1:]
        whole = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
        longer = base64.urlsafe_b64encode(whole[:-1] + b" " * 7500 + b"}").decode().rstrip("=")
        for other in (token, f"x.{longer}.{signature}"):
            assert name_of(stack, headers=[("Cookie", f"token={other}")]) == home
    token = key.token()
    for host, headers in (
        ("header.test", [("Authorization", f"Bearer {token}")]),
        ("cookie.test", [("Cookie", f"token={token}")]),
    ):
        seen = echo(stack.http_port, host, headers=headers)
        assert seen.header("X-User-Email") == "ann@example.com"


def test_haproxy_tells_only_what_some_tenant_needs(new_stack, servers, upstreams):
    stack = new_stack()
    stack.write_tenants({"t": tenant(servers, sticky="client")})
    stack.write_config()
    text = stack.write_haproxy_config().read_text()
    text += (stack.haproxy_dir / "owui.spoe.cfg").read_text()
    assert "cook(" not in text and "authorization" not in text
    assert "add-header Set-Cookie" not in text and "replace-header Set-Cookie" not in text


def test_a_first_tenant_that_needs_more_of_haproxy_is_told(new_stack, servers):
    stack = new_stack()
    stack.write_tenants({"t": tenant(servers, sticky="client")})
    stack.start()
    stack.write_tenants({"t": tenant(servers, sticky="user")})
    await_log(stack, "haproxy_config_differs")
    token = bearer("somebody")
    assert name_of(stack, headers=[token]) == name_of(stack)  # as one that is sticky by client


# --- health ---------------------------------------------------------------------------------------


def test_a_death_moves_its_own_users_only(started, servers):
    stack = started(sticky="client")
    before = by_source(stack)
    servers["two"].stop()
    await_log(stack, "server_down")
    told = tenants_command(stack)
    assert "upstream   3 replicas, 2 up\n" in told
    assert f"down       {servers['two'].url}\n" in told
    after = by_source(stack)
    assert moved(before, after) == {source for source in before if before[source] == "two"}
    assert {after[source] for source in moved(before, after)} == {"one", "three"}

    servers["two"].start().wait()
    await_log(stack, "server_up")
    assert by_source(stack) == before
    assert len(re.findall("server_down|server_up", log(stack))) == 2  # each change once


def test_one_that_is_not_ready_gets_nobody(started, servers):
    stack = started(sticky="client")
    before = by_source(stack)
    servers["one"].ready_file.write_text("503")
    await_log(stack, 'server_down.* reason="status 503"')
    assert "one" not in by_source(stack).values()
    servers["one"].ready_file.write_text("")
    await_log(stack, "server_up")
    assert by_source(stack) == before


@pytest.mark.parametrize("answer", ["404", "page", "big page"])
def test_an_older_one_is_asked_for_its_health(started, servers, answer):
    for server in servers.values():
        server.ready_file.write_text(answer)
    stack = started(sticky="client")

    def checks(name):
        address = servers[name]
        return request(address.port, "/api/checks", "x").json()

    before = {name: checks(name) for name in NAMES}

    def more(name, path):
        return checks(name)[path] - before[name][path]

    wait_until(lambda: all(more(name, "/health") >= 8 for name in NAMES), "checks", 15)
    assert all(more(name, "/ready") <= 2 for name in NAMES)  # not with every check
    assert set(by_source(stack).values()) == set(NAMES)
    assert "server_down" not in log(stack)


def test_without_a_fallback_a_page_is_no_health(started, servers):
    servers["one"].ready_file.write_text("page")
    stack = started(sticky="client", check={**CHECK, "fallback": None})
    await_log(stack, 'server_down.* reason="status 200 and a page"')
    assert "one" not in by_source(stack).values()


def test_when_none_is_up_they_are_tried_all_the_same(started, servers):
    stack = started(sticky="client")
    before = by_source(stack)
    for server in servers.values():
        server.ready_file.write_text("500")
    await_log(stack, "server_down", 3)
    assert by_source(stack) == before


def test_a_reload_keeps_what_is_known(started, servers):
    stack = started(sticky="client", check={**CHECK, "every": "1s"})
    servers["two"].stop()
    await_log(stack, "server_down")
    more = tenant(servers, sticky="client", check={**CHECK, "every": "1s"})
    more["headers"] = {"X-A": "b"}
    stack.write_tenants({"t": more})
    await_log(stack, "reload by=watch")
    assert "two" not in by_source(stack).values()


def test_https_replicas_are_verified(new_stack, upstreams):
    """The certificate is for secure.internal: who names another has no server that is up."""
    stack = new_stack()
    for name, expected in [("secure.internal", None), ("other.internal", "server_down")]:
        replicas = {"servers": [upstreams["secure"].url], "sticky": "client"}
        stack.write_tenants(
            {
                name: {
                    "hosts": [f"{name}.test"],
                    "replicas": replicas,
                    "upstream_tls": {"server_name": name},
                    "check": CHECK,
                    "https": "off",
                }
            },
            f"{name}.json",
        )
    stack.start()
    await_log(stack, "server_down.* tenant=other.internal")
    assert len(re.findall("server_down", log(stack))) == 1
    answer = request(stack.http_port, "/api/version", "secure.internal.test")
    assert answer.json()["deployment_id"] == "secure"


def test_replicas_by_name(new_stack, servers):
    stack = new_stack()
    named = tenant(servers, sticky="client")
    named["replicas"]["servers"] = [f"localhost:{servers[name].port}" for name in NAMES]
    del named["replicas"]["draining"]
    stack.write_tenants({"t": named})
    stack.start()
    assert set(by_source(stack).values()) == set(NAMES)
    servers["one"].stop()
    await_log(stack, "server_down")
    assert set(by_source(stack).values()) == {"two", "three"}


def test_a_lone_upstream_may_be_checked(new_stack, servers):
    stack = new_stack()
    alone = {"hosts": [HOST], "upstream": servers["one"].url, "check": CHECK, "https": "off"}
    stack.write_tenants({"t": alone})
    stack.start()
    servers["one"].ready_file.write_text("503")
    await_log(stack, "server_down.* tenant=t")
    assert name_of(stack) == "one"
    servers["one"].ready_file.write_text("")
    await_log(stack, "server_up.* down_s=")


def test_many_servers_are_checked_a_few_at_a_time(new_stack, servers):
    """60 servers that are not there, besides one that is: all are told, and nobody is starved."""
    stack = new_stack()
    dead = [f"127.0.30.{number // 250 + 1}:{free_port()}" for number in range(60)]
    for number in range(5):
        part = dead[number * 12 : number * 12 + 12] + [servers["one"].address]
        replicas = {"servers": part, "sticky": "client"}
        hosts = [f"t{number}.test"]
        entry = {"hosts": hosts, "replicas": replicas, "check": CHECK, "https": "off"}
        stack.write_tenants({f"t{number}": entry}, f"t{number}.json")
    stack.start()
    for number in range(5):
        for source in sources(20):
            wait_until(
                lambda: request(
                    stack.http_port, "/api/version", f"t{number}.test", source=source
                ).status
                == 200,
                "the one that is up",
                15,
            )


def count_down(stack):
    with contextlib.closing(http.client.HTTPConnection("localhost")) as connection:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(stack.config["admin_socket"])
        connection.request("GET", "/metrics")
        told = connection.getresponse().read().decode()
    return len(re.findall(r"^owui_spoa_upstream_up\{.*\} 0$", told, re.MULTILINE))


def test_silent_servers_of_others_do_not_hide_a_death(new_stack, servers):
    """Each takes seconds of one of the few checks that run at once."""
    stack = new_stack()
    with socket.create_server(("0.0.0.0", 0), backlog=4096) as silent:
        port = silent.getsockname()[1]
        urls = [f"http://127.0.31.{number}:{port}" for number in range(1, 201)]
        urls.append(servers["one"].url)
        entries = {
            f"t{number}": {
                "hosts": [f"t{number}.test"],
                "upstream": url,
                "check": CHECK,
                "https": "off",
            }
            for number, url in enumerate(urls)
        }
        stack.write_tenants(entries)
        stack.start()
        wait_until(lambda: count_down(stack) == 200, "the silent ones are known", 120)
        servers["one"].stop()
        wait_until(lambda: count_down(stack) == 201, "so is the death", 15)


# --- draining and coming back ---------------------------------------------------------------------


def test_one_that_drains_keeps_its_sessions(started, servers):
    stack = started(sticky="cookie")
    cookies = {}
    for source in sources(40):
        answer = request(stack.http_port, "/api/version", HOST, source=source)
        name = answer.json()["deployment_id"]
        cookies.setdefault(name, ("Cookie", answer.header("Set-Cookie").split(";")[0]))
    assert set(cookies) == set(NAMES)
    stack.write_tenants({"t": tenant(servers, sticky="cookie", draining=["two"])})
    wait_until(lambda: "two" not in by_source(stack).values(), "nobody new", 5)
    assert name_of(stack, headers=[cookies["two"]]) == "two"

    stack.write_tenants({"t": tenant(servers, sticky="cookie", names=("one", "three"))})
    wait_until(lambda: name_of(stack, headers=[cookies["two"]]) != "two", "told otherwise", 5)


def test_users_stay_where_it_drains_while_their_browser_says_so(started, servers):
    stack = started(sticky="user")
    before = by_user(stack)
    user = next(user for user in before if before[user] == "two")
    answer = request(stack.http_port, "/api/version", HOST, headers=[bearer(user)])
    cookie = ("Cookie", answer.header("Set-Cookie").split(";")[0])

    async def scenario():
        async with Browser(f"http://{HOST}:{stack.http_port}") as browser:
            browser.token = bearer(user)[1].split(" ")[1]
            await browser.open_socket({"Authorization": bearer(user)[1]})
            assert (await browser.socket.call("whoami"))["name"] == "two"
            stack.write_tenants({"t": tenant(servers, draining=["two"])})
            await asyncio.to_thread(
                wait_until, lambda: "two" not in by_user(stack).values(), "nobody new", 10
            )
            assert name_of(stack, headers=[bearer(user), cookie]) == "two"
            stack.write_tenants({"t": tenant(servers, names=("one", "three"))})
            await asyncio.to_thread(
                wait_until,
                lambda: name_of(stack, headers=[bearer(user), cookie]) != "two",
                "told otherwise",
                10,
            )
            assert (await browser.socket.call("whoami"))["name"] == "two"
            assert browser.disconnects == 0

    asyncio.run(scenario())
    after = by_user(stack)
    assert moved(before, after) == {user for user in before if before[user] == "two"}


def test_one_that_comes_back_starts_slowly(started, servers, record_property):
    stack = started(sticky="client", slow_start="3s")
    before = by_source(stack)
    own = sum(name == "two" for name in before.values())
    servers["two"].ready_file.write_text("503")
    await_log(stack, "server_down")
    servers["two"].ready_file.write_text("")
    await_log(stack, "server_up")
    start, seen = time.monotonic(), []
    while not seen or seen[-1][1] < own:
        returned = sum(name == "two" for name in by_source(stack).values())
        seen.append((round(time.monotonic() - start, 2), returned))
        assert time.monotonic() - start < 15
    assert seen[0][1] < own / 2, seen
    assert [count for _, count in seen] == sorted(count for _, count in seen)
    assert seen[-1][0] > 1.5
    assert by_source(stack) == before
    record_property("returned", json.dumps(seen))


# --- sockets --------------------------------------------------------------------------------------


async def open_browsers(url):
    browsers = [Browser(url) for _ in range(SOCKETS)]
    for number, browser in enumerate(browsers):
        await browser.__aenter__()
        browser.user = bearer(f"user-{number}")
        browser.token = browser.user[1].split(" ")[1]

    async def open_one(browser):
        await browser.open_socket({"Authorization": browser.user[1]})
        browser.place = (await browser.socket.call("whoami"))["name"]

    for at in range(0, SOCKETS, 20):
        await asyncio.gather(*map(open_one, browsers[at : at + 20]))
    return browsers


def test_a_death_under_200_sockets(started, servers, record_property):
    """Its users lose their sockets and find another server; the others keep theirs."""
    stack = started(sticky="user")
    url = f"http://{HOST}:{stack.http_port}"

    async def run():
        browsers = await open_browsers(url)
        places = collections.Counter(browser.place for browser in browsers)
        died = time.monotonic()
        servers["two"].stop()
        await asyncio.to_thread(await_log, stack, "server_down")
        noticed_s = time.monotonic() - died
        mine = [browser for browser in browsers if browser.place == "two"]
        others = [browser for browser in browsers if browser.place != "two"]
        for browser in others:
            assert (await browser.socket.call("whoami"))["name"] == browser.place
        requested = await asyncio.to_thread(
            lambda: [name_of(stack, headers=[browser.user]) for browser in browsers]
        )
        # At once: each of them takes a second to say that there is nothing to wait for any more.
        await asyncio.gather(*(browser.socket.wait() for browser in mine))

        async def find(browser):
            async with Browser(url) as second:
                second.token = browser.token
                await second.open_socket({"Authorization": browser.user[1]})
                return (await second.socket.call("whoami"))["name"]

        again = collections.Counter(await asyncio.gather(*map(find, mine)))
        result = {
            "before": dict(places),
            "noticed_s": round(noticed_s, 2),
            "cut": sum(browser.disconnects for browser in mine),
            "cut_elsewhere": sum(browser.disconnects for browser in others),
            "moved": sum(a != b.place for a, b in zip(requested, browsers)),
            "moved_elsewhere": sum(
                a != b.place for a, b in zip(requested, browsers) if b.place != "two"
            ),
            "found": dict(again),
        }
        for browser in browsers:
            await browser.__aexit__()
        return result

    result = asyncio.run(run())
    record_property("figures", json.dumps(result))
    print("a death under 200 sockets:", json.dumps(result))
    mine = result["before"]["two"]
    assert result["cut"] == result["moved"] == mine > 0
    assert result["cut_elsewhere"] == result["moved_elsewhere"] == 0
    assert sum(result["found"].values()) == mine and "two" not in result["found"]
    assert result["noticed_s"] < 5


def test_explain_tells_the_replica(started, servers):
    stack = started(sticky="user")
    place = name_of(stack, headers=[bearer("somebody")])
    done = run_agent_command(
        "explain", "-c", stack.config_path, f"http://{HOST}/", "-H", ": ".join(bearer("somebody"))
    )
    assert f"upstream   {servers[place].url}\n" in done.stdout
    assert re.search(r"replica    [123] of 3, by user  \(home\)\n", done.stdout)
    told = run_agent_command("explain", "-c", stack.config_path, f"http://{HOST}/", "--json")
    assert json.loads(told.stdout)["replica"]["because"] == "new"


def test_explain_tells_the_replica_that_has_a_name_too(new_stack):
    stack = new_stack()
    servers = ["http://127.0.0.1:9001", "http://localhost:9002"]
    replicas = {"servers": servers, "sticky": "client"}
    stack.write_tenants({"t": {"hosts": [HOST], "replicas": replicas, "https": "off"}})
    stack.write_config()

    def which(client):
        done = run_agent_command(
            "explain", "-c", stack.config_path, f"http://{HOST}/", "--from", client, "--json"
        )
        return json.loads(done.stdout)["replica"]["which"]

    assert len({which(f"198.51.100.{number}") for number in range(1, 9)}) == 2


def test_who_has_no_cookie_begins_by_address_and_time(started):
    """At one time at one server, at other times at others: an office is not all at one."""
    stack = started(sticky="cookie")

    def begins(second, *more):
        at = f"2026-12-01T08:{second // 60:02}:{second % 60:02}Z"
        done = run_agent_command(
            "explain", "-c", stack.config_path, f"http://{HOST}/", "--at", at, *more, "--json"
        )
        told = json.loads(done.stdout)["replica"]
        return told["which"], told["because"]

    together = {begins(second) for second in range(10)}
    assert len(together) == 1 and together.pop()[1] == "new"
    assert len({begins(second)[0] for second in range(0, 400, 10)}) == 3
    dead = {begins(second, "-H", "Cookie: owui_replica=00000000") for second in range(0, 100, 10)}
    assert len(dead) == 1 and dead.pop()[1] == "home"
