"""Answers that CAs, and what stands before them, have given to clients. One CA gives them all at once,
each to another certificate: what can be got over is, and of the rest is told what it was."""

import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.acme import ACME_HOST, AcmeHost
from support.mock_ca import Answer, MockCa, http_date, jwk_of, problem
from support.processes import free_port, wait_until

pytestmark = pytest.mark.skipif(not ACME_HOST.exists(), reason="needs the built acme_host")

PEM_CHAIN = "application/pem-certificate-chain"
HTML = "<html><body>Please log in</body></html>"
PATIENCE_S = 180  # a doubtful answer is asked for again for nearly a minute


def first(times, give):
    """A twist: the first answers are others."""
    return lambda ca, order, answer, number: give(ca, order, answer) if number <= times else None


def always(give):
    return lambda ca, order, answer, number: give(ca, order, answer)


def instead(*arguments, **headers):
    return lambda *_: Answer(*arguments, **headers)


def refusal(*arguments, **headers):
    return lambda *_: problem(*arguments, **headers)


def chain(make):
    """The download, made by make(ca, order)."""
    return always(lambda ca, order, answer: Answer(200, make(ca, order), PEM_CHAIN))


def hang_up(ca, order, answer):
    answer.hang_up = True
    return answer


def without_nonce(kind):
    def give(*_):
        told = problem(kind)
        told.nonce = False
        return told

    return give


def members(**changes):
    """The answer with other members."""

    def give(ca, order, answer):
        answer.body = {**answer.body, **changes}
        return answer

    return give


def link(*targets):
    def give(ca, order, answer):
        answer.headers["Link"] = ", ".join(f'<{target}>;rel="alternate"' for target in targets)
        return answer

    return give


# --- what an order is told before it is ready -----------------------------------------------------


def ready_at_once(ca, order, answer):
    order.status = "ready"
    answer.body = {**ca.tell_order(order), "authorizations": []}
    return answer


def valid_at_once(ca, order, answer):
    """As the order before it was: its certificate is for the key of then."""
    order.status = "valid"
    answer.body = ca.tell_order(order)
    return answer


def of_another_key(ca, order, answer=None):
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    return Answer(200, ca.leaf(order, key=other) + ca.intermediate, PEM_CHAIN)


def ready_in_a_while(ca, order, answer, number):
    if number > 2:
        order.status = "ready"
    answer.body = {**ca.tell_order(order), "authorizations": []}
    return answer


def authorized_already(ca, order, answer):
    for one in order.authorizations:
        one.status = "valid"
    order.settle()
    answer.body["status"] = "pending"  # it has not noticed yet
    return answer


def named_twice(ca, order, answer):
    order.authorizations *= 2
    answer.body = ca.tell_order(order)
    return answer


def over(status):
    """The authorization is no more."""

    def give(ca, order, answer):
        answer.body["status"] = status
        return answer

    return first(1, give)


def failed_once(ca, order, answer):
    order.authorizations[0].status = "invalid"
    order.settle()
    return answer


def token(text):
    def give(ca, order, answer):
        for one in answer.body["challenges"]:
            one["token"] = text
        return answer

    return always(give)


# --- what a finalized order is told -----------------------------------------------------------------


def slow(polls, **headers):
    """It is processed for so many looks."""

    def give(ca, order, answer, number):
        if order.csr is not None and order.looks < polls:
            order.looks += 1
            answer.body = {k: v for k, v in answer.body.items() if k != "certificate"}
            answer.body["status"] = "processing"
            answer.headers.update(headers)
        return answer

    return {"order": give, "finalize": give, "order-new": start_count}


def start_count(ca, order, answer, number):
    order.looks = 0


def without_certificate(ca, order, answer, number):
    if order.csr is not None and number <= 3:
        answer.body = {k: v for k, v in answer.body.items() if k != "certificate"}
    return answer


# --- the cases --------------------------------------------------------------------------------------

OVERCOME = {
    "ten-bad-nonces": {"order-new": first(10, refusal("badNonce"))},
    "errors-without-nonce": {
        "order-new": first(2, without_nonce("badNonce")),
        "authorization": first(2, without_nonce("badNonce")),
    },
    "html-503": {
        step: first(2, instead(503, HTML, "text/html", Retry_After=1))
        for step in ("order-new", "authorization", "challenge", "order", "finalize", "certificate")
    },
    "late-by-date": {
        "order-new": first(
            1, lambda *_: problem("rateLimited", 429, Retry_After=http_date(time.time() + 3))
        )
    },
    "connections-lost": {
        step: first(1, hang_up)
        for step in ("order-new", "authorization", "challenge", "order", "finalize", "certificate")
    },
    "ready-at-once": {"order-new": always(ready_at_once)},
    "no-authorizations": {
        "order-new": always(members(authorizations=[])),
        "order": ready_in_a_while,
    },
    "authorized-already": {"order-new": always(authorized_already)},
    "name-twice": {"order-new": always(named_twice)},
    "challenge-in-processing": {
        "challenge": first(1, instead(200, {"status": "processing"})),
        "order": first(3, members(status="pending")),
    },
    "processed-for-long": slow(6, Retry_After="0"),
    "finalize-answers-nothing": {"finalize": always(instead(200, ""))},
    "finalize-answer-lost": {"finalize": always(hang_up)},
    "valid-without-certificate": {"finalize": without_certificate, "order": without_certificate},
    "blank-lines": {
        "certificate": chain(
            lambda ca, order: ("\n\n" + ca.leaf(order) + "\n \n" + ca.intermediate).replace(
                "\n", "\r\n"
            )
        )
    },
    "leaf-last": {"certificate": chain(lambda ca, order: ca.intermediate + ca.leaf(order))},
    "no-intermediate": {"certificate": chain(lambda ca, order: ca.leaf(order))},
    "another-type": {
        "certificate": always(
            lambda ca, order, answer: Answer(200, answer.body, "text/html; charset=utf-8")
        )
    },
    "cut-once": {"certificate": first(1, lambda ca, order, answer: Answer(200, answer.body[:900]))},
    "alternates-that-are-traps": {
        "certificate": always(link("http://localhost/x", "file:///etc/passwd", "https://[/x"))
    },
}

# Each with the class of the problem, and words of it.
REFUSED = {
    "late-by-an-hour": (
        {"order-new": always(refusal("rateLimited", 429, Retry_After=3600))},
        "rate-limited",
        "the CA's words",
    ),
    "paused": (
        {
            "order-new": always(
                refusal("rateLimited", 429, "paused: see https://ca.example/unpause?jwt=1.")
            )
        },
        "needs-a-person",
        "paused",
    ),
    "terms": (
        {
            "order-new": always(
                refusal("userActionRequired", 403, more={"instance": "https://ca.example/terms/2"})
            )
        },
        "needs-a-person",
        "the CA's words",
    ),
    "valid-with-another-key": (
        {"order-new": always(valid_at_once)},
        "bad-answer",
        "private key",
    ),
    "token-is-a-path": ({"authorization": token("../../x")}, "bad-answer", "not an authorization"),
    "http-urls": (
        {
            "order-new": always(members(authorizations=["http://localhost/a"])),
            "order": always(members(authorizations=["http://localhost/a"])),
        },
        "bad-answer",
        "https URLs",
    ),
    "order-is-html": (
        {
            "order-new": always(
                lambda ca, order, answer: Answer(
                    201, HTML, **{"Location": answer.headers["Location"]}
                )
            ),
            "order": always(instead(200, HTML, "text/html")),
        },
        "bad-answer",
        "not an order",
    ),
    "no-location": (
        {"order-new": always(lambda ca, order, answer: Answer(201, answer.body))},
        "bad-answer",
        "Location",
    ),
    "redirected": (
        {"order": always(instead(302, "", Location="https://localhost:1/x"))},
        "order-gone",
        "302",
    ),
    "csr-refused": ({"finalize": always(refusal("badCSR"))}, "order-gone", "the CA's words"),
    "html": (
        {"certificate": always(instead(200, HTML, "text/html"))},
        "bad-answer",
        "there is no certificate",
    ),
    "truncated": (
        {"certificate": chain(lambda ca, order: ca.leaf(order)[:400])},
        "bad-answer",
        "cannot read a certificate",
    ),
    "empty": (
        {"certificate": chain(lambda ca, order: "")},
        "bad-answer",
        "there is no certificate",
    ),
    "nul-bytes": (
        {"certificate": chain(lambda ca, order: "\0" + "\0".join(ca.leaf(order)))},
        "bad-answer",
        "there is no certificate",
    ),
    "another-key": ({"certificate": always(of_another_key)}, "bad-answer", "private key"),
    "other-names": (
        {"certificate": chain(lambda ca, order: ca.leaf(order, names=["other.example.test"]))},
        "bad-answer",
        "not for",
    ),
    "not-valid-yet": (
        {"certificate": chain(lambda ca, order: ca.leaf(order, since_s=7200))},
        "bad-answer",
        "not valid yet",
    ),
    "expired": (
        {"certificate": chain(lambda ca, order: ca.leaf(order, since_s=-7200, until_s=-3600))},
        "bad-answer",
        "expired",
    ),
    "endless": (
        {"certificate": always(lambda ca, order, answer: endless(answer))},
        "transient",
        "size limit",
    ),
}


def endless(answer):
    answer.endless = True
    return answer


# These fail as well, and come through when they are ordered once more.
MENDED = {
    "invalid-once": ({"challenge": first(1, failed_once)}, "validation"),
    "deactivated": ({"authorization": over("deactivated")}, "order-gone"),
    "expired-authorization": ({"authorization": over("expired")}, "order-gone"),
    "revoked": ({"authorization": over("revoked")}, "order-gone"),
    "order-expired": ({"order": first(1, refusal("malformed", 404))}, "order-gone"),
}

ALL = (
    OVERCOME
    | {name: case[0] for name, case in REFUSED.items()}
    | {name: case[0] for name, case in MENDED.items()}
    | {"processed-for-ever": slow(10**6)}
)


def host_of(case):
    return f"{case}.example.test"


def file_of(case):
    return f"{case}.pem"


@pytest.fixture
def new_mock(authority, tmp_path):
    """A CA of one's own and the worker that asks it: new_mock(twists by case, directory members)."""
    made = []

    def make(twists, directory=None, hosts=None, ca=None, **settings):
        folder = tmp_path / f"mock-{len(made)}"
        folder.mkdir()
        made.append(start(authority, folder, twists, directory, hosts, ca, **settings))
        return made[-1]

    yield make
    for mock, host in made:
        host.stop()
        mock.stop()


def start(authority, folder, twists, directory=None, hosts=None, ca=None, **settings):
    port = free_port()
    mock = MockCa(folder, authority, port, **(directory or {}))
    mock.twists = {host_of(case): twist for case, twist in twists.items()}
    first_ca = {"directory": mock.directory, "ca_file": str(mock.ca_file), **(ca or {})}
    wanted = {file_of(c): {"hosts": (hosts or {}).get(c, [host_of(c)])} for c in twists}
    settings.setdefault("orders_at_once", len(wanted) + 1)
    host = AcmeHost(folder, [first_ca], port, wanted, **settings)
    return mock, host.start()


@pytest.fixture(scope="module")
def all_cases(authority, tmp_path_factory):
    """All at once, because some take their time to be given up."""
    mock, host = start(authority, tmp_path_factory.mktemp("answers"), ALL)
    yield mock, host
    host.stop()
    mock.stop()


def wait_for(host, case, condition, what):
    return host.wait_status(file_of(case), condition, f"{case}: {what}", PATIENCE_S)


def leaf_of(host, case):
    text = (host.certs / file_of(case)).read_text()
    assert "\n\n" not in text and "\r" not in text
    return x509.load_pem_x509_certificate(text[text.index("-----BEGIN CERT") :].encode()), text


@pytest.mark.parametrize("case", OVERCOME)
def test_what_is_got_over(all_cases, case):
    mock, host = all_cases
    told = wait_for(host, case, lambda told: told["serial"] or told["failures"], "an end")
    assert told["failures"] == 0, told
    leaf, text = leaf_of(host, case)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host_of(case)]
    assert leaf.subject.rfc4514_string() == ""  # no common name: nobody need have one
    assert text.count("BEGIN CERT") == (1 if case == "no-intermediate" else 2)
    asked = {step: count for (name, step), count in mock.asked.items() if name == host_of(case)}
    orders = [one for one in mock.orders if one.names == [host_of(case)]]
    good = [one for one in orders if one.csr is not None]
    assert len(good) == 1, asked
    if case == "late-by-date":
        early, late = mock.times[host_of(case), "order-new"][:2]
        assert late - early > 1.5  # a date knows no parts of seconds
    if case == "ready-at-once":
        assert "authorization" not in asked
    if case == "authorized-already":
        assert "challenge" not in asked
    if case == "name-twice":
        assert asked["authorization"] == 2


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_given_up_and_told(all_cases, case):
    mock, host = all_cases
    _, class_, words = REFUSED[case]
    told = wait_for(host, case, lambda told: told["serial"] or told["failures"], "an end")
    assert told["serial"] == "" and not (host.certs / file_of(case)).exists(), told
    assert told["problem"]["class"] == class_, told
    assert words in told["problem"]["detail"], told
    assert told["next_in_ms"] > 0
    if case == "late-by-an-hour":
        assert told["next_in_ms"] > 3000 * 1000
    if case == "paused":
        assert told["problem"]["url"] == "https://ca.example/unpause?jwt=1"
    if case == "terms":
        assert told["problem"]["url"] == "https://ca.example/terms/2"


@pytest.mark.parametrize("case", MENDED)
def test_another_order_comes_through(all_cases, case):
    mock, host = all_cases
    told = wait_for(host, case, lambda told: told["serial"] or told["failures"], "an end")
    assert told["problem"]["class"] == MENDED[case][1], told
    host.say("renew", file_of(case))
    wait_for(host, case, lambda told: told["serial"], "a certificate")
    assert len([one for one in mock.orders if one.names == [host_of(case)]]) == 2


def test_an_order_in_processing_is_waited_for(all_cases):
    """For a quarter of an hour; others are not kept from theirs."""
    mock, host = all_cases
    step = host_of("processed-for-ever"), "order"
    wait_until(lambda: mock.asked.get(step, 0) > 6, "asked again and again", 60)
    told = host.status(file_of("processed-for-ever"))
    assert told["doing"] == "waiting for the CA" and told["failures"] == 0
    host.say("change-key")  # that would take the account from under it
    assert host.wait("refused")["reason"] == "orders are under way"


def test_an_order_whose_url_a_gateway_has_lost_is_found_again(new_mock):
    lost = {"order-new": first(1, instead(504, HTML, "text/html", Retry_After=300))}
    mock, host = new_mock({"chat": lost})
    mock.lists_orders = True
    host.wait_status(file_of("chat"), lambda told: told["failures"] == 1, "lost")
    host.say("renew", file_of("chat"))
    host.wait("ready", name=file_of("chat"))
    assert len(mock.orders) == 1


def test_an_order_that_was_lost_before_a_refusal_is_found_again(new_mock):
    """Nor does a word of a proxy's end the search."""

    def lost_and_put_off(ca, order, answer, number):
        if number == 1:
            return Answer(504, HTML, "text/html")
        if number == 2:
            ca.orders.remove(order)
            return problem("rateLimited", 429, Retry_After=3600)
        return None

    mock, host = new_mock({"chat": {"order-new": lost_and_put_off}})
    mock.lists_orders = True
    host.wait_status(file_of("chat"), lambda told: told["failures"] == 1, "put off")
    mock.account_answers = [Answer(404, HTML, "text/html")]
    host.say("renew", file_of("chat"))
    host.wait("ready", name=file_of("chat"))
    assert len(mock.orders) == 1 and not mock.account_answers


# --- what the account is told ---------------------------------------------------------------------


def get_one(new_mock, case="chat", **options):
    mock, host = new_mock({case: {}}, **options)
    return mock, host, host.wait("ready", name=file_of(case))["serial"]


def test_what_was_revoked_is_replaced_though_its_renewal_has_failed(new_mock):
    mock, host, serial = get_one(new_mock)
    off = refusal("rateLimited", 429, Retry_After=3600)
    mock.twists[host_of("chat")] = {"order-new": always(off)}
    host.say("renew", file_of("chat"))
    told = host.wait_status(file_of("chat"), lambda told: told["failures"] == 1, "put off")
    assert told["next_in_ms"] > 3000 * 1000
    mock.twists.clear()
    host.say("revoke", file_of("chat"))
    assert host.wait("ready", name=file_of("chat"))["serial"] != serial


@pytest.mark.parametrize("busy", ["dir", "revoke"])
def test_what_is_revoked_is_what_was_in_service_then(new_mock, busy):
    """While the CA is busy the one before is put back, which nobody wants to be revoked."""
    mock, host, before = get_one(new_mock)
    host.say("renew", file_of("chat"))
    host.wait("ready", name=file_of("chat"))
    revoked = leaf_of(host, "chat")[0].public_bytes(serialization.Encoding.DER)
    host.stop()
    mock.busy = {busy}
    host.start().say("revoke", file_of("chat"))
    host.wait_status(file_of("chat"), lambda told: told["doing"], "at work")
    host.say("put-back", file_of("chat"))
    host.wait_status(file_of("chat"), lambda told: told["serial"] == before, "put back")
    assert mock.revoked == []
    mock.busy = set()
    assert host.wait("revoked")["class"] == ""
    assert mock.revoked == [revoked]
    name, is_left = file_of("chat"), lambda told: told["next_in_ms"] > 3000 * 1000
    assert host.wait_status(name, is_left, "left alone")["serial"] == before


def test_an_account_that_the_ca_has_forgotten(new_mock):
    mock, host, serial = get_one(new_mock)
    mock.accounts.clear()
    host.say("renew", file_of("chat"))
    assert host.wait("ready", name=file_of("chat"))["serial"] != serial
    assert len(mock.accounts) == 1 and "acme_account_gone" in host.log()


def test_an_account_that_cannot_be_written_down_stays_the_only_one(new_mock):
    """The CA knows it by its key."""
    mock, host, _ = get_one(new_mock)
    host.stop()
    (known,) = host.state.glob("accounts/*.json")
    known.unlink()
    in_the_way = known.with_name(f".{known.name}.new")

    def renew_after_a_restart():
        host.start().say("renew", file_of("chat"))
        host.wait("ready", name=file_of("chat"))
        host.stop()
        assert len(mock.accounts) == 1

    in_the_way.mkdir()
    for failures in (1, 2):
        renew_after_a_restart()
        assert host.log().count("acme_account_not_saved") == failures and not known.exists()
    in_the_way.rmdir()
    renew_after_a_restart()
    assert host.log().count("acme_account_not_saved") == 2 and known.exists()


def test_an_account_whose_key_was_changed_elsewhere(new_mock):
    """Its URL is good and what we sign is not: another account is as good."""
    mock, host, serial = get_one(new_mock)
    (url,) = mock.accounts
    mock.accounts[url] = jwk_of(ec.generate_private_key(ec.SECP256R1()))
    host.say("renew", file_of("chat"))
    assert host.wait("ready", name=file_of("chat"))["serial"] != serial
    assert len(mock.accounts) == 2


def test_terms_that_want_to_be_agreed_to_again(new_mock):
    """A person has to: the certificate in service stays, and when it is done, all goes on."""
    mock, host, serial = get_one(new_mock)
    wants = refusal("userActionRequired", 403, more={"instance": "https://ca.example/terms/2"})
    mock.twists[host_of("chat")] = {"order-new": first(2, wants)}  # the first one has passed
    host.say("renew", file_of("chat"))
    told = host.wait_status(file_of("chat"), lambda told: told["failures"] == 1, "refused")
    assert told["problem"]["class"] == "needs-a-person"
    assert told["problem"]["url"] == "https://ca.example/terms/2"
    assert told["serial"] == serial and told["next_in_ms"] > 80000 * 1000
    assert "see=https://ca.example/terms/2" in host.log()
    host.say("renew", file_of("chat"))
    assert host.wait("ready", name=file_of("chat"))["serial"] != serial


def fail_in_turn(host, count):
    """Other certificates are wanted one by one, and none comes."""
    for case in (f"more{number}" for number in range(count)):
        host.say("want", file_of(case), host_of(case))
        told = wait_for(host, case, lambda told: told["serial"] or told["failures"], "an end")
        assert told["problem"]["class"] in ("rate-limited", "account-gone"), told
    return told


def test_an_account_that_is_to_be_asked_for_in_an_hour(new_mock):
    """That is kept to and told of once, whatever is wanted meanwhile."""
    mock, host, serial = get_one(new_mock)
    mock.accounts.clear()
    mock.new_account_answer = problem("rateLimited", 429, Retry_After=3600)
    host.say("renew", file_of("chat"))
    told = host.wait_status(file_of("chat"), lambda told: told["failures"] == 1, "refused")
    assert told["serial"] == serial and 3590 * 1000 < told["next_in_ms"] < 1.2 * 3600 * 1000
    told = fail_in_turn(host, 20)
    assert "the CA's words" in told["problem"]["detail"]
    assert 3500 * 1000 < told["next_in_ms"] < 1.2 * 3600 * 1000
    assert (mock.new_accounts, host.log().count("acme_ca_not_ready")) == (2, 1)


def test_a_ca_that_comes_back_after_days(new_mock):
    """Whom it has failed for so long that it would wait for a day is served before."""
    mock, host = new_mock({"one": {}, "two": {}}, directory={"newOrder": "http://localhost/x"})
    for failures in range(1, 6):
        for case in ("one", "two"):
            told = wait_for(host, case, lambda told: told["failures"] == failures, "failed")
            host.say("renew", file_of(case)) if failures < 5 else None
    assert told["next_in_ms"] > 80000 * 1000
    del mock.more["newOrder"]
    host.say("renew", file_of("one"))
    host.wait("ready", name=file_of("one"))
    told = host.status(file_of("two"))
    assert told["next_in_ms"] <= 600 * 1000, told


def test_a_ca_that_comes_back_within_a_day(new_mock):
    """What it offers is known still and not asked for: the orders alone tell that it is back."""
    down = {"order-new": always(instead(201, HTML, "text/html"))}
    mock, host = new_mock({"one": down, "two": down})
    for failures in range(1, 6):
        for case in ("one", "two"):
            told = wait_for(host, case, lambda told: told["failures"] == failures, "failed")
            host.say("renew", file_of(case)) if failures < 5 else None
    assert told["next_in_ms"] > 80000 * 1000
    mock.twists = {}
    host.say("renew", file_of("one"))
    host.wait("ready", name=file_of("one"))
    told = host.status(file_of("two"))
    assert told["next_in_ms"] <= 600 * 1000, told


class Forgetful(dict):
    def __setitem__(self, url, key):
        pass


def test_accounts_that_are_forgotten_at_once(new_mock):
    """Let's Encrypt's limit of new accounts is kept to, and that is told of once."""
    mock, host, _ = get_one(new_mock, ca={"limits": 1})
    mock.accounts = Forgetful()
    told = fail_in_turn(host, 20)
    assert "too many accounts" in told["problem"]["detail"]
    assert (mock.new_accounts, host.log().count("acme_ca_not_ready")) == (8, 1)


def test_an_account_that_is_forgotten_at_once_is_not_asked_for_without_end(new_mock):
    """Where there are no limits: two for an order, which has failed then."""
    mock, host, _ = get_one(new_mock)
    mock.accounts = Forgetful()
    told = fail_in_turn(host, 1)
    assert told["problem"]["class"] == "account-gone" and told["next_in_ms"] > 0
    assert mock.new_accounts == 3


def test_accounts_that_are_deactivated_one_after_the_other(new_mock):
    """Each whose key was good for a certificate is replaced."""
    mock, host, serial = get_one(new_mock)
    for replaced in (1, 2, 3):
        mock.deactivate_accounts()
        host.say("renew", file_of("chat"))
        before, serial = serial, host.wait("ready", name=file_of("chat"))["serial"]
        assert serial != before
        assert len(list((host.state / "trash").iterdir())) == replaced


def test_a_ca_that_will_have_no_key(new_mock):
    """The first may have been deactivated; of the second that is not believed."""
    mock, host, serial = get_one(new_mock)
    mock.accounts.clear()
    mock.new_account_answer = problem("unauthorized", 403)
    for failures in (1, 2):
        host.say("renew", file_of("chat"))
        told = host.wait_status(
            file_of("chat"), lambda told: told["failures"] == failures, "refused"
        )
        assert told["problem"]["class"] == "key-refused" and told["serial"] == serial
    assert mock.new_accounts == 4
    assert host.log().count("acme_account_key_refused") == 1
    assert len(list((host.state / "trash").iterdir())) == 1


@pytest.mark.parametrize("offered", [False, True], ids=["not-offered", "refused"])
def test_a_change_of_the_accounts_key_that_is_refused(new_mock, offered):
    """The key before stays in force, and nobody asks again."""
    directory = {"keyChange": "/key-change"} if offered else None
    mock, host, serial = get_one(new_mock, directory=directory)
    (path,) = host.state.glob("accounts/*.key")
    before = path.read_text()
    host.say("change-key")
    told = host.wait("key-changed")
    assert told["class"] == "refused"
    assert told["reason"] == ("not today" if offered else "the CA offers no key change")
    host.say("renew", file_of("chat"))
    assert host.wait("ready", name=file_of("chat"))["serial"] != serial
    assert path.read_text() == before and list((host.state / "pending").iterdir()) == []
    assert len(mock.accounts) == 1
    assert mock.new_accounts == (2 if offered else 1)  # whose is the new key?


def test_the_accounts_new_key_is_kept_until_the_ca_has_said_whose_it_is(new_mock):
    """The change came through and its answer did not; what a proxy says then tells nothing."""
    mock, host, serial = get_one(new_mock, directory={"keyChange": "/key-change"})
    (path,) = host.state.glob("accounts/*.key")
    before = path.read_text()
    mock.changes_keys = True
    mock.key_change_answer = problem("malformed", 400)
    mock.new_account_answer = Answer(404, HTML, "text/html", Retry_After=3600)
    host.say("change-key")
    assert host.wait("key-changed")["class"] == "bad-answer"
    (kept,) = (host.state / "pending").iterdir()
    after = kept.read_text()
    host.stop()
    mock.new_account_answer = None
    host.start().say("renew", file_of("chat"))
    assert host.wait("ready", name=file_of("chat"))["serial"] != serial
    assert before != path.read_text() == after and len(mock.accounts) == 1


@pytest.mark.parametrize("came_through", [True, False])
@pytest.mark.parametrize("lost", [True, False], ids=["lost", "other-contacts"])
def test_an_account_is_looked_up_when_its_key_may_have_changed(new_mock, lost, came_through):
    """By the key before, the CA would not find it, and make another."""
    mock, host, serial = get_one(new_mock, directory={"keyChange": "/key-change"})
    (path,) = host.state.glob("accounts/*.key")
    (about,) = host.state.glob("accounts/*.json")
    mock.changes_keys = came_through
    mock.new_account_answer = Answer(404, HTML, "text/html", Retry_After=3600)
    mock.key_change_answer = problem("malformed", 400)
    host.say("change-key")
    assert host.wait("key-changed")["class"] == "bad-answer"
    (kept,) = (host.state / "pending").iterdir()
    after = kept.read_text()
    host.stop()
    mock.changes_keys, mock.new_account_answer, mock.key_change_answer = True, None, Answer(200)
    if lost:
        about.unlink()
    contacts = [] if lost else ["mailto:somebody@example.test"]
    host.start(cas=[{**host.settings["cas"][0], "contacts": contacts}])
    host.say("renew", file_of("chat"))
    assert host.wait("ready", name=file_of("chat"))["serial"] != serial
    assert path.read_text() == after and len(mock.accounts) == 1
    assert json.loads(about.read_text())["contacts"] == contacts


@pytest.mark.parametrize(
    "kind, status, class_",
    [("rateLimited", 429, "rate-limited"), ("serverInternal", 500, "transient")],
)
def test_a_change_of_the_accounts_key_that_has_to_wait(new_mock, kind, status, class_):
    """Orders do not wait for it: the key before stays in force, and who wants another asks again."""
    mock, host, serial = get_one(new_mock, directory={"keyChange": "/key-change"})
    mock.key_change_answer = problem(kind, status, "not today", Retry_After=7 * 24 * 3600)
    host.say("change-key")
    assert host.wait("key-changed")["class"] == class_
    host.say("renew", file_of("chat"))
    assert host.wait("ready", name=file_of("chat"))["serial"] != serial
    assert len(mock.accounts) == 1 and list((host.state / "pending").iterdir()) == []


@pytest.mark.parametrize("given", [False, "a/b+c==", "n" * 200], ids=["none", "bad", "long"])
def test_a_ca_that_gives_no_nonces(new_mock, given):
    """It is asked again as for anything that fails for a while: at first a quarter of a second
    later, then twice as long each time."""
    mock, host, serial = get_one(new_mock)
    mock.without_nonce, mock.no_nonce = 3, given
    host.stop()
    host.start().say("renew", file_of("chat"))
    assert host.wait("ready", name=file_of("chat"))["serial"] != serial
    times = mock.times["nonce"]
    assert len(times) == 4 and times[-1] - times[0] > 1.6


@pytest.mark.parametrize("word", ["renew", "revoke"])
def test_what_somebody_has_asked_for_is_done_after_a_restart(new_mock, word):
    """The CA is busy; killed meanwhile, the worker still knows that another one is wanted."""
    mock, host, serial = get_one(new_mock)
    asked = mock.asked[host_of("chat"), "order-new"]
    mock.twists[host_of("chat")] = {"order-new": always(instead(503, "", Retry_After=1))}
    host.say(word, file_of("chat"))
    wait_until(lambda: mock.asked[host_of("chat"), "order-new"] > asked + 1, "asked", 30)
    host.kill()
    mock.twists.clear()
    assert host.start().wait("ready", name=file_of("chat"))["serial"] != serial


# --- names -----------------------------------------------------------------------------------------


def test_a_wildcard_beside_the_name_beneath_it(new_mock):
    """The CA calls both the same: the wildcard is left out, which HTTP-01 cannot prove."""
    hosts = [host_of("wild"), "*." + host_of("wild")]
    mock, host = new_mock({"wild": {}}, hosts={"wild": hosts})
    host.wait("ready", name=file_of("wild"))
    leaf, _ = leaf_of(host, "wild")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == hosts[:1]
    told = host.status(file_of("wild"))["hosts"]
    assert "wildcard" in told[hosts[1]]["problem"]["detail"] and "problem" not in told[hosts[0]]


# --- clocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_s", [4000, -4000], ids=["ahead", "behind"])
def test_a_cas_clock_is_the_measure_of_its_certificates(new_mock, ahead_s):
    """What is valid by the CA's clock is taken, though it is not by ours."""
    twist = {"certificate": chain(lambda ca, order: ca.leaf(order, until_s=3600) + ca.intermediate)}
    mock, host = new_mock({"chat": {}})
    mock.ahead_s = ahead_s
    mock.twists[host_of("chat")] = twist
    host.wait("ready", name=file_of("chat"))
    assert "acme_clocks_differ" in host.log()


# --- renewal information and what an order replaces --------------------------------------------------


def window(start_s, end_s, **more):
    stamp = lambda at: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + at))
    return {"suggestedWindow": {"start": stamp(start_s), "end": stamp(end_s)}, **more}


DAY_S = 86400
WINDOWS = {
    "good": instead(200, window(50 * DAY_S, 51 * DAY_S), Retry_After=36000),
    "explained": instead(
        200, window(50 * DAY_S, 51 * DAY_S, explanationURL="https://ca.example/why")
    ),
    "asked-too-soon": instead(200, window(50 * DAY_S, 51 * DAY_S), Retry_After=0),
    "asked-too-late": instead(200, window(50 * DAY_S, 51 * DAY_S), Retry_After=10**9),
    "ends-before-it-starts": instead(200, window(51 * DAY_S, 50 * DAY_S)),
    "ends-where-it-starts": instead(200, window(50 * DAY_S, 50 * DAY_S)),
    "behind-the-end": instead(200, window(500 * DAY_S, 501 * DAY_S)),
    "unknown-issuer": refusal("malformed", 400, "no known issuer", Retry_After=7200),
    "not-found": instead(404, "not found", "text/plain"),
    "html": instead(200, HTML, "text/html"),
}
BY_WINDOW = ("good", "explained", "asked-too-soon", "asked-too-late", "behind-the-end")


def test_renewal_information_of_all_kinds(new_mock):
    """What makes no sense leaves the plan by the certificate's life: two thirds of 90 days."""
    twists = {case: {"renewal": always(give)} for case, give in WINDOWS.items()}
    mock, host = new_mock(twists, directory={"renewalInfo": "/ari"})
    for case in WINDOWS:
        step = host_of(case), "renewal"
        wait_until(lambda: mock.asked.get(step), f"{case}: asked for its window", 60)
        told = wait_for(host, case, lambda told: not told["doing"], "planned")
        by_window = told["why"] == "renewal is planned by the CA's window"
        assert by_window == (case in BY_WINDOW), (case, told)
        days = (told["renewal_s"] - time.time()) / DAY_S
        expected = (50, 51) if case in BY_WINDOW else (58, 60)
        if case == "behind-the-end":
            expected = (64, 65)  # believed as far as a mistake does no harm
        assert expected[0] - 0.2 < days < expected[1] + 0.2, (case, days)
        assert told["failures"] == 0
        saved = json.loads((host.state / f"schedule/{file_of(case)}.json").read_text())
        wait_s = {"good": 36000, "asked-too-late": DAY_S, "unknown-issuer": 7200}.get(case, 21600)
        assert wait_s - 120 < saved["poll_in_s"] <= 1.1 * wait_s, case
    assert {mock.asked[host_of(case), "renewal"] for case in WINDOWS} == {1}
    assert "see=https://ca.example/why" in host.log()


def test_a_window_is_not_asked_for_without_end(new_mock):
    """What the CA says at first is no directory: what is in service is planned by its life."""
    mock, host, serial = get_one(new_mock, directory={"renewalInfo": "/ari"})
    host.stop()
    (host.state / f"schedule/{file_of('chat')}.json").unlink()  # so that it is asked at once
    mock.more["newOrder"] = "http://localhost/x"
    told = host.start().wait_status(
        file_of("chat"),
        lambda told: "acme_ca_not_ready" in host.log() and not told["doing"],
        "told",
    )
    assert told["serial"] == serial and told["failures"] == 0
    assert told["next_in_ms"] > 3000 * 1000
    assert host.log().count("acme_ca_not_ready") == 1


REPLACED = {
    "already-replaced": refusal("alreadyReplaced", 409),
    "another-account": refusal("unauthorized", 403),
    "unknown-id": refusal("malformed", 404),
}


def test_an_order_is_not_lost_to_what_it_replaces(new_mock):
    mock, host = new_mock({case: {} for case in REPLACED}, directory={"renewalInfo": "/ari"})
    serials = {}
    for _ in REPLACED:
        told = host.wait("ready")
        serials[told["name"]] = told["serial"]
    for case, give in REPLACED.items():
        mock.twists[host_of(case)] = {
            "order-new": lambda ca, order, answer, number, give=give: give()
            if number == 2
            else None
        }
        host.say("renew", file_of(case))
        assert host.wait("ready", name=file_of(case))["serial"] != serials[file_of(case)]
        orders = [one.payload for one in mock.orders if one.names == [host_of(case)]]
        assert ["replaces" in one for one in orders] == [False, True, False]
    assert "certificate_failed" not in host.log()


# --- limits ------------------------------------------------------------------------------------------

LIMITED = lambda told: "limit of" in told["why"]


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "ahead"])
def test_renewals_in_the_cas_window_are_free_of_its_limits(new_mock, is_open):
    """Five for the same names in a week, less one: where the window is not open yet."""
    start_s = -DAY_S if is_open else 50 * DAY_S
    twist = {"renewal": always(instead(200, window(start_s, start_s + 2 * DAY_S)))}
    mock, host = new_mock({"chat": twist}, directory={"renewalInfo": "/ari/"}, ca={"limits": 1})
    for _ in range(4):
        host.wait("ready", name=file_of("chat"))
        by_window = lambda told: "window" in told["why"] and not told["doing"]
        host.wait_status(file_of("chat"), by_window, "the window is known")
        host.say("renew", file_of("chat"))
    if is_open:
        host.wait("ready", name=file_of("chat"))
    else:
        told = host.wait_status(file_of("chat"), LIMITED, "the limit")
        assert "certificates for exactly these names" in told["why"]
        host.say("want", file_of("chat"), host_of("chat"), host_of("more"))
        host.wait("ready", name=file_of("chat"))  # that is another set


def test_only_what_is_issued_counts_against_the_limit_of_certificates(new_mock):
    """Port 80 was shut: a validation that fails has its own limit, and uses up no other."""
    mock, host = new_mock({"chat": {"challenge": always(failed_once)}}, ca={"limits": 1})
    for failures in range(1, 4):
        told = host.wait_status(
            file_of("chat"), lambda told: told["failures"] == failures, "not validated"
        )
        assert told["problem"]["class"] == "validation", told
        if failures == 3:
            mock.twists.clear()
        host.say("renew", file_of("chat"))
    for _ in range(4):  # all that there are
        host.wait("ready", name=file_of("chat"))
        host.say("renew", file_of("chat"))
    told = host.wait_status(file_of("chat"), LIMITED, "the limit")
    assert "certificates for exactly these names" in told["why"]


def test_names_that_have_failed_wait_for_the_limit_of_failures_alone(new_mock):
    mock, host = new_mock({"chat": {"challenge": always(failed_once)}}, ca={"limits": 1})
    for failures in range(1, 5):
        host.wait_status(
            file_of("chat"), lambda told: told["failures"] == failures, "not validated"
        )
        host.say("renew", file_of("chat"))
    told = host.wait_status(file_of("chat"), LIMITED, "the limit")
    assert "failed validations of a name" in told["why"]
    assert 0 < told["next_in_ms"] <= 750 * 1000


def test_an_order_that_is_resumed_counts_once(new_mock):
    """Against the limits, and at the CA; for other names it is of no use."""
    busy = {"challenge": always(instead(503, "", Retry_After=300))}
    mock, host = new_mock({"chat": busy}, ca={"limits": 1})
    for failures in range(1, 7):
        told = host.wait_status(
            file_of("chat"), lambda told: told["failures"] == failures, "the CA is busy"
        )
        assert told["problem"]["class"] == "transient", told
        host.say("renew", file_of("chat"))
    assert len(mock.orders) == 1
    mock.twists.clear()
    host.say("want", file_of("chat"), host_of("chat"), host_of("more"))
    host.wait("ready", name=file_of("chat"))
    assert [len(one.names) for one in mock.orders] == [1, 2]


def test_what_cannot_be_written_down_is_not_ordered(new_mock):
    """On a disk that is full each try would leave the CA with another certificate that nobody keeps."""
    mock, host = new_mock({"chat": {}}, ca={"limits": 1})
    host.wait("ready", name=file_of("chat"))
    in_the_way = host.state / f"pending/.{file_of('chat')}.json.new"
    in_the_way.mkdir()
    for failures in range(1, 6):  # the CA's limits are not touched either
        host.say("renew", file_of("chat"))
        told = host.wait_status(
            file_of("chat"), lambda told: told["failures"] == failures, "failed"
        )
        assert told["problem"]["class"] == "local" and "/pending/" in told["problem"]["detail"]
    assert len(mock.orders) == 1
    in_the_way.rmdir()
    host.say("renew", file_of("chat"))
    host.wait("ready", name=file_of("chat"))


def test_many_orders_ask_a_few_things_at_once(new_mock):
    cases = {f"m{number}": {} for number in range(40)}
    mock, host = new_mock(cases)
    assert {host.wait("ready")["name"] for _ in cases} == {file_of(case) for case in cases}
    assert mock.most_at_once <= 8
    assert "certificate_failed" not in host.log()


# --- profiles and chains ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["offered", "vanished", "refused"])
def test_a_profile(new_mock, way):
    profiles = {} if way == "vanished" else {"short": "https://ca.example/short"}
    twist = {"order-new": first(1, refusal("invalidProfile"))} if way == "refused" else {}
    directory = {"meta": {"profiles": profiles}}
    mock, host = new_mock({"chat": twist}, directory=directory, ca={"profile": "short"})
    host.wait("ready", name=file_of("chat"))
    asked = [one.payload.get("profile") for one in mock.orders]
    assert asked == {"offered": ["short"], "vanished": [None], "refused": ["short", None]}[way]
    told = "certificate_profile_unknown" in host.log()
    assert told == (way != "offered")


def test_a_preferred_chain_behind_broken_ones(new_mock):
    def alternate(ca, order, answer, number):
        if number < 3:
            return problem("malformed", 404) if number == 1 else Answer(200, HTML, "text/html")
        return Answer(200, ca.leaf(order) + ca.intermediate_of("other root"), PEM_CHAIN)

    def links(ca, order, answer):
        """A comma in a URL or in quotes is not between two of them (RFC 8288 3)."""
        url = f"{ca.base}/cert/{order.number}"
        answer.headers["Link"] = (
            f'<{ca.base}/dir>;rel="index";title="a, <b>", , <{url}.1>;rel="alternate",'
            f'<{url}.2?of=a,b>;title="\'<, >";rel="alternate", <{url}.3?">;rel="alternate"'
        )
        answer.headers["Link"] += 9 * f', <{ca.base}/dir>;rel="up"'  # more than there is room for
        return answer

    twist = {"certificate": always(links), "alternate": alternate}
    mock, host = new_mock({"chat": twist}, ca={"preferred_chain": "other root"})
    assert host.wait("ready", name=file_of("chat"))["root"] == "other root"
