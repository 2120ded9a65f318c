"""The daemon dies at any moment of an order, a store or a swap: what is on disk is whole, what is
served is right, and what had been obtained is not ordered again."""

import random
import signal
import time

from support.certified import read_pem
from support.processes import wait_until

SEED = 20240229
ROUNDS = 12


def assert_whole(stack):
    """Every file that HAProxy would load on its next start can be loaded."""
    for name in stack.files():
        read_pem(stack.crt_dir / name)


# An order is made once. Another may only follow one that came to nothing: the CA looked for the
# challenge while there was no agent, and HAProxy's file is from before there was an account.


def kill_after(stack, seconds):
    time.sleep(seconds)
    stack.agents[0].stop(signal.SIGKILL)


def test_killed_at_any_moment_of_the_first_certificate(new_certified, ca):
    moments = random.Random(SEED)
    stack = new_certified().start()
    finished = 0
    for number in range(ROUNDS):
        name, host = f"k{number}.pem", f"k{number}.example.test"
        orders = ca.good_orders()
        stack.want((f"k{number}", host))
        kill_after(stack, moments.uniform(0, 0.6))
        assert_whole(stack)
        was_there = name in stack.files()
        text = (stack.crt_dir / name).read_text() if was_there else None
        orders_then = ca.good_orders()
        stack.start_agent()
        certificate = stack.wait_served(host, timeout_s=30)
        stack.wait_told(name, lambda told: "doing" not in told, "at rest")
        assert stack.serial_on_disk(name) == certificate.serial_number
        assert ca.good_orders() - orders == 1, stack.agent_log()
        if was_there:
            finished += 1
            assert (stack.crt_dir / name).read_text() == text
            assert ca.good_orders() == orders_then
        assert list((stack.state_dir / "pending").iterdir()) == []
        assert list((stack.state_dir / "trash").iterdir()) == []
    assert finished < ROUNDS  # some were killed on their way


def test_killed_at_any_moment_of_a_swap(new_certified, ca):
    """Whichever of the two pairs is on disk in the end is the one that is served."""
    moments = random.Random(SEED)
    host, name = "chat.example.test", "chat.pem"
    stack = new_certified()
    stack.want(("chat", host))
    stack.start()
    first = stack.wait_served(host).serial_number
    stack.act("chat", "renew")
    stack.wait_served(host, but_not=first)
    orders, workers = ca.good_orders(), stack.haproxy_workers()
    outcomes = []  # whether it died behind the swap
    for number in range(2 * ROUNDS):
        stack.act("chat", "rollback")
        # A swap takes some milliseconds: half of the kills come at its beginning.
        kill_after(stack, moments.uniform(0, 0.03 if number % 2 else 0.001))
        assert_whole(stack)
        on_disk, served = stack.serial_on_disk(name), stack.serial(host)
        assert served is not None  # the old one or the new one
        outcomes.append(served == on_disk)
        stack.start_agent()
        wait_until(lambda: stack.serial(host) == on_disk, "what is on disk is served", 15)
        stack.wait_told(name, lambda told: told["haproxys"][0]["served"], "served")
        assert stack.serial_on_disk(name) == on_disk
    assert set(outcomes) == {True, False}
    assert ca.good_orders() == orders
    assert stack.haproxy_workers() == workers
    assert "*" not in stack.runtime("show ssl cert")  # no transaction is left open


def test_killed_in_a_renewal(new_certified, ca):
    moments = random.Random(SEED)
    host, name = "chat.example.test", "chat.pem"
    stack = new_certified()
    stack.want(("chat", host))
    stack.start()
    serial = stack.wait_served(host).serial_number
    for _ in range(ROUNDS):
        orders = ca.good_orders()
        stack.act("chat", "renew")
        kill_after(stack, moments.uniform(0, 0.5))
        assert_whole(stack)
        assert stack.served(host) is not None
        done = stack.serial_on_disk(name) != serial
        orders_then = ca.good_orders()
        stack.start_agent()
        stack.wait_told(
            name,
            lambda told: "doing" not in told and told["haproxys"][0]["served"],
            "at rest",
            30,
        )
        wait_until(lambda: stack.serial(host) == stack.serial_on_disk(name), "served", 15)
        if done:
            assert ca.good_orders() == orders_then
        assert ca.good_orders() - orders <= 1, stack.agent_log()
        serial = stack.serial_on_disk(name)
