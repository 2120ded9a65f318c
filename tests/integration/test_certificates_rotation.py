"""Certificates change and come in while HTTPS and WebSockets are busy: nobody notices."""

import asyncio
import json
import pathlib
import subprocess
import sys
import time

import pytest

from support.processes import wait_until
from test_reload import keep_sockets

HOST = "chat.example.test"
LOAD = pathlib.Path(__file__).with_name("https_load.py")


class HttpsLoad:
    """https_load.py beside us; `told` when it has ended."""

    def __init__(self, stack, host, threads):
        roots = stack.directory / "roots.pem"
        roots.write_text(stack.pebble.manage("/roots/0"))
        command = [sys.executable, LOAD, str(stack.https_port), host, roots, str(threads)]
        self.child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.told = None

    def end(self):
        out, _ = self.child.communicate("", timeout=60)
        self.told = json.loads(out)
        return self.told


def rotate(stack, swaps, domains):
    """Every third swap is a renewal at the CA, the others bring the pair before back; how long each
    took from the command to a handshake with the new certificate, in milliseconds."""
    took_ms = []
    context = stack.trust()
    serial = stack.serial(HOST, context=context)
    for number in range(swaps):
        action = "renew" if number % 3 == 0 else "rollback"
        started = time.monotonic()
        stack.act("chat", action)
        serial = stack.wait_served(HOST, but_not=serial, context=context).serial_number
        if action == "rollback":
            took_ms.append((time.monotonic() - started) * 1000)
        if number % max(1, swaps // domains) == 0:
            stack.want((f"more{number}", f"more{number}.example.test"))
    return took_ms


async def under_load(stack, swaps, domains, sockets):
    url = f"https://{HOST}:{stack.https_port}"
    browsers = await keep_sockets(url, sockets)
    load = HttpsLoad(stack, HOST, 4)
    took_ms = await asyncio.to_thread(rotate, stack, swaps, domains)
    wanted = [f"more{n}.example.test" for n in range(0, swaps, max(1, swaps // domains))]
    for host in wanted:
        await asyncio.to_thread(stack.wait_served, host)
    last = browsers[-1]
    await last.chat()
    deadline = time.monotonic() + 10
    while len(last.events) < 6 and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    tokens = len(last.events)
    told = await asyncio.to_thread(load.end)
    dropped = sum(browser.disconnects for browser in browsers)
    alive = sum(browser.socket.connected for browser in browsers)
    for browser in browsers:
        await browser.__aexit__()
    return told, took_ms, dropped, alive, tokens, len(wanted)


@pytest.mark.parametrize(
    "swaps, domains, sockets",
    [
        pytest.param(24, 3, 20, id="short"),
        pytest.param(300, 20, 100, id="long", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost_while_certificates_change(
    new_certified, swaps, domains, sockets, record_property
):
    stack = new_certified()
    stack.want(("chat", HOST), upstream="beta")
    stack.start()
    first = stack.wait_served(HOST).serial_number
    # A second pair, for rollbacks to go back and forth.
    stack.act("chat", "renew")
    stack.wait_served(HOST, but_not=first)
    stack.wait_for_agents(1)
    workers = stack.haproxy_workers()
    told, took_ms, dropped, alive, tokens, added = asyncio.run(
        under_load(stack, swaps, domains, sockets)
    )
    took_ms.sort()
    record_property("requests", told["requests"])
    record_property("connections", told["connections"])
    record_property("swap_to_handshake_ms", round(took_ms[len(took_ms) // 2], 1))
    print(f"\n{told} {swaps} swaps, {added} domains, median {took_ms[len(took_ms) // 2]:.1f} ms")
    assert told["failures"] == []
    assert told["requests"] > 20 * swaps / 3
    assert told["serials"] > swaps / 4  # it has really seen them change: a third are new ones
    assert (dropped, alive) == (0, sockets)
    assert tokens >= 6
    assert added >= domains
    assert stack.haproxy_workers() == workers
