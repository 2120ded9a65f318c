"""GET /metrics: its format, what is counted held against what was done through a real HAProxy, and
that dashboard, alert rules and guide speak of metrics that there are."""

import calendar
import http.client
import json
import re
import shutil
import socket
import subprocess

import pytest

from support.certified import names_of
from support.clients import exchange, request
from support.processes import free_port, no_descriptors, wait_until
from support.stack import REPOSITORY, run_agent_command

open_metrics = pytest.importorskip("prometheus_client.openmetrics.parser")
prometheus = pytest.importorskip("prometheus_client.parser")

OPEN = "application/openmetrics-text; version=1.0.0"
RULES = REPOSITORY / "packaging/prometheus/owui-spoa.rules.yml"
RULES_TEST = REPOSITORY / "tests/prometheus/owui-spoa.rules.test.yml"
DASHBOARD = REPOSITORY / "packaging/grafana/owui-spoa.json"
GUIDE = REPOSITORY / "docs/METRICS.md"
NAME = re.compile(r"\b(?:owui_spoa|process)_[a-z_]+\b")
# What a family's name is asked for by.
SUFFIXES = re.compile(r"_(bucket|sum|count)$")

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")


def ask(stack, path="/metrics", accept=None, port=None, method="GET", host=None):
    """The answer and its text, over the admin socket or over TCP."""
    connection = http.client.HTTPConnection("127.0.0.1", port or 80, timeout=30)
    if port is None:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        connection.sock.connect(stack.config["admin_socket"])
    headers = {"Accept": accept, "Host": host}
    connection.request(method, path, headers={k: v for k, v in headers.items() if v})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


class Metrics:
    """What was told at one moment."""

    def __init__(self, stack):
        answer, text = ask(stack)
        assert answer.status == 200, text
        self.samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in prometheus.text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name, **labels):
        """A sample's value; 0 when it is not there, as rate() has it."""
        return self.samples.get((name, tuple(sorted(labels.items()))), 0)

    def of(self, name):
        """All samples of a name, by their labels."""
        return {labels: value for (other, labels), value in self.samples.items() if other == name}

    def names(self):
        return {name for name, _ in self.samples}


def start_certified(stack):
    """Its daemon can be asked when this returns."""
    stack.want(("chat", "chat.example.test"))
    stack.start()
    wait_until(lambda: " ready " in stack.agent_log(), "ready", 30)
    return stack


def tenant(upstreams, *hosts, upstream="alpha", **more):
    return {"hosts": list(hosts), "upstream": upstreams[upstream].url, "https": "off", **more}


@pytest.fixture
def two(new_stack, upstreams):
    """Two tenants, of which one is told by name."""

    def make(**metrics):
        stack = new_stack(changes={"metrics": metrics})
        stack.write_tenants(
            {"a": tenant(upstreams, "a.test"), "b": tenant(upstreams, "b.test", upstream="beta")}
        )
        return stack.start()

    return make


# --- format ---------------------------------------------------------------------------------------


def test_both_formats_hold(stack):
    request(stack.http_port, "/api/version", "chat.alpha.test")
    answer, text = ask(stack)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    plain = {family.name for family in prometheus.text_string_to_metric_families(text)}
    assert "# EOF" not in text
    answer, text = ask(stack, accept=OPEN)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    # The strict parser: one end, families whole, buckets that grow, suffixes as they must be.
    families = list(open_metrics.text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    assert {family.type for family in families} == {"counter", "gauge", "histogram", "info"}
    assert text.endswith("\n# EOF\n") and text.count("# EOF") == 1
    # The other parser takes what is an info for the gauge that it is there.
    assert {family.name for family in families} == {name.removesuffix("_info") for name in plain}


@needs_promtool
def test_promtool_is_content(stack):
    _, text = ask(stack)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_cannot_be_looked_at_is_not_told_as_none(two):
    """A daemon without descriptors that told of 0 open ones would hide why it fails."""
    stack = two()
    pid = stack.agents[0].pid
    connection = http.client.HTTPConnection("127.0.0.1", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(stack.config["admin_socket"])

    def told():
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        assert "process_max_fds" in text
        return {name for name in NAME.findall(text) if name.startswith("process_")}

    whole = told()
    with no_descriptors(pid):
        left = told()
    assert whole - left == {"process_open_fds", "process_resident_memory_bytes"}
    assert told() == whole
    connection.close()


# --- where ----------------------------------------------------------------------------------------


def test_a_loopback_address_answers_that_alone(two):
    port = free_port()
    stack = two(listen=f"127.0.0.1:{port}")
    wait_until(lambda: f"serving_metrics address=127.0.0.1:{port}" in stack.agents[0].log(), "open")
    answer, text = ask(stack, port=port, accept=OPEN)
    assert answer.status == 200 and text.endswith("# EOF\n")
    assert ask(stack, "/v1/status", port=port)[0].status == 404
    assert ask(stack, "/v1/reload", port=port, method="POST")[0].status == 405
    answer = ask(stack, "/metrics", port=port, method="POST")[0]
    assert answer.status == 405 and answer.headers["Allow"] == "GET"
    assert ask(stack, port=port, host=f"localhost:{port}")[0].status == 200
    # a name of somebody else's, which a browser was led here by
    assert ask(stack, port=port, host=f"rebound.test:{port}")[0].status == 421
    assert Metrics(stack)("owui_spoa_serving") == 1


def test_an_address_that_is_taken_is_told(two):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stack = two(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        assert "cannot_serve_metrics" in stack.agents[0].log()
        assert Metrics(stack)("owui_spoa_serving") == 1


@pytest.mark.parametrize("address", ["0.0.0.0:9478", "10.0.0.1:9478", "[::]:9478", "*:9478"])
def test_other_addresses_are_refused(tmp_path, address):
    path = tmp_path / "owui-spoa.json"
    path.write_text(json.dumps({"metrics": {"listen": address}, "tenants": {}}))
    done = run_agent_command("check", "-c", path)
    assert done.returncode == 2 and "error[E111]" in done.stdout
    assert f'"{address}" is no loopback address, and metrics are told to whoever' in done.stdout


# --- counters -------------------------------------------------------------------------------------


def test_decisions_are_those_that_were_made(two):
    stack = two()
    before = Metrics(stack)
    for _ in range(7):
        assert request(stack.http_port, "/api/version", "a.test").status == 200
    for _ in range(3):
        assert request(stack.http_port, "/api/version", "b.test").status == 200
    for _ in range(2):
        assert request(stack.http_port, "/.env", "b.test").status == 404
    for _ in range(4):
        assert request(stack.http_port, "/", "nobody.test").status == 404
    assert exchange(stack.http_port, b"GET /%00 HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 400
    after = Metrics(stack)

    def more(name, **labels):
        return after(name, **labels) - before(name, **labels)

    by_tenant = "owui_spoa_tenant_decisions_total"
    assert more("owui_spoa_decisions_total", result="forward") == 10
    assert more("owui_spoa_decisions_total", result="deny-scanner") == 2
    assert more("owui_spoa_decisions_total", result="deny-unknown-host") == 4
    assert more("owui_spoa_decisions_total", result="bad-request") == 1
    assert more("owui_spoa_bad_requests_total", reason="path-encoding") == 1
    assert more(by_tenant, tenant="a", result="forward") == 7
    assert more(by_tenant, tenant="b", result="forward") == 3
    assert more(by_tenant, tenant="b", result="deny-scanner") == 2
    assert more(by_tenant, tenant="_other", result="forward") == 0
    assert more("owui_spoa_notifies_total") == 17
    assert more("owui_spoa_received_bytes_total") > 17 * 50
    assert after("owui_spoa_connections") >= 1
    # Of each receive one is timed, and each receive has at least one.
    timed = more("owui_spoa_decision_duration_seconds_count")
    assert 1 <= timed <= 17
    assert more("owui_spoa_decision_duration_seconds_bucket", le="+Inf") == timed
    assert more("owui_spoa_decision_duration_seconds_sum") > 0


@pytest.mark.parametrize("tenants", [0, 1])
def test_tenants_beyond_the_cap_are_counted_together(two, tenants):
    stack = two(tenants=tenants)
    for host in ("a.test", "b.test", "b.test"):
        assert request(stack.http_port, "/api/version", host).status == 200
    told = Metrics(stack).of("owui_spoa_tenant_decisions_total")
    counts = {dict(labels)["tenant"]: value for labels, value in told.items()}
    assert len(counts) == 1 + tenants
    assert counts["_other"] == (3 if tenants == 0 else 2)
    assert sum(counts.values()) == 3


def test_a_new_tenant_is_told(two, upstreams):
    stack = two()
    stack.write_tenants({"c": tenant(upstreams, "c.test")}, "c.json")
    wait_until(
        lambda: ("tenant", "c")
        in [
            pair
            for labels in Metrics(stack).of("owui_spoa_tenant_decisions_total")
            for pair in labels
        ],
        "told",
        30,
    )
    assert request(stack.http_port, "/api/version", "c.test").status == 200
    assert Metrics(stack)("owui_spoa_tenant_decisions_total", tenant="c", result="forward") == 1


def test_what_is_no_spop_is_told_by_kind(two):
    stack = two()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(stack.sockets[0]))
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        sock.settimeout(30)
        while sock.recv(4096):
            pass
    wait_until(
        lambda: Metrics(stack)("owui_spoa_connections_closed_total", reason="protocol") == 1, "told"
    )
    kinds = Metrics(stack).of("owui_spoa_protocol_errors_total")
    assert sum(kinds.values()) == 1 and kinds[("kind", "too_big"),] == 1


def test_configuration_that_is_wrong_is_told(two, upstreams):
    stack = two()
    start = Metrics(stack)
    assert start("owui_spoa_configuration_rejected") == 0
    assert start("owui_spoa_tenants", state="live") == 2
    generation = start("owui_spoa_snapshot_generation")
    told = [dict(labels)["hash"] for labels in start.of("owui_spoa_configuration_info")]
    assert len(told) == 1 and len(told[0]) == 16
    stack.write_tenants({"c": {**tenant(upstreams, "c.test"), "typo": 1}}, "c.json")
    wait_until(lambda: Metrics(stack)("owui_spoa_tenants", state="broken") == 1, "broken", 30)
    assert Metrics(stack)("owui_spoa_configuration_problems_total", severity="error") >= 1

    before = Metrics(stack).of("owui_spoa_configuration_readings_total")
    stack.config_path.write_text("{")
    wait_until(lambda: Metrics(stack)("owui_spoa_configuration_rejected") == 1, "rejected", 30)
    now = Metrics(stack)
    readings = now.of("owui_spoa_configuration_readings_total")
    rejected = (("result", "rejected"),)
    assert readings.pop(rejected) > before.pop(rejected) == 0
    assert readings == before  # each counts once
    assert now("owui_spoa_tenants", state="live") == 2

    stack.config["defaults"] = {"headers": {"X-New": "1"}}
    stack.write_config()
    wait_until(lambda: Metrics(stack)("owui_spoa_configuration_rejected") == 0, "mended", 30)
    wait_until(lambda: Metrics(stack)("owui_spoa_snapshot_generation") > generation, "in force", 30)
    assert Metrics(stack)("owui_spoa_snapshot_timestamp_seconds") >= start(
        "owui_spoa_snapshot_timestamp_seconds"
    )


def test_servers_that_are_checked_are_told(new_stack, upstreams):
    stack = new_stack()
    gone = f"127.0.0.1:{free_port()}"
    servers = [upstreams["alpha"].address, gone]
    check = {"every": "200ms"}
    stack.write_tenants(
        {
            "r": {
                "hosts": ["r.test"],
                "replicas": {"servers": servers},
                "check": check,
                "https": "off",
            },
            "unchecked": tenant(upstreams, "u.test"),
        }
    )
    stack.start()

    def up():
        told = Metrics(stack).of("owui_spoa_upstream_up")
        return {(dict(labels)["tenant"], dict(labels)["server"]): v for labels, v in told.items()}

    wanted = {("r", upstreams["alpha"].url): 1, ("r", f"http://{gone}"): 0}
    wait_until(lambda: up() == wanted, "both are known", 30)


# --- certificates ---------------------------------------------------------------------------------


def test_certificates_are_told(new_certified):
    stack = start_certified(new_certified())
    certificate = stack.wait_served("chat.example.test")
    assert names_of(certificate) == {"chat.example.test"}
    wait_until(lambda: Metrics(stack)("owui_spoa_certificates", state="fine") == 1, "fine", 30)
    told = Metrics(stack)
    labels = {"certificate": "chat.pem", "tenant": "chat"}
    expiry = told("owui_spoa_certificate_expiry_timestamp_seconds", **labels)
    assert expiry == told("owui_spoa_certificates_earliest_expiry_timestamp_seconds")
    assert expiry == calendar.timegm(certificate.not_valid_after.timetuple())
    start = told("process_start_time_seconds")
    assert start < told("owui_spoa_certificate_next_action_timestamp_seconds", **labels) < expiry
    assert told("owui_spoa_certificate_failures", **labels) == 0
    assert told("owui_spoa_certificates_issued_total") == 1
    assert told("owui_spoa_swaps_total", result="done") == 1
    assert told("owui_spoa_swaps_total", result="failed") == 0
    assert told("owui_spoa_swap_duration_seconds_count") == 1
    socket_path = str(stack.runtime_socket)
    assert told("owui_spoa_haproxy_up", socket=socket_path) == 1
    assert told("owui_spoa_certificate_served", certificate="chat.pem", socket=socket_path) == 1
    answers = told.of("owui_spoa_acme_answers_total")
    assert {dict(labels)["ca"] for labels in answers} == {stack.pebble.directory}
    assert {"200", "201"} <= {dict(labels)["status"] for labels in answers}
    assert not told.of("owui_spoa_certificate_problem")
    assert sum(told.of("owui_spoa_acme_failures_total").values()) == 0
    assert list(open_metrics.text_string_to_metric_families(ask(stack, accept=OPEN)[1]))

    stack.haproxy.stop()
    wait_until(lambda: Metrics(stack)("owui_spoa_haproxy_up", socket=socket_path) == 0, "gone", 30)
    assert Metrics(stack)("owui_spoa_certificates", state="not_served") == 1


def test_a_ca_that_cannot_be_reached_is_told(new_certified):
    stack = new_certified()
    stack.config["acme"]["directory"] = f"https://127.0.0.1:{free_port()}/dir"
    start_certified(stack)
    wait_until(
        lambda: Metrics(stack)("owui_spoa_acme_failures_total", **{"class": "transient"}) >= 1,
        "a failure",
        30,
    )
    told = Metrics(stack)
    labels = {"certificate": "chat.pem", "tenant": "chat"}
    assert told("owui_spoa_certificates", state="missing") == 1
    assert told("owui_spoa_certificate_failures", **labels) >= 1
    assert told("owui_spoa_certificate_problem", **labels, **{"class": "transient"}) == 1
    assert ("status", "none") in [
        pair for labels in told.of("owui_spoa_acme_answers_total") for pair in labels
    ]
    assert not told.of("owui_spoa_certificate_expiry_timestamp_seconds")


# --- dashboard, rules, guide ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def every_name(stack):
    """Names of families that there are, with and without what happened to be told."""
    families = prometheus.text_string_to_metric_families(ask(stack)[1])
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


def asked_for(text):
    return {SUFFIXES.sub("", name) for name in NAME.findall(text)}


@pytest.fixture(scope="module")
def certified_names(every_name):
    """Those that are there only where certificates are looked after, from the guide's section."""
    section = GUIDE.read_text().split("\n## Certificates\n")[1]
    return set(re.findall(r"`(owui_spoa_[a-z_]+)`", section))


def test_the_guide_tells_every_metric(every_name, certified_names):
    told = set(re.findall(r"`((?:owui_spoa|process)_[a-z_]+)`", GUIDE.read_text()))
    assert told - certified_names == every_name


def test_the_guide_tells_every_metric_of_certificates(new_certified, certified_names, every_name):
    stack = start_certified(new_certified())
    wait_until(
        lambda: Metrics(stack)("owui_spoa_certificates_issued_total") == 1, "a certificate", 30
    )
    families = prometheus.text_string_to_metric_families(ask(stack)[1])
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert names - every_name == certified_names


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_what_is_asked_for_is_there(path, every_name, certified_names):
    text = path.read_text()
    if path.suffix == ".json":
        text = "\n".join(
            target["expr"]
            for panel in json.loads(text)["panels"]
            for target in panel.get("targets", [])
        )
    asked = asked_for(text)
    assert len(asked) > 10
    assert asked <= every_name | certified_names


def test_the_dashboard_can_be_placed():
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"]


@needs_promtool
def test_rules_hold():
    for arguments in (["check", "rules", RULES], ["test", "rules", RULES_TEST]):
        done = subprocess.run(
            ["promtool", *arguments], capture_output=True, text=True, timeout=60, cwd=REPOSITORY
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried():
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    assert alerts and alerts <= set(re.findall(r"OwuiSpoa\w+", RULES_TEST.read_text()))
