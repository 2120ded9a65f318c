"""The program's commands, read from its own help texts, so that what is made from them cannot
drift from the program."""

import re
import subprocess

OPTION = re.compile(r"^  (?:(-\w), |    )(--[a-z][a-z-]*)(?: ([A-Z]+))?(?:\s{2,}|\s|$)(.*)$")
USAGE_OPTION = re.compile(r"\[(--[a-z][a-z-]*)(?: ([A-Z]+)[^\]]*)?\]")
COMMAND = re.compile(r"^  ([a-z][a-z-]*) {2,}(.+)$")


class Option:
    def __init__(self, short, long, value, text):
        self.short, self.long, self.value, self.text = short, long, value, text


class Command:
    """`sections` are the parts of its help in order: (heading, lines); the first has no heading."""

    def __init__(self, name, summary, text):
        self.name, self.summary = name, summary
        blocks = text.rstrip("\n").split("\n\n")
        self.usage = [line.strip() for line in blocks[0].removeprefix("usage:").split("\n")]
        self.body = blocks[1:]
        self.options = list(_options(text))
        self.verbs = sorted(_verbs(name, self.usage))
        takes_name = any(re.search(r"\b(NAME|TENANT)\b", line) for line in self.usage)
        self.argument = "url" if any(" URL" in line for line in self.usage) else ""
        self.argument = self.argument or ("name" if takes_name else "")


def _options(text):
    seen = set()
    for line in text.split("\n"):
        match = OPTION.match(line)
        if match and match[2] not in seen:
            seen.add(match[2])
            yield Option(match[1], match[2], match[3], match[4].strip())
    # An option of one verb may stand in the usage only.
    for long, value in USAGE_OPTION.findall(text):
        if long not in seen:
            seen.add(long)
            yield Option(None, long, value or None, "")
    yield Option("-h", "--help", None, "tell how it is used")


def _verbs(name, usage):
    """ "owui-spoa certs renew|revoke NAME": what may stand behind the command's name."""
    for line in usage:
        match = re.match(rf"owui-spoa {name} ([a-z][a-z|-]*)\b", line)
        if match:
            yield from match[1].split("|")


def _run(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise SystemExit(f"{program} {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def read(program):
    for line in _run(program, "--help").split("COMMAND --help")[0].split("\n"):
        match = COMMAND.match(line)
        if match:
            yield Command(match[1], match[2], _run(program, match[1], "--help"))
