"""A disk that is full or read-only costs nothing that was there, and the message names the place."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from support.certified import read_pem
from support.clock import Clock
from support.processes import Process, accepts, wait_until
from support.stack import BINARY, SANITIZERS, assert_ended_well

HOST = "chat.example.test"
NAME = "chat.pem"
UNSHARE = ["unshare", "--mount", "--propagation", "private"]


def may_mount():
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    command = UNSHARE + ["mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="needs to mount in a namespace of its own")


class SmallDisk:
    """A mount namespace for the daemon, where `folder` is a disk of one megabyte."""

    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder
        folder.mkdir(parents=True, exist_ok=True)
        script = 'mount -t tmpfs -o size=1m,mode=700 none "$0" && echo mounted && exec sleep 3600'
        self.holder = Process("disk", [*UNSHARE, "sh", "-c", script, folder], stack.directory)
        self.holder.start().wait_for(lambda: "mounted" in self.holder.log(), "mounted")

    def inside(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "-m", *command]

    def start_agent(self):
        stack = self.stack
        command = self.inside(BINARY, "run", "-c", stack.config_path)
        agent = Process("agent1", command, stack.directory, {**SANITIZERS, **stack.agent_env})
        for before in stack.agents:
            assert_ended_well(before)
        stack.agents[:] = [agent.start()]
        agent.wait_for(lambda: accepts(stack.sockets[0]), "listening")

    def seen(self, path):
        """A path as the daemon sees it."""
        return pathlib.Path(f"/proc/{self.holder.pid}/root{path}")

    def fill(self):
        with open(self.seen(self.folder / "filler"), "wb", buffering=0) as filler:
            with pytest.raises(OSError):
                while True:
                    filler.write(bytes(4096))

    def free(self):
        os.unlink(self.seen(self.folder / "filler"))

    def remount(self, option):
        command = self.inside("mount", "-o", f"remount,{option}", "none", self.folder)
        subprocess.run(command, check=True)


@pytest.fixture(params=["certs", "state"])
def disk(new_certified, request):
    """A tenant is served; its certificates, or the daemon's memory, are on the small disk."""
    stack = new_certified()
    stack.want(("chat", HOST))
    if request.param == "certs":
        folder = stack.directory / "small"
        stack.crt_dir = folder / "certs"
        stack.config["haproxy"]["crt_dir"] = str(stack.crt_dir)
    else:
        folder = stack.state_dir
    disk = SmallDisk(stack, folder)
    disk.clock = Clock(stack) if request.param == "state, later" else None
    stack.write_config()
    stack.write_haproxy_config()
    stack.crt_dir.mkdir(exist_ok=True)  # beneath the mount, for HAProxy's start
    stack.start_haproxy()
    disk.start_agent()
    stack.wait_served(HOST)
    stack.wait_told(NAME, lambda told: "doing" not in told, "at rest")
    yield disk
    stack.agents[0].stop()
    disk.holder.stop()


def assert_old_keeps_serving(disk, serial, file, words):
    stack = disk.stack
    stack.certs("renew", "chat")
    told = stack.wait_told(NAME, lambda told: told["failures"] > 0, "failed")
    detail = told["problem"]["detail"]
    assert str(disk.folder) in detail and words in detail, detail
    assert str(disk.folder) in stack.agent_log()
    assert stack.serial(HOST) == serial
    assert disk.seen(stack.crt_dir / NAME).read_bytes() == file
    assert stack.get(HOST).status == 200


def assert_mended(disk, serial):
    stack = disk.stack
    stack.certs("renew", "chat")
    new = stack.wait_served(HOST, but_not=serial)
    assert read_pem(disk.seen(stack.crt_dir / NAME))[0].serial_number == new.serial_number


def test_a_full_disk(disk):
    stack = disk.stack
    serial, file = stack.serial(HOST), disk.seen(stack.crt_dir / NAME).read_bytes()
    disk.fill()
    assert_old_keeps_serving(disk, serial, file, "No space left on device")
    disk.free()
    assert_mended(disk, serial)


@pytest.mark.parametrize("disk", ["certs"], indirect=True)
def test_a_read_only_disk(disk):
    stack = disk.stack
    serial, file = stack.serial(HOST), disk.seen(stack.crt_dir / NAME).read_bytes()
    disk.remount("ro")
    assert_old_keeps_serving(disk, serial, file, "Read-only file system")
    disk.remount("rw")
    assert_mended(disk, serial)


def test_a_start_on_a_full_disk(disk):
    """It serves what is there, routes, and says what it cannot do."""
    stack = disk.stack
    serial, file = stack.serial(HOST), disk.seen(stack.crt_dir / NAME).read_bytes()
    disk.fill()
    stack.agents[0].stop()
    disk.start_agent()
    stack.wait_told(NAME, lambda told: told["haproxys"][0]["served"], "served")
    assert_old_keeps_serving(disk, serial, file, "No space left on device")
    disk.free()
    assert_mended(disk, serial)


@pytest.mark.parametrize("disk", ["certs"], indirect=True)
def test_a_start_on_a_read_only_disk(disk):
    stack = disk.stack
    serial, file = stack.serial(HOST), disk.seen(stack.crt_dir / NAME).read_bytes()
    stack.agents[0].stop()
    disk.remount("ro")
    disk.start_agent()
    stack.wait_told(NAME, lambda told: told["haproxys"][0]["served"], "served")
    assert_old_keeps_serving(disk, serial, file, "Read-only file system")


@pytest.mark.parametrize("disk", ["state, later"], indirect=True)
def test_the_history_gives_way_where_the_disk_is_nearly_full(disk):
    stack, history = disk.stack, disk.seen(disk.folder / "history")
    serial = stack.serial(HOST)
    text = json.loads((stack.tenants_dir / "chat.json").read_text())

    def change(number):
        before = latest()
        text["tenants"]["chat"].update(_number=number, _large="x" * 30000)
        stack.write_tenants(text["tenants"], "chat.json")
        wait_until(lambda: latest() > before or has_failed(), "recorded, or not")

    def latest():
        return max((one.parent.name for one in history.glob("*/record.json")), default="")

    def has_failed():
        return "history_failed" in stack.agent_log()

    for number in range(8):
        change(number)
    disk.fill()
    disk.clock.go_on(61)
    wait_until(lambda: "history_shortened" in stack.agent_log(), "room is made")
    assert_mended(disk, serial)
    while not has_failed():
        disk.fill()
        change(number := number + 1)
    assert "kept free for certificates" in stack.agent_log() and number < 20
    assert disk.seen(stack.crt_dir / NAME).exists()
