"""An installation that gets its certificates by itself, from a pebble, with no file in HAProxy's
folder to begin with; and a client's view of what HAProxy serves."""

import http.client
import json
import re
import signal
import socket
import ssl

from cryptography import x509

from .clients import TIMEOUT_S, request
from .processes import Process, accepts, wait_until
from .stack import HAPROXY, Stack, run_agent_command


class CertifiedStack(Stack):
    """HAProxy is started first, as systemd does it: a challenge needs it."""

    def __init__(self, directory, upstreams, authority, pebble, acme=None, **options):
        super().__init__(directory, upstreams, authority, **options)
        self.pebble = pebble
        self.http_port = pebble.challenge_port  # where the CA looks
        self.state_dir = self.directory / "state"
        self.config["haproxy"].update(
            http=[f"127.0.0.1:{self.http_port}"], https_port=self.https_port
        )
        if getattr(pebble, "dns_port", None):
            self.config["resolver"] = {"nameservers": [f"127.0.0.1:{pebble.dns_port}"]}
        self.config["acme"] = {
            "directory": pebble.directory,
            "ca_file": str(pebble.ca_file),
            "contact": ["mailto:admin@example.test"],
            "challenge_listen": f"127.0.0.1:{self.challenge_port}",
            "state_dir": str(self.state_dir),
            **(acme or {}),
        }

    def want(self, *tenants, upstream="alpha"):
        """Writes a tenant's file; each argument is a tenant: (name, host, host...)."""
        for name, *hosts in tenants:
            tenant = {"hosts": hosts, "upstream": self.upstreams[upstream].url}
            self.write_tenants({name: tenant}, f"{name}.json")

    def start_haproxy(self, *arguments, timeout_s=30.0):
        path = self.haproxy_dir / "haproxy.cfg"
        self.haproxy = Process("haproxy", [HAPROXY, "-W", "-f", path, *arguments], self.directory)
        self.haproxy.start()
        # Which of them it listens on first is its own affair.
        runtime = re.findall(r"^ *stats socket (\S+)", path.read_text(), re.MULTILINE)
        listening = [("127.0.0.1", self.http_port), *runtime]
        self.haproxy.wait_for(lambda: all(map(accepts, listening)), "listening", timeout_s)

    def start(self, *haproxy_arguments):
        self.write_config()
        self.write_haproxy_config()
        self.start_haproxy(*haproxy_arguments)
        self.start_agent()
        return self

    def restart_agent(self, number=signal.SIGTERM):
        self.agents[0].stop(number)
        self.start_agent()

    # --- what the daemon says -------------------------------------------------------------------

    def admin(self, method, path, index=0):
        """Status and text of a request over an agent's admin socket."""
        connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.admin_socket(index))
        connection.request(method, path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def act(self, item, action):
        """`owui-spoa certs ACTION`, without the cost of a process."""
        status, text = self.admin("POST", f"/v1/certificates/{item}/{action}")
        assert status == 202, text

    def certs(self, *arguments):
        """Runs `owui-spoa certs`; what it printed."""
        done = run_agent_command("certs", "-c", self.config_path, *arguments)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def certs_code(self, *arguments):
        """Its exit status."""
        return run_agent_command("certs", "-c", self.config_path, *arguments).returncode

    def told(self, name):
        """What the daemon tells about a certificate; None when it is not wanted."""
        list_ = json.loads(self.certs("--json"))["certificates"]
        return next((one for one in list_ if one["name"] == name), None)

    def wait_told(self, name, condition, what, timeout_s=20):
        def look():
            if self.certs_code() != 0:
                return None  # a daemon that has just started does not answer yet
            told = self.told(name)
            return told if told is not None and condition(told) else None

        return wait_until(look, f"{name}: {what}", timeout_s)

    def agent_log(self):
        return self.agents[0].log()

    # --- what HAProxy serves --------------------------------------------------------------------

    def trust(self, ciphers=None, pebble=None):
        """What a client would verify certificates of this pebble with, or of another."""
        context = ssl.create_default_context(cadata=(pebble or self.pebble).root())
        if ciphers is not None:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
        return context

    def served(self, host, context=None, port=None):
        """The certificate that verifies for `host`, or None when there is none."""
        context = context or self.trust()
        try:
            with socket.create_connection(
                ("127.0.0.1", port or self.https_port), timeout=TIMEOUT_S
            ) as plain:
                with context.wrap_socket(plain, server_hostname=host) as sock:
                    return x509.load_der_x509_certificate(sock.getpeercert(binary_form=True))
        except OSError:  # SSLError is one
            return None

    def serial(self, host, **options):
        certificate = self.served(host, **options)
        return certificate.serial_number if certificate else None

    def wait_served(self, host, but_not=None, timeout_s=20, **options):
        """The certificate of `host`, once there is one with a serial other than `but_not`."""
        context = options.pop("context", None) or self.trust()

        def look():
            certificate = self.served(host, context=context, **options)
            changed = certificate is not None and certificate.serial_number != but_not
            return certificate if changed else None

        try:
            return wait_until(look, f"{host} served with a certificate", timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.agent_log()[-6000:]}") from None

    def get(self, host, target="/api/version"):
        self.wait_for_agents(1)
        return request(self.https_port, target, host, tls_name=host, tls=self.trust())

    def files(self):
        """What HAProxy would load."""
        return {path.name for path in self.crt_dir.iterdir() if path.is_file()}

    def serial_on_disk(self, name):
        return read_pem(self.crt_dir / name)[0].serial_number


def read_pem(path):
    """The certificates of a file that HAProxy loads, which has to be whole, with a key that fits."""
    text = path.read_text()
    assert "\n\n" not in text and "\r" not in text and text.endswith("-----END CERTIFICATE-----\n")
    assert text.count("PRIVATE KEY-----") == 2
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)  # refuses another key
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.S)
    return [x509.load_pem_x509_certificate(block.encode()) for block in blocks]


def names_of(certificate):
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))
