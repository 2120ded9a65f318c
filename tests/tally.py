#!/usr/bin/python3
"""Counts the tests of JUnit reports (ctest's or pytest's): prints "PASSED FAILED SKIPPED".

A Criterion binary is one test to ctest; its own tests are counted, by the summary line that it
prints. A binary that fails for another reason (a leak, a crash at exit) adds one failure.
"""

import re
import sys
import xml.etree.ElementTree as tree

SYNTHESIS = re.compile(
    r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Cr\w+: (\d+)"
)


def count(case):
    output = case.findtext("system-out") or ""
    broken = case.find("failure") is not None or case.find("error") is not None
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return 0, 0, 1
    synthesis = SYNTHESIS.search(re.sub(r"\x1b?\[[0-9;]*m", "", output))
    if synthesis is None:
        return (0, 1, 0) if broken else (1, 0, 0)
    passed, failed = int(synthesis[2]), int(synthesis[3]) + int(synthesis[4])
    return passed, failed + (1 if broken and failed == 0 else 0), 0


def main(paths):
    totals = [0, 0, 0]
    for path in paths:
        for case in tree.parse(path).getroot().iter("testcase"):
            totals = [total + new for total, new in zip(totals, count(case))]
    print(*totals)


main(sys.argv[1:])
