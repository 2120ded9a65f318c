"""Tenants with all that costs a decision something, and what HAProxy tells of their requests."""

import sys
import time

from support.identity import Key, claims, key_set, ISSUER, AUDIENCE
from support.spop import Asker, argument

# Of Open WebUI's own cookie "token": {"id": "5b1c2f86-...", "exp": ...}
USER = (
    "eyJpZCI6IjViMWMyZjg2LTZjMGUtNGI1YS05ZDBjLTNhOWQxZjBlN2MxMSIsImV4cCI6MTgwMDAwMDAwMCwian"
    "RpIjoiMGQ0ZTE2YjAtN2Q1YS00YzM2LThhNTktMmI5ZjM2YjYzMDQxIn0"
)
START_TIMEOUT_S = 30


PLAIN = {"upstream": "http://127.0.0.1:3000"}

# All that costs a decision something, but the question who the user is.
FEATURED = {
    "replicas": {"servers": [f"10.0.0.{number}:8080" for number in range(1, 17)]},
    "check": False,
    "limits": {"requests_per_10s": 400, "signin_per_minute_per_ip": 10, "max_body": "100MB"},
    "deny_ips": ["198.51.100.0/24"],
    "routes": [
        {"match": {"path": "/api/v1/scim/", "not_ip": ["10.0.0.0/8"]}, "action": "deny"},
        {
            "match": {"path": "/api/", "credential": "api_key"},
            "limits": {"requests_per_10s": 100},
        },
    ],
    "headers": {"X-Team": "{tenant}"},
    "hsts": {"max_age": "180d"},
}

# What HAProxy tells for such tenants besides host, path, address and TLS, and the replica's cookie.
FEATURED_ARGUMENTS = [
    argument("up", None),
    argument("org", None),
    argument("meth", "GET"),
    argument("ath", "Bearer eyJ"),
    argument("tok", "eyJ"),
    argument("key", 0),
    argument("utk", USER),
]


class Identified:
    """Such tenants, and who the user is: a key of an identity provider, in a file of `folder`, and
    a token that it signed."""

    def __init__(self, folder):
        key = Key("RS256")
        keys = folder / "keys.json"
        keys.write_text(key_set(key))
        payload = claims(name="Ann Example", groups=["staff", "research"], email_verified=True)
        token = key.token({**payload, "exp": int(time.time()) + 24 * 3600})
        identity = {
            "from": "jwt",
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwks": str(keys),
            "required": True,
            "set": {"X-User-Email": "{email}"},
        }
        self.tenant = {**FEATURED, "identity": identity}
        self.arguments = FEATURED_ARGUMENTS + [
            argument("strip", "/x_user_email/x_user_groups/x_user_name/x_user_role/"),
            argument("jh_authorization", token),
            argument("jhn_authorization", 1),
        ]


def write_arguments(path, arguments):
    """For the load generator: its switches."""
    path.write_bytes(b"".join(arguments))
    return {"more": path, "more_count": len(arguments)}


def wait_forwarded(socket_path, host, arguments):
    """Until the agent has read the keys: it takes nobody in before. Returns the arguments of the
    same client's next requests, which has the cookie that it was given."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        asker = Asker(socket_path)
        told = asker.ask(host, tls=True, more=arguments)
        asker.close()
        if "tenant" in told and "answer" not in told:
            cookie = [argument("rep", told["stick"])] if "stick" in told else []
            return arguments + cookie
        if time.monotonic() > deadline:
            sys.exit(f"a request of {host} is not forwarded: {told}")
        time.sleep(0.05)
