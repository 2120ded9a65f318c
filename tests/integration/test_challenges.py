"""The three ways of an ACME challenge through HAProxy: the agent's variable, the challenge server, and
HAProxy by itself; each alone is enough for a certificate."""

import contextlib
import json
import re
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509

from support.acme import CHALLTESTSRV, PEBBLE, Pebble
from support.clients import request
from support.processes import free_port, wait_until
from support.stack import run_agent_command

pytestmark = pytest.mark.skipif(
    PEBBLE is None or CHALLTESTSRV is None, reason="needs pebble and pebble-challtestsrv"
)

HOST = "chat.example.test"
PATH = "/.well-known/acme-challenge/"
THUMBPRINT = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"
TOKEN = "x" * 43


@pytest.fixture
def issuing(new_stack, tmp_path, authority, upstreams):
    """A stack whose HAProxy a pebble asks, with one tenant and no certificate yet."""
    made = []

    def make(edit=lambda text: text, start=True, **acme):
        stack = new_stack()
        folder = tmp_path / "pebble"
        folder.mkdir()
        pebble = Pebble(folder, authority, challenge_port=stack.http_port)
        made.append(pebble.start())
        stack.config["resolver"] = {"nameservers": [f"127.0.0.1:{pebble.dns_port}"]}
        stack.config["acme"] = {
            "challenge_listen": f"127.0.0.1:{stack.challenge_port}",
            "directory": pebble.directory,
            "ca_file": str(pebble.ca_file),
            "state_dir": str(stack.directory / "state"),
            **acme,
        }
        stack.write_config()
        stack.write_tenants({"chat": {"hosts": [HOST], "upstream": upstreams["alpha"].url}})
        stack.start_agent()  # who connects now may wait: ready is when there is an account's key
        wait_until(lambda: " ready generation=" in stack.agents[0].log(), "ready", 30)
        path = stack.write_haproxy_config()
        path.write_text(edit(path.read_text()))
        if start:
            stack.start_haproxy()
        return stack

    yield make
    for pebble in made:
        pebble.stop()


def wait_for_certificate(stack):
    path = stack.crt_dir / "chat.pem"
    wait_until(path.exists, f"a certificate in {path}\n{stack.logs()}", 30)


def elsewhere(text, stack_port):
    """Nobody listens where HAProxy looks for the challenge server."""
    changed = text.replace(
        f"server acme 127.0.0.1:{stack_port}", f"server acme 127.0.0.1:{free_port()}"
    )
    assert changed != text
    return changed


def test_the_agents_answer_is_enough(issuing):
    def edit(text):
        port = re.search(r"server acme 127.0.0.1:(\d+)", text).group(1)
        without = re.sub(r"(?m)^.*txn\.owui\.stateless.*\n", "", text)
        return elsewhere(without, port)

    wait_for_certificate(issuing(edit))


def test_the_challenge_server_is_enough(issuing):
    def edit(text):
        changed = re.sub(r"(?m)^.*(txn\.owui\.stateless|txn\.owui\.acme).*\n", "", text)
        assert changed != text
        return changed

    wait_for_certificate(issuing(edit))


def test_haproxy_by_itself_is_enough(issuing):
    """The account's key is there since the agent's start, and its thumbprint with it."""

    def edit(text):
        port = re.search(r"server acme 127.0.0.1:(\d+)", text).group(1)
        without = re.sub(r"(?m)^.*txn\.owui\.acme\).*\n", "", text)
        assert "txn.owui.stateless" in without
        return elsewhere(without, port)

    wait_for_certificate(issuing(edit))


def test_without_an_agent_haproxy_answers_with_the_thumbprint(new_stack):
    stack = new_stack()
    stack.write_config()
    stack.write_haproxy_config("--thumbprint", THUMBPRINT)
    stack.write_tenants({})
    agent = stack.start_agent()
    stack.start_haproxy()
    agent.stop()
    answer = request(stack.http_port, PATH + TOKEN, HOST)
    assert (answer.status, answer.body) == (200, f"{TOKEN}.{THUMBPRINT}".encode())
    assert answer.header("Content-Type") == "application/octet-stream"
    for wrong in ("short", "x" * 129, "x" * 20 + "/y", "x" * 20 + "%2e", "x" * 20 + "."):
        answer = request(stack.http_port, PATH + wrong, HOST)
        assert (answer.status, answer.body) == (503, b""), wrong


@pytest.fixture
def other_client(new_stack):
    """Starts another ACME client at the challenge backend: certbot --standalone, say. The stack, and
    the headers of each request that came in."""
    servers = []

    def start(answer):
        """By path: status, headers, body."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.headers)
                status, headers, body = answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        seen = []
        stack = new_stack()
        stack.issue(HOST)
        stack.write_config()
        stack.write_haproxy_config("--thumbprint", THUMBPRINT)
        stack.write_tenants({})
        stack.start_agent()
        stack.start_haproxy()
        servers.append(HTTPServer(("127.0.0.1", stack.challenge_port), Handler))
        threading.Thread(target=servers[0].serve_forever, daemon=True).start()
        return stack, seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_who_listens_at_the_challenge_backend_is_believed(other_client):
    """Its answers pass, its errors are its own."""
    theirs = f"{TOKEN}.{THUMBPRINT[::-1]}".encode()
    known = {PATH + TOKEN: (200, theirs), PATH + "test": (200, b"ok\r\n")}
    stack, _ = other_client(lambda path: (s := known.get(path, (503, b"busy")))[:1] + ({}, s[1]))
    for path, (_, body) in known.items():
        answer = request(stack.http_port, path, HOST)
        assert (answer.status, answer.body) == (200, body.rstrip())
    assert request(stack.http_port, PATH + "y" * 43, HOST).status == 404


PAGE = b"<script>alert(document.domain)</script>"


@pytest.mark.parametrize(
    "status, headers, body",
    [
        (200, {"Content-Type": "text/html", "Set-Cookie": "token=evil"}, PAGE),
        (200, {"Content-Type": "text/html", "Refresh": "0; url=//evil.test"}, b"a.b"),
        (302, {"Location": "https://evil.test/", "Set-Cookie": "token=evil"}, b""),
        (200, {"Clear-Site-Data": "*", "Alt-Svc": 'h2=":1"'}, b"a.b\n" + PAGE),
        (401, {"WWW-Authenticate": "Basic"}, b"a.b"),
    ],
)
def test_who_listens_at_the_challenge_backend_is_believed_in_nothing_else(
    other_client, status, headers, body
):
    """Anybody on the machine can have the port while nobody else has it."""
    stack, seen = other_client(lambda path: (status, headers, body))
    secrets = [("Cookie", "token=SECRET"), ("Authorization", "Bearer SECRET")]
    for port, tls in ((stack.http_port, None), (stack.https_port, HOST)):
        answer = request(port, PATH + TOKEN, HOST, headers=secrets, tls_name=tls)
        assert answer.status in (200, 404) and PAGE not in answer.body
        assert not set(headers) - {"Content-Type"} & {name for name, _ in answer.headers}
        assert "html" not in answer.header("Content-Type")
    assert seen and all("SECRET" not in str(told) for told in seen)


def test_a_port_that_somebody_has_is_waited_for(new_stack, upstreams, tmp_path):
    """Requests go on meanwhile, and challenges are answered when it is free."""
    stack = new_stack()
    folder = tmp_path / "webroot" / PATH.strip("/")
    folder.mkdir(parents=True)
    (folder / TOKEN).write_text(f"{TOKEN}.theirs")
    stack.config["acme"].update(directory="none", webroot=str(tmp_path / "webroot"))
    tenant = {"hosts": [HOST], "upstream": upstreams["alpha"].url, "https": "off"}
    stack.write_tenants({"chat": tenant})
    with socket.socket() as somebodys:
        somebodys.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        somebodys.bind(("127.0.0.1", stack.challenge_port))
        somebodys.listen()
        stack.start()
        assert request(stack.http_port, "/api/echo", HOST).status == 200
        assert " challenges_wait " in stack.agents[0].log()
    wait_until(lambda: " serving_challenges " in stack.agents[0].log(), "it has the port", 10)
    answer = request(stack.http_port, PATH + TOKEN, HOST)
    assert (answer.status, answer.body) == (200, f"{TOKEN}.theirs".encode())
    assert stack.agents[0].log().count(" challenges_wait ") == 1


def test_the_thumbprint_comes_from_the_accounts_key(new_stack, tmp_path):
    stack = new_stack()
    state = stack.directory / "state"
    stack.config["acme"] |= {"directory": "https://ca.test/dir", "state_dir": str(state)}
    stack.write_config()
    stack.write_tenants({})
    done = run_agent_command("haproxy-config", "-c", stack.config_path)
    assert done.returncode == 0 and "stateless" not in done.stdout
    stack.start_agent()
    wait_until(lambda: list((state / "accounts").glob("*.key")), "an account's key", 10)
    done = run_agent_command("haproxy-config", "-c", stack.config_path)
    found = re.search(r"field\(4,/\)\]\.([A-Za-z0-9_-]{43})\"", done.stdout)
    assert found, done.stdout
    done = run_agent_command("haproxy-config", "-c", stack.config_path, "--thumbprint", "none")
    assert "stateless" not in done.stdout
    done = run_agent_command("haproxy-config", "-c", stack.config_path, "--thumbprint", 'a"b')
    assert done.returncode != 0 and "thumbprint" in done.stderr


# --- What the CA would not find is found out before it is asked ---------------------------------


def refused_because(stack):
    def problem():
        done = run_agent_command("certs", "chat", "-c", stack.config_path, "--json")
        return json.loads(done.stdout).get("problem") if done.returncode == 0 else None

    return wait_until(problem, "a problem", 20)


def test_an_order_waits_for_haproxy(issuing):
    stack = issuing(start=False)
    agent = stack.agents[0]
    wait_until(lambda: "haproxy_unreachable" in agent.log(), "a look for HAProxy", 20)
    stack.start_haproxy()
    wait_for_certificate(stack)
    assert "certificate_failed" not in agent.log()


def before_challenges(*rules):
    """A change of haproxy.cfg: rules that come before that for challenges."""

    def edit(text):
        lines = "".join(f"    {rule}\n" for rule in rules)
        changed = text.replace("    acl acme path_beg", f"{lines}    acl acme path_beg")
        assert changed != text
        return changed

    return edit


def test_a_look_without_an_answer_is_repeated(issuing):
    """A machine that is busy for some seconds is no reason to put an order off by minutes."""
    stack = issuing(
        before_challenges(
            "http-request set-var(txn.first) int(1) if { path_beg /.well-known/acme-challenge/ } "
            "!{ var(proc.looked) -m found }",
            "http-request set-var(proc.looked) int(1) if { var(txn.first) -m found }",
            "http-request silent-drop if { var(txn.first) -m found }",
        )
    )
    wait_for_certificate(stack)
    assert "certificate_failed" not in stack.agents[0].log()


@pytest.mark.parametrize(
    "rule, words",
    [
        (
            "http-request redirect scheme https code 301",
            f"redirects the challenge to https://{HOST}",
        ),
        ("http-request deny deny_status 401", "answered with 401"),
        ('http-request return status 200 content-type text/plain string "hello\\n"', '"hello'),
        ("http-request silent-drop", "no answer through HAProxy"),
    ],
)
def test_a_rule_in_the_way_is_told(issuing, rule, words):
    stack = issuing(before_challenges(rule))
    problem = refused_because(stack)
    assert problem["class"] == "local"
    assert words in problem["detail"] and HOST in problem["detail"], problem
    assert not (stack.crt_dir / "chat.pem").exists()


def test_a_bind_elsewhere_is_told(issuing):
    port = free_port()
    stack = issuing(start=False)
    path = stack.haproxy_dir / "haproxy.cfg"
    path.write_text(
        path.read_text().replace(f"bind 127.0.0.1:{stack.http_port}", f"bind 127.0.0.1:{port}")
    )
    configured, stack.http_port = stack.http_port, port
    stack.start_haproxy()
    assert f"connection refused by 127.0.0.1:{configured}" in refused_because(stack)["detail"]


@pytest.mark.parametrize("rule", [None, "http-request deny deny_status 401 if { dst_port %d }"])
def test_one_of_several_binds_is_enough(issuing, rule):
    """The first is not to be reached from here, or leads somewhere else."""
    stack = issuing(start=False)
    port = free_port()
    stack.config["haproxy"]["http"].insert(0, f"127.0.0.1:{port}")
    stack.write_config()
    stack.agents[0].stop()
    stack.start_agent()
    if rule is not None:
        path = stack.haproxy_dir / "haproxy.cfg"
        path.write_text(
            path.read_text()
            .replace(
                f"bind 127.0.0.1:{stack.http_port}",
                f"bind 127.0.0.1:{stack.http_port}\n" f"    bind 127.0.0.1:{port}",
            )
            .replace("    acl acme path_beg", f"    {rule % port}\n    acl acme path_beg")
        )
    stack.start_haproxy()
    wait_for_certificate(stack)
    assert "certificate_failed" not in stack.agents[0].log()


def test_without_preflight_the_ca_is_asked_all_the_same(issuing):
    stack = issuing(start=False, preflight=False)
    path = stack.haproxy_dir / "haproxy.cfg"
    path.write_text(
        path.read_text().replace(
            "    acl acme path_beg",
            "    http-request deny deny_status 401 if { req.hdr(User-Agent) -m beg owui-spoa }\n"
            "    acl acme path_beg",
        )
    )
    stack.start_haproxy()
    wait_for_certificate(stack)


def test_a_proxy_line_is_sent_where_haproxy_expects_one(issuing):
    stack = issuing(start=False)
    stack.agents[0].stop()
    stack.config["haproxy"]["proxy_protocol"] = {"from": ["127.0.0.0/8"]}
    stack.write_config()
    stack.write_haproxy_config()
    # pebble sends no PROXY line, so it comes in by a bind of its own.
    path = stack.haproxy_dir / "haproxy.cfg"
    bind, other = f"bind 127.0.0.1:{stack.http_port}", free_port()
    rule = "tcp-request connection expect-proxy layer4 if"
    text = path.read_text()
    assert bind in text and rule in text
    stack.config["haproxy"]["http"] = [f"127.0.0.1:{other}"]
    stack.write_config()
    text = text.replace(bind, f"{bind}\n    bind 127.0.0.1:{other}")
    path.write_text(text.replace(rule, f"{rule} {{ dst_port {other} }}"))
    stack.start_agent()
    stack.start_haproxy()
    wait_for_certificate(stack)


# --- After a swap, a handshake tells what is served -----------------------------------------------


def status_of(stack):
    done = run_agent_command("certs", "chat", "-c", stack.config_path, "--json")
    return json.loads(done.stdout) if done.returncode == 0 else {}


def accepts_tls(stack):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", stack.https_port), 10) as plain:
        with contextlib.suppress(ssl.SSLError):
            context.wrap_socket(plain, server_hostname=HOST).close()
            return True
    return False


def edited_https(stack, bind):
    path = stack.haproxy_dir / "haproxy.cfg"
    pattern = rf"(?m)^    bind 127.0.0.1:{stack.https_port} ssl.*$"
    text, count = re.subn(pattern, lambda found: bind(found.group(0)), path.read_text())
    assert count == 1
    path.write_text(text)


def test_a_swap_that_is_served_is_fine(issuing):
    stack = issuing()
    wait_for_certificate(stack)
    agent = stack.agents[0]
    wait_until(lambda: "deployed certificate=chat.pem" in agent.log(), "the swap", 10)
    first = wait_until(lambda: status_of(stack).get("serial"), "a serial", 10)
    done = run_agent_command("certs", "renew", "chat", "-c", stack.config_path)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: status_of(stack).get("serial") not in (None, first), "a renewal", 20)
    wait_until(
        lambda: run_agent_command("certs", "--check", "-c", stack.config_path).returncode == 0,
        "everything to be fine",
        10,
    )
    assert "served_wrong" not in agent.log() and "rolled_back" not in agent.log()


def behind_a_door(stack, other):
    """Who connects is let through to HAProxy's bind, or from now(other) on to one that shows another
    certificate, whatever is swapped; HAProxy does not start anew for it."""
    own, beside = free_port(), free_port()
    edited_https(
        stack,
        lambda line: line.replace(str(stack.https_port), str(own), 1)
        + f"\n    bind 127.0.0.1:{beside} ssl crt {other}",
    )
    path = stack.haproxy_dir / "haproxy.cfg"
    path.write_text(
        f"{path.read_text()}\nlisten door\n    mode tcp\n    log-format %ci\n    bind 127.0.0.1:{stack.https_port}\n"
        f"    server own 127.0.0.1:{own}\n    server other 127.0.0.1:{beside} backup\n"
    )
    return lambda: stack.runtime("disable server door/own")


def renewed_behind_the_door(stack, authority, names, days):
    """What is shown before the renewal is right, and after it another certificate. The first serial."""
    other = authority.issue(names, stack.directory / "other.pem", days=days)
    shut = behind_a_door(stack, other)
    stack.start_haproxy()
    wait_for_certificate(stack)
    log = stack.agents[0].log
    wait_until(lambda: "deployed certificate=chat.pem" in log(), "the swap", 10)
    first = wait_until(lambda: status_of(stack).get("serial"), "a serial", 10)
    wait_until(lambda: accepts_tls(stack), "its first handshake", 10)
    assert "served_wrong" not in log()
    shut()
    done = run_agent_command("certs", "renew", "chat", "-c", stack.config_path)
    assert done.returncode == 0, done.stderr
    return int(first, 16)


def test_what_browsers_would_refuse_is_rolled_back(issuing, authority):
    """HAProxy's Runtime API says yes, but who connects sees a certificate for another name."""
    stack = issuing(start=False)
    agent = stack.agents[0]
    first = renewed_behind_the_door(stack, authority, ["other.example.test"], 30)
    wait_until(lambda: "rolled_back certificate=chat.pem" in agent.log(), "the roll-back", 30)
    wait_until(lambda: stack_serial(stack) == first, "the first one on disk", 10)
    told = wait_until(lambda: status_of(stack).get("served_wrong"), "an alarm", 10)
    assert "which is for other names" in told and HOST in told
    done = run_agent_command("certs", "--check", "-c", stack.config_path)
    assert done.returncode == 1 and "served:" in done.stdout
    # Once, and not again and again.
    wait_until(lambda: agent.log().count("served_wrong") == 2, "the second look", 20)
    assert agent.log().count("rolled_back") == 1
    # Nor with the next renewal: what was put back was not served either.
    done = run_agent_command("certs", "renew", "chat", "-c", stack.config_path)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: agent.log().count("served_wrong") == 3, "the third look", 30)
    wait_until(lambda: stack_serial(stack) != first, "the next one on disk", 10)
    assert agent.log().count("rolled_back") == 1


@pytest.mark.parametrize("days", [20, -0.5])
def test_another_file_for_the_name_undoes_no_renewal(issuing, authority, days):
    """Not even one that has expired: the one before would not be shown either."""
    stack = issuing(start=False)
    first = renewed_behind_the_door(stack, authority, [HOST], days)
    told = wait_until(lambda: status_of(stack).get("served_wrong"), "an alarm", 30)
    assert f"serves another certificate for {HOST}: " in told
    assert ("has expired" in told) == (days < 0)
    assert f"is there another file for it in {stack.crt_dir}" in told
    assert "rolled_back" not in stack.agents[0].log() and stack_serial(stack) != first


def test_what_browsers_would_refuse_stays_alarming_where_nothing_was_before(issuing, authority):
    """The first one of all: there is none to be put back, now or after the next renewal."""
    stack = issuing(start=False)
    other = stack.directory / "other.pem"
    authority.issue(["other.example.test"], other)
    edited_https(
        stack,
        lambda line: f"    bind 127.0.0.1:{stack.https_port} ssl crt {other}\n"
        + line.replace(str(stack.https_port), str(free_port()), 1),
    )
    stack.start_haproxy()
    wait_for_certificate(stack)
    log = stack.agents[0].log
    wait_until(lambda: "not_rolled_back certificate=chat.pem" in log(), "no way back", 30)
    assert "has no history" in log()
    first = wait_until(lambda: status_of(stack).get("serial"), "a serial", 10)
    assert "which is for other names" in status_of(stack)["served_wrong"]
    done = run_agent_command("certs", "renew", "chat", "-c", stack.config_path)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: log().count("served_wrong") == 2, "the second look", 30)
    assert log().count("rolled_back") == 1 and stack_serial(stack) != int(first, 16)
    assert "which is for other names" in status_of(stack)["served_wrong"]


def test_somebody_else_at_another_bind_undoes_no_renewal(ipv6, issuing, authority):
    """As where HAProxy has not been told yet that it is to listen on IPv6, and another program does."""
    stack = issuing(start=False)
    stack.agents[0].stop()
    elsewhere, other = f"[::1]:{free_port('::1')}", stack.directory / "other.pem"
    authority.issue(["other.example.test"], other)
    edited_https(stack, lambda line: f"{line}\n    bind {elsewhere} ssl crt {other}")
    stack.config["haproxy"]["https"].append(elsewhere)
    stack.write_config()
    agent = stack.start_agent()
    stack.start_haproxy()
    wait_for_certificate(stack)
    first = wait_until(lambda: status_of(stack).get("serial"), "a serial", 10)
    wait_until(lambda: "deployed certificate=chat.pem" in agent.log(), "the swap", 10)
    assert run_agent_command("certs", "renew", "chat", "-c", stack.config_path).returncode == 0
    wait_until(lambda: status_of(stack).get("serial") not in (None, first), "a renewal", 20)
    told = wait_until(lambda: status_of(stack).get("served_wrong"), "an alarm", 30)
    assert f"{elsewhere} serves another certificate" in told
    assert "does HAProxy listen there, or another program?" in told
    assert "rolled_back" not in agent.log() and stack_serial(stack) != int(first, 16)


def test_tls_1_3_alone_undoes_no_renewal_of_two_keys(issuing):
    """What a client's ciphers choose up to TLS 1.2: which of the two it is shown."""
    mark = "# own lines, global (kept when this file is written again)\n"
    line = "    ssl-default-bind-options ssl-min-ver TLSv1.3\n"
    stack = issuing(edit=lambda text: text.replace(mark, mark + line), key="both")
    agent = stack.agents[0]
    paths = [stack.crt_dir / f"chat.pem.{key}" for key in ("ecdsa", "rsa")]
    serials = lambda: {path.name: serial_in(path) for path in paths}
    unknown = lambda: agent.log().count("handshake_impossible certificate=chat.pem.rsa ")
    wait_until(lambda: all(path.exists() for path in paths), "both certificates", 60)
    wait_until(unknown, "that the other one is shown", 30)
    first = serials()
    for name in first:
        assert run_agent_command("certs", "renew", name, "-c", stack.config_path).returncode == 0
    wait_until(lambda: not first.items() & serials().items(), "both renewals", 60)
    wait_until(lambda: unknown() > 1, "that the other one is shown", 30)
    assert not re.search("served_wrong|rolled_back", agent.log())
    assert not first.items() & serials().items()
    assert "handshake_impossible certificate=chat.pem.ecdsa" not in agent.log()


@pytest.mark.parametrize("host", [HOST, "other.example.test"])
@pytest.mark.parametrize("days", [3, -1])
def test_an_older_file_for_one_of_its_hosts_is_told(issuing, authority, upstreams, host, days):
    """As the tutorial leaves them, one for each name: the agent's is shown for the other alone."""
    stack = issuing(start=False)
    hosts = [HOST, "other.example.test"]
    stack.write_tenants({"chat": {"hosts": hosts, "upstream": upstreams["alpha"].url}})
    older = stack.crt_dir / f"{host}.pem"
    authority.issue([host], older, days=days)
    stack.start_haproxy()
    wait_for_certificate(stack)
    told = wait_until(lambda: status_of(stack).get("served_wrong"), "an alarm", 30)
    assert f"serves another certificate for {host}: " in told and str(stack.crt_dir) in told
    done = run_agent_command("certs", "--check", "-c", stack.config_path)
    assert done.returncode == 1 and host in done.stdout
    assert "rolled_back" not in stack.agents[0].log()

    older.unlink()  # as the message says
    stack.haproxy.stop()
    stack.start_haproxy()
    wait_until(lambda: "served_wrong" not in status_of(stack), "that it is mended", 30)


def stack_serial(stack):
    return serial_in(stack.crt_dir / "chat.pem")


def serial_in(path):
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number
