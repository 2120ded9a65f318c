"""A CA that does what RFC 8555 says, but for one answer: `twists` change what it tells about an order,
so that each thing that a CA has once told to somebody's client can be told to ours.

It checks what it is sent as a CA does: nonces, signatures, the URL that was signed, and the challenge,
which it fetches. Its certificates have no common name.
"""

import base64
import datetime
import hashlib
import http.client
import http.server
import itertools
import json
import secrets
import ssl
import threading
import time
import traceback

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

URN = "urn:ietf:params:acme:error:"
JSON = "application/json"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def http_date(seconds):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


class Answer:
    """`body` is text, bytes, or what becomes JSON. `hang_up`: nothing is sent at all; `endless`: the
    body never ends; `nonce`: the answer brings one, or that text in its place."""

    def __init__(self, status, body=b"", content_type=JSON, **headers):
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        self.headers["Content-Type"] = content_type
        self.hang_up = self.endless = False
        self.nonce = True

    def bytes(self):
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def problem(kind, status=400, detail="the CA's words", **headers):
    body = {"type": URN + kind, "detail": detail, "status": status, **headers.pop("more", {})}
    return Answer(status, body, "application/problem+json", **headers)


class Authorization:
    def __init__(self, name):
        self.name = name.removeprefix("*.")
        self.wildcard = name.startswith("*.")
        self.status = "pending"
        self.token = encode(secrets.token_bytes(32))


class Order:
    def __init__(self, number, account, payload):
        self.number, self.account, self.payload = number, account, payload
        self.names = [one["value"] for one in payload["identifiers"]]
        self.authorizations = [Authorization(name) for name in self.names]
        self.status = "pending"
        self.csr = None

    def settle(self):
        """Becomes what its authorizations make it."""
        states = {one.status for one in self.authorizations}
        if self.status == "pending" and states == {"valid"}:
            self.status = "ready"
        elif self.status == "pending" and "invalid" in states:
            self.status = "invalid"


class MockCa:
    """`twists[name][step]` is called as twist(ca, order, answer, number) for each answer about an
    order whose first name it is; what it returns is answered instead. `number` counts from 1.
    """

    def __init__(self, folder, authority, challenge_port, **directory):
        self.challenge_port = challenge_port
        self.more = directory  # in the directory; a path becomes a URL
        self.twists, self.asked, self.times = {}, {}, {}
        self.nonces, self.accounts, self.orders = set(), {}, []
        self.numbers = itertools.count(1)
        self.new_account_answer = None  # instead of an account
        self.deactivated = []  # keys whose accounts are no more
        self.key_change_answer = None  # instead of a refusal
        self.changes_keys = False  # whatever it answers
        self.lists_orders = False  # in each account
        self.account_answers = []  # to who asks for one, before that
        self.busy = set()  # what is answered by 503: "dir", "revoke", ...
        self.revoked = []  # DER
        self.without_nonce = 0  # so many answers to newNonce bring none, and no directory does
        self.no_nonce = False  # what they bring in its place
        self.new_accounts = 0  # that were asked for
        self.ahead_s = 0  # of its clock
        self.answering = self.most_at_once = 0  # requests
        self.broken = []  # what went wrong in here
        self.lock = threading.RLock()
        self.root_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.intermediate = self.intermediate_of("mock root")
        handler = type("Handler", (_Handler,), {"ca": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.issue(["localhost"], folder / "mock.pem"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.base = f"https://localhost:{self.server.server_port}"
        self.directory = f"{self.base}/dir"
        self.ca_file = authority.path
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        assert self.broken == []

    # --- certificates ---------------------------------------------------------------------------

    def _sign(self, name, key, issuer, by, ca=False, names=(), since_s=-60, until_s=7776000):
        now = datetime.datetime.utcnow() + datetime.timedelta(seconds=self.ahead_s)
        called = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(called(name) if name else x509.Name([]))
            .issuer_name(called(issuer))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(seconds=since_s))
            .not_valid_after(now + datetime.timedelta(seconds=until_s))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False
            )
        )
        if names:
            san = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
            builder = builder.add_extension(san, critical=True)
        return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def intermediate_of(self, root):
        key = self.key.public_key()
        return self._sign("mock intermediate", key, root, self.root_key, ca=True)

    def leaf(self, order, key=None, names=None, **dates):
        """A certificate for the order's names and key (any, before it is finalized), or for others."""
        if key is None:
            key = (order.csr or ec.generate_private_key(ec.SECP256R1())).public_key()
        names = names or order.names
        pem = self._sign(None, key, "mock intermediate", self.key, names=names, **dates)
        order.serial = x509.load_pem_x509_certificate(pem.encode()).serial_number
        return pem

    # --- answers --------------------------------------------------------------------------------

    def tell_order(self, order):
        url = f"{self.base}/%s/{order.number}"
        told = {
            "status": order.status,
            "identifiers": [{"type": "dns", "value": name} for name in order.names],
            "authorizations": [
                f"{self.base}/authz/{order.number}.{i}" for i in range(len(order.authorizations))
            ],
            "finalize": url % "finalize",
        }
        if order.status == "valid":
            told["certificate"] = url % "cert"
        return told

    def tell_authorization(self, order, index):
        one = order.authorizations[index]
        kinds = ["dns-01"] if one.wildcard else ["dns-01", "http-01"]
        status = one.status if one.status in ("valid", "invalid") else "pending"
        challenges = [
            {
                "type": kind,
                "url": f"{self.base}/chall/{order.number}.{index}",
                "token": one.token,
                "status": status,
            }
            for kind in kinds
        ]
        if one.status == "invalid":
            challenges[-1]["error"] = {"type": URN + "connection", "detail": "the CA's words"}
        told = {"status": one.status, "challenges": challenges}
        told["identifier"] = {"type": "dns", "value": one.name}
        return {**told, "wildcard": True} if one.wildcard else told

    def look(self, order, index):
        """Fetches the challenge, as RFC 8555 8.3 has it."""
        one = order.authorizations[index]
        connection = http.client.HTTPConnection("127.0.0.1", self.challenge_port, timeout=30)
        path = f"/.well-known/acme-challenge/{one.token}"
        try:
            connection.request("GET", path, headers={"Host": one.name})
            body = connection.getresponse().read().decode()
        except OSError as error:
            body = repr(error)
        connection.close()
        wanted = f"{one.token}.{thumbprint(self.accounts[order.account])}"
        one.status = "valid" if body == wanted else "invalid"
        order.settle()

    # --- requests -------------------------------------------------------------------------------

    def answer(self, method, path, body):
        steps = path.strip("/").split("/")
        if steps[0] in self.busy:
            return Answer(503, "", Retry_After=1)
        if steps[0] == "dir":
            urls = {"newNonce": "nonce", "newAccount": "account", "newOrder": "order"}
            urls.update(revokeCert="revoke", kQ7f2Lx9="https-random-keys-are-allowed")
            told = {k: f"{self.base}/{v}" for k, v in urls.items()}
            for name, value in self.more.items():
                told[name] = self.base + value if str(value).startswith("/") else value
            directory = Answer(200, told)
            directory.nonce = self.without_nonce == 0
            return directory
        if steps[0] == "nonce":
            return self.new_nonce()
        if steps[0] == "ari":
            return self.about(self.order_of(steps[1]), "renewal", problem("malformed", 404))
        jws = json.loads(body)
        head = json.loads(decode(jws["protected"]))
        refusal = self.refuse(head, jws, path)
        if refusal is not None:
            return refusal
        payload = json.loads(decode(jws["payload"]) or b"null")
        if steps == ["account"]:
            return self.new_account(head["jwk"], payload)
        if steps == ["key-change"]:
            if self.changes_keys:
                inner = json.loads(decode(payload["protected"]))
                self.accounts[head["kid"]] = inner["jwk"]
            return self.key_change_answer or problem("unauthorized", 403, "not today")
        if steps == ["revoke"]:
            self.revoked.append(decode(payload["certificate"]))
            return Answer(200)
        if steps[0] == "account":
            if self.account_answers:
                return self.account_answers.pop(0)
            told = {"orders": f"{self.base}/orders"} if self.lists_orders else {}
            return Answer(200, {"status": "valid", **told})
        if steps == ["orders"]:
            urls = [f"{self.base}/order/{one.number}" for one in self.orders]
            return Answer(200, {"orders": urls})
        if steps == ["order"]:
            order = Order(next(self.numbers), head["kid"], payload)
            self.orders.append(order)
            location = f"{self.base}/order/{order.number}"
            told = Answer(201, self.tell_order(order), Location=location)
            return self.about(order, "order-new", told)
        return self.about_order(steps, payload)

    def refuse(self, head, jws, path):
        """A CA's reasons to look no further; None when there are none."""
        with self.lock:
            if head["nonce"] not in self.nonces:
                return problem("badNonce")
            self.nonces.remove(head["nonce"])
        if head["url"] != self.base + path:
            return problem("unauthorized", 403, "another URL was signed")
        key = head.get("jwk") or self.accounts.get(head.get("kid"))
        if key is None:
            return problem("accountDoesNotExist", detail="no account exists with this URL")
        numbers = [int.from_bytes(decode(key[part]), "big") for part in "xy"]
        public = ec.EllipticCurvePublicNumbers(*numbers, ec.SECP256R1()).public_key()
        raw = decode(jws["signature"])
        signature = utils.encode_dss_signature(
            int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        )
        try:
            signed = f"{jws['protected']}.{jws['payload']}".encode()
            public.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return problem("malformed", detail="JWS verification error")
        return None

    def new_nonce(self):
        with self.lock:
            self.times.setdefault("nonce", []).append(time.monotonic())
            told = Answer(200)
            told.nonce = len(self.times["nonce"]) > self.without_nonce or self.no_nonce
            return told

    def deactivate_accounts(self):
        with self.lock:
            self.deactivated += self.accounts.values()
            self.accounts.clear()

    def new_account(self, key, payload):
        self.new_accounts += 1
        if self.new_account_answer is not None:
            return self.new_account_answer
        if key in self.deactivated:
            return problem("unauthorized", 403, "the account was deactivated")
        for url, known in self.accounts.items():
            if known == key:
                return Answer(200, {"status": "valid"}, Location=url)
        if payload.get("onlyReturnExisting"):
            return problem("accountDoesNotExist")
        url = f"{self.base}/account/{next(self.numbers)}"
        self.accounts[url] = key
        return Answer(201, {"status": "valid"}, Location=url)

    def about_order(self, steps, payload):
        number, _, index = steps[1].partition(".")
        order = next(one for one in self.orders if one.number == int(number))
        if steps[0] == "order":
            return self.about(order, "order", Answer(200, self.tell_order(order)))
        if steps[0] == "authz":
            told = Answer(200, self.tell_authorization(order, int(index)))
            return self.about(order, "authorization", told)
        if steps[0] == "chall":
            told = self.about(order, "challenge", Answer(200, {"status": "processing"}))
            if told.status == 200 and order.authorizations[int(index)].status == "pending":
                self.look(order, int(index))
            return told
        if steps[0] == "finalize":
            if order.status != "ready":
                return problem("orderNotReady", 403)
            order.csr = x509.load_der_x509_csr(decode(payload["csr"]))
            order.status = "valid"
            return self.about(order, "finalize", Answer(200, self.tell_order(order)))
        chain = self.leaf(order) + self.intermediate
        told = Answer(200, chain, "application/pem-certificate-chain")
        return self.about(order, "alternate" if index else "certificate", told)

    def about(self, order, step, answer):
        name = order.names[0]
        with self.lock:
            number = self.asked[name, step] = self.asked.get((name, step), 0) + 1
            self.times.setdefault((name, step), []).append(time.monotonic())
        twist = self.twists.get(name, {}).get(step)
        return (twist(self, order, answer, number) if twist else None) or answer

    def order_of(self, ari_id):
        """The order whose certificate this is, by the serial number in it."""
        serial = int.from_bytes(decode(ari_id.partition(".")[2]), "big")
        return next(one for one in self.orders if getattr(one, "serial", None) == serial)


def jwk_of(key):
    numbers = key.public_key().public_numbers()
    x, y = (encode(part.to_bytes(32, "big")) for part in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def thumbprint(key):
    text = json.dumps({part: key[part] for part in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    return encode(hashlib.sha256(text.encode()).digest())


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self):
        self._answer(b"")

    do_HEAD = do_GET

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def date_time_string(self, timestamp=None):
        return http_date((timestamp or time.time()) + self.ca.ahead_s)

    def _answer(self, body):
        with self.ca.lock:
            self.ca.answering += 1
            self.ca.most_at_once = max(self.ca.most_at_once, self.ca.answering)
        try:
            told = self.ca.answer(self.command, self.path, body)
        except Exception:
            self.ca.broken.append(traceback.format_exc())
            raise
        finally:
            with self.ca.lock:
                self.ca.answering -= 1
        if told.hang_up:
            self.close_connection = True
            return
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        if told.nonce:
            nonce = encode(secrets.token_bytes(16)) if told.nonce is True else told.nonce
            with self.ca.lock:
                self.ca.nonces.add(nonce)
            self.send_header("Replay-Nonce", nonce)
        text = told.bytes()
        if not told.endless:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
        while told.endless:
            self.wfile.write(b" " * 65536)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True  # the client gave up, as it may

    def log_message(self, *_):
        pass
