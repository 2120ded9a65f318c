"""The commands that measure, in short: that they run and print their tables. What they measure is
not judged here, where sanitizers and other tests have the machine."""

import json
import shutil
import subprocess

import pytest

from support.acme import CHALLTESTSRV, PEBBLE
from support.stack import BINARY, HAPROXY, REPOSITORY

LOAD = BINARY.parents[2] / "tests/bench_spop"


def run(tmp_path, *command):
    """What was printed, and the figures. The status tells whether goals were met: 0 or 1."""
    figures = tmp_path / "figures.json"
    command = [*map(str, command), "--json", str(figures)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout, json.loads(figures.read_text())


@pytest.mark.skipif(not LOAD.exists(), reason="needs the load generator")
def test_scale(tmp_path):
    options = ["--tenants", "10", "--tenants", "200", "--rounds", "1", "--changes", "2"]
    options += ["--build", BINARY.parents[2], "--seconds", "0.1", "--only", "tenants"]
    told, figures = run(tmp_path, REPOSITORY / "tests/scale", *options)
    rows = [line.split() for line in told.splitlines() if line.split()[:1] in (["10"], ["200"])]
    assert len(rows) == 2 and all(len(row) >= 6 for row in rows), told
    assert set(figures["tenants"]) == {"10", "200"}
    for kind in ("1", "20", "wildcard", "path", *(["haproxy"] if shutil.which("wrk") else [])):
        assert figures["tenants"]["200"][f"cpu_us_{kind}"] > 0


@pytest.mark.skipif(not LOAD.exists(), reason="needs the load generator")
@pytest.mark.skipif(PEBBLE is None or CHALLTESTSRV is None, reason="needs pebble")
def test_scale_with_certificates(tmp_path):
    """As many as the agent renews before it has compared them are no many: hence 100 of them."""
    options = ["--certificates", "3", "--certificates", "100", "--restarts", "1", "--swaps", "2"]
    options += ["--build", BINARY.parents[2], "--only", "certificates"]
    options += ["--idle-seconds", "0.2", "--due-seconds", "6"]
    told, figures = run(tmp_path, REPOSITORY / "tests/scale", *options)
    rows = [line.split() for line in told.splitlines() if line.split()[:1] in (["3"], ["100"])]
    assert len(rows) == 2 and all(len(row) == 9 for row in rows), told
    few, many = figures["certificates"]["3"], figures["certificates"]["100"]
    assert 0 < few["swap_ms"] <= few["swap_max_ms"] and few["restart_s"] > 0
    assert "due_issued" not in few and many["due_issued"] + many["due_before"] > 0


@pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk")
def test_compare(tmp_path):
    command = [REPOSITORY / "tests/bench/compare", "--agent", BINARY, "--haproxy", HAPROXY]
    command += ["--tenants", "3", "--rounds", "1"]
    told, figures = run(tmp_path, *command)
    for way in ("none", "map", "acls", "unix", "tcp", "cached"):
        assert sum(line.split()[:1] == [way] for line in told.splitlines()) == 2, told
    assert figures


@pytest.mark.skipif(not shutil.which("valgrind"), reason="needs valgrind")
def test_instructions():
    """No rule and no variable too many: unlike time, what HAProxy runs is the same on each machine."""
    command = [REPOSITORY / "tests/bench/instructions", "--agent", BINARY, "--haproxy", HAPROXY]
    command += ["--requests", "200", "--exit-on-miss"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ways = [line.split()[0] for line in done.stdout.splitlines() if "speed" in line]
    assert ways == ["none", "map", "unix", "cached"], done.stdout
