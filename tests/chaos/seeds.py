"""Several seeds, some of them at a time, each in a process of its own; and what they showed together."""

import concurrent.futures
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

PORT_RANGES = 4  # of support/processes.py: as many may run at a time without meeting
SPARE_S = 1200  # beside the load: to start, to recover, to end


def numbers(text):
    """The seeds of "3", "20-27" or "1,5,20-27"."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


class Seed:
    """One run; its own output is in a file beside its figures."""

    def __init__(self, number, haproxy, options, folder):
        self.number, self.haproxy, self.options = number, haproxy, options
        self.figures = folder / f"{number}.json"
        self.output = folder / f"{number}.txt"

    def command(self):
        command = [sys.executable, pathlib.Path(__file__).with_name("run"), "--seed", self.number]
        command += ["--seconds", self.options.seconds, "--patience", self.options.patience]
        command += ["--json", self.figures]
        if self.options.agents is not None:
            command += ["--agents", self.options.agents]
        for name in ("fallback", "decisions"):
            chosen = getattr(self.options, name)
            if chosen is not None:
                command.append(f"--{name}" if chosen else f"--no-{name}")
        if self.options.keep:
            command.append("--keep")
        return [str(word) for word in command]

    def failed(self, why=""):
        return {"seed": self.number, "failed": self.output.read_text()[-4000:] + why}

    def run(self, place):
        env = {**os.environ, "PYTEST_XDIST_WORKER": f"gw{place}"}
        if self.haproxy is not None:
            env["OWUI_HAPROXY"] = self.haproxy
        limit_s = self.options.seconds + SPARE_S
        try:
            with open(self.output, "wb") as output:
                done = subprocess.run(
                    self.command(),
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=limit_s,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            return self.failed(f"\nnot at its end after {limit_s} s")
        if not self.figures.exists():
            return self.failed()
        return json.loads(self.figures.read_text()) | {"status": done.returncode}


def run_all(seeds, at_once):
    """Their figures, in the order of the seeds; each is told of as it ends."""
    places = list(range(at_once))

    def run(seed):
        place = places.pop()
        try:
            figures = seed.run(place)
        finally:
            places.append(place)
        end = "could not run" if "failed" in figures else f"{len(figures['violations'])} violations"
        print(f"  seed {seed.number}: {end}", file=sys.stderr, flush=True)
        return figures

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(run, seeds))


def print_runs(found):
    head = f"{'seed':>6} {'HAProxy':>8} {'agents':>7} {'fallback':>9} {'decisions':>10}"
    print(f"{head} {'requests':>9} {'reused':>7} {'violations':>11}")
    on_off = {True: "on", False: "off"}
    for one in found:
        if "failed" in one:
            print(f"{one['seed']:6} could not run:\n{one['failed']}")
            continue
        print(
            f"{one['seed']:6} {one['haproxy']:>8} {one['agents']:7} {on_off[one['fallback']]:>9}"
            f" {on_off[one['decisions']]:>10} {one['requests']:9} {one['reused']:7}"
            f" {len(one['violations']):11}"
        )


def print_felt(found):
    """How long each fault was felt, in all runs."""
    felt = {}
    for one in found:
        for name, times in one.get("felt", {}).items():
            felt.setdefault(name, []).extend(times)
    bars = {name: bar for one in found for name, bar in one.get("bars_s", {}).items()}
    print(f"\n{'fault':20} {'times':>5} {'median ms':>10} {'worst ms':>10} {'bar ms':>8}")
    for name, times in sorted(felt.items()):
        print(
            f"{name:20} {len(times):5} {statistics.median(times) * 1000:10.0f} "
            f"{max(times) * 1000:10.0f} {bars[name] * 1000:8.0f}"
        )
    left_out = {name for one in found for name in one.get("left_out", [])}
    if left_out:
        print(f"left out by some (their output tells why): {', '.join(sorted(left_out))}")


def main(options):
    at_once = min(options.at_once, PORT_RANGES)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="owui.chaos."))
    haproxys = itertools.cycle(options.haproxy or [None])
    seeds = [Seed(number, next(haproxys), options, folder) for number in numbers(options.seeds)]
    found = run_all(seeds, at_once)
    print_runs(found)
    print_felt(found)
    requests = sum(one.get("requests", 0) for one in found)
    violations = [(one["seed"], told) for one in found for told in one.get("violations", [])]
    for seed, told in violations:
        print(f"VIOLATION seed {seed}: {told}")
    failed = sum("failed" in one for one in found)
    print(f"\n{len(found)} runs, {requests} requests: {len(violations)} violations", end="")
    print(f", {failed} could not run" if failed else "")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    print(f"output of each: {folder}")
    return 1 if violations or failed else 0
