"""Changes of the configuration under a running agent, asked over SPOP without HAProxy between: every
way in which files are written, and what is told about it."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.processes import Process, wait_until
from support.spop import Asker
from support.stack import BINARY, SANITIZERS, Inheriting, run_agent_command
from test_admin import Admin

HOST = "chat.test"
MANY = 10000


@pytest.fixture
def agent(new_stack):
    """An agent without HAProxy; what it serves is in agent.tenants_dir."""

    def make(filed, **changes):
        stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"], **changes})
        stack.write_tenants(filed)
        stack.write_config()
        stack.start_agent()
        stack.asker = Asker(stack.sockets[0])
        return stack

    return make


def tenant(number, host=HOST):
    """One that is told by its address: 10.0.0.NUMBER."""
    return {"hosts": [host], "upstream": f"http://10.0.0.{number}:3000", "https": "off"}


def text_of(tenants):
    return json.dumps({"tenants": tenants})


def place(agent, host=HOST):
    """The last number of the address, or the reason of the refusal."""
    variables = agent.asker.ask(host)
    assert "dst" in variables or "answer" in variables
    return int(variables["dst"].split(".")[3]) if "dst" in variables else variables["reason"]


def await_place(agent, number, host=HOST, timeout_s=5):
    """How long it took, in milliseconds."""
    started = time.monotonic()
    wait_until(lambda: place(agent, host) == number, f"{host} at {number}", timeout_s)
    return (time.monotonic() - started) * 1000


def log(agent):
    return agent.agents[0].log()


def await_log(agent, text):
    wait_until(lambda: text in log(agent), f"in the log: {text}")


@contextlib.contextmanager
def never(agent, bad, host=HOST):
    """Nobody who asks in the meantime gets `bad`."""
    asker = Asker(agent.sockets[0])
    seen, ended = set(), threading.Event()

    def ask():
        while not ended.is_set():
            variables = asker.ask(host)
            seen.add(variables.get("reason", variables.get("dst")))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join(10)
    asker.close()
    assert seen and bad not in seen, seen


# --- how files are written ------------------------------------------------------------------------


def test_a_file_is_renamed_over_another(agent):
    stack = agent({"a": tenant(1)})
    with never(stack, "unknown-host"):
        for number in (2, 3, 4):
            stack.write_tenants({"a": tenant(number)})
            await_place(stack, number)


@pytest.mark.parametrize("name", ["a.json", "z.json"])
def test_a_file_gets_another_name(agent, name):
    """Its tenants are not taken for those of two files, and nobody misses them."""
    stack = agent({"a": tenant(1)})
    stack.write_tenants({"a": tenant(2)})
    await_place(stack, 2)
    before = log(stack).count(" reload ")
    with never(stack, "unknown-host"):
        (stack.tenants_dir / "tenants.json").rename(stack.tenants_dir / name)
        wait_until(lambda: log(stack).count(" reload ") > before, "the new name is read")
    (stack.tenants_dir / name).unlink()
    await_place(stack, "unknown-host")
    assert "E202" not in log(stack)


def test_a_file_is_written_in_place_and_slowly(agent):
    """What is there before the writer has closed the file is no reason to forget a tenant."""
    stack = agent({"a": tenant(1)})
    with never(stack, "unknown-host"), open(stack.tenants_dir / "tenants.json", "w") as file:
        for character in text_of({"a": tenant(2)}):
            file.write(character)
            file.flush()
            time.sleep(0.001)
        assert place(stack) == 1
        file.close()
        await_place(stack, 2)


def test_an_editor_moves_the_old_file_away_first(agent):
    stack = agent({"a": tenant(1)})
    path = stack.tenants_dir / "tenants.json"
    with never(stack, "unknown-host"):
        path.rename(stack.tenants_dir / "tenants.json~")
        with open(path, "w") as file:
            file.write(text_of({"a": tenant(2)})[:20])
            file.flush()
            time.sleep(0.02)
            file.write(text_of({"a": tenant(2)})[20:])
        await_place(stack, 2)
    (stack.tenants_dir / "tenants.json~").unlink()


def test_a_file_is_deleted_and_written_anew(agent):
    stack = agent({"a": tenant(1)})
    with never(stack, "unknown-host"):
        (stack.tenants_dir / "tenants.json").unlink()
        time.sleep(0.02)
        stack.write_tenants({"a": tenant(2)})
        await_place(stack, 2)


def test_a_file_is_linked_to_its_place(agent):
    stack = agent({})
    for number, link in ((1, os.symlink), (2, os.link)):
        target = stack.directory / f"target{number}.json"
        target.write_text(text_of({"new": tenant(number)}))
        link(target, stack.tenants_dir / "new.json")
        await_place(stack, number)
        (stack.tenants_dir / "new.json").unlink()
        await_place(stack, "unknown-host")


def test_files_that_are_not_ours_are_not_read(agent):
    stack = agent({"a": tenant(1)})
    for name in (".hidden.json", "a.json.swp", "a.json~", "README", "#a.json#"):
        (stack.tenants_dir / name).write_text(text_of({"b": tenant(2, "b.test")}))
    stack.write_tenants({"c": tenant(3, "c.test")}, "last.json")
    await_place(stack, 3, "c.test")
    assert place(stack, "b.test") == "unknown-host"


def test_the_folder_itself_is_replaced(agent):
    stack = agent({"a": tenant(1)})
    fresh = stack.directory / "fresh"
    fresh.mkdir()
    (fresh / "tenants.json").write_text(text_of({"a": tenant(2)}))
    with never(stack, "unknown-host"):
        stack.tenants_dir.rename(stack.directory / "old")
        time.sleep(0.1)  # time for the agent to see that there is no folder
        assert place(stack) == 1
        fresh.rename(stack.tenants_dir)
        await_place(stack, 2)
    stack.write_tenants({"a": tenant(3)})
    await_place(stack, 3)


def test_the_folder_is_a_link_that_is_swapped(agent, new_stack):
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"]})
    stack.tenants_dir.rmdir()
    for number in (1, 2):
        folder = stack.directory / f"release{number}"
        folder.mkdir()
        (folder / "tenants.json").write_text(text_of({"a": tenant(number)}))
    stack.tenants_dir.symlink_to("release1")
    stack.write_config()
    stack.start_agent()
    stack.asker = Asker(stack.sockets[0])
    assert place(stack) == 1
    (stack.directory / "next").symlink_to("release2")
    (stack.directory / "next").rename(stack.tenants_dir)
    await_place(stack, 2)
    (stack.directory / "release2" / "tenants.json").write_text(text_of({"a": tenant(3)}))
    await_place(stack, 3)


def test_a_deleted_folder_takes_nobody_with_it(agent):
    stack = agent({"a": tenant(1)})
    shutil.rmtree(stack.tenants_dir)
    stack.agents[0].send_signal(signal.SIGHUP)
    await_log(stack, "reload by=signal")
    assert place(stack) == 1
    stack.tenants_dir.mkdir()
    stack.write_tenants({"a": tenant(2)})
    await_place(stack, 2)


def test_the_default_folder_may_come_later(new_stack):
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"]})
    stack.tenants_dir.rmdir()
    del stack.config["tenants_dir"]
    stack.write_config()
    stack.start_agent()
    stack.asker = Asker(stack.sockets[0])
    assert place(stack) == "unknown-host"
    stack.tenants_dir.mkdir()
    stack.write_tenants({"a": tenant(1)})
    await_place(stack, 1)


def test_more_events_than_the_kernel_keeps(agent):
    """What was missed is found by looking."""
    files = int(pathlib.Path("/proc/sys/fs/inotify/max_queued_events").read_text()) // 2 + 500
    if files > 50000:
        pytest.skip("this kernel keeps too many events to be outrun")
    stack = agent({"a": tenant(1)})
    stack.agents[0].send_signal(signal.SIGSTOP)
    try:
        for number in range(files):  # each comes and is closed: two events
            path = stack.tenants_dir / f"{number}.json"
            path.write_text(text_of({f"t{number}": tenant(8, f"t{number}.test")}))
    finally:
        stack.agents[0].send_signal(signal.SIGCONT)
    await_place(stack, 8, f"t{files - 1}.test", 120)
    # What the kernel says last may be read after all files were.
    wait_until(lambda: "changes_missed" in log(stack), "told that events were missed", 120)
    assert {place(stack, f"t{number}.test") for number in range(0, files, 99)} == {8}
    for number in range(files):
        (stack.tenants_dir / f"{number}.json").unlink()
    await_place(stack, "unknown-host", f"t{files - 1}.test", 120)
    assert place(stack) == 1


@pytest.mark.parametrize("limited", ["watches", "instances"])
def test_folders_that_cannot_be_watched_are_looked_at(new_stack, limited):
    """What the kernel has may be used up by others: a user namespace has a limit of its own."""
    limit = f"echo %d >/proc/sys/user/max_inotify_{limited}"
    if subprocess.run(["unshare", "-Ur", "sh", "-c", limit % 0], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"]})
    stack.write_tenants({"a": tenant(1)})
    stack.write_config()
    stack.agent_wrapper = ["unshare", "-Ur", "sh", "-c", f'{limit % 0}; exec "$@"', "sh"]
    stack.start_agent()
    stack.asker = Asker(stack.sockets[0])
    assert place(stack) == 1
    assert "cannot_watch" in log(stack)
    stack.write_tenants({"a": tenant(2)})
    await_place(stack, 2, timeout_s=10)
    stack.config["unknown_host"] = {"action": "deny", "status": 421}
    stack.write_config()
    wait_until(lambda: stack.asker.ask("nobody.test")["status"] == 421, "the new status")

    def notices():
        return [one["kind"] for one in Admin(stack).json("status")[1]["notices"]]

    assert notices() == ["cannot_watch"]
    told = log(stack).count("cannot_watch")
    (stack.tenants_dir / "wrong.json").write_text("{")
    await_log(stack, "E102")
    namespace = ["nsenter", "--preserve-credentials", "-U", "-t", str(stack.agents[0].pid)]
    subprocess.run([*namespace, "sh", "-c", limit % 128], check=True)
    wait_until(lambda: notices() == [], "they are watched", 20)
    assert "watching" in log(stack) and log(stack).count("cannot_watch") == told
    assert log(stack).count("E102") == 1
    stack.write_tenants({"a": tenant(3)})
    await_place(stack, 3, timeout_s=2)


def test_one_tenant_of_ten_thousand_in_one_file(agent, record_property):
    many = {f"t{number}": tenant(1, f"t{number}.test") for number in range(MANY)}
    started = time.monotonic()
    stack = agent(many)
    whole_ms = (time.monotonic() - started) * 1000
    took_ms = []
    for number in range(2, 9):
        many["t77"] = tenant(number, "t77.test")
        beside = stack.tenants_dir / ".new"
        beside.write_text(json.dumps({"tenants": many}, indent=1))
        beside.rename(stack.tenants_dir / "tenants.json")
        started = time.monotonic()
        wait_until(lambda: place(stack, "t77.test") == number, "the change", 30)
        took_ms.append((time.monotonic() - started) * 1000)
    middle = sorted(took_ms)[len(took_ms) // 2]
    record_property("live_after_ms", round(middle, 1))
    print(f"one of {MANY} tenants in one file: live after {middle:.0f} ms")
    # The goal of 100 ms is for a release build on a machine of its own; here, reading one of them
    # anew is less than reading all of them.
    assert middle < whole_ms, (whole_ms, took_ms)
    wait_until(lambda: log(stack).count("changed=1 ") == 7, "seven reloads of one tenant")


# --- whose a tenant is ----------------------------------------------------------------------------


def test_a_name_belongs_to_the_file_that_had_it_first(agent):
    stack = agent({"a": tenant(1)})
    stack.write_tenants({"a": tenant(2), "b": tenant(3, "b.test")}, "second.json")
    await_place(stack, 3, "b.test")
    assert place(stack) == 1
    await_log(stack, "E202")
    (stack.tenants_dir / "tenants.json").unlink()
    await_place(stack, 2)


def test_a_tenant_moves_to_another_file(agent):
    stack = agent({"a": tenant(1), "b": tenant(2, "b.test")})
    stack.write_tenants({"b": tenant(2, "b.test")})
    stack.write_tenants({"a": tenant(1)}, "other.json")
    await_place(stack, 1)
    assert place(stack, "b.test") == 2


def test_a_host_goes_to_the_next_who_claims_it(agent):
    stack = agent({"a": tenant(1)})
    stack.write_tenants({"b": tenant(2)}, "b.json")
    await_log(stack, "E204")
    assert place(stack) == 1
    stack.write_tenants({})
    await_place(stack, 2)


def test_what_is_wrong_stays_as_it_was_and_is_told(agent):
    stack = agent({"a": tenant(1), "b": tenant(2, "b.test")})
    stack.write_tenants({"a": {"hosts": [HOST], "upstrem": "x"}, "b": tenant(3, "b.test")})
    await_place(stack, 3, "b.test")
    assert place(stack) == 1
    await_log(stack, 'unknown key \\"upstrem\\"')
    await_log(stack, "changed=1 kept=1 refused=0")
    stack.write_tenants({"new": {"hosts": ["n.test"]}}, "new.json")
    await_log(stack, "kept=1 refused=1")
    assert place(stack, "n.test") == "unknown-host"
    stack.write_tenants({"a": tenant(4), "b": tenant(3, "b.test")})
    await_place(stack, 4)


# --- the global file ------------------------------------------------------------------------------


def test_a_broken_global_file_changes_nothing(agent):
    stack = agent({"a": tenant(1)}, unknown_host={"action": "deny", "status": 403})
    stack.config_path.write_text('{"unknown_host": {"status": 421}, "lopps": 2}')
    await_log(stack, "configuration_broken")
    assert 'did you mean \\"loops\\"?' in log(stack)
    assert stack.asker.ask("nobody.test")["status"] == 403
    stack.write_tenants({"a": tenant(2)})
    await_place(stack, 2)  # tenants are still followed
    stack.config["unknown_host"] = {"action": "deny", "status": 421}
    stack.write_config()
    wait_until(lambda: stack.asker.ask("nobody.test")["status"] == 421, "the new status")


def test_what_tenants_inherit_reaches_them(agent):
    stack = agent({"a": tenant(1)})
    assert "h_x_site" not in stack.asker.ask(HOST)
    stack.config["defaults"] = {"headers": {"X-Site": "one"}}
    stack.write_config()
    wait_until(lambda: stack.asker.ask(HOST).get("h_x_site") == "one", "the header")


def test_what_needs_a_restart_is_told(agent):
    stack = agent({"a": tenant(1)})
    stack.config["listen"] = [*stack.config["listen"], f"unix:{stack.directory}/more.sock"]
    stack.config["loops"] = 3
    stack.write_config()
    for key in ("listen", "loops"):
        await_log(stack, f"restart_needed key={key}")
    assert place(stack) == 1


def test_inline_tenants_change_with_the_global_file(agent):
    stack = agent({"a": tenant(1)}, tenants={"b": tenant(2, "b.test")})
    assert place(stack, "b.test") == 2
    stack.config["tenants"] = {"b": tenant(3, "b.test")}
    stack.write_config()
    await_place(stack, 3, "b.test")
    assert place(stack) == 1


def test_an_inline_tenant_gets_the_name_that_a_file_gives_up(agent):
    stack = agent({"a": tenant(1)})
    stack.config["tenants"] = {"a": tenant(2)}
    stack.write_config()
    await_log(stack, "E202")
    assert place(stack) == 1
    (stack.tenants_dir / "tenants.json").unlink()
    await_place(stack, 2)


# --- the process ----------------------------------------------------------------------------------


@pytest.fixture(params=["path", "abstract"])
def manager(request):
    """What systemd is to a service: a socket that messages come to."""
    with tempfile.TemporaryDirectory(prefix="owui.") as folder:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
            inbox.bind(("\0" if request.param == "abstract" else "") + f"{folder}/notify")
            inbox.settimeout(30)
            yield inbox


def test_the_service_manager_is_told(agent, manager, monkeypatch):
    name = manager.getsockname()
    monkeypatch.setenv("NOTIFY_SOCKET", name if isinstance(name, str) else f"@{name[1:].decode()}")
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    stack = agent({"a": tenant(1)})
    ready = manager.recv(4096).decode()
    assert "READY=1" in ready and "1 tenant" in ready
    assert "listening" in log(stack)

    def until(word):
        wait_until(lambda: word in manager.recv(4096).decode(), word)

    until("WATCHDOG=1")
    until("WATCHDOG=1")
    stack.agents[0].send_signal(signal.SIGHUP)
    until("RELOADING=1")
    until("READY=1")
    stack.asker.close()
    assert stack.agents[0].stop() == 0
    until("STOPPING=1")


@pytest.mark.parametrize("by", ["name", "path"])
def test_a_socket_of_the_service_manager_is_taken_over(new_stack, by):
    """And outlives the agent: who connects while there is none waits for the next."""
    stack = new_stack(changes={"upstream_allow": ["10.0.0.0/8"]})
    if by == "name":
        stack.config["listen"] = ["systemd:owui-spoa"]
    stack.write_tenants({"a": tenant(1)})
    stack.write_config()
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(str(stack.sockets[0]))
        listener.listen(16)
        for _ in range(2):
            waiting = pool.submit(Asker, stack.sockets[0])
            stack.agents.append(Inheriting(stack, listener).start())
            stack.asker = waiting.result()
            assert place(stack) == 1
            stack.asker.close()
            assert stack.agents[-1].stop() == 0
        assert stack.sockets[0].exists()


def test_recent_decisions_are_dumped_when_asked_for(agent):
    stack = agent({"a": tenant(1)}, trace=10)
    for number in range(25):
        stack.asker.ask(HOST, f"/{number}")
    stack.asker.ask("nobody.test", "/last")
    stack.agents[0].send_signal(signal.SIGUSR1)
    await_log(stack, "path=/last")
    lines = [line for line in log(stack).splitlines() if " trace " in line]
    assert len(lines) == 10
    assert [line.split("path=")[1].split()[0] for line in lines[:2]] == ["/16", "/17"]
    assert "outcome=deny-unknown-host status=404 reason=unknown-host" in lines[-1]
    assert "notifies=26" in log(stack)


def test_a_second_agent_does_not_take_the_socket(agent):
    stack = agent({"a": tenant(1)})
    done = run_agent_command("run", "-c", stack.config_path)
    assert done.returncode == 2
    assert "cannot_listen" in done.stderr
    assert place(stack) == 1


def test_asking_goes_on_until_the_agent_has_answered_all(agent):
    """SIGTERM: what has arrived is answered, then comes a DISCONNECT and the end."""
    stack = agent({"a": tenant(1)})
    assert place(stack) == 1
    assert stack.agents[0].stop() == 0
    assert stack.asker._receive()[0] == 102  # AGENT-DISCONNECT
    with pytest.raises(ConnectionError):
        stack.asker._receive()
    assert not stack.sockets[0].exists()


def test_what_changes_while_the_agent_ends_is_for_the_next(agent):
    """A deployment that writes the file and restarts the service: to read it may take long."""
    stack = agent({"a": tenant(1)})
    daemon = stack.agents[0]
    daemon.send_signal(signal.SIGSTOP)
    pathlib.Path(stack.agent_config_path(0)).write_text("{")
    daemon.send_signal(signal.SIGTERM)
    daemon.send_signal(signal.SIGCONT)
    assert daemon.child.wait(30) == 0
    assert " drain " in daemon.log() and "configuration_broken" not in daemon.log()


def catches(process, number):
    """Whether the process has a handler for the signal."""
    for line in pathlib.Path(f"/proc/{process.child.pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return int(line.split()[1], 16) >> (number - 1) & 1 == 1
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_told_what_it_leaves_to_the_service(new_stack):
    """Who tries something by hand would find out when the service does not start any more."""
    stack = new_stack()
    state = pathlib.Path(stack.config["acme"]["state_dir"])
    state.mkdir(exist_ok=True)
    os.chown(state, 65534, 65534)
    stack.write_config()
    stack.start_agent()
    assert f"runs_as_root folder={state}" in stack.agents[0].log()


def test_a_daemon_that_is_told_to_end_while_it_starts_does(new_stack):
    """To read many tenants takes a while, and what is told meanwhile is heard in the first turn."""
    stack = new_stack(changes={"trace": 0})
    upstream = "http://127.0.0.1:3000"
    stack.write_tenants(
        {f"t{n}": {"hosts": [f"t{n}.test"], "upstream": upstream} for n in range(2000)}
    )
    stack.write_config()
    command = [BINARY, "run", "-c", stack.agent_config_path(0)]
    agent = Process("agent1", command, stack.directory, SANITIZERS).start()
    stack.agents.append(agent)
    agent.wait_for(lambda: catches(agent, signal.SIGTERM), "a handler for SIGTERM")
    agent.send_signal(signal.SIGTERM)
    assert agent.child.wait(60) == 0
