"""What `owui-spoa haproxy-config` writes: the reference pair, other versions, an admin's lines."""

import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile
import uuid

import pytest

from support.clients import Http2, echo, request
from support.processes import Process, accepts, wait_until
from support.stack import HAPROXY, HAPROXY_VERSION, REPOSITORY, Stack, run_agent_command

REFERENCE = REPOSITORY / "haproxy"
CONFIG = REFERENCE / "owui-spoa.json"
HOST = "chat.alpha.test"


def check_config(path):
    done = subprocess.run(
        [HAPROXY, "-c", "-f", str(path)], capture_output=True, text=True, timeout=20
    )
    warnings = [
        line
        for line in done.stderr.splitlines()
        if "[WARNING]" in line and "no SSL certificate specified" not in line
    ]
    return done.returncode, warnings, done.stderr


def generate(config, directory, *arguments):
    done = run_agent_command("haproxy-config", "-c", config, "--out", directory, *arguments)
    assert done.returncode == 0, done.stderr
    return (directory / "haproxy.cfg").read_text(), (directory / "owui.spoe.cfg").read_text()


def test_the_reference_files_are_the_generators_output(tmp_path):
    """To renew them: owui-spoa haproxy-config -c haproxy/owui-spoa.json --out haproxy"""
    haproxy, spoe = generate(CONFIG, tmp_path)
    assert haproxy == (REFERENCE / "haproxy.cfg").read_text()
    assert spoe == (REFERENCE / "owui.spoe.cfg").read_text()


def test_haproxy_accepts_what_is_written_for_it(stack):
    status, warnings, output = check_config(stack.haproxy_dir / "haproxy.cfg")
    assert (status, warnings) == (0, []), output


@pytest.mark.parametrize("version", ["2.6", "3.0", "3.2", "3.4"])
def test_every_version_has_its_own_form(stack, tmp_path, version):
    haproxy, spoe = generate(stack.config_path, tmp_path, "--for", version)
    assert ".if" not in haproxy and ".if" not in spoe
    assert ("mode spop" in haproxy) == (version >= "3.2")
    assert ("option http-drop-request-trailers" in haproxy) == (version >= "3.2")
    assert ("set-headers-bin" in haproxy) == ("hb=bool(true)" in spoe) == (version >= "3.4")
    if version == ".".join(map(str, HAPROXY_VERSION)):
        status, warnings, output = check_config(tmp_path / "haproxy.cfg")
        assert (status, warnings) == (0, []), output


def test_an_unknown_version_is_refused(stack, tmp_path):
    done = run_agent_command(
        "haproxy-config", "-c", stack.config_path, "--for", "1.8", "--out", tmp_path
    )
    assert done.returncode != 0 and "1.8" in done.stderr
    assert not list(tmp_path.iterdir())


def test_own_lines_are_kept(stack, tmp_path):
    haproxy, _ = generate(stack.config_path, tmp_path)
    mark = "    # own lines, defaults (kept when this file is written again)\n"
    assert mark in haproxy
    mine = haproxy.replace(mark, mark + "    timeout queue 7s\n")
    (tmp_path / "haproxy.cfg").write_text(mine)
    assert generate(stack.config_path, tmp_path)[0] == mine
    assert check_config(tmp_path / "haproxy.cfg")[0] == 0


def test_own_lines_without_their_beginning_are_not_lost(stack, tmp_path):
    """Nobody knows where they belong; what is behind the last mark is kept as a whole."""
    haproxy, _ = generate(stack.config_path, tmp_path)
    mark = "    # own lines, defaults (kept when this file is written again)\n"
    mine = haproxy.replace(mark, "    timeout queue 7s\n")
    (tmp_path / "haproxy.cfg").write_text(mine)
    done = run_agent_command("haproxy-config", "-c", stack.config_path, "--out", tmp_path)
    number = mine[: mine.index("    timeout queue 7s\n")].count("\n") + 2
    assert done.returncode == 2 and f"line {number} of haproxy.cfg ends own lines" in done.stderr
    assert (tmp_path / "haproxy.cfg").read_text() == mine
    ending = "# end of own lines\n"
    for more in ("", ending, f"# mine\n{ending}", f"{ending}\n{ending}"):
        (tmp_path / "haproxy.cfg").write_text(haproxy + more)
        generate(stack.config_path, tmp_path)


def test_a_balancers_question_is_answered(new_stack):
    """By the lines of docs/PRODUCTION.md: without a host, and as long as an agent is there."""
    text = (REPOSITORY / "docs/PRODUCTION.md").read_text()
    lines = "".join(re.findall(r"^ {4}http-request.*\n", text, re.M))
    assert lines.count("\n") == 2
    stack = new_stack()
    stack.write_config()
    path = stack.write_haproxy_config()
    mark = (
        "# own lines, frontend before the agent is asked (kept when this file is written again)\n"
    )
    path.write_text(path.read_text().replace(mark, mark + lines))
    assert check_config(path)[:2] == (0, [])
    stack.start()
    assert request(stack.http_port, "/alive", "192.0.2.7").status == 200
    assert request(stack.http_port, "/other", "192.0.2.7").status == 404
    stack.agents[0].stop()
    wait_until(lambda: request(stack.http_port, "/alive", "192.0.2.7").status == 503, "told")


def logged(stack, path):
    """The end of the log's line for the request, once it is there."""

    def lines():
        return [line for line in stack.haproxy.log().splitlines() if f"{path} " in line]

    wait_until(lambda: len(lines()) == 1, f"a line for {path}", 10)
    return re.search(r'" (host=\S+) (tenant=\S+) (client=\S+) (id=\S+)$', lines()[0]).groups()


# What newer versions take for no request at all, so that its path is not logged either.
NO_HOSTS = pytest.mark.skipif(HAPROXY_VERSION >= (3, 0), reason="refused before any rule")


@pytest.mark.parametrize(
    "host, told",
    [
        (f"{HOST}:8443", f"{HOST}%3A8443"),
        ("nobody.test", "nobody.test"),
        (None, "-"),
        ("", "-"),
        ("a" * 300, "a" * 100),
        ("a'~!=%41", "a%27~%21%3D%2541"),
        pytest.param(
            'x" tenant=alpha client=192.0.2.7',
            "x%22%20tenant%3Dalpha%20client%3D192.0.2.7",
            marks=NO_HOSTS,
        ),
        pytest.param("\x1b[31m%41", "%1B%5B31m%2541", marks=NO_HOSTS),
        pytest.param("\x1b" * 300, "%1B" * 100, marks=NO_HOSTS),
    ],
    ids=["port", "unknown", "none", "empty", "long", "signs", "forged", "escapes", "longest"],
)
def test_the_log_tells_the_host(stack, host, told):
    """Whatever the answer is; and nothing that a client says is taken for another part."""
    path = f"/log-{uuid.uuid4().hex}"
    request(stack.http_port, path, host)
    assert logged(stack, path)[0] == f"host={told}"


def test_a_long_url_hides_nothing_from_the_log(stack):
    """HAProxy cuts a line at 1,024 bytes unless it is told more, and what it shows of a URL as well."""
    path = f"/log-{uuid.uuid4().hex}"
    request(stack.http_port, f"{path}?state=" + "x" * 3000, HOST)

    def line():
        return next((one for one in stack.haproxy.log().splitlines() if f"{path}?" in one), None)

    told = wait_until(line, "a line", 10)
    assert f" host={HOST} tenant=alpha client=127.0.0.1 id=" in told


def test_the_log_tells_the_host_as_the_client_did(stack):
    request(stack.https_port, "/log-1", HOST.upper(), tls_name=HOST)
    assert logged(stack, "/log-1")[:2] == (f"host={HOST.upper()}", "tenant=alpha")
    with Http2(stack.https_port, HOST) as client:
        client.request("/log-2")
    assert logged(stack, "/log-2")[:2] == (f"host={HOST}", "tenant=alpha")


def test_somebody_elses_file_is_kept_aside(stack, tmp_path):
    """The distribution's, or one that was written by hand."""
    (tmp_path / "haproxy.cfg").write_text("# mine\n")
    haproxy, _ = generate(stack.config_path, tmp_path)
    assert "frontend owui" in haproxy
    assert (tmp_path / "haproxy.cfg.before").read_text() == "# mine\n"
    (tmp_path / "haproxy.cfg").write_text("# mine again\n")
    done = run_agent_command("haproxy-config", "-c", stack.config_path, "--out", tmp_path)
    assert done.returncode == 2 and "haproxy.cfg.before" in done.stderr, done.stderr
    assert (tmp_path / "haproxy.cfg").read_text() == "# mine again\n"


def test_a_socket_that_haproxy_cannot_reach_is_an_error(new_stack, tmp_path):
    stack = new_stack(haproxy_changes={"chroot": "/var/lib/haproxy"})
    stack.write_config()
    done = run_agent_command("haproxy-config", "-c", stack.config_path, "--out", tmp_path)
    assert done.returncode != 0
    assert "chroot" in done.stderr, done.stderr


@pytest.fixture
def packaged(upstreams, authority):
    """The reference pair as Debian's packages run it: HAProxy starts as root, then is the user
    haproxy in a chroot; only addresses and folders are put in the place of the reference's."""
    if os.getuid() != 0 or not any(entry.pw_name == "haproxy" for entry in pwd.getpwall()):
        pytest.skip("needs root and the user haproxy")
    top = pathlib.Path(tempfile.mkdtemp(prefix="owui."))
    top.chmod(0o755)
    stack = Stack(top / "s", upstreams, authority)
    chroot = top / "chroot"
    (chroot / "owui-spoa").mkdir(parents=True)
    haproxy = pwd.getpwnam("haproxy")
    os.chown(chroot / "owui-spoa", 0, haproxy.pw_gid)
    (chroot / "owui-spoa").chmod(0o750)
    stack.sockets = [chroot / "owui-spoa" / "agent.sock"]
    replaced = {
        "*:80": f"127.0.0.1:{stack.http_port}",
        "*:443": f"127.0.0.1:{stack.https_port}",
        "/var/lib/haproxy": str(chroot),
        "/etc/haproxy/certs": str(stack.crt_dir),
        "/etc/haproxy/owui.spoe.cfg": str(stack.haproxy_dir / "owui.spoe.cfg"),
        "/run/haproxy/admin.sock": str(stack.runtime_socket),
        "127.0.0.1:8688": f"127.0.0.1:{stack.challenge_port}",
    }

    def place(source, target):
        text = source.read_text()
        for reference, value in replaced.items():
            text = text.replace(reference, value)
        target.write_text(text)

    place(CONFIG, stack.config_path)
    place(REFERENCE / "haproxy.cfg", stack.haproxy_dir / "haproxy.cfg")
    place(REFERENCE / "owui.spoe.cfg", stack.haproxy_dir / "owui.spoe.cfg")
    yield stack
    stack.stop()
    shutil.rmtree(top)


def test_the_reference_pair_works_as_the_packages_run_it(packaged, upstreams):
    host = "chat.alpha.test"
    packaged.issue(host)
    packaged.write_tenants({"alpha": {"hosts": [host], "upstream": upstreams["alpha"].url}})
    packaged.start_agent()
    packaged.start_haproxy()

    answer = request(packaged.http_port, "/x", host)
    assert answer.status == 308
    assert answer.header("Location") == f"https://{host}:{packaged.https_port}/x"
    seen = echo(packaged.https_port, host, tls_name=host, headers=[("X-User-Email", "me@x")])
    assert (seen.name, seen.scheme, seen.header("X-User-Email")) == ("alpha", "https", None)
    with Http2(packaged.https_port, host) as client:
        assert client.request("/health").json() == {"status": True}

    workers = packaged.haproxy_workers()
    owner = pathlib.Path(f"/proc/{workers[0]}").stat().st_uid
    assert owner == pwd.getpwnam("haproxy").pw_uid
    root = os.readlink(f"/proc/{workers[0]}/root")
    assert root.endswith(str(packaged.sockets[0].parent.parent))


def test_an_abstract_socket_needs_no_folder(new_stack, upstreams):
    name = f"owui-test-{os.getpid()}"
    stack = new_stack(
        changes={"listen": [f"unix:@{name}"]},
        haproxy_changes={"agents": [f"unix:@{name}"]},
    )
    host = "chat.alpha.test"
    stack.write_tenants(
        {"alpha": {"hosts": [host], "upstream": upstreams["alpha"].url, "https": "off"}}
    )
    stack.sockets = [f"\0{name}".ljust(108, "\0")]
    stack.start()
    assert echo(stack.http_port, host).name == "alpha"


def test_tcp_agents_work(new_stack, upstreams):
    from support.processes import free_port

    port = free_port()
    stack = new_stack(
        changes={"listen": [f"tcp:127.0.0.1:{port}"]},
        haproxy_changes={"agents": [f"tcp:{port}"]},
    )
    host = "chat.alpha.test"
    stack.write_tenants(
        {"alpha": {"hosts": [host], "upstream": upstreams["alpha"].url, "https": "off"}}
    )
    stack.sockets = [("127.0.0.1", port)]
    stack.start()
    assert echo(stack.http_port, host).name == "alpha"
