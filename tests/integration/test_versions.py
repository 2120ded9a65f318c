"""Blue and green: one word of a tenant's file switches the whole tenant, and what is open stays."""

import asyncio
import json

import pytest

from support.clients import Browser, request
from support.processes import wait_until
from support.stack import run_agent_command

HOST = "chat.versions.test"


def tenant(upstreams, active, **more):
    versions = {"blue": upstreams["gamma"].url, "green": upstreams["beta"].url}
    return {"hosts": [HOST], "versions": versions, "active": active, "https": "off", **more}


@pytest.fixture
def switchable(new_stack, upstreams):
    stack = new_stack()
    stack.write_tenants({"t": tenant(upstreams, "blue")})
    return stack.start()


def name_of(stack):
    answer = request(stack.http_port, "/api/version", HOST)
    return answer.json()["deployment_id"] if answer.status == 200 else answer.status


def await_name(stack, name):
    wait_until(lambda: name_of(stack) == name, f"answered by {name}", 5)


def test_a_switch_and_the_way_back(switchable, upstreams):
    stack = switchable
    assert name_of(stack) == "gamma"
    for active, name in [("green", "beta"), ("blue", "gamma"), ("green", "beta")]:
        stack.write_tenants({"t": tenant(upstreams, active)})
        await_name(stack, name)
        assert {name_of(stack) for _ in range(20)} == {name}


def test_an_open_socket_stays_on_the_old_version(switchable, upstreams):
    stack = switchable

    url = f"http://{HOST}:{stack.http_port}"

    async def scenario():
        async with Browser(url) as browser, Browser(url) as later:
            await browser.sign_in()
            await browser.open_socket()
            stack.write_tenants({"t": tenant(upstreams, "green")})
            await asyncio.to_thread(await_name, stack, "beta")
            for _ in range(3):
                assert (await browser.socket.call("whoami"))["name"] == "gamma"
            await later.sign_in()
            await later.open_socket()
            assert (await later.socket.call("whoami"))["name"] == "beta"
            assert browser.disconnects == 0

    asyncio.run(scenario())


def test_what_cannot_be_switched_is_told(switchable):
    stack = switchable
    stack.write_tenants({"bad": {"hosts": ["bad.test"], "upstrem": "x"}}, "bad.json")
    config = ("--close-sockets", "-c", stack.agent_config_path(0))
    wait_until(
        lambda: run_agent_command("tenants", "bad", *config[1:]).returncode == 1
        and "broken" in run_agent_command("tenants", "bad", *config[1:]).stdout,
        "read",
    )
    done = run_agent_command("switch", "bad", "green", *config)
    assert done.returncode == 1 and 'tenant "bad": ' in done.stderr
    done = run_agent_command("switch", "nobody", "green", *config)
    assert done.returncode == 1 and 'no tenant "nobody"' in done.stderr


def test_sockets_of_the_version_before_can_be_closed(switchable, upstreams):
    """Their tabs come back by themselves, to the version that is active then."""
    stack = switchable

    async def scenario():
        url = f"http://{HOST}:{stack.http_port}"
        async with Browser(url) as browser, Browser(url) as later:
            await browser.sign_in()
            await browser.open_socket()
            command = ("switch", "t", "green", "--close-sockets", "-c", stack.agent_config_path(0))
            done = await asyncio.to_thread(run_agent_command, *command)
            assert done.returncode == 0, done.stderr
            assert "version before: 1, closed" in done.stderr
            for _ in range(3000):
                if browser.disconnects:
                    break
                await asyncio.sleep(0.01)
            assert browser.disconnects == 1
            await later.sign_in()
            await later.open_socket()
            assert (await later.socket.call("whoami"))["name"] == "beta"
            # Where nothing is switched, nothing is closed, which is told.
            done = await asyncio.to_thread(run_agent_command, *command)
            assert done.returncode == 0, done.stderr
            assert "no WebSockets were closed: t's servers are the ones" in done.stderr
            assert (await later.socket.call("whoami"))["name"] == "beta"

    asyncio.run(scenario())


def test_a_version_that_does_not_exist_is_not_switched_to(switchable, upstreams):
    stack = switchable
    stack.write_tenants({"t": tenant(upstreams, "red")})
    wait_until(lambda: "tenant_broken" in stack.agents[0].log(), "told", 5)
    assert name_of(stack) == "gamma"


def test_explain_tells_the_version(switchable):
    done = run_agent_command("explain", "-c", switchable.config_path, f"http://{HOST}/", "--json")
    assert json.loads(done.stdout)["tenant"]["version"] == "blue"
    done = run_agent_command("explain", "-c", switchable.config_path, f"http://{HOST}/")
    assert "version    blue\n" in done.stdout


def test_a_share_of_the_requests_is_refused(tmp_path, upstreams):
    path = tmp_path / "owui-spoa.json"
    split = tenant(upstreams, {"blue": 90, "green": 10})
    path.write_text(json.dumps({"tenants": {"t": split}}))
    done = run_agent_command("check", "-c", path)
    assert done.returncode == 1
    assert "E230" in done.stdout and "must never run on one" in done.stdout
