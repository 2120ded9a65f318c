"""Terminals: a program that believes to have one, and what it printed there as a picture."""

import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import sys
import termios

COLUMNS = 80
SEQUENCE = re.compile("\x1b\\[([0-9;]*)m")
CLASSES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "7": "reverse"}
FONT_PX, LINE_PX, CHARACTER_PX, MARGIN_PX = 14, 19, 8.43, 16
# Colours for light and for dark surroundings, of enough contrast on their background.
STYLE = f"""
  text {{ font: {FONT_PX}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
         white-space: pre; fill: #1f2328 }}
  rect {{ fill: #f6f8fa; stroke: #d0d7de }}
  .bold {{ font-weight: bold }} .dim {{ fill: #59636e }} .prompt {{ fill: #59636e }}
  .red {{ fill: #b3261e }} .green {{ fill: #116329 }} .yellow {{ fill: #7a4e00 }}
  @media (prefers-color-scheme: dark) {{
    text {{ fill: #e6edf3 }} rect {{ fill: #161b22; stroke: #3d444d }}
    .dim, .prompt {{ fill: #9198a1 }}
    .red {{ fill: #ff8178 }} .green {{ fill: #56d364 }} .yellow {{ fill: #e3b341 }}
  }}
"""


def progress(text):
    """The one line of what is going on at this moment."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def wide_lines(text, columns=COLUMNS):
    """Lines that do not fit, but for those whose longest word, as a path is, fills much of one."""
    return [
        line
        for line in plain(text).splitlines()
        if len(line) > columns and max(map(len, line.split())) <= columns // 3
    ]


def typed(command, env=None, columns=COLUMNS, rows=40, answer=""):
    """What the command prints on a terminal where somebody types the answer; its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **(env or {})}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [str(word) for word in command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    printed = b""
    try:
        while chunk := os.read(ours, 65536):
            printed += chunk
    except OSError:
        pass  # EIO: nobody has the terminal any more
    os.close(ours)
    return printed.decode().replace("\r\n", "\n"), process.wait(timeout=60)


def plain(text):
    return SEQUENCE.sub("", text)


def _spans(line, style):
    """The line as SVG, and the style that is in force at its end."""
    out, at = [], 0
    for match in [*SEQUENCE.finditer(line), None]:
        part = line[at : match.start() if match else len(line)]
        if part:
            text = html.escape(part)
            out.append(f'<tspan class="{style}">{text}</tspan>' if style else text)
        if match:
            style, at = CLASSES.get(match[1], ""), match.end()
    return "".join(out), style


def svg(shown):
    """A picture of [(command, what it printed), ...]."""
    body, style = [], ""
    for number, (command, printed) in enumerate(shown):
        body += [""] if number else []
        body.append(
            f'<tspan class="prompt">$ </tspan><tspan class="bold">{html.escape(command)}</tspan>'
        )
        for line in printed.rstrip("\n").split("\n"):
            spans, style = _spans(line, style)
            body.append(spans)
    width = round(COLUMNS * CHARACTER_PX + 2 * MARGIN_PX)
    height = len(body) * LINE_PX + 2 * MARGIN_PX
    lines = "\n".join(
        f'<text x="{MARGIN_PX}" y="{MARGIN_PX + number * LINE_PX + FONT_PX}">{line}</text>'
        for number, line in enumerate(body)
        if line
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" xml:space="preserve">\n<style>{STYLE}</style>\n'
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>\n{lines}\n</svg>\n'
    )
