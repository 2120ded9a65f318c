"""Certificates that certbot obtained: taken over once, or deployed at each renewal."""

import datetime
import json
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.processes import wait_until
from support.stack import run_agent_command

HOST = "chat.example.test"


class Letsencrypt:
    """A folder as certbot keeps it: live/NAME/*.pem are links into archive/NAME."""

    def __init__(self, folder):
        self.folder = folder
        self.serials = {}

    def renew(self, lineage, names, days=60, key=None):
        number = self.serials.get(lineage, 0) + 1
        self.serials[lineage] = number
        archive, live = (self.folder / kind / lineage for kind in ("archive", "live"))
        archive.mkdir(parents=True, exist_ok=True)
        live.mkdir(parents=True, exist_ok=True)
        own = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an issuer of tests")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=max(1, 1 - days)))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
            .sign(own, hashes.SHA256())
        )
        pem = (key or own).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        files = {"privkey": pem, "fullchain": certificate.public_bytes(serialization.Encoding.PEM)}
        for kind, content in files.items():
            (archive / f"{kind}{number}.pem").write_bytes(content)
            link = live / f".{kind}.new"
            os.symlink(f"../../archive/{lineage}/{kind}{number}.pem", link)
            link.rename(live / f"{kind}.pem")
        return certificate.serial_number


@pytest.fixture
def certbot(tmp_path):
    folder = Letsencrypt(tmp_path / "letsencrypt")
    (folder.folder / "live").mkdir(parents=True)
    (folder.folder / "live" / "README").write_text("certbot puts one here")
    return folder


@pytest.fixture
def unmanaged(new_stack, upstreams):
    """A stack that brings certificates to HAProxy and orders none."""

    def make(**acme):
        stack = new_stack()
        stack.config["acme"] |= {
            "directory": "none",
            "state_dir": str(stack.directory / "state"),
            **acme,
        }
        stack.write_config()
        stack.write_tenants({"chat": {"hosts": [HOST], "upstream": upstreams["alpha"].url}})
        stack.write_haproxy_config()
        stack.start_agent()
        stack.start_haproxy()
        wait_until(lambda: status(stack), "the tenant's certificate to be wanted", 10)
        return stack

    return make


def certs(stack, *words):
    return run_agent_command("certs", *words, "-c", stack.config_path)


def status(stack):
    done = certs(stack, "chat", "--json")
    return json.loads(done.stdout) if done.returncode == 0 else None


def served(stack):
    told = status(stack)
    if not told or not all(one["served"] for one in told["haproxys"]) or "serial" not in told:
        return None
    return int(told["serial"], 16)


def test_import_gives_each_lineage_to_its_tenant(unmanaged, certbot):
    stack = unmanaged()
    serial = certbot.renew("chat", ["www.other.test", HOST])
    certbot.renew("nobody", ["nobody.test"])
    certbot.renew("mixed", [HOST], key=ec.generate_private_key(ec.SECP256R1()))
    certbot.renew("old", [HOST], days=-1)
    (certbot.folder / "live" / "empty").mkdir()
    done = certs(stack, "import", certbot.folder, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["imported"] == [{"lineage": "chat", "certificate": "chat.pem"}]
    reasons = {one["lineage"]: one["reason"] for one in told["skipped"]}
    assert set(reasons) == {"empty", "mixed", "nobody", "old"}
    assert "nobody.test" in reasons["nobody"] and "expired" in reasons["old"]
    assert "fullchain.pem is not there" in reasons["empty"]
    wait_until(lambda: served(stack) == serial, "HAProxy to serve it", 15)
    assert "served_wrong" not in stack.agents[0].log()

    done = certs(stack, "import", certbot.folder / "live")
    assert "unchanged" in done.stdout and "imported" not in done.stdout


def test_a_shorter_or_narrower_one_stays_out(unmanaged, certbot):
    stack = unmanaged()
    serial = certbot.renew("chat", [HOST], days=60)
    certs(stack, "import", certbot.folder)
    certbot.renew("chat", [HOST], days=30)
    done = certs(stack, "import", certbot.folder, "--json")
    assert "lasts as long" in json.loads(done.stdout)["skipped"][0]["reason"]
    wait_until(lambda: served(stack) == serial, "HAProxy to serve the longer one", 15)


def test_a_folder_that_is_not_there_is_told(unmanaged, tmp_path):
    stack = unmanaged()
    done = certs(stack, "import", tmp_path / "missing")
    assert done.returncode == 1 and "missing" in done.stderr
    done = certs(stack, "import", "missing")
    assert done.returncode == 1 and "cannot open missing: No such file" in done.stderr
    assert certs(stack, "import").returncode == 2


def test_a_folder_without_certificates_is_told(unmanaged, tmp_path):
    stack = unmanaged()
    done = certs(stack, "import", tmp_path)
    assert done.returncode == 0 and done.stdout == f"no certificate of certbot's is in {tmp_path}\n"


def test_renewals_in_a_watched_folder_are_deployed(unmanaged, certbot):
    first = certbot.renew("chat", [HOST], days=30)
    stack = unmanaged(certbot_live=str(certbot.folder))
    wait_until(lambda: served(stack) == first, "HAProxy to serve the first one", 30)
    workers = stack.haproxy_workers()
    second = certbot.renew("chat", [HOST], days=60)
    later = certbot.renew("later", ["later.example.test"])
    wait_until(lambda: served(stack) == second, "HAProxy to serve the renewal", 30)
    assert stack.haproxy_workers() == workers
    # A tenant that comes later gets what waits for it.
    agent = stack.agents[0]
    wait_until(lambda: "lineage=later" in agent.log(), "a word about what nobody has", 30)
    stack.write_tenants(
        {"later": {"hosts": ["later.example.test"], "upstream": "http://127.0.0.1:9"}},
        "later.json",
    )
    path = stack.crt_dir / "later.pem"
    wait_until(path.exists, "the later tenant's certificate", 30)
    assert later


def lines_about(stack, lineage):
    return stack.agents[0].log().count(f"lineage={lineage} ")


def want(stack, *hosts, name="chat"):
    tenant = {"hosts": list(hosts), "upstream": "http://127.0.0.1:9"}
    stack.write_tenants({name: tenant}, "tenants.json" if name == "chat" else f"{name}.json")
    told = lambda: json.loads(certs(stack, "--json").stdout)["certificates"]
    wait_until(lambda: any(one["hosts"] == sorted(hosts) for one in told()), "wanted", 10)


def test_what_nobody_has_is_not_read_again_for_others(unmanaged, certbot):
    certbot.renew("nobody", ["nobody.test"])
    stack = unmanaged(certbot_live=str(certbot.folder))
    wait_until(lambda: lines_about(stack, "nobody"), "a word about what nobody has", 30)
    want(stack, "other.example.test", name="other")
    serial = certbot.renew("chat", [HOST])  # a later look finds it
    wait_until(lambda: served(stack) == serial, "HAProxy to serve it", 30)
    assert lines_about(stack, "nobody") == 1


def test_what_was_not_better_is_looked_at_again_for_other_hosts(unmanaged, certbot):
    first = certbot.renew("chat", [HOST], days=60)
    both = certbot.renew("more", [HOST, "www.example.test"], days=30)
    stack = unmanaged(certbot_live=str(certbot.folder))
    wait_until(lambda: served(stack) == first and lines_about(stack, "more"), "looked at", 30)
    want(stack, HOST, "www.example.test")
    wait_until(lambda: served(stack) == both, "what is for both hosts", 30)


def test_a_file_that_broke_comes_back_from_the_watched_folder(unmanaged, certbot):
    serial = certbot.renew("chat", [HOST])
    stack = unmanaged(certbot_live=str(certbot.folder))
    wait_until(lambda: served(stack) == serial, "HAProxy to serve it", 30)
    pem = (stack.crt_dir / "chat.pem").read_bytes()
    (stack.crt_dir / "chat.pem").write_bytes(pem[: len(pem) // 2])
    path = stack.crt_dir / "chat.pem"
    wait_until(lambda: path.exists() and path.read_bytes() == pem, "it is back", 60)


def test_what_certbot_has_is_not_ordered(new_certified, certbot, ca):
    """Neither at the start, nor for a tenant that comes later."""
    later, other = "later.example.test", "other.example.test"
    serials = {"chat": certbot.renew("chat", [HOST]), "later": certbot.renew("later", [later])}
    stack = new_certified(acme={"certbot_live": str(certbot.folder)})
    orders = ca.orders()
    stack.want(("chat", HOST))
    stack.start()
    for name, serial in serials.items():
        stack.want((name, HOST if name == "chat" else later))
        has_it = lambda told: int(told.get("serial", "0"), 16) == serial
        stack.wait_told(f"{name}.pem", has_it, "what certbot has", 60)
    stack.want(("other", other))
    looked_for = lambda told: "certbot_live" in told["next"]
    stack.wait_told("other.pem", looked_for, "is looked for")
    before = stack.wait_served(other, timeout_s=60).serial_number
    assert ca.orders() == orders + 1
    # Whether it was revoked is known once the search is over.
    stack.certs("renew", "other")
    after = stack.wait_served(other, but_not=before).serial_number
    stack.restart_agent()
    stack.wait_told("other.pem", looked_for, "is looked for")
    put_back = lambda: stack.admin("POST", "/v1/certificates/other.pem/rollback")
    code, text = put_back()
    assert code == 409 and "is not known yet" in text
    wait_until(lambda: put_back()[0] < 300, "put back", 60)
    stack.wait_served(other, but_not=after)
    assert stack.served(other).serial_number == before


def test_a_watched_folder_that_may_not_be_read_is_told_of_once(unmanaged, certbot):
    stack = unmanaged(certbot_live=str(certbot.folder / "missing"))
    told = lambda: stack.agents[0].log().count("not_imported")
    wait_until(told, "told", 30)
    (certbot.folder / "missing").symlink_to(".")
    serial = certbot.renew("chat", [HOST])
    wait_until(lambda: served(stack) == serial, "HAProxy to serve it", 30)
    assert told() == 1


def test_what_could_not_be_taken_over_is_tried_again_and_told_of_once(unmanaged, certbot):
    first = certbot.renew("chat", [HOST], days=30)
    stack = unmanaged(certbot_live=str(certbot.folder))
    wait_until(lambda: served(stack) == first, "HAProxy to serve the first one", 30)
    skipped = lambda: stack.agents[0].log().count("not_imported lineage=chat ")
    in_the_way = stack.directory / "state" / "history" / "chat.pem"
    in_the_way.write_text("where the folder of those before belongs")
    second = certbot.renew("chat", [HOST], days=60)
    wait_until(skipped, "a word about it", 30)
    certbot.renew("nobody", ["nobody.test"])  # which takes another two looks
    wait_until(lambda: lines_about(stack, "nobody"), "a word about what nobody has", 30)
    assert served(stack) == first and skipped() == 1
    in_the_way.unlink()
    wait_until(lambda: served(stack) == second, "HAProxy to serve the renewal", 30)
    assert skipped() == 1
