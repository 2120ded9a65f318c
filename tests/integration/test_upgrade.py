"""`owui-spoa upgrade`: another version of a tenant's Open WebUI, with what is under way in between.
Through real HAProxy and the real upstream, which is stopped and comes back as another version."""

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import socket
import socketserver
import subprocess
import threading

import pytest

from support.clients import Browser, request, request_bytes
from support.processes import sanitizer_report, wait_until
from support.stack import BINARY, SANITIZERS, Upstream, run_agent_command
from support.told import hold

HOST = "chat.upgrade.test"


class Installation:
    """A stack with one tenant, whose Open WebUI can become another version."""

    def __init__(self, stack, folder, name="127.0.0.1", start=True, copied=False):
        self.stack = stack
        self.folder = folder
        self.server = Upstream("upgraded", folder, env={"WEBUI_VERSION": "0.10.0"}).start().wait()
        self.next = Upstream("next", folder, port=self.server.port, env={"WEBUI_VERSION": "0.11.0"})
        url = f"http://{name}:{self.server.port}"
        stack.write_tenants({"chat": {"hosts": [HOST], "upstream": url, "https": "off"}})
        if copied:
            stack.copy_tenants(1)
        if start:
            stack.start()
        self.migrated = folder / "migrated"
        self.out = folder / "upgrade.json"

    def stop(self):
        self.server.stop()
        self.next.stop()

    def command(self, *more):
        return [BINARY, "upgrade", "chat", "-c", self.stack.agent_config_path(0), *more]

    def run(self, *more):
        return run_agent_command(*self.command(*more)[1:])

    @contextlib.contextmanager
    def running(self, *more, stdin=subprocess.DEVNULL, ignored=()):
        """The command under way: people's words go to one file, programs' to another."""

        def set_signals():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

        with open(self.folder / "upgrade.log", "wb") as log, open(self.out, "wb") as out:
            process = subprocess.Popen(
                [str(word) for word in self.command(*more)],
                stdin=stdin,
                stdout=out if "--json" in more else log,
                stderr=log,
                env={**os.environ, **SANITIZERS},
                preexec_fn=set_signals,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def printed(self):
        return (self.folder / "upgrade.log").read_text()

    def told(self):
        told = json.loads(self.out.read_text())
        hold("upgrade", told, named={"before", "after"})
        return told

    def await_printed(self, text):
        wait_until(lambda: text in self.printed(), text, 30)

    def maintenance(self, index, *more):
        """By an agent's own command; what it says of it."""
        config = self.stack.agent_config_path(index)
        done = run_agent_command("maintenance", "chat", "-c", config, *more)
        assert done.returncode == 0, done.stderr
        return " ".join(done.stderr.split())

    def statuses(self):
        """Of requests that HAProxy spreads over its agents."""
        return {self.answer().status for _ in range(30)}

    def answer(self, path="/api/version"):
        return request(self.stack.http_port, path, HOST)

    def migrate(self):
        self.server.stop()
        self.next.start().wait()

    def is_in_maintenance(self):
        return self.answer().status == 503

    def version(self):
        """The one in force, of a tenant with versions."""
        command = ("tenants", "chat", "-c", self.stack.agent_config_path(0), "--json")
        return json.loads(run_agent_command(*command).stdout).get("version")

    def url(self):
        return f"http://{HOST}:{self.stack.http_port}"


@pytest.fixture
def installed(new_stack, tmp_path):
    one = Installation(new_stack(), tmp_path)
    yield one
    one.stop()


def test_a_command_upgrades(installed):
    """The command runs while nobody is let in; afterwards the new version serves."""
    script = f"until test -e {installed.migrated}; do sleep 0.05; done"
    with installed.running("--json", "--", "sh", "-c", script) as process:
        installed.await_printed("running sh")
        assert installed.is_in_maintenance()
        installed.migrate()
        installed.migrated.touch()
        assert process.wait(60) == 0, installed.printed()
    told = installed.told()
    assert told["done"] and not told["in_maintenance"]
    assert told["before"][installed.server.url]["version"] == "0.10.0"
    assert told["after"][installed.server.url]["version"] == "0.11.0"
    assert installed.answer().json()["version"] == "0.11.0"


def test_what_is_under_way_ends_first(installed):
    """A stream of an API client is waited for; a tab's socket, on which nothing happens, is closed,
    and what the tab then asks for is refused as long as it lasts."""

    async def scenario():
        async with Browser(installed.url()) as browser:
            await browser.sign_in()
            await browser.open_socket()
            body = {"stream": True, "pause_s": 4}  # time to be noticed
            url = f"{installed.url()}/api/chat/completions"
            async with browser.http.post(url, json=body) as stream:
                assert stream.status == 200
                with installed.running("--yes") as process:
                    await asyncio.to_thread(installed.await_printed, "1 request, 1 WebSocket")
                    assert await asyncio.to_thread(installed.is_in_maintenance)
                    text = await stream.text()
                    assert text.endswith("data: [DONE]\n\n")
                    await asyncio.to_thread(installed.await_printed, "closed 1 WebSocket")
                    for _ in range(3000):
                        if browser.disconnects:
                            break
                        await asyncio.sleep(0.01)
                    assert browser.disconnects == 1
                    installed.migrate()
                    assert await asyncio.to_thread(process.wait, 60) == 0, installed.printed()

    asyncio.run(scenario())
    assert "is ready, version 0.11.0" in installed.printed()
    assert "chat serves again" in installed.printed()
    assert installed.answer().json()["version"] == "0.11.0"


def test_a_server_that_was_away_is_another_one(installed):
    """It may tell the same version: a new build, or new settings."""
    with installed.running("--wait", "0", "--yes") as process:
        installed.await_printed("waiting: the servers are what they were")
        installed.server.stop()
        installed.await_printed("waiting: not all servers are ready")
        installed.server.start().wait()
        assert process.wait(60) == 0, installed.printed()
    assert "now: " in installed.printed() and "version 0.10.0" in installed.printed()


def test_what_others_have_changed_by_now_is_gone_on_with(installed):
    """The same command would wait for another change."""
    with installed.running("--wait", "0", "--yes") as process:
        installed.await_printed("waiting: the servers are what they were")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 1
    told = "to go on, once the new version is in place: owui-spoa "
    assert told in installed.printed(), installed.printed()
    installed.migrate()
    command = installed.printed().split(told)[1].split("\n")[0].split()
    assert command[-2:] == ["--", "true"]
    done = run_agent_command(*command)
    assert done.returncode == 0 and not installed.is_in_maintenance(), done.stderr


@contextlib.contextmanager
def forgetful(installed, is_answered):
    """In front of the daemon, whose answers get lost unless `is_answered` is true of what was
    asked: the path of its socket."""

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            asked = self.read_request()
            with socket.socket(socket.AF_UNIX) as daemon:
                daemon.connect(installed.stack.config["admin_socket"])
                daemon.sendall(asked)
                answer = b"".join(iter(lambda: daemon.recv(65536), b""))
            if is_answered(asked):
                self.request.sendall(answer)

        def read_request(self):
            with self.request.makefile("rb") as file:
                head = b"".join(iter(file.readline, b"\r\n"))
                size = re.search(rb"content-length: *(\d+)", head, re.I)
                return head + b"\r\n" + file.read(int(size[1]) if size else 0)

    path = installed.folder / "forgetful.sock"
    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


def test_an_answer_that_does_not_come_is_not_taken_for_no(installed):
    """Maintenance may have begun: nobody is to be told that nothing was changed."""
    with forgetful(installed, lambda asked: asked.startswith(b"GET")) as path:
        done = installed.run("--socket", path, "--wait", "0", "--json", "--", "true")
    assert done.returncode == 1 and "nothing was changed" not in done.stderr, done.stderr
    told = f"owui-spoa tenants chat -c {installed.stack.agent_config_path(0)} --socket {path}"
    assert f"whether chat is in maintenance is not known: {told}" in " ".join(done.stderr.split())
    assert json.loads(done.stdout)["in_maintenance"] and installed.is_in_maintenance()


def test_done_it_is_though_nobody_answers_afterwards(installed):
    """As when the daemon is restarted just then: users are let in again, which was the last step."""
    asked_so_far = []

    def is_answered(asked):
        is_over = any(b"POST" in one and b"false" in one for one in asked_so_far)
        asked_so_far.append(asked)
        return not is_over

    with forgetful(installed, is_answered) as path:
        done = installed.run("--socket", path, "--wait", "0", "--json", "--", "true")
    assert asked_so_far[-1].startswith(b"GET") and not installed.is_in_maintenance()
    told = json.loads(done.stdout)
    assert (done.returncode, told["done"], told["in_maintenance"]) == (0, True, False), done.stderr
    assert "chat serves again" in done.stderr


def test_what_a_command_prints_is_kept_apart(installed):
    """With --json, what is printed is one document."""
    done = installed.run("--wait", "0", "--json", "--", "sh", "-c", "echo pulled")
    assert done.returncode == 0 and json.loads(done.stdout)["done"], done.stdout
    assert "\npulled\n" in done.stderr
    done = installed.run("--wait", "0", "--", "sh", "-c", "echo pulled")
    assert done.returncode == 0 and "\npulled\n" in done.stdout


def test_sockets_can_be_kept(installed):
    async def scenario():
        async with Browser(installed.url()) as browser:
            await browser.sign_in()
            await browser.open_socket()
            script = f"until test -e {installed.migrated}; do sleep 0.05; done"
            with installed.running("--wait", "1", "--keep-sockets", "--", "sh", "-c", script) as it:
                await asyncio.to_thread(installed.await_printed, "running sh")
                assert (await browser.socket.call("whoami"))["name"] == "upgraded"
                assert browser.disconnects == 0
                installed.migrated.touch()
                assert await asyncio.to_thread(it.wait, 60) == 0, installed.printed()

    asyncio.run(scenario())


def test_who_does_not_wait_closes_sockets_too(installed):
    """Else a tab would have its socket to the old version, or to none, for a minute."""

    async def scenario():
        async with Browser(installed.url()) as browser:
            await browser.sign_in()
            await browser.open_socket()
            with installed.running("--wait", "0", "--json", "--", "true") as process:
                assert await asyncio.to_thread(process.wait, 60) == 0, installed.printed()
            for _ in range(3000):
                if browser.disconnects:
                    break
                await asyncio.sleep(0.01)
            assert browser.disconnects == 1

    asyncio.run(scenario())
    told = installed.told()
    assert (told["sockets_closed"], told["sockets_left"], told["waited_s"]) == (1, 0, 0)
    assert told["left_known"]


def of_level(level, stack, folder):
    """What may do no more than that at HAProxy's Runtime API."""
    installed = Installation(stack, folder, start=False)
    stack.write_config()
    path = stack.write_haproxy_config()
    path.write_text(path.read_text().replace(" level admin ", f" level {level} "))
    stack.start_agent()
    stack.start_haproxy()
    return installed


def test_what_haproxy_does_not_close_is_told(new_stack, tmp_path):
    """To end a stream takes the level of an admin, to look at one does not."""
    installed = of_level("operator", new_stack(), tmp_path)

    async def scenario():
        async with Browser(installed.url()) as browser:
            await browser.sign_in()
            await browser.open_socket()
            done = await asyncio.to_thread(installed.run, "--wait", "0", "--json", "--", "true")
            assert done.returncode == 0, done.stderr
            assert "WebSockets stay open: " in done.stderr and "ermission denied" in done.stderr
            told = json.loads(done.stdout)
            assert (told["sockets_closed"], told["sockets_left"]) == (0, 1)
            assert browser.disconnects == 0

    try:
        asyncio.run(scenario())
    finally:
        installed.stop()


def test_who_may_not_look_does_not_take_it_for_nothing(new_stack, tmp_path):
    """What is said to whoever has not the level to look at streams names no stream."""
    installed = of_level("user", new_stack(), tmp_path)
    try:
        done = installed.run("--wait", "1", "--", "true")
        assert done.returncode == 1 and "nothing was changed" in done.stderr, done.stderr
        assert 'admin.sock, says "Permission denied"' in done.stderr
    finally:
        installed.stop()


def test_a_haproxy_that_answers_no_more_is_not_taken_for_idle(installed):
    """What it told last is what may be under way still; nobody is told that nothing is."""
    runtime = installed.stack.runtime_socket
    hidden = runtime.with_suffix(".hidden")

    async def scenario():
        async with Browser(installed.url()) as browser:
            await browser.sign_in()
            await browser.open_socket()
            body = {"stream": True, "pause_s": 600}
            url = f"{installed.url()}/api/chat/completions"
            async with browser.http.post(url, json=body):
                with installed.running("--wait", "5", "--json", "--", "true") as process:
                    await asyncio.to_thread(installed.await_printed, "1 request, 1 WebSocket")
                    runtime.rename(hidden)
                    assert await asyncio.to_thread(process.wait, 60) == 0, installed.printed()
            assert browser.disconnects == 0

    try:
        asyncio.run(scenario())
    finally:
        hidden.rename(runtime)
    printed = " ".join(installed.printed().split())
    assert "after 5 s, what is under way is not known; at last it was 1 request" in printed
    assert "WebSockets stay open: HAProxy has not answered on " in printed
    told = installed.told()
    assert not told["left_known"]
    assert (told["requests_left"], told["sockets_left"], told["sockets_closed"]) == (1, 1, 0)


def test_what_does_not_end_is_told_and_bounded(installed):
    """A request that never ends is waited for as long as was said."""
    with socket.create_connection(("127.0.0.1", installed.stack.http_port)) as sock:
        body = json.dumps({"stream": True, "pause_s": 600}).encode()
        head = [("Content-Type", "application/json")]
        sock.sendall(request_bytes("POST", "/api/chat/completions", HOST, head, body))
        assert b"200" in sock.recv(4096)
        with installed.running("--wait", "2", "--", "true") as process:
            assert process.wait(60) == 0, installed.printed()
    assert "after 2 s, 1 request and 0 busy WebSockets have not ended" in installed.printed()


def test_interrupted_it_tells_where_it_stands(installed):
    """And is gone on with, or undone, as it says."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with installed.running("--", "sh", "-c", "sleep 60") as process:
            installed.await_printed("running sh")
            process.send_signal(number)
            assert process.wait(30) == 1
        printed = installed.printed()
        assert "interrupted" in printed
        assert "chat is in maintenance" in printed
        config = installed.stack.agent_config_path(0)
        assert f"to go on: owui-spoa upgrade chat -c {config}\n" in printed
        assert f"owui-spoa maintenance chat --off -c {config}\n" in printed
        assert installed.is_in_maintenance()
        pid = int(printed.split("may go on, as process ")[1].split()[0])
        os.kill(pid, signal.SIGTERM)
    done = run_agent_command(
        "maintenance", "chat", "--off", "-c", installed.stack.agent_config_path(0)
    )
    assert done.returncode == 0
    assert installed.answer().status == 200


def test_what_is_to_be_ignored_does_not_end_it(installed):
    """As nohup has it: nobody is there to go on with it when the terminal is gone."""
    script = f"until test -e {installed.migrated}; do sleep 0.05; done"
    command = ("--wait", "0", "--", "sh", "-c", script)
    with installed.running(*command, ignored=[signal.SIGHUP]) as process:
        installed.await_printed("running sh")
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        installed.migrated.touch()
        assert process.wait(60) == 0, installed.printed()
    assert "chat serves again" in installed.printed()


def test_a_command_that_fails_leaves_it_in_maintenance(installed):
    done = installed.run("--wait", "0", "--json", "--", "sh", "-c", "exit 3")
    assert done.returncode == 1
    assert "sh has ended with 3" in done.stderr
    told = json.loads(done.stdout)
    assert "before.NAME.version" in hold("upgrade", told, named={"before", "after"})
    assert not told["done"] and told["in_maintenance"]
    assert installed.is_in_maintenance()
    done = installed.run("--wait", "0", "--", "true")
    assert done.returncode == 0, done.stderr
    assert "chat was in maintenance already" in done.stdout
    assert installed.answer().status == 200


def test_what_nobody_reads_is_done_all_the_same(installed):
    """Behind `| head`, for one, it would be left in maintenance, and nobody be told."""
    reader, writer = os.pipe()
    os.close(reader)
    command = installed.command("--wait", "0", "--", "sh", "-c", "kill -PIPE $$; exit 0")
    done = subprocess.run(
        list(map(str, command)),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        env={**os.environ, **SANITIZERS},
    )
    os.close(writer)
    # The command is ended by what ends programs behind a pipe: it has not inherited that.
    assert done.returncode == 1 and "ended by signal 13" in done.stderr, done.stderr
    assert installed.is_in_maintenance() and "to end it, once" in done.stderr


def test_servers_that_do_not_come_back(installed):
    script = f"kill -9 {installed.server.process.pid}"
    done = installed.run("--wait", "0", "--ready", "2", "--", "sh", "-c", script)
    assert done.returncode == 1
    assert "nobody listens there" in done.stdout
    assert "after 2 s: not all servers are ready" in done.stderr
    assert "owui-spoa upgrade chat" in done.stderr
    assert installed.is_in_maintenance()


def test_an_operator_presses_enter(installed):
    ours, theirs = pty.openpty()
    os.write(ours, b"\n")  # too early
    with installed.running("--wait", "0", stdin=theirs) as process:
        installed.await_printed("then press Enter")
        with pytest.raises(TimeoutError):
            wait_until(lambda: not installed.is_in_maintenance(), "the end", 2)
        installed.migrate()
        os.write(ours, b"\n")
        assert process.wait(60) == 0, installed.printed()
    os.close(ours)
    os.close(theirs)
    assert "before: " in installed.printed() and "version 0.10.0" in installed.printed()
    assert installed.answer().json()["version"] == "0.11.0"
    assert sanitizer_report(installed.printed()) is None


def test_of_two_at_once_the_second_is_refused(installed):
    """The first to be done would let people in while the other's database changes."""
    script = f"until test -e {installed.migrated}; do sleep 0.05; done"
    with installed.running("--wait", "0", "--", "sh", "-c", script) as process:
        installed.await_printed("running sh")
        done = installed.run("--wait", "0", "--", "true")
        in_maintenance = installed.is_in_maintenance()
        process.kill()
        process.wait(60)
        installed.migrated.touch()
        assert done.returncode == 1 and "another upgrade of chat" in done.stderr, done.stderr
        assert "nothing was changed" in done.stderr and in_maintenance
    # Whatever ended the first: the same command goes on.
    done = installed.run("--wait", "0", "--", "true")
    assert done.returncode == 0, done.stderr
    assert not installed.is_in_maintenance()


def test_another_version_is_switched_to_while_nobody_is_let_in(installed):
    other = Upstream("green", installed.folder, env={"WEBUI_VERSION": "0.12.0"}).start().wait()
    try:
        versions = {"blue": installed.server.url, "green": other.url}
        tenant = {"hosts": [HOST], "versions": versions, "active": "blue", "https": "off"}
        installed.stack.write_tenants({"chat": tenant})
        wait_until(lambda: installed.version() == "blue", "it has versions", 30)
        done = installed.run("--wait", "0", "--to", "green", "--", "false")
        assert done.returncode == 1 and "upgrade chat --to green" in done.stderr, done.stderr
        done = installed.run("--wait", "0", "--to", "green", "--yes")
        assert done.returncode == 0, done.stderr
        assert "waiting for the new version" not in done.stdout
        assert installed.answer().json()["version"] == "0.12.0"
    finally:
        other.stop()


def test_a_version_that_has_no_address_is_not_in_force(installed):
    """What serves until it has one is the version before, and ready."""
    versions = {"blue": installed.server.url, "green": "http://nobody.invalid:3000"}
    tenant = {"hosts": [HOST], "versions": versions, "active": "blue", "https": "off"}
    installed.stack.write_tenants({"chat": tenant})
    wait_until(lambda: installed.version() == "blue", "it has versions", 30)
    done = installed.run("--wait", "0", "--ready", "2", "--to", "green", "--", "true")
    assert done.returncode == 1 and "is not in force" in done.stderr, done.stdout
    assert "its version in force: blue" in done.stderr and installed.is_in_maintenance()


def test_servers_that_come_back_elsewhere(new_stack, names, tmp_path):
    """A container that is made anew may have another address."""
    names.records["chat.internal"] = ["127.0.0.1"]
    resolver = {"nameservers": [names.address], "interval": "1m"}
    installed = Installation(new_stack(changes={"resolver": resolver}), tmp_path, "chat.internal")
    installed.next = Upstream(
        "next",
        tmp_path,
        host="127.0.0.2",
        port=installed.server.port,
        env={"WEBUI_VERSION": "0.11.0"},
    )
    script = f"until test -e {installed.migrated}; do sleep 0.05; done"
    try:
        with installed.running("--wait", "0", "--", "sh", "-c", script) as process:
            installed.await_printed("running sh")
            installed.migrate()
            names.records["chat.internal"] = ["127.0.0.2"]
            installed.migrated.touch()
            assert process.wait(60) == 0, installed.printed()
        assert "is ready, version 0.11.0" in installed.printed()
    finally:
        installed.stop()


def test_what_cannot_be_upgraded_so(installed):
    config = installed.stack.agent_config_path(0)
    done = installed.run()
    assert done.returncode == 2
    assert "there is no terminal to ask on" in done.stderr
    done = run_agent_command("upgrade", "nobody", "--yes", "--json", "-c", config)
    assert done.returncode == 1 and done.stdout == ""
    assert 'there is no tenant "nobody"' in done.stderr
    assert "nothing was changed" in done.stderr
    # A slip of the fingers costs nobody an outage.
    done = installed.run("--", "dokcer", "compose", "up")
    assert done.returncode == 1 and 'no program "dokcer"' in done.stderr, done.stderr
    assert "nothing was changed" in done.stderr and not installed.is_in_maintenance()
    done = installed.run("--to", "gren", "--", "true")
    assert done.returncode == 1 and 'no version "gren"' in done.stderr, done.stderr
    assert "nothing was changed" in done.stderr and not installed.is_in_maintenance()
    installed.stack.config["haproxy"]["runtime"] = []
    installed.stack.write_config()
    done = installed.run("--", "true")
    assert done.returncode == 1 and '"runtime" names no HAProxy to ask' in done.stderr, done.stderr
    assert "nothing was changed" in done.stderr and not installed.is_in_maintenance()
    installed.stack.config["haproxy"]["runtime"] = [str(installed.stack.runtime_socket)]
    installed.stack.write_config()
    installed.stack.haproxy.stop()
    done = installed.run("--", "true")
    assert done.returncode == 1
    assert "--wait 0 goes on without looking" in done.stderr
    assert "nothing was changed" in done.stderr
    done = installed.run("--wait", "0", "--", "true")
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_who_is_suspended_is_not_said_to_serve(installed):
    config = installed.stack.agent_config_path(0)
    assert run_agent_command("suspend", "chat", "-c", config).returncode == 0
    done = installed.run("--wait", "0", "--", "true")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    said = " ".join(done.stdout.split())
    assert "503" not in said and "serves again" not in said, said
    assert "chat is in maintenance, and suspended, which is what its users are told" in said
    assert "no more, but suspended: owui-spoa suspend chat --off" in said
    assert installed.answer().status == 402


# --- several agents -----------------------------------------------------------------------------


@pytest.fixture
def copied(new_stack, tmp_path):
    """Two agents behind one HAProxy, of which each has files of its own."""
    one = Installation(new_stack(agents=2), tmp_path, copied=True)
    yield one
    one.stop()


def test_nothing_is_migrated_while_another_agent_lets_people_in(copied):
    """It knows nothing of a maintenance that is in the first one's files."""
    done = copied.run("--wait", "0", "--", "touch", copied.migrated)
    assert done.returncode == 1 and not copied.migrated.exists(), done.stdout
    said = " ".join(done.stderr.split())
    assert "requests were let in" in said and f"unix:{copied.stack.sockets[1]}" in said, said
    assert "chat is in maintenance, but not for all of HAProxy's agents" in said
    assert "its users get 503" not in said + done.stdout
    assert copied.statuses() == {200, 503}


def test_both_agents_of_which_each_has_its_files_are_told(copied):
    copied.maintenance(1)
    done = copied.run("--wait", "0", "--", "touch", copied.migrated)
    assert done.returncode == 0 and copied.migrated.exists(), done.stderr
    said = " ".join(done.stderr.split())
    assert "requests are turned away still" in said, said
    assert f"unix:{copied.stack.sockets[1]}" in said and "owui-spoa maintenance chat --off" in said
    assert copied.statuses() == {200, 503}
    copied.maintenance(1, "--off")
    assert copied.statuses() == {200}


def test_a_change_by_command_is_one_agents_own(copied):
    """Which is said where HAProxy has another, that has the same files perhaps."""
    hint = f"HAProxy asks unix:{copied.stack.sockets[1]} as well"
    assert hint in copied.maintenance(0)
    config = copied.stack.agent_config_path(0)
    for command in (("suspend", "chat"), ("tenants", "set", "chat", "nosniff=true")):
        done = run_agent_command(*command, "-c", config)
        assert done.returncode == 0 and hint in " ".join(done.stderr.split()), done.stderr
    done = run_agent_command("suspend", "chat", "--off", "--json", "-c", config)
    assert done.returncode == 0 and done.stderr == ""


def test_agents_that_share_their_files_upgrade_as_one(new_stack, tmp_path):
    one = Installation(new_stack(agents=2), tmp_path)
    try:
        script = f"until test -e {one.migrated}; do sleep 0.05; done"
        with one.running("--wait", "0", "--", "sh", "-c", script) as process:
            one.await_printed("running sh")
            assert one.statuses() == {503}
            one.migrate()
            one.migrated.touch()
            assert process.wait(60) == 0, one.printed()
        assert "turned away" not in one.printed() and "let in" not in one.printed()
        assert one.statuses() == {200}
    finally:
        one.stop()


def test_what_cannot_be_seen_from_here_is_said(new_stack, tmp_path):
    """Whoever is on this machine passes: so nobody can look as a user does."""
    one = Installation(new_stack(agents=2), tmp_path)
    try:
        one.maintenance(0, 'allow_ips=["127.0.0.1"]')
        done = one.run("--wait", "0", "--", "touch", one.migrated)
        assert done.returncode == 0 and one.migrated.exists(), done.stderr
        assert "answered with 200" in done.stderr, done.stderr
    finally:
        one.stop()
