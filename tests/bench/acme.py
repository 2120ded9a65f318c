#!/usr/bin/python3
"""Seconds per certificate, against one pebble that validates without sleeping, in one run: the
worker (release build), uacme, certbot. What is not installed is left out: packaging/deps/install bench.

    acme.py [--each N] [--many N]
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

from support import acme  # noqa: E402
from support.certificates import Authority  # noqa: E402
from support.processes import Process, accepts  # noqa: E402

HOOK = """#!/bin/sh
case "$1" in
begin) [ "$2" = http-01 ] && printf %s "$5" >"$WEBROOT/.well-known/acme-challenge/$4" ;;
done | failed) rm -f "$WEBROOT/.well-known/acme-challenge/$4" ;;
esac
"""


def worker_host(folder, pebble, count, at_once):
    folder.mkdir()
    wanted = {
        f"{folder.name}{i}.pem": {"hosts": [f"{folder.name}{i}.example.test"]} for i in range(count)
    }
    ca = {"directory": pebble.directory, "ca_file": str(pebble.ca_file)}
    return wanted, acme.AcmeHost(
        folder, [ca], pebble.challenge_port, wanted, orders_at_once=at_once
    )


def run_worker(folder, pebble, count, at_once):
    wanted, host = worker_host(folder, pebble, count, at_once)
    start = time.monotonic()
    host.start()
    try:
        for _ in wanted:
            host.wait("ready", timeout_s=300)
        return (time.monotonic() - start) / count
    finally:
        host.stop()


def run_uacme(folder, pebble, count):
    webroot = folder / "webroot"
    (webroot / ".well-known/acme-challenge").mkdir(parents=True)
    hook = folder / "hook.sh"
    hook.write_text(HOOK)
    hook.chmod(0o755)
    server = Process(
        "webroot",
        [sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", webroot]
        + [pebble.challenge_port],
        folder,
    ).start()
    server.wait_for(lambda: accepts(("127.0.0.1", pebble.challenge_port)), "listening")
    # uacme trusts the system's roots alone: in a mount namespace ours stand in their place.
    script = f"mount --bind {pebble.ca_file} /etc/ssl/certs/ca-certificates.crt && exec uacme "
    base = f"-c {folder}/conf -a {pebble.directory} -h {hook} -y "
    env = {**os.environ, "WEBROOT": str(webroot)}

    def uacme(arguments):
        subprocess.run(
            ["unshare", "-m", "sh", "-c", script + base + arguments],
            env=env,
            check=True,
            capture_output=True,
            timeout=120,
        )

    try:
        uacme("new")
        start = time.monotonic()
        for i in range(count):
            uacme(f"-t EC issue u{i}.example.test")
        return (time.monotonic() - start) / count
    finally:
        server.stop()


def run_certbot(folder, pebble, count):
    env = {**os.environ, "REQUESTS_CA_BUNDLE": str(pebble.ca_file)}
    command = ["certbot", "certonly", "--standalone", "--http-01-address", "127.0.0.1"]
    command += ["--http-01-port", str(pebble.challenge_port), "--server", pebble.directory]
    command += ["-n", "--agree-tos", "-m", "a@example.test", "--no-eff-email"]
    for kind in ("config", "work", "logs"):
        command += [f"--{kind}-dir", str(folder / kind)]
    start = time.monotonic()
    for i in range(count):
        subprocess.run(
            [*command, "-d", f"c{i}.example.test"],
            env=env,
            check=True,
            capture_output=True,
            timeout=120,
        )
    return (time.monotonic() - start) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--each", type=int, default=10, help="certificates one by one")
    parser.add_argument("--many", type=int, default=200, help="certificates at once")
    options = parser.parse_args()
    acme.ACME_HOST = ROOT / "build/release/tests/acme_host"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="owui.bench."))
    pebble = acme.Pebble(folder, Authority(folder), env={"PEBBLE_WFE_NONCEREJECT": "0"}).start()
    try:
        one = run_worker(folder / "one", pebble, options.each, 1)
        print(f"owui-spoa, one by one: {one:.3f} s per certificate")
        many = run_worker(folder / "many", pebble, options.many, 40)
        print(f"owui-spoa, {options.many} at once: {many:.3f} s per certificate")
        for name, run in (("uacme", run_uacme), ("certbot", run_certbot)):
            if shutil.which(name):
                (folder / name).mkdir()
                each = run(folder / name, pebble, options.each)
                print(f"{name}, one by one: {each:.3f} s per certificate")
    finally:
        pebble.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
