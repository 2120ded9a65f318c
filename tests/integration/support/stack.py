"""The whole installation in a temporary folder: upstreams, agent, and HAProxy with the very
configuration that `owui-spoa haproxy-config` writes for it."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from . import processes
from .certificates import Authority
from .processes import Process, accepts, free_port, wait_until

HERE = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent
HAPROXY = os.environ.get("OWUI_HAPROXY") or shutil.which(
    "haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
)


def _haproxy_version():
    """(2, 6) and so on; () without HAProxy."""
    if HAPROXY is None:
        return ()
    told = subprocess.run([HAPROXY, "-v"], capture_output=True, text=True, timeout=10).stdout
    major, minor = re.search(r"version (\d+)\.(\d+)", told).groups()
    return int(major), int(minor)


HAPROXY_VERSION = _haproxy_version()
BINARY = pathlib.Path(
    os.environ.get("OWUI_SPOA_BINARY", REPOSITORY / "build/asan/src/app/owui-spoa")
)
# How long HAProxy waits for an answer unless told otherwise, for tests of just that; and for all
# others, which are about what the answer is, on a machine that may be busy with something else.
USUAL_TIMEOUTS = {"timeouts": {"agent": "400ms"}}
PATIENT_TIMEOUTS = {"timeouts": {"agent": "4s"}}
# Sanitizers look for leaks when it ends, for which a busy machine takes its time.
AGENT_PATIENCE_S = 30.0
# More than the default has threads meet that share nothing otherwise.
LOOPS = int(os.environ.get("OWUI_LOOPS", "1"))
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def program_for(user, folder):
    """The program, for another user in `folder`: the build may be where nobody else can look."""
    return BINARY if user is None else shutil.copy(BINARY, folder)


def run_agent_command(*arguments, user=None, **options):
    """Runs a subcommand of the program to its end; the sanitizers have to be content."""
    with contextlib.ExitStack() as kept:
        folder = None
        if user is not None:
            folder = kept.enter_context(tempfile.TemporaryDirectory())
            os.chmod(folder, 0o755)
        done = subprocess.run(
            [str(program_for(user, folder)), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **SANITIZERS},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            **options,
        )
    report = processes.sanitizer_report(done.stderr)
    assert report is None, report
    return done


def host_settings(folder):
    """A global file's for commands that write a host's files, all of them below `folder`."""
    haproxy = folder / "haproxy"
    return {
        "listen": [f"unix:{folder}/agent.sock"],
        "admin_socket": f"{folder}/admin.sock",
        "haproxy": {
            "http": ["127.0.0.1:8080"],
            "https": ["127.0.0.1:8443"],
            "crt_dir": f"{haproxy}/certs",
            "runtime": [f"{haproxy}/admin.sock"],
            "spoe_file": f"{haproxy}/owui.spoe.cfg",
            "chroot": None,
            "user": None,
            "group": None,
        },
        "acme": {"state_dir": f"{folder}/state"},
    }


def assert_ended_well(agent):
    """When asked to, or killed: not by itself."""
    log = agent.log()[-4000:]
    assert not agent.was_hanging, f"{agent.name} did not end when asked to:\n{log}"
    status = agent.child.poll()
    assert status in (0, -signal.SIGKILL), f"{agent.name}: {status}\n{log}"


class Inheriting(Process):
    """A process that gets a listening socket as systemd gives it."""

    def __init__(self, stack, listener, binary=BINARY):
        # LISTEN_PID has to be the agent's, so a shell sets it and becomes the agent.
        script = (
            f"exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=owui-spoa "
            f"exec {binary} run -c {stack.config_path}"
        )
        super().__init__("agent1", ["/bin/bash", "-c", script], stack.directory, SANITIZERS)
        self.pass_fds = (listener.fileno(),)


class Upstream:
    """One Open WebUI process. `parser` is what uvicorn reads requests with: httptools in Open WebUI's
    own images, h11 where that is missing."""

    def __init__(
        self,
        name,
        log_dir,
        host="127.0.0.1",
        certificate=None,
        env=None,
        believes="*",
        port=None,
        parser="httptools",
        idle_s=None,
    ):
        self.name = name
        self.host = host
        self.port = port or free_port(host)
        self.scheme = "https" if certificate else "http"
        command = [sys.executable, "-m", "uvicorn", "upstream:app"]
        command += ["--app-dir", HERE, "--host", host, "--port", self.port]
        command += ["--forwarded-allow-ips", believes, "--log-level", "warning"]
        command += ["--http", parser]
        if idle_s:
            command += ["--timeout-keep-alive", idle_s]
        if certificate:
            command += ["--ssl-certfile", certificate, "--ssl-keyfile", certificate]
        env = {"WEBUI_NAME": name, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        self.process = Process(f"upstream-{name}", command, log_dir, env)

    def start(self):
        self.process.start()
        return self

    def wait(self):
        self.process.wait_for(lambda: accepts((self.host, self.port)), "listening", 120)
        return self

    def stop(self):
        # uvicorn waits for open WebSockets when asked politely.
        self.process.stop(signal.SIGKILL)

    @property
    def address(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self):
        return f"{self.scheme}://{self.address}"


class Stack:
    """What an admin has: a configuration, tenants, an agent and a HAProxy.

    `upstreams` may be shared between stacks. `changes` are laid over the configuration, key by key
    of the top level; `haproxy_changes` over its "haproxy" object.
    """

    def __init__(
        self, directory, upstreams, authority=None, changes=None, haproxy_changes=None, agents=1
    ):
        self.directory = pathlib.Path(directory)
        self.upstreams = upstreams
        self.tenants_dir = self.directory / "tenants.d"
        self.haproxy_dir = self.directory / "haproxy"
        self.crt_dir = self.haproxy_dir / "certs"
        for folder in (self.tenants_dir, self.crt_dir):
            folder.mkdir(parents=True)
        self.authority = authority or Authority(self.directory)
        self.http_port = free_port()
        self.https_port = free_port()
        self.challenge_port = free_port()
        self.pages_port = free_port()
        self.runtime_socket = self.haproxy_dir / "admin.sock"
        self.sockets = [self.directory / f"agent{i + 1}.sock" for i in range(agents)]
        self.config = {
            "listen": [f"unix:{self.sockets[0]}"],
            "admin_socket": str(self.directory / "admin.sock"),
            "pages_listen": f"127.0.0.1:{self.pages_port}",
            "loops": LOOPS,
            "tenants_dir": str(self.tenants_dir),
            "upstream_allow": ["127.0.0.0/8", "::1/128"],
            "haproxy": {
                "http": [f"127.0.0.1:{self.http_port}"],
                "https": [f"127.0.0.1:{self.https_port}"],
                "crt_dir": str(self.crt_dir),
                "runtime": [str(self.runtime_socket)],
                "agents": [f"unix:{path}" for path in self.sockets],
                "spoe_file": str(self.haproxy_dir / "owui.spoe.cfg"),
                "upstream_ca_file": str(self.authority.path),
                "user": None,
                "group": None,
                "chroot": None,
                **PATIENT_TIMEOUTS,
                **(haproxy_changes or {}),
            },
            "acme": {
                "challenge_listen": f"127.0.0.1:{self.challenge_port}",
                "state_dir": str(self.directory / "state"),
            },
            **(changes or {}),
        }
        self.config_path = self.directory / "owui-spoa.json"
        self.agents = []
        self.agent_changes = {}  # by index: over the configuration that they share
        self.agent_env = {}
        self.agent_wrapper = []  # what starts an agent
        self.haproxy = None

    # --- configuration -----------------------------------------------------------------------

    def write_config(self):
        self.config_path.write_text(json.dumps(self.config, indent=2))

    def write_tenants(self, tenants, file="tenants.json"):
        """Puts a tenants file in place as an editor does: beside, then renamed."""
        path = self.tenants_dir / file
        beside = self.tenants_dir / f".{file}.new"
        beside.write_text(json.dumps({"tenants": tenants}, indent=2))
        beside.rename(path)

    def copy_tenants(self, index):
        """Gives an agent a copy of the tenants' files instead of the files; before start()."""
        folder = self.directory / f"tenants{index + 1}.d"
        shutil.copytree(self.tenants_dir, folder)
        state = self.directory / f"state{index + 1}"
        acme = {**self.config["acme"], "state_dir": str(state)}
        self.agent_changes[index] = {"tenants_dir": str(folder), "acme": acme}

    def issue(self, *names):
        """A certificate for HAProxy; to be called before it starts."""
        self.authority.issue(list(names), self.crt_dir / f"{names[0].replace('*', '_')}.pem")

    def write_haproxy_config(self, *arguments):
        done = run_agent_command(
            "haproxy-config", "-c", self.config_path, "--out", self.haproxy_dir, *arguments
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return self.haproxy_dir / "haproxy.cfg"

    def add_own_line(self, place, line):
        """What an admin adds to haproxy.cfg, where it is kept; before start()."""
        self.write_config()
        path = self.write_haproxy_config()
        mark = f"# own lines, {place} (kept when this file is written again)\n"
        text = path.read_text()
        assert mark in text
        path.write_text(text.replace(mark, f"{mark}    {line}\n"))
        return path

    # --- processes ---------------------------------------------------------------------------

    def admin_socket(self, index):
        return (
            str(self.directory / f"admin{index + 1}.sock") if index else self.config["admin_socket"]
        )

    def agent_config_path(self, index):
        """The agents share one configuration but for the sockets they listen on, and for what
        `agent_changes` says."""
        if index == 0:
            return self.config_path
        path = self.directory / f"owui-spoa.{index + 1}.json"
        config = {
            **self.config,
            "listen": [f"unix:{self.sockets[index]}"],
            "admin_socket": self.admin_socket(index),
            **self.agent_changes.get(index, {}),
        }
        path.write_text(json.dumps(config, indent=2))
        return path

    def start_agent(self, index=0, user=None):
        program = program_for(user, self.directory)
        command = [*self.agent_wrapper, program, "run", "-c", self.agent_config_path(index)]
        env = {**SANITIZERS, **self.agent_env}
        agent = Process(f"agent{index + 1}", command, self.directory, env)
        agent.user = user
        agent.patience_s = AGENT_PATIENCE_S
        if index < len(self.agents):
            assert_ended_well(self.agents[index])
            self.agents[index] = agent
        else:
            self.agents.append(agent)
        agent.start()
        return agent.wait_for(lambda: accepts(self.sockets[index]), "listening", 120)

    def start_haproxy(self, *arguments):
        command = [HAPROXY, "-W", "-f", self.haproxy_dir / "haproxy.cfg", *arguments]
        self.haproxy = Process("haproxy", command, self.directory).start()
        port = self.http_port if self.config["haproxy"]["http"] else self.https_port
        self.haproxy.wait_for(
            lambda: accepts(("127.0.0.1", port)) and accepts(self.runtime_socket), "listening"
        )
        self.wait_for_agents(len(self.sockets))

    def start(self, *haproxy_arguments):
        self.write_config()
        self.write_haproxy_config()
        for index in range(len(self.sockets)):
            self.start_agent(index)
        self.start_haproxy(*haproxy_arguments)
        return self

    def stop(self):
        """Ends everything; what the sanitizers said is an error."""
        if self.haproxy is not None:
            self.haproxy.stop(signal.SIGTERM, 5)
        for agent in self.agents:
            agent.stop()
        for agent in self.agents:
            report = processes.sanitizer_report(agent.log())
            assert report is None, report
            assert_ended_well(agent)

    def logs(self):
        for program in [self.haproxy, *self.agents]:
            if program is not None:
                yield program.name, program.log()

    # --- looking in --------------------------------------------------------------------------

    def runtime(self, command):
        """One Runtime API command; its answer."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.runtime_socket))
            sock.sendall(command.encode() + b"\n")
            answer = b""
            while chunk := sock.recv(65536):
                answer += chunk
        return answer.decode()

    def agents_up(self):
        rows = [line.split(",") for line in self.runtime("show stat").splitlines()]
        return sum(
            row[0] == "owui_agents" and row[1].startswith("agent") and row[17].startswith("UP")
            for row in rows
            if len(row) > 17
        )

    def wait_for_agents(self, count):
        wait_until(lambda: self.agents_up() == count, f"{count} agents up in HAProxy")

    def haproxy_workers(self):
        """The process ids of HAProxy's workers, old ones included."""
        path = f"/proc/{self.haproxy.pid}/task/{self.haproxy.pid}/children"
        return pathlib.Path(path).read_text().split()
