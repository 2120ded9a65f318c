"""`owui-spoa doctor`: a set-up in which it finds nothing, and each finding by really breaking that."""

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import threading

import pytest

from support.certified import names_of
from support.clients import request
from support.identity import Key, key_set
from support.processes import Process, accepts, free_port, wait_until
from support.stack import HAPROXY, Upstream, run_agent_command
from support.told import hold

HOST = "chat.example.test"
ORIGIN = f"https://{HOST}"
WELL_SET = {
    "CORS_ALLOW_ORIGIN": ORIGIN,
    "OAUTH_PROVIDER_NAME": "SSO",
    "WEBUI_SESSION_COOKIE_SECURE": "true",
}


def write_tenant(stack, upstream, **more):
    tenant = {"hosts": [HOST], "upstream": upstream if isinstance(upstream, str) else upstream.url}
    stack.write_tenants({"chat": {**tenant, **more}}, "chat.json")


@pytest.fixture
def served(folder):
    """Makes Open WebUIs with settings of their own: served(env, ...)."""
    made = []

    def make(env=None, **options):
        one = Upstream(f"doctor{len(made)}", folder, env={**WELL_SET, **(env or {})}, **options)
        made.append(one)
        return one.start().wait()

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def healthy(new_certified, served):
    """With a certificate, an Open WebUI that is set as `setup` says, and a HAProxy that is up."""
    stack = new_certified()
    stack.config["haproxy"]["https_port"] = 443  # where browsers come: ORIGIN has none
    stack.upstream = served()
    write_tenant(stack, stack.upstream)
    stack.start()
    assert names_of(stack.wait_served(HOST)) == {HOST}
    stack.wait_for_agents(1)
    wait_until(lambda: stack.told("chat.pem")["haproxys"][0]["served"], "told", 30)
    return stack


def restart_haproxy(stack):
    stack.haproxy.stop(signal.SIGTERM)
    stack.start_haproxy()
    wait_until(lambda: accepts(stack.runtime_socket), "its Runtime API", 30)
    stack.wait_for_agents(1)


def examine(stack, *arguments):
    """What was found, and the exit code."""
    done = run_agent_command("doctor", "-c", stack.config_path, "--json", *arguments)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    hold("doctor", told, named={"checks"})
    assert all(finding["fix"] and finding["message"] for finding in told["findings"])
    return told, done.returncode


def only(stack, check, *severities):
    """The findings of one check, when there are no others; None while there are."""
    told, code = examine(stack)
    found = [finding for finding in told["findings"] if finding["severity"] != "note"]
    if {finding["check"] for finding in found} != {check}:
        return None
    assert code == 1
    assert {finding["severity"] for finding in found} <= set(severities or ("error", "warning"))
    return found


def until_well(stack, *arguments):
    """What is told when nothing is found; a machine that is busy may keep an answer from coming."""

    def look():
        told, code = examine(stack, *arguments)
        return told if told["findings"] == [] and code == 0 else None

    return wait_until(look, "nothing to be found", 60)


def found_by(stack, check):
    """What one check finds, whatever others do."""
    return wait_until(
        lambda: [f for f in examine(stack)[0]["findings"] if f["check"] == check], check, 30
    )


def the(stack, check, *severities):
    """The only finding; awaited, because what was broken is noticed in its time."""
    found = wait_until(lambda: only(stack, check, *severities), f"{check} alone", 30)
    assert len(found) == 1, found
    return found[0]


def checks_of(told):
    return {finding["check"] for finding in told["findings"]}


# --- healthy --------------------------------------------------------------------------------------


def test_nothing_is_found_where_nothing_is_wrong(healthy):
    told = until_well(healthy)
    # Each kind of check was made.
    assert [name for name, count in told["checks"].items() if count == 0] == []
    assert until_well(healthy, "chat")

    def tell():
        """However the file is named, it is the daemon's."""
        path = healthy.config_path
        done = run_agent_command("doctor", "-c", path.name, cwd=path.parent)
        return done if "Nothing was found" in done.stdout else None

    done = wait_until(tell, "nothing to be found", 60)
    assert done.returncode == 0 and done.stdout.startswith("Nothing was found. Looked at:\n")
    assert "the Socket.IO handshake" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 and "\x1b" not in done.stdout


def test_wrong_usage(healthy):
    def run(*arguments):
        return run_agent_command("doctor", "-c", healthy.config_path, *arguments)

    done = run("nobody")
    assert done.returncode == 2 and 'no tenant "nobody"' in done.stderr
    assert run("--seconds", "0").returncode == 2
    assert run("a", "b").returncode == 2
    assert run_agent_command("doctor", "-c", "/nowhere.json").returncode == 2


# --- the configuration, the daemon, HAProxy -------------------------------------------------------


def test_a_mistake_is_one_finding(healthy):
    write_tenant(healthy, "ftp://x")
    found = the(healthy, "configuration", "error")
    assert "owui-spoa check" in found["fix"]


def test_without_the_daemon(healthy):
    healthy.agents[0].stop()
    told, code = examine(healthy)
    assert code == 1 and {"daemon", "spoe", "https", "challenge"} <= checks_of(told)
    daemon = next(one for one in told["findings"] if one["check"] == "daemon")
    assert "systemctl start owui-spoa" in daemon["fix"]


def test_without_haproxy(healthy):
    healthy.haproxy.stop(signal.SIGTERM)
    told, code = examine(healthy)
    assert code == 1 and {"haproxy", "challenge", "certificate", "https"} <= checks_of(told)
    haproxy = next(one for one in told["findings"] if one["check"] == "haproxy")
    assert haproxy["about"] == str(healthy.runtime_socket)
    assert "systemctl start haproxy" in haproxy["fix"]


def test_files_of_another_configuration(healthy):
    """A tenant that sets a header needs other files."""
    write_tenant(healthy, healthy.upstream, headers={"X-Team": "red"})
    found = wait_until(lambda: only(healthy, "haproxy-files", "warning"), "told", 30)
    assert {one["about"].rsplit("/", 1)[1] for one in found} == {"haproxy.cfg"}
    command = f"haproxy-config --out {healthy.haproxy_dir} -c {healthy.config_path} &&"
    assert command in found[0]["fix"]
    spoe = healthy.haproxy_dir / "owui.spoe.cfg"
    spoe.write_text(spoe.read_text() + "# mine\n")
    found = wait_until(
        lambda: len(only(healthy, "haproxy-files", "warning") or []) == 2, "told", 30
    )


def test_a_haproxy_cfg_of_somebody_elses(healthy):
    """What is told to be done does not take its sites from the net unseen."""
    path = healthy.haproxy_dir / "haproxy.cfg"
    before = path.stat().st_mtime
    path.write_text("frontend shop\n    bind :8081\n")
    os.utime(path, (before, before))
    found = the(healthy, "haproxy-files", "warning")
    assert found["about"] == str(path) and "somebody else" in found["message"]
    assert "sets this one aside" in found["fix"] and "reload" not in found["fix"]


def test_haproxy_was_not_reloaded(healthy):
    path = healthy.haproxy_dir / "haproxy.cfg"
    later = path.stat().st_mtime + 3600
    os.utime(path, (later, later))
    found = the(healthy, "haproxy-files", "warning")
    assert found["fix"] == "systemctl reload haproxy"


def test_another_haproxy_than_ours(healthy, folder):
    """Its Runtime API is that of a HAProxy without an agent in it."""
    healthy.haproxy.stop(signal.SIGTERM)
    other = folder / "other.cfg"
    other.write_text(
        f"global\n    stats socket {healthy.runtime_socket} level admin\n"
        f"defaults\n    mode http\n    timeout connect 1s\n    timeout client 1s\n"
        f"    timeout server 1s\nfrontend f\n    bind 127.0.0.1:{free_port()}\n"
    )
    process = Process("other", [HAPROXY, "-f", other], folder).start()
    try:
        wait_until(healthy.runtime_socket.is_socket, "listening", 30)
        told = found_by(healthy, "spoe")
        assert "another configuration" in told[0]["message"]
    finally:
        process.stop(signal.SIGTERM)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be HAProxy's user")
def test_a_socket_that_haproxy_may_not_write_to(healthy):
    """HAProxy runs as root here; its configuration names the user it would be."""
    healthy.config["haproxy"]["user"] = "nobody"
    healthy.write_config()
    os.chmod(healthy.sockets[0], 0o600)
    told = [f for f in examine(healthy)[0]["findings"] if f["check"] == "spoe"]
    assert len(told) == 1 and "may not write to this socket" in told[0]["message"]
    assert "mode 0600" in told[0]["message"] and "listen_group" in told[0]["fix"]
    os.chmod(healthy.sockets[0], 0o666)
    os.chmod(healthy.directory, 0o700)
    told = [f for f in examine(healthy)[0]["findings"] if f["check"] == "spoe"]
    assert told[0]["about"] == str(healthy.directory) and "enter this folder" in told[0]["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a socket to a group")
def test_haproxy_is_in_the_group_that_it_is_told_alone(healthy):
    """Whatever other groups its user is in; nobody is in nogroup."""
    healthy.config["haproxy"].update(user="nobody", group="daemon")
    healthy.write_config()
    os.chmod(healthy.sockets[0], 0o660)
    for group, may in (("daemon", True), ("nogroup", False)):
        shutil.chown(healthy.sockets[0], group=group)
        told = [f["message"] for f in examine(healthy)[0]["findings"] if f["check"] == "spoe"]
        assert any("may not write to this socket" in one for one in told) != may, told


def test_no_agent_socket(healthy):
    healthy.config["listen"] = [f"unix:{healthy.directory}/nobody.sock"]
    healthy.write_config()
    told = [f for f in examine(healthy)[0]["findings"] if f["check"] == "spoe"]
    assert "cannot be seen" in told[0]["message"]


# --- a tenant's host ------------------------------------------------------------------------------


def test_a_name_without_an_address(healthy, served):
    gone = "gone.example.test"
    healthy.pebble.set_dns("set-default-ipv4", ip="")
    healthy.pebble.set_dns("add-a", host=HOST + ".", addresses=["127.0.0.1"])
    try:
        write_tenant(healthy, healthy.upstream, hosts=[HOST, gone])
        found = found_by(healthy, "dns")
        assert [one["about"] for one in found] == [gone]
        assert found[0]["severity"] == "error" and "A or AAAA record" in found[0]["fix"]
    finally:
        healthy.pebble.set_dns("set-default-ipv4", ip="127.0.0.1")
        healthy.pebble.set_dns("clear-a", host=HOST + ".")


def test_a_wildcard_whose_names_have_no_address(healthy):
    """Any name below it has to lead here; nobody orders a certificate for one."""
    tenant = {"hosts": ["*.ai.example.test"], "upstream": healthy.upstream.url}
    healthy.pebble.set_dns("set-default-ipv4", ip="")
    healthy.pebble.set_dns("add-a", host=HOST + ".", addresses=["127.0.0.1"])
    try:
        healthy.write_tenants({"many": tenant}, "many.json")
        (found,) = found_by(healthy, "dns")
        assert found["about"] == "*.ai.example.test" and found["tenant"] == "many"
        assert "owui-spoa-doctor.ai.example.test" in found["message"]
        assert "record for *.ai.example.test" in found["fix"]
        (found,) = found_by(healthy, "certificate")
        assert found["about"] == "*.ai.example.test" and '"certificate_file"' in found["fix"]
    finally:
        healthy.pebble.set_dns("set-default-ipv4", ip="127.0.0.1")
        healthy.pebble.set_dns("clear-a", host=HOST + ".")


WILDCARD = "*.ai.example.test"


@pytest.mark.parametrize(
    "names, days, severity, told",
    [
        ([WILDCARD], 60, None, None),
        ([HOST, WILDCARD], 60, None, None),  # with others in it
        ([WILDCARD], 6, "warning", " days: nobody renews it but you"),
        ([WILDCARD], -2, "error", "is over"),
        (["*.example.test"], 60, "error", "HAProxy has no certificate for names below it"),
        (["*.x.ai.example.test"], 60, "error", "HAProxy has no certificate for names below it"),
    ],
    ids=["good", "among others", "ends soon", "over", "one label short", "one label long"],
)
def test_a_wildcards_certificate(healthy, names, days, severity, told):
    """It is somebody's to bring: what HAProxy shows is held against what the host wants."""
    healthy.write_tenants(
        {"many": {"hosts": [WILDCARD], "upstream": healthy.upstream.url}}, "m.json"
    )
    healthy.authority.issue(names, healthy.crt_dir / "wildcard.pem", days=days)
    restart_haproxy(healthy)
    if severity is None:
        until_well(healthy, "many")
        return
    # That the daemon has not yet seen HAProxy anew is told of the other tenant's.
    (found,) = [one for one in found_by(healthy, "certificate") if one["tenant"] == "many"]
    assert (found["about"], found["severity"]) == (WILDCARD, severity)
    assert told in found["message"], found
    assert f"certificate for {WILDCARD}" in found["fix"]


@contextlib.contextmanager
def leading_to(stack, kind, address):
    """While HOST has this record."""
    stack.pebble.set_dns(f"add-{kind}", host=HOST + ".", addresses=[address])
    try:
        yield
    finally:
        stack.pebble.set_dns(f"clear-{kind}", host=HOST + ".")


def test_a_name_that_leads_elsewhere_is_a_note(healthy):
    with leading_to(healthy, "a", "192.0.2.77"):
        found = found_by(healthy, "dns")
        assert [one["severity"] for one in found] == ["note"]
        assert "192.0.2.77" in found[0]["message"]
        wait_until(lambda: examine(healthy)[1] == 0, "a note alone", 30)


def test_a_name_that_leads_here_and_elsewhere(healthy):
    with leading_to(healthy, "aaaa", "2001:db8::77"):
        (found,) = found_by(healthy, "dns")
        assert found["severity"] == "note" and "2001:db8::77 as well" in found["message"]


def test_an_address_where_haproxy_does_not_listen(ipv6, healthy):
    """HAProxy has IPv4, the name has IPv6, too."""
    with leading_to(healthy, "aaaa", "::1"):
        (found,) = found_by(healthy, "dns")
        assert found["severity"] == "warning" and "leads to ::1" in found["message"]
        assert f'add "[::]:{healthy.http_port}" to "haproxy": {{"http"}}' in found["fix"]
        healthy.config["haproxy"]["http"].append(f"[::1]:{healthy.http_port}")
        healthy.write_config()
        (found,) = found_by(healthy, "dns")
        assert f'"[::]:{healthy.https_port}"' in found["fix"] and "for https" in found["message"]
        healthy.config["haproxy"]["https"].append(f"[::]:{healthy.https_port}")
        healthy.write_config()
        checks = [one["check"] for one in examine(healthy)[0]["findings"]]
        assert "dns" not in checks and checks  # HAProxy runs as before, and that is told


def test_clients_of_ipv6_and_lists_of_ipv4(healthy):
    """Who is in the list comes by the other way, or whoever does is refused."""
    for key, networks in (("deny_ips", ["203.0.113.0/24"]), ("allow_ips", ["127.0.0.0/8"])):
        write_tenant(healthy, healthy.upstream, **{key: networks})
        with leading_to(healthy, "aaaa", "2001:db8::77"):
            found = [one for one in found_by(healthy, "dns") if key in one["message"]]
            assert [one["severity"] for one in found] == ["note"]
            assert f'in "{key}" of ' in found[0]["fix"] and "chat.json" in found[0]["fix"]
            write_tenant(healthy, healthy.upstream, **{key: networks + ["2001:db8::/32"]})
            assert not any(key in one["message"] for one in found_by(healthy, "dns"))
        write_tenant(healthy, healthy.upstream, **{key: networks})
        assert not any(key in one["message"] for one in examine(healthy)[0]["findings"])


def two_binds(stack, port=None):
    """The global file has a second bind for both; HAProxy goes on as it was started."""
    for key, number in (("http", stack.http_port), ("https", port or stack.https_port)):
        stack.config["haproxy"][key].append(f"[::1]:{number}")
    stack.write_config()


def test_a_bind_that_does_not_answer(ipv6, healthy):
    two_binds(healthy)
    for check, port in (("challenge", healthy.http_port), ("certificate", healthy.https_port)):
        (found,) = found_by(healthy, check)
        assert f"does not answer on [::1]:{port}" in found["message"]
    assert not {"https", "websocket"} & checks_of(examine(healthy)[0])
    healthy.write_haproxy_config()
    restart_haproxy(healthy)
    wait_until(
        lambda: not {"challenge", "certificate"} & checks_of(examine(healthy)[0]), "both", 30
    )


class Stranger(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def test_somebody_else_at_a_bind(ipv6, healthy, tmp_path):
    """What is well at the first one is told of the second."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(healthy.authority.issue(["other.example.test"], tmp_path / "other.pem"))
    server = Stranger(("::1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    two_binds(healthy, server.server_port)
    (found,) = found_by(healthy, "certificate")
    assert f"another name is shown at [::1]:{server.server_port}" in found["message"]
    server.shutdown()
    server.server_close()


def test_nobody_answers_challenges(healthy):
    """HAProxy sends them where nobody listens."""
    path = healthy.haproxy_dir / "haproxy.cfg"
    text = path.read_text()
    assert f"127.0.0.1:{healthy.challenge_port}" in text
    path.write_text(text.replace(f"127.0.0.1:{healthy.challenge_port}", "127.0.0.1:9"))
    restart_haproxy(healthy)
    found = found_by(healthy, "challenge")
    assert "challenge_listen" in found[0]["fix"]


def test_challenges_that_are_redirected(healthy):
    path = healthy.haproxy_dir / "haproxy.cfg"
    text = path.read_text()
    first = text.index("    bind ")
    rule = "    http-request redirect scheme https code 301 unless { ssl_fc }\n"
    path.write_text(text[:first] + rule + text[first:])
    restart_haproxy(healthy)
    found = found_by(healthy, "challenge")
    assert "is redirected to https://" in found[0]["message"]


def test_another_certificate_than_the_one_on_disk(healthy):
    """HAProxy reads another folder than the one that is looked after."""
    others = healthy.haproxy_dir / "others"
    others.mkdir()
    healthy.authority.issue([HOST], others / "chat.pem")
    path = healthy.haproxy_dir / "haproxy.cfg"
    text = path.read_text()
    assert str(healthy.crt_dir) in text
    path.write_text(text.replace(str(healthy.crt_dir), str(others)))
    restart_haproxy(healthy)
    found = found_by(healthy, "certificate")
    assert len(found) == 1 and "HAProxy shows serial" in found[0]["message"]
    # The daemon has it on disk since before HAProxy began anew, and puts it in again, in vain.
    told = wait_until(
        lambda: [f for f in found_by(healthy, "certificate") if "no bind" in f["message"]],
        "why",
        30,
    )
    assert f"ssl crt {healthy.crt_dir}" in told[0]["message"]
    assert told[0]["fix"].startswith("owui-spoa haproxy-config --out ")


@pytest.mark.parametrize("days", [20, -0.5])
def test_another_file_for_the_name_is_named(healthy, days):
    """Of two files for a name HAProxy shows the one that it reads first; no renewal changes that."""
    another = healthy.crt_dir / "another.pem"
    healthy.authority.issue([HOST], another, days=days)
    restart_haproxy(healthy)
    wait_until(lambda: healthy.told("chat.pem")["haproxys"][0]["served"], "told", 30)
    (found,) = found_by(healthy, "certificate")
    assert found["severity"] == "error" and f"shows what is in {another}" in found["message"]
    assert ("is over" in found["message"]) == (days < 0)
    assert found["fix"].startswith(f"rm {another}") and "systemctl reload haproxy" in found["fix"]
    another.unlink()  # as it says
    restart_haproxy(healthy)
    until_well(healthy)


def test_another_certificate_for_the_name_of_no_file_in_the_folder(healthy):
    """A line of somebody's own: HAProxy has ours, too."""
    other = healthy.authority.issue([HOST], healthy.haproxy_dir / "other.pem", days=-0.5)
    path = healthy.haproxy_dir / "haproxy.cfg"
    path.write_text(path.read_text().replace(" ssl crt ", f" ssl crt {other} crt ", 1))
    restart_haproxy(healthy)
    wait_until(lambda: healthy.told("chat.pem")["haproxys"][0]["served"], "told", 30)
    (found,) = found_by(healthy, "certificate")
    assert "longer than" in found["message"] and "is over" in found["message"]
    assert str(healthy.crt_dir) in found["fix"] and "systemctl reload haproxy" in found["fix"]


def test_the_certificate_of_another_tenant_is_not_to_be_removed(healthy):
    """It was made when the host was that tenant's, and is good for it."""
    healthy.authority.issue([HOST, "b.example.test"], healthy.crt_dir / "b.pem")
    upstream = healthy.upstream.url
    given = {"hosts": ["b.example.test"], "upstream": upstream, "certificate_file": "b.pem"}
    healthy.write_tenants({"b": given}, "b.json")
    restart_haproxy(healthy)
    healthy.wait_told("b.pem", lambda told: told["state"] == "fine", "fine", 30)
    until_well(healthy, "chat")


def test_what_certs_check_fails_for_is_told(healthy):
    """The certificate is shown, and the daemon cannot ask HAProxy about it: as after its start."""

    def check():
        return run_agent_command("certs", "--check", "-c", healthy.config_path)

    hidden = healthy.runtime_socket.with_suffix(".hidden")
    os.rename(healthy.runtime_socket, hidden)
    try:
        wait_until(lambda: check().returncode == 1, "it is not seen", 30)
        (found,) = found_by(healthy, "certificate")
        assert found["severity"] == "warning" and "does not find chat.pem fine" in found["message"]
        words = " ".join(check().stdout.split())
        assert "1 not fine" in words and found["message"].split(": ", 1)[1] in words
    finally:
        os.rename(hidden, healthy.runtime_socket)
    wait_until(lambda: check().returncode == 0, "it is seen", 30)
    until_well(healthy)


def test_no_certificate_yet(new_certified, served):
    """A CA that cannot be reached: its absence is told in the words that the daemon has for it."""
    stack = new_certified()
    stack.config["acme"]["directory"] = f"https://127.0.0.1:{free_port()}/dir"
    write_tenant(stack, served())
    stack.start()
    stack.wait_told("chat.pem", lambda told: "problem" in told, "a failure", 30)
    told = found_by(stack, "certificate")
    assert len(told) == 1 and "no certificate for it" in told[0]["message"]
    assert not {"https", "websocket"} & checks_of(examine(stack)[0])  # which follows from it
    # There is nothing that HAProxy could have been told.
    assert "problem" not in stack.told("chat.pem")["haproxys"][0]


# --- what Open WebUI is set to --------------------------------------------------------------------


def test_an_origin_that_open_webui_refuses(healthy, served):
    write_tenant(healthy, served({"CORS_ALLOW_ORIGIN": "https://other.example.test"}))
    found = the(healthy, "websocket", "error")
    assert found["fix"] == f"CORS_ALLOW_ORIGIN={ORIGIN} in Open WebUI's environment"
    assert "Open WebUI says 40" in found["message"]


def test_an_origin_has_the_port_that_browsers_come_by(healthy, served):
    origin = f"{ORIGIN}:{healthy.https_port}"
    del healthy.config["haproxy"]["https_port"]
    healthy.write_config()
    found = the(healthy, "websocket", "error")
    assert found["fix"] == f"CORS_ALLOW_ORIGIN={origin} in Open WebUI's environment"
    write_tenant(healthy, served({"CORS_ALLOW_ORIGIN": origin}))
    until_well(healthy)


def test_a_socket_that_haproxy_does_not_let_through(healthy):
    """A line of somebody's own in haproxy.cfg."""
    path = healthy.haproxy_dir / "haproxy.cfg"
    text = path.read_text()
    first = text.index("    bind ")
    rule = "    http-request deny if { hdr(upgrade) -i websocket }\n"
    path.write_text(text[:first] + rule + text[first:])
    restart_haproxy(healthy)
    found = found_by(healthy, "websocket")
    assert "HAProxy does not let it through" in found[0]["message"]
    assert "owui-spoa explain" in found[0]["fix"]


def test_an_api_that_is_open_to_every_website(healthy, served):
    write_tenant(healthy, served({"CORS_ALLOW_ORIGIN": "*"}))
    found = the(healthy, "origins", "warning")
    assert found["fix"] == f"CORS_ALLOW_ORIGIN={ORIGIN} in Open WebUI's environment"


def test_a_redirect_uri_on_plain_http(healthy, served):
    """Open WebUI does not believe HAProxy's X-Forwarded-Proto."""
    write_tenant(healthy, served(believes="192.0.2.1"))
    found = the(healthy, "sign-in", "error")
    assert "redirect_uri=http:" in found["message"] and "FORWARDED_ALLOW_IPS" in found["fix"]


def test_a_redirect_uri_of_another_host(healthy, served):
    """As the environment says, where it would follow the host."""
    there = "https://other.example.test/oauth/oidc/login/callback"
    write_tenant(healthy, served({"OPENID_REDIRECT_URI": there}))
    found = the(healthy, "sign-in", "error")
    assert "other.example.test" in found["message"]
    assert f"{ORIGIN}/oauth/oidc/login/callback" in found["fix"]
    assert "OPENID_REDIRECT_URI" in found["fix"] and "WEBUI_URL" not in found["fix"]


def test_a_session_cookie_that_is_not_secure(healthy, served):
    write_tenant(healthy, served({"WEBUI_SESSION_COOKIE_SECURE": "false"}))
    found = the(healthy, "sign-in", "warning")
    assert "owui-session is not Secure" in found["message"]
    assert "WEBUI_SESSION_COOKIE_SECURE=true" in found["fix"]


SAME_SITE = [
    ({"WEBUI_SESSION_COOKIE_SAME_SITE": "none"}, "pages of other sites"),
    ({"WEBUI_SESSION_COOKIE_SAME_SITE": "strict"}, "so that signing in fails"),
]


@pytest.mark.parametrize("environment, message", SAME_SITE, ids=["none", "strict"])
def test_a_session_cookie_for_other_sites(healthy, served, environment, message):
    write_tenant(healthy, served(environment))
    found = the(healthy, "sign-in", "warning")
    assert "owui-session" in found["message"] and message in found["message"]
    assert found["fix"].startswith("WEBUI_SESSION_COOKIE_SAME_SITE=lax")


def test_the_cookie_that_holds_a_users_token(healthy, served, tmp_path):
    """Nobody is given one without signing in; a user's own token shows it, and it alone."""
    path = tmp_path / "token"

    def findings():
        told, _ = examine(healthy, "chat", "--token-file", path)
        return {f["message"]: f["fix"] for f in told["findings"] if f["check"] == "sign-in"}

    def bad(word):
        return [fix for message, fix in findings().items() if word in message]

    body = json.dumps({"email": "ann@example.com"}).encode()
    answer = request(healthy.upstream.port, "/api/v1/auths/signin", HOST, method="POST", body=body)
    path.write_text(json.loads(answer.body)["token"] + "\n")
    wait_until(lambda: findings() == {}, "nothing to be found", 30)
    for key, value, word in (
        ("SECURE", "false", "not Secure"),
        ("SAME_SITE", "none", "other sites"),
    ):
        write_tenant(healthy, served({f"WEBUI_AUTH_COOKIE_{key}": value}))
        (fix,) = wait_until(lambda word=word: bad(f"the cookie token is {word}") or bad(word), word)
        assert fix.startswith(f"WEBUI_AUTH_COOKIE_{key}=")
    path.write_text("stale")
    wait_until(lambda: bad("does not take the token"), "a token that is over", 30)
    done = run_agent_command("doctor", "--token-file", path, "-c", healthy.config_path)
    assert done.returncode == 2 and "of which tenant?" in done.stderr
    blank = tmp_path / "blank"
    blank.write_text("\n")
    path.write_text("")
    empty = "it is empty"
    for given, told in ((path, empty), (blank, empty), (tmp_path, "Is a directory")):
        done = run_agent_command("doctor", "chat", "--token-file", given, "-c", healthy.config_path)
        assert done.returncode == 2 and told in done.stderr, done.stderr


def test_a_header_that_is_believed_and_that_nobody_verifies(healthy, served):
    trusting = served({"WEBUI_AUTH_TRUSTED_EMAIL_HEADER": "X-User-Email"})
    write_tenant(healthy, trusting)
    found = the(healthy, "sign-in", "warning")
    assert "WEBUI_AUTH_TRUSTED_EMAIL_HEADER" in found["message"]
    assert found["fix"].startswith('"identity" in ')
    # With an identity it is what it should be.
    keys = healthy.directory / "keys.json"
    keys.write_text(key_set(Key("ES256")))
    identity = {"from": "jwt", "issuer": "https://id.example.com", "audience": "chat"}
    identity |= {"jwks": str(keys), "set": {"X-User-Email": "{email}"}}
    write_tenant(healthy, trusting, identity=identity)
    healthy.write_haproxy_config()
    restart_haproxy(healthy)
    until_well(healthy)


# --- servers --------------------------------------------------------------------------------------


def test_nobody_listens_at_the_upstream(healthy):
    healthy.upstream.stop()
    told, code = examine(healthy)
    assert code == 1 and {"server", "https"} <= checks_of(told)
    server = next(one for one in told["findings"] if one["check"] == "server")
    assert server["about"] == healthy.upstream.url and "nobody listens there" in server["message"]
    # the line to change: the tenant's, in its file
    place = re.search(r'"upstream" in (.*/tenants\.d/chat\.json):(\d+)', server["fix"])
    assert place
    line = (healthy.tenants_dir / "chat.json").read_text().splitlines()[int(place[2]) - 1]
    assert '"chat"' in line


def test_an_upstream_that_is_not_ready(healthy, served, tmp_path):
    file = tmp_path / "ready"
    file.write_text("503")
    write_tenant(healthy, served({"WEBUI_READY_FILE": str(file)}))
    found = the(healthy, "server", "error")
    assert "not ready: /ready is answered with 503" in found["message"]
    file.write_text("page")  # an older one, which does not know /ready
    assert until_well(healthy)


def test_an_upstream_that_is_something_else(healthy, tmp_path):
    port = free_port()
    (tmp_path / "health").write_text("fine")
    command = ["/usr/bin/python3", "-m", "http.server", "-b", "127.0.0.1", "-d", tmp_path, port]
    process = Process("website", list(map(str, command)), tmp_path).start()
    try:
        process.wait_for(lambda: accepts(("127.0.0.1", port)), "listening", 30)
        write_tenant(healthy, f"http://127.0.0.1:{port}")
        found = found_by(healthy, "server")
        assert "is not Open WebUI" in found[0]["message"]
    finally:
        process.stop(signal.SIGTERM)


def test_an_upstream_whose_certificate_nobody_signed(healthy, served, folder):
    """Verified with the authority of "upstream_ca_file", as HAProxy does."""
    stranger = folder / "stranger.pem"
    shutil.copy(healthy.crt_dir / "chat.pem", stranger)  # of the ACME CA, for another name
    write_tenant(healthy, served(certificate=stranger), upstream_tls={"server_name": HOST})
    found = found_by(healthy, "server")
    assert "cannot be asked" in found[0]["message"]


# --- time -----------------------------------------------------------------------------------------


def test_it_ends_in_time(healthy):
    """An upstream that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        write_tenant(healthy, f"http://127.0.0.1:{silent.getsockname()[1]}")
        told, code = examine(healthy, "--seconds", "1")
        assert code == 1 and "daemon" in checks_of(told)
        assert any("time was up after 1 s" in one["message"] for one in told["findings"])


def test_who_is_not_let_in_from_here_is_a_note(healthy):
    """Doctor has no token, and this machine need not be one of the clients."""
    keys = healthy.directory / "keys.json"
    keys.write_text(key_set(Key("ES256")))
    identity = {"from": "jwt", "issuer": "https://id.example.com", "audience": "chat"}
    identity |= {"jwks": str(keys), "required": True, "set": {"X-User-Email": "{email}"}}
    closed = {
        "identity-required": {"identity": identity},
        "address": {"allow_ips": ["203.0.113.0/24"]},
        "route": {"routes": [{"match": {"path": "/"}, "action": "deny"}]},
    }
    for reason, options in closed.items():
        write_tenant(healthy, healthy.upstream, **options)
        if "identity" in options:
            healthy.write_haproxy_config()
            restart_haproxy(healthy)

        def notes():
            found = [one for one in examine(healthy)[0]["findings"] if "tenant" in one]
            told = [(one["check"], one["severity"]) for one in found]
            return found if told == [("https", "note"), ("websocket", "note")] else None

        found = wait_until(notes, f"notes alone: {reason}", 60)
        assert all(f"({reason})" in one["message"] for one in found)


def test_what_waits_for_somebody_is_told(healthy):
    healthy.config["loops"] = healthy.config.get("loops", 1) + 1
    healthy.write_config()
    found = the(healthy, "daemon", "warning")
    assert '"loops" has changed' in found["message"]
    assert found["fix"] == "systemctl restart owui-spoa"


def test_servers_that_may_be_off(healthy):
    """Nobody asks a tenant that is suspended, and nobody new a server that drains."""
    away = f"127.0.0.1:{free_port()}"

    def notes(check):
        found = [one for one in examine(healthy)[0]["findings"] if "tenant" in one]
        told = [(one["check"], one["severity"]) for one in found]
        return found if told == [(check, "note")] else None

    write_tenant(healthy, f"http://{away}", suspended={})
    wait_until(lambda: notes("https"), "that it is suspended, alone", 60)
    servers = [f"127.0.0.1:{healthy.upstream.port}", away]
    replicas = {"servers": servers, "draining": [away]}
    tenant = {"hosts": [HOST], "replicas": replicas}
    healthy.write_tenants({"chat": tenant}, "chat.json")
    (found,) = wait_until(lambda: notes("server"), "that one is away, as a note", 60)
    assert "nobody listens there" in found["message"]


def test_a_host_that_has_paths_alone(healthy):
    """Two tenants have a path there, and nobody the host."""
    before = until_well(healthy)["checks"]
    url = healthy.upstream.url
    paths = {
        name: {"paths": [{"host": "shared.example.test", "prefix": f"/{name}", "mode": "strip"}]}
        for name in ("one", "two")
    }
    tenants = {name: {**path, "upstream": url} for name, path in paths.items()}
    healthy.write_tenants(tenants, "paths.json")
    checks = examine(healthy)[0]["checks"]
    for check in ("dns", "certificate"):
        assert checks[check] == before[check] + 1


def test_maintenance_is_a_note(healthy):
    write_tenant(healthy, healthy.upstream, maintenance={"on": True})

    def told_alone():
        told, code = examine(healthy)
        found = told["findings"]
        return code == 0 and [(f["check"], f["severity"]) for f in found] == [("https", "note")]

    wait_until(told_alone, "a note alone", 30)
