"""Files of the host's admin that commands write: what was there, and what happens when writing
fails, or somebody else writes too."""

import json
import os
import pty
import select
import subprocess

import pytest

from support.stack import BINARY, SANITIZERS, host_settings, run_agent_command

HOST = "chat.example.test"
SETUP = ("setup", HOST, "--upstream", "127.0.0.1:3000", "--no-start")
FOREIGN = "# mine\n"
SECRET = "    stats auth admin:geheim\n"
OWN = "    # own lines, defaults (kept when this file is written again)\n"
FULL_BYTES = 8192  # less than haproxy.cfg has, more than the other files


class Host:
    def __init__(self, folder):
        self.folder = folder
        self.haproxy = folder / "haproxy"
        self.config = folder / "owui-spoa.json"
        self.cfg = self.haproxy / "haproxy.cfg"
        (self.haproxy / "certs").mkdir(parents=True)
        self.config.write_text(json.dumps(host_settings(folder)))

    def generate(self, **options):
        return run_agent_command(
            "haproxy-config", "-c", self.config, "--out", self.haproxy, **options
        )

    def set_up(self, **options):
        return run_agent_command(*SETUP, "-c", self.config, "--yes", **options)

    def files(self):
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and path.suffix != ".map"
        }


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def limited():
    """As on a full disk: no file gets longer. (The signal would be the default.)"""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))


WRITERS = [Host.generate, Host.set_up]


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_keeps_who_may_read_it(host, write):
    """Lines of one's own may hold a password."""
    assert write(host).returncode == 0
    host.cfg.write_text(host.cfg.read_text().replace(OWN, OWN + SECRET))
    host.cfg.chmod(0o600)
    settings = json.loads(host.config.read_text())
    settings["haproxy"]["http"] = ["127.0.0.1:8081"]
    host.config.write_text(json.dumps(settings))
    done = write(host)
    assert done.returncode == 0, done.stderr
    assert SECRET in host.cfg.read_text() and ":8081" in host.cfg.read_text()
    assert host.cfg.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("write", WRITERS)
def test_a_new_file_can_be_read_by_the_service(host, write):
    """Whatever root's umask is: it looks whether they are what they should be."""
    assert write(host, umask=0o077).returncode == 0
    for path in (host.cfg, host.haproxy / "owui.spoe.cfg"):
        assert path.stat().st_mode & 0o777 == 0o644, path


@pytest.mark.parametrize("write", WRITERS)
def test_a_draft_beside_it_stays(host, write):
    draft = host.haproxy / "haproxy.cfg.new"
    draft.write_text(FOREIGN)
    assert write(host).returncode == 0
    assert draft.read_text() == FOREIGN


@pytest.mark.parametrize("write", WRITERS)
def test_a_link_stays_one(host, write):
    """Who keeps files under version control links to them."""
    kept = host.folder / "repository" / "haproxy.cfg"
    kept.parent.mkdir()
    kept.write_text(FOREIGN)
    host.cfg.symlink_to("../repository/haproxy.cfg")
    assert write(host).returncode == 0
    assert host.cfg.is_symlink() and "frontend owui" in kept.read_text()
    (before,) = kept.parent.glob("haproxy.cfg.before*")
    assert not before.is_symlink() and before.read_text() == FOREIGN


@pytest.mark.parametrize("write", WRITERS)
def test_a_link_to_nowhere_is_told(host, write):
    host.cfg.symlink_to("nowhere.cfg")
    before = host.files()
    done = write(host)
    assert done.returncode == 2 and "haproxy.cfg" in done.stderr and "link" in done.stderr
    assert host.cfg.is_symlink() and host.files() == before


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_changes_nothing(host, write):
    """Not one of the files either, since they go together; and it is done when there is room."""
    host.cfg.write_text(FOREIGN)
    before = host.files()
    done = write(host, preexec_fn=limited)
    assert done.returncode == 2 and "File too large" in done.stderr, done.stderr
    assert host.files() == before
    done = write(host)
    assert done.returncode == 0, done.stderr
    (kept,) = host.haproxy.glob("haproxy.cfg.before*")
    assert kept.read_text() == FOREIGN


def test_two_at_once_write_whole_files(host):
    done = host.generate()
    assert done.returncode == 0, done.stderr
    whole = host.cfg.read_text()
    command = [BINARY, "haproxy-config", "-c", host.config, "--out", host.haproxy]
    running = [
        subprocess.Popen(
            command,
            env={**os.environ, **SANITIZERS},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for one in running:
        told = one.communicate(timeout=120)[1]
        assert one.returncode == 0 and told == "", told
    assert host.cfg.read_text() == whole
    assert {path.name for path in host.haproxy.iterdir()} == {
        "certs",
        "haproxy.cfg",
        "owui.spoe.cfg",
    }


def answer_on_terminal(command, question, act, answer):
    """What it prints and its exit code, when `act` is done between question and answer."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **SANITIZERS},
    )
    os.close(theirs)
    printed, asked = b"", False
    try:
        while select.select([ours], [], [], 60)[0]:
            printed += os.read(ours, 65536)
            if not asked and question in printed:
                asked = True
                act()
                os.write(ours, answer)
    except OSError:
        pass  # EIO: nobody has the terminal any more
    os.close(ours)
    assert asked, printed.decode()
    return printed.decode(), process.wait(timeout=60)


@pytest.mark.parametrize("there", [True, False])
def test_what_changed_since_it_was_shown_is_not_overwritten(host, there):
    if there:
        host.cfg.write_text(FOREIGN)
    changed = "# changed by somebody at this very moment\n"
    text, code = answer_on_terminal(
        [BINARY, *SETUP, "-c", host.config],
        b"go on?",
        lambda: host.cfg.write_text(changed),
        b"y\n",
    )
    assert code == 2 and "again" in text, text
    assert host.cfg.read_text() == changed
    assert not list(host.folder.glob("tenants.d/*"))
    assert not list(host.folder.rglob("*.before*"))


def test_tokens_that_are_made_at_once_are_all_there(tmp_path):
    path = tmp_path / "new" / "tokens.json"
    names = {f"t{number}" for number in range(8)}
    running = [
        subprocess.Popen(
            [BINARY, "token", "add", name, "--file", path],
            env={**os.environ, **SANITIZERS},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for one in running:
        told = one.communicate(timeout=120)[1]
        assert one.returncode == 0, told
    done = run_agent_command("token", "list", "--file", path, "--json")
    assert {token["name"] for token in json.loads(done.stdout)["tokens"]} == names
