"""The short form of tests/chaos: a fixed seed, and bars for a machine that has other things to do."""

import os
import subprocess
import sys
import time

import pytest

from support.acme import CHALLTESTSRV, PEBBLE
from support.stack import BINARY, HAPROXY, REPOSITORY

SECONDS = "18"
sys.path.insert(0, str(REPOSITORY / "tests/chaos"))

from model import SPOOFED, Model, Tenant  # noqa: E402


@pytest.mark.skipif(PEBBLE is None or CHALLTESTSRV is None, reason="needs pebble")
@pytest.mark.parametrize("seed", [1])
def test_faults_in_a_random_order_break_nothing(seed):
    command = [REPOSITORY / "tests/chaos/run", "--seed", str(seed), "--seconds", SECONDS]
    command += ["--agents", "2", "--fallback", "--decisions", "--patience", "20"]
    env = {**os.environ, "OWUI_SPOA_BINARY": str(BINARY), "OWUI_HAPROXY": HAPROXY}
    done = subprocess.run(
        list(map(str, command)), env=env, capture_output=True, text=True, timeout=900
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "0 violations" in done.stdout


@pytest.fixture
def model():
    made = Model()
    made.add(Tenant("chat", "chat.test", "alpha"))
    return made


TOLD = [("x-tenant-id", "chat"), ("x-forwarded-for", "127.0.0.1")]


@pytest.mark.parametrize(
    "name, headers, what",
    [
        ("alpha", TOLD, None),
        ("beta", TOLD, "wrong tenant"),
        ("alpha", [("x-tenant-id", "other")], "wrong tenant told"),
        ("alpha", TOLD[1:], "wrong tenant told"),
        ("alpha", [*TOLD, ("x-user-email", f"root@{SPOOFED}")], "unverified header"),
    ],
)
def test_the_model_sees_what_arrives(model, name, headers, what):
    tenant = model.tenants["chat"]
    model.check_arrival(tenant, {"alpha"}, name, headers)
    assert [what] * bool(what) == [told.split(" ", 1)[1].split(":")[0] for told in model.violations]


def test_the_model_excuses_what_a_fault_explains_and_no_more(model):
    tenant = model.tenants["chat"]
    model.judge(tenant, time.monotonic(), "cut")
    assert len(model.violations) == 1
    asked = time.monotonic()
    window = model.open("haproxy restarted", [("cut", None), ("no-upstream", "beta")])
    model.judge(tenant, asked, "cut")
    assert (len(model.violations), window.excused) == (1, 1)
    model.judge(tenant, asked, "no-agent")
    model.judge(tenant, asked, "no-upstream")
    assert len(model.violations) == 3
    window.end = time.monotonic()
    model.judge(tenant, time.monotonic(), "ok")
    assert len(model.violations) == 3
    time.sleep(0.01)
    model.judge(tenant, time.monotonic(), "cut")
    assert len(model.violations) == 4


def test_the_same_seed_is_the_same_schedule():
    """What is replayed is the order of faults, whatever the machine does."""
    command = [sys.executable, REPOSITORY / "tests/chaos/run", "--seed", "3", "--plan", "40"]
    plans = [
        subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120).stdout
        for _ in range(2)
    ]
    assert plans[0] == plans[1] and len(plans[0].splitlines()) == 40
    assert " and " in plans[0]
