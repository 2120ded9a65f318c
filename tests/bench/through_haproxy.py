"""What the measurements through HAProxy share: programs on their own CPUs, with their CPU time, the
agent's configuration of HAProxy, an upstream, and wrk."""

import pathlib
import re
import socket
import subprocess
import sys
import time

from support.processes import die_with_parent, free_port

START_TIMEOUT_S = 60
CONNECTIONS = 64
THREADS = 8

# Of a script for wrk: each thread knows its number, and run_wrk() is told what the run came to.
WRK_AROUND = """
local count = 0
function setup(thread)
    thread:set("number", count)
    count = count + 1
end
function done(summary, latency, requests)
    io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99),
        summary.errors.status + summary.errors.connect + summary.errors.read +
        summary.errors.write + summary.errors.timeout))
end
"""


def write_wrk_script(path, requests):
    """With what init() and request() are to do."""
    path.write_text(WRK_AROUND + requests)
    return path


def is_open(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


def cpu_ns(process):
    """CPU time of all its threads."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


class Program:
    """A process on its CPUs, with its CPU time."""

    def __init__(self, folder, name, command, cpus, address):
        self.log = folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", ",".join(map(str, cpus)), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_open(address):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                sys.exit(f"{command[0]} did not start:\n{self.log.read_text()}")
            time.sleep(0.02)

    def cpu_ns(self):
        return cpu_ns(self.process)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def generate(agent, config, folder):
    """haproxy.cfg and the SPOE file as the agent makes them, for one thread, in `folder`."""
    command = [agent, "haproxy-config", "-c", config, "--out", folder]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"haproxy-config: {done.stderr}{done.stdout}")
    path = folder / "haproxy.cfg"
    text = path.read_text()
    text = text.replace(
        "log stdout len 4096 format raw local0", f"nbthread 1\n    log {folder}/log.sock local0"
    )
    path.write_text(text)
    return text


def start_upstream(folder, haproxy, cpus):
    """Its port, and the program: a HAProxy that answers by itself."""
    port = free_port()
    (folder / "upstream.cfg").write_text(
        "global\n    nbthread 1\ndefaults\n    mode http\n    timeout connect 5s\n"
        "    timeout client 1h\n    timeout server 1h\n    timeout http-keep-alive 1h\n"
        f"frontend owui\n    bind 127.0.0.1:{port}\n"
        '    http-request return status 200 content-type application/json string "{}"\n'
    )
    command = [haproxy, "-db", "-f", folder / "upstream.cfg"]
    return port, Program(folder, "upstream", command, cpus, ("127.0.0.1", port))


def wait_for_answers(port, host, what):
    """Until requests for the host come through: HAProxy has seen that the agent is there."""
    deadline = time.monotonic() + START_TIMEOUT_S
    request = f"GET /api/config HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
    while True:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(request)
            answer = sock.recv(4096)
        if b" 200 " in answer.split(b"\r\n")[0]:
            return
        if time.monotonic() > deadline:
            sys.exit(f"{what}: {answer.decode()}")
        time.sleep(0.1)


def run_wrk(cpus, port, script, seconds, *arguments):
    """Requests over CONNECTIONS connections as `script` makes them: how many, per_s, p50_us, p99_us.
    One that fails ends the program."""
    command = ["taskset", "-c", ",".join(map(str, cpus)), "wrk", "-t", THREADS, "-c", CONNECTIONS]
    command += ["-d", f"{seconds}s", "-s", script, f"http://127.0.0.1:{port}/", "--", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if found is None:
        sys.exit(f"wrk: {done.stdout}{done.stderr}")
    requests, duration_us, p50, p99, errors = map(int, found.groups())
    if errors or requests == 0:
        sys.exit(f"wrk: {errors} of {requests} requests failed\n{done.stdout}")
    per_s = requests * 1e6 / duration_us
    return {"requests": requests, "per_s": per_s, "p50_us": p50, "p99_us": p99}
