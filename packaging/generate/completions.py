#!/usr/bin/python3
"""Writes the shells' completions: completions.py PROGRAM OUTPUT_FOLDER

owui-spoa.bash, _owui-spoa (zsh) and owui-spoa.fish, from what the program says of its commands.
"""

import pathlib
import re
import sys

import commands

FILES = {"FILE", "PATH"}
FOLDERS = {"DIR", "FOLDER"}
HEAD = (
    "# Completion of owui-spoa, made from what it says itself: packaging/generate/completions.py\n"
)


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


# --- bash -----------------------------------------------------------------------------------------


def bash(program):
    every = commands.read(program)
    cases, choices, files, folders, other = [], {}, set(), set(), set()
    for command in every:
        words = [*command.verbs, *(option.long for option in command.options)]
        cases.append(f"    {command.name}) words={quoted(' '.join(words))} ;;")
        for option in command.options:
            if option.choices:
                choices[f'"{command.name} {option.long}"'] = " ".join(option.choices)
            elif option.value:
                target = files if option.value in FILES else other
                target = folders if option.value in FOLDERS else target
                target.update(filter(None, (option.short, option.long)))
    other -= files | folders
    chosen = "\n".join(
        f"    {place}) words={quoted(values)} ;;" for place, values in sorted(choices.items())
    )
    names = " ".join(command.name for command in every)
    cases.append(f"    help) words={quoted(names)} ;;")
    names += " help --help --version"
    values = []
    for options, action in (
        (files, 'mapfile -t COMPREPLY < <(compgen -f -- "$word")'),
        (folders, 'mapfile -t COMPREPLY < <(compgen -d -- "$word")'),
        (other, ":"),
    ):
        if options:
            pattern = " | ".join(sorted(options))
            values.append(f"    {pattern})\n        {action}\n        return\n        ;;")
    return f"""# shellcheck shell=bash
{HEAD}
_owui_spoa()
{{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} words=''
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W {quoted(names)} -- "$word")
        return
    fi
    case $before in
{chr(10).join(values)}
    esac
    case "${{COMP_WORDS[1]}} $before" in
{chosen}
    esac
    [ -n "$words" ] || case ${{COMP_WORDS[1]}} in
{chr(10).join(cases)}
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    [ ${{#COMPREPLY[@]}} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
}}
complete -o filenames -F _owui_spoa owui-spoa
"""


# --- zsh ------------------------------------------------------------------------------------------


def zsh_text(text):
    for mark in "\\[]:":
        text = text.replace(mark, "\\" + mark)
    return text.replace("'", "'\\''")


def zsh_option(option):
    value = ""
    if option.value:
        action = "_files" if option.value in FILES else "_files -/"
        action = action if option.value in FILES | FOLDERS else " "
        action = f"({' '.join(option.choices)})" if option.choices else action
        value = f":{option.value}:{action}"
    text = f"[{zsh_text(option.text)}]{value}"
    if option.short:
        return f"'({option.short} {option.long})'{{{option.short},{option.long}}}'{text}'"
    return f"'{option.long}{text}'"


def zsh(program):
    every = commands.read(program)
    names = "\n".join(f"        '{c.name}:{zsh_text(c.summary)}'" for c in every)
    cases = []
    for command in every:
        lines = [zsh_option(option) for option in command.options]
        if command.verbs:
            lines.append(f"'1:verb:({' '.join(command.verbs)})'")
        lines.append("'*:argument:_files'")
        body = " \\\n            ".join(lines)
        cases.append(
            f"    {command.name})\n        _arguments -s \\\n            {body}\n        ;;"
        )
    words = " ".join(command.name for command in every)
    cases.append(f"    help)\n        _arguments '1:command:({words})'\n        ;;")
    return f"""#compdef owui-spoa
{HEAD}
local -a commands
if (( CURRENT == 2 )); then
    commands=(
{names}
        'help:tell how a command is used'
    )
    _describe command commands
    return
fi
shift words
(( CURRENT-- ))
case $words[1] in
{chr(10).join(cases)}
esac
"""


# --- fish -----------------------------------------------------------------------------------------


def fish(program):
    every = commands.read(program)
    names = " ".join(command.name for command in every)
    lines = [HEAD, "complete -c owui-spoa -f"]
    lines.append(
        "complete -c owui-spoa -n __fish_use_subcommand -a help -d 'tell how a command is used'"
    )
    lines.append(f"complete -c owui-spoa -n '__fish_seen_subcommand_from help' -a {quoted(names)}")
    for command in every:
        seen = f"-n '__fish_seen_subcommand_from {command.name}'"
        lines.append(
            f"complete -c owui-spoa -n __fish_use_subcommand -a {command.name}"
            f" -d {quoted(command.summary)}"
        )
        if re.search(r"\b(FILE|FOLDER|JSONFILE|TRACE)\b", " ".join(command.usage)):
            lines.append(f"complete -c owui-spoa {seen} -F")
        for verb in command.verbs:
            lines.append(f"complete -c owui-spoa {seen} -a {verb} -d {quoted(command.verbs[verb])}")
        for option in command.options:
            line = f"complete -c owui-spoa {seen} -l {option.long[2:]}"
            line += f" -s {option.short[1]}" if option.short else ""
            if option.value in FILES | FOLDERS:
                line += " -r -F"
            elif option.value:
                line += " -x"
            line += f" -a {quoted(' '.join(option.choices))}" if option.choices else ""
            lines.append(f"{line} -d {quoted(option.text)}")
    return "\n".join(lines) + "\n"


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    (folder / "owui-spoa.bash").write_text(bash(program))
    (folder / "_owui-spoa").write_text(zsh(program))
    (folder / "owui-spoa.fish").write_text(fish(program))


main()
