"""Certificates from a CA into HAProxy and to a client, with no reload and nobody's hand."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from support.acme import FaultyProxy
from support.certificates import Authority
from support.certified import names_of, read_pem
from support.clients import request
from support.processes import Process, accepts, free_port, wait_until
from support.relay import RuntimeRelay
from support.stack import HAPROXY, run_agent_command

HOST = "chat.example.test"
NAME = "chat.pem"
WWW = "www.example.test"
DAY_S = 86400
CHUNK_BYTES = 1 << 20
SHADOW_BYTES = 1 << 40


@pytest.fixture
def chat(new_certified):
    """One tenant, whose certificate is served."""
    stack = new_certified()
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)
    return stack


# --- the first certificate --------------------------------------------------------------------


def test_a_tenants_file_is_all_it_takes(new_certified):
    """HAProxy has started with an empty folder; its process stays the same."""
    stack = new_certified().start()
    workers = stack.haproxy_workers()
    assert stack.files() == set()
    assert stack.served(HOST) is None
    stack.want(("chat", HOST))
    certificate = stack.wait_served(HOST)
    told = stack.wait_told(NAME, lambda told: "doing" not in told, "at rest")
    assert told["next"] == "renewal is planned by its life"
    assert abs(told["next_at"] - told["renewal"]) < 60 and told["next_at"] > told["not_before"]
    assert names_of(certificate) == {HOST}
    assert stack.get(HOST).json()["deployment_id"] == "alpha"
    assert stack.served("other.example.test") is None
    assert stack.haproxy_workers() == workers
    assert stack.serial_on_disk(NAME) == certificate.serial_number


def test_several_names_share_a_certificate(new_certified):
    stack = new_certified()
    names = [HOST, "www.example.test", "ai.example.test"]
    stack.want(("chat", *names))
    stack.start()
    assert {names_of(stack.wait_served(name)) == set(names) for name in names} == {True}
    assert len({stack.serial(name) for name in names}) == 1


def test_a_name_that_is_added_gets_into_the_certificate(chat):
    before = chat.serial(HOST)
    chat.want(("chat", HOST, "new.example.test"))
    assert names_of(chat.wait_served("new.example.test")) == {HOST, "new.example.test"}
    assert chat.serial(HOST) != before


def test_a_dead_name_is_split_off_and_told(new_certified, ca):
    ca.resolve("dead.example.test", "127.0.0.9")
    stack = new_certified()
    stack.want(("chat", HOST, "dead.example.test", "www.example.test"))
    stack.start()
    assert names_of(stack.wait_served(HOST)) == {HOST, "www.example.test"}
    told = stack.told(NAME)
    (left_out,) = told["left_out"]
    assert left_out["host"] == "dead.example.test"
    assert re.search(r"left out dead.example.test, again in (\d+s|[23]m)", stack.certs())
    assert "refused" in left_out["problem"]["detail"]
    assert "dead.example.test" in stack.certs()
    assert (told["state"], told["lacking"]) == ("incomplete", ["dead.example.test"])
    assert stack.certs_code("--check") == 1
    stack.want(("chat", HOST, "www.example.test"))
    fine = stack.wait_told(NAME, lambda told: told["state"] == "fine", "for all of its hosts")
    assert "lacking" not in fine and stack.certs_code("--check") == 0


def test_both_keys_each_to_whom_can_use_it(new_certified):
    stack = new_certified(acme={"key": "both"})
    stack.want(("chat", HOST))
    stack.start()
    for ciphers, key in (
        ("ECDHE-ECDSA", ec.EllipticCurvePublicKey),
        ("ECDHE-RSA", rsa.RSAPublicKey),
    ):
        context = stack.trust(f"{ciphers}-AES128-GCM-SHA256")
        assert isinstance(stack.wait_served(HOST, context=context).public_key(), key)
    assert stack.files() == {"chat.pem.ecdsa", "chat.pem.rsa"}


def test_rsa_alone(new_certified):
    stack = new_certified(acme={"key": "rsa"})
    stack.want(("chat", HOST))
    stack.start()
    assert isinstance(stack.wait_served(HOST).public_key(), rsa.RSAPublicKey)


def test_an_external_account(new_certified, new_ca, tmp_path):
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    file = tmp_path / "secret"
    file.write_text(secret + "\n")
    pebble = new_ca(eab={"kid-1": secret})
    account = {"kid": "kid-1", "secret_file": str(file)}
    stack = new_certified(pebble, acme={"external_account": account})
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)
    assert secret not in stack.agent_log()


@pytest.mark.parametrize(
    "content, told",
    [
        ("\n", "is empty"),
        ("A" * 5000, "is bigger than 4096 bytes"),
        (None, "No such file"),
        ("zWNDZM6eQGHWpSRTPal5eA==\n", "is not base64url"),
        ("zWNDZM6eQGHWpSRTPal5e+IU", "is not base64url"),
        ("zWNDZM6eQGHWpSRTPal5eIUYF", "is not base64url"),  # cut off when it was copied
        ("zWNDZM6eQGHWpSRT Pal5eIU", "is not base64url"),
    ],
)
def test_a_secret_that_cannot_be_one_keeps_the_daemon_from_starting(
    new_certified, tmp_path, content, told
):
    """No part of it is sent to the CA in its place."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    account = {"kid": "kid-1", "secret_file": str(file)}
    stack = new_certified(acme={"external_account": account})
    stack.write_config()
    stack.write_tenants({})
    done = run_agent_command("run", "-c", stack.config_path)
    assert done.returncode != 0
    assert "the external account's secret: " in done.stderr
    assert str(file) in done.stderr and told in done.stderr


def test_a_haproxy_that_was_not_reloaded_is_told(chat):
    """Whoever has written haproxy.cfg anew may well think that it counts."""
    config = chat.haproxy_dir / "haproxy.cfg"
    was = config.stat()

    def kinds():
        return [one["kind"] for one in json.loads(chat.admin("GET", "/v1/status")[1])["notices"]]

    wait_until(lambda: "haproxy_seen" in chat.agent_log(), "HAProxy is there", 30)
    assert "haproxy_not_reloaded" not in kinds()
    later = time.time() + 3
    os.utime(config, (later, later))
    assert "haproxy_not_reloaded" not in kinds()  # a reload is not seen before the next look
    wait_until(lambda: "haproxy_not_reloaded" in kinds(), "told", 30)
    done = run_agent_command("status", "-c", chat.config_path)
    told = " ".join(done.stdout.split())
    assert done.returncode == 1 and "was started before haproxy.cfg was last written" in told
    os.utime(config, (was.st_atime, was.st_mtime))
    assert "haproxy_not_reloaded" not in kinds()


def test_haproxy_may_come_later_than_the_agent(new_certified, ca):
    """As when a machine boots: no order is lost to a port that nobody listens on yet."""
    stack = new_certified()
    stack.want(("chat", HOST))
    stack.write_config()
    stack.write_haproxy_config()
    stack.start_agent()
    wait_until(lambda: "haproxy_unreachable" in stack.agent_log(), "looked for HAProxy")
    stack.start_haproxy()
    stack.wait_served(HOST, timeout_s=20)


def test_a_haproxy_that_is_slow_once_is_still_there(chat):
    """One answer that does not come in time is a busy machine. Were it a HAProxy that has gone, every
    certificate would count as not served and be looked at anew; a second one in a row is."""
    served = lambda told: told["haproxys"][0]["served"]
    silent, asked = set(), []

    def slow(command):
        if command == "show info":
            number = len(asked)
            asked.append(number)
            while number in silent:
                time.sleep(0.05)

    relay = RuntimeRelay(chat.directory / "between.sock", chat.runtime_socket, slow)
    chat.config["haproxy"]["runtime"] = [str(relay.path)]
    chat.write_config()
    chat.restart_agent()
    chat.wait_told(NAME, served, "served", 30)
    log = chat.agent_log
    unreachable, seen = log().count("haproxy_unreachable"), log().count("haproxy_seen")
    slow_one = len(asked)
    silent.add(slow_one)
    wait_until(lambda: len(asked) > slow_one + 2, "looked for, again and again", 60)
    assert chat.told(NAME)["haproxys"][0]["served"]
    assert log().count("haproxy_unreachable") == unreachable
    assert log().count("haproxy_seen") == seen
    silent.update(range(len(asked), len(asked) + 1000))
    wait_until(lambda: log().count("haproxy_unreachable") > unreachable, "told", 60)
    silent.clear()
    chat.wait_told(NAME, served, "served again", 60)
    relay.stop()


LIMIT = "the CA's limit of certificates for exactly these names is used up"


def use_limit_up(stack):
    """By renewals; what is told of the certificate then."""
    stack.want(("chat", HOST))
    stack.start()
    serial = None
    for _ in range(4):
        serial = stack.wait_served(HOST, but_not=serial, timeout_s=30).serial_number
        stack.act("chat", "renew")
    return stack.wait_told(NAME, lambda told: told["next"] == LIMIT, "the limit", 30)


def test_limits_are_kept_to_where_they_are_wished_for(new_certified):
    """pebble has none, so that nobody would wait there by default."""
    stack = new_certified(acme={"limits": "on"})
    told = use_limit_up(stack)
    assert told["next_in_s"] > 24 * 3600 and "problem" not in told
    assert f'reason="{LIMIT}"' in stack.agent_log()
    assert re.search(rf"(?m)^next +{re.escape(LIMIT)}; due in \d+[hd]$", stack.certs("chat"))
    about = " ".join(stack.certs().split())  # lines are folded
    assert re.search(rf"{re.escape(LIMIT)}; due in \d+[hd]", about), about


def test_the_second_ca_is_asked_when_the_first_fails(new_certified, new_ca):
    """The first one is there, and refuses the name."""
    first = new_ca()
    second = new_ca(challenge_port=first.challenge_port)
    second.allow_all()
    host = "blocked.example.test"  # at the first
    stack = new_certified(first, acme={"second": second.as_second(after=1)})
    stack.want(("chat", host))
    stack.start()
    told = stack.wait_told(NAME, lambda told: told["failures"] == 1, "refused")
    assert told["problem"]["type"] == "rejectedIdentifier"
    stack.certs("renew", "chat")
    told = stack.wait_told(NAME, lambda told: "serial" in told, "issued")
    assert told["ca"] == second.directory and told["source"] == "acme"
    lines = [line.split(maxsplit=1) for line in stack.certs("chat").splitlines()]
    for label, text in (("serial", told["serial"]), ("CA", second.directory)):
        assert [label, text] in lines
    assert ["issuer", told["issuer"]] in lines


def test_the_second_ca_has_roots_of_its_own(new_certified, new_ca, tmp_path):
    """Those of a house, by which its own CA is verified, verify no other."""
    first = new_ca()
    second = new_ca(challenge_port=first.challenge_port)
    house = Authority(tmp_path)
    acme = {"ca_file": str(house.path), "second": second.as_second(after=1)}
    stack = new_certified(first, acme=acme)
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_told(NAME, lambda told: told["failures"] == 1, "not verified", 60)
    stack.certs("renew", "chat")
    told = stack.wait_told(NAME, lambda told: "serial" in told, "issued")
    assert told["ca"] == second.directory


def test_the_second_ca_is_asked_when_the_first_is_closed_for_days(new_certified, new_ca, tmp_path):
    """As its rate limits are: two days of waiting would be two days without a certificate."""
    first = new_ca()
    second = new_ca(challenge_port=first.challenge_port)
    limited = FaultyProxy(first, tmp_path, [])
    limited.set_rules(
        [
            "http-request return status 429 content-type application/problem+json"
            " hdr Retry-After 172800"
            ' string \'{"type":"urn:ietf:params:acme:error:rateLimited"}\' if { path /order-plz }'
        ]
    )
    limited.start()
    try:
        acme = {"directory": limited.directory, "second": second.as_second()}
        stack = new_certified(first, acme=acme)
        stack.want(("chat", HOST))
        stack.start()
        told = stack.wait_told(NAME, lambda told: told["failures"] == 1, "limited")
        assert told["problem"]["class"] == "rate-limited"
        assert told["next_at"] - time.time() < 80
        stack.certs("renew", "chat")
        told = stack.wait_told(NAME, lambda told: "serial" in told, "issued")
        assert told["ca"] == second.directory
    finally:
        limited.stop()


def test_the_second_ca_is_asked_when_our_own_limits_keep_back_for_long(new_certified, new_ca):
    """A renewal waits for them. What nobody would believe for as long does not."""
    first = new_ca()
    second = new_ca(challenge_port=first.challenge_port)
    stack = new_certified(first, acme={"limits": "on", "second": second.as_second()})
    use_limit_up(stack)
    assert second.orders() == 0
    stack.act("chat", "revoke")
    told = stack.wait_told(NAME, lambda told: told["ca"] == second.directory, "the second's", 30)
    assert told["failures"] == 0 and first.orders() == 4
    line = f'reason="{LIMIT}" retry_in_s=0 consequence="the other CA is asked"'
    assert line in stack.agent_log()


def test_a_tenant_that_lets_nobody_in_gets_its_certificate(new_certified):
    """A challenge is answered before redirects, bans, limits, sign-in and maintenance."""
    stack = new_certified()
    closed = {
        "hosts": ["www.example.test", HOST],
        "canonical_host": True,
        "upstream": stack.upstreams["alpha"].url,
        "allow_ips": ["192.0.2.0/24"],
        "deny_ips": ["127.0.0.0/8"],
        "limits": {"requests_per_10s": 1},
        "maintenance": {"on": True},
        "suspended": {},
    }
    stack.write_tenants({"chat": closed})
    stack.start()
    assert names_of(stack.wait_served(HOST)) == {HOST, "www.example.test"}
    assert stack.get("www.example.test").status in (402, 403, 503)


# --- renewal, revocation, the end -------------------------------------------------------------


def test_renewal_on_request(chat):
    workers = chat.haproxy_workers()
    before = chat.serial(HOST)
    assert "under way" in chat.certs("renew", "chat")
    after = chat.wait_served(HOST, but_not=before)
    assert chat.serial_on_disk(NAME) == after.serial_number
    assert chat.haproxy_workers() == workers


def with_a_name_that_dies(new_certified, ca, **options):
    """Served for two names, of which the second is not to be validated any more."""
    stack = new_certified(ca, **options)
    stack.want(("chat", HOST, WWW))
    stack.start()
    assert names_of(stack.wait_served(HOST)) == {HOST, WWW}
    ca.resolve(WWW, "127.0.0.9")
    return stack


def test_a_name_that_fails_at_renewal_keeps_what_it_has(new_certified, new_ca):
    """What is in service has its life left: a certificate without the name would help nobody."""
    stack = with_a_name_that_dies(new_certified, new_ca())
    before = stack.serial(HOST)
    stack.certs("renew", "chat")
    wait_until(lambda: "certificate_failed" in stack.agent_log(), "the failure", 30)
    told = stack.told(NAME)
    assert "refused" in told["problem"]["detail"] and not told.get("left_out")
    assert told["next_at"] > time.time()
    assert names_of(stack.wait_served(WWW)) == {HOST, WWW} and stack.serial(HOST) == before


def test_a_name_that_fails_is_split_off_from_what_is_revoked(new_certified, new_ca):
    """Browsers refuse what is in service, however much of its life is left."""
    stack = with_a_name_that_dies(new_certified, new_ca())
    stack.certs("revoke", "chat")
    told = stack.wait_told(NAME, lambda told: told["names"] == [HOST], "without it", 30)
    assert [one["host"] for one in told["left_out"]] == [WWW]
    assert stack.admin("POST", f"/v1/certificates/{NAME}/rollback")[0] == 409


def test_a_name_that_fails_is_split_off_from_what_the_ca_will_revoke(
    new_certified, new_ca, tmp_path
):
    """Its renewal information tells of a window in the past. (pebble 2.4 has none of its own.)"""
    ca = new_ca(validity_s=600)
    proxy = FaultyProxy(ca, tmp_path, [])
    proxy.tell_window()
    proxy.start()
    try:
        stack = with_a_name_that_dies(new_certified, ca, acme={"directory": proxy.directory})
        told = stack.wait_told(NAME, lambda told: told["names"] == [HOST], "without it", 60)
        assert [one["host"] for one in told["left_out"]] == [WWW]
    finally:
        proxy.stop()


def test_the_accounts_key_is_rolled_over(chat):
    (key,) = chat.state_dir.glob("accounts/*.key")
    before, serial = key.read_text(), chat.serial(HOST)
    assert json.loads(chat.certs("rollover", "--json")) == {}
    wait_until(lambda: "account_key_changed" in chat.agent_log(), "a new key", 20)
    assert key.read_text() != before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    told = chat.certs("rollover")
    assert "owui-spoa haproxy-config --out /etc/haproxy && systemctl reload haproxy" in told
    wait_until(lambda: chat.agent_log().count("account_key_changed") == 2, "another one", 20)
    chat.certs("renew", "chat")
    chat.wait_served(HOST, but_not=serial)  # by the account that it was
    assert "acme_account_gone" not in chat.agent_log()


def test_renewal_before_a_short_life_ends(new_certified, new_ca):
    """Three certificates that live for 16 s, one after the other, and never an expired one."""
    stack = new_certified(new_ca(validity_s=16))
    stack.want(("chat", HOST))
    stack.start()
    serial = stack.wait_served(HOST).serial_number
    for _ in range(2):
        renewed = []

        def look():
            certificate = stack.served(HOST)
            assert certificate is not None  # never a gap: an expired one would not verify
            renewed.append(certificate.serial_number)
            return certificate.serial_number != serial

        wait_until(look, "renewed", 16)
        serial = renewed[-1]


def test_revocation_brings_another(chat, ca):
    before = chat.serial(HOST)
    chat.certs("revoke", "chat")
    chat.wait_served(HOST, but_not=before)
    wait_until(
        lambda: '"Revoked"' in ca.manage(f"/cert-status-by-serial/{before:x}"), "revoked at the CA"
    )


def test_what_another_account_has_ordered_is_revoked(chat, ca):
    """As certbot's, or ours before its state was lost: who has the certificate's key may, too."""
    before = chat.serial(HOST)
    chat.agents[0].stop()
    shutil.rmtree(chat.state_dir)
    chat.start_agent()
    chat.wait_told(NAME, lambda told: told["haproxys"][0]["served"], "served")
    chat.certs("revoke", "chat")
    chat.wait_served(HOST, but_not=before)
    assert '"Revoked"' in ca.manage(f"/cert-status-by-serial/{before:x}")


def test_a_reload_of_the_configuration_leaves_the_ca_known(chat):
    """What the CA is told, secrets and all, outlives the configuration that it was read from."""
    before = chat.serial(HOST)
    chat.agents[0].send_signal(signal.SIGHUP)
    wait_until(lambda: "reload by=signal" in chat.agent_log(), "read again")
    chat.certs("renew", "chat")
    chat.wait_served(HOST, but_not=before)


def test_the_one_before_comes_back(chat):
    first = chat.serial(HOST)
    chat.certs("renew", "chat")
    second = chat.wait_served(HOST, but_not=first).serial_number
    chat.certs("rollback", "chat")
    assert chat.wait_served(HOST, but_not=second).serial_number == first
    assert chat.serial_on_disk(NAME) == first
    told = chat.wait_told(NAME, lambda told: int(told["serial"], 16) == first, "what is there now")
    assert told["alarm"] == "fine"


def test_a_renewal_goes_by_what_is_there(chat, authority):
    """Put there by an admin while the daemon runs, replaced by a renewal, and put back."""
    own = authority.issue([HOST], chat.directory / "own.pem", days=2).read_bytes()
    serial = x509.load_pem_x509_certificate(own).serial_number

    def is_own(told):
        return int(told["serial"], 16) == serial

    (chat.crt_dir / NAME).write_bytes(own)
    first = chat.wait_told(NAME, is_own, "the admin's own")
    chat.certs("renew", "chat")
    chat.wait_told(NAME, lambda told: not is_own(told), "ours")
    chat.certs("rollback", "chat")
    for told in first, chat.wait_told(NAME, is_own, "the admin's again"):
        assert 0.4 * DAY_S < told["renewal"] - time.time() < 0.6 * DAY_S  # half of three days


def test_a_tenant_that_leaves_and_returns_keeps_its_certificate(chat, ca):
    before, orders = chat.serial(HOST), ca.orders()
    (chat.tenants_dir / "chat.json").unlink()
    wait_until(lambda: json.loads(chat.certs("--json"))["certificates"] == [], "gone")
    chat.want(("chat", HOST))
    told = chat.wait_told(NAME, lambda told: told["haproxys"][0]["served"], "served")
    assert "doing" not in told
    assert (chat.serial(HOST), ca.orders()) == (before, orders)


def test_a_ca_that_has_forgotten_everything(new_certified, new_ca):
    pebble = new_ca()
    stack = new_certified(pebble)
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)
    pebble.restart()
    assert stack.served(HOST) is None  # it has another root now
    stack.certs("renew", "chat")
    stack.wait_served(HOST)
    assert "acme_account_gone" in stack.agent_log()


# --- a CA that is left for another ------------------------------------------------------------


def change_ca(stack, directory):
    stack.config["acme"]["directory"] = directory
    stack.write_config()
    stack.restart_agent()


@pytest.fixture
def left(new_certified, new_ca):
    """Served by the first of two CAs: a trial's, which nobody trusts."""
    first = new_ca()
    stack = new_certified(first)
    stack.other_ca = new_ca(challenge_port=first.challenge_port)
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)
    return stack


def test_what_a_trial_ca_has_issued_is_replaced_at_once(left):
    change_ca(left, left.other_ca.directory)
    told = left.wait_told(NAME, lambda told: told["state"] == "fine", "well", 30)
    assert told["ca"] == left.other_ca.directory and told["next"].startswith("renewal is planned")
    assert left.serial(HOST, context=left.trust(pebble=left.other_ca)) == int(told["serial"], 16)
    assert (left.pebble.orders(), left.other_ca.orders()) == (1, 1)
    assert f"acme_ca_left ca={left.pebble.directory} " in left.agent_log()


def test_what_a_trial_ca_has_issued_is_served_until_there_is_another(left):
    change_ca(left, f"https://127.0.0.1:{free_port()}/dir")
    told = left.wait_told(NAME, lambda told: told["failures"] == 1, "tried", 30)
    assert told["state"] == "untrusted" and told["ca"] == left.pebble.directory
    assert told["haproxys"][0]["served"] and left.serial(HOST) == int(told["serial"], 16)
    assert left.certs_code("--check") == 1
    assert "not trusted: its CA is configured no longer" in left.certs()
    change_ca(left, left.pebble.directory)
    told = left.wait_told(NAME, lambda told: told["state"] == "fine", "well again")
    assert left.pebble.orders() == 1 and left.certs_code("--check") == 0


def test_what_is_trusted_is_replaced_when_its_time_comes(left, tmp_path):
    """Thousands of certificates do not become orders because a line has changed, nor do any that
    are good give way to a trial's."""
    roots = tmp_path / "roots.pem"
    roots.write_text(left.pebble.root())
    left.agent_env["SSL_CERT_FILE"] = str(roots)  # the machine's
    change_ca(left, left.other_ca.directory)
    told = left.wait_told(NAME, lambda told: "doing" not in told, "at rest")
    assert told["state"] == "fine" and told["next"].startswith("renewal is planned")
    left.certs("renew", "chat")
    left.wait_told(NAME, lambda told: told["ca"] == left.other_ca.directory, "the other's", 30)
    assert (left.pebble.orders(), left.other_ca.orders()) == (1, 1)


def test_what_the_configured_roots_are_above_is_trusted(left, tmp_path):
    """Those of a house, whose CA has moved."""
    roots = tmp_path / "roots.pem"
    roots.write_text(left.pebble.ca_file.read_text() + left.pebble.root())
    left.config["acme"]["ca_file"] = str(roots)
    change_ca(left, left.other_ca.directory)
    told = left.wait_told(NAME, lambda told: told["state"] == "fine", "well")
    assert told["ca"] == left.pebble.directory and left.other_ca.orders() == 0


def test_what_others_have_brought_stays(left, authority):
    """Nobody knows its CA, and no root of this machine's is above it."""
    own = authority.issue([HOST], left.directory / "own.pem").read_bytes()
    (left.crt_dir / NAME).write_bytes(own)
    left.wait_told(NAME, lambda told: told["source"] == "file", "the admin's own")
    change_ca(left, left.other_ca.directory)
    left.wait_told(NAME, lambda told: told["state"] == "fine", "well")
    assert left.other_ca.orders() == 0


def test_the_second_ca_is_no_ca_that_was_left(left):
    left.config["acme"]["second"] = left.pebble.as_second()
    change_ca(left, left.other_ca.directory)
    left.wait_told(NAME, lambda told: told["state"] == "fine", "well")
    assert left.other_ca.orders() == 0


def test_where_failed_orders_are_tried_again_counts_as_a_ca_that_was_left(left):
    """It is a trial's by its name, and nothing that it issues is put in service."""
    left.config["acme"]["staging"] = left.pebble.directory
    change_ca(left, left.other_ca.directory)
    left.wait_told(NAME, lambda told: told["ca"] == left.other_ca.directory, "the other's", 30)


# --- HAProxy and what happens behind our back -------------------------------------------------


def test_haproxy_restarted(chat):
    before = chat.serial(HOST)
    chat.haproxy.stop()
    chat.start_haproxy()
    assert chat.serial(HOST) == before  # from its folder, without any help
    chat.certs("renew", "chat")
    chat.wait_served(HOST, but_not=before)


def test_haproxy_reloaded(chat):
    before, workers = chat.serial(HOST), chat.haproxy_workers()
    chat.haproxy.send_signal(signal.SIGUSR2)
    wait_until(
        lambda: len(found := chat.haproxy_workers()) == 1 and found != workers, "a new worker"
    )
    chat.wait_served(HOST)
    assert chat.serial(HOST) == before
    chat.certs("renew", "chat")
    chat.wait_served(HOST, but_not=before)


def test_haproxy_mended_and_reloaded(new_certified):
    """What has failed for its sake, again and again, does not wait for a day any more."""
    stack = new_certified()
    stack.want(("chat", HOST))
    stack.write_config()
    path = stack.write_haproxy_config()
    good = path.read_text()
    rule = "    http-request deny deny_status 401\n"
    path.write_text(good.replace("    acl acme path_beg", rule + "    acl acme path_beg"))
    stack.start_haproxy()
    stack.start_agent()
    for failures in range(1, 6):
        stack.certs("renew", "chat") if failures > 1 else None
        told = stack.wait_told(NAME, lambda told: told.get("failures") == failures, "failed")
    assert told["problem"]["class"] == "local" and told["next_in_s"] > 80000, told
    path.write_text(good)
    stack.haproxy.send_signal(signal.SIGUSR2)
    stack.wait_told(NAME, lambda told: told["next_in_s"] <= 660, "tried soon")


def test_haproxy_restarted_with_a_folder_of_yesterday(chat):
    """It comes up with an older certificate than is on disk, as after a copy of the machine."""
    first = chat.serial(HOST)
    old = (chat.crt_dir / NAME).read_bytes()
    chat.certs("renew", "chat")
    second = chat.wait_served(HOST, but_not=first).serial_number
    new = (chat.crt_dir / NAME).read_bytes()
    chat.haproxy.stop()
    (chat.crt_dir / NAME).write_bytes(old)
    chat.start_haproxy()
    (chat.crt_dir / NAME).write_bytes(new)
    assert chat.wait_served(HOST, but_not=first, timeout_s=10).serial_number == second


class Container(RuntimeRelay):
    """A HAProxy that is in a container, where each process has the same number, and begins again
    before anybody misses it."""

    told = b"\nUptime_sec: 0\n"

    def serve(self, near):
        if not near.recv(65536, socket.MSG_PEEK).startswith(b"show info\n"):
            with contextlib.suppress(OSError):  # it is away
                super().serve(near)
            return
        with near, socket.socket(socket.AF_UNIX) as far:
            near.recv(65536)
            with contextlib.suppress(OSError):
                far.connect(str(self.haproxy_path))
                far.sendall(b"show info\n")
                far.shutdown(socket.SHUT_WR)
                told, found = re.subn(rb"\nPid: \d+", b"\nPid: 7", far.makefile("rb").read())
                if found:  # one that is about to end may accept, and say nothing
                    self.told = told
            near.sendall(self.told)


def test_a_process_with_the_number_of_the_one_before(chat):
    def seen():
        return chat.agent_log().count("haproxy_seen")

    path = chat.directory / "container.sock"
    relay = Container(path, chat.runtime_socket, lambda command: None)
    try:
        chat.config["haproxy"]["runtime"] = [str(path)]
        chat.write_config()
        chat.restart_agent()
        wait_until(lambda: seen() > 0 and b"Uptime_sec: 0\n" not in relay.told, "known", 30)
        before, asked = seen(), relay.told
        wait_until(lambda: relay.told != asked, "another look", 30)
        assert seen() == before
        chat.haproxy.stop()
        chat.start_haproxy()
        wait_until(lambda: seen() > before, "the new one is noticed", 30)
        assert "haproxy_unreachable" not in chat.agent_log()
    finally:
        relay.stop()


def put_in_by_hand(stack, pem):
    """By `set ssl cert`, and waits until it is out again."""
    path = stack.crt_dir / NAME
    renewed = stack.agent_log().count("as=renewed")
    assert "created" in stack.runtime(f"set ssl cert {path} <<\n{pem}\n")
    assert "Success" in stack.runtime(f"commit ssl cert {path}")
    # which may be so soon that nobody sees the other one
    wait_until(lambda: stack.agent_log().count("as=renewed") > renewed, "it is set right", 30)


def test_a_haproxy_that_is_away_keeps_nothing_from_the_others(new_certified, authority, tmp_path):
    """Nor is each certificate tried in vain there."""
    stack = new_certified(acme={"directory": "none"})
    stack.want(("chat", HOST), ("other", "other.example.test"))
    for name, host in ((NAME, HOST), ("other.pem", "other.example.test")):
        authority.issue([host], stack.crt_dir / name)
    stack.config["haproxy"]["runtime"] = [
        str(stack.haproxy_dir / "admin.sock"),
        str(stack.directory / "away.sock"),
    ]
    stack.write_config()
    stack.write_haproxy_config()
    stack.start_haproxy()
    stack.start_agent()
    for name in (NAME, "other.pem"):
        stack.wait_told(name, lambda told: told["haproxys"][0]["served"], "served", 30)
    put_in_by_hand(stack, authority.issue([HOST], tmp_path / "other.pem").read_text())
    assert "deploy_failed" not in stack.agent_log()
    assert not stack.told(NAME)["haproxys"][1]["served"]


def test_what_could_not_be_read_does_not_wait_for_its_turn(new_certified, authority):
    """Of many certificates a few are looked at at a time."""
    stack = new_certified(acme={"directory": "none"})
    names = [f"t{number:02}" for number in range(50)]
    stack.want(*((name, f"{name}.test") for name in names))
    for name in names[:-1]:
        authority.issue([f"{name}.test"], stack.crt_dir / f"{name}.pem")
    last = stack.crt_dir / f"{names[-1]}.pem"
    stack.write_config()
    stack.write_haproxy_config()
    stack.start_haproxy()
    last.symlink_to(last)  # which leads nowhere
    stack.start_agent()
    wait_until(lambda: "certificate_unreadable" in stack.agent_log(), "looked at", 30)
    last.unlink()
    authority.issue([f"{names[-1]}.test"], last)
    stack.wait_told(last.name, lambda told: told["haproxys"][0]["served"], "served", 40)


def test_a_certificate_put_in_by_hand_is_set_right(chat, authority, tmp_path):
    """`set ssl cert` by somebody else: HAProxy's process is the same, what it serves is not."""
    serial = chat.serial(HOST)
    put_in_by_hand(chat, authority.issue([HOST], tmp_path / "other.pem").read_text())
    assert chat.wait_served(HOST, timeout_s=15).serial_number == serial


def test_a_socket_that_may_not_be_opened(new_certified, authority):
    """The daemon's user is not in the socket's group; when that is mended, it goes on by itself."""
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    stack = new_certified(acme={"directory": "none"})
    stack.want(("chat", HOST))
    authority.issue([HOST], stack.crt_dir / NAME)
    stack.write_config()
    stack.write_haproxy_config()
    stack.start_haproxy()
    nobody = 65534
    for path in [stack.directory, *stack.directory.rglob("*")]:
        os.chown(path, nobody, nobody)
    os.chown(stack.runtime_socket, 0, 0)
    os.chmod(stack.runtime_socket, 0o600)
    stack.start_agent(user=nobody)
    wait_until(lambda: "haproxy_unreachable" in stack.agent_log(), "looked for HAProxy", 30)
    assert f"cannot connect to {stack.runtime_socket}: Permission denied" in stack.agent_log()
    assert "Permission denied" in stack.admin("GET", "/v1/status")[1]
    os.chmod(stack.runtime_socket, 0o666)
    stack.wait_told(NAME, lambda told: told["haproxys"][0]["served"], "served", 30)


def test_two_haproxys(new_certified):
    stack = new_certified()
    stack.want(("chat", HOST))
    first, second = stack.haproxy_dir / "admin.sock", stack.haproxy_dir / "admin2.sock"
    stack.config["haproxy"]["runtime"] = [str(first), str(second)]
    stack.write_config()
    others = stack.write_haproxy_config().read_text().replace(str(first), str(second))
    plain_port, port = free_port(), free_port()
    for mine, its in ((stack.http_port, plain_port), (stack.https_port, port)):
        others = others.replace(f"bind 127.0.0.1:{mine}", f"bind 127.0.0.1:{its}")
    (stack.haproxy_dir / "second.cfg").write_text(others)
    command = [HAPROXY, "-W", "-f", stack.haproxy_dir / "second.cfg"]
    other = Process("second", command, stack.directory)
    try:
        other.start().wait_for(lambda: accepts(second), "listening")
        stack.start_haproxy()
        stack.start_agent()
        serial = stack.wait_served(HOST).serial_number
        assert stack.wait_served(HOST, port=port).serial_number == serial
        stack.wait_told(
            NAME, lambda told: [one["served"] for one in told["haproxys"]] == [True] * 2, "served"
        )

        # One of them away: the other gets the new one; it, when it is back.
        other.stop()
        stack.certs("renew", "chat")
        new = stack.wait_served(HOST, but_not=serial).serial_number
        other = Process("second", command, stack.directory).start()
        assert stack.wait_served(HOST, port=port).serial_number == new
        stack.wait_told(
            NAME, lambda told: all(one["served"] for one in told["haproxys"]), "served by both"
        )
    finally:
        other.stop()


def test_by_the_masters_socket(new_certified):
    stack = new_certified()
    master = stack.haproxy_dir / "master.sock"
    stack.config["haproxy"]["runtime"] = [f"master:{master}"]
    stack.want(("chat", HOST))
    stack.start("-S", str(master))
    before = stack.wait_served(HOST).serial_number
    stack.certs("renew", "chat")
    stack.wait_served(HOST, but_not=before)


@pytest.mark.parametrize("way", ["another", "master"])
def test_two_sockets_of_one_haproxy(new_certified, way):
    """It has one transaction: over one of them nothing is aborted that was begun over the other."""
    stack = new_certified()
    hosts = {f"t{number}": f"t{number}.example.test" for number in range(8)}
    stack.want(*hosts.items())
    one, two = stack.haproxy_dir / "admin.sock", stack.haproxy_dir / "two.sock"
    stack.config["haproxy"]["runtime"] = [
        str(one),
        f"master:{two}" if way == "master" else str(two),
    ]
    stack.write_config()
    path = stack.write_haproxy_config()
    if way == "another":
        line = f"    stats socket {one} "
        text = path.read_text()
        path.write_text(
            text.replace(line, line.replace(str(one), str(two)) + "level admin\n" + line)
        )
    stack.start_haproxy(*(["-S", str(two)] if way == "master" else []))
    stack.start_agent()
    before = {
        name: stack.wait_served(host, timeout_s=60).serial_number for name, host in hosts.items()
    }
    for name in hosts:
        stack.act(f"{name}.pem", "renew")
    for name, host in hosts.items():
        after = stack.wait_served(host, but_not=before[name], timeout_s=60)
        assert after.serial_number == stack.serial_on_disk(f"{name}.pem")
    wait_until(lambda: stack.certs_code("--check") == 0, "all is well", 30)
    log = stack.agent_log()
    assert f"haproxy_twice haproxy={two} same_as={one}" in log and log.count("haproxy_twice") == 1
    for word in ("deploy_failed", "leftover_transaction", "served_wrong"):
        assert word not in log


def test_a_leftover_transaction_is_cleared(chat, authority, tmp_path):
    before = chat.serial(HOST)
    other = authority.issue([HOST], tmp_path / "other.pem").read_text()
    assert "created" in chat.runtime(f"set ssl cert {chat.crt_dir / NAME} <<\n{other}\n")
    chat.certs("renew", "chat")
    after = chat.wait_served(HOST, but_not=before)
    assert after.serial_number == chat.serial_on_disk(NAME)
    wait_until(lambda: "leftover_transaction" in chat.agent_log(), "what was cleared is told")


def test_a_transaction_of_somebody_else_stays_where_nothing_is_to_change(chat, authority):
    """Every certificate is looked at every few seconds, and who sets one by hand, or a hook, commits
    it as long after that as it takes."""
    own = authority.issue(["own.example.test"], chat.crt_dir / "own.pem")
    looks = r'owui_spoa_swaps_total\{result="unchanged"\} (\d+)'

    def looked():
        return int(re.search(looks, chat.admin("GET", "/metrics")[1])[1])

    chat.runtime(f"new ssl cert {own}")
    assert "created" in chat.runtime(f"set ssl cert {own} <<\n{own.read_text()}\n")
    before = looked()
    wait_until(lambda: looked() > before, "it was looked at")
    assert "Success!" in chat.runtime(f"commit ssl cert {own}")
    assert "leftover_transaction" not in chat.agent_log()


def test_many_certificates_are_gone_through_soon(new_certified, authority):
    """HAProxy locks its certificates while it lists them: we must not wait for ourselves."""
    stack = new_certified(acme={"directory": "none"})
    stack.write_tenants(
        {
            f"t{number}": {"hosts": [f"t{number}.test"], "upstream": "http://127.0.0.1:1"}
            for number in range(600)
        }
    )
    for number in range(600):
        authority.issue([f"t{number}.test"], stack.crt_dir / f"t{number}.pem")
    stack.write_config()
    stack.write_haproxy_config()
    stack.start_haproxy()
    # As fast as this machine is with the first two commands for each.
    asked, begun_s = 50, time.monotonic()
    for number in range(asked):
        stack.runtime("show ssl cert")
        stack.runtime(f"show ssl cert {stack.crt_dir}/t{number}.pem")
    limit_s = max(40, 20 * (time.monotonic() - begun_s) * 600 / asked)
    stack.start_agent()
    wait_until(lambda: accepts(stack.config["admin_socket"]), "the sidecar is up", 30)

    def last_is_served():
        status, text = stack.admin("GET", "/v1/certificates/t99")
        return status == 200 and json.loads(text)["haproxys"][0]["served"]

    wait_until(last_is_served, "all are known to be served", limit_s)
    told = json.loads(stack.admin("GET", "/v1/certificates")[1])["certificates"]
    assert len(told) == 600 and all(one["haproxys"][0]["served"] for one in told)


def test_haproxy_in_its_chroot_as_its_own_user(new_certified):
    """As the package runs it: the folder is read before the privileges are dropped."""
    if os.geteuid() != 0:
        pytest.skip("needs root to drop privileges")
    stack = new_certified()
    empty = stack.directory / "chroot"
    empty.mkdir()
    stack.sockets = [empty / "agent.sock"]
    stack.config["listen"] = stack.config["haproxy"]["agents"] = [f"unix:{empty}/agent.sock"]
    stack.config["listen_mode"] = "0666"
    stack.config["haproxy"].update(chroot=str(empty), user="haproxy", group="haproxy")
    stack.want(("chat", HOST))
    stack.start()
    before = stack.wait_served(HOST).serial_number
    stack.certs("renew", "chat")
    stack.wait_served(HOST, but_not=before)
    assert stack.get(HOST).status == 200


# --- for monitoring, and beside others --------------------------------------------------------


def test_check_tells_monitoring(new_certified, ca):
    ca.resolve("down.example.test", "127.0.0.9")
    stack = new_certified()
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)
    stack.wait_told(NAME, lambda told: told["haproxys"][0]["served"], "served")
    assert stack.certs_code("--check") == stack.certs_code("--check", "--json") == 0
    # What cron runs sends a mail for each word.
    assert stack.certs("--check") == stack.certs("chat", "--check") == ""
    stack.want(("down", "down.example.test"))
    stack.wait_told("down.pem", lambda told: told["failures"] > 0, "failed")
    for of, code in ((), 1), (["down"], 1), (["chat"], 0):
        assert (
            stack.certs_code("--check", *of) == stack.certs_code("--check", "--json", *of) == code
        )
    assert "refused" in stack.told("down.pem")["problem"]["detail"]
    printed = run_agent_command("certs", "-c", stack.config_path, "--check").stdout
    assert "2 certificates, 1 not fine" in printed and NAME not in printed
    printed = run_agent_command("certs", "-c", stack.config_path, "--check", "down").stdout
    assert "down.example.test" in printed
    stack.agents[0].stop()
    assert stack.certs_code("--check") == 2


def run_certbot(ca, folder, host, *how):
    """The folder where it keeps what it got."""
    certbot = shutil.which("certbot")
    if certbot is None:
        pytest.skip("needs certbot")
    for _ in range(5):  # this CA refuses one good nonce in twenty, which certbot does not survive
        done = subprocess.run(
            [certbot, "certonly", *how, "--server", ca.directory, "-d", host]
            + ["-n", "--agree-tos", "-m", "a@example.test", "--no-eff-email"]
            + ["--config-dir", folder / "etc", "--work-dir", folder, "--logs-dir", folder],
            env={**os.environ, "REQUESTS_CA_BUNDLE": str(ca.ca_file)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr + done.stdout
    assert (folder / "etc/live" / host / "fullchain.pem").exists()


def test_certbot_beside_us(new_certified, ca, tmp_path):
    """`certbot --webroot` into our folder; its challenges are answered where ours are."""
    webroot = tmp_path / "webroot"
    (webroot / ".well-known/acme-challenge").mkdir(parents=True)
    stack = new_certified(acme={"webroot": str(webroot)})
    stack.want(("chat", HOST))
    stack.start()
    run_certbot(ca, tmp_path, "own.example.test", "--webroot", "-w", webroot)
    stack.wait_served(HOST)


def test_certbot_in_our_place(new_certified, ca, tmp_path):
    """Who orders nothing leaves the port of challenges to `certbot --standalone`."""
    (tmp_path / "etc").mkdir()
    stack = new_certified(acme={"directory": "none", "certbot_live": str(tmp_path / "etc")})
    stack.want(("chat", HOST))
    stack.start()
    run_certbot(ca, tmp_path, HOST, "--standalone", "--http-01-port", str(stack.challenge_port))
    assert names_of(stack.wait_served(HOST)) == {HOST}
    found = run_agent_command("doctor", "--json", "-c", stack.config_path)
    assert "challenge" not in {one["check"] for one in json.loads(found.stdout)["findings"]}


# --- secrets ----------------------------------------------------------------------------------


def private_files(stack):
    folders = [stack.crt_dir, stack.state_dir]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def key_lines(stack):
    """The base64 lines of every private key that is on disk."""
    lines = set()
    for path in private_files(stack):
        text = path.read_text(errors="replace")
        for part in text.split("-----BEGIN PRIVATE KEY-----\n")[1:]:
            lines.update(part.split("-----END")[0].split())
    return lines


def test_keys_are_nobodys_business(chat):
    before = chat.serial(HOST)
    chat.certs("renew", "chat")
    chat.wait_served(HOST, but_not=before)
    files = private_files(chat)
    assert len(files) >= 3
    for path in files:
        if path.name != "lock":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(chat.state_dir.stat().st_mode) == 0o700
    lines = key_lines(chat)
    assert len(lines) >= 6
    said = chat.agent_log() + chat.haproxy.log() + chat.certs() + chat.certs("--json")
    assert "PRIVATE" not in said
    assert not [line for line in lines if line in said]
    about = pathlib.Path(f"/proc/{chat.agents[0].pid}")
    assert about.joinpath("cmdline").read_bytes().count(b"\0") == 4  # run -c FILE, no more


def test_no_key_is_left_in_memory(chat):
    """What was written, sent or read and is needed no more has been wiped: no key's text, and not
    the number that makes a certificate's key. (The sanitizers keep freed memory as it was.)
    """
    before = chat.serial(HOST)
    chat.certs("renew", "chat")
    chat.wait_served(HOST, but_not=before)
    chat.wait_told(NAME, lambda told: "doing" not in told, "at rest")
    wait_until(lambda: "as=renewed" in chat.agent_log(), "HAProxy needs no more of it")
    secrets = set()
    for path in [chat.crt_dir / NAME, *(chat.state_dir / "history").glob("*/*.pem")]:
        text = path.read_bytes()
        # The third line is the public part, which the request for the certificate has too.
        secrets |= set(text.split(b"\n")[1:3])
        key = serialization.load_pem_private_key(text, None)
        number = key.private_numbers().private_value.to_bytes(32, "big")
        secrets |= {number, number[::-1]}
    assert len(secrets) >= 8
    memory = memory_of(chat.agents[0].pid)
    assert any(HOST.encode() in content for _, content in memory)  # it is the right process
    found = [
        f"{mapping}: {content[max(0, content.index(secret) - 64):][:128]}"
        for mapping, content in memory
        for secret in secrets
        if secret in content
    ]
    assert found == []


def memory_of(pid):
    """All that a process has written to its memory, by mapping; but not AddressSanitizer's shadow, which is many
    terabytes of address space and no copy of anything."""
    memory = []
    page = os.sysconf("SC_PAGE_SIZE")
    about = pathlib.Path(f"/proc/{pid}")
    try:
        with open(about / "mem", "rb", 0) as file, open(about / "pagemap", "rb", 0) as pages:
            for line in (about / "maps").read_text().splitlines():
                places, mode = line.split()[:2]
                start, end = (int(place, 16) for place in places.split("-"))
                if not mode.startswith("rw") or end - start > SHADOW_BYTES:
                    continue
                content = bytearray()
                for at in range(start, end, CHUNK_BYTES):
                    size = min(CHUNK_BYTES, end - at)
                    pages.seek(at // page * 8)
                    if any(pages.read(size // page * 8)):
                        file.seek(at)
                        content += file.read(size)
                memory.append((line, bytes(content)))
    except PermissionError:
        pytest.skip("needs root to read another process's memory")
    return memory


def test_no_core_dump_and_no_other_process(new_certified):
    """The kernel gives the files of such a process in /proc to root, whoever it runs as."""
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    stack = new_certified(acme={"directory": "none"})
    stack.write_config()
    stack.write_haproxy_config()
    nobody = 65534
    for path in [stack.directory, *stack.directory.rglob("*")]:
        os.chown(path, nobody, nobody)
    agent = stack.start_agent(user=nobody)
    assert " 65534 " in pathlib.Path(f"/proc/{agent.pid}/status").read_text().replace("\t", " ")
    # It listens before it has keys.
    wait_until(lambda: os.stat(f"/proc/{agent.pid}/mem").st_uid == 0, "not to be looked into", 30)
    limits = pathlib.Path(f"/proc/{agent.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)


def test_certificates_step_behind_requests(new_certified):
    """The scheduler prefers who decides to who orders."""
    stack = new_certified(acme={"directory": "none"})
    stack.start()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    niceness = {}

    def threads_are_named():
        """They name themselves when they begin."""
        for task in pathlib.Path(f"/proc/{stack.agents[0].pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                name = (task / "comm").read_text().strip()
                niceness[name] = os.getpriority(os.PRIO_PROCESS, int(task.name))
        return {"loop-0", "sidecar"} <= set(niceness)

    wait_until(threads_are_named, "threads with names", 30)
    assert niceness["loop-0"] == own
    wait_until(
        lambda: threads_are_named() and niceness["sidecar"] == min(19, own + 10), "stepping", 30
    )


@pytest.mark.parametrize("owner, mode", [(None, 0o640), ("haproxy", 0o640), ("haproxy", 0o600)])
def test_whose_the_files_are(new_certified, owner, mode):
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    import grp
    import pwd

    group = "haproxy" if mode == 0o640 else None
    wished = {"owner": owner, "group": group}
    stack = new_certified(acme={key: name for key, name in wished.items() if name})
    stack.want(("chat", HOST))
    stack.start()
    serial = stack.wait_served(HOST).serial_number
    stack.certs("renew", "chat")
    stack.wait_served(HOST, but_not=serial)
    about = (stack.crt_dir / NAME).stat()
    assert stat.S_IMODE(about.st_mode) == mode
    assert about.st_uid == (pwd.getpwnam(owner).pw_uid if owner else os.geteuid())
    assert about.st_gid == (grp.getgrnam(group).gr_gid if group else os.getegid())
    for path in stack.state_dir.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_an_owner_that_there_is_not(new_certified):
    stack = new_certified(acme={"owner": "nobody-of-this-name"})
    stack.write_config()
    stack.write_tenants({})
    done = run_agent_command("run", "-c", stack.config_path)
    assert done.returncode != 0
    assert "acme.owner: there is no user" in done.stderr and "nobody-of-this-name" in done.stderr
