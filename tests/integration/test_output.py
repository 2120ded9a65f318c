"""What becomes of output that cannot be written: nobody takes half a file for a whole one."""

import json
import os
import subprocess

import pytest

from support.processes import wait_until
from support.stack import BINARY, SANITIZERS

TENANT = '{"tenants": {"chat": {"hosts": ["chat.test"], "upstream": "http://10.0.0.1:3000"}}}'


@pytest.fixture
def configuration(tmp_path):
    path = tmp_path / "owui-spoa.json"
    path.write_text(TENANT)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("help", "--json"),
        ("check", "--help"),
        ("check", "--json", "-c", "CONFIG"),
        ("haproxy-config", "-c", "CONFIG"),
        ("haproxy-config", "--spoe", "-c", "CONFIG"),
        ("explain", "-c", "CONFIG", "https://chat.test/"),
    ],
    ids=" ".join,
)
def test_a_full_disk_is_told(configuration, arguments):
    words = [str(configuration) if word == "CONFIG" else word for word in arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [BINARY, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env={**os.environ, **SANITIZERS},
        )
    assert done.returncode == 2, done
    assert "the output could not be written: " in done.stderr, done.stderr


def test_who_reads_no_further_ends_it(configuration):
    """As `| head` does: by the signal, without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [BINARY, "haproxy-config", "-c", configuration],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        env={**os.environ, **SANITIZERS},
    )
    os.close(writer)
    assert done.returncode == -13 and done.stderr == "", done


def test_a_closed_stderr_is_not_some_socket(configuration, tmp_path):
    """Else the log would be written to what is opened next."""
    settings = {
        **json.loads(TENANT),
        "listen": [f"unix:{tmp_path}/agent.sock"],
        "admin_socket": f"{tmp_path}/admin.sock",
        "haproxy": {"runtime": [], "chroot": None},
        "acme": {"state_dir": str(tmp_path / "state")},
    }
    configuration.write_text(json.dumps(settings))
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {BINARY} run -c {configuration} <&- >&- 2>&-"],
        env={**os.environ, **SANITIZERS},
    )
    try:
        wait_until((tmp_path / "agent.sock").exists, "it listens")
        for fd in (0, 1, 2):
            assert os.readlink(f"/proc/{process.pid}/fd/{fd}") == "/dev/null"
    finally:
        process.kill()
        process.wait(timeout=60)
