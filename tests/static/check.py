#!/usr/bin/python3
"""Checks of the source text that a compiler does not make.

    check.py layers                  who includes and links whom (docs/ARCHITECTURE.md, "Layers")
    check.py libraries               each third-party library is wrapped by one .c file
    check.py functions               no function over 100 lines; prints median and 90th percentile
    check.py headers CC FLAG...      every header compiles on its own
    check.py format [--fix]          clang-format and black leave the files as they are
    check.py scripts                 shellcheck over the bash scripts
    check.py packages                each list that is asked for is in packaging/deps, and asked for
    check.py greater                 unit tests say lt(), and never gt()
    check.py documents               links lead to what is there, commands can be pasted as they are

Each prints what is wrong as file:line: message and exits with 1, or prints one line of summary.
"""

import concurrent.futures
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A layer may include itself and every layer of a lower rank; never one of its own rank.
RANKS = [
    {"core"},
    {"spop", "json", "route", "hap"},
    {"crypto"},
    {"identity"},
    {"conf"},
    {"agent"},
    {"net"},
    {"dns", "http"},
    {"acme", "admin"},
    {"sidecar"},
    {"sources", "cli", "upstreams"},
    {"serving"},
    {"analysis", "doctor"},
    {"changes", "setup", "commands"},
    {"app"},
]
RANK = {layer: rank for rank, layers in enumerate(RANKS) for layer in layers}

# Where a library's headers may be included. One .c file is the rule; a library whose types are part
# of our own structures, or that has a layer to itself, may name the layers that may see it instead.
LIBRARIES = {
    "ev.h": {"net"},
    "curl": {"http"},
    "openssl": {"crypto"},
}
# The C library and the kernel: not third-party.
SYSTEM_HEADER = re.compile(
    r"(arpa|asm|asm-generic|linux|net|netinet|sys)/.*"
    r"|(aio|assert|byteswap|complex|ctype|dirent|dlfcn|elf|endian|errno|execinfo|fcntl|features"
    r"|fenv|float|fnmatch|getopt|glob|grp|ifaddrs|inttypes|iso646|libgen|limits|locale|malloc"
    r"|math|mntent|netdb|poll|pthread|pwd|regex|resolv|sched|search|semaphore|setjmp|signal"
    r"|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdio_ext|stdlib|stdnoreturn"
    r"|string|strings|syslog|termios|tgmath|threads|time|uchar|ucontext|unistd|utime|utmpx|wchar"
    r"|wctype|wordexp)\.h"
)

FUNCTION_LINES = 100
INCLUDE = re.compile(r'\s*#\s*include\s+([<"])([^>"]+)[>"]')


class Complaints:
    """What was found, printed in the compiler's form so that editors can jump to it."""

    def __init__(self):
        self.count = 0

    def add(self, path, line, text):
        self.count += 1
        print(f"{path.relative_to(ROOT)}:{line}: {text}")

    def result(self, summary):
        if self.count:
            return 1
        print(summary)
        return 0


def files(*patterns):
    """The project's files, never what lies in build/ or in a virtual environment."""
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT)]  # whoever made the clone
    command += ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if listed.returncode != 0:
        sys.exit("git has to know which files are the project's: this takes a clone of it")
    found = {ROOT / name for name in listed.stdout.split("\0") if name}
    return sorted(path for path in found if path.is_file())


def sources():
    return files("include/**/*.h", "src/**/*.h", "src/**/*.c")


def layer_of(path):
    return path.relative_to(ROOT).parts[1]


def includes(path):
    """(line, is_system, name) of every #include."""
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1] == "<", match[2]


def check_links(complaints, included):
    """A library links what it includes, and no more; app, on top, links all."""
    for path in files("src/*/CMakeLists.txt"):
        layer = path.parent.name
        uses = re.search(r"\bUSES\s+([a-z\s]+)", path.read_text())
        linked = set(uses[1].split()) if uses else set()
        for target in sorted(included.get(layer, set()) - linked):
            complaints.add(path, 1, f"{layer} includes {target}, which has to be among its USES")
        for target in sorted(linked - included.get(layer, set())):
            if layer != "app":
                complaints.add(path, 1, f"{layer} USES {target} and includes nothing of it")


def check_layers():
    complaints = Complaints()
    paths = sources()
    included = {}
    for path in paths:
        layer = layer_of(path)
        if layer not in RANK:
            complaints.add(path, 1, f"layer '{layer}' is not in RANKS of {__file__}")
            continue
        for line, is_system, name in includes(path):
            target = name.split("/")[0]
            if is_system or "/" not in name:
                continue
            if target not in RANK:
                complaints.add(path, line, f'"{name}" is in no layer; write <{name}> if not ours')
            elif target != layer and RANK[target] >= RANK[layer]:
                complaints.add(path, line, f'{layer} may not include {target} ("{name}")')
            elif target != layer:
                included.setdefault(layer, set()).add(target)
    check_links(complaints, included)
    return complaints.result(f"{len(paths)} files in {len({layer_of(p) for p in paths})} layers")


def check_libraries():
    complaints = Complaints()
    users = {}
    for path in sources():
        for line, is_system, name in includes(path):
            if is_system and not SYSTEM_HEADER.fullmatch(name):
                users.setdefault(name.split("/")[0], []).append((path, line))
    for library, places in sorted(users.items()):
        allowed = LIBRARIES.get(library)
        first = next((path for path, _ in places if path.suffix == ".c"), None)
        for path, line in places:
            if path.is_relative_to(ROOT / "include"):
                complaints.add(path, line, f"a public header may not include <{library}>")
            elif allowed and layer_of(path) not in allowed:
                complaints.add(path, line, f"<{library}> is for {' and '.join(sorted(allowed))}")
            elif not allowed and path.suffix != ".c":
                complaints.add(path, line, f"<{library}> belongs into one .c file, not a header")
            elif not allowed and path != first:
                wrapper = first.relative_to(ROOT)
                complaints.add(path, line, f"<{library}> is wrapped by {wrapper} already")
    return complaints.result(f"{len(users)} libraries, each behind one wrapper")


def functions(path):
    """(line, lines) of each function, as clang-format lays it out: braces in column one."""
    lines = path.read_text().splitlines()
    start = None
    for index, line in enumerate(lines):
        if line == "{":
            start = index
            while start > 0 and lines[start - 1] and lines[start - 1][0] not in "#}/ *":
                start -= 1
            while start > 0 and lines[start - 1].startswith("   ") and ";" not in lines[start - 1]:
                start -= 1  # a parameter list that goes over several lines
        elif line == "}" and start is not None:
            yield start + 1, index - start + 1
            start = None


def check_functions():
    complaints = Complaints()
    lengths = []
    for path in sources():
        for line, length in functions(path):
            lengths.append(length)
            if length > FUNCTION_LINES:
                complaints.add(path, line, f"a function of {length} lines (limit {FUNCTION_LINES})")
    lengths.sort()
    if not lengths:
        return complaints.result("no functions")
    p90 = lengths[len(lengths) * 9 // 10]
    return complaints.result(
        f"{len(lengths)} functions: median {statistics.median(lengths):.0f} lines,"
        f" p90 {p90}, longest {lengths[-1]}"
    )


def check_headers(compiler):
    complaints = Complaints()
    headers = files("include/**/*.h", "src/**/*.h")

    def compile_alone(path):
        command = [*compiler, "-fsyntax-only", "-include", str(path), "-x", "c", "/dev/null"]
        return path, subprocess.run(command, capture_output=True, text=True)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, run in pool.map(compile_alone, headers):
            if run.returncode != 0:
                complaints.add(path, 1, "does not compile on its own\n" + run.stderr)
    return complaints.result(f"{len(headers)} headers compile on their own")


def programs(interpreter, suffix):
    """Files of a suffix, and those without one that name the interpreter in their first line."""
    for path in files():
        with open(path, "rb") as file:
            first = file.readline(80)
        if path.suffix == suffix or (not path.suffix and re.match(interpreter, first)):
            yield str(path)


def check_format(fix):
    c_files = [str(path) for path in files("*.c", "*.h")]
    python_files = list(programs(rb"#!.*\bpython3\b", ".py"))
    clang_format = ["clang-format", "-i"] if fix else ["clang-format", "--dry-run", "--Werror"]
    black = ["/usr/bin/black", "--quiet", "--line-length", "100"]
    version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout
    if " 14." not in version:
        print(f"clang-format 14 is what the files are laid out with; this is: {version.strip()}")
        return 1
    failed = subprocess.run([*clang_format, "--style=file", *c_files]).returncode
    if python_files:
        check = [] if fix else ["--check", "--diff"]
        failed |= subprocess.run([*black, *check, *python_files]).returncode
    if failed:
        print("lay the files out with: tests/run format --fix")
        return 1
    print(f"{len(c_files)} C files, {len(python_files)} Python files")
    return 0


def check_scripts():
    scripts = list(programs(rb"#!.*\b(ba)?sh\b", ".sh"))
    # SC2016, SC2317: text for an inner shell, and functions called by name; both are meant.
    shellcheck = ["shellcheck", "-s", "bash", "-x", "-f", "gcc", "-e", "SC2016,SC2317"]
    run = subprocess.run([*shellcheck, *scripts], cwd=ROOT)
    if run.returncode == 0:
        print(f"{len(scripts)} scripts")
    return run.returncode


INSTALL = re.compile(rb"packaging/deps/install((?: [a-z]+)+)")


def check_packages():
    """A list that is not there is missed on a fresh machine alone: elsewhere all is installed."""
    complaints = Complaints()
    lists = {path.stem: path for path in files("packaging/deps/*.txt")}
    asked = set()
    for path in files():
        if path == pathlib.Path(__file__):
            continue
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            for found in INSTALL.findall(line):
                wanted = found.decode().split()
                asked.update(wanted)
                for name in wanted:
                    if name not in lists:
                        complaints.add(path, number, f"there is no packaging/deps/{name}.txt")
    for name in lists.keys() - asked:
        complaints.add(lists[name], 1, "nothing asks packaging/deps/install for this list")
    return complaints.result(f"{len(lists)} lists of packages")


def check_greater():
    """Criterion 2.4.1 (Debian 12) takes equal values for greater ones: gt(i64, 0, 0) holds. The older
    cr_assert_gt() and lt() are right."""
    complaints = Complaints()
    paths = files("tests/unit/*.[ch]")
    for path in paths:
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if re.search(r"(?<!\w)gt\(", line):
                complaints.add(path, number, "gt() holds for equal values, too: write lt()")
    return complaints.result(f"{len(paths)} unit tests")


def anchor(heading):
    """As forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def links(text):
    """(offset, file, heading as an anchor) of Markdown's links, and of `docs/FILE.md, "Heading"`."""
    for found in re.finditer(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        yield found.start(), found[1], found[2]
    for found in re.finditer(r"\b(?:docs/)?([A-Z-]+\.md)[,(\s]+\"([^\"]+)\"", text):
        yield found.start(), f"/docs/{found[1]}", anchor(found[2])


# A command, and behind some blanks words about it that a shell would take for arguments.
TOLD_COMMAND = re.compile(
    r" {4}(\w+/[\w/]+|owui-spoa|systemctl|cmake|curl|ss) .*\S {3,}(?!#|-|\\$)\S"
)


def check_documents():
    complaints = Complaints()
    texts = {path: path.read_text() for path in files("*.md")}
    anchors = {
        path: {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.M)}
        for path, text in texts.items()
    }
    for path, text in texts.items():
        for offset, name, heading in links(text):
            folder = ROOT if name.startswith("/") else path.parent
            target = (folder / name.lstrip("/")).resolve() if name else path
            line = text.count("\n", 0, offset) + 1
            if not target.exists():
                complaints.add(path, line, f"there is no {name}")
            elif heading and heading not in anchors.get(target, ()):
                complaints.add(path, line, f"{name or path.name} has no heading #{heading}")
        for number, line in enumerate(text.splitlines(), start=1):
            if TOLD_COMMAND.match(line):
                complaints.add(path, number, "what is told of a command belongs behind a #")
    return complaints.result(f"{len(texts)} documents")


def main(arguments):
    match arguments:
        case ["layers"]:
            return check_layers()
        case ["libraries"]:
            return check_libraries()
        case ["functions"]:
            return check_functions()
        case ["headers", _, *_]:
            return check_headers(arguments[1:])
        case ["format"] | ["format", "--fix"]:
            return check_format("--fix" in arguments)
        case ["scripts"]:
            return check_scripts()
        case ["packages"]:
            return check_packages()
        case ["greater"]:
            return check_greater()
        case ["documents"]:
            return check_documents()
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
