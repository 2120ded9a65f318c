"""A certificate for names that have none: HAProxy starts with it, and shows nobody else's."""

import os
import socket
import ssl
import stat

import pytest
from cryptography import x509

from support.certified import names_of, read_pem
from support.clients import TIMEOUT_S, request

HOST = "chat.example.test"
NOBODYS = {"placeholder.invalid"}


@pytest.fixture
def stack(new_certified):
    """HAProxy's side is written; nothing has started."""
    one = new_certified(acme={"placeholder": True})
    one.path = one.crt_dir / ".placeholder/placeholder.pem"
    one.write_config()
    one.write_haproxy_config()
    return one


def shown(stack, host):
    """The names of the certificate that is shown, whoever signed it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", stack.https_port), timeout=TIMEOUT_S) as plain:
        with context.wrap_socket(plain, server_hostname=host) as sock:
            return names_of(x509.load_der_x509_certificate(sock.getpeercert(binary_form=True)))


def test_haproxy_starts_with_it_and_shows_no_customers_to_others(stack):
    assert stat.S_IMODE(stack.path.stat().st_mode) == 0o600
    assert "strict-sni" not in (stack.haproxy_dir / "haproxy.cfg").read_text()
    stack.start_haproxy()  # before the agent has ever run
    assert shown(stack, HOST) == NOBODYS
    stack.want(("a", HOST))  # a.pem would be the first of the folder
    stack.start_agent()
    stack.wait_served(HOST)
    assert shown(stack, HOST) == {HOST}
    assert shown(stack, "unknown.example.test") == shown(stack, None) == NOBODYS
    assert stack.files() == {"a.pem"}
    # So it is after a restart, when the folder is read anew.
    stack.haproxy.stop()
    stack.start_haproxy()
    assert shown(stack, HOST) == {HOST}
    assert shown(stack, None) == NOBODYS
    assert stack.get(HOST).status == 200


def test_a_challenge_that_comes_by_https_is_answered_behind_it(stack):
    """A CDN sends everything there, the first challenge of all, too."""
    thumbprint = "t" * 43
    stack.write_haproxy_config("--thumbprint", thumbprint)
    stack.start_haproxy()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    path = "/.well-known/acme-challenge/" + "x" * 43
    answer = request(stack.https_port, path, HOST, tls_name=HOST, tls=context)
    assert (answer.status, answer.body) == (200, f"{'x' * 43}.{thumbprint}".encode())


def test_the_service_makes_it_too_and_mends_it(stack):
    for starts, text in enumerate((None, "half a file"), 1):
        stack.path.unlink()
        if text:
            stack.path.write_text(text)
        agent = stack.start_agent()
        agent.wait_for(lambda: agent.log().count(" ready ") == starts, "ready")
        (certificate,) = read_pem(stack.path)
        assert names_of(certificate) == NOBODYS
        agent.stop()


def test_it_stays_the_same_and_anybody_elses_stays(stack, authority):
    before = stack.path.read_bytes()
    agent = stack.start_agent()
    stack.write_haproxy_config()
    agent.wait_for(lambda: " ready " in agent.log(), "ready")
    assert stack.path.read_bytes() == before
    agent.stop()
    ours = authority.issue(["default.example.test"], stack.path).read_bytes()
    agent = stack.start_agent()
    agent.wait_for(lambda: agent.log().count(" ready ") == 2, "ready")
    assert stack.path.read_bytes() == ours


def test_haproxys_group_may_read_it(new_certified):
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    import grp

    stack = new_certified(acme={"placeholder": True, "group": "haproxy"})
    stack.write_config()
    nobody = 65534  # stands for the service, whose folder it is
    os.chown(stack.crt_dir, nobody, nobody)
    stack.write_haproxy_config()
    path = stack.crt_dir / ".placeholder/placeholder.pem"
    about = path.stat()
    assert stat.S_IMODE(about.st_mode) == 0o640
    assert (about.st_uid, about.st_gid) == (nobody, grp.getgrnam("haproxy").gr_gid)
    assert path.parent.stat().st_uid == nobody


def test_without_it_the_handshake_is_refused(new_certified):
    stack = new_certified().start()
    assert "strict-sni" in (stack.haproxy_dir / "haproxy.cfg").read_text()
    assert not (stack.crt_dir / ".placeholder").exists()
    with pytest.raises(ssl.SSLError):
        shown(stack, HOST)
