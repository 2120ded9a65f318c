"""Memory that runs out: the daemon ends (core/memory.h), and what is served meanwhile and afterwards."""

import signal

import pytest

from support.clients import request
from support.processes import wait_until
from support.stack import BINARY, SANITIZERS

TENANTS = 20000
LIMIT = ":max_allocation_size_mb=1:allocator_may_return_null=1"


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
    many = {f"t{i}": {"hosts": [f"t{i}.test"], **tenant} for i in range(TENANTS)}
    stack.write_tenants(many, "many.json")
    wait_until(lambda: not stack.agents[0].is_running(), "the daemon has ended", 60)
    assert stack.agents[0].child.returncode == -signal.SIGABRT
    assert "out of memory" in stack.agents[0].log()
    stack.wait_for_agents(0)
    assert status() == 200
    with pytest.raises(RuntimeError, match="out of memory"):
        stack.start_agent()
    assert status() == 200
    (stack.tenants_dir / "many.json").unlink()
    stack.start_agent()
    stack.wait_for_agents(1)
    assert status() == 200
