"""A loop does not interrupt who runs, unless that keeps questions waiting (src/net/patience.h)."""

import os
import pathlib
import subprocess
import sys

import pytest

from support.clients import request
from support.processes import wait_until

HOST = "chat.alpha.test"


def batch_is_allowed():
    script = "import os; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))"
    return (
        pathlib.Path("/proc/self/schedstat").exists()
        and not subprocess.run(
            [sys.executable, "-c", script], check=False, stderr=subprocess.DEVNULL
        ).returncode
    )


def loops_of(agent):
    for task in pathlib.Path(f"/proc/{agent.pid}/task").iterdir():
        if (task / "comm").read_text().startswith("loop-"):
            yield int(task.name)


def policies_of(agent):
    return {os.sched_getscheduler(loop) for loop in loops_of(agent)}


@pytest.fixture
def calculator():
    """make(): a process that sleeps never, on the processor that is told."""
    processes = []

    def make(cpu):
        process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        processes.append(process)
        os.sched_setaffinity(process.pid, {cpu})

    yield make
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.skipif(not batch_is_allowed(), reason="the kernel does not allow it, or does not tell")
def test_loops_are_patient_but_not_with_who_never_sleeps(new_stack, upstreams, calculator):
    stack = new_stack()
    stack.write_tenants({"alpha": {"hosts": [HOST], "upstream": upstreams["alpha"].url}})
    stack.write_config()
    stack.write_haproxy_config()
    agent = stack.start_agent()
    # Nobody has asked anything yet, so that nothing can have waited.
    wait_until(lambda: policies_of(agent) == {os.SCHED_BATCH}, "loops that wait their turn")
    loops = list(loops_of(agent))

    cpu = min(os.sched_getaffinity(0))
    for loop in loops:
        os.sched_setaffinity(loop, {cpu})
    for _ in range(4):
        calculator(cpu)
    stack.start_haproxy()

    def is_impatient():
        request(stack.http_port, "/api/config", HOST)
        return os.SCHED_OTHER in policies_of(agent)

    wait_until(is_impatient, "a loop that no longer waits its turn", 60)
    wait_until(lambda: "loop_waited" in agent.log(), "that it is told")
