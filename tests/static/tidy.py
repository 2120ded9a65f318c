#!/usr/bin/python3
"""clang-tidy over every translation unit of a build, on all cores.

    tidy BUILD_DIRECTORY [FILE...]

A file is looked at again only when it, a header that it includes or .clang-tidy has changed: that it
was found good is kept in ~/.cache/owui-spoa/tidy, under a hash of the preprocessed text, for a month.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
GOOD = CACHE / "owui-spoa" / "tidy"
GOOD_FOR_S = 30 * 86400
# The analyzer looks less far into a function than it would: a fifth of the time.
LESS_FAR = [
    f"--extra-arg={word}" for word in "-Xclang -analyzer-config -Xclang max-nodes=30000".split()
]


def digest(unit):
    """What clang-tidy's answer depends on; the preprocessor's line marks name the files."""
    command = shlex.split(unit["command"])
    output = command.index("-o")
    del command[output : output + 2]
    command[command.index("-c")] = "-E"
    # The macros too: some checks look at how they are written.
    text = subprocess.run([*command, "-dD"], cwd=unit["directory"], capture_output=True, check=True)
    key = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    key.update(pathlib.Path(unit["file"]).read_bytes())
    # The line marks name files; two clones of the same text are the same.
    key.update(text.stdout.replace(os.fsencode(ROOT), b""))
    return key.hexdigest()


def tidy(build, unit):
    stamp = GOOD / digest(unit)
    if stamp.exists():
        stamp.touch()
        return unit["file"], ""
    command = ["clang-tidy", "--quiet", *LESS_FAR, f"-p={build}", unit["file"]]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode == 0:
        stamp.touch()
        return unit["file"], ""
    return unit["file"], run.stdout or run.stderr or f"clang-tidy ended with {run.returncode}"


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    build = pathlib.Path(arguments[0]).resolve()
    wanted = {str(pathlib.Path(name).resolve()) for name in arguments[1:]}
    units = json.loads((build / "compile_commands.json").read_text())
    # Criterion's macros are not ours to tidy: the unit tests are left out.
    units = [unit for unit in units if "/tests/unit/" not in unit["file"]]
    if wanted:
        units = [unit for unit in units if unit["file"] in wanted]
    units = list({unit["file"]: unit for unit in units}.values())
    GOOD.mkdir(parents=True, exist_ok=True)
    for stamp in GOOD.iterdir():
        if stamp.stat().st_mtime < time.time() - GOOD_FOR_S:
            stamp.unlink(missing_ok=True)

    complaints = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, complaint in pool.map(lambda unit: tidy(build, unit), units):
            if complaint:
                complaints.append(complaint)
                print(f"{os.path.relpath(file, ROOT)}:\n{complaint}", flush=True)
    # Once more, without the paths that lead there.
    short = {line for text in complaints for line in text.splitlines() if ": error: " in line}
    for line in sorted(short):
        print(line.replace(f"{ROOT}/", ""))
    print(f"{len(units)} files, {len(complaints)} with complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
