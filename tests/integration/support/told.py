"""What docs/ADMIN.md tells of the outputs for programs, and outputs held against it."""

import re

from .stack import REPOSITORY


def described(command):
    """Whether a key is always there, by its place: {"findings[].about": False, ...}."""
    text = (REPOSITORY / "docs/ADMIN.md").read_text()
    rows = text.split(f"\n### owui-spoa {command} --json\n")[1].split("\n#")[0]
    found = re.findall(r"^\| `([^`]+)` \| (always|\S[^|]*) \| \S.* \|$", rows, re.M)
    assert found, command
    return {place: when == "always" for place, when in found}


def places(value, named, place=""):
    """The place of each key; members of what is called as in `named` are all called NAME."""
    if isinstance(value, list):
        return {one for item in value for one in places(item, named, f"{place}[]")}
    if not isinstance(value, dict):
        return {place}
    name = "NAME" if place in named else None
    found = set()
    for key, inner in value.items():
        found |= places(inner, named, f"{place}.{name or key}".lstrip("."))
    return found


def hold(command, told, named=()):
    """What is told is described, and what is described as always there is told; its places."""
    table, found = described(command), places(told, named)
    assert found <= set(table), found - set(table)
    for place, always in table.items():
        # What is in a list, or below a name, is there as often as these are.
        if always and not re.search(r"\[\]|\.NAME", place):
            assert place in found, place
    for item in told.get("findings", told.get("tenants", [])):
        prefix = "findings[]." if "findings" in told else "tenants[]."
        wanted = {
            p[len(prefix) :] for p, always in table.items() if always and p.startswith(prefix)
        }
        assert wanted <= set(item), wanted - set(item)
    return found
