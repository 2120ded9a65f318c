"""What clients say about themselves, and may not: names, forms, and what becomes of them."""

# Value 6.6.6.6 unless a header wants another form.
ADDRESS = "6.6.6.6"
FORWARDING = {
    "X-Forwarded-For": ADDRESS,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": ADDRESS,
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": f"/{ADDRESS}",
    "X-Forwarded-Server": ADDRESS,
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Ssl": ADDRESS,
    "X-Forwarded-Uri": f"/{ADDRESS}",
    "X-Forwarded-Method": ADDRESS,
    "X-Real-IP": ADDRESS,
    "X-Client-IP": ADDRESS,
    "Forwarded": f"for={ADDRESS};proto=https;host={ADDRESS}",
    "True-Client-IP": ADDRESS,
    "CF-Connecting-IP": ADDRESS,
    "CF-IPCountry": ADDRESS,
    "Fastly-Client-IP": ADDRESS,
    "X-Azure-ClientIP": ADDRESS,
    "X-Cluster-Client-IP": ADDRESS,
    "X-Original-URL": f"/{ADDRESS}",
    "X-Rewrite-URL": f"/{ADDRESS}",
    "X-Scheme": "https",
    "Front-End-Https": ADDRESS,
    "X-Request-ID": f"{ADDRESS}-request",
    "traceparent": f"00-{ADDRESS}-01",
    "tracestate": f"a={ADDRESS}",
    "X-Owui-Hop": None,  # counted, not believed
}
IDENTITY = {
    "X-User-Email": f"root@{ADDRESS}",
    "X-User-Name": ADDRESS,
    "X-User-Groups": ADDRESS,
    "X-User-Role": ADDRESS,
    "X-Forwarded-User": ADDRESS,
    "X-Forwarded-Email": f"root@{ADDRESS}",
    "X-Forwarded-Groups": ADDRESS,
    "X-Forwarded-Preferred-Username": ADDRESS,
    "Remote-User": ADDRESS,
    "Remote-Email": f"root@{ADDRESS}",
    "Cf-Access-Authenticated-User-Email": f"root@{ADDRESS}",
    "X-OpenWebUI-User-Id": ADDRESS,
    "X-OpenWebUI-User-Email": f"root@{ADDRESS}",
    "X-OpenWebUI-User-Role": ADDRESS,
    "X-OpenWebUI-User-Jwt": ADDRESS,
    "X-Tenant-ID": ADDRESS,
    "X-Team": ADDRESS,
}
HEADERS = {name: value for name, value in {**FORWARDING, **IDENTITY}.items() if value is not None}

# How a header can be sent: name and value in, lines out. Forms that HTTP/2 does not have are None
# there.
FORMS = {
    "plain": lambda name, value: [(name, value)],
    "other case": lambda name, value: [(name.swapcase(), value)],
    "underscores": lambda name, value: [(name.replace("-", "_"), value)],
    "one underscore": lambda name, value: [(name[::-1].replace("-", "_", 1)[::-1], value)],
    "twice": lambda name, value: [(name, value), (name, value)],
    "three spellings": lambda name, value: [
        (name, value),
        (name.lower(), value),
        (name.replace("-", "_"), value),
    ],
    "in Connection": lambda name, value: [(name, value), ("Connection", f"keep-alive, {name}")],
}
NOT_IN_HTTP2 = {"other case", "in Connection"}

# Whole requests that try: by what is peculiar about them.
ADDRESS_SPOOFS = {
    "one line": [("X-Forwarded-For", "6.6.6.6")],
    "two lines": [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "7.7.7.7")],
    "five lines": [("X-Forwarded-For", f"6.6.6.{i}") for i in range(5)],
    "a list": [("X-Forwarded-For", "6.6.6.6, 7.7.7.7")],
    "1000 elements": [("X-Forwarded-For", ", ".join(["6.6.6.6"] * 1000))],
    "unknown": [("X-Forwarded-For", "unknown")],
    "loopback": [("X-Forwarded-For", "127.0.0.1")],
    "mapped loopback": [("X-Forwarded-For", "::ffff:127.0.0.1")],
    "zone": [("X-Forwarded-For", "fe80::1%eth0")],
    "port": [("X-Forwarded-For", "6.6.6.6:1234")],
    "empty elements": [("X-Forwarded-For", ",, ,6.6.6.6,")],
    "empty": [("X-Forwarded-For", "")],
    "tabs": [("X-Forwarded-For", "\t6.6.6.6\t,\t7.7.7.7\t")],
    "other case": [("x-FORWARDED-for", "6.6.6.6")],
    "underscores": [("X_Forwarded_For", "6.6.6.6"), ("X_Real_IP", "6.6.6.6")],
    "real ip": [("X-Real-IP", "6.6.6.6"), ("X-Real-Ip", "7.7.7.7")],
    "client ip": [("X-Client-IP", "6.6.6.6"), ("X-CLIENT-IP", "7.7.7.7")],
    "cdn": [("CF-Connecting-IP", "6.6.6.6"), ("True-Client-IP", "6.6.6.6")],
    "other cdns": [
        ("Fastly-Client-IP", "6.6.6.6"),
        ("X-Azure-ClientIP", "6.6.6.6"),
        ("X-Cluster-Client-IP", "6.6.6.6"),
    ],
    "rfc 7239": [("Forwarded", 'for="6.6.6.6";proto=https;host=evil.test')],
}

PROTO_SPOOFS = {
    "https": [("X-Forwarded-Proto", "https")],
    "upper case": [("X-Forwarded-Proto", "HTTPS")],
    "two lines": [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "https")],
    "list": [("X-Forwarded-Proto", "https,http")],
    "wss": [("X-Forwarded-Proto", "wss")],
    "scheme": [("X-Scheme", "https"), ("X-Forwarded-Scheme", "https")],
    "ssl": [("X-Forwarded-Ssl", "on"), ("Front-End-Https", "on")],
    "port": [("X-Forwarded-Port", "443")],
    "host": [("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Server", "evil.test")],
    "prefix": [("X-Forwarded-Prefix", "/evil"), ("X-Forwarded-Uri", "/evil")],
    "rewrite": [("X-Original-URL", "/evil"), ("X-Rewrite-URL", "/evil")],
}

IDENTITY_SPOOFS = {
    "plain": [("X-User-Email", "root@evil.test")],
    "other case": [("x-user-EMAIL", "root@evil.test")],
    "duplicated": [("X-User-Email", "root@evil.test"), ("X-User-Email", "root@evil.test")],
    "underscores": [("X_User_Email", "root@evil.test"), ("X-User_Email", "root@evil.test")],
    "percent-encoded": [("X-User-Email", "root%40evil.test")],
    "role": [("X-User-Email", "root@evil.test"), ("X-User-Role", "admin")],
    "groups and name": [("X-User-Groups", "admins"), ("X-User-Name", "root")],
    "open webui": [("X-OpenWebUI-User-Email", "root@evil.test"), ("X-OpenWebUI-User-Jwt", "x")],
    "tenant": [("X-Tenant-ID", "root")],
    "tenant's own": [("X-Team", "root"), ("X-Label", "root"), ("X-Seen-By", "root")],
}
