"""The tenants of the common stack: every kind of host, path and upstream that there is."""

# What HAProxy has certificates for.
CERTIFICATES = [
    ("chat.alpha.test", "ai.alpha.test"),
    ("chat.beta.test",),
    ("chat.gamma.test",),
    ("*.fleet.test",),
    ("apps.test", "six.test", "named.test"),
]

TRUSTED_PROXY = "127.0.7.1"  # a load balancer: X-Forwarded-For
TRUSTED_PROXY_2 = "127.0.7.2"  # another one in the same group
TRUSTED_CDN = "127.0.8.1"  # tells the client in CF-Connecting-IP
TRUSTED_RFC7239 = "127.0.9.1"  # speaks Forwarded


def settings():
    return {
        "trusted_proxies": [
            {"name": "lb", "cidrs": ["127.0.7.0/24"], "client_ip_header": "X-Forwarded-For"},
            {"name": "cdn", "cidrs": ["127.0.8.0/24"], "client_ip_header": "CF-Connecting-IP"},
            {"name": "edge", "cidrs": ["127.0.9.0/24"], "client_ip_header": "Forwarded"},
        ],
        "strip_headers": ["X-User-Email", "X-User-Role", "X-User-Groups", "X-User-Name"],
    }


def haproxy_settings(upstreams):
    servers = [upstreams[name].address for name in ("alpha", "beta")]
    return {"backends": {"replicas": {"servers": servers, "check": "/ready"}}}


def tenants(upstreams):
    def url(name):
        return upstreams[name].url

    plain = {"https": "off"}
    return {
        "alpha": {
            "hosts": ["chat.alpha.test", "ai.alpha.test"],
            "upstream": url("alpha"),
            "headers": {"X-Team": "red", "X-Seen-By": "{tenant} for {client_ip}"},
            **plain,
        },
        "beta": {"hosts": ["chat.beta.test"], "upstream": url("beta")},
        # its upstream checks the origin itself
        "gamma": {
            "hosts": ["chat.gamma.test"],
            "upstream": url("gamma"),
            "origin_check": "off",
            **plain,
        },
        "fleet": {
            "hosts": ["*.fleet.test"],
            "label": "^[a-z][a-z0-9]{0,15}$",
            "upstream": url("beta"),
            "headers": {"X-Label": "{label}"},
            **plain,
        },
        "vip": {"hosts": ["vip.fleet.test"], "upstream": url("gamma"), **plain},
        "names": {
            "hosts": ["*.names.test"],
            "label": "localhost|nowhere",
            "upstream": f"http://{{1}}:{upstreams['alpha'].port}",
            **plain,
        },
        "llm": {
            "paths": [
                {"host": "apps.test", "prefix": "/llm/", "mode": "strip", "only": ["/api/"]},
                {"host": "apps.test", "prefix": "/llm/deep/er", "mode": "strip"},
            ],
            "upstream": url("alpha"),
            **plain,
        },
        "owui": {
            "hosts": ["owui.apps.test"],
            "paths": [{"host": "apps.test", "prefix": "/owui/", "mode": "redirect"}],
            "upstream": url("beta"),
            **plain,
        },
        "kept": {
            "paths": [{"host": "apps.test", "prefix": "/kept/", "mode": "keep"}],
            "upstream": url("gamma"),
            **plain,
        },
        "six": {"hosts": ["six.test"], "upstream": url("six"), **plain},
        "secure": {
            "hosts": ["secure.test"],
            "upstream": url("secure"),
            "upstream_tls": {"server_name": "secure.internal"},
            **plain,
        },
        "wrong": {
            "hosts": ["wrong.test"],
            "upstream": url("secure"),
            "upstream_tls": {"server_name": "other.internal"},
            **plain,
        },
        "careless": {
            "hosts": ["careless.test"],
            "upstream": url("secure"),
            "upstream_tls": {"verify": False},
            **plain,
        },
        "named": {"hosts": ["named.test"], "backend": "replicas", **plain},
    }
