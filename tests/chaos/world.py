"""The installation that the faults are for: a CA, HAProxy, one agent or two, upstreams, tenants, and
the load; and what is true of all of it at any time."""

import contextlib
import http.client
import json
import os
import pathlib
import ssl
import struct
import subprocess
import time

from support.acme import FaultyProxy, Pebble
from support.certificates import Authority
from support.certified import CertifiedStack, read_pem
from support.clients import request
from support.clock import TESTS
from support.identity import AUDIENCE, ISSUER, Key
from support.processes import Process, accepts, sanitizer_report, wait_until
from support.stack import BINARY, REPOSITORY, SANITIZERS, USUAL_TIMEOUTS, Upstream
from support.stalls import Stalls

from load import Kept, KeptHttp1, KeptHttp2, Requests, Socket
from model import Model, Tenant

UPSTREAMS = ("alpha", "beta", "gamma")
MOVES_FROM = "alpha"
DISK_BYTES = 4 << 20
_BESIDE = TESTS / "clock_shift.so"  # of the same build, if the program is of one
SHIM = _BESIDE if _BESIDE.exists() else REPOSITORY / "build/asan/tests/clock_shift.so"
# Sanitizers keep what is freed, so that memory says nothing; descriptors do. Connections come and
# go, of which there are some at any time; of everything else there is as much as ever.
FD_SLACK = {"socket": 40, "other": 4}
OPENS_S, OPENS_WAIT_S = 0.5, 10  # one that has just begun has not opened everything yet
SETTLES_S = 20  # until agents go by what is there
LEAK_WAIT_S = 60  # for descriptors that are about to be closed
RSS_SLACK_KB = 16 << 10


def is_sanitized():
    return b"__asan_init" in BINARY.read_bytes()


class ChaosStack(CertifiedStack):
    """Agents whose clock can be set; the first of them has the certificates."""

    def use(self, proxy, disk, options):
        """`proxy`, which stands before the CA, and a folder that may get full."""
        self.shift_path = self.directory / "shift"
        self.shift_path.write_bytes(struct.pack("q", 0))
        self.disk = disk
        self.tenants_dir = disk / "tenants.d"
        self.crt_dir = disk / "certs"
        self.state_dir = disk / "state"
        for folder in (self.tenants_dir, self.crt_dir):
            folder.mkdir()
        self.config["tenants_dir"] = str(self.tenants_dir)
        self.config["haproxy"]["crt_dir"] = str(self.crt_dir)
        self.config["acme"]["state_dir"] = str(self.state_dir)
        self.config["acme"]["directory"] = proxy.directory
        self.config["haproxy"] |= USUAL_TIMEOUTS
        if options.fallback:
            self.config["haproxy"]["fallback_map"] = str(disk / "fallback.map")
        if options.decisions:
            self.config["haproxy"]["decision_map"] = str(disk / "decisions.map")
        return self

    def write_haproxy_config(self, *arguments):
        """With a line that tells which requests went on without a question."""
        path = super().write_haproxy_config(*arguments)
        if "decision_map" in self.config["haproxy"]:
            mark = "own lines, frontend after the agent answered (kept when this file is written again)\n"
            line = (
                "http-after-response set-header X-Reused 1 if { var(txn.owui.reused) -m found }\n"
            )
            text = path.read_text()
            assert mark in text
            path.write_text(text.replace(mark, f"{mark}    {line}"))
        return path

    def agent_config_path(self, index):
        path = super().agent_config_path(index)
        if index > 0:
            config = json.loads(path.read_text())
            config["acme"] = {"state_dir": str(self.directory / f"state{index + 1}")}
            path.write_text(json.dumps(config))
        return path

    def start_agent(self, index=0, user=None):
        command = [BINARY, "run", "-c", self.agent_config_path(index)]
        options = SANITIZERS["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        env = {**SANITIZERS, "ASAN_OPTIONS": options}
        if SHIM.exists():
            env.update(LD_PRELOAD=str(SHIM), CLOCK_SHIFT=str(self.shift_path))
        agent = Process(f"agent{index + 1}", command, self.directory, env)
        self.agents[index : index + 1] = [agent]
        agent.start()
        return agent.wait_for(lambda: accepts(self.sockets[index]), "listening", 60)

    def start(self, *haproxy_arguments):
        self.write_config()
        self.write_haproxy_config()
        self.start_haproxy(*haproxy_arguments)
        for index in range(len(self.sockets)):
            self.start_agent(index)
        return self

    def set_clock(self, seconds):
        with open(self.shift_path, "r+b") as file:
            file.write(struct.pack("q", seconds))


class Figures:
    """What a process had when it was settled, against what it has later."""

    def __init__(self, pid):
        self.pid = pid
        self.fds, self.rss_kb = self.look()
        wait_until(self.opens_no_more, "a process that opens no more", OPENS_WAIT_S)

    def opens_no_more(self):
        before = self.fds["other"]
        time.sleep(OPENS_S)
        self.fds, self.rss_kb = self.look()
        return self.fds["other"] == before

    def look(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        rss = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return self.descriptors(), int(rss)

    def descriptors(self):
        """How many of each kind that there is slack for."""
        counts = dict.fromkeys(FD_SLACK, 0)
        for path in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                counts["socket" if os.readlink(path).startswith("socket:") else "other"] += 1
        return counts

    def has_closed(self):
        """Whether it has no more than it had."""
        now = self.descriptors()
        return all(now[kind] <= self.fds[kind] + slack for kind, slack in FD_SLACK.items())


class World:
    def __init__(self, folder, options, can_mount):
        self.folder = folder
        self.seed = options.seed
        self.model = Model(is_patient=options.patience > 1)
        self.can_mount = can_mount
        self.fallback = options.fallback
        self.decisions = options.decisions
        self.authority = Authority(folder)
        self.upstreams = {name: Upstream(name, folder) for name in UPSTREAMS}
        (folder / "ca").mkdir()
        self.pebble = Pebble(folder / "ca", self.authority)
        self.proxy = FaultyProxy(self.pebble, folder / "ca", [])
        disk = folder / "disk"
        disk.mkdir()
        if can_mount:
            size = f"size={DISK_BYTES},mode=755"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", disk], check=True)
        self.stack = ChaosStack(
            folder / "stack", self.upstreams, self.authority, self.pebble, agents=options.agents
        ).use(self.proxy, disk, options)
        self.roots = []
        self.context = None
        self.http2_context = None
        self.token = None
        self.certified = set()
        self.workers = []
        self.stalls = Stalls()
        self.figures = {}
        self.files = {}  # of the configuration, as they have to be
        self.first = []  # by agent: what it went by at first

    # --- tenants -----------------------------------------------------------------------------

    def make_tenants(self):
        (self.folder / "keys.json").write_text(json.dumps({"keys": [Key().jwk()]}))
        jwt = {
            "from": "jwt",
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwks": str(self.folder / "keys.json"),
            "set": {"X-User-Email": "{email}"},
        }
        off = {"https": "off"}
        for tenant in (
            Tenant("secure", "a.chaos.test", "alpha"),
            Tenant("second", "b.chaos.test", "beta", hosts=["b.chaos.test", "b2.chaos.test"]),
            Tenant("plain", "g.chaos.test", "gamma", **off),
            Tenant("fleet", "one.fleet.test", "beta", hosts=["*.fleet.test"], **off),
            Tenant("mover", "m.chaos.test", MOVES_FROM, **off),
            Tenant(
                "known", "k.chaos.test", "alpha", identity=jwt, headers={"X-Team": "red"}, **off
            ),
            Tenant("away", "w.chaos.test", "beta", 402, False, suspended={}, **off),
        ):
            self.model.add(tenant)
            self.write_tenant(tenant)
        self.certified = {"secure", "second"}

    def definition(self, tenant, upstream=None):
        upstream = upstream or next(iter(tenant.upstreams))
        url = self.upstreams[upstream].url
        return {"hosts": [tenant.host], "upstream": url, **tenant.definition}

    def write_tenant(self, tenant, upstream=None):
        self.stack.write_tenants(
            {tenant.name: self.definition(tenant, upstream)}, f"{tenant.name}.json"
        )
        self.note_file(tenant)

    def note_file(self, tenant):
        path = self.stack.tenants_dir / f"{tenant.name}.json"
        self.files[path] = path.read_bytes()

    # --- life --------------------------------------------------------------------------------

    def start(self):
        for upstream in self.upstreams.values():
            upstream.start()
        self.pebble.start()
        self.proxy.start()
        self.learn_roots()
        for upstream in self.upstreams.values():
            upstream.wait()
        self.make_tenants()
        self.stack.start()
        self.files[self.stack.config_path] = self.stack.config_path.read_bytes()
        self.stack.wait_for_agents(len(self.stack.agents))
        for name in self.certified:
            wait_until(lambda name=name: self.serial(name), f"{name}'s certificate", 120)
        wait_until(self.is_well, "service", 60)
        self.first = [self.in_force(index) for index in range(len(self.stack.agents))]
        self.token = self.sign_in()
        self.workers = [Requests(self, i) for i in range(3)]
        self.workers += [Socket(self, self.model.tenants[name]) for name in ("plain", "fleet")]
        everybody = list(self.model.tenants.values())
        by_http = [tenant for tenant in everybody if tenant.name not in self.certified]
        self.workers += [Kept(self, KeptHttp1, by_http), Kept(self, KeptHttp2, everybody)]
        for thread in [*self.workers, self.stalls]:
            thread.start()

    def sign_in(self):
        body = json.dumps({"email": "user@example.com"}).encode()
        kind = [("Content-Type", "application/json")]
        host = self.model.tenants["plain"].host
        answer = request(self.stack.http_port, "/api/v1/auths/signin", host, "POST", kind, body)
        return answer.json()["token"]

    def stop_load(self):
        for worker in self.workers:
            worker.ended.set()
        for worker in self.workers:
            worker.join(30)

    def stop(self):
        self.stop_load()
        if self.stack.haproxy is not None:
            self.stack.haproxy.stop(timeout_s=5)
        for agent in self.stack.agents:
            status = agent.stop(timeout_s=30)
            report = sanitizer_report(agent.log())
            if report is not None:
                self.model.violate("sanitizer", agent=agent.name, report=report)
            elif status != 0:
                self.model.violate("end", agent=agent.name, status=status)
        self.proxy.stop()
        self.pebble.stop()
        for upstream in self.upstreams.values():
            upstream.stop()
        if self.can_mount:
            subprocess.run(["umount", "-l", self.folder / "disk"], check=False)

    # --- looking -----------------------------------------------------------------------------

    def learn_roots(self):
        """A pebble that was restarted has another root; what the one before issued is good still."""
        self.roots.append(self.pebble.manage("/roots/0"))
        self.context = ssl.create_default_context(cadata="\n".join(self.roots))
        self.http2_context = ssl.create_default_context(cadata="\n".join(self.roots))
        self.http2_context.set_alpn_protocols(["h2"])

    def trust(self):
        return self.context

    def serial(self, name):
        host = self.model.tenants[name].host
        return self.stack.serial(host, context=self.trust())

    def is_right(self, tenant):
        """Whether a request gets what it should, right now."""
        secure = tenant.name in self.certified
        where = {"tls_name": tenant.host, "tls": self.trust()} if secure else {}
        port = self.stack.https_port if secure else self.stack.http_port
        try:
            answer = request(port, "/api/echo", tenant.host, **where)
        except OSError:
            return False
        if answer is None or answer.status != tenant.status:
            return False
        return tenant.status != 200 or answer.json()["name"] in tenant.upstreams

    def is_well(self):
        """Every agent is asked again, and everybody gets what they should."""
        try:
            if self.stack.agents_up() != len(self.stack.agents):
                return False
        except OSError:
            return False
        return all(self.is_right(tenant) for tenant in self.model.tenants.values())

    def decisions_in_force(self):
        """What HAProxy's map says: whose decisions hold, and since which change."""
        path = self.stack.config["haproxy"]["decision_map"]
        words = self.stack.runtime(f"show map {path}").split()
        return words[-1] if words else None

    def certificate_names(self):
        status, text = self.stack.admin("GET", "/v1/certificates")
        assert status == 200, text
        return [one["name"] for one in json.loads(text)["certificates"]]

    def renew(self, tenant="secure"):
        """Asks for a new certificate; False when the daemon cannot be asked now."""
        try:
            name = next(name for name in self.certificate_names() if name.startswith(tenant))
            return self.stack.admin("POST", f"/v1/certificates/{name}/renew")[0] == 202
        except (OSError, AssertionError, StopIteration):
            return False

    # --- at the end --------------------------------------------------------------------------

    def settle(self):
        """What processes have once everything is warm: compared with at the end."""
        pids = {agent.name: agent.pid for agent in self.stack.agents}
        for worker in self.stack.haproxy_workers()[-1:]:
            pids["haproxy"] = int(worker)
        for name, pid in pids.items():
            known = self.figures.get(name)
            if known is None or known.pid != pid:
                self.figures[name] = Figures(pid)

    def check_leak(self, name):
        """A row of the table; None where nothing was settled, or it has ended."""
        before = self.figures.get(name)
        if before is None or not os.path.exists(f"/proc/{before.pid}/fd"):
            return None
        try:
            wait_until(before.has_closed, "descriptors", LEAK_WAIT_S)
        except TimeoutError:
            self.model.violate("leak", process=name, fds=before.look()[0], before=before.fds)
        fds, rss_kb = before.look()
        limit_kb = before.rss_kb * 1.3 + RSS_SLACK_KB
        if not is_sanitized() and rss_kb > limit_kb:
            self.model.violate("leak", process=name, rss_kb=rss_kb, before=before.rss_kb)
        return name, sum(before.fds.values()), sum(fds.values()), before.rss_kb, rss_kb

    def check_leaks(self):
        return [row for name in self.figures if (row := self.check_leak(name)) is not None]

    def check_files(self):
        for path, content in self.files.items():
            if not path.exists() or path.read_bytes() != content:
                self.model.violate("configuration", file=path.name)
        for path in set(self.stack.tenants_dir.iterdir()) - set(self.files):
            self.model.violate("configuration", left=path.name)

    def in_force(self, index):
        """What an agent goes by: the names of its tenants, and a hash of all."""
        tenants = json.loads(self.stack.admin("GET", "/v1/tenants", index)[1])["tenants"]
        status = json.loads(self.stack.admin("GET", "/v1/status", index)[1])
        return [sorted(one["name"] for one in tenants), status["hash"]]

    def check_agents(self):
        """With the tenant that moves where it was at first, each goes by what it went by at first."""
        self.write_tenant(self.model.tenants["mover"], MOVES_FROM)
        for index, agent in enumerate(self.stack.agents):
            told = []

            def is_as_ever(index=index, told=told):
                try:
                    told[:] = self.in_force(index)
                except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                    told[:] = [repr(error)]  # one answer that is none is not the end
                return told == self.first[index]

            try:
                wait_until(is_as_ever, "the configuration", SETTLES_S)
            except TimeoutError as error:
                self.model.violate("configuration", agent=agent.name, told=told, error=repr(error))

    def check_configuration(self):
        """Nothing was lost on disk, in the agents, or in HAProxy."""
        self.check_files()
        self.check_agents()
        for path in self.stack.crt_dir.glob("*.pem"):
            try:
                read_pem(path)
            except Exception as error:  # pylint: disable=broad-except
                self.model.violate("certificate file", file=path.name, error=repr(error))
        for name in self.certified:
            if self.serial(name) is None:
                self.model.violate("certificate", tenant=name, error="none is served")
