"""What each request must get: who may answer, what must not arrive, and which failures a fault
excuses while it lasts."""

import threading
import time

SPOOFED = "6.6.6.6"
SPOOFS = [
    ("X-Forwarded-For", SPOOFED),
    ("X-Real-IP", SPOOFED),
    ("Forwarded", f"for={SPOOFED}"),
    ("X-Forwarded-Host", SPOOFED),
    ("X-User-Email", f"root@{SPOOFED}"),
    ("X-OpenWebUI-User-Email", f"root@{SPOOFED}"),
    ("X-Tenant-ID", SPOOFED),
    ("X-Team", SPOOFED),
    ("X-Request-ID", SPOOFED),
]


class Window:
    """A fault's time, from before it is made until service is as ever; and what it excuses, as
    (outcome, whose): an upstream's, "unmapped" for those that are nothing without an agent, or None
    for everybody."""

    def __init__(self, fault, excuses):
        self.fault = fault
        self.excuses = excuses
        self.begin = time.monotonic()
        self.end = None
        self.excused = 0

    def covers(self, asked, answered):
        return self.begin <= answered and (self.end is None or asked <= self.end)


class Tenant:
    """A tenant as the model has it. `upstreams` are those that may answer: two while it moves."""

    def __init__(self, name, host, upstream, status=200, in_map=True, **definition):
        self.name = name
        self.host = host
        self.upstreams = {upstream}
        self.status = status
        self.in_map = in_map  # is served without an agent, where there is a fallback
        self.definition = definition


class Model:
    """`is_patient`: on a machine that is too busy to answer in time, HAProxy may take an agent for
    dead that is not."""

    def __init__(self, is_patient=False):
        self.always = [("no-agent", "unmapped")] if is_patient else []
        self.tenants = {}
        self.windows = []
        self.violations = []
        self.requests = 0
        self.lock = threading.Lock()

    def add(self, tenant):
        self.tenants[tenant.name] = tenant

    def violate(self, what, **about):
        with self.lock:
            told = ", ".join(f"{name} {value}" for name, value in about.items())
            self.violations.append(f"{time.strftime('%H:%M:%S')} {what}: {told}")

    # --- faults ------------------------------------------------------------------------------

    def open(self, fault, excuses=()):
        window = Window(fault, tuple(excuses))
        with self.lock:
            self.windows.append(window)
        return window

    def _excuse(self, asked, answered, outcome, tenant, upstreams):
        whose = {None} | upstreams | (set() if tenant.in_map else {"unmapped"})
        if any(excused == outcome and subject in whose for excused, subject in self.always):
            return True
        for window in self.windows:
            if window.covers(asked, answered) and any(
                excused == outcome and subject in whose for excused, subject in window.excuses
            ):
                window.excused += 1
                return True
        return False

    # --- requests ----------------------------------------------------------------------------

    def judge(self, tenant, asked, outcome, about="", upstreams=frozenset()):
        """Another outcome than "ok", of a request that was made at `asked`, when `upstreams` might
        have answered it, and is over now."""
        answered = time.monotonic()
        with self.lock:
            self.requests += 1
            excused = outcome == "ok" or self._excuse(
                asked, answered, outcome, tenant, tenant.upstreams | upstreams
            )
        if not excused:
            took = round((answered - asked) * 1000)
            self.violate("failed", tenant=tenant.name, outcome=outcome, ms=took, about=about)

    def check_arrival(self, tenant, allowed, name, headers):
        """What reached an upstream: whose it is, and that nothing was believed. `allowed`: who might
        answer when it was asked, or may now."""
        if name not in allowed | tenant.upstreams:
            self.violate("wrong tenant", tenant=tenant.name, answered=name, allowed=allowed)
        told = [value for key, value in headers if key.lower() == "x-tenant-id"]
        if told != [tenant.name]:
            self.violate("wrong tenant told", tenant=tenant.name, told=told)
        for key, value in headers:
            if SPOOFED in value:
                self.violate("unverified header", tenant=tenant.name, header=f"{key}: {value}")
