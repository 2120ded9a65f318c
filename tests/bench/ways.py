"""The ways to route through HAProxy that are measured: their configurations, and one of them, running."""

import json
import re
import subprocess

from support.processes import free_port
from through_haproxy import Program, generate, wait_for_answers

WAYS = ("none", "map", "acls", "unix", "tcp", "cached")
ACLS_MAX_TENANTS = 100


# --- configurations -----------------------------------------------------------------------------


def host_of(number):
    return f"t{number:06}.example.test"


def write_agent_config(folder, tenants, port, upstream, cached, transport):
    (folder / "tenants.d").mkdir()
    entries = {
        f"t{number:06}": {
            "hosts": [host_of(number)],
            "upstream": f"http://127.0.0.1:{upstream}",
            "https": "off",
        }
        for number in range(1, tenants + 1)
    }
    (folder / "tenants.d/all.json").write_text(json.dumps({"tenants": entries}))
    agent = f"unix:{folder}/agent.sock" if transport == "unix" else f"tcp:127.0.0.1:{free_port()}"
    config = {
        "listen": [agent],
        "admin_socket": f"{folder}/spoa-admin.sock",
        "pages_listen": f"127.0.0.1:{free_port()}",
        "haproxy": {
            "http": [f"127.0.0.1:{port}"],
            "https": [],
            "runtime": [f"{folder}/admin.sock"],
            "spoe_file": f"{folder}/owui.spoe.cfg",
            "chroot": None,
            "user": None,
            "group": None,
        },
    }
    if cached:
        config["haproxy"]["decision_map"] = f"{folder}/decisions.map"
    path = folder / "owui-spoa.json"
    path.write_text(json.dumps(config))
    return path, agent


def without_agent(text):
    """The generated configuration without its questions to the agent."""
    text = re.sub(r"\.if version_before\(3\.0\)\n.*\n    filter spoe[^\n]*\n\.endif\n", "", text)
    text = re.sub(r"    filter spoe[^\n]*\n", "", text)
    text = re.sub(r"\.if version_before\(3\.0\)\n.*owui_asked.*\n\.endif\n", "", text)
    text = re.sub(
        r"\.if version_atleast\(3\.0\)\n(    http-request send-spoe.*\n)+(\.else\n(.*\n)+?)?\.endif\n",
        "",
        text,
    )
    text = re.sub(r"    http-request send-spoe-group owui acme if acme\n", "", text)
    return re.sub(r"(?s)\n# the agents; spop-check.*?(?=\n# own lines, sections)", "", text)


def map_config(folder, text, tenants, upstream):
    lines = [f"{host_of(n)} t{n:06}/127.0.0.1/{upstream}" for n in range(1, tenants + 1)]
    (folder / "hosts.map").write_text("\n".join(lines) + "\n")
    rules = [
        f"set-var(txn.row) req.fhdr(host),lower,map_str({folder}/hosts.map)",
        "set-var(txn.owui.tenant) var(txn.row),field(1,/)",
        "set-var(txn.owui.dst) var(txn.row),field(2,/)",
        "set-var(txn.owui.to_http) var(txn.row),field(3,/),add(0)",
        "set-var(txn.owui.ip) src",
    ]
    replaced = "".join(f"    http-request {rule}\n" for rule in rules)
    text = without_agent(text)
    question = "    http-request send-spoe-group owui route\n"
    assert text.count(question) == 1, text
    return text.replace(question, replaced)


def plain_config(port, upstream, frontend, backends):
    return (
        "global\n    nbthread 1\n"
        "defaults\n    mode http\n    timeout connect 5s\n    timeout client 1m\n"
        "    timeout server 1m\n"
        f"frontend owui\n    bind 127.0.0.1:{port}\n{frontend}    default_backend plain\n"
        f"backend plain\n    server any 127.0.0.1:{upstream}\n{backends}"
    )


def acls_config(port, upstream, tenants):
    head = [
        "    http-request set-header X-Client-IP %[src]",
        "    option forwardfor",
        "    http-request add-header X-Forwarded-Proto http",
        "    http-request set-header X-Forwarded-Host %[req.hdr(Host)]",
        "    http-request set-header X-Forwarded-Port %[dst_port]",
    ]
    back = []
    for number in range(1, tenants + 1):
        head.append(f"    acl t{number} hdr(host) -i {host_of(number)}")
        back.append(f"backend b{number}\n    server any 127.0.0.1:{upstream}")
    head += [f"    use_backend b{n} if t{n}" for n in range(1, tenants + 1)]
    return plain_config(port, upstream, "\n".join(head) + "\n", "\n".join(back) + "\n")


# --- one way, running ---------------------------------------------------------------------------


class Case:
    """HAProxy and, where one is asked, the agent, both on one CPU."""

    def __init__(self, way, tenants, folder, cpu):
        self.folder = folder
        self.folder.mkdir()
        self.way, self.tenants, self.cpu, self.port = way, tenants, cpu, free_port()
        self.programs = {}

    def start(self, agent, haproxy, upstream):
        """`haproxy` is the words of a command."""
        text = self.configure(agent, upstream)
        (self.folder / "haproxy.cfg").write_text(text)
        command = [*haproxy, "-db", "-f", self.folder / "haproxy.cfg"]
        self.start_program("haproxy", command, ("127.0.0.1", self.port))
        wait_for_answers(self.port, host_of(1), self.way)

    def start_program(self, name, command, address):
        self.programs[name] = Program(self.folder, name, command, [self.cpu], address)

    def configure(self, agent, upstream):
        """HAProxy's configuration; an agent that it asks is started."""
        if self.way == "none":
            return plain_config(self.port, upstream, "", "")
        if self.way == "acls":
            return acls_config(self.port, upstream, self.tenants)
        transport = "tcp" if self.way == "tcp" else "unix"
        config, listen = write_agent_config(
            self.folder, self.tenants, self.port, upstream, self.way == "cached", transport
        )
        text = generate(agent, config, self.folder)
        if self.way == "map":
            return map_config(self.folder, text, self.tenants, upstream)
        address = listen.split(":", 1)[1]
        if transport == "tcp":
            host, port = address.split(":")
            address = (host, int(port))
        self.start_program("agent", [agent, "run", "-c", config], address)
        return text

    def stop(self):
        for program in self.programs.values():
            program.stop()


def version_of(haproxy):
    told = subprocess.run([haproxy, "-v"], capture_output=True, text=True, check=True).stdout
    return re.search(r"version (\d+\.\d+)", told)[1]
