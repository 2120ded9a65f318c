"""DNS is looked at before an order: what must fail is told, and the CA is not asked."""

import json

import pytest

from support.acme import FaultyProxy
from support.certified import names_of
from support.names import NameServer
from support.processes import free_port, wait_until
from test_certificates_disk import may_mount

HOST = "chat.example.test"
NAME = "chat.pem"


@pytest.fixture
def lonely_ca(new_ca):
    """A CA and a DNS in which only HOST has an address."""
    ca = new_ca()
    ca.set_dns("add-a", host=HOST + ".", addresses=["127.0.0.1"])
    ca.set_dns("set-default-ipv4", ip="")
    return ca


@pytest.fixture
def name_ca(folder, tmp_path):
    """Has a CA say what CAA records call it: pebble's own directory does not."""
    proxies = []

    def name(ca, *identities):
        (place := tmp_path / identities[0]).mkdir()
        proxies.append(proxy := FaultyProxy(ca, place, []))
        base = f"https://localhost:{proxy.port}"
        places = {"newNonce": "nonce-plz", "newAccount": "sign-me-up", "newOrder": "order-plz"}
        directory = {name: f"{base}/{place}" for name, place in places.items()}
        directory["meta"] = {"caaIdentities": identities}
        text = json.dumps(directory).replace('"', '\\"')
        rule = f'return content-type application/json string "{text}" if {{ path /dir }}'
        proxy.set_rules([f"http-request {rule}"])
        ca.directory = proxy.start().directory
        return ca

    yield name
    for proxy in proxies:
        proxy.stop()


@pytest.fixture
def named_ca(new_ca, name_ca):
    return name_ca(new_ca(), "pebble.example", "ca.example")


@pytest.fixture
def second_ca(new_ca, name_ca, named_ca):
    """Another, which CAA records call otherwise."""
    return name_ca(new_ca(challenge_port=named_ca.challenge_port), "second.example")


def let_issue(ca, host, identity):
    ca.set_dns("add-caa", host=host + ".", policies=[{"tag": "issue", "value": identity}])


def left_out(stack, host):
    def told():
        about = stack.told(NAME)
        mine = [one for one in (about or {}).get("left_out", []) if one["host"] == host]
        return mine[0]["problem"] if mine else None

    return wait_until(told, f"{host} is left out", 20)


def refused(stack):
    return stack.wait_told(NAME, lambda told: "problem" in told, "refused")["problem"]


# --- addresses --------------------------------------------------------------------------------


def test_a_name_without_any_address_is_not_ordered(new_certified, lonely_ca):
    stack = new_certified(lonely_ca)
    stack.want(("chat", "nowhere.example.test"))
    stack.start()
    problem = refused(stack)
    assert problem["type"] == "dns"
    assert "nowhere.example.test has no address in DNS" in problem["detail"]
    told = stack.told(NAME)
    assert told["next"] == "the last try failed" and told["next_in_s"] <= 600
    assert "nowhere.example.test has no address" in stack.certs()
    assert "certificate_failed" in stack.agent_log()
    assert lonely_ca.orders() == 0
    # Somebody puts the record in.
    lonely_ca.set_dns("add-a", host="nowhere.example.test.", addresses=["127.0.0.1"])
    stack.certs("renew", "chat")
    stack.wait_served("nowhere.example.test")


def test_it_is_split_off_a_bundle(new_certified, lonely_ca):
    stack = new_certified(lonely_ca)
    stack.want(("chat", HOST, "nowhere.example.test"))
    stack.start()
    assert names_of(stack.wait_served(HOST)) == {HOST}
    assert left_out(stack, "nowhere.example.test")["type"] == "dns"
    assert lonely_ca.orders() == 1


def test_a_name_that_is_another_ones_alias(new_certified, lonely_ca):
    """A CNAME counts by where it leads to: one that leads nowhere is told before the CA is asked."""
    lonely_ca.set_dns("set-cname", host="alias.example.test.", target=HOST + ".")
    lonely_ca.set_dns("set-cname", host="dangling.example.test.", target="gone.example.test.")
    stack = new_certified(lonely_ca)
    stack.want(("chat", "alias.example.test", "dangling.example.test"))
    stack.start()
    assert names_of(stack.wait_served("alias.example.test")) == {"alias.example.test"}
    problem = left_out(stack, "dangling.example.test")
    assert problem["type"] == "dns" and "has no address in DNS" in problem["detail"]
    assert lonely_ca.orders() == 1


def test_an_address_of_somebody_else_is_as_good(new_certified, new_ca):
    """Behind split DNS, or a proxy: the address is not ours, and only the CA knows what it sees."""
    ca = new_ca()
    ours = new_ca()  # another DNS, which has IPv6 only
    ours.set_dns("set-default-ipv4", ip="")
    ours.set_dns("add-aaaa", host=HOST + ".", addresses=["2001:db8::7"])
    stack = new_certified(ca)
    stack.config["resolver"] = {"nameservers": [f"127.0.0.1:{ours.dns_port}"]}
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)


# --- name servers in trouble --------------------------------------------------------------------


def test_a_resolver_that_is_away_refuses_nothing(new_certified, ca):
    stack = new_certified()
    stack.config["resolver"] = {"nameservers": [f"127.0.0.1:{free_port()}"]}
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)
    assert f"preflight_dns_unknown host={HOST}" in stack.agent_log()


def test_nor_does_one_that_fails(new_certified, new_ca):
    """SERVFAIL for one name of two: both are ordered, and the CA, which sees the same, decides."""
    ca = new_ca()
    ca.set_dns("set-servfail", host="broken.example.test.")
    stack = new_certified(ca)
    stack.want(("chat", HOST, "broken.example.test"))
    stack.start()
    assert names_of(stack.wait_served(HOST)) == {HOST}
    assert left_out(stack, "broken.example.test")["type"] != ""
    assert "preflight_dns_unknown host=broken.example.test" in stack.agent_log()
    assert ca.orders() == 2


@pytest.mark.skipif(not may_mount(), reason="mounts a file")
def test_the_systems_name_servers_are_those_of_now(new_certified, tmp_path):
    """At first nobody is there, and then one that knows no name."""
    server = NameServer(address=("127.0.7.2", 53))
    system = tmp_path / "resolv.conf"
    system.write_text("nameserver 127.0.7.9\n")
    stack = new_certified()
    stack.config.pop("resolver", None)
    mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    stack.agent_wrapper = ["unshare", "--mount", "sh", "-c", mount, system]
    stack.want(("chat", HOST))
    try:
        stack.start()
        stack.wait_served(HOST, timeout_s=60)
        assert f"preflight_dns_unknown host={HOST}" in stack.agent_log()
        system.write_text("nameserver 127.0.7.2\n")
        stack.want(("later", "later.example.test"))
        told = stack.wait_told("later.pem", lambda told: "problem" in told, "refused", 60)
        assert told["problem"]["type"] == "dns"
    finally:
        server.stop()


def test_without_it_the_ca_is_asked(new_certified, lonely_ca):
    stack = new_certified(lonely_ca, acme={"preflight": {"dns": False}})
    stack.want(("chat", "nowhere.example.test"))
    stack.start()
    refused(stack)
    assert lonely_ca.orders() == 1


# --- CAA --------------------------------------------------------------------------------------


def test_caa_that_names_others_keeps_the_name_out(new_certified, named_ca):
    policies = [
        {"tag": "issue", "value": "letsencrypt.org"},
        {"tag": "iodef", "value": "mailto:a@b"},
    ]
    named_ca.set_dns("add-caa", host="locked.example.test.", policies=policies)
    stack = new_certified(named_ca)
    stack.want(("chat", HOST, "locked.example.test", "www.locked.example.test"))
    stack.start()
    assert names_of(stack.wait_served(HOST)) == {HOST}
    for host in ("locked.example.test", "www.locked.example.test"):
        problem = left_out(stack, host)
        assert problem["type"] == "caa"
        # The second is under the first: the tree is climbed.
        assert "the CAA records of locked.example.test do not let" in problem["detail"]
        assert 'CAA 0 issue "pebble.example"' in problem["detail"]
    assert named_ca.orders() == 1


def test_caa_that_names_the_second_ca_alone(new_certified, named_ca, new_ca):
    """No try at the first one could be of any use. It has the other tenant's."""
    second = new_ca(challenge_port=named_ca.challenge_port)
    policies = [{"tag": "issue", "value": "letsencrypt.org"}]
    named_ca.set_dns("add-caa", host=HOST + ".", policies=policies)
    stack = new_certified(named_ca, acme={"second": second.as_second()})
    stack.want(("chat", HOST, "www.example.test"), ("other", "other.example.test"))
    stack.start()
    told = stack.wait_told(NAME, lambda told: "serial" in told, "issued")
    assert told["ca"] == second.directory and told["failures"] == 0 and len(told["names"]) == 2
    assert f"certificate_ca_forbidden certificate={NAME} host={HOST}" in stack.agent_log()
    stack.wait_served("other.example.test")
    assert (named_ca.orders(), second.orders()) == (1, 1)


@pytest.mark.parametrize("theirs", ["pebble.example", "second.example"])
def test_a_served_host_stays_where_caa_splits_the_cas(new_certified, named_ca, second_ca, theirs):
    """What is new may be had from the other CA alone: it has no part in the certificate."""
    new = {"pebble.example": "second.example", "second.example": "pebble.example"}[theirs]
    let_issue(named_ca, HOST, theirs)
    let_issue(named_ca, "new.example.test", new)
    stack = new_certified(named_ca, acme={"second": second_ca.as_second()})
    stack.want(("chat", HOST))
    stack.start()
    serial = stack.wait_told(NAME, lambda told: "serial" in told, "issued")["serial"]
    stack.want(("chat", HOST, "new.example.test"))
    assert left_out(stack, "new.example.test")["type"] == "caa"
    told = stack.told(NAME)
    assert (told["serial"], told["names"]) == (serial, [HOST])
    assert named_ca.orders() + second_ca.orders() == 1


def test_caa_that_forbids_both_cas_keeps_one_host_out(new_certified, named_ca, second_ca):
    """The others are the first one's alone, and are asked for there at once."""
    hosts = {f"h{i}.example.test" for i in range(9)}
    let_issue(named_ca, "example.test", "pebble.example")
    let_issue(named_ca, HOST, "letsencrypt.org")
    stack = new_certified(named_ca, acme={"second": second_ca.as_second()})
    stack.want(("chat", HOST, *sorted(hosts)))
    stack.start()
    told = stack.wait_told(NAME, lambda told: "serial" in told, "issued")
    assert set(told["names"]) == hosts and told["ca"] == named_ca.directory
    assert left_out(stack, HOST)["type"] == "caa"
    assert (named_ca.orders(), second_ca.orders()) == (1, 0)


def test_a_second_ca_that_is_away_keeps_no_host_back(new_certified, named_ca):
    """CAA leaves one host to it. The other is the first one's."""
    away = f"https://localhost:{free_port()}/dir"
    let_issue(named_ca, HOST, "second.example")
    stack = new_certified(named_ca, acme={"second": {"directory": away}})
    stack.want(("chat", HOST, "www.example.test"))
    stack.start()
    told = stack.wait_told(NAME, lambda told: "serial" in told, "issued")
    assert told["names"] == ["www.example.test"] and told["ca"] == named_ca.directory


@pytest.mark.parametrize(
    "policies",
    [
        [{"tag": "issue", "value": "ca.example; validationmethods=http-01"}],
        [{"tag": "issue", "value": ";"}, {"tag": "issue", "value": "PEBBLE.example"}],
        [{"tag": "issuewild", "value": ";"}],
    ],
    ids=["named", "one of two", "wildcards only"],
)
def test_caa_that_lets_the_ca_issue(new_certified, named_ca, policies):
    named_ca.set_dns("add-caa", host="example.test.", policies=policies)
    stack = new_certified(named_ca)
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)


def test_a_name_has_its_own_caa_before_that_above_it(new_certified, named_ca):
    named_ca.set_dns("add-caa", host="example.test.", policies=[{"tag": "issue", "value": ";"}])
    own = [{"tag": "issue", "value": "pebble.example"}]
    named_ca.set_dns("add-caa", host=HOST + ".", policies=own)
    stack = new_certified(named_ca)
    stack.want(("chat", HOST))
    stack.start()
    stack.wait_served(HOST)


def test_caa_that_forbids_everybody_needs_no_name(new_certified, new_ca):
    ca = new_ca()
    ca.set_dns("add-caa", host="example.test.", policies=[{"tag": "issue", "value": ";"}])
    stack = new_certified(ca)
    stack.want(("chat", HOST))
    stack.start()
    assert refused(stack)["type"] == "caa"
    assert ca.orders() == 0
