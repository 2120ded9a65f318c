"""The RPM package in a folder: rpm of Debian knows nothing of the folder's libraries, so they are
not asked for; what its scriptlets do, and what belongs to whom, is what is looked at."""

import os
import shutil
import subprocess

import pytest

from conftest import PACKAGES, SYSTEM


def package(release=1):
    (found,) = (PACKAGES / "rpm/packages" / str(release)).glob("*.rpm")
    return str(found)


def rpm(*arguments):
    done = subprocess.run(
        ["rpm", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Root:
    """A folder laid over SYSTEM, mounted for as long as a command runs."""

    SCRIPT = """
        set -eu
        mkdir -p "$1/changes" "$1/work" "$1/root"
        mount -t overlay -o "lowerdir=$0,upperdir=$1/changes,workdir=$1/work" overlay "$1/root"
        mount -t proc proc "$1/root/proc"
        cd "$1/root"
        shift
        exec "$@" """

    def __init__(self, folder):
        self.folder = folder

    def run(self, *command):
        inside = ["unshare", "--mount", "bash", "-c", self.SCRIPT, SYSTEM, self.folder, *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rpm(self, *arguments):
        return self.run("rpm", "--root", self.folder / "root", *arguments)

    def path(self, name):
        """A file that was changed."""
        return self.folder / "changes" / name.lstrip("/")

    def mode(self, name):
        return self.run("chroot", ".", "stat", "-c", "%04a %U:%G", name).strip()


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def test_no_folder_of_the_system_is_claimed():
    listed = rpm("-qp", "--qf", "[%{FILENAMES} %{FILEMODES:perms}\n]", package()).splitlines()
    folders = {line.split()[0] for line in listed if line.split()[1].startswith("d")}
    assert folders == {
        "/etc/owui-spoa",
        "/etc/owui-spoa/tenants.d",
        "/usr/share/doc/owui-spoa",
        "/usr/share/doc/owui-spoa/docs",
        "/usr/share/doc/owui-spoa/docs/images",
        "/usr/share/doc/owui-spoa/haproxy",
        "/usr/share/owui-spoa",
        "/usr/share/owui-spoa/grafana",
        "/usr/share/owui-spoa/prometheus",
    }


def test_the_configuration_is_marked():
    assert rpm("-qpc", package()).split() == ["/etc/owui-spoa/owui-spoa.json"]


def test_what_is_loaded_late_is_depended_on():
    needed = rpm("-qpR", package()).splitlines()
    assert [name for name in needed if name.startswith("libcurl.so.4")]


def test_installed_upgraded_erased(root):
    root.rpm("-i", "--nodeps", package())
    assert root.mode("/etc/owui-spoa/owui-spoa.json") == "0640 root:owui-spoa"
    assert root.mode("/etc/owui-spoa/tenants.d") == "2770 root:owui-spoa"
    assert root.mode("/etc/haproxy/certs") == "2750 owui-spoa:haproxy"
    configuration = root.path("/etc/owui-spoa/owui-spoa.json")
    text = configuration.read_text().replace("{", '{ "log": {"level": "notice"},', 1)
    configuration.write_text(text)
    tenant = root.path("/etc/owui-spoa/tenants.d/chat.json")
    tenant.write_text("{}")

    root.rpm("-U", "--nodeps", package(2))
    assert configuration.read_text() == text
    assert root.rpm("-q", "owui-spoa").startswith("owui-spoa-0.1.0-2")

    assert "503" not in root.rpm("-e", "owui-spoa")  # HAProxy never asked
    assert not root.path("/usr/bin/owui-spoa").exists()
    assert configuration.with_name("owui-spoa.json.rpmsave").read_text() == text
    assert tenant.exists()


def test_whose_folder_of_certificates_it_takes_is_told(root):
    certs = root.path("/etc/haproxy/certs")
    certs.mkdir(parents=True, exist_ok=True)
    shutil.chown(certs, "daemon")
    told = root.rpm("-i", "--nodeps", package())
    assert "/etc/haproxy/certs was daemon's" in told


def test_a_folder_of_certificates_that_was_left_to_its_owner_is_not_told(root):
    certs, own = root.path("/etc/haproxy/certs"), root.path("/etc/tmpfiles.d/owui-spoa.conf")
    certs.mkdir(parents=True, exist_ok=True)
    shutil.chown(certs, "daemon")
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("d /etc/owui-spoa/tenants.d 2770 root owui-spoa -\n")
    assert "was daemon's" not in root.rpm("-i", "--nodeps", package())
    assert root.mode("/etc/haproxy/certs").split()[1].startswith("daemon:")


def test_who_asks_for_what_is_erased_is_told_the_way_back(root):
    root.rpm("-i", "--nodeps", package())
    haproxy = root.path("/etc/haproxy")
    (haproxy / "haproxy.cfg").write_text("# made by `owui-spoa haproxy-config`\n")
    kept = ("# the admin's\n", "# theirs, months later\n", "# made by `owui-spoa haproxy-config`\n")
    before = 0
    for month, text in enumerate(kept, 1):
        path = haproxy / f"haproxy.cfg.before-20260{month}01-000000"
        path.write_text(text)
        while path.stat().st_ctime_ns <= before:  # of one tick of the kernel's
            os.utime(path, (12 - month, 12 - month))  # how old the content is does not matter
        before = path.stat().st_ctime_ns
    assert "503" not in root.rpm("-U", "--nodeps", package(2))
    told = root.rpm("-e", "owui-spoa")
    back = "cp -p /etc/haproxy/haproxy.cfg.before-20260201-000000 /etc/haproxy/haproxy.cfg"
    assert back in told and "answers 503" in told
