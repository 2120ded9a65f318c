"""The ACME worker against pebble: what it obtains, what it survives, what it leaves on disk."""

import json
import pathlib
import re
import shutil
import tempfile
import time

import acme.client
import acme.messages
import josepy as jose
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from support.acme import ACME_HOST, CHALLTESTSRV, FAULTS, PEBBLE, AcmeHost
from support.acme import FaultyProxy, PendingAgain, Pebble
from support.processes import free_port, wait_until

pytestmark = pytest.mark.skipif(
    PEBBLE is None or CHALLTESTSRV is None or not ACME_HOST.exists(),
    reason="needs pebble, pebble-challtestsrv and the built acme_host",
)

NAME = "chat.example.test.pem"
SECRET = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"  # in base64url
HOST = "chat.example.test"


@pytest.fixture(scope="module")
def pebble(authority):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="owui.pebble."))
    one = Pebble(folder, authority)
    yield one.start()
    one.stop()
    shutil.rmtree(folder)


@pytest.fixture
def new_pebble(tmp_path, authority):
    made = []

    def make(**options):
        folder = tmp_path / f"pebble-{len(made)}"
        folder.mkdir()
        one = Pebble(folder, authority, **options).start()
        made.append(one)
        return one

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def new_host(tmp_path):
    made = []

    def make(pebble, certificates=None, ca=None, others=(), **settings):
        first = {"directory": pebble.directory, "ca_file": str(pebble.ca_file), **(ca or {})}
        folder = settings.pop("folder", tmp_path)
        one = AcmeHost(
            folder, [first, *others], pebble.challenge_port, certificates or {}, **settings
        )
        made.append(one)
        return one

    yield make
    for one in made:
        one.stop()


def one_host(*hosts, **more):
    return {NAME: {"hosts": list(hosts or (HOST,)), **more}}


def read_pem(path):
    """Key text and certificates of a file that HAProxy would load."""
    text = path.read_text()
    assert "\n\n" not in text and "\r" not in text
    blocks = re.findall(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n", text, re.S)
    assert blocks[0] == "PRIVATE KEY" and set(blocks[1:]) == {"CERTIFICATE"}
    certificates = [
        x509.load_pem_x509_certificate(block.encode())
        for block in re.findall(
            r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.S
        )
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    return certificates


def names_of(certificate):
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))


def test_a_certificate_is_obtained_and_put_in_service(pebble, new_host):
    host = new_host(pebble, one_host(HOST, "www.example.test"))
    event = host.start().wait("ready", name=NAME)
    chain = read_pem(host.certs / NAME)
    assert names_of(chain[0]) == {HOST, "www.example.test"}
    assert f"{chain[0].serial_number:X}" == event["serial"].lstrip("0")
    assert len(chain) >= 2 and chain[0].issuer == chain[1].subject
    assert isinstance(chain[0].public_key(), ec.EllipticCurvePublicKey)
    assert event["challenges_left"] == 0
    assert list((host.state / "pending").iterdir()) == []
    told = host.status(NAME)
    assert told["failures"] == 0 and told["ca"] == pebble.directory
    assert told["why"] == "renewal is planned by its life"


def test_nothing_is_ordered_for_what_is_in_service(pebble, new_host):
    host = new_host(pebble, one_host())
    serial = host.start().wait("ready", name=NAME)["serial"]
    host.stop()
    orders = pebble.orders()
    told = host.start().wait_status(NAME, lambda told: told["doing"] == "", "idle")
    assert told["serial"] == serial
    assert pebble.orders() == orders


def test_renewal_on_request_keeps_the_old_pair_in_the_history(pebble, new_host):
    host = new_host(pebble, one_host())
    first = host.start().wait("ready", name=NAME)["serial"]
    host.say("renew", NAME)
    second = host.wait("ready", name=NAME)["serial"]
    assert first != second
    (old,) = (host.state / "history" / NAME).iterdir()
    assert first in old.name
    assert list(host.state.glob("accounts/*.key"))  # one account for both
    assert len(list(host.state.glob("accounts/*.key"))) == 1


def test_renewal_by_itself_at_half_of_a_short_life(new_pebble, new_host):
    pebble = new_pebble(validity_s=12)
    host = new_host(pebble, one_host())
    serials = {host.start().wait("ready", name=NAME)["serial"]}
    for _ in range(2):
        serials.add(host.wait("ready", name=NAME, timeout_s=20)["serial"])
    assert len(serials) == 3


def test_both_kinds_of_key_at_once(pebble, new_host):
    wanted = {
        "dual.pem.ecdsa": {"hosts": ["dual.example.test"], "key": "ecdsa-p256"},
        "dual.pem.rsa": {"hosts": ["dual.example.test"], "key": "rsa-2048"},
    }
    host = new_host(pebble, wanted).start()
    host.wait("ready")
    host.wait("ready")
    keys = {name: read_pem(host.certs / name)[0].public_key() for name in wanted}
    assert isinstance(keys["dual.pem.ecdsa"], ec.EllipticCurvePublicKey)
    assert isinstance(keys["dual.pem.rsa"], rsa.RSAPublicKey)


def test_a_dead_name_is_split_off(pebble, new_host):
    pebble.resolve("dead.example.test", "127.0.0.9")
    host = new_host(pebble, one_host(HOST, "dead.example.test", "www.example.test"))
    host.start().wait("ready", name=NAME)
    assert names_of(read_pem(host.certs / NAME)[0]) == {HOST, "www.example.test"}
    told = host.status(NAME)
    assert told["hosts"]["dead.example.test"]["problem"]["class"] == "validation"
    assert "refused" in told["hosts"]["dead.example.test"]["problem"]["detail"]
    assert told["failures"] == 0 and "problem" not in told["hosts"][HOST]

    # Mended: it joins the others.
    pebble.resolve("dead.example.test", "127.0.0.1")
    host.say("renew", NAME)
    host.wait("ready", name=NAME)
    assert names_of(read_pem(host.certs / NAME)[0]) == {
        HOST,
        "dead.example.test",
        "www.example.test",
    }


def test_a_name_that_the_ca_forbids_is_split_off(pebble, new_host):
    host = new_host(pebble, one_host(HOST, "blocked.example.test"))
    host.start().wait("ready", name=NAME)
    assert names_of(read_pem(host.certs / NAME)[0]) == {HOST}
    told = host.status(NAME)["hosts"]["blocked.example.test"]["problem"]
    assert told["class"] == "refused" and told["type"] == "rejectedIdentifier"


def test_a_name_alone_that_fails_backs_off_over_a_restart(pebble, new_host):
    pebble.resolve("alone.example.test", "127.0.0.9")
    host = new_host(pebble, one_host("alone.example.test")).start()
    told = host.wait_status(NAME, lambda told: told["failures"] == 1, "a failure")
    assert told["problem"]["class"] == "validation"
    assert 0 < told["next_in_ms"] <= 72000
    orders = pebble.orders()
    host.kill()
    told = host.start().status(NAME)
    assert told["failures"] == 1 and 0 < told["next_in_ms"] <= 72000
    assert "refused" in told["problem"]["detail"]
    assert pebble.orders() == orders


def test_changed_names_are_ordered_at_once(pebble, new_host):
    host = new_host(pebble, one_host()).start()
    host.wait("ready", name=NAME)
    host.say("want", NAME, HOST, "new.example.test")
    host.wait("ready", name=NAME)
    assert names_of(read_pem(host.certs / NAME)[0]) == {HOST, "new.example.test"}
    host.say("unwant", NAME)
    host.say("want", "other.pem", "other.example.test")
    host.wait("ready", name="other.pem")
    assert (host.certs / NAME).exists()  # files are the host's business


def test_revocation_orders_another(pebble, new_host):
    host = new_host(pebble, one_host()).start()
    serial = host.wait("ready", name=NAME)["serial"]
    host.say("revoke", NAME)
    assert host.wait("revoked")["class"] == ""
    assert '"Revoked"' in pebble.manage(f"/cert-status-by-serial/{serial.lower()}")
    assert host.wait("ready", name=NAME)["serial"] != serial


def bound_to(kid):
    return {"external_kid": kid, "external_secret": SECRET}


def test_external_account_binding(new_pebble, new_host):
    pebble = new_pebble(eab={"kid-1": SECRET})
    host = new_host(pebble, one_host(), ca=bound_to("kid-1")).start()
    host.wait("ready", name=NAME)
    host.stop()
    shutil.rmtree(host.state)
    (host.certs / NAME).unlink()
    host = new_host(pebble, one_host()).start()
    told = host.wait_status(NAME, lambda told: told["failures"] > 0, "a failure")
    assert told["problem"]["class"] == "needs-a-person"
    assert told["next_in_ms"] > 80000000  # a day


def test_another_external_account(new_pebble, new_host):
    """An account stays bound to the first one: for the second there is another, with another key.
    A restart keeps it, as does who wishes none any more. Who goes back finds the first one again.
    """
    pebble = new_pebble(eab={"kid-1": SECRET, "kid-2": SECRET})
    steps = [(bound_to("kid-1"), 1), (bound_to("kid-2"), 2), (bound_to("kid-2"), 2), ({}, 2)]
    steps += [(bound_to("kid-1"), 2), (bound_to("kid-2"), 2)]
    for bound, accounts in steps:
        host = new_host(pebble, one_host(), ca=bound).start()
        serial = host.wait_status(NAME, lambda told: "serial" in told, "known")["serial"]
        host.say("renew", NAME)
        assert host.wait("ready", name=NAME)["serial"] != serial
        host.stop()
        assert host.log().count("acme_account ") == host.log().count("state=new") == accounts
    assert host.log().count("acme_account_bound_anew") == 3
    assert not list((host.state / "trash").iterdir())


def test_the_cas_window_is_followed(new_pebble, new_host, tmp_path):
    """pebble 2.4 has no renewal information: HAProxy adds it, with a window that is open."""
    pebble = new_pebble(validity_s=600)
    proxy = FaultyProxy(pebble, tmp_path, [])
    proxy.tell_window("hdr Retry-After 21600")
    proxy.start()
    host = new_host(pebble, one_host(), ca={"directory": proxy.directory}).start()
    try:
        first = host.wait("ready", name=NAME)
        told = host.wait_status(NAME, lambda told: "window" in told["why"], "the window")
        assert told["next_in_ms"] <= 6000  # a hundredth of its life
        second = host.wait("ready", name=NAME, timeout_s=20)
        assert first["serial"] != second["serial"]
    finally:
        host.stop()
        proxy.stop()


def test_the_preferred_chain(new_pebble, new_host):
    pebble = new_pebble(env={"PEBBLE_ALTERNATE_ROOTS": "2", "PEBBLE_CHAIN_LENGTH": "2"})
    root = x509.load_pem_x509_certificate(pebble.manage("/roots/2").encode())
    name = root.subject.rfc4514_string().removeprefix("CN=")
    host = new_host(pebble, one_host(), ca={"preferred_chain": name}).start()
    assert host.wait("ready", name=NAME)["root"] == name
    assert len(read_pem(host.certs / NAME)) == 3


def test_a_ca_that_has_forgotten_everything(new_pebble, new_host):
    pebble = new_pebble()
    host = new_host(pebble, one_host()).start()
    first = host.wait("ready", name=NAME)["serial"]
    pebble.restart()
    host.say("renew", NAME)
    assert host.wait("ready", name=NAME)["serial"] != first
    assert "acme_account_gone" in host.log()


@pytest.mark.parametrize("kid", [None, "kid-1"], ids=["for-itself", "bound"])
def test_an_account_that_was_deactivated_is_replaced_with_a_new_key(
    new_pebble, new_host, monkeypatch, kid
):
    """The CA refuses the key for good, so another is made; the old one is set aside. certbot's
    library, which deactivates it here, asks no more than twice when nonces are refused."""
    eab = {kid: SECRET} if kid else None
    pebble = new_pebble(eab=eab, env={"PEBBLE_WFE_NONCEREJECT": "0"})
    host = new_host(pebble, one_host(), ca=bound_to(kid) if kid else None).start()
    first = host.wait("ready", name=NAME)["serial"]
    host.stop()
    (account,) = (json.loads(path.read_text()) for path in host.state.glob("accounts/*.json"))
    (path,) = host.state.glob("accounts/*.key")
    key = jose.JWKEC(key=serialization.load_pem_private_key(path.read_bytes(), None))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pebble.ca_file))
    network = acme.client.ClientNetwork(key, alg=jose.ES256)
    client = acme.client.ClientV2(
        acme.client.ClientV2.get_directory(pebble.directory, network), network
    )
    known = acme.messages.RegistrationResource(
        uri=account["url"], body=acme.messages.Registration()
    )
    network.account = known
    client.deactivate_registration(known)

    before = path.read_text()
    host.start().say("renew", NAME)
    assert host.wait("ready", name=NAME)["serial"] != first
    assert path.read_text() != before
    assert "acme_account_key_refused" in host.log()
    (aside,) = (host.state / "trash").iterdir()
    assert aside.read_text() == before


def test_the_accounts_key_is_changed(pebble, new_host):
    host = new_host(pebble, one_host()).start()
    host.wait("ready", name=NAME)
    (key,) = host.state.glob("accounts/*.key")
    before = key.read_text()
    host.say("change-key")
    assert host.wait("key-changed")["class"] == ""
    assert key.read_text() != before
    host.say("renew", NAME)
    host.wait("ready", name=NAME)
    host.stop()
    host.start().say("renew", NAME)
    host.wait("ready", name=NAME)
    assert "acme_account_gone" not in host.log()
    assert host.log().count("state=new") == 1  # the same account all the time


def test_a_key_change_that_was_interrupted_is_finished(new_pebble, new_host, tmp_path):
    """Killed before every file operation of the change: the account stays the same one."""
    pebble = new_pebble()
    for step in range(1, 30):
        folder = tmp_path / f"step-{step}"
        folder.mkdir()
        host = new_host(pebble, one_host(), folder=folder).start()
        host.wait("ready", name=NAME)
        host.stop()
        host.start(die_at=step).say("change-key")
        died = False
        try:
            host.wait("key-changed")
            host.kill()
        except RuntimeError:
            died = True
            assert host.join() == 137
        host.start().say("renew", NAME)
        host.wait("ready", name=NAME)
        host.stop()
        assert host.log().count("state=new") == 1, host.log()
        assert list((host.state / "pending").iterdir()) == []
        if not died:
            break
    assert step > 8


def test_contacts_are_changed(pebble, new_host):
    host = new_host(pebble, one_host(), ca={"contacts": ["mailto:a@example.test"]}).start()
    host.wait("ready", name=NAME)
    host.stop()
    host = new_host(pebble, one_host(), ca={"contacts": ["mailto:b@example.test"]}).start()
    host.say("renew", NAME)
    host.wait("ready", name=NAME)
    assert "state=found" in host.log()
    assert "mailto:b@" in next(host.state.glob("accounts/*[0-9a-f].json")).read_text()


def test_staging_is_tried_before_a_failed_name_goes_to_the_ca(pebble, new_pebble, new_host):
    staging = new_pebble(challenge_port=pebble.challenge_port)
    second = {"directory": staging.directory, "ca_file": str(staging.ca_file)}
    staging.resolve("late.example.test", "127.0.0.1")
    pebble.resolve("late.example.test", "127.0.0.9")
    host = new_host(pebble, one_host("late.example.test"), others=[second]).start()
    host.wait_status(NAME, lambda told: told["failures"] == 1, "a failure")
    orders = pebble.orders()
    pebble.resolve("late.example.test", "127.0.0.1")
    host.say("renew", NAME)
    host.wait("ready", name=NAME)
    assert staging.orders() == 1
    assert pebble.orders() == orders + 1
    assert "certificate_staging_passed" in host.log()


def test_the_second_ca_takes_over(pebble, new_host):
    down = {"directory": f"https://localhost:{free_port()}/dir", "ca_file": str(pebble.ca_file)}
    up = {"directory": pebble.directory, "ca_file": str(pebble.ca_file)}
    host = new_host(pebble, one_host(), ca=down, others=[{}, up], second_after=1).start()
    host.wait_status(NAME, lambda told: told["failures"] == 1, "a failure", 120)
    host.say("renew", NAME)
    host.wait("ready", name=NAME)
    assert host.status(NAME)["ca"] == pebble.directory
    host.say("revoke", NAME)  # at the CA that has issued it
    assert host.wait("revoked", timeout_s=60)["class"] == ""


def test_an_order_of_one_ca_is_not_resumed_at_another(pebble, again, new_host):
    """The first one has taken it, and is away since."""
    again.busy = True
    up = {"directory": pebble.directory, "ca_file": str(pebble.ca_file)}
    ca = {"directory": again.directory}
    host = new_host(pebble, one_host(), ca=ca, others=[{}, up], second_after=1).start()
    host.wait_status(NAME, lambda told: told["failures"] == 1, "a failure")
    again.stop()
    host.say("renew", NAME)
    host.wait("ready", name=NAME)
    assert host.status(NAME)["ca"] == pebble.directory


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "none"])
def test_ten_of_ten_come_through(pebble, new_host, tmp_path, fault):
    proxy = FaultyProxy(pebble, tmp_path, FAULTS[fault]).start()
    wanted = {f"f{i}.pem": {"hosts": [f"f{i}.example.test"]} for i in range(10)}
    host = new_host(pebble, wanted, ca={"directory": proxy.directory}).start()
    try:
        ready = {host.wait("ready", timeout_s=240)["name"] for _ in wanted}
        assert ready == set(wanted)
        assert "certificate_failed" not in host.log()
    finally:
        host.stop()
        proxy.stop()


def test_ten_of_ten_come_through_bad_nonces(new_pebble, new_host):
    pebble = new_pebble(env={"PEBBLE_WFE_NONCEREJECT": "30"})
    wanted = {f"n{i}.pem": {"hosts": [f"n{i}.example.test"]} for i in range(10)}
    host = new_host(pebble, wanted).start()
    assert {host.wait("ready", timeout_s=120)["name"] for _ in wanted} == set(wanted)
    assert "certificate_failed" not in host.log()


def test_killed_at_every_step_and_resumed(pebble, new_host, tmp_path):
    """No second order, no second key, no half file; each run dies one file operation later. An order
    whose URL was not written down in time is found in the account's list."""
    for step in range(1, 60):
        folder = tmp_path / f"step-{step}"
        folder.mkdir()
        name = f"step{step}.example.test"
        orders = pebble.orders()
        host = new_host(pebble, {NAME: {"hosts": [name]}}, folder=folder, die_at=step).start()
        try:
            host.wait("ready", name=NAME)
            host.kill()
            break
        except RuntimeError:
            assert host.join() == 137
        if (host.certs / NAME).exists():
            read_pem(host.certs / NAME)
        keys = {path: path.read_text() for path in host.state.glob("*/[!.]*.key")}
        host.start(die_at=0)
        if not (host.certs / NAME).exists():
            host.wait("ready", name=NAME)
        host.wait_status(NAME, lambda told: told["serial"] and not told["doing"], "in service")
        (in_service,) = host.certs.glob("*.pem")
        read_pem(in_service)
        for path, text in keys.items():
            assert text in in_service.read_text() or path.read_text() == text, path
        assert list((host.state / "trash").iterdir()) == []
        assert pebble.orders() - orders == 1, host.log()
        host.stop()
    else:
        pytest.fail(f"there are more steps than {step}")
    assert step > 20


def test_killed_at_every_step_of_a_renewal_that_was_asked_for(pebble, new_host, tmp_path):
    """What was asked for is got once, also when it had come before that was written down."""
    host = new_host(pebble, one_host(), folder=tmp_path).start()
    host.wait("ready", name=NAME)
    host.stop()
    for step in range(1, 60):
        orders = pebble.orders()
        host.start(die_at=step).say("renew", NAME)
        try:
            host.wait("ready", name=NAME)
            host.kill()
            break
        except RuntimeError:
            assert host.join() == 137
        host.start(die_at=0)
        host.wait_status(
            NAME, lambda told: not told["doing"] and told["next_in_ms"] > 60 * 1000, "at rest"
        )
        assert pebble.orders() - orders <= 1, host.log()
        host.stop()
    else:
        pytest.fail(f"there are more steps than {step}")
    assert step > 20


TWINS = ("dual.pem.ecdsa", "dual.pem.rsa")


def test_two_keys_killed_at_every_step_and_resumed(pebble, new_host, tmp_path):
    """The orders of both look alike, and one that was lost fits either: still no third is made. Both
    keys are quick ones: an RSA key takes seconds to make with sanitizers."""
    for step in range(1, 120):
        folder = tmp_path / f"step-{step}"
        folder.mkdir()
        orders = pebble.orders()
        wanted = twins(f"dual{step}.example.test")
        host = new_host(pebble, wanted, folder=folder, die_at=step).start()
        try:
            host.wait("ready")
            host.wait("ready")
            host.kill()
            break
        except RuntimeError:
            assert host.join() == 137
        host.start(die_at=0)
        for name in TWINS:
            host.wait_status(name, lambda told: told["serial"] and not told["doing"], "in service")
        assert len(serials_in_service(host)) == 2
        assert list((host.state / "pending").iterdir()) == []
        assert pebble.orders() - orders == 2, host.log()
        assert "certificate_failed" not in host.log()
        host.stop()
    else:
        pytest.fail(f"there are more steps than {step}")
    assert step > 40


@pytest.fixture
def again(pebble, tmp_path):
    one = PendingAgain(pebble, tmp_path)
    yield one
    one.stop()


def twins(host="dual.example.test"):
    kinds = zip(TWINS, ("ecdsa-p256", "ecdsa-p384"))
    return {name: {"hosts": [host], "key": key} for name, key in kinds}


def serials_in_service(host):
    return {read_pem(host.certs / name)[0].serial_number for name in TWINS}


def test_a_ca_that_gives_the_same_order_again_while_it_is_pending(pebble, again, new_host):
    """Were both ordered at once, both would finalize one order, and one get the other's
    certificate."""
    orders = pebble.orders()
    host = new_host(pebble, twins(), ca={"directory": again.directory}).start()
    assert {host.wait("ready")["name"] for _ in TWINS} == set(TWINS)
    assert "certificate_failed" not in host.log()
    assert (pebble.orders() - orders, again.again) == (2, 0)
    assert len(serials_in_service(host)) == 2


@pytest.mark.parametrize("way", ["by looking for a lost one", "by asking for a new one"])
def test_an_order_that_its_twin_takes_over(pebble, again, new_host, way):
    """One waits for a CA that is busy; the other comes by its order, which fits it as well."""
    first, second = TWINS
    host_name = f"{way.split()[1]}.example.test"
    orders = pebble.orders()
    ca = {"directory": again.directory}
    host = new_host(pebble, {first: twins(host_name)[first]}, ca=ca)
    again.busy = True
    host.start().wait_status(first, lambda told: told["failures"] == 1, "a failure")
    host.stop()
    again.busy = False
    record = json.loads((host.state / f"pending/{first}.json").read_text())
    assert record["url"].startswith("https://")
    if "lost" in way:
        again.pending.clear()  # it would make another
        lost = json.dumps({**record, "url": ""})
        (host.state / f"pending/{second}.json").write_text(lost)
    host = new_host(pebble, twins(host_name), ca=ca).start()
    host.wait("ready", name=second)
    assert json.loads((host.state / f"pending/{first}.json").read_text())["url"] == ""
    assert pebble.orders() - orders == 1 and again.again == ("new" in way)
    host.say("renew", first)
    host.wait("ready", name=first)
    assert pebble.orders() - orders == 2
    assert len(serials_in_service(host)) == 2
    assert host.log().count("certificate_failed") == 1


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048"])
def test_killed_while_the_ca_validates(new_pebble, new_host, kind):
    """The key is on disk before its order is, and stays the same one."""
    pebble = new_pebble(env={"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "3"})
    host = new_host(pebble, one_host(key=kind)).start()
    wait_until(lambda: list(host.state.glob("pending/*.json")), "an order")
    host.kill()
    (key,) = (path.read_text() for path in host.state.glob("pending/*.key"))
    host.start().wait("ready", name=NAME)
    assert pebble.orders() <= 2  # one more if validation failed meanwhile
    assert len(read_pem(host.certs / NAME)) >= 2
    assert key in (host.certs / NAME).read_text()


def test_limits_are_kept_to_and_remembered(pebble, new_host):
    """Five renewals of one set of names in a week: Let's Encrypt's limit, less one."""
    host = new_host(pebble, one_host(), ca={"limits": 1}).start()
    for _ in range(4):
        host.wait("ready", name=NAME)
        since = time.time()
        host.say("renew", NAME)
    told = host.wait_status(NAME, lambda told: "limit of" in told["why"], "the limit")
    assert "certificates for exactly these names" in told["why"]
    assert told["next_in_ms"] > 80000000 and told["failures"] == 0
    orders = pebble.orders()
    (saved,) = wait_until(lambda: list(host.state.glob("accounts/*.budget.json")), "written down")
    wait_until(lambda: saved.stat().st_mtime > since, "all of it")
    host.kill()
    host.start().say("renew", NAME)
    host.wait_status(NAME, lambda told: "limit of" in told["why"], "the limit")
    assert pebble.orders() == orders


def test_names_that_fail_are_counted_against_the_limits(pebble, new_host):
    """Five of a name in an hour, less one; each time with another name, which gets its own."""
    pebble.resolve("failing.example.test", "127.0.0.9")
    host = new_host(pebble, ca={"limits": 1}).start()
    for number in range(5):
        host.say("want", f"{number}.pem", "failing.example.test", f"{number}.example.test")
        if number < 4:
            host.wait("ready", name=f"{number}.pem")
    told = host.wait_status("4.pem", lambda told: "limit of" in told["why"], "the limit")
    assert "failed validations of a name" in told["why"]
    assert 0 < told["next_in_ms"] <= 750 * 1000


def test_many_at_once(pebble, new_host):
    wanted = {f"m{i}.pem": {"hosts": [f"m{i}.example.test"]} for i in range(60)}
    host = new_host(pebble, wanted).start()
    assert {host.wait("ready", timeout_s=60)["name"] for _ in wanted} == set(wanted)
    assert "certificate_failed" not in host.log()
