"""`owui-spoa setup`: what it writes and what it refuses. That it ends with HTTPS on a machine with
systemd is shown by tests/package; here nothing is started."""

import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import subprocess
import threading

import pytest

from support.processes import Process, accepts, free_port
from support.stack import (
    BINARY,
    HAPROXY,
    REPOSITORY,
    SANITIZERS,
    Upstream,
    host_settings,
    run_agent_command,
)
from support.terminal import typed, wide_lines

HOST = "chat.example.test"
UPSTREAM = ("--upstream", "127.0.0.1:3000")
TUTORIAL = REPOSITORY / "tests/package/tutorial.cfg"


class Place:
    """Everything that setup writes to, in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.haproxy = folder / "haproxy"
        self.tenants = folder / "tenants.d"
        self.config = folder / "owui-spoa.json"
        (self.haproxy / "certs").mkdir(parents=True)
        self.settings = {"// mine": "stays", **host_settings(folder)}
        self.config.write_text(json.dumps(self.settings))

    def command(self, *arguments, mode="--yes"):
        return [BINARY, "setup", *arguments, "-c", self.config, "--no-start", mode]

    def run(self, *arguments, mode="--yes"):
        return run_agent_command(*self.command(*arguments, mode=mode)[1:])

    def written(self):
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def tenant(self, name=HOST):
        return json.loads((self.tenants / f"{name}.json").read_text())["tenants"][name]

    def has_from_certbot(self, authority, lineage, names):
        live = self.folder / "letsencrypt/live" / lineage
        live.mkdir(parents=True)
        authority.issue(names, live / "fullchain.pem")

    def global_file(self):
        return json.loads(self.config.read_text())


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_what_is_written(place):
    (place.haproxy / "haproxy.cfg").write_text("# somebody's\n")
    done = place.run(HOST, *UPSTREAM, "--email", "me@example.test")
    assert done.returncode == 0, done.stderr
    assert place.tenant() == {"hosts": [HOST], "upstream": "http://127.0.0.1:3000"}
    settings = place.global_file()
    assert settings["acme"]["directory"] == "letsencrypt"
    assert settings["acme"]["contact"] == ["mailto:me@example.test"]
    # What was there stays, and is kept beside where it was changed.
    assert settings["// mine"] == "stays" and settings["haproxy"] == place.settings["haproxy"]
    (kept,) = place.folder.glob("owui-spoa.json.before-*")
    assert json.loads(kept.read_text()) == place.settings
    (kept,) = place.haproxy.glob("haproxy.cfg.before-*")
    assert kept.read_text() == "# somebody's\n"
    assert "frontend owui" in (place.haproxy / "haproxy.cfg").read_text()
    assert run_agent_command("check", "-c", place.config).returncode == 0
    modes = {place.tenants / f"{HOST}.json": 0o640, place.haproxy / "owui.spoe.cfg": 0o644}
    assert {path: path.stat().st_mode & 0o777 for path in modes} == modes


def test_what_is_laid_out_by_hand_stays_so(place):
    """As long as nothing has to change in it."""
    contacts = ["mailto:me@example.test", "mailto:other@example.test"]
    place.settings["acme"].update(directory="letsencrypt", group="root", contact=contacts)
    text = json.dumps(place.settings, indent=7)
    place.config.write_text(text)
    for arguments in ((), ("--email", "other@example.test", "--directory", "letsencrypt")):
        done = place.run(HOST, *UPSTREAM, *arguments)
        assert done.returncode == 0 and f"as is  {place.config}" in done.stdout, done.stderr
        assert place.config.read_text() == text
    assert place.run(HOST, *UPSTREAM, "--email", "new@example.test").returncode == 0
    assert place.global_file()["acme"]["contact"] == ["mailto:new@example.test"]


def test_where_the_cas_file_is_does_not_depend_on_where_one_is(place):
    authority = place.folder / "ca.pem"
    authority.write_text((place.folder / "owui-spoa.json").read_text())
    crooked = place.haproxy / ".." / "ca.pem"
    done = place.run(HOST, *UPSTREAM, "--directory", "https://ca.test/", "--ca-file", crooked)
    assert done.returncode == 0, done.stderr
    assert place.global_file()["acme"]["ca_file"] == str(authority)


@pytest.mark.parametrize(
    "host, said",
    [
        ("192.0.2.1", "is an address: browsers name no host"),
        ("[2001:db8::1]", "is an address: browsers name no host"),
        ("localhost", "is no name of the public DNS"),
        ("chat.local", "is no name of the public DNS"),
    ],
)
def test_a_host_without_a_certificate_is_refused_with_a_way_out(place, host, said):
    before = place.written()
    done = place.run(host, *UPSTREAM, "--name", "chat")
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert "--directory URL" in done.stderr and place.written() == before
    if said.startswith("is no name"):
        done = place.run(host, *UPSTREAM, "--name", "chat", "--directory", "https://ca.lan/acme")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "[::1]"])
def test_an_address_is_refused_for_what_it_is_without_a_name_as_well(place, host):
    done = place.run(host, *UPSTREAM)
    assert done.returncode == 2 and "browsers name no host" in done.stderr, done.stderr


def test_what_is_there_and_works_is_not_refused(place):
    """It has its own mind about HTTPS and its certificate."""
    upstream = "http://127.0.0.1:3000"
    tenants = {
        "corp": {"hosts": ["chat.corp"], "upstream": upstream, "certificate_file": "corp.pem"},
        "plain": {"hosts": ["192.0.2.7", "[2001:db8::7]"], "upstream": upstream, "https": "off"},
    }
    place.settings["acme"]["directory"] = "letsencrypt"
    place.config.write_text(json.dumps(place.settings))
    place.tenants.mkdir(exist_ok=True)
    (place.tenants / "lan.json").write_text(json.dumps({"tenants": tenants}))
    told = run_agent_command("check", "--elsewhere", "-c", place.config).stdout
    assert "W514" not in told, told
    for host in "chat.corp", "192.0.2.7", "[2001:db8::7]":
        done = place.run(host, *UPSTREAM, "--name", "lan", mode="--dry-run")
        assert done.returncode == 0, done.stderr
    done = place.run("192.0.2.7", "--upstream", "127.0.0.1:3001", mode="--dry-run")
    assert done.returncode == 2 and 'belongs to tenant "plain"' in done.stderr, done.stderr


def test_a_second_ca_of_ones_own_issues_for_a_lan(place):
    place.settings["acme"]["second"] = {"directory": "https://ca.lan/acme"}
    place.config.write_text(json.dumps(place.settings))
    done = place.run("chat.local", *UPSTREAM, mode="--dry-run")
    assert done.returncode == 0, done.stderr


def test_what_may_not_be_read_takes_root(place):
    """As the packages have it: nobody but the service's group may look into its folder."""
    place.folder.chmod(0o750)
    for mode in ("--dry-run", "--yes"):
        command = place.command(HOST, *UPSTREAM, mode=mode)[1:]
        done = run_agent_command(*command, user=65534)
        assert done.returncode == 2 and done.stdout == ""
        assert "run this as root, for example with sudo" in done.stderr, done.stderr


def test_twice_changes_nothing(place):
    place.run(HOST, *UPSTREAM, "--email", "me@example.test")
    before = place.written()
    for arguments in (("--email", "me@example.test"), ()):
        done = place.run(HOST.upper(), *UPSTREAM, *arguments)
        assert done.returncode == 0, done.stderr
        assert "nothing has to be written" in done.stdout
        assert place.written() == before


def test_a_second_host_is_a_second_tenant(place):
    place.run(HOST, *UPSTREAM)
    before = place.written()
    done = place.run(
        "team.example.test", "--upstream", "https://ai.internal:8443", "--name", "team"
    )
    assert done.returncode == 0, done.stderr
    assert place.tenant("team")["upstream"] == "https://ai.internal:8443"
    after = place.written()
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 1


def test_staging_is_left_again(place):
    place.run(HOST, *UPSTREAM, "--staging")
    assert place.global_file()["acme"]["directory"] == "letsencrypt-staging"
    place.run(HOST, *UPSTREAM)
    assert place.global_file()["acme"]["directory"] == "letsencrypt"


def test_another_ca_stays(place):
    place.run(HOST, *UPSTREAM, "--directory", "https://ca.example.test/dir")
    place.run(HOST, *UPSTREAM)
    assert place.global_file()["acme"]["directory"] == "https://ca.example.test/dir"


def test_a_look_changes_nothing(place):
    before = place.written()
    done = place.run(HOST, *UPSTREAM, mode="--dry-run")
    assert place.written() == before
    assert '+   "tenants": {' in done.stdout and '+       "directory"' not in done.stdout
    assert "letsencrypt" in done.stdout
    # Nothing is said of services, which would not be started.
    assert "would be run" not in done.stdout and "Start, under" not in done.stdout


def test_what_is_said_beside_the_files_fits_a_terminal(place):
    """A file's lines stay as they will be written, and commands can be pasted."""
    text, code = typed(place.command(HOST, *UPSTREAM, mode="--dry-run"), SANITIZERS)
    assert code == 0 and "+ " in text, text[-900:]
    told = [line for line in text.splitlines() if not line.startswith(("    + ", "    - "))]
    assert len(told) < len(text.splitlines()) and wide_lines("\n".join(told)) == []


def test_a_name_of_the_world_is_as_dns_has_it(place):
    done = place.run("B\u00fccher.Example.test", *UPSTREAM)
    assert done.returncode == 0, done.stderr
    assert place.tenant("xn--bcher-kva.example.test")["hosts"] == ["xn--bcher-kva.example.test"]


@pytest.mark.parametrize(
    "arguments, told",
    [
        ((), "which host?"),
        ((HOST,), "where does Open WebUI listen?"),
        ((HOST, *UPSTREAM, "--email", "me"), "expected an address such as you@"),
        ((HOST, *UPSTREAM, "--staging", "--directory", "https://x/"), "does not go with"),
        ((HOST, *UPSTREAM, "--ca-file", "/nowhere.pem"), "cannot be read"),
        ((HOST, "--upstream", "127.0.0.1:99999"), "E207"),
        ((HOST, "--upstream", "169.254.169.254:80"), "E208"),
        (("bad host", *UPSTREAM), "without https://, port or path"),
        (("a_b..c", *UPSTREAM, "--name", "x"), "is no name of a host"),
        ((f"https://{HOST}", *UPSTREAM), "without https://, port or path"),
        ((f"{HOST}:443", *UPSTREAM), "without https://, port or path"),
        (("*.example.test", *UPSTREAM), "is written by hand"),
        ((f"{'a' * 60}.test", *UPSTREAM), "choose one with --name"),
        ((HOST, *UPSTREAM, "--name", "Big Chat"), "E201"),
        ((HOST, *UPSTREAM, "--directory", "http://ca.example.test/"), "E116"),
        ((HOST, *UPSTREAM, "--tutorial", "/nowhere.cfg"), "no such file"),
        (("--tutorial", __file__), "no host or path leads to a server in it"),
        (("--tutorial", TUTORIAL, "--name", "chat"), "--name is for a HOST with --upstream"),
        (("other.test", "--tutorial", TUTORIAL), "nothing in it is for other.test"),
        ((HOST, *UPSTREAM, "--certbot", "/nowhere"), "it is usually /etc/letsencrypt"),
        ((HOST, *UPSTREAM, "more"), 'unexpected argument "more"'),
        ((HOST, *UPSTREAM, "--wait", "long"), '--wait "long"'),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changes(place, arguments, told):
    before = place.written()
    done = place.run(*arguments)
    assert done.returncode == 2 and told in done.stderr, done.stderr
    assert place.written() == before


def test_what_haproxy_reads_is_made_before_it_is_named(place):
    """Else HAProxy, which may be restarted at any time, does not start."""
    for folder, code in ("maps", 2), ("haproxy", 0):
        place.settings["haproxy"]["fallback_map"] = str(place.folder / folder / "fallback.map")
        place.config.write_text(json.dumps(place.settings))
        before = place.written()
        done = place.run(HOST, *UPSTREAM)
        assert done.returncode == code, done.stdout + done.stderr
        assert (place.written() == before) == (code == 2)


def test_what_is_in_the_way_is_told(place):
    place.run(HOST, "--upstream", "ai.internal:3000")
    before = place.written()
    for upstream in ("ai.internal:3001", "https://ai.internal:3000", "other.internal:3000"):
        done = place.run(HOST, "--upstream", upstream)
        assert done.returncode == 2 and "which has another upstream" in done.stderr, upstream
        assert f"{HOST}.json:3" in done.stderr
    done = place.run("other.example.test", *UPSTREAM, "--name", HOST)
    assert done.returncode == 2 and "with other hosts: add the host to its" in done.stderr
    assert place.written() == before


TWO_HOSTS = """\
frontend f
  use_backend b if { hdr(host) -i one.example.test }
  use_backend b if { hdr(host) -i two.example.test }
backend b
  server s 127.0.0.1:3000
"""


def test_what_is_carried_over_is_somebody_elses_in_part(place, authority):
    """A host of a tenant that is there, or its path."""
    source = place.haproxy / "haproxy.cfg"
    source.write_text(TWO_HOSTS)
    assert place.run("one.example.test", *UPSTREAM, "--name", "chat").returncode == 0
    source.write_text(TWO_HOSTS)
    before = place.written()
    done = place.run("--tutorial", source)
    assert done.returncode == 2 and "another tenant's file" in done.stderr, done.stderr
    assert place.written() == before

    upstream = "http://127.0.0.1:1"
    paths = [{"host": "example.test", "prefix": "/owui/"}]
    tenants = {"other": {"hosts": ["o.test"], "paths": paths, "upstream": upstream}}
    (place.tenants / "all.json").write_text(json.dumps({"tenants": tenants}))
    source.write_text((REPOSITORY / "tests/package/tutorial.cfg").read_text())
    place.has_from_certbot(authority, "example.test", ["example.test"])
    before = place.written()
    done = place.run("--tutorial", source, "--certbot", place.folder / "letsencrypt")
    assert done.returncode == 2 and '"example.test/owui" is already taken' in done.stderr
    assert place.written() == before


def test_nobody_to_ask_means_no(place):
    before = place.written()
    done = run_agent_command("setup", HOST, *UPSTREAM, "-c", place.config, "--no-start")
    assert done.returncode == 2 and "say --yes" in done.stderr
    assert "nothing was changed" in done.stderr and place.written() == before


def test_a_no_is_confirmed(place):
    before = place.written()
    text, code = typed(place.command(HOST, *UPSTREAM)[:-1], SANITIZERS, answer="n\n")
    assert code == 2 and "nothing was changed" in text and place.written() == before


def test_what_haproxy_refuses_is_told_before_anybody_is_asked(place):
    """Its folder of certificates need not be there for that."""
    (place.haproxy / "certs").rmdir()
    place.run(HOST, *UPSTREAM)
    (place.haproxy / "certs").rmdir()
    path = place.haproxy / "haproxy.cfg"
    mark = "    # own lines, defaults (kept when this file is written again)\n"
    path.write_text(path.read_text().replace(mark, mark + "    no such keyword\n"))
    before = place.written()
    done = place.run("team.example.test", *UPSTREAM, mode="--config=" + str(place.config))
    assert done.returncode == 2 and "unknown keyword" in done.stderr and "--yes" not in done.stderr
    assert place.written() == before


SECRETS = """\
userlist people
    user anna insecure-password S3CRET-1
    user berta password $6$S3CRET-2 groups all
listen stats
    bind :8404
    stats auth admin:S3CRET-3
    # stats auth admin:S3CRET-4
backend b
    http-request set-header Authorization "Basic S3CRET-5"
    http-request set-header X-Api-Key S3CRET-6
    http-check send meth GET uri / hdr authorization "Bearer S3CRET-7"
    tcp-check send AUTH\\ S3CRET-8\\r\\n
    server s 127.0.0.1:3000
global
    setenv PASS S3CRET-9
"""


def test_the_difference_keeps_quiet(place):
    """A terminal is recorded, shared and scrolled through; what differs is told without them."""
    (place.haproxy / "haproxy.cfg").write_text(SECRETS)
    done = place.run(HOST, *UPSTREAM, mode="--dry-run")
    assert done.returncode == 0, done.stderr
    assert "S3CRET" not in done.stdout
    for line in (
        "    -     user anna insecure-password ***",
        "    -     stats auth ***",
        "    -     http-request set-header Authorization ***",
        "    -     server s 127.0.0.1:3000",
    ):
        assert line in done.stdout.splitlines(), done.stdout
    plus = [line for line in done.stdout.splitlines() if line.startswith("    + ")]
    assert len(plus) > 300 and [line for line in plus if "***" in line] == []


def test_a_file_with_nothing_to_carry_over_is_told(place):
    path = place.haproxy / "haproxy.cfg"
    path.write_text("global\ndefaults\n    mode http\n")  # as the distribution has it
    before = place.written()
    done = place.run("--tutorial", path)
    told = " ".join(done.stderr.split())
    assert done.returncode == 2 and f"{path}: no host or path leads to a server in it" in told
    assert place.written() == before


def test_what_was_carried_over_is_looked_at_again(place):
    """haproxy.cfg is no tutorial's any more: its tenants are those that there are."""
    path = place.haproxy / "haproxy.cfg"
    path.write_text((REPOSITORY / "tests/package/tutorial.cfg").read_text())
    place.run("--tutorial", path)
    done = place.run("--tutorial", path, mode="--dry-run")
    told = " ".join(done.stdout.split())
    assert done.returncode == 0 and "nothing has to be written" in told
    assert "was carried over already" in told


@pytest.mark.parametrize("signal_name", ["INT", "TERM", "HUP"])
def test_a_signal_leaves_nothing_behind(place, tmp_path, signal_name):
    """It comes while HAProxy looks at the drafts, which may hold an admin's passwords."""
    haproxy = tmp_path / "bin" / "haproxy"
    haproxy.parent.mkdir()
    haproxy.write_text(
        f'#!/bin/sh\necho "$3" >{tmp_path}/draft; kill -{signal_name} $PPID; sleep 0.2\n'
    )
    haproxy.chmod(0o755)
    before = place.written()
    done = subprocess.run(
        list(map(str, place.command(HOST, *UPSTREAM))),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        env={**os.environ, **SANITIZERS, "PATH": f"{haproxy.parent}:{os.environ['PATH']}"},
        # a shell's background ignores some, which setup leaves as they are
        preexec_fn=lambda: signal.signal(signal.Signals[f"SIG{signal_name}"], signal.SIG_DFL),
    )
    draft = pathlib.Path((tmp_path / "draft").read_text().strip())
    assert draft.name == "haproxy.cfg" and not draft.parent.exists()
    assert done.returncode == -signal.Signals[f"SIG{signal_name}"]
    (tmp_path / "draft").unlink()
    haproxy.unlink()
    assert place.written() == {k: v for k, v in before.items() if not k.startswith("bin/")}


def test_what_nobody_reads_is_done_all_the_same(place):
    """Behind `| head`, for one."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        list(map(str, place.command(HOST, *UPSTREAM))),
        stdout=writer,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        timeout=120,
        env={**os.environ, **SANITIZERS},
    )
    os.close(writer)
    assert done.returncode == 0, done.stderr
    assert place.run(HOST, *UPSTREAM).stdout.count("nothing has to be written") == 1


def test_haproxy_has_the_last_word(place):
    """An admin's own line that HAProxy does not take: nothing is written."""
    place.run(HOST, *UPSTREAM)
    path = place.haproxy / "haproxy.cfg"
    mark = "    # own lines, defaults (kept when this file is written again)\n"
    assert mark in path.read_text()
    path.write_text(path.read_text().replace(mark, mark + "    no such keyword\n"))
    before = place.written()
    done = place.run("team.example.test", *UPSTREAM)
    assert done.returncode == 2 and "unknown keyword" in done.stderr, done.stderr
    assert place.written() == before


def test_what_fails_is_seen_whatever_was_inherited(place, tmp_path):
    """Who ignores SIGCHLD does so for what it starts, where no program's end would be told."""
    haproxy = tmp_path / "bin" / "haproxy"
    haproxy.parent.mkdir()
    haproxy.write_text("#!/bin/sh\nexit 1\n")
    haproxy.chmod(0o755)
    done = subprocess.run(
        list(map(str, place.command(HOST, *UPSTREAM, mode="--dry-run"))),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **SANITIZERS, "PATH": f"{haproxy.parent}:{os.environ['PATH']}"},
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "HAProxy does not take its configuration" in done.stderr


def test_what_haproxy_needs_besides_its_files_is_made(place):
    """Without it, it would not start, and before it is there, it has to be looked at its files."""
    maps = {f"{name}_map": f"{place.folder}/state/{name}.map" for name in ("fallback", "decision")}
    place.settings["haproxy"].update(maps)
    place.settings["acme"]["placeholder"] = True
    place.config.write_text(json.dumps(place.settings))
    before = place.written()
    done = place.run(HOST, *UPSTREAM, mode="--dry-run")
    assert done.returncode == 0 and place.written() == before, done.stderr
    done = place.run(HOST, *UPSTREAM)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    command = [HAPROXY, "-c", "-f", place.haproxy / "haproxy.cfg"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
    pathlib.Path(maps["decision_map"]).write_text("mine")
    before = place.written()
    assert place.run(HOST, *UPSTREAM).returncode == 0 and place.written() == before


def test_haproxy_gets_the_folder_of_its_socket(place):
    """A package makes it at each boot, but not before HAProxy's own has made HAProxy's user."""
    made, masters = place.folder / "run", place.folder / "masters"
    runtime = [f"master:{masters}/master.sock", f"{made}/admin.sock"]
    place.settings["haproxy"]["runtime"] = runtime
    place.config.write_text(json.dumps(place.settings))
    assert place.run(HOST, *UPSTREAM, mode="--dry-run").returncode == 0 and not made.exists()
    done = place.run(HOST, *UPSTREAM)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert made.stat().st_mode & 0o7777 == 0o2775 and not masters.exists()
    made.chmod(0o711)
    assert place.run("other.test", *UPSTREAM).returncode == 0
    assert made.stat().st_mode & 0o7777 == 0o711


def test_a_broken_tenant_of_somebody_else_is_not_in_the_way(place):
    place.tenants.mkdir()
    (place.tenants / "broken.json").write_text('{"tenants": {"b": {"hosts": ["b.test"]}}}')
    done = place.run(HOST, *UPSTREAM)
    assert done.returncode == 0 and "E206" in done.stderr
    assert place.tenant()["hosts"] == [HOST]


@pytest.mark.parametrize(
    "part, name",
    [
        ({"headers": {"X-Site": "a"}}, "haproxy.cfg"),
        ({"require_sni_match": True}, "owui.spoe.cfg"),
    ],
)
def test_a_tenant_that_was_right_keeps_its_part_of_haproxys_files(place, part, name):
    """A daemon serves it as it was, and HAProxy has to tell or know its part as long as it does."""
    place.tenants.mkdir()
    file = place.tenants / "a.json"
    right = {"hosts": ["a.test"], "upstream": "http://127.0.0.1:1", **part}
    file.write_text(json.dumps({"tenants": {"a": right}}))
    assert place.run(HOST, *UPSTREAM).returncode == 0
    file.write_text(json.dumps({"tenants": {"a": {**right, "upstrem": "x"}}}))
    before = place.written()
    done = place.run("team.example.test", *UPSTREAM)
    assert done.returncode == 2
    assert f"{name} changes, and would lose what the tenants that are wrong" in done.stderr
    assert "nothing was changed" in done.stderr and place.written() == before
    # One that has no part in it is in nobody's way.
    file.write_text(json.dumps({"tenants": {"a": right}}))
    (place.tenants / "b.json").write_text('{"tenants": {"b": {"hosts": ["b.test"]}}}')
    done = place.run("team.example.test", *UPSTREAM)
    assert done.returncode == 0 and "E206" in done.stderr, done.stderr


@pytest.mark.parametrize(
    "text", ['{"tenants": {"other": {"hosts": ["o.test"], "upstream": "http://127.0.0.1:1"}}}', "{"]
)
def test_a_file_that_somebody_else_has_given_the_name_is_left_alone(place, text):
    """It may hold other tenants, or what is to become one."""
    place.tenants.mkdir()
    (place.tenants / f"{HOST}.json").write_text(text)
    before = place.written()
    done = place.run(HOST, *UPSTREAM)
    assert done.returncode == 2 and "nothing was changed" in done.stderr
    assert f"{place.tenants}/{HOST}.json is there already" in done.stderr, done.stderr
    assert place.written() == before
    assert place.run(HOST, *UPSTREAM, "--name", "chat").returncode == 0
    assert (place.tenants / f"{HOST}.json").read_text() == text


def test_the_tutorials_file_becomes_tenants(place, authority):
    source = REPOSITORY / "tests/package/tutorial.cfg"
    (place.haproxy / "haproxy.cfg").write_text(source.read_text())
    place.has_from_certbot(authority, "example.test", ["example.test"])
    done = place.run(
        "--tutorial", place.haproxy / "haproxy.cfg", "--certbot", place.folder / "letsencrypt"
    )
    assert done.returncode == 0, done.stderr
    assert "without --no-start takes over the certificates of" in done.stdout
    assert place.tenant() == {
        "hosts": [HOST],
        "paths": [{"host": "example.test", "prefix": "/owui/"}],
        "upstream": "http://127.0.0.1:3000",
    }
    assert place.tenant("team.example.test")["upstream"] == "http://127.0.0.1:3001"
    assert "mended" in done.stdout and "line 35" in done.stdout
    assert run_agent_command("check", "-c", place.config).returncode == 0
    before = place.written()
    place.run("--tutorial", place.haproxy / "haproxy.cfg")
    assert place.written() == before
    # So does a host of it; another one was not carried over.
    for host, code in (HOST, 0), ("other.test", 2):
        done = place.run(host, "--tutorial", place.haproxy / "haproxy.cfg")
        assert done.returncode == code and place.written() == before, done.stderr


def test_a_path_is_on_the_hosts_that_certbots_certificates_are_for(place, authority):
    """Whatever certbot calls them."""
    source = place.haproxy / "haproxy.cfg"
    source.write_text((REPOSITORY / "tests/package/tutorial.cfg").read_text())
    both = [HOST, "example.test", "*.example.test"]
    place.has_from_certbot(authority, f"{HOST}-0001", both)
    place.has_from_certbot(authority, "mine", ["www.example.test", "example.test"])
    broken = place.folder / "letsencrypt/live/broken.example.test/fullchain.pem"
    broken.parent.mkdir()
    broken.write_text("")
    done = place.run("--tutorial", source, "--certbot", place.folder / "letsencrypt")
    assert done.returncode == 0, done.stderr
    hosts = ["example.test", "www.example.test"]
    assert place.tenant()["paths"] == [{"host": host, "prefix": "/owui/"} for host in hosts]
    assert str(broken) in done.stderr


def test_what_is_not_carried_over_is_told_whatever_else_is_wrong(place, tmp_path):
    source = tmp_path / "haproxy.cfg"
    source.write_text(
        f"""\
frontend f
  http-request deny if {{ src 192.0.2.0/24 }}
  use_backend safe if {{ hdr(host) -i safe.example.test }}
  use_backend chat if {{ hdr(host) -i {HOST} }}
backend safe
  server s 10.0.0.2:443 ssl verify required
backend chat
  server s 127.0.0.1:3000
"""
    )
    done = place.run("--tutorial", source)
    told = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stderr
    assert "line 6 LOOK backend safe is not carried over" in told and "sni str(NAME)" in told
    assert told.count("http-request deny is not carried over") == 1
    assert place.tenant()["upstream"] == "http://127.0.0.1:3000"

    # What stops it all comes behind.
    (place.tenants / f"{HOST}.json").unlink()
    source.write_text(source.read_text().replace(f"-i {HOST}", "-i no_host!"))
    done = place.run("--tutorial", source)
    assert done.returncode == 2 and "no_host!" in done.stderr, done.stdout + done.stderr
    assert "http-request deny is not carried over" in " ".join(done.stdout.split())


def test_a_path_alone_needs_a_host(place, tmp_path):
    source = tmp_path / "path.cfg"
    source.write_text(
        "frontend f\n  use_backend b if { path_beg /owui }\nbackend b\n  server s 127.0.0.1:3000\n"
    )
    done = place.run("--tutorial", source)
    assert done.returncode == 2 and "a host of its own" in done.stderr
    done = place.run(HOST, "--tutorial", source)
    assert done.returncode == 0, done.stderr
    assert place.tenant()["hosts"] == [HOST] and "/owui led here from any host" in done.stderr


def test_a_host_beneath_a_wildcard_of_the_tutorials_has_its_place(place, tmp_path):
    source = tmp_path / "wildcard.cfg"
    source.write_text(
        "frontend f\n  acl o hdr_end(host) -i .example.test\n  use_backend b if o\n"
        "backend b\n  server s 127.0.0.1:3000\n"
    )
    for host, code in (("chat.example.test", 0), ("example.test", 2), ("chat.example.org", 2)):
        done = place.run(host, "--tutorial", source, mode="--dry-run")
        assert done.returncode == code, (host, done.stdout, done.stderr)


def test_what_ends_with_somebody_elses_file_is_told(place):
    """Sites that another haproxy.cfg serves are not lost without a word."""
    path = place.haproxy / "haproxy.cfg"
    path.write_text("frontend shop\n  bind :8081\nlisten postgres\n  bind :5432\n")
    for arguments in ((HOST, *UPSTREAM), (HOST, *UPSTREAM, "--tutorial", __file__)):
        told = " ".join(place.run(*arguments, mode="--dry-run").stdout.split())
        assert "(frontend shop, listen postgres) ENDS when HAProxy starts anew" in told
    told = place.run(HOST, *UPSTREAM, "--tutorial", path, mode="--dry-run").stdout
    assert "ENDS" not in told and "listen postgres is not carried over" in " ".join(told.split())
    path.write_text("global\ndefaults\n    mode http\n")  # as the distribution has it
    assert "ENDS" not in place.run(HOST, *UPSTREAM, mode="--dry-run").stdout


@pytest.mark.parametrize("version", ["1.8.19", "2.4.22-f8e3218"])
def test_an_old_haproxy_is_called_that(place, tmp_path, version):
    """Itself it says no more than that it does not know a word."""
    haproxy = tmp_path / "bin" / "haproxy"
    haproxy.parent.mkdir()
    haproxy.write_text(
        "#!/bin/sh\n"
        f'test "$1" = -v && echo "HA-Proxy version {version} 2019/02/11" && exit 0\n'
        "echo \"[ALERT] unknown keyword '.if' in 'global' section\" >&2; exit 1\n"
    )
    haproxy.chmod(0o755)
    before = place.written()
    done = subprocess.run(
        list(map(str, place.command(HOST, *UPSTREAM))),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        env={**os.environ, **SANITIZERS, "PATH": f"{haproxy.parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 2 and "unknown keyword '.if'" in done.stderr, done.stderr
    assert f"HAProxy {version.split('-')[0]} is older" in done.stderr
    assert "HAProxy 2.6 or newer" in done.stderr and place.written() == before


@pytest.mark.parametrize("make", [pathlib.Path.touch, lambda path: path.symlink_to("/nowhere/x")])
def test_what_is_in_the_way_of_a_folder_is_told(place, make):
    """HAProxy would not start with it."""
    (place.haproxy / "certs").rmdir()
    make(place.haproxy / "certs")
    before = place.written()
    done = place.run(HOST, *UPSTREAM)
    assert done.returncode == 2 and f"{place.haproxy}/certs is to be a folder" in done.stderr
    assert place.written() == before


# --- Machines that are not as they should be ------------------------------------------------------


def on_a_machine(command, *lines, programs=None):
    """Runs it in mounts of its own, which these lines of a shell have made."""
    machine = ["unshare", "--mount", "sh", "-c", "\n".join(["set -e", *lines, 'exec "$@"']), "sh"]
    if subprocess.run([*machine, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    path = f"{programs}:{os.environ['PATH']}" if programs else os.environ["PATH"]
    return subprocess.run(
        list(map(str, [*machine, *command])),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        env={**os.environ, **SANITIZERS, "PATH": path},
    )


def test_a_file_that_is_mounted_by_itself(place):
    """As containers like to have it: it cannot be replaced."""
    path = place.haproxy / "haproxy.cfg"
    path.write_text("# somebody's\n")
    before = place.written()
    done = on_a_machine(place.command(HOST, *UPSTREAM), f"mount --bind {path} {path}")
    assert done.returncode == 2 and "nothing was changed" in done.stderr
    assert f"{path} is mounted by itself" in done.stderr and "its folder instead" in done.stderr
    assert "  written " not in done.stdout and place.written() == before


def test_what_cannot_be_replaced_takes_the_others_back(place):
    """All or none: haproxy.cfg is the last."""
    path = place.haproxy / "haproxy.cfg"
    path.write_text("# somebody's\n")
    before = place.written()
    if subprocess.run(["chattr", "+i", path], capture_output=True).returncode != 0:
        pytest.skip("no files that cannot be replaced here")
    try:
        done = place.run(HOST, *UPSTREAM)
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    assert done.returncode == 2 and "nothing was changed" in done.stderr
    assert "  written " not in done.stdout and place.written() == before


NO_SYSTEMD = ("mount -t tmpfs none /run",)
SYSTEMD = (*NO_SYSTEMD, "mkdir -p /run/systemd/system")


@pytest.fixture
def systemctl(tmp_path):
    """Puts a script in its place; returns the folder that it is in."""

    def make(script):
        path = tmp_path / "bin" / "systemctl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
        return path.parent

    return make


class Haproxy(socketserver.ThreadingUnixStreamServer):
    """What the Runtime API says of itself."""

    def __init__(self, path, uptime_s, backend="owui_agents"):
        told = f"Name: HAProxy\nUptime_sec: {uptime_s}\n\n# name\n{backend}\n\n"

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.rfile.readline()
                self.wfile.write(told.encode())

        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()
        os.unlink(self.server_address)


def test_services_are_started_as_gently_as_can_be(place):
    """What runs, and has read its files, is left as it is."""

    def started(*arguments):
        command = place.command(HOST, *UPSTREAM, *arguments, mode="--dry-run")
        command.remove("--no-start")
        done = on_a_machine(command, *SYSTEMD)
        assert done.returncode == 0, done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        assert [line[1:] for line in lines if line[:2] == ["systemctl", "enable"]] == [
            ["enable", "--quiet", f"{name}.service"] for name in ("haproxy", "owui-spoa")
        ]
        return [line[1] for line in lines if line[:1] == ["systemctl"] and line[1] != "enable"]

    (place.haproxy / "haproxy.cfg").write_text("# somebody's\n")
    assert started() == ["restart", "restart"]
    place.run(HOST, *UPSTREAM)
    assert started() == ["reload-or-restart", "start"]  # there is no HAProxy that answers
    assert started("--staging") == ["reload-or-restart", "restart"]
    path = place.haproxy / "admin.sock"
    for told, how in (((0,), "start"), ((1000,), "reload-or-restart")):
        haproxy = Haproxy(path, *told)
        assert started() == [how, "start"], told
        haproxy.stop()
    haproxy = Haproxy(path, 0, "others")
    assert started() == ["reload-or-restart", "start"]
    haproxy.stop()
    place.settings = place.global_file()
    place.settings["haproxy"]["runtime"] = []
    place.config.write_text(json.dumps(place.settings))
    place.run(HOST, *UPSTREAM)
    assert started() == ["start", "start"]
    place.settings["haproxy"]["http"] = ["127.0.0.1:8081"]
    place.config.write_text(json.dumps(place.settings))
    assert started() == ["reload-or-restart", "start"]


def test_a_service_of_another_file_is_not_set_up(place, systemctl):
    """HAProxy would be given what the agent that runs does not know."""
    link = place.folder / "link.json"
    link.symlink_to(place.config)
    script = '#!/bin/sh\ntest "$1" != show || echo "{ argv[]=/usr/bin/owui-spoa run%s ; }"\n'
    for told, code in (
        ("", 2),
        (" -c /etc/other.json", 2),
        (f" -c {place.config}", 0),
        (f" --config={place.config}", 0),
        (f" -c {place.folder}/./{place.config.name}", 0),
        (f" -c {link}", 0),
        (f" -c {place.config}.old", 2),
        (" -c $FILE", 0),
    ):
        programs = systemctl(script % told.replace("$", "\\$"))
        command = place.command(HOST, *UPSTREAM, mode="--dry-run")
        command.remove("--no-start")
        done = on_a_machine(command, *SYSTEMD, programs=programs)
        assert done.returncode == code, (told, done.stdout, done.stderr)
        assert ("owui-spoa.service reads another file" in done.stderr) == (code == 2)


@pytest.mark.parametrize(
    "unit, told",
    [
        ("ProtectSystem=strict\nReadWritePaths=-/etc/haproxy", ("crt_dir", "state_dir")),
        ("ProtectSystem=strict\nReadWritePaths=-FOLDER/haproxy -/srv FOLDER/state", ()),
        ("ProtectSystem=strict\nReadWritePaths=-FOLDER/hap\nBindPaths=FOLDER/state", ("crt_dir",)),
        ("ProtectSystem=strict\nReadWritePaths=-FOLDER/link\nStateDirectory=state", ("state_dir",)),
        ("ProtectSystem=strict\nReadWritePaths=/", ()),
        ("ProtectSystem=no\nReadWritePaths=", ()),
    ],
)
def test_what_the_service_cannot_write_is_told_before_anything_changes(
    place, systemctl, unit, told
):
    """It would not start, and HAProxy would ask nobody."""
    (place.folder / "link").symlink_to("haproxy")
    assert read_only(place, systemctl, unit) == told


def read_only(place, systemctl, unit, **changes):
    """What is told to be, of a service of which systemd says so."""
    place.settings["admin_socket"] = "/run/owui-spoa/admin.sock"
    place.settings["listen"] = ["unix:/run/owui-spoa/agent.sock"]
    text = json.dumps({**place.settings, **changes}).replace("FOLDER", str(place.folder))
    place.config.write_text(text)
    unit = unit.replace("FOLDER", str(place.folder)) + "\nRuntimeDirectory=owui-spoa"
    programs = systemctl(f"#!/bin/sh\ncat <<END\n{unit}\nEND\n")
    command = place.command(HOST, *UPSTREAM, mode="--dry-run")
    command.remove("--no-start")
    done = on_a_machine(command, *SYSTEMD, programs=programs)
    told = tuple(re.findall(r'(\w+)"\) read-only', done.stderr))
    assert done.returncode == (2 if told else 0), done.stdout + done.stderr
    return told


MOSTLY_WRITABLE = "ProtectSystem=strict\nReadWritePaths=FOLDER/haproxy FOLDER/state"


@pytest.mark.parametrize("opened, told", [("other", ("listen",)), ("agent", ())])
def test_a_socket_that_the_service_cannot_make_is_told(place, systemctl, opened, told):
    """Unless systemd makes it."""
    listen = ["unix:FOLDER/agent.sock", "unix:@agent", "tcp:127.0.0.1:1"]
    unit = f"{MOSTLY_WRITABLE}\nListen=FOLDER/{opened}.sock (Stream)"
    assert read_only(place, systemctl, unit, listen=listen) == told


@pytest.mark.parametrize(
    "private, folder, told",
    [
        ("yes", "/tmp", ()),
        ("yes", "/var/tmp", ()),
        ("no", "/tmp", ("file",)),
        ("yes", "/srv", ("file",)),
    ],
)
def test_a_trace_may_be_where_the_service_has_a_folder_of_its_own(
    place, systemctl, private, folder, told
):
    unit = f"{MOSTLY_WRITABLE}\nPrivateTmp={private}"
    assert read_only(place, systemctl, unit, trace={"file": f"{folder}/trace"}) == told


@pytest.mark.parametrize("mode, told", [("takeover", ("cookie_key_file",)), ("strip", ())])
def test_a_cookies_key_that_the_service_cannot_make_is_told(place, systemctl, mode, told):
    path = {"host": "www.example.test", "prefix": "/chat", "mode": mode}
    tenant = {"hosts": ["a.example.test"], "paths": [path], "upstream": "http://127.0.0.1:1"}
    place.tenants.mkdir()
    (place.tenants / "a.json").write_text(json.dumps({"tenants": {"a": tenant}}))
    file = "FOLDER/cookie.key"
    assert read_only(place, systemctl, MOSTLY_WRITABLE, cookie_key_file=file) == told


@pytest.mark.parametrize(
    "read, told",
    [
        ("-f FOLDER/haproxy/haproxy.cfg", ()),
        ("-f FOLDER/haproxy/haproxy.cfg -f FOLDER/empty", ()),
        ("-f FOLDER/haproxy/haproxy.cfg -f FOLDER/conf.d", ("reads FOLDER/conf.d as well",)),
        (
            "-f FOLDER/other.cfg",
            ("reads FOLDER/other.cfg as well", "does not read FOLDER/haproxy/haproxy.cfg"),
        ),
    ],
)
def test_what_haproxy_reads_besides_is_told(place, systemctl, read, told):
    """Fedora's unit has a folder, and Debian's a variable for more."""
    for name in ("conf.d", "empty"):
        (place.folder / name).mkdir()
    (place.folder / "conf.d" / "shop.cfg").write_text("")
    words = read.replace("FOLDER", str(place.folder)).split()
    haproxy = subprocess.Popen(["sh", "-c", "read line", "haproxy", *words], stdin=subprocess.PIPE)
    try:
        programs = systemctl(f'#!/bin/sh\ntest "$3" != MainPID || echo {haproxy.pid}\n')
        command = place.command(HOST, *UPSTREAM, mode="--dry-run")
        command.remove("--no-start")
        done = on_a_machine(command, *SYSTEMD, programs=programs)
    finally:
        haproxy.communicate()
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    for part in ("conf.d as well", "empty as well", "other.cfg as well", "does not read"):
        assert (part in said) == any(part in one for one in told), (said, part)
    for one in told:
        assert one.replace("FOLDER", str(place.folder)) in said, said


HAS_SERVICE = (
    "mount -t tmpfs none /mnt",
    "chmod 755 /mnt",
    "(cat /etc/passwd; echo owui-spoa:x:64321:64321::/:/bin/false) >/mnt/passwd",
    "mount --bind /mnt/passwd /etc/passwd",
)


@pytest.mark.parametrize(
    "make, told",
    [
        ("touch /mnt/ca.pem", None),
        ("touch /mnt/ca.pem; chmod 600 /mnt/ca.pem", "may not read /mnt/ca.pem (mode 0600)"),
        (
            "mkdir -m 700 /mnt/my; touch /mnt/my/ca.pem; ln -s my/ca.pem /mnt",
            "may not enter /mnt/my",
        ),
        ("mount -t tmpfs none /home; touch /home/ca.pem; ln -s /home/ca.pem /mnt", "hides /home"),
    ],
)
def test_what_the_service_cannot_read_is_told_before_anything_changes(place, make, told):
    """It is root who runs setup, and another user, in a sandbox, who is to read the file."""
    arguments = ("--directory", "https://ca.test/", "--ca-file", "/mnt/ca.pem")
    command = place.command(HOST, *UPSTREAM, *arguments, mode="--dry-run")
    command.remove("--no-start")
    done = on_a_machine(command, *SYSTEMD, *HAS_SERVICE, make)
    assert done.returncode == (2 if told else 0), done.stdout + done.stderr
    assert (told or "") in done.stderr and ("copy: install" in done.stderr) == bool(told)


def test_a_daemon_that_was_killed_is_not_waited_for(place):
    """Where no systemd runs, there is but its socket to tell, which it has left."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(place.folder / "admin.sock"))
    command = place.command(HOST, *UPSTREAM, "--wait", "1")
    command.remove("--no-start")
    done = on_a_machine(command, *NO_SYSTEMD)
    assert done.returncode == 0 and "There is no systemd here" in done.stdout, done.stderr
    assert "waiting for certificates" not in done.stdout and "WEBUI_URL=" in done.stdout


def told_environment(place, *arguments):
    command = place.command(*arguments)
    command.remove("--no-start")
    done = on_a_machine(command, *NO_SYSTEMD)
    assert done.returncode == 0, done.stderr
    lines = [line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("  ")]
    return {line[0].strip(): line[1] for line in lines if len(line) == 2}


def test_open_webui_is_told_all_the_hosts_that_pages_come_from(place):
    """Chats of one that is left out would not answer."""
    source = place.folder / "two.cfg"
    source.write_text(
        "frontend f\n  bind :80\n  acl chat hdr(host) chat.example.test ai.example.test\n"
        "  use_backend b if chat\nbackend b\n  server s 127.0.0.1:3000\n"
    )
    told = told_environment(place, "--tutorial", source)
    assert told["WEBUI_URL"] == f"https://{HOST}:8443"
    assert told["CORS_ALLOW_ORIGIN"] == f"https://{HOST}:8443;https://ai.example.test:8443"
    place.settings["haproxy"]["https_port"] = 443  # what something in front of it listens at
    place.config.write_text(json.dumps(place.settings))
    told = told_environment(place, "--tutorial", source)
    assert told["CORS_ALLOW_ORIGIN"] == f"https://{HOST};https://ai.example.test"
    place.settings["defaults"] = {"https": "off", "canonical_host": True}
    place.config.write_text(json.dumps(place.settings))
    told = told_environment(place, "--tutorial", source)
    assert told["CORS_ALLOW_ORIGIN"] == told["WEBUI_URL"] == f"http://{HOST}"
    assert "WEBUI_AUTH_COOKIE_SECURE" not in told


def test_what_is_told_of_a_tenant_that_is_there_is_how_it_is(place):
    """Its name, hosts and HTTPS need not be those of a new one."""
    hosts = [HOST, "ai.example.test"]
    tenant = {"hosts": hosts, "upstream": "http://127.0.0.1:3000"}
    place.tenants.mkdir()
    file = place.tenants / "sales.json"
    file.write_text(json.dumps({"tenants": {"sales": tenant}}))
    for host in hosts:
        told = told_environment(place, host, *UPSTREAM)
        assert told["WEBUI_URL"] == f"https://{HOST}:8443"
        assert told["CORS_ALLOW_ORIGIN"] == f"https://{HOST}:8443;https://ai.example.test:8443"
    tenant["https"] = "off"
    file.write_text(json.dumps({"tenants": {"sales": tenant}}))
    told = told_environment(place, HOST, *UPSTREAM)
    assert told["CORS_ALLOW_ORIGIN"] == f"http://{HOST};http://ai.example.test"
    assert "WEBUI_AUTH_COOKIE_SECURE" not in told


def looked(config, upstream):
    """What `setup` tells of an agent that runs."""
    command = [BINARY, "setup", HOST, "--upstream", upstream, "-c", config, "--yes", "--wait", "9"]
    return on_a_machine(command, *NO_SYSTEMD)


def test_chats_are_tried_from_pages_as_browsers_have_them(new_certified, tmp_path):
    """With the port that Open WebUI's CORS_ALLOW_ORIGIN is told to have."""
    stack = new_certified()
    origin = f"https://{HOST}:{stack.https_port}"
    upstream = Upstream("origin", tmp_path, env={"CORS_ALLOW_ORIGIN": origin}).start().wait()
    try:
        tenant = {"hosts": [HOST], "upstream": upstream.url}
        stack.write_tenants({HOST: tenant}, f"{HOST}.json")
        stack.start()
        stack.wait_served(HOST)
        done = looked(stack.config_path, upstream.address)
    finally:
        upstream.stop()
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"WebSocket ok opens, from pages of {origin}" in said
    assert f"CORS_ALLOW_ORIGIN={origin}" in said


@pytest.fixture
def tried(new_certified, new_ca, tmp_path):
    """A host whose certificate is from a trial CA; `tried.real_ca` is another one."""
    first = new_ca()
    stack = new_certified(first)
    stack.real_ca = new_ca(challenge_port=first.challenge_port)
    origin = f"https://{HOST}:{stack.https_port}"
    stack.own = Upstream("own", tmp_path, env={"CORS_ALLOW_ORIGIN": origin}).start().wait()
    try:
        stack.write_tenants({HOST: {"hosts": [HOST], "upstream": stack.own.url}}, f"{HOST}.json")
        stack.start()
        stack.wait_served(HOST)
        yield stack
    finally:
        stack.own.stop()


def looked_at(stack):
    """Its exit status, and what it says on stdout, as one line."""
    done = looked(stack.config_path, stack.own.address)
    return done.returncode, " ".join(done.stdout.split())


def test_what_no_root_of_this_machine_is_above_is_not_called_well(tried):
    """Nor a fault, where it is what the CA that is configured issues: a trial's, or a house's own."""
    code, said = looked_at(tried)
    assert code == 0 and "TLS - certificate by" in said, said
    assert "which browsers do not trust unless they have its CA's root (" in said
    roots = tried.directory / "roots.pem"
    roots.write_text(tried.pebble.ca_file.read_text() + tried.pebble.root())
    tried.config["acme"]["ca_file"] = str(roots)
    tried.write_config()
    code, said = looked_at(tried)
    assert code == 0 and "TLS ok certificate by" in said, said


def change_ca(stack, directory):
    stack.config["acme"]["directory"] = directory
    stack.write_config()
    stack.restart_agent()


def test_after_a_trial_the_real_ca_is_waited_for(tried):
    change_ca(tried, tried.real_ca.directory)
    tried.wait_for_agents(1)
    code, said = looked_at(tried)
    assert code == 0 and tried.real_ca.orders() == 1, said
    issuer = tried.told(f"{HOST}.pem")["issuer"]
    assert f'TLS - certificate by "{issuer}"' in said


def test_a_trials_certificate_is_bad_while_the_real_ca_is_away(tried):
    change_ca(tried, f"https://127.0.0.1:{free_port()}/dir")
    tried.wait_told(f"{HOST}.pem", lambda told: told["failures"] == 1, "tried", 30)
    code, said = looked_at(tried)
    assert code == 1 and "TLS BAD certificate by" in said, said
    assert f"{tried.pebble.directory}, where it is from, is configured no longer" in said
    assert "the daemon orders another: owui-spoa certs" in said


def test_where_tls_ends_elsewhere_headers_are_looked_at_behind_it(place):
    """Plain HTTP is sent to https:// there, too."""
    place.settings["haproxy"]["https"] = []
    place.settings["acme"]["directory"] = "none"
    place.config.write_text(json.dumps(place.settings))
    tenant = {"hosts": [HOST], "upstream": "http://127.0.0.1:3000"}
    place.tenants.mkdir()
    (place.tenants / f"{HOST}.json").write_text(json.dumps({"tenants": {HOST: tenant}}))
    agent = Process("agent", [BINARY, "run", "-c", place.config], place.folder, SANITIZERS).start()
    try:
        agent.wait_for(lambda: accepts(place.folder / "admin.sock"), "answering")
        done = looked(place.config, "127.0.0.1:3000")
    finally:
        agent.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "    headers    ok   X-Forwarded-Proto https" in done.stdout


@pytest.mark.parametrize(
    "unit, fails", [("haproxy", "reload-or-restart haproxy"), ("owui-spoa", "restart owui-spoa")]
)
def test_the_way_back_has_all_files(place, systemctl, unit, fails):
    """HAProxy's two go together, whichever service does not start: HAProxy without the agent serves
    nobody."""
    place.run(HOST, *UPSTREAM)
    place.settings["haproxy"].update(http=["127.0.0.1:8081"], timeouts={"agent": "123ms"})
    place.config.write_text(json.dumps(place.settings))
    failing = systemctl(f'#!/bin/sh\ntest "$*" != "{fails}.service"\n')
    command = place.command(HOST, *UPSTREAM)
    command.remove("--no-start")
    done = on_a_machine(command, *SYSTEMD, programs=failing)
    assert done.returncode == 2 and f"{unit}.service does not start" in done.stderr, done.stderr
    back = [line for line in done.stderr.splitlines() if line.startswith("  cp -p ")]
    assert len(back) == 2 and "  systemctl restart haproxy.service" in done.stderr.splitlines()
    for line in back:
        subprocess.run(line, shell=True, check=True)
    for name in ("haproxy.cfg", "owui.spoe.cfg"):
        assert "8081" not in (text := (place.haproxy / name).read_text()) and "123ms" not in text


def test_what_the_daemon_has_not_seen_yet_takes_a_restart(place, systemctl, tmp_path):
    """Written a moment ago, or where nobody is told of it."""
    place.run(HOST, *UPSTREAM, "--staging")
    written = place.config.read_text()
    settings = json.loads(written)
    settings["acme"]["directory"] = "none"
    place.config.write_text(json.dumps(settings))
    other_name = tmp_path / "elsewhere" / "config"  # who watches the first is not told of writes
    other_name.parent.mkdir()
    os.link(place.config, other_name)
    agent = Process("agent", [BINARY, "run", "-c", place.config], place.folder, SANITIZERS).start()
    command = place.command(HOST, *UPSTREAM, "--staging")
    command.remove("--no-start")
    failing = systemctl(
        f'#!/bin/sh\necho "$*" >>{tmp_path}/orders\ntest "${{2-}}" != owui-spoa.service\n'
    )
    try:
        agent.wait_for(lambda: " ready " in agent.log(), "serving")
        other = {"hosts": ["other.test"], "upstream": "http://127.0.0.1:3001"}
        (place.tenants / "other.json").write_text(json.dumps({"tenants": {"other": other}}))
        agent.wait_for(lambda: "generation=2" in agent.log(), "watching")
        other_name.write_text(written)
        done = on_a_machine(command, *SYSTEMD, programs=failing)
    finally:
        agent.stop()
    assert done.returncode == 2 and "nothing has to be written" in done.stdout, done.stdout
    orders = (tmp_path / "orders").read_text().splitlines()
    assert orders[-1] == "restart owui-spoa.service", orders


SYSTEMCTL = """#!/bin/sh
case "$*" in
"restart owui-spoa.service")
    $BINARY run -c $CONFIG 2>/dev/null & agent=$!
    for i in $(seq 600); do ls $STATE/accounts/*.key >/dev/null 2>&1 && break; sleep 0.1; done
    kill $agent; wait $agent ;;
"reload haproxy.service")
    echo "Job for haproxy.service failed."; exit 1 ;;
esac
"""


def test_a_reload_that_fails_is_told_in_systemds_words(place, systemctl):
    """The last one, once there is an account whose challenges HAProxy can answer by itself."""
    names = {"BINARY": BINARY, "CONFIG": place.config, "STATE": place.folder / "state"}
    script = SYSTEMCTL
    for name, value in names.items():
        script = script.replace(f"${name}", str(value))
    command = place.command(HOST, *UPSTREAM, "--directory", "https://127.0.0.1:1/", "--wait", "1")
    command.remove("--no-start")
    done = on_a_machine(command, *SYSTEMD, programs=systemctl(script))
    assert "HAProxy can answer challenges by itself now" in done.stdout, done.stdout + done.stderr
    failed = "owui-spoa: systemctl reload haproxy.service failed (1):\n"
    assert done.stderr.endswith(failed + "Job for haproxy.service failed.\n"), done.stderr
