"""What the tests themselves stand on: that what went wrong is not lost on the way to who reads it."""

import importlib
import importlib.machinery
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import conftest
from support import background, wire
from support.background import Background
from support.clients import read_answer
from support.names import NameServer
from support.processes import Process, wait_until
from support.stack import REPOSITORY, Stack


def program(name):
    """A script without a suffix, as a module."""
    path = REPOSITORY / "tests" / name
    loader = importlib.machinery.SourceFileLoader(name.replace("/", "_"), str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


# --- tests/run ----------------------------------------------------------------------------------

# What runs here is its own: the stages' programs are stood in for, but for pytest.
CTEST_NOT_RUN = """#!/bin/sh
case " $* " in *" -N "*) echo "Total Tests: 2"; exit ;; esac
while [ $# -gt 0 ]; do [ "$1" != --output-junit ] || report=$2; shift; done
cat >"$report" <<END
<testsuite><testcase name="one" classname="one" status="run"/>
<testcase name="two" classname="two" status="notrun"/></testsuite>
END
exit 8
"""
PASSES = "def test_it():\n    pass\n"
# Once only: what is there tells that it was here before.
FAILS_ONCE = """import pathlib

def test_it():
    here = pathlib.Path({mark!r})
    seen = here.exists()
    here.touch()
    assert seen, {why!r}
"""


@pytest.fixture
def tree(tmp_path):
    """The folders that tests/run looks at, with one test."""
    for name in ("tests/run", "tests/tally.py", "packaging/steps.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    support = tmp_path / "tests/integration/support"
    support.mkdir(parents=True)
    for name in ("__init__.py", "processes.py"):
        shutil.copy(REPOSITORY / "tests/integration/support" / name, support)
    programs = {"packaging/deps/install": "#!/bin/sh\n", "programs/cmake": "#!/bin/sh\n"}
    for name, text in (programs | {"programs/ctest": CTEST_NOT_RUN}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(stat.S_IRWXU)
    (tmp_path / "tests/integration/test_one.py").write_text(PASSES)
    return tmp_path


def run_stages(tree, *arguments):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    path = f"{tree / 'programs'}:{os.environ['PATH']}"
    command = [tree / "tests/run", *arguments]
    env = {**kept, "PATH": path, "PYTHONPATH": ""}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_a_stage_that_passes(tree):
    done = run_stages(tree, "integration")
    assert done.returncode == 0 and done.stdout.endswith("\n1 passed, 0 failed\n"), done.stdout


@pytest.mark.parametrize("again", [[], ["--again"]])
def test_a_stage_that_found_nothing_to_run_has_failed(tree, again):
    done = run_stages(tree, *again, "demo", "integration", "--", "-k", "typo")
    assert done.returncode == 1, done.stdout
    (tree / "haproxy").mkdir()
    (tree / "haproxy/demo").write_text("#!/bin/sh\n")
    (tree / "haproxy/demo").chmod(stat.S_IRWXU)
    done = run_stages(tree, *again, "demo", "integration", "--", "-k", "typo")
    assert done.returncode == 1 and done.stdout.endswith("\n1 passed, 1 failed\n"), done.stdout


@pytest.mark.parametrize("again", [[], ["--again"]])
def test_a_program_that_could_not_be_run_has_failed(tree, again):
    done = run_stages(tree, *again, "unit")
    assert done.returncode == 1 and done.stdout.endswith("\n1 passed, 1 failed\n"), done.stdout


@pytest.mark.parametrize(
    "why, is_unsteady",
    [
        ("a slow moment", True),
        ("==1==ERROR: AddressSanitizer: heap-use-after-free", False),
        ("WARNING: ThreadSanitizer: data race", False),
        ("==1==ERROR: ThreadSanitizer: SEGV on unknown address", False),
        ("x.c:1:2: runtime error: signed integer overflow", False),
        ("owui-spoa: x.c:1: x_new: Assertion `y' failed.", False),
    ],
)
def test_what_is_a_defect_fails_the_run_though_it_comes_once(tree, why, is_unsteady):
    text = FAILS_ONCE.format(mark=str(tree / "seen"), why=why)
    (tree / "tests/integration/test_one.py").write_text(text)
    done = run_stages(tree, "--again", "integration")
    assert ("unsteady:" in done.stdout) == is_unsteady, done.stdout
    assert (done.returncode == 0) == is_unsteady, done.stdout


# --- load ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 10\r\n\r\nfive!", b"Transfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\n"],
)
def test_an_answer_that_is_cut_is_none(head):
    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"HTTP/1.1 200 OK\r\n" + head)
        far.shutdown(socket.SHUT_WR)
        assert read_answer(near) is None


def test_what_a_thread_raises_is_raised():
    def run():
        raise ValueError("of the thread")

    with pytest.raises(ValueError, match="of the thread"):
        with Background([run]):
            pass


def test_a_thread_that_does_not_end_is_told_of(monkeypatch):
    monkeypatch.setattr(background, "ENDS_WITHIN_S", 0.1)
    kept = threading.Event()
    with pytest.raises(AssertionError, match="does not end"):
        with Background([kept.wait]):
            pass
    kept.set()


# --- programs -----------------------------------------------------------------------------------


def test_an_agent_that_does_not_end_is_no_success(tmp_path):
    stack = Stack(tmp_path / "stack", {})
    deaf = ["sh", "-c", "trap '' TERM; echo deaf; exec sleep 60"]
    agent = Process("agent1", deaf, tmp_path).start()
    agent.patience_s = 0.5
    agent.wait_for(lambda: "deaf" in agent.log(), "it hears nothing")
    stack.agents = [agent]
    with pytest.raises(AssertionError, match="did not end"):
        stack.stop()
    with pytest.raises(AssertionError, match="did not end"):
        stack.start_agent()


def test_an_agent_that_ended_by_itself_is_not_replaced(tmp_path):
    stack = Stack(tmp_path / "stack", {})
    agent = Process("agent1", ["sh", "-c", "kill -ABRT $$"], tmp_path).start()
    wait_until(lambda: not agent.is_running(), "it ended")
    stack.agents = [agent]
    with pytest.raises(AssertionError, match="agent1: -6"):
        stack.start_agent()


def test_all_stacks_are_stopped_though_one_fails(tmp_path):
    stopped = []

    class One:
        def __init__(self, name):
            self.name = name

        def stop(self):
            stopped.append(self.name)
            assert self.name != "bad"

    makers = conftest._stacks(tmp_path, lambda path, name: One(name))
    make = next(makers)
    for name in ("good", "bad", "another"):
        make(name)
    with pytest.raises(AssertionError):
        next(makers)
    assert sorted(stopped) == ["another", "bad", "good"]


def test_what_a_measurement_starts_ends_with_it(tmp_path):
    """Whatever ends it, and however."""
    with socket.create_server(("127.0.0.1", 0)) as there:
        begin = f"""
import os, pathlib, sys
sys.path[:0] = [{str(REPOSITORY / "tests/bench")!r}, {str(REPOSITORY / "tests/integration")!r}]
from through_haproxy import Program
where = ("127.0.0.1", {there.getsockname()[1]})
cpu = min(os.sched_getaffinity(0))
started = Program(pathlib.Path({str(tmp_path)!r}), "one", ["sleep", 60], [cpu], where)
print(started.process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
        done = subprocess.run([sys.executable, "-c", begin], capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr
    status = Path(f"/proc/{int(done.stdout)}/status")

    def has_ended():
        try:
            return "\nState:\tZ" in status.read_text()
        except OSError:
            return True

    wait_until(has_ended, "it has ended", 10)


def test_a_wire_that_cannot_be_laid_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(wire, "_enter", lambda namespace: None)

    class NoIp(wire.Wire):
        def _machine(self, address):
            raise subprocess.CalledProcessError(1, ["ip"])

    laid = NoIp()
    with pytest.raises(subprocess.CalledProcessError):
        laid.__enter__()
    with pytest.raises(OSError):
        os.fstat(laid.home)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_name_server_that_is_stopped_answers_nobody(monkeypatch):
    begun = []

    class Noted(threading.Timer):
        def run(self):
            begun.append(self)
            super().run()

    monkeypatch.setattr(threading, "Timer", Noted)
    server = NameServer()
    server.delay_s = 0.5
    host, port = server.address.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        query = b"\0\1\1\0\0\1\0\0\0\0\0\0\4chat\4test\0\0\1\0\1"
        asking.sendto(query, (host, int(port)))
        wait_until(lambda: begun, "an answer is under way")
        server.stop()
        begun[0].join(10)
    assert not server.thread.is_alive()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind((host, int(port)))


# --- checks and fuzzing -------------------------------------------------------------------------


def test_a_clang_tidy_that_is_killed_is_a_complaint(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "tests/static")
    tidy = importlib.import_module("tidy")
    (tmp_path / "clang-tidy").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "clang-tidy").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(tidy, "GOOD", tmp_path)
    monkeypatch.setattr(tidy, "digest", lambda unit: "digest")
    assert tidy.tidy(tmp_path, {"file": "x.c"}) == ("x.c", "clang-tidy ended with -9")
    assert not (tmp_path / "digest").exists()


def test_a_mad_haproxy_begins_with_all_vectors(tmp_path):
    vectors = [path.stem for path in (REPOSITORY / "tests/vectors/spop").glob("*.hex")]
    program("fuzz/agent").write_seeds(tmp_path)
    assert len(vectors) > 40 and set(vectors) <= {path.name for path in tmp_path.iterdir()}
    whole = (tmp_path / "frame_abort").read_bytes()[1:]
    size = int.from_bytes(whole[:4], "big")
    assert size == 0x7B and whole[4 + size :] == bytes.fromhex("0000000703000000030101")
    assert b"\x12supported-versions\x08\x032.0\x0e" in whole


def test_minimising_goes_by_the_seeds_of_now(tmp_path, monkeypatch):
    """What another target was minimised to a moment ago, where its corpus is among them."""
    fuzz = program("fuzz/run")
    for name in ("BUILD", "CORPUS", "FOUND"):
        monkeypatch.setattr(fuzz, name, tmp_path / name)
        (tmp_path / name).mkdir()
    other = tmp_path / "CORPUS/other"
    other.mkdir()
    (other / "found-before").touch()
    replay = tmp_path / "replay"
    replay.write_text('#!/bin/sh\nmkdir -p "$2"\ncp "$3"/* "$2"\n')
    libfuzzer = tmp_path / "BUILD/tests/fuzz_one"
    libfuzzer.parent.mkdir()
    libfuzzer.write_text("#!/bin/sh\necho ' cov: 1 ' >&2\n")
    for path in (replay, libfuzzer):
        path.chmod(stat.S_IRWXU)
    target = fuzz.Target({"name": "fuzz.one", "command": [str(replay), str(other)]})
    (other / "found-before").rename(other / "found-now")
    fuzz.minimise(target, [])
    assert [path.name for path in target.seeds.iterdir()] == ["found-now"]
