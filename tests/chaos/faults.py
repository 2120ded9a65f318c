"""What goes wrong, for how long, and when it is over."""

import json
import os
import signal
import socket
import time

from support.processes import wait_until
from support.spop import Asker

# How long until all is as it was, at most, once a fault is over (s).
BARS = {
    "agent killed": 5,
    "agent stopped": 5,
    "all agents killed": 5,
    "haproxy reloaded": 5,
    "haproxy restarted": 5,
    "haproxy killed": 5,
    "ca killed": 30,
    "ca answers 503": 30,
    "clock jumps": 20,
    "disk full": 20,
    "upstream stopped": 5,
    "upstream killed": 10,
    "garbage in files": 5,
    "admin abused": 5,
    "tenant moved": 5,
}
# How long agents or HAProxy take to start at most, where that ends a fault.
START_BAR_S = 10


class Fault:
    """begin() makes it, finish() ends it, recovered() tells when it is over."""

    name = ""
    excuses = ()
    ends_by_start = False  # of what is ours to start quickly

    def __init__(self, world, random):
        self.world = world
        self.random = random
        self.lasts_s = random.uniform(0.3, 3)

    def begin(self):
        raise NotImplementedError

    def finish(self):
        pass

    def recovered(self):
        return self.world.is_well()


class AgentFault(Fault):
    def __init__(self, world, random):
        super().__init__(world, random)
        self.index = random.randrange(len(world.stack.sockets))
        if len(world.stack.sockets) == 1:
            self.excuses = [("no-agent", "unmapped" if world.fallback else None)]

    @property
    def agent(self):
        return self.world.stack.agents[self.index]


def kill_agent(world, agent):
    """What it has kept until now would not be seen at the end, nor how it ended, if it did."""
    if not agent.is_running():
        world.model.violate("end", agent=agent.name, status=agent.child.returncode)
        return
    world.check_leak(agent.name)
    status = agent.stop(signal.SIGKILL)
    if status != -signal.SIGKILL:
        world.model.violate("end", agent=agent.name, status=status)


class AgentKilled(AgentFault):
    name = "agent killed"
    ends_by_start = True

    def begin(self):
        kill_agent(self.world, self.agent)

    def finish(self):
        self.world.stack.start_agent(self.index)


class AgentsKilled(Fault):
    """All of them: by the fallback, whoever is in its map does not notice."""

    name = "all agents killed"
    ends_by_start = True

    def __init__(self, world, random):
        super().__init__(world, random)
        self.excuses = [("no-agent", "unmapped" if world.fallback else None)]

    def begin(self):
        for agent in self.world.stack.agents:
            kill_agent(self.world, agent)

    def finish(self):
        for index in range(len(self.world.stack.agents)):
            self.world.stack.start_agent(index)


class AgentStopped(AgentFault):
    name = "agent stopped"

    def begin(self):
        self.agent.send_signal(signal.SIGSTOP)

    def finish(self):
        self.agent.send_signal(signal.SIGCONT)


class HaproxyReloaded(Fault):
    name = "haproxy reloaded"

    def begin(self):
        self.before = set(self.world.stack.haproxy_workers())
        self.world.stack.haproxy.send_signal(signal.SIGUSR2)

    def recovered(self):
        return set(self.world.stack.haproxy_workers()) - self.before and self.world.is_well()


class HaproxyRestarted(Fault):
    name = "haproxy restarted"
    ends_by_start = True
    excuses = [("cut", None)]
    number = signal.SIGTERM

    def begin(self):
        self.world.stack.haproxy.stop(self.number)

    def finish(self):
        self.world.stack.start_haproxy()


class HaproxyKilled(HaproxyRestarted):
    """Master and workers at once, as when memory has run out."""

    name = "haproxy killed"

    def begin(self):
        for pid in self.world.stack.haproxy_workers():
            os.kill(int(pid), signal.SIGKILL)
        self.world.stack.haproxy.stop(signal.SIGKILL)


class CaFault(Fault):
    """A certificate is wanted meanwhile; afterwards one has to come."""

    def __init__(self, world, random):
        super().__init__(world, random)
        self.serial = None
        self.asked = 0.0

    def want(self):
        self.serial = self.world.serial("secure")
        self.world.renew()

    def recovered(self):
        """A renewal that has failed is tried again later; here, at once."""
        if time.monotonic() - self.asked > 3:
            self.asked = time.monotonic()
            self.world.renew()
        serial = self.world.serial("secure")
        return serial is not None and serial != self.serial and self.world.is_well()


class CaKilled(CaFault):
    name = "ca killed"

    def begin(self):
        self.world.pebble.kill()
        self.want()

    def finish(self):
        self.world.pebble.restart()
        self.world.learn_roots()


class CaRefuses(CaFault):
    name = "ca answers 503"

    def set_rules(self, rules):
        proxy = self.world.proxy
        proxy.stop()
        proxy.set_rules(rules)
        proxy.start()

    def begin(self):
        self.set_rules(["http-request return status 503 hdr Retry-After 1"])
        self.want()

    def finish(self):
        self.set_rules([])


class ClockJumps(CaFault):
    """Agents alone are wrong about the time; and a renewal is possible once they are not."""

    name = "clock jumps"

    def begin(self):
        self.serial = self.world.serial("secure")
        self.world.stack.set_clock(self.random.choice([-7200, -300, 3000, 172800]))

    def finish(self):
        self.world.stack.set_clock(0)


class DiskFull(CaFault):
    name = "disk full"

    def begin(self):
        self.filler = self.world.stack.disk / "filler"
        with open(self.filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        self.want()
        mover = self.world.model.tenants["mover"]
        another = {**self.world.definition(mover), "origins": ["https://full.test"]}
        body = json.dumps(another).encode()
        status = put(self.world, mover.name, body)
        if status is not None and status < 400:
            self.world.model.violate("disk full", told=status)

    def finish(self):
        os.unlink(self.filler)


def asked_directly(path, host):
    """What this agent decides; nothing while it cannot be asked."""
    try:
        asker = Asker(path)
    except (OSError, ConnectionError):
        return {}
    try:
        return asker.ask(host)
    except (OSError, ConnectionError):
        return {}
    finally:
        asker.close()


def put(world, name, body):
    """The status of PUT /v1/tenants/NAME; None without an answer."""
    head = f"PUT /v1/tenants/{name} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    data = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(world.stack.config["admin_socket"])
            sock.sendall(data)
            return int(sock.recv(4096).split()[1])
    except (OSError, IndexError):
        return None


class UpstreamFault(Fault):
    def __init__(self, world, random):
        super().__init__(world, random)
        self.upstream = random.choice(sorted(world.upstreams))
        self.excuses = [(word, self.upstream) for word in ("no-upstream", "cut", "silence")]


class UpstreamStopped(UpstreamFault):
    name = "upstream stopped"

    def begin(self):
        self.world.upstreams[self.upstream].process.send_signal(signal.SIGSTOP)

    def finish(self):
        self.world.upstreams[self.upstream].process.send_signal(signal.SIGCONT)


class UpstreamKilled(UpstreamFault):
    name = "upstream killed"

    def begin(self):
        self.world.upstreams[self.upstream].process.stop(signal.SIGKILL)

    def finish(self):
        self.world.upstreams[self.upstream].start().wait()


class Garbage(Fault):
    """In a file of tenants, in one that was right, and in the global file; nobody notices."""

    name = "garbage in files"

    def begin(self):
        folder = self.world.stack.tenants_dir
        taken = {"thief": {"hosts": ["g.chaos.test"], "upstream": "http://127.0.0.1:9"}}
        texts = [
            self.random.randbytes(1000),
            b"",
            b'{"tenants": {"new": {"hosts": ["n.test"]',
            b"[" * 5000,
            json.dumps({"tenants": taken}).encode(),
            b'{"tenants": {"plain": {"hosts": ["x.test"], "upstream": "http://127.0.0.1:9"}}}',
        ]
        self.bad = [folder / "zz-garbage.json", folder / "mover.json", self.world.stack.config_path]
        self.kept = {path: path.read_bytes() for path in self.bad[1:]}
        self.path = self.random.choice(self.bad)
        text = self.random.choice(texts[:4] if self.path != self.bad[0] else texts)
        self.write(self.path, text)

    @staticmethod
    def write(path, content):
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(content)
        beside.rename(path)

    def finish(self):
        if self.path in self.kept:
            self.write(self.path, self.kept[self.path])
        else:
            self.path.unlink()


class AdminAbused(Fault):
    """Bytes of no meaning, connections that say nothing, and changes that must not be made."""

    name = "admin abused"

    def begin(self):
        path = self.world.stack.config["admin_socket"]
        self.open = []
        requests = [
            self.random.randbytes(3000),
            b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
            b"POST /v1/tenants/x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            b"POST /v1/tenants/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            b"DELETE /v1/tenants/..%2f..%2fetc HTTP/1.1\r\nHost: x\r\n\r\n",
        ]
        for data in [b""] * 20 + requests * 3:
            try:
                sock = socket.socket(socket.AF_UNIX)
                self.open.append(sock)
                sock.settimeout(2)
                sock.connect(path)
                sock.sendall(data)
            except OSError:
                pass
        for name, body in [
            ("thief", b'{"hosts": ["g.chaos.test"], "upstream": "http://127.0.0.1:9"}'),
            ("plain", b'{"hosts": []}'),
            ("plain", b'{"hosts": ["g.chaos.test"], "upstream": "http://169.254.169.254"}'),
            ("plain", b"{" * 50000),
        ]:
            status = put(self.world, name, body)
            if status is not None and status < 400:
                self.world.model.violate("admin", taken=body[:60], status=status)

    def finish(self):
        for sock in self.open:
            sock.close()

    def recovered(self):
        return self.world.certificate_names() and self.world.is_well()


class TenantMoved(Fault):
    """No fault: a change, by file or by command, and nobody gets the old upstream after it."""

    name = "tenant moved"

    def begin(self):
        world, tenant = self.world, self.world.model.tenants["mover"]
        if world.decisions:
            self.held = wait_until(world.decisions_in_force, "HAProxy is known", 60)
        self.target = self.random.choice(sorted(set(world.upstreams) - tenant.upstreams))
        tenant.upstreams = tenant.upstreams | {self.target}
        if self.random.random() < 0.5:
            world.write_tenant(tenant, self.target)
        else:
            body = json.dumps(world.definition(tenant, self.target)).encode()
            status = put(world, tenant.name, body)
            if status != 200:
                world.model.violate("admin", put=tenant.name, status=status)
            world.note_file(tenant)
        self.lasts_s = 0

    def is_new(self):
        """Whether every agent knows it, and HAProxy what it goes by without asking one."""
        world, tenant = self.world, self.world.model.tenants["mover"]
        port = str(world.upstreams[self.target].port)
        if world.fallback:
            path = world.stack.config["haproxy"]["fallback_map"]
            if f"/{port}/" not in world.stack.runtime(f"get map {path} {tenant.host}"):
                return False
        if world.decisions and world.decisions_in_force() in (None, self.held):
            return False
        asked = [asked_directly(path, tenant.host) for path in world.stack.sockets]
        if any(told.get("to_http") != int(port) for told in asked):
            return False
        tenant_then, tenant.upstreams = tenant.upstreams, {self.target}
        is_right = world.is_right(tenant)
        tenant.upstreams = tenant_then
        return is_right

    def recovered(self):
        if not self.is_new():
            return False
        self.world.model.tenants["mover"].upstreams = {self.target}
        return True


EVERY = [
    AgentKilled,
    AgentStopped,
    AgentsKilled,
    HaproxyReloaded,
    HaproxyRestarted,
    HaproxyKilled,
    CaKilled,
    CaRefuses,
    ClockJumps,
    DiskFull,
    UpstreamStopped,
    UpstreamKilled,
    Garbage,
    AdminAbused,
    TenantMoved,
]
# These go together with one that begins and ends meanwhile.
OUTER = [AgentKilled, AgentStopped, AgentsKilled, UpstreamStopped, CaRefuses]
INNER = [HaproxyReloaded, HaproxyRestarted, Garbage]


def wait_recovered(fault, limit_s):
    """Seconds until the fault is over, or None when it is not in time."""
    began = time.monotonic()

    def over():
        try:
            return fault.recovered()
        except (OSError, AssertionError, ValueError):
            return False

    try:
        wait_until(over, fault.name, limit_s)
    except TimeoutError:
        return None
    return time.monotonic() - began
