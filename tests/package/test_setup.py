"""`owui-spoa setup` on a machine with the package and HAProxy: one command from nothing to HTTPS, with
a certificate of a CA on this machine; and from the tutorial's files to the same."""

import asyncio
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from support.acme import Pebble
from support.certificates import Authority
from support.clients import Browser, connect, echo, request
from support.stack import Upstream

HERE = pathlib.Path(__file__).resolve().parent
HOST, TEAM = "chat.example.test", "team.example.test"
CA_FILE = "/usr/local/share/ca.pem"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pebble(tmp_path_factory, authority):
    """It validates on port 80, as the real ones do."""
    pebble = Pebble(tmp_path_factory.mktemp("pebble"), authority, challenge_port=80).start()
    yield pebble
    pebble.stop()


@pytest.fixture(scope="module")
def upstreams(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upstreams")
    running = {}
    for name, host in (("chat", HOST), ("team", TEAM)):
        env = {"CORS_ALLOW_ORIGIN": f"https://{host}"}
        running[name] = Upstream(name, folder, env=env).start()
    for upstream in running.values():
        upstream.wait()
    yield running
    for upstream in running.values():
        upstream.stop()


@pytest.fixture
def installed(machine, authority):
    machine.install()
    machine.path(CA_FILE).write_bytes(authority.path.read_bytes())
    return machine


def set_up(machine, pebble, *arguments, check=True):
    command = ["owui-spoa setup", *arguments, "--email me@example.test"]
    command += [f"--directory {pebble.directory} --ca-file {CA_FILE} --yes --wait 300"]
    began = time.monotonic()
    done = machine.run(" ".join(command), check=False)
    done.seconds = time.monotonic() - began
    print(f"$ {' '.join(command)}   # {done.seconds:.1f} s\n{done.stdout}{done.stderr}")
    if check:
        assert done.returncode == 0
    return done


def trust(pebble):
    return ssl.create_default_context(cadata=pebble.manage("/roots/0"))


def check_https(pebble, host, upstream):
    """What a person would try: http, https with a certificate that verifies, headers, a chat."""
    answer = request(80, "/c/1", host)
    assert (answer.status, answer.header("Location")) == (308, f"https://{host}/c/1")
    lies = [
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Client-IP", "6.6.6.6"),
    ]
    seen = echo(443, host, tls_name=host, tls=trust(pebble), headers=lies)
    assert (seen.name, seen.scheme) == (upstream, "https")
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]
    assert seen.all("X-Client-IP") == ["127.0.0.1"]
    assert seen.header("Host") == host

    async def chat():
        async with Browser(f"https://{host}") as browser:
            await browser.sign_in()
            await browser.open_socket(headers={"Origin": f"https://{host}"})
            await browser.chat()
            deadline = time.monotonic() + 30
            while not browser.events and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            assert browser.events and browser.disconnects == 0

    asyncio.run(chat())


def files_of(machine):
    """Everything that setup may write, with its bytes."""
    found = {}
    for folder in ("/etc/owui-spoa", "/etc/haproxy"):
        for path in machine.path(folder).rglob("*"):
            if path.is_file() and path.suffix != ".pem":
                found[str(path).split("/root", 1)[1]] = path.read_bytes()
    return found


def test_one_step_to_https(installed, pebble, upstreams):
    machine = installed
    done = set_up(machine, pebble, HOST, "--upstream", upstreams["chat"].address)
    assert done.seconds < 60 or os.getloadavg()[0] > os.cpu_count()  # nothing, next to others
    for what in ("http", "TLS", "https", "WebSocket", "headers"):
        assert f"    {what:<10} ok " in done.stdout
    table = done.stdout.split("\nwhat works:\n")[1]
    assert max(map(len, table.splitlines())) <= 80
    for line in (
        f"WEBUI_URL=https://{HOST}",
        f"CORS_ALLOW_ORIGIN=https://{HOST}",
        "WEBUI_AUTH_COOKIE_SECURE=true",
        "WEBUI_SESSION_COOKIE_SECURE=true",
        "FORWARDED_ALLOW_IPS=",
    ):
        assert f"  {line}" in done.stdout
    check_https(pebble, HOST, "chat")
    for unit in ("owui-spoa.service", "owui-spoa.socket", "haproxy.service"):
        assert machine.run(f"systemctl is-active {unit}").stdout.strip() == "active"
        assert machine.run(f"systemctl is-enabled {unit}").stdout.strip() == "enabled"
    # The distribution's haproxy.cfg is kept.
    assert list(machine.path("/etc/haproxy").glob("haproxy.cfg.before-*"))

    # Again: nothing changes, nothing restarts, and it tells what works.
    before, pids = files_of(machine), machine.run("pgrep -x 'haproxy|owui-spoa'").stdout
    again = set_up(machine, pebble, HOST, "--upstream", upstreams["chat"].address)
    assert "nothing has to be written" in again.stdout and "WebSocket  ok" in again.stdout
    assert files_of(machine) == before
    assert machine.run("pgrep -x 'haproxy|owui-spoa'").stdout == pids

    # A second host is a second tenant; the sockets of the first one stay.
    with connect(443, HOST, tls=trust(pebble)) as sock:
        set_up(machine, pebble, TEAM, "--upstream", upstreams["team"].address)
        sock.sendall(f"GET /health HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert sock.recv(20).startswith(b"HTTP/1.1 200")
    check_https(pebble, TEAM, "team")
    check_https(pebble, HOST, "chat")
    assert machine.run("owui-spoa certs --check").returncode == 0


def test_dry_run_changes_nothing(installed, pebble):
    machine = installed
    before = files_of(machine)
    done = set_up(machine, pebble, HOST, "--upstream 127.0.0.1:3000 --dry-run")
    assert files_of(machine) == before
    assert "would be run:" in done.stdout and "systemctl restart haproxy.service" in done.stdout
    assert f"new    /etc/owui-spoa/tenants.d/{HOST}.json" in done.stdout.replace("  new", "new")
    state = machine.run("systemctl is-active owui-spoa", check=False).stdout.strip()
    assert state == "inactive"


def test_what_does_not_work_is_told(installed, pebble):
    """Nothing listens at the upstream: everything else does work, and that one line is bad."""
    done = set_up(installed, pebble, HOST, "--upstream 127.0.0.1:9", check=False)
    assert done.returncode == 1
    assert "TLS        -" in done.stdout and "https      BAD" in done.stdout
    assert "is Open WebUI running at http://127.0.0.1:9?" in done.stdout


def test_what_all_tenants_have_is_no_fault(installed, pebble, tmp_path):
    """Without HTTPS there is no certificate to wait for; who is let in is not this machine."""
    machine = installed
    path = machine.path("/etc/owui-spoa/owui-spoa.json")
    upstream = Upstream("plain", tmp_path, env={"CORS_ALLOW_ORIGIN": f"http://{HOST}"}).start()
    upstream.wait()

    def setup(**defaults):
        path.write_text(json.dumps({**json.loads(path.read_text()), "defaults": defaults}))
        machine.run("systemctl stop owui-spoa")
        return set_up(
            machine,
            pebble,
            HOST,
            "--upstream",
            upstream.address,
        )

    try:
        told = setup(https="off").stdout
        assert "    http       ok   /health of " in told and "    TLS " not in told
        assert "    WebSocket  ok " in told and f"CORS_ALLOW_ORIGIN=http://{HOST}\n" in told
        told = setup(allow_ips=["10.0.0.0/8"]).stdout
        assert all(
            f"    {row:10} -    not looked at" in told for row in ("http", "https", "WebSocket")
        )
        assert "    headers    -    not looked at" in told and "BAD" not in told
    finally:
        upstream.stop()


def test_a_port_that_is_taken_changes_nothing(installed, pebble):
    """HAProxy would not start, and the one before would have been stopped for it."""
    machine = installed
    before, pid = files_of(machine), machine.run("pgrep -x haproxy").stdout
    with socket.create_server(("0.0.0.0", 80)):
        done = set_up(machine, pebble, HOST, "--upstream 127.0.0.1:3000", check=False)
    assert done.returncode == 2 and "port 80 is taken by" in done.stderr
    assert "nothing was changed" in done.stderr and files_of(machine) == before
    assert machine.run("pgrep -x haproxy").stdout == pid


def test_a_folder_of_somebody_else_is_told(installed, pebble, upstreams):
    """The agent could write no certificate, and nothing but its log would say why."""
    machine = installed
    machine.run("chown root:root /etc/haproxy/certs; chmod 0755 /etc/haproxy/certs")
    before = files_of(machine)
    done = set_up(machine, pebble, HOST, "--upstream", upstreams["chat"].address, check=False)
    mend = "chown owui-spoa:haproxy /etc/haproxy/certs && chmod 2750 /etc/haproxy/certs"
    assert done.returncode == 2 and mend in done.stderr and files_of(machine) == before
    machine.run(mend)
    set_up(machine, pebble, HOST, "--upstream", upstreams["chat"].address)


def test_what_was_broken_off_is_taken_up(installed, pebble, upstreams):
    """Files are written, and nothing that runs has read them."""
    machine = installed
    machine.run("systemctl start owui-spoa")
    wish = (HOST, "--upstream", upstreams["chat"].address)
    set_up(machine, pebble, *wish, "--no-start")
    done = set_up(machine, pebble, *wish)
    assert "nothing has to be written" in done.stdout
    check_https(pebble, HOST, "chat")
    pids = machine.run("pgrep -x 'haproxy|owui-spoa'").stdout
    set_up(machine, pebble, *wish)
    assert machine.run("pgrep -x 'haproxy|owui-spoa'").stdout == pids


def test_who_is_not_root_is_told(installed):
    command = f"owui-spoa setup {HOST} --upstream 127.0.0.1:3000"
    done = installed.run(f"su nobody -s /bin/sh -c '{command}'", check=False)
    assert done.returncode == 2 and "run it as root" in done.stderr


def certbot_folder(machine, authority, tmp_path):
    """As certbot leaves it: archive, and links in live; for root alone."""
    for name in (HOST, TEAM, "example.test"):
        pem = authority.issue([name], tmp_path / f"{name}.pem").read_text()
        end = pem.index("-----BEGIN", 10) if pem.startswith("-----BEGIN PRIV") else None
        key, chain = (pem[:end], pem[end:]) if end else split_pem(pem)
        archive = machine.path(f"/etc/letsencrypt/archive/{name}")
        live = machine.path(f"/etc/letsencrypt/live/{name}")
        archive.mkdir(parents=True)
        live.mkdir(parents=True)
        for file, text in (("fullchain", chain), ("privkey", key)):
            (archive / f"{file}1.pem").write_text(text)
            (live / f"{file}.pem").symlink_to(f"../../archive/{name}/{file}1.pem")
    machine.run("chmod 0700 /etc/letsencrypt/archive /etc/letsencrypt/live")


def split_pem(pem):
    """(key, certificates)"""
    parts = ["-----BEGIN" + part for part in pem.split("-----BEGIN")[1:]]
    key = [part for part in parts if "PRIVATE KEY" in part.split("\n")[0]]
    return "".join(key), "".join(part for part in parts if part not in key)


def test_the_tutorial_is_carried_over(installed, pebble, upstreams, authority, tmp_path):
    machine = installed
    text = (HERE / "tutorial.cfg").read_text()
    for port, name in (("3000", "chat"), ("3001", "team")):
        text = text.replace(f"127.0.0.1:{port}", upstreams[name].address)
    machine.path("/etc/haproxy/haproxy.cfg").write_text(text)
    certbot_folder(machine, authority, tmp_path)
    orders = pebble.orders()

    done = set_up(machine, pebble, "--tutorial /etc/haproxy/haproxy.cfg")
    assert machine.path("/etc/haproxy/haproxy.cfg").read_text() != text
    (kept,) = machine.path("/etc/haproxy").glob("haproxy.cfg.before-*")
    assert kept.read_text() == text

    # certbot's certificates are served: nothing is ordered that is there.
    for host in (HOST, TEAM):
        assert f"taken over from certbot: {host}" in done.stdout
    assert f"left to certbot: example.test" in done.stdout
    assert not machine.path("/var/lib/owui-spoa/from-certbot").exists()
    ours = ssl.create_default_context(cafile=str(authority.path))
    for host, name in ((HOST, "chat"), (TEAM, "team")):
        seen = echo(443, host, tls_name=host, tls=ours)
        assert (seen.name, seen.scheme) == (name, "https")
        # 2: a port or a dot behind the host is no 503; 8: http goes to https
        for written in (f"{host}:80", f"{host}."):
            assert request(80, "/", written).status == 308
    assert pebble.orders() - orders <= 2  # begun before certbot's were there, at most
    # 3, 4, 5: what a client claims is not believed
    lies = [
        ("X-CLIENT-IP", "6.6.6.6"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-For", "6.6.6.6"),
    ]
    seen = echo(443, HOST, tls_name=HOST, tls=ours, headers=lies)
    assert seen.all("X-Client-IP") == seen.all("X-Forwarded-For") == ["127.0.0.1"]
    # 1: the path leads to the host, where Open WebUI's pages work
    answer = request(80, "/owui/c/1", "example.test")
    assert (answer.status, answer.header("Location")) == (308, f"https://{HOST}/c/1")
    # an unknown host is told so
    assert request(80, "/", "nobody.test").status == 404

    again = set_up(machine, pebble, "--tutorial /etc/haproxy/haproxy.cfg", check=False)
    assert "nothing has to be written" in again.stdout and again.returncode == 0
    for host in (HOST, TEAM):
        assert f"\n  {host}\n" in again.stdout  # looked at again


def commands_of(section):
    """The commands of a section of docs/PRODUCTION.md, in its blocks."""
    text = (HERE.parents[1] / "docs/PRODUCTION.md").read_text()
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [line[4:] for line in part.splitlines() if line.startswith("    ")]


def test_a_backup_is_enough(installed, pebble, upstreams):
    """docs/PRODUCTION.md, word by word: nothing is left of the machine but the archive."""
    machine = installed
    set_up(machine, pebble, HOST, "--upstream", upstreams["chat"].address)
    machine.run(f"owui-spoa suspend {HOST} && owui-spoa suspend {HOST} --off")
    save, *restore, look = commands_of("Backup")
    assert (
        save.startswith("(umask 077 && tar ") and len(restore) == 3 and look == "owui-spoa doctor"
    )
    machine.run(save)
    orders = pebble.orders()
    machine.run(
        "apt-get -q -y purge owui-spoa haproxy; rm -rf /etc/haproxy /etc/owui-spoa"
        " /var/lib/owui-spoa; userdel owui-spoa"
    )
    machine.install()
    for command in restore:
        machine.run(command)
    told = machine.run(look, check=False)
    assert told.returncode in (0, 1), told.stdout + told.stderr
    check_https(pebble, HOST, "chat")
    deadline = time.monotonic() + 30  # until it has seen HAProxy
    while machine.run("owui-spoa certs --check", check=False).returncode != 0:
        assert time.monotonic() < deadline, machine.run("owui-spoa certs", check=False).stdout
        time.sleep(0.2)
    assert pebble.orders() == orders
    assert f"suspend tenant {HOST}" in machine.run("owui-spoa history").stdout


def test_an_upgrade_as_it_is_told(installed, pebble, upstreams):
    """docs/PRODUCTION.md again: HAProxy goes on, and its files are still what is needed."""
    machine = installed
    set_up(machine, pebble, HOST, "--upstream", upstreams["chat"].address)
    install, look, *write = commands_of("Upgrade")
    began = time.monotonic()
    machine.put_package(2)
    machine.run(install.replace("apt install", "apt-get -q -y install"))
    told = machine.run(look, check=False)
    assert "it is not what this configuration needs" not in told.stdout
    # The worker may be a moment younger: setup's last step reloads HAProxy, which has its time.
    ages_s = [int(age) for age in machine.run("ps -C haproxy -o etimes=").stdout.split()]
    assert len(ages_s) == 2 and min(ages_s) + 2 > time.monotonic() - began
    for command in write:
        machine.run(command)
    check_https(pebble, HOST, "chat")
