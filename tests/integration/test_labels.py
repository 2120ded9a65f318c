"""A list of labels: wildcard tenants whose upstreams stand in a file of lines, which is followed
while HAProxy and the agent run. Through real HAProxy."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.clients import request
from support.names import Places
from support.processes import wait_until
from support.spop import Asker, argument
from support.stack import run_agent_command

HERE, THERE = "127.0.1.1", "127.0.1.2"


@pytest.fixture(scope="module")
def places():
    servers = Places([HERE, THERE])
    yield servers
    servers.stop()


class Fleet:
    """A stack with one tenant, and the file of its labels."""

    def __init__(self, stack, places):
        self.stack = stack
        self.places = places
        self.list = stack.directory / "tenants.d" / "fleet.csv"

    def line(self, label, place):
        return f"{label},http://{place}:{self.places.port}\n"

    def write(self, *lines):
        """As deployments do: whole, and then in its place."""
        fresh = self.list.with_name(".fleet.csv.new")
        fresh.write_text("".join(lines))
        os.replace(fresh, self.list)

    def append(self, *lines):
        with self.list.open("a") as file:
            file.write("".join(lines))

    def start(self, **more):
        self.tenant = {
            "hosts": ["*.fleet.test"],
            "upstream_map": "fleet.csv",
            "headers": {"X-Label": "{label}"},
            "https": "off",
            **more,
        }
        self.stack.write_tenants({"fleet": self.tenant})
        self.stack.start()
        return self

    def ask(self, label, path="/"):
        answer = request(self.stack.http_port, path, f"{label}.fleet.test")
        return answer.body.decode() if answer.status == 200 else answer.header("X-Refused")

    def await_place(self, label, place):
        wait_until(lambda: self.ask(label) == place, f"{label} at {place}", 30)

    def told(self):
        command = ("tenants", "fleet", "-c", self.stack.agent_config_path(0), "--json")
        return json.loads(run_agent_command(*command).stdout)


@pytest.fixture
def fleet(new_stack, names, places):
    stack = new_stack(
        changes={
            "resolver": {"nameservers": [names.address], "interval": "1m"},
            "upstream_allow": ["127.0.1.0/24"],
        }
    )
    (stack.directory / "tenants.d").mkdir(exist_ok=True)
    return Fleet(stack, places)


def test_labels_go_to_where_their_lines_say(fleet, names):
    names.records["books.internal"] = [THERE]
    fleet.write(
        "label,upstream\n",
        "# ours\n",
        fleet.line("acme", HERE),
        fleet.line("globex", THERE),
        fleet.line("books", "books.internal"),
    )
    fleet.start()
    assert fleet.ask("acme") == HERE
    assert fleet.ask("ACME") == HERE
    assert fleet.ask("globex") == THERE
    assert fleet.ask("books") == THERE
    assert fleet.ask("acme") == HERE
    assert fleet.ask("nobody") == "unknown-label"
    assert fleet.ask("a.acme") == "unknown-host"


def test_a_line_counts_as_soon_as_it_is_written(fleet):
    fleet.write(fleet.line("acme", HERE))
    fleet.start()
    haproxys = fleet.stack.haproxy_workers()
    assert fleet.ask("globex") == "unknown-label"
    fleet.append(fleet.line("globex", THERE))
    fleet.await_place("globex", THERE)
    fleet.write(fleet.line("acme", THERE), fleet.line("globex", THERE))
    fleet.await_place("acme", THERE)
    fleet.write(fleet.line("globex", THERE))
    fleet.await_place("acme", "unknown-label")
    assert fleet.ask("globex") == THERE
    assert fleet.stack.haproxy_workers() == haproxys


def test_a_file_in_another_folder(fleet, tmp_path):
    folder = tmp_path / "signup"
    folder.mkdir()
    fleet.list = folder / "labels"
    fleet.write(fleet.line("acme", HERE))
    fleet.start(upstream_map=str(fleet.list))
    assert fleet.ask("acme") == HERE
    fleet.append(fleet.line("globex", THERE))
    fleet.await_place("globex", THERE)
    # The folder is another one: what is at the path counts.
    folder.rename(tmp_path / "old")
    folder.mkdir()
    fleet.write(fleet.line("acme", THERE))
    fleet.await_place("acme", THERE)
    fleet.write(fleet.line("acme", HERE))
    fleet.await_place("acme", HERE)


def test_a_list_of_the_global_file(fleet):
    fleet.list = fleet.stack.directory / "fleet.csv"
    fleet.write(fleet.line("acme", HERE))
    fleet.stack.config["tenants"] = {
        "inline": {"hosts": ["*.fleet.test"], "upstream_map": "fleet.csv", "https": "off"}
    }
    fleet.stack.write_config()
    fleet.stack.write_tenants({})
    fleet.stack.start()
    assert fleet.ask("acme") == HERE
    fleet.append(fleet.line("globex", THERE))
    fleet.await_place("globex", THERE)


def test_a_wrong_line_touches_no_other(fleet):
    fleet.write(fleet.line("acme", HERE), fleet.line("globex", THERE))
    fleet.start()
    assert fleet.ask("acme") == HERE
    wrong = "acme,http://10.9.9.9:80\n"  # outside upstream_allow
    fleet.write(wrong, fleet.line("globex", HERE), "new,what\n", fleet.line("more", THERE))
    fleet.await_place("globex", HERE)
    assert fleet.ask("more") == THERE
    assert fleet.ask("acme") == HERE  # as it last was right
    started = time.monotonic()
    assert fleet.ask("new") == "upstream-unresolved"
    log = fleet.stack.agents[0].log()
    assert "fleet.csv:1:6" in log and "fleet.csv:3:5" in log, log
    told = fleet.told()
    assert told["labels"] == {"file": str(fleet.list), "count": 4, "wrong": 1}
    assert told["upstream"] == "4 labels, 1 of them wrong"
    fleet.write(fleet.line("new", THERE))
    fleet.await_place("new", THERE)
    assert time.monotonic() - started < 25  # nobody waits for what was refused to be forgotten


def test_a_list_that_is_gone_stays_in_force(fleet):
    fleet.write(fleet.line("acme", HERE))
    fleet.start()
    assert fleet.ask("acme") == HERE
    fleet.list.unlink()
    wait_until(lambda: fleet.told()["state"] == "kept", "the tenant is kept", 30)
    assert fleet.ask("acme") == HERE
    assert fleet.ask("nobody") == "unknown-label"
    fleet.write(fleet.line("acme", THERE))
    fleet.await_place("acme", THERE)
    assert fleet.told()["state"] == "live"


def test_a_list_that_comes_after_the_start(fleet):
    fleet.write("# none yet\n")
    fleet.start()
    fleet.stack.agents[0].stop()
    fleet.list.unlink()
    fleet.stack.start_agent()
    fleet.stack.wait_for_agents(1)
    assert fleet.ask("acme") == "unknown-host"
    fleet.write(fleet.line("acme", THERE))
    fleet.await_place("acme", THERE)


def test_unknown_labels_are_sent_to_the_sign_up(fleet):
    fleet.write(fleet.line("acme", HERE))
    fleet.start(
        label="[a-z]+",
        unknown_label={"action": "redirect", "to": "https://example.test/signup?name={1}&via={1}"},
    )
    answer = request(fleet.stack.http_port, "/c/1?x=y", "nobody.fleet.test")
    assert answer.status == 302
    assert answer.header("Location") == "https://example.test/signup?name=nobody&via=nobody"
    longest = "a" * 63
    answer = request(fleet.stack.http_port, "/", f"{longest}.fleet.test")
    expected = f"https://example.test/signup?name={longest}&via={longest}"
    assert answer.header("Location") == expected
    # What no person looks at, and labels that nobody may have.
    for path in ("/api/config", "/ws/socket.io/", "/static/x.png"):
        answer = request(fleet.stack.http_port, path, "nobody.fleet.test")
        assert (answer.status, answer.header("X-Refused")) == (404, "unknown-label")
    assert request(fleet.stack.http_port, "/", "t1.fleet.test").status == 404
    assert fleet.ask("acme") == HERE


def test_a_status_for_unknown_labels(fleet):
    fleet.write(fleet.line("acme", HERE))
    fleet.start(unknown_label={"status": 421})
    answer = request(fleet.stack.http_port, "/", "nobody.fleet.test")
    assert (answer.status, answer.header("X-Refused")) == (421, "unknown-label")


def test_explain_and_check_tell_the_line(fleet):
    fleet.write(fleet.line("acme", HERE))
    fleet.start()
    fleet.write("# ours\n", fleet.line("acme", HERE), "globex,what\n")
    path = fleet.stack.agent_config_path(0)

    def explain(label):
        done = run_agent_command("explain", "-c", path, f"http://{label}.fleet.test/")
        return " ".join(done.stdout.split())

    assert f"label acme ({fleet.list}:2)" in explain("acme")
    assert f"{HERE}:{fleet.places.port}" in explain("acme")
    assert f"label globex ({fleet.list}:3, which is wrong)" in explain("globex")
    assert f"label nobody (not in {fleet.list})" in explain("nobody")
    assert "deny-unknown-label" in explain("nobody")
    done = run_agent_command("check", "-c", path)
    assert done.returncode == 1
    assert f"{fleet.list}:3:8: error[E207]" in done.stdout + done.stderr


def test_diff_and_replay_ask_about_lines(fleet, tmp_path):
    fleet.stack.config["trace"] = {"file": str(fleet.stack.directory / "trace")}
    fleet.write(fleet.line("acme", HERE), fleet.line("gone", HERE), fleet.line("same", HERE))
    fleet.start()
    assert [fleet.ask(label) for label in ("same", "acme", "gone")] == [HERE] * 3
    fresh = tmp_path / "tenants.d"
    fresh.mkdir()
    (fresh / "tenants.json").write_text(json.dumps({"tenants": {"fleet": fleet.tenant}}))
    lines = [fleet.line(label, place) for label, place in (("acme", THERE), ("same", HERE))]
    (fresh / "fleet.csv").write_text("".join([*lines, fleet.line("new", THERE)]))
    path = fleet.stack.agent_config_path(0)
    done = run_agent_command("diff", "-c", path, fresh, "--json")
    told = json.loads(done.stdout)
    about = {one["url"]: one["difference"] for one in told["differences"]}
    pages = {url.split("//")[1] for url in about if url.endswith("test/")}
    assert pages == {f"{label}.fleet.test/" for label in ("acme", "gone", "new")}, about
    moved = about["http://acme.fleet.test/"]["upstream"]
    assert HERE in moved["before"] and THERE in moved["after"]
    assert about["http://gone.fleet.test/"]["reason"]["after"] == "unknown-label"
    assert about["http://new.fleet.test/"]["reason"]["before"] == "unknown-label"

    config = json.loads(path.read_text())
    config["tenants_dir"] = str(fresh)
    other = fleet.stack.directory / "other.json"
    other.write_text(json.dumps(config))
    done = run_agent_command("replay", "-c", other, fleet.stack.directory / "trace", "--json")
    told = json.loads(done.stdout)
    urls = {one["url"] for one in told["differences"]}
    assert urls == {"http://acme.fleet.test/", "http://gone.fleet.test/"}, told


def test_many_labels_at_once(fleet):
    places = (HERE, THERE)
    fleet.write(*(fleet.line(f"t{number}", places[number % 2]) for number in range(20000)))
    fleet.start()
    asked = range(0, 20000, 199)
    expected = [places[number % 2] for number in asked]

    # A label that is asked for the first time waits for the main thread, and not for ever.
    def answers():
        with ThreadPoolExecutor(30) as pool:
            return list(pool.map(lambda number: fleet.ask(f"t{number}"), asked))

    wait_until(lambda: answers() == expected, "every label at its place", 60)
    fleet.append(fleet.line("late", HERE))
    fleet.await_place("late", HERE)
    assert answers() == expected


def test_limits_of_routes_hold_while_the_list_changes(fleet):
    """A label that has been asked for stays as it is when another line comes; the tenant does not."""
    fleet.write(fleet.line("acme", HERE))
    fleet.start(routes=[{"match": {"path": "/api/"}, "limits": {"requests_per_10s": 1000}}])
    assert fleet.ask("acme", "/api/config") == HERE
    fleet.append(fleet.line("globex", THERE))
    fleet.await_place("globex", THERE)
    assert fleet.ask("acme", "/api/config") == HERE
    assert fleet.ask("globex", "/api/config") == THERE
    assert fleet.ask("acme") == HERE


def test_what_is_too_long_for_small_frames_is_refused(fleet):
    """`max-frame-size` of HAProxy's spoe-agent: it ends a connection that brings a larger frame. The
    first answer waits for the label's upstream."""
    fleet.write(fleet.line("one", HERE))
    fleet.start(headers={"X-Long": "x" * 190})
    asker = Asker(fleet.stack.sockets[0], 256)
    for _ in range(2):
        assert asker.ask("one.fleet.test")["reason"] == "answer-too-big"
    assert asker.ask("fleet.test")["reason"] == "unknown-host"
    asker.close()
    asker = Asker(fleet.stack.sockets[0])
    assert asker.ask("one.fleet.test")["dst"] == HERE
    asker.close()


def flood(asker, domain):
    """Requests for labels that nobody has; those that are answered at once have been."""
    for part in range(20):
        for number in range(50):
            asker.send(f"x{part}-{number}.{domain}")
        asker.send("nobody.test")
        while asker.receive()[0] != asker.stream:
            pass


def test_made_up_labels_of_one_tenant_hold_up_no_other(fleet, names):
    """Neither those of a list nor those that a name server has to be asked for."""
    stack = fleet.stack
    fleet.write(*(fleet.line(f"l{number}", HERE) for number in range(20)))
    names.records.update({f"l{number}.internal": [THERE] for number in range(20)})
    names.silent_for = "dead"
    made_up = [f"made-up-{number}.test" for number in range(3)]
    upstreams = {domain: {"upstream": "http://dead-{1}.internal"} for domain in made_up}
    upstreams["listed.test"] = {"upstream_map": "fleet.csv"}
    upstreams["named.test"] = {"upstream": "http://{1}.internal"}
    stack.write_tenants(
        {
            domain.removesuffix(".test"): {"hosts": [f"*.{domain}"], "https": "off", **upstream}
            for domain, upstream in upstreams.items()
        }
    )
    stack.start()
    attacker, asker = Asker(stack.sockets[0]), Asker(stack.sockets[0])
    answers = []
    for number in range(20):
        if number % 7 == 0:
            flood(attacker, made_up[number // 7])
        answers += [asker.ask(f"l{number}.{of}.test").get("dst") for of in ("listed", "named")]
    # One may have to wait for the machine.
    assert sum(answer in (HERE, THERE) for answer in answers) >= 38, answers
    attacker.close()
    asker.close()


def test_who_is_too_long_to_wait_for_an_upstream_asks_for_those_behind(fleet):
    """All of a tenant's requests bring such a token, when one does."""
    fleet.write(fleet.line("one", HERE))
    fleet.start()
    asker = Asker(fleet.stack.sockets[0])
    long = argument("jwt", "x" * 5000)
    assert asker.ask("one.fleet.test", more=[long])["reason"] == "upstream-unresolved"
    wait_until(lambda: asker.ask("one.fleet.test", more=[long]).get("dst") == HERE, "it is there")
    asker.close()
