"""The program's commands as it tells of them itself (`owui-spoa help --json`), so that what is made
from them cannot drift from the program."""

import json
import subprocess


class Option:
    def __init__(self, told):
        self.long = "--" + told["name"]
        self.short = "-" + told["letter"] if "letter" in told else None
        self.value = told.get("value")
        self.choices = told.get("choices", [])
        self.text = told["help"]


class Command:
    def __init__(self, told):
        self.name, self.summary, self.about = told["name"], told["summary"], told["about"]
        self.usage = [" ".join(["owui-spoa", self.name, *form.split()]) for form in told["forms"]]
        self.verbs = {verb["name"]: verb["help"] for verb in told["verbs"]}
        self.options = [Option(option) for option in told["options"]]
        self.terms_heading = told.get("terms_heading")
        self.terms = {term["name"]: term["help"] for term in told.get("terms", [])}
        self.exit_codes, self.examples = told["exit_codes"], told["examples"]


def read(program):
    done = subprocess.run(
        [program, "help", "--json"], capture_output=True, text=True, timeout=30, check=True
    )
    return [Command(told) for told in json.loads(done.stdout)["commands"]]
