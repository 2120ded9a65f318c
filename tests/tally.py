#!/usr/bin/python3
"""Counts the tests of JUnit reports (ctest's or pytest's): prints "PASSED FAILED SKIPPED".

A Criterion binary is one test to ctest; its own tests are counted, by the summary line that it
prints. A binary that fails for another reason (a leak, a crash at exit) adds one failure.

With --failures it prints what failed instead, each with the lines that say why; with --reported the
names of those in which a sanitizer reported something.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as tree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "integration"))
from support.processes import sanitizer_report  # noqa: E402

SYNTHESIS = re.compile(
    r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Cr\w+: (\d+)"
)


COLOUR = re.compile(r"\x1b?\[[0-9;]*m")
# What Criterion, pytest and the sanitizers put before the reason.
REASON = re.compile(
    r"Assertion|expression|\[FAIL\]|^E  |ERROR:|SUMMARY:|runtime error|Unexpected|CRASH"
)
REASON_MAX_LINES = 12


def is_broken(case):
    return case.find("failure") is not None or case.find("error") is not None


def output_of(case):
    texts = [case.findtext(tag) or "" for tag in ("failure", "error", "system-out")]
    return COLOUR.sub("", "\n".join(texts))


def name_of(case):
    return f"{case.get('classname')}: {case.get('name')}"


def print_failure(case):
    lines = output_of(case).splitlines()
    reasons = [line for line in lines if REASON.search(line)] or lines[-REASON_MAX_LINES:]
    print(name_of(case))
    for line in reasons[:REASON_MAX_LINES]:
        print(f"    {line[:400]}")


def count(case):
    output = case.findtext("system-out") or ""
    broken = is_broken(case)
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return 0, 0, 1
    synthesis = SYNTHESIS.search(COLOUR.sub("", output))
    if synthesis is None:
        return (0, 1, 0) if broken else (1, 0, 0)
    passed, failed = int(synthesis[2]), int(synthesis[3]) + int(synthesis[4])
    return passed, failed + (1 if broken and failed == 0 else 0), 0


def main(arguments):
    paths = [path for path in arguments if not path.startswith("--")]
    cases = [case for path in paths for case in tree.parse(path).getroot().iter("testcase")]
    if "--failures" in arguments:
        for case in filter(is_broken, cases):
            print_failure(case)
        return
    if "--reported" in arguments:
        for case in filter(is_broken, cases):
            if sanitizer_report(output_of(case)):
                print(name_of(case))
        return
    print(*(sum(column) for column in zip((0, 0, 0), *map(count, cases))))


main(sys.argv[1:])
