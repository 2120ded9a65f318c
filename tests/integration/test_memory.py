"""Memory that runs out. What cannot fit is refused before it is read; beyond that, the daemon ends
(core/memory.h), and this is what is served meanwhile and afterwards."""

import re
import signal
import subprocess

import pytest

from support.clients import request
from support.processes import wait_until
from support.stack import BINARY, SANITIZERS, run_agent_command

TENANTS = 20000
LABELS = 200000
LIMIT = ":max_allocation_size_mb=2:allocator_may_return_null=1"

# A namespace of its own shows it a file instead of what the kernel tells of the machine.
MACHINE = ["unshare", "-Urm", "sh", "-c", 'mount --bind "$0" /proc/meminfo && exec "$@"']


def test_tenants_that_cannot_fit(new_stack, upstreams):
    """They are refused; what was there before is served, after a start, too; and when there is room,
    they are taken without anybody's doing."""
    stack = new_stack()
    meminfo = stack.directory / "meminfo"
    meminfo.write_text("MemAvailable:      10000 kB\n")
    stack.agent_wrapper = [*MACHINE, meminfo]
    if subprocess.run([*stack.agent_wrapper, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    tenant = {"upstream": upstreams["alpha"].url, "https": "off"}
    few = {"alpha": {"hosts": ["alpha.test"], **tenant}}
    stack.write_tenants(few)
    stack.start()

    def status(host):
        return request(stack.http_port, "/health", host).status

    many = {f"t{i}": {"hosts": [f"t{i}.test"], **tenant} for i in range(TENANTS)}
    stack.write_tenants({**few, **many})
    wait_until(lambda: "E119" in stack.agents[0].log(), "the file is refused", 60)
    stack.wait_for_agents(1)
    assert (status("alpha.test"), status("t7.test")) == (200, 404)
    told = run_agent_command("status", "-c", stack.config_path)
    assert told.returncode != 0
    said = " ".join(told.stdout.split())
    assert re.search(r"takes \d+ MB of memory at least, and 10 MB are left \(MemAvailable", said)
    stack.agents[0].stop()
    stack.start_agent()
    wait_until(lambda: "last_good_revived" in stack.agents[0].log(), "it is revived", 60)
    stack.wait_for_agents(1)
    assert "E119" in stack.agents[0].log()
    assert (status("alpha.test"), status("t7.test")) == (200, 404)
    meminfo.write_text("MemAvailable:    1000000 kB\n")
    wait_until(lambda: status("t7.test") == 200, "the file is read", 60)
    assert status("alpha.test") == 200
    assert stack.agents[0].log().count("E119") == 2  # by each of the two daemons


def test_labels_that_cannot_fit(new_stack, upstreams):
    """The list is refused, and the tenant goes by what it had; with room, it is taken."""
    stack = new_stack()
    meminfo = stack.directory / "meminfo"
    meminfo.write_text("MemAvailable:      8100 kB\n")
    stack.agent_wrapper = [*MACHINE, meminfo]
    if subprocess.run([*stack.agent_wrapper, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    labels = stack.tenants_dir / "labels.csv"
    url = upstreams["alpha"].url
    labels.write_text(f"one,{url}\n")
    fleet = {"hosts": ["*.fleet.test"], "upstream_map": "labels.csv", "https": "off"}
    stack.write_tenants({"fleet": fleet})
    stack.start()

    def status(label):
        return request(stack.http_port, "/health", f"{label}.fleet.test").status

    wait_until(lambda: status("one") == 200, "the list is read", 60)
    labels.write_text(f"one,{url}\n" + "".join(f"l{i},{url}\n" for i in range(LABELS)))
    wait_until(lambda: "E119" in stack.agents[0].log(), "the list is refused", 60)
    assert (status("one"), status("l7")) == (200, 404)
    meminfo.write_text("MemAvailable:    1000000 kB\n")
    wait_until(lambda: status("l7") == 200, "the list is read", 60)


def test_tenants_that_do_not_fit(new_stack, upstreams):
    """The daemon ends and says so; HAProxy goes by the map that it left. Started again, it ends again,
    until there is room or the file is gone; nothing that was there before is lost."""
    if b"__asan_init" not in BINARY.read_bytes():
        pytest.skip("needs a build with the address sanitizer, which can limit an allocation")
    stack = new_stack()
    stack.agent_env = {"ASAN_OPTIONS": SANITIZERS["ASAN_OPTIONS"] + LIMIT}
    stack.config["haproxy"]["fallback_map"] = str(stack.directory / "fallback.map")
    tenant = {"upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"alpha": {"hosts": ["alpha.test"], **tenant}})
    stack.start()

    def status():
        return request(stack.http_port, "/health", "alpha.test").status

    show = f"show map {stack.directory}/fallback.map"
    wait_until(lambda: "alpha.test" in stack.runtime(show), "HAProxy has the map")
    many = {f"t{i}": {"hosts": [f"t{i}.test"], **tenant} for i in range(2 * TENANTS)}
    stack.write_tenants(many, "many.json")
    wait_until(lambda: not stack.agents[0].is_running(), "the daemon has ended", 60)
    assert stack.agents[0].child.returncode == -signal.SIGABRT
    assert "out of memory" in stack.agents[0].log()
    stack.wait_for_agents(0)
    assert status() == 200
    stack.agents.clear()
    with pytest.raises(RuntimeError, match="out of memory"):
        stack.start_agent()
    stack.agents.clear()
    assert status() == 200
    (stack.tenants_dir / "many.json").unlink()
    stack.start_agent()
    stack.wait_for_agents(1)
    assert status() == 200
