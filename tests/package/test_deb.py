"""The Debian package on a machine with systemd: installed, upgraded, removed, purged."""

import socket

import pytest

CONFIGURATION = "/etc/owui-spoa/owui-spoa.json"
TENANT = '{"tenants": {"chat": {"hosts": ["chat.test"], "upstream": "http://127.0.0.1:3000"}}}'
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
        "/etc/haproxy/certs.staging": "0700 owui-spoa:owui-spoa",
        "/var/lib/haproxy/owui-spoa": "2750 owui-spoa:haproxy",
        "/usr/bin/owui-spoa": "0755 root:root",
    }.items():
        assert machine.mode(name) == expected, name
    assert "haproxy" in machine.run("id -nG owui-spoa").stdout.split()
    # Enabled, but whoever configures it starts it.
    for unit in ("owui-spoa.service", "owui-spoa.socket"):
        assert machine.run(f"systemctl is-enabled {unit}").stdout.strip() == "enabled"
        assert state(machine, unit) == "inactive"


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

    machine.run("apt-get -q -y remove owui-spoa")
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
