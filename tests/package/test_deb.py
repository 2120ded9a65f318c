"""The Debian package on a machine with systemd: installed, upgraded, removed, purged."""

import http.client
import json
import pathlib
import re
import socket
import subprocess
import time

import pytest

from conftest import PACKAGES
from test_docs import dead_links

CONFIGURATION = "/etc/owui-spoa/owui-spoa.json"
TENANT = '{"tenants": {"chat": {"hosts": ["chat.test"], "upstream": "http://127.0.0.1:3000"}}}'
MANY = 10_000  # tenants: more than the memory that comes before huge pages holds
AGENT_SOCKET = "/var/lib/haproxy/owui-spoa/agent.sock"


def state(machine, unit):
    return machine.run(f"systemctl is-active {unit}", check=False).stdout.strip()


def test_what_belongs_to_whom(machine):
    machine.install()
    for name, expected in {
        "/etc/owui-spoa": "0750 root:owui-spoa",
        "/etc/owui-spoa/tenants.d": "2770 root:owui-spoa",
        CONFIGURATION: "0640 root:owui-spoa",
        "/etc/haproxy/certs": "2750 owui-spoa:haproxy",
        "/var/lib/haproxy/owui-spoa": "2750 owui-spoa:haproxy",
        "/usr/bin/owui-spoa": "0755 root:root",
    }.items():
        assert machine.mode(name) == expected, name
    assert "haproxy" in machine.run("id -nG owui-spoa").stdout.split()
    # Enabled, but whoever configures it starts it.
    for unit in ("owui-spoa.service", "owui-spoa.socket"):
        assert machine.run(f"systemctl is-enabled {unit}").stdout.strip() == "enabled"
        assert state(machine, unit) == "inactive"


def test_whose_folder_of_certificates_it_takes_is_told(machine):
    """A client of another CA may write there as its own user, and could not any more."""
    machine.run("useradd -r acme; install -d -o acme /etc/haproxy/certs")
    told = machine.install()
    assert "/etc/haproxy/certs was acme's" in told and "what acme runs" in told
    assert machine.mode("/etc/haproxy/certs") == "2750 owui-spoa:haproxy"


def test_a_folder_of_certificates_that_was_left_to_its_owner_is_not_told(machine):
    machine.run("useradd -r acme; install -d -o acme /etc/haproxy/certs")
    own = "d /etc/owui-spoa/tenants.d 2770 root owui-spoa -\n"
    machine.path("/etc/tmpfiles.d/owui-spoa.conf").write_text(own)
    assert "was acme's" not in machine.install()
    assert machine.mode("/etc/haproxy/certs") == "0755 acme:root"


def test_the_service_in_its_sandbox(machine):
    machine.install()
    machine.run("systemctl start owui-spoa")
    assert state(machine, "owui-spoa.socket") == "active"
    assert machine.mode(AGENT_SOCKET) == "0660 owui-spoa:haproxy"
    assert machine.mode("/var/lib/owui-spoa") == "0700 owui-spoa:owui-spoa"
    status = machine.run("cat /proc/$(systemctl show -p MainPID --value owui-spoa)/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"
    assert {fields[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert "0" not in fields["Uid"].split()
    machine.run("systemctl reload owui-spoa")
    verified = machine.run("systemd-analyze verify --man=no owui-spoa.service owui-spoa.socket")
    assert verified.stdout + verified.stderr == ""
    level = machine.run("systemd-analyze security --offline=true owui-spoa.service").stdout
    assert float(level.splitlines()[-1].split(": ")[1].split()[0]) <= 2.0, level


def await_that(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def ask(machine, method, path, body=None):
    """Status and parsed answer of the admin interface."""
    connection = http.client.HTTPConnection("owui-spoa")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(180)
    connection.sock.connect(str(machine.path("/run/owui-spoa/admin.sock")))
    connection.request(method, path, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    text = answer.read()
    is_json = answer.headers["Content-Type"] == "application/json"
    return answer.status, json.loads(text) if is_json else text.decode()


def test_what_the_sandbox_lets_it_do(machine):
    """A library loaded late, a thread behind the others, huge pages, files read in a thread: what is
    refused here would go on somehow, and nobody would notice."""
    machine.install()
    few = {
        f"t{n}": {"hosts": [f"t{n}.test"], "upstream": "http://127.0.0.1:1"} for n in range(MANY)
    }
    machine.path("/etc/owui-spoa/tenants.d/few.json").write_text(json.dumps({"tenants": few}))
    acme = {"directory": "https://127.0.0.1:9/directory", "contact": ["mailto:me@example.test"]}
    text = {"tenants_dir": "tenants.d", "acme": acme, "trace": {"file": "/var/lib/owui-spoa/trace"}}
    machine.path(CONFIGURATION).write_text(json.dumps(text))
    machine.run("systemctl start owui-spoa")
    assert state(machine, "owui-spoa") == "active"
    process = machine.run("systemctl show -p MainPID --value owui-spoa").stdout.strip()

    def read(file):
        return machine.path(f"/proc/{process}/{file}").read_text()

    await_that(lambda: "/libcurl.so.4" in read("maps"), "libcurl is loaded")
    threads = machine.run(f"ps -L -o comm=,ni= -p {process}").stdout.splitlines()
    nice = {name: int(value) for name, value in map(str.split, threads)}
    assert nice["sidecar"] == min(nice["owui-spoa"] + 10, 19), threads  # the tests may be nice too
    huge = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if huge.exists() and "[never]" not in huge.read_text():
        flags = [line.split() for line in read("smaps").splitlines() if line.startswith("VmFlags")]
        assert any("hg" in line for line in flags)

    status, told = ask(machine, "POST", "/v1/check")
    assert (status, told["tenants"], told["errors"]) == (200, MANY, 0)
    other = {"tenants": {"t1": {"hosts": ["t1.test"], "upstream": "http://127.0.0.1:2"}}}
    status, told = ask(machine, "POST", "/v1/diff?file=few.json", other)
    assert (status, told["changed"], len(told["removed"])) == (200, ["t1"], MANY - 1)
    assert ask(machine, "POST", "/v1/replay")[0] == 200
    status, told = ask(machine, "GET", "/v1/haproxy-config?for=2.6")
    assert status == 200 and "frontend" in told
    assert ask(machine, "POST", "/v1/tenants/more", {"hosts": ["more.test"]})[0] == 422
    more = {"hosts": ["more.test"], "upstream": "http://127.0.0.1:1"}
    assert ask(machine, "POST", "/v1/tenants/more", more)[0] == 201
    assert machine.mode("/etc/owui-spoa/tenants.d/more.json").endswith("owui-spoa:owui-spoa")


def test_the_admin_interface_as_it_is_told(machine):
    """docs/ADMIN.md, "Over TCP" and "Examples", line by line, with curl, as root."""
    machine.install()
    machine.run("apt-get -q -y install curl")
    text = {"tenants_dir": "tenants.d", "trace": {"file": "/var/lib/owui-spoa/trace"}}
    machine.path(CONFIGURATION).write_text(json.dumps({**text, "admin_http": {}}))
    machine.run("systemctl restart owui-spoa")
    document = machine.path("/usr/share/doc/owui-spoa/docs/ADMIN.md").read_text()
    block = document.split("\n## Over TCP\n")[1].split("\n## ")[0]
    _, make, ask = [line[4:] for line in block.splitlines() if line.startswith("    ")]
    token = machine.run(re.sub(r"  +.*", "", make)).stdout.strip()
    assert token.startswith("owui_")
    told = json.loads(machine.run(ask.replace("owui_...", token)).stdout)
    assert told["serving"] is True
    block = document.split("\n## Examples\n")[1].split("\n## ")[0]
    script = "\n".join(line.removeprefix("    ") for line in block.splitlines())
    machine.run(f"mkdir /tmp/api; cd /tmp/api; set -euo pipefail\n{script}")
    assert "frontend" in machine.path("/tmp/api/haproxy.cfg").read_text()
    assert "roll back to 1" in machine.run("owui-spoa history").stdout


def test_documents_link_to_what_is_there(machine):
    machine.install()
    documents = machine.path("/usr/share/doc/owui-spoa")
    assert (documents / "docs/ADMIN.md").exists()
    assert list(dead_links(documents)) == []


def test_what_is_loaded_late_is_depended_on():
    """No tool that looks for dependencies sees it."""
    (package,) = (PACKAGES / "deb/packages/1").glob("*.deb")
    told = subprocess.run(["dpkg-deb", "-f", package, "Depends"], capture_output=True, text=True)
    names = {one.split()[0] for one in told.stdout.split(",")}
    assert "libcurl4" in names and "libc6" in names
    # What the program had once, and has no more.
    assert not [name for name in names if name.startswith(("libmicrohttpd", "libsystemd"))]


def test_an_upgrade_keeps_what_the_admin_wrote_and_who_waits(machine):
    machine.install()
    machine.path("/etc/owui-spoa/tenants.d/chat.json").write_text(TENANT)
    text = machine.path(CONFIGURATION).read_text().replace("{", '{ "log": {"level": "notice"},', 1)
    machine.path(CONFIGURATION).write_text(text)
    machine.run(f"chmod 0600 /etc/owui-spoa/tenants.d/chat.json; chmod 0644 {CONFIGURATION}")
    machine.run("systemctl start owui-spoa")
    before = machine.run("systemctl show -p MainPID --value owui-spoa").stdout
    with socket.socket(socket.AF_UNIX) as waiting:
        machine.install(2)
        assert "0.1.0-2" in machine.run("dpkg -s owui-spoa").stdout
        after = machine.run("systemctl show -p MainPID --value owui-spoa").stdout
        assert state(machine, "owui-spoa") == "active" and after != before
        # The socket's file is the same all the time: nobody who connects is refused.
        waiting.connect(str(machine.path(AGENT_SOCKET)))
    assert machine.path(CONFIGURATION).read_text() == text
    assert machine.mode(CONFIGURATION) == "0644 root:owui-spoa"
    assert machine.path("/etc/owui-spoa/tenants.d/chat.json").read_text() == TENANT
    assert machine.run("owui-spoa check").returncode == 0


def test_an_upgrade_does_not_start_what_was_stopped(machine):
    machine.install()
    machine.install(2)
    assert state(machine, "owui-spoa") == "inactive"
    assert state(machine, "owui-spoa.socket") == "inactive"


def test_a_disabled_service_stays_disabled(machine):
    machine.install()
    machine.run("systemctl disable owui-spoa.service")
    machine.install(2)
    told = machine.run("systemctl is-enabled owui-spoa.service", check=False).stdout.strip()
    assert told == "disabled"


@pytest.mark.parametrize("served", [False, True])
def test_removing_keeps_and_purging_takes(machine, served):
    machine.install()
    machine.run("systemctl start owui-spoa")
    machine.path("/etc/owui-spoa/tenants.d/chat.json").write_text(TENANT)
    machine.path("/var/lib/owui-spoa/account.key").write_text("key")
    if served:
        machine.path("/etc/haproxy/certs/chat.test.pem").write_text("pem")
        machine.run("owui-spoa haproxy-config --out /etc/haproxy")

    # HAProxy asks for what is gone, and what to do about that is told.
    told = machine.run("apt-get -q -y remove owui-spoa").stdout
    back = "cp -p /etc/haproxy/haproxy.cfg.before /etc/haproxy/haproxy.cfg"
    assert (back in told and "answers 503" in told) == served
    assert state(machine, "owui-spoa") != "active"
    assert state(machine, "owui-spoa.socket") != "active"
    for name in (
        CONFIGURATION,
        "/etc/owui-spoa/tenants.d/chat.json",
        "/var/lib/owui-spoa/account.key",
    ):
        assert machine.path(name).exists(), name

    machine.run("apt-get -q -y purge owui-spoa")
    for name in ("/etc/owui-spoa", "/var/lib/owui-spoa", "/var/lib/haproxy/owui-spoa"):
        assert not machine.path(name).exists(), name
    # HAProxy may serve from there, whoever put it in.
    assert machine.path("/etc/haproxy/certs").exists() == served
    assert not list(machine.path("/etc/systemd/system").glob("*.wants/owui-spoa*"))


def test_purging_does_not_follow_a_link_to_the_keys(machine):
    machine.install()
    machine.run(
        "mkdir -p /srv/keys; ln -s /srv/keys /var/lib/owui-spoa; touch /srv/keys/account.key"
    )
    assert "kept" in machine.run("apt-get -q -y purge owui-spoa").stdout
    assert machine.path("/srv/keys/account.key").exists()


@pytest.mark.parametrize("mount", ["mount -t tmpfs none", "mount --bind /srv/keys"])
@pytest.mark.parametrize("where", ["/var/lib/owui-spoa", "/var/lib/owui-spoa/accounts"])
def test_purging_does_not_enter_a_mount(machine, mount, where):
    machine.install()
    machine.run(f"mkdir -p /srv/keys {where}; {mount} {where}; touch {where}/account.key")
    told = machine.run("apt-get -q -y purge owui-spoa").stdout
    assert "/var/lib/owui-spoa has something mounted; what is there is kept" in told
    assert machine.path(f"{where}/account.key").exists()
    assert not machine.path("/etc/owui-spoa").exists()
