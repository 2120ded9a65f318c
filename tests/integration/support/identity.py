"""An identity provider for the tests: keys, the set that it publishes, and tokens."""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://id.test"
AUDIENCE = "open-webui"

# Algorithm: the curve, its name in a JWK, bytes of a number, and the hash.
CURVES = {
    "ES256": (ec.SECP256R1, "P-256", 32, hashes.SHA256),
    "ES384": (ec.SECP384R1, "P-384", 48, hashes.SHA384),
}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    size = size or (value.bit_length() + 7) // 8
    return base64url(value.to_bytes(size, "big"))


def claims(email="ann@example.com", **more):
    now = int(time.time())
    told = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600, "email": email, **more}
    return {name: value for name, value in told.items() if value is not ...}


class Key:
    """One key of a provider."""

    def __init__(self, algorithm="ES256", kid="k1"):
        self.algorithm = algorithm
        self.kid = kid
        if algorithm[:2] in ("RS", "PS"):
            self.private = rsa.generate_private_key(65537, 2048)
        elif algorithm in CURVES:
            self.private = ec.generate_private_key(CURVES[algorithm][0]())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    def jwk(self):
        public = self.private.public_key()
        if self.algorithm[:2] in ("RS", "PS"):
            numbers = public.public_numbers()
            about = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        elif self.algorithm in CURVES:
            _, curve, size, _ = CURVES[self.algorithm]
            numbers = public.public_numbers()
            about = {"kty": "EC", "crv": curve}
            about |= {"x": number(numbers.x, size), "y": number(numbers.y, size)}
        else:
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            about = {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}
        return {**about, "kid": self.kid, "use": "sig"}

    def public_pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _sign(self, data):
        if self.algorithm == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        if self.algorithm == "PS256":
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            return self.private.sign(data, pss, hashes.SHA256())
        if self.algorithm in CURVES:
            _, _, size, digest = CURVES[self.algorithm]
            r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(digest())))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        return self.private.sign(data)

    def token(self, payload=None, header=None):
        """`payload` and `header` may be text, to be what no library would write."""
        header = {"alg": self.algorithm, "kid": self.kid} if header is None else header
        payload = claims() if payload is None else payload
        parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, payload)]
        text = ".".join(base64url(part.encode()) for part in parts)
        return f"{text}.{base64url(self._sign(text.encode()))}"


def unsigned_token(payload, header, secret=None):
    """Without a signature, or with the MAC of a secret."""
    text = ".".join(base64url(json.dumps(part).encode()) for part in (header, payload))
    mac = hmac.new(secret, text.encode(), hashlib.sha256).digest() if secret else b""
    return f"{text}.{base64url(mac)}"


def key_set(*keys):
    return json.dumps({"keys": [key.jwk() for key in keys]})


class Provider:
    """Publishes a set of keys over HTTPS."""

    def __init__(self, authority, folder):
        certificate = authority.issue(["localhost"], folder / "provider.pem")
        self.body = "{}"
        self.status = 200
        self.protocol = "HTTP/1.0"
        self.requests = 0
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.requests += 1
                body = provider.body.encode()
                self.protocol_version = provider.protocol
                self.send_response(provider.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}/jwks.json"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
