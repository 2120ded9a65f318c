"""What certificates cost as they become many: the part of tests/scale that has a HAProxy and a CA.

For each number an agent and a HAProxy start with as many valid certificates on disk, one tenant
each; then everything ends, the same names get certificates that are due for renewal, and both start
again, with a pebble that validates without sleeping.

    restart    from the start of the agent until it has compared the last certificate with what the
               running HAProxy serves, and the CPU time that took; HAProxy has run all the while
    idle       CPU time of the agent while nothing is due: it compares some with HAProxy at each
               look, and looks for those that end
    swap       new ones for names that HAProxy has: first command to last answer, as the agent tells
    seen       the same from the agent's being told to a client's handshake that shows the new one
    due        all are due at once: how many were renewed in a second of the window, and CPU time
               of the agent for each: its order, its challenge, its files and its swap
"""
import json
import ssl
import statistics
import sys
import time
import types

from support.acme import CHALLTESTSRV, PEBBLE, Pebble
from support.certificates import Authority
from support.certified import CertifiedStack
from support.processes import free_port, wait_until
from support.terminal import progress

LONG_DAYS = 90
DUE_DAYS = 0.2  # left, of 1.2
TEN_YEARS_S = 10 * 365 * 24 * 3600
SWAP_LIMIT_MS = 15
FLAT = 1.5  # a swap among the most, by one among 1,000
LEAST_DUE = 100  # fewer are renewed before there is something to measure
START_TIMEOUT_S = 900
UPSTREAMS = {"alpha": types.SimpleNamespace(url="http://127.0.0.1:3000")}


def process_cpu_s(pid):
    """CPU time of all threads of another process, ended ones included (clock_getcpuclockid())."""
    return time.clock_gettime((~pid << 3) | 2)


def name_of(number):
    return f"t{number:06}"


def host_of(number):
    return f"{name_of(number)}.example.test"


def as_the_agent_writes(pem):
    """The key first."""
    at = pem.index("-----BEGIN PRIVATE KEY")
    return pem[at:] + pem[:at]


class Installation:
    """An agent and a HAProxy with so many certificates, and a CA where there is a pebble."""

    def __init__(self, folder, count, is_due_possible):
        self.folder, self.count = folder, count
        folder.mkdir()
        self.authority = Authority(folder)
        self.pebble = None
        ca = types.SimpleNamespace(
            challenge_port=free_port(), directory="none", ca_file=self.authority.path
        )
        if is_due_possible:
            env = {"PEBBLE_WFE_NONCEREJECT": "0"}
            self.pebble = ca = Pebble(folder, self.authority, validity_s=TEN_YEARS_S, env=env)
        (folder / "stack").mkdir()
        self.stack = CertifiedStack(folder / "stack", UPSTREAMS, self.authority, ca)
        self.context = ssl.create_default_context(cafile=str(self.authority.path))
        self.stack.write_tenants(
            {
                name_of(number): {"hosts": [host_of(number)], "upstream": UPSTREAMS["alpha"].url}
                for number in range(count)
            }
        )
        self.stack.write_config()

    def put(self, number, days):
        """A certificate in its place on disk, as a whole."""
        beside = self.folder / "new.pem"
        self.authority.issue([host_of(number)], beside, days=days).chmod(0o600)
        beside.write_text(as_the_agent_writes(beside.read_text()))
        beside.rename(self.stack.crt_dir / f"{name_of(number)}.pem")

    def put_all(self, days, what):
        for number in range(self.count):
            if number % 500 == 0:
                progress(f"{self.count} certificates: making {what}, {number}")
            self.put(number, days)

    def is_compared(self, number):
        """Whether the agent has seen that HAProxy serves what is on disk; it goes by name."""
        try:
            status, text = self.stack.admin("GET", f"/v1/certificates/{name_of(number)}")
        except OSError:
            return False  # has just started
        return status == 200 and json.loads(text)["haproxys"][0]["served"]

    def start_haproxy(self):
        began = time.monotonic()
        if not (self.stack.haproxy_dir / "haproxy.cfg").exists():
            self.stack.write_haproxy_config()
        self.stack.start_haproxy(timeout_s=START_TIMEOUT_S)
        return time.monotonic() - began

    def start_agent(self):
        """Seconds until the last one has been compared, and the agent's CPU seconds for it."""
        began = time.monotonic()
        self.stack.start_agent()
        while not self.is_compared(self.count - 1):
            took = time.monotonic() - began
            if took > START_TIMEOUT_S:
                sys.exit(
                    f"not all were compared after {took:.0f} s:\n{self.stack.agent_log()[-4000:]}"
                )
            time.sleep(0.01 + took / 50)  # asking costs the agent, too
        return time.monotonic() - began, process_cpu_s(self.stack.agents[0].pid)

    def stop(self):
        self.stack.stop()
        if self.pebble is not None:
            self.pebble.stop()

    def issued(self):
        _, text = self.stack.admin("GET", "/metrics")
        words = "owui_spoa_certificates_issued_total "
        return int(text[text.index("\n" + words) + 1 + len(words) :].split("\n", 1)[0])


def measure_restarts(installation, options):
    found = {"haproxy_start_s": installation.start_haproxy()}
    installation.start_agent()
    restarts = []
    for number in range(options.restarts):
        progress(f"{installation.count} certificates: restart {number + 1} of {options.restarts}")
        installation.stack.agents[0].stop()
        restarts.append(installation.start_agent())
    found["restart_s"], found["restart_cpu_s"] = map(statistics.median, zip(*restarts))
    listed = json.loads(installation.stack.certs("--json"))["certificates"]
    served = sum(one["haproxys"][0]["served"] for one in listed)
    assert len(listed) == served == installation.count, f"{served} of {len(listed)} are served"
    return found


def measure_idle(installation, options):
    """CPU seconds in an hour."""
    progress(f"{installation.count} certificates: idle for {options.idle_seconds:.0f} s")
    pid = installation.stack.agents[0].pid
    cpu_s, began = process_cpu_s(pid), time.monotonic()
    time.sleep(options.idle_seconds)
    return (process_cpu_s(pid) - cpu_s) / (time.monotonic() - began) * 3600


def swap(installation, number):
    """Milliseconds of one swap, as the agent tells, and until a client saw it."""
    stack, host = installation.stack, host_of(number)
    installation.put(number, LONG_DAYS + 1)
    serial = stack.serial_on_disk(f"{name_of(number)}.pem")
    began = time.monotonic()
    stack.act(name_of(number), "deploy")
    wait_until(lambda: stack.serial(host, context=installation.context) == serial, host, 60)
    seen_ms = (time.monotonic() - began) * 1000
    _, text = stack.admin("GET", f"/v1/certificates/{name_of(number)}")
    return json.loads(text)["haproxys"][0]["took_us"] / 1000, seen_ms


def measure_swaps(installation, options):
    progress(f"{installation.count} certificates: swaps")
    step = max(installation.count // options.swaps, 1)
    took = [swap(installation, each * step % installation.count) for each in range(options.swaps)]
    swaps, seen = zip(*took)
    return {
        "swap_ms": statistics.median(swaps),
        "swap_max_ms": max(swaps),
        "seen_ms": statistics.median(seen),
    }


def measure_due(installation, options):
    """Both start with certificates that are all due; the window begins when they are compared."""
    stack = installation.stack
    stack.agents[0].stop()
    stack.haproxy.stop()
    installation.put_all(DUE_DAYS, "those that are due")
    installation.pebble.start()
    installation.start_haproxy()
    installation.start_agent()
    progress(f"{installation.count} certificates: all are due")
    pid = stack.agents[0].pid
    before = installation.issued()
    ordered, cpu_s, began = installation.pebble.orders(), process_cpu_s(pid), time.monotonic()
    left = installation.count - before
    # The agent is not asked meanwhile: to tell of all certificates costs more than to renew some.
    while installation.pebble.orders() - ordered < left and (
        time.monotonic() < began + options.due_seconds
    ):
        time.sleep(options.due_seconds / 20)
    cpu_end_s, ended = process_cpu_s(pid), time.monotonic()
    issued = installation.issued()
    found = {"due_issued": issued - before, "due_before": before}
    if issued > before:
        found["due_per_s"] = (issued - before) / (ended - began)
        found["due_cpu_ms"] = (cpu_end_s - cpu_s) / (issued - before) * 1000
        found["due_cpu_share"] = (cpu_end_s - cpu_s) / (ended - began)
    return found


def measure_one(folder, count, options):
    is_due_possible = PEBBLE is not None and CHALLTESTSRV is not None and count >= LEAST_DUE
    installation = Installation(folder, count, is_due_possible)
    try:
        installation.put_all(LONG_DAYS, "valid ones")
        found = measure_restarts(installation, options)
        found["idle_cpu_s_per_hour"] = measure_idle(installation, options)
        found |= measure_swaps(installation, options)
        if is_due_possible:
            found |= measure_due(installation, options)
        return found
    finally:
        installation.stop()
        progress("")


def measure(folder, options):
    return {
        count: measure_one(folder / f"certificates{count}", count, options)
        for count in options.certificates
    }


def print_table(found):
    if PEBBLE is None or CHALLTESTSRV is None:
        print("left out: those that are due (needs pebble)")
    head = ["certificates", "restart s", "CPU s", "idle s/h", "swap ms", "(most)", "seen ms"]
    head += ["due /s", "CPU ms"]
    print("  ".join(word.rjust(9) for word in head))
    for count, row in found.items():
        words = [f"{count:,}".rjust(12), f"{row['restart_s']:.2f}", f"{row['restart_cpu_s']:.2f}"]
        words += [f"{row['idle_cpu_s_per_hour']:.1f}", f"{row['swap_ms']:.2f}"]
        words += [f"{row['swap_max_ms']:.1f}", f"{row['seen_ms']:.1f}"]
        for name in ("due_per_s", "due_cpu_ms"):
            words.append(f"{row[name]:.1f}" if name in row else "-")
        print("  ".join(word.rjust(9) for word in words))


def goals(found):
    """What, how much was found, and the most that is allowed."""
    for count, row in found.items():
        yield f"a swap with {count:,} certificates loaded, ms", row["swap_ms"], SWAP_LIMIT_MS
    few = [count for count in found if count <= 1000]
    if few and max(found) > 1000:
        ratio = found[max(found)]["swap_ms"] / found[max(few)]["swap_ms"]
        yield f"a swap, {max(found):,} certificates by {max(few):,}", ratio, FLAT
