#!/usr/bin/python3
"""Writes the man pages: man.py PROGRAM VERSION DATE OUTPUT_FOLDER

owui-spoa(8) is packaging/man/owui-spoa.8.in with what the program says of each command.
owui-spoa.json(5) is docs/CONFIGURATION.md, and a list of all keys from the schemas in docs/schema.
"""

import datetime
import json
import pathlib
import re
import sys
import textwrap

import commands

ROOT = pathlib.Path(__file__).resolve().parents[2]


def escape(text):
    text = text.replace("\\", "\\e").replace("—", "\\(em").replace("…", "...")
    text = re.sub(r"(?<!\w)'|`", lambda m: "\\(aq" if m[0] == "'" else "\\(ga", text)
    return "".join(c if ord(c) < 128 else f"\\[u{ord(c):04X}]" for c in text)


def line_of(text):
    """A line of running text: nothing in it may be taken for a request or a macro."""
    text = escape(text)
    return "\\&" + text if text[:1] in (".", "'") else text


def sentences(text):
    """mdoc wants each sentence to begin a line."""
    return re.sub(r"([a-z)\"`]{2,}[.!?]) (?=[A-Z`])", r"\1\n", text)


def paragraph(text):
    sentence_lines = sentences(" ".join(text.split())).split("\n")
    layout = {"break_long_words": False, "break_on_hyphens": False}  # "owui-spoa" is one word
    wrapped = [textwrap.wrap(line, 76, **layout) for line in sentence_lines]
    return [line_of(line) for lines in wrapped for line in lines]


def capital(text):
    """A word of the configuration stays as it is written."""
    return text if text.startswith("`") else text[:1].upper() + text[1:]


def full_stop(text):
    return text if text.endswith((".", ":", "?", "!")) else text + "."


def literal(lines):
    return [".Bd -literal -offset 2n", *(line_of(line) for line in lines), ".Ed"]


# --- owui-spoa(8) ---------------------------------------------------------------------------------


def tagged(rows, layout="-width Ds"):
    out = [f".Bl -tag {layout}"]
    for tag, text in rows:
        out += [f".It Ic {escape(tag)}", *paragraph(text)]
    return out + [".El"]


def option_tag(option):
    tag = f"{option.short}, {option.long}" if option.short else option.long
    return f"{tag} {option.value}" if option.value else tag


def command_part(command):
    out = [f".Ss {command.name}", *literal(command.usage)]
    out += [".Pp", *paragraph(command.about)]
    if command.verbs:
        out += tagged(command.verbs.items())
    # How to ask for help is told once for all.
    options = [option for option in command.options if option.long != "--help"]
    out += tagged((option_tag(option), option.text) for option in options)
    if command.terms:
        out += [".Pp", f"{command.terms_heading.capitalize()}:", *tagged(command.terms.items())]
    out += [".Pp", "Exit code:", *tagged(command.exit_codes.items(), "-width 2n -compact")]
    examples = "\n".join(command.examples).split("\n")
    return out + [".Pp", "Examples:", *literal(examples)]


def commands_page(program, values):
    page = (ROOT / "packaging/man/owui-spoa.8.in").read_text()
    parts = [line for command in commands.read(program) for line in command_part(command)]
    values = {**values, "COMMANDS": "\n".join(parts)}
    return re.sub(r"@(\w+)@", lambda match: values[match[1]], page)


# --- owui-spoa.json(5): Markdown ------------------------------------------------------------------


def plain(text):
    """Markdown's marks within a line, as a page of text shows them."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    return text.replace("**", "").replace("`", "")


def cells(row):
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def table(rows):
    head = cells(rows[0])
    out = [".Bl -tag -width Ds"]
    for row in rows[2:]:
        row = cells(row)
        out.append(f".It Ic {escape(plain(row[0]))}")
        # A column that has a title other than these says what it is, unless it is the only one.
        for title, cell in zip(head[1:], row[1:]):
            told = title if title not in ("", "meaning") and len(head) > 2 else ""
            if cell:
                out += [".br"] if out[-1][:4] != ".It " else []
                out += paragraph(
                    plain(full_stop(f"{capital(told)}: {cell}" if told else capital(cell)))
                )
    return out + [".El"]


def markdown(text):
    out = []
    for block in re.split(r"\n{2,}", text.strip()):
        lines = block.split("\n")
        if block.startswith("#"):
            out.append(".Ss " + escape(plain(lines[0].lstrip("# "))))
            lines = lines[1:]
        if not lines:
            continue
        if lines[0].startswith("|"):
            out += table(lines)
        elif all(line.startswith("    ") for line in lines):
            out += literal(line[4:] for line in lines)
        elif lines[0].startswith("- "):
            out.append(".Bl -bullet")
            for item in re.split(r"^- ", "\n".join(lines), flags=re.M)[1:]:
                out += [".It", *paragraph(plain(item))]
            out.append(".El")
        else:
            # .Pp after a heading or a list's end is what the macro does by itself.
            out += ([] if out[-1:] and out[-1].startswith(".Ss") else [".Pp"]) + paragraph(
                plain(" ".join(lines))
            )
    return out


# --- owui-spoa.json(5): all keys ------------------------------------------------------------------

SCHEMAS = {
    name: json.loads((ROOT / "docs/schema" / name).read_text())
    for name in ("owui-spoa.schema.json", "tenants.schema.json")
}


def resolve(schema, home):
    """The schema with what it refers to laid below it, and the file that it stands in."""
    while isinstance(schema, dict) and ("$ref" in schema or "allOf" in schema):
        inner = [schema["$ref"]] if "$ref" in schema else []
        inner += [part["$ref"] for part in schema.get("allOf", []) if "$ref" in part]
        if not inner:
            break
        file, _, pointer = inner[0].partition("#/")
        home = file or home
        found = SCHEMAS[home]
        for step in pointer.split("/"):
            found = found[step]
        rest = {k: v for k, v in schema.items() if k not in ("$ref", "allOf")}
        schema = {**found, **rest}
    return schema, home


def kind(schema, home):
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value) for value in schema["enum"])
    if "properties" not in schema and ("anyOf" in schema or "oneOf" in schema):
        kinds = [kind(*resolve(s, home)) for s in schema.get("anyOf", schema.get("oneOf"))]
        return " or ".join(dict.fromkeys(kinds))
    names = schema.get("type", "object" if "properties" in schema else "any value")
    words = {"boolean": "true or false", "array": "list", "integer": "number"}
    name = " or ".join(
        words.get(one, one) for one in ([names] if isinstance(names, str) else names)
    )
    if name == "number" and "minimum" in schema and schema["minimum"] == schema.get("maximum"):
        name += f" {schema['minimum']}"
    elif name == "number" and "minimum" in schema:
        name += f" from {schema['minimum']}"
        name += f" to {schema['maximum']}" if "maximum" in schema else ""
    if name == "list" and isinstance(schema.get("items"), dict):
        inner = kind(*resolve(schema["items"], home)).replace("one of ", "")
        name = f"list of {inner}s" if inner in ("string", "object") else f"list of {inner}"
    return name


def keys(schema, home, path=""):
    """(path, schema, home) of every key that has a name or a place."""
    schema, home = resolve(schema, home)
    properties = {**schema.get("then", {}).get("properties", {}), **schema.get("properties", {})}
    for name, value in properties.items():
        if name == "$schema" or not isinstance(value, dict):
            continue
        found, place = resolve(value, home)
        yield path + name, found, place
        if path + name == "tenants":
            continue
        yield from keys(found, place, f"{path}{name}.")
        if isinstance(found.get("items"), dict):
            yield from keys(found["items"], place, f"{path}{name}[].")
        if isinstance(found.get("additionalProperties"), dict):
            yield from keys(found["additionalProperties"], place, f"{path}{name}.NAME.")


def key_list(schema, home):
    out = [".Bl -tag -width Ds"]
    for path, found, place in keys(schema, home):
        text = kind(found, place)
        if "default" in found:
            text += f"; default {json.dumps(found['default'], ensure_ascii=False)}"
        out += [f".It Ic {escape(path)}", *paragraph(capital(text) + ".")]
        if "description" in found:
            out += [".br", *paragraph(plain(found["description"]))]
    return out + [".El"]


def tenant_schema():
    tenants, home = resolve(
        SCHEMAS["tenants.schema.json"]["properties"]["tenants"], "tenants.schema.json"
    )
    inner = tenants.get("additionalProperties")
    if not isinstance(inner, dict):
        inner = next(
            value for name, value in tenants["patternProperties"].items() if "//" not in name
        )
    return inner, home


def configuration_page(values):
    text = (ROOT / "docs/CONFIGURATION.md").read_text()
    title, body = text.split("\n", 1)
    assert title == "# Configuration"
    out = [
        f".Dd {values['DATE']}",
        ".Dt OWUI-SPOA.JSON 5",
        f".Os owui-spoa {values['VERSION']}",
        ".Sh NAME",
        ".Nm owui-spoa.json",
        ".Nd configuration of owui-spoa and its tenants",
        ".Sh DESCRIPTION",
        *markdown(body)[1:],
        ".Sh ALL KEYS",
        "What the JSON Schemas say.",
        ".Ss Keys of the global file",
        *key_list(SCHEMAS["owui-spoa.schema.json"], "owui-spoa.schema.json"),
        ".Ss Keys of a tenant",
        *key_list(*tenant_schema()),
        ".Sh FILES",
        ".Bl -tag -width Ds",
        ".It Pa /etc/owui-spoa/owui-spoa.json",
        "The global file.",
        ".It Pa /etc/owui-spoa/tenants.d/*.json",
        "Tenants.",
        ".El",
        ".Sh SEE ALSO",
        ".Xr haproxy 1 ,",
        ".Xr owui-spoa 8",
    ]
    return "\n".join(out) + "\n"


def main():
    program, version, date, folder = sys.argv[1:]
    day = datetime.date.fromisoformat(date)
    values = {"VERSION": version, "DATE": f"{day:%B} {day.day}, {day.year}"}
    folder = pathlib.Path(folder)
    (folder / "owui-spoa.8").write_text(commands_page(program, values))
    (folder / "owui-spoa.json.5").write_text(configuration_page(values))


main()
