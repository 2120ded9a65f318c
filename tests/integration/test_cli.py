"""The program's commands as a script sees them: output, exit code, files."""

import json
import os
import pathlib
import re
import subprocess
import tempfile

import pytest

from support.stack import BINARY, HAPROXY, run_agent_command

GOOD = {"hosts": ["chat.test"], "upstream": "http://10.0.0.1:3000"}
BAD = {"hosts": ["chat.test"], "upstrem": "http://10.0.0.1:3000"}
COMMANDS = ["run", "check", "explain", "haproxy-config"]


@pytest.fixture
def configuration(tmp_path):
    """Writes a global file, and one file of tenants; gives the path."""

    def write(tenants=None, text=None, **changes):
        (tmp_path / "tenants.d").mkdir(exist_ok=True)
        if tenants is not None:
            file = tmp_path / "tenants.d" / "all.json"
            file.write_text(json.dumps({"tenants": tenants}, indent=2))
        path = tmp_path / "owui-spoa.json"
        settings = {
            "listen": [f"unix:{tmp_path}/agent.sock"],
            "haproxy": {
                "http": ["127.0.0.1:8080"],
                "https": [],
                "runtime": [],
                "chroot": None,
                "user": None,
                "group": None,
                "spoe_file": str(tmp_path / "out" / "owui.spoe.cfg"),
            },
            "defaults": {"https": "off"},
            **changes,
        }
        path.write_text(text if text is not None else json.dumps(settings, indent=2))
        return path

    return write


def run(*arguments, **options):
    return run_agent_command(*arguments, **options)


def test_the_version_is_that_of_the_project():
    assert re.fullmatch(r"owui-spoa \d+\.\d+\.\d+\n", run("--version").stdout)


def test_help_shows_every_command_by_example():
    done = run("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout
        helped = run(command, "--help")
        assert helped.returncode == 0 and helped.stderr == ""
        assert helped.stdout.startswith(f"usage: owui-spoa {command}")
        assert "\nexamples:\n  " in helped.stdout
        assert run("help", command).stdout == helped.stdout


def test_the_steps_that_help_tells_lead_to_https(tmp_path):
    """Pasted into a shell, but for the two that start something."""
    steps = run("--help").stdout.split("\nthe same, step by step:\n")[1]
    (tmp_path / "owui-spoa").symlink_to(BINARY)
    lines = steps.replace("/etc/haproxy", str(tmp_path)).splitlines()
    starts = [line.strip() for line in lines if " run " in line or "systemctl" in line]
    assert starts == ["systemctl restart haproxy", "owui-spoa run -c owui-spoa.json"]
    script = "\n".join(line for line in lines if line.strip() not in starts)
    subprocess.run(
        ["sh", "-euc", script],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=60,
    )
    assert (tmp_path / "haproxy.cfg").exists()
    written = json.loads((tmp_path / "owui-spoa.json").read_text())
    assert written["acme"] == {"directory": "letsencrypt"}  # without, no tenant gets a certificate


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["help", "serve"],
        ["check", "--jsn"],
        ["check", "more"],
        ["run", "-c"],
        ["explain"],
        ["explain", "chat.test"],
        ["explain", "http://chat.test/", "--from", "chat.test"],
        ["explain", "http://chat.test/", "--header", "X-Forwarded-For"],
        ["haproxy-config", "--for", "1.8"],
        ["haproxy-config", "--spoe", "--out", "/"],
        ["tenants", "chat", "--state", "kept"],
        ["tenants", "remove", "chat", "--state", "kept"],
        ["tenants", "--file", "chat.json"],
        ["tenants", "set", "chat", "upstream=http://127.0.0.1:1", "--file", "chat.json"],
        ["tenants", "chat", "--if-match", '"1"'],
        ["tenants", "add", "chat", "upstream=http://127.0.0.1:1", "--if-match", '"1"'],
        ["certs", "renew", "chat", "--check"],
    ],
)
def test_wrong_usage_is_told_on_stderr(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "owui-spoa" in done.stderr and "--help" in done.stderr


def test_a_mistyped_word_is_told_with_the_one_that_was_meant():
    for arguments, meant in (
        (["statsu"], "status"),
        (["status", "--jsn"], "--json"),
        (["certs", "renwe", "chat"], "renew"),
        (["certs", "renwe", "chat", "--help"], "renew"),
        (["tenants", "remvoe", "chat"], "remove"),
        (["tenants", "--state", "brokn"], '"broken"'),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"; did you mean {meant}?\n" in done.stderr, done.stderr
    assert 'unexpected argument "b"' in run("certs", "a.example.com", "b").stderr
    for arguments in (["a/../b"], ["renew", "a?b"], ["revoke", ""], ["rollback", "a b"]):
        done = run("certs", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert f'"{arguments[-1]}" is no name' in done.stderr, done.stderr
    for arguments in (["renew", "chat"], ["chat"], []):
        assert run("certs", *arguments, "--help").stdout.startswith("usage: owui-spoa certs ")


# --- check ----------------------------------------------------------------------------------------


def test_check_is_content(configuration):
    done = run("check", "-c", configuration({"a": GOOD}))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("result: 1 tenant good, 0 refused, in 2 files; 0 errors, 0 warnings\n")


def test_check_tells_partly_from_not_at_all(configuration):
    partly = run("check", "-c", configuration({"a": GOOD, "b": BAD}))
    assert partly.returncode == 1
    assert 'all.json:13:7: error[E107]: tenant "b": unknown key "upstrem"' in partly.stdout
    assert 'did you mean "upstream"?' in partly.stdout
    assert partly.stdout.splitlines()[-1].startswith("result: 1 tenant good, 1 refused")
    assert "owui-spoa tenants --state kept" in partly.stdout

    assert run("check", "-c", configuration({"b": BAD})).returncode == 1  # a daemon would start

    nothing = run("check", "-c", configuration(loops=0))
    assert nothing.returncode == 2
    assert "error[E105]" in nothing.stdout and "nothing can be served" in nothing.stdout
    assert run("check", "-c", "/nowhere.json").returncode == 2


def test_check_for_programs(configuration):
    done = run("check", "--json", "-c", configuration({"a": GOOD, "b": BAD}))
    told = json.loads(done.stdout)
    assert (told["usable"], told["tenants"], told["refused"]) == (True, 1, 1)
    assert told["errors"] == len(told["diagnostics"]) > 0
    first = told["diagnostics"][0]
    assert first["code"] == "E107" and first["severity"] == "error"
    assert (first["line"], first["column"]) == (13, 7)
    assert first["file"].endswith("tenants.d/all.json")


ACME = {"directory": "https://acme.test/"}

# What is not there, and who does not start for it.
SURROUNDINGS = [
    ({"listen_group": "no-such"}, "E120", "listen_group", 2),
    ({"acme": {**ACME, "group": "no-such"}}, "E120", "acme.group", 2),
    ({"acme": {**ACME, "owner": "no-such"}}, "E120", "acme.owner", 2),
    ({"acme": {**ACME, "webroot": "gone"}}, "E121", "acme.webroot", 2),
    (
        {"acme": {**ACME, "external_account": {"kid": "k", "secret_file": "gone"}}},
        "E121",
        "acme.external_account.secret_file",
        2,
    ),
    ({"haproxy": {"upstream_ca_file": "gone.pem"}}, "E121", "haproxy.upstream_ca_file", 1),
    ({"haproxy": {"client_ca_file": "all.pem"}}, "E121", "haproxy.client_ca_file", 1),
    ({"acme": {**ACME, "ca_file": "all.pem"}}, "W521", "acme.ca_file", 0),
    ({"acme": {**ACME, "certbot_live": "gone"}}, "W521", "acme.certbot_live", 0),
    ({"jwks": {"ca_file": "gone.pem"}}, "W521", "jwks.ca_file", 0),
]


@pytest.mark.parametrize(
    "settings, code, key, returned", SURROUNDINGS, ids=[row[2] for row in SURROUNDINGS]
)
def test_what_is_not_there_is_missed_before_the_start(
    configuration, tmp_path, settings, code, key, returned
):
    """`check` and `run` agree, and where HAProxy reads it, HAProxy."""
    changes = json.loads(json.dumps(settings))
    haproxy = {
        "http": ["127.0.0.1:8080"],
        "https": ["127.0.0.1:8443"],
        "runtime": [],
        "crt_dir": str(tmp_path / "certs"),
        "chroot": None,
        "user": None,
        "group": None,
        "spoe_file": str(tmp_path / "owui.spoe.cfg"),
    }
    (tmp_path / "owui.spoe.cfg").touch()
    changes["haproxy"] = {**haproxy, **changes.get("haproxy", {})}
    if "acme" in changes:
        changes["acme"]["state_dir"] = str(tmp_path / "state")
    (tmp_path / "certs").mkdir()
    (tmp_path / "all.pem").write_text("no PEM\n")
    path = configuration({"chat": GOOD}, admin_socket=str(tmp_path / "admin.sock"), **changes)
    done = run("check", "-c", path)
    kind = "warning" if code.startswith("W") else "error"
    assert f" {kind}[{code}]: {key}: " in done.stdout, done.stdout
    assert re.search(rf"^{re.escape(str(path))}:\d+:\d+: {kind}\[{code}\]", done.stdout, re.M)
    assert done.returncode == returned, done.stdout
    assert run("check", "--elsewhere", "-c", path).returncode == 0
    if returned == 2:
        started = subprocess.run(
            [BINARY, "run", "-c", path], capture_output=True, text=True, timeout=60
        )
        assert started.returncode == 2, started.stderr
    if returned == 1:
        written = run("haproxy-config", "-c", path, "--thumbprint", "none", "--out", tmp_path)
        assert written.returncode == 0, written.stderr
        judged = subprocess.run(
            [HAPROXY, "-c", "-f", tmp_path / "haproxy.cfg"], capture_output=True, text=True
        )
        assert judged.returncode != 0, judged.stderr
        assert changes["haproxy"][key.partition(".")[2]] in judged.stderr


@pytest.mark.parametrize("key", ["upstream_ca_file", "client_ca_file"])
def test_what_haproxy_has_in_its_own_container_is_not_missed_in_the_agents(
    configuration, tmp_path, key
):
    """Of HAProxy's folder the agent has the certificates alone, as packaging/oci has it."""
    (tmp_path / "haproxy" / "certs").mkdir(parents=True)
    haproxy = {
        "https": ["127.0.0.1:8443"],
        "chroot": None,
        "spoe_file": str(tmp_path / "haproxy" / "owui.spoe.cfg"),
        "crt_dir": str(tmp_path / "haproxy" / "certs"),
        key: str(tmp_path / "haproxy" / "ca.pem"),
    }
    path = configuration({"chat": GOOD}, haproxy=haproxy)
    done = run("check", "-c", path)
    assert done.returncode == 0 and f"warning[W521]: haproxy.{key}: " in done.stdout, done.stdout
    for name in "owui.spoe.cfg", "haproxy.cfg":
        file = tmp_path / "haproxy" / name
        file.touch()
        done = run("check", "-c", path)
        assert done.returncode == 1 and f"error[E121]: haproxy.{key}: " in done.stdout, done.stdout
        file.unlink()
    (tmp_path / "haproxy" / "ca.pem").write_text("no PEM\n")
    assert run("check", "-c", path).returncode == 1


def test_what_somebody_may_not_look_at_is_no_mistake(configuration, tmp_path):
    """The service may: `check` by another user is not to fail for it."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    (folder / "eab").write_text("c2VjcmV0\n")
    account = {"kid": "k", "secret_file": str(folder / "eab")}
    path = configuration({"chat": GOOD}, acme={**ACME, "external_account": account})
    assert run("check", "-c", path).returncode == 0
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.owner() == "root" and str(parent).startswith(tempfile.gettempdir() + "/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        + [BINARY, "check", "-c", str(path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning[W521]: acme.external_account.secret_file: " in done.stdout
    assert "Permission denied" in done.stdout and "runuser -u owui-spoa" in done.stdout


# What the daemon has to ask over HTTP for, and the word that is told for it.
ASKING = [
    ({"acme": {"directory": "https://acme.test/"}}, {}, '"acme"'),
    ({}, {"check": {}}, '"check"'),
    (
        {},
        {
            "identity": {
                "from": "jwt",
                "issuer": "i",
                "audience": "a",
                "jwks": "https://id.test/keys",
                "set": {"X-User-Email": "{email}"},
            }
        },
        '"jwks"',
    ),
]


@pytest.mark.parametrize("settings, member, word", ASKING, ids=["acme", "check", "jwks"])
def test_a_library_that_will_be_needed_is_missed_in_time(
    configuration, tmp_path, monkeypatch, settings, member, word
):
    """libcurl is loaded when something is to be asked: `check` tries, a mere router does not."""
    path = configuration({"chat": {**GOOD, **member}}, **settings)
    assert run("check", "-c", path).returncode == 0
    (tmp_path / "libcurl.so.4").touch()  # found before the real one, and no library
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    done = run("check", "-c", path)
    assert done.returncode == 1
    assert f"error: {word} cannot work: libcurl cannot be loaded: " in done.stdout
    assert "(install libcurl" in done.stdout
    assert run("check", "-c", configuration({"chat": GOOD})).returncode == 0


def test_certificates_without_the_library_end_the_start(configuration, tmp_path, monkeypatch):
    (tmp_path / "libcurl.so.4").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    acme = {"directory": "https://acme.test/", "state_dir": str(tmp_path / "state")}
    done = run("run", "-c", configuration({"chat": GOOD}, acme=acme))
    assert done.returncode == 2
    assert "cannot_start" in done.stderr and "libcurl cannot be loaded" in done.stderr


def test_check_finds_answers_that_would_not_fit(configuration):
    headers = {f"X-H{number}": "v" * 60 for number in range(9)}
    done = run("check", "-c", configuration({"a": {**GOOD, "headers": headers}}))
    assert done.returncode == 1 and "error[E219]" in done.stdout


# --- explain --------------------------------------------------------------------------------------


def explain(path, *arguments):
    done = run("explain", "-c", path, "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def test_explain_tells_the_rule_and_its_line(configuration):
    path = configuration({"a": {**GOOD, "https": "off"}})
    code, told = explain(path, "http://Chat.TEST.:81/x//y?q=1")
    assert code == 0
    assert told["decision"] == "forward" and told["upstream"] == "http://10.0.0.1:3000"
    assert told["request"] == {
        "host": "Chat.TEST.:81",
        "path": "/x//y",
        "host_told": "chat.test",
        "path_told": "/x/y",
    }
    assert told["tenant"]["place"].endswith("all.json:3:5")
    assert told["tried"] == [
        {
            "rule": "chat.test",
            "tenant": "a",
            "won": True,
            "place": told["tried"][0]["place"],
        }
    ]
    assert told["tried"][0]["place"].endswith("all.json:5:9")
    assert told["headers"]["set"]["Host"] == "chat.test:81"
    assert "X-Forwarded-*" in told["headers"]["deleted"]


def test_explain_answers_with_its_exit_code(configuration):
    path = configuration({"a": GOOD})
    assert explain(path, "http://chat.test/")[0] == 0  # a redirect
    assert explain(path, "https://chat.test/")[0] == 0
    code, told = explain(path, "https://nobody.test/")
    assert (code, told["status"], told["reason"]) == (1, 404, "unknown-host")
    assert run("explain", "-c", "/nowhere.json", "https://chat.test/").returncode == 2


def test_explain_finds_addresses_of_names(configuration):
    path = configuration(
        {
            "named": {**GOOD, "hosts": ["n.test"], "upstream": "http://localhost:3000"},
            "fleet": {**GOOD, "hosts": ["*.f.test"], "upstream": "http://{1}:3000"},
        }
    )
    for host in ("n.test", "localhost.f.test"):
        code, told = explain(path, f"https://{host}/")
        assert code == 0 and told["upstream"].endswith(":3000 (localhost)"), told
    code, told = explain(path, "https://no-such-host.f.test/")
    assert (code, told["reason"]) == (1, "upstream-unresolved")


def test_explain_for_people(configuration):
    done = run("explain", "-c", configuration({"a": GOOD}), "https://chat.test/", "--sni", "b.test")
    assert done.stdout.startswith("GET https://chat.test/ from 192.0.2.1\n\ndecision   forward\n")
    assert "  -> chat.test " in done.stdout
    assert "  X-Forwarded-For: 192.0.2.1\n" in done.stdout
    assert "handshake's name b.test" in done.stdout


# --- haproxy-config -------------------------------------------------------------------------------


def test_haproxy_config_is_printed_or_written(configuration, tmp_path):
    path = configuration({"a": {**GOOD, "headers": {"X-Team": "red"}}})
    folder = tmp_path / "out"
    folder.mkdir()
    printed = run("haproxy-config", "-c", path)
    assert printed.returncode == 0 and "set-header X-Team" in printed.stdout
    written = run("haproxy-config", "-c", path, "--out", folder)
    assert written.returncode == 0
    assert written.stdout == f"{folder}/haproxy.cfg\n{folder}/owui.spoe.cfg\n"
    assert (folder / "haproxy.cfg").read_text() == printed.stdout
    spoe = run("haproxy-config", "-c", path, "--spoe").stdout
    assert (folder / "owui.spoe.cfg").read_text() == spoe
    assert sorted(os.listdir(folder)) == ["haproxy.cfg", "owui.spoe.cfg"]
    subprocess.run([HAPROXY, "-c", "-q", "-f", folder / "haproxy.cfg"], check=True)


def test_lines_of_ones_own_survive(configuration, tmp_path):
    path = configuration({"a": GOOD})
    folder = tmp_path / "out"
    folder.mkdir()
    run("haproxy-config", "-c", path, "--out", folder)
    file = folder / "haproxy.cfg"
    mark = "# own lines, defaults"
    text = file.read_text()
    at = text.index("\n", text.index(mark)) + 1
    file.write_text(text[:at] + "    option splice-auto\n" + text[at:])
    assert run("haproxy-config", "-c", path, "--out", folder).returncode == 0
    assert "    option splice-auto\n" in file.read_text()


def test_what_cannot_be_written_leaves_what_was_there(configuration, tmp_path):
    path = configuration({"a": GOOD})
    done = run("haproxy-config", "-c", path, "--out", tmp_path / "nowhere")
    assert done.returncode == 2 and "nowhere" in done.stderr


def test_both_of_haproxys_files_are_written_or_none(configuration, tmp_path):
    """They go together, and haproxy.cfg is the last."""
    path = configuration({"a": GOOD})
    folder = tmp_path / "out"
    folder.mkdir()
    assert run("haproxy-config", "-c", path, "--out", folder).returncode == 0
    (folder / "owui.spoe.cfg").write_text("# as it was\n")
    if subprocess.run(["chattr", "+i", folder / "haproxy.cfg"], capture_output=True).returncode:
        pytest.skip("no files that cannot be replaced here")
    try:
        done = run("haproxy-config", "-c", path, "--out", folder)
    finally:
        subprocess.run(["chattr", "-i", folder / "haproxy.cfg"], check=True)
    assert done.returncode == 2 and "in place of" in done.stderr
    assert (folder / "owui.spoe.cfg").read_text() == "# as it was\n"
    assert sorted(os.listdir(folder)) == ["haproxy.cfg", "owui.spoe.cfg"]
    assert run("haproxy-config", "-c", path, "--out", folder).returncode == 0
    assert (folder / "owui.spoe.cfg").read_text() != "# as it was\n"
    assert sorted(os.listdir(folder)) == ["haproxy.cfg", "owui.spoe.cfg"]


# --- run ------------------------------------------------------------------------------------------


def test_run_ends_with_everything_that_is_wrong(configuration):
    done = run("run", "-c", configuration(loops=0, lopps=2))
    assert done.returncode == 2
    assert "error[E105]" in done.stderr and "error[E107]" in done.stderr
    assert done.stderr.endswith("owui-spoa.json cannot serve\n")


def test_run_does_not_start_where_it_cannot_listen(configuration):
    done = run("run", "-c", configuration(listen=["unix:/nowhere/agent.sock"]))
    assert done.returncode == 2
    assert "cannot_listen address=unix:/nowhere/agent.sock" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
@pytest.mark.parametrize("kept", ["tenants.d", "tenants.d/all.json"])
def test_what_may_not_be_read_is_no_good_news(kept):
    with tempfile.TemporaryDirectory() as name:  # others may not enter pytest's
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / "tenants.d").mkdir()
        (folder / "owui-spoa.json").write_text("{}")
        for path in ("tenants.d/all.json", "new.json"):
            (folder / path).write_text(json.dumps({"tenants": {"chat": GOOD}}))
        (folder / kept).chmod(0)
        command = ["diff", folder / "new.json", "-c", folder / "owui-spoa.json"]
        done = run(*command, user=65534)
        assert done.returncode == 2 and done.stdout == "", done
        assert done.stderr.count("Permission denied") == 1 and "try sudo" in done.stderr
        command = ["doctor", "--json", "--seconds", 1, "-c", folder / "owui-spoa.json"]
        done = run(*command, user=65534)
        found = json.loads(done.stdout)["findings"][0]
        assert (found["check"], found["severity"]) == ("configuration", "note"), found
        assert found["fix"] == "sudo owui-spoa doctor"


def test_a_diff_of_what_is_wrong_is_no_good_news(configuration, tmp_path):
    """A script asks before it puts the file in place."""
    path = configuration({"chat": GOOD})
    new = tmp_path / "all.json"
    for text, code in (
        (json.dumps({"tenants": {"chat": GOOD}}), 0),
        (json.dumps({"tenants": {"chat": {**GOOD, "hosts": ["other.test"]}}}), 1),
        (json.dumps({"tenants": {"chat": GOOD, "new": {"hosts": ["n.test"]}}}), 2),
        (json.dumps({"tenants": {"chat": BAD}}), 2),
        ('{"tenants": {"chat"', 2),
        ("", 2),
    ):
        new.write_text(text)
        done = run("diff", new, "-c", path)
        assert done.returncode == code, (text, done)
        assert ("is wrong would not come into force" in done.stderr) == (code == 2)
        done = run("diff", new, "-c", path, "--json")
        assert done.returncode == code and '"differ"' in done.stdout, done
    new.write_text(json.dumps({"tenants": {"chat": GOOD}}))
    # What was wrong before is not the change's fault.
    (tmp_path / "tenants.d" / "old.json").write_text(json.dumps({"tenants": {"b": BAD}}))
    done = run("diff", new, "-c", path)
    assert done.returncode == 0 and done.stderr.count("error[") == 1, done


def test_what_is_wrong_already_is_told_once(configuration, tmp_path):
    """However much it is, and whatever its file is called."""
    path = configuration({"chat": GOOD})
    folder = tmp_path / "tenants.d"
    for index in range(300):
        (folder / f"old{index}.json").write_text(json.dumps({"tenants": {f"b{index}": BAD}}))
    (folder / os.fsdecode(b"\xff.json")).write_text(json.dumps({"tenants": {"b": BAD}}))
    new = tmp_path / "all.json"
    for more, code in ({}, 0), ({"new": BAD}, 2):
        new.write_text(json.dumps({"tenants": {"chat": GOOD, **more}}))
        done = run("diff", new, "-c", path, errors="replace")
        assert done.returncode == code, done.stderr[-900:]
        assert done.stderr.count("error[") == 301 + len(more)
