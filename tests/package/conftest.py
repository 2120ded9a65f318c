"""Machines to install packages on: folders with a Debian, booted with systemd in namespaces."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

PACKAGES = pathlib.Path(os.environ.get("OWUI_PACKAGES", "build"))
SYSTEM = os.environ.get("OWUI_SYSTEM")


class Machine:
    """A Debian laid over SYSTEM; `boot` makes systemd its first process."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "boot.log"
        self.launcher = None
        self.init = None

    def path(self, name):
        """A file of the machine, as it is seen from outside."""
        return pathlib.Path(f"/proc/{self.init}/root") / name.lstrip("/")

    def boot(self):
        with open(self.log, "ab") as log:
            command = [HERE / "machine", SYSTEM, self.folder]
            self.launcher = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            self.init = self._find_init()
            if self.init and self.run(
                "systemctl is-system-running", check=False
            ).stdout.strip() in (
                "running",
                "degraded",
            ):
                return self
            assert self.launcher.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError("the machine does not come up")

    def _find_init(self):
        """The child of unshare, which is the child of the launcher."""
        process = self.launcher.pid
        for _ in range(2):
            children = pathlib.Path(f"/proc/{process}/task/{process}/children")
            try:
                found = children.read_text().split()
            except OSError:
                return None
            if not found:
                return None
            process = int(found[0])
        command = pathlib.Path(f"/proc/{process}/comm").read_text().strip()
        return process if command == "systemd" else None

    def run(self, command, check=True, timeout=600, input=None):
        """A shell's command in the machine; its output."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.init), "-m", "-p", "-u", "-i", "-C", "env", "-i"]
            + ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]
            + ["DEBIAN_FRONTEND=noninteractive", "bash", "-c", f"cd /root\n{command}"],
            capture_output=True,
            text=True,
            timeout=timeout,
            **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}),
        )
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def put_package(self, release):
        """In root's home; its name."""
        (package,) = (PACKAGES / "deb/packages" / str(release)).glob("*.deb")
        for old in self.path("/root").glob("owui-spoa_*.deb"):
            old.unlink()
        shutil.copy(package, self.path(f"/root/{package.name}"))
        return package.name

    def install(self, release=1, options=""):
        name = self.put_package(release)
        return self.run(f"apt-get -q -y --install-recommends {options} install ./{name}").stdout

    def mode(self, name):
        """ "0640 root:owui-spoa" as the machine sees it."""
        return self.run(f"stat -c '%04a %U:%G' {name}").stdout.strip()

    def stop(self):
        if self.launcher is not None:
            self.launcher.terminate()
            self.launcher.wait(120)


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    try:
        yield machine.boot()
    finally:
        machine.stop()
