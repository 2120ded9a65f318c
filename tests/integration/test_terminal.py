"""The commands on a terminal of 80 columns: what is wrong comes first, no line is wider, and colours
are there and nowhere else.

    OWUI_SCREENSHOTS=$PWD/docs/images tests/run integration -- tests/integration/test_terminal.py

makes the pictures of README.md and docs/ADMIN.md anew."""

import os
import pathlib

import pytest

from support.processes import wait_until
from support.stack import BINARY, SANITIZERS, run_agent_command
from support.terminal import COLUMNS, plain, svg, typed, wide_lines

SHOTS = os.environ.get("OWUI_SCREENSHOTS")
HOST = "chat.example.com"
PICTURES = {  # a name, and the commands that it shows
    "status": [["status"]],
    "tenants": [["tenants"], ["certs", "chat"]],
    "explain": [["explain", f"https://{HOST}/"]],
    "doctor": [["doctor", "--seconds", "60"]],
}


def config_of(stack):
    return ["-c", stack.config_path]


@pytest.fixture
def troubled(new_certified):
    """One tenant is well, and one has a mistake in its file."""
    stack = new_certified()
    chat = {"hosts": [HOST], "upstream": stack.upstreams["alpha"].url}
    stack.write_tenants({"chat": chat}, "chat.json")
    stack.start()
    stack.wait_served(HOST)
    # One line of the file is wrong, while everything runs.
    wrong = {"hosts": ["sales.example.com"], "upstrem": "http://10.0.0.9:3000"}
    stack.write_tenants({"sales": wrong}, "sales.json")
    wait_until(lambda: run_agent_command("tenants", *config_of(stack)).returncode == 1, "read", 30)
    stack.wait_for_agents(1)
    wait_until(lambda: stack.told("chat.pem")["haproxys"][0]["served"], "told", 30)
    return stack


def commands(stack):
    for arguments in [one for shown in PICTURES.values() for one in shown] + [
        ["certs"],
        ["history"],
        ["check"],
        ["top", "--once"],
        ["reload"],
    ]:
        yield arguments, [BINARY, *arguments, *config_of(stack)]


def test_no_line_is_wider_than_the_terminal(troubled):
    """Words that are longer than a line, as paths below a temporary folder are, stay whole."""
    for arguments, command in commands(troubled):
        text, code = typed(command, SANITIZERS)
        assert text and code in (0, 1, 2), arguments
        assert wide_lines(text) == []


REFUSED = [  # commands that have to tell somebody why they do nothing, and their exit codes
    (["stats"], 2),
    (["status", "--socket"], 2),
    (["tenants", "--state", "brkn"], 2),
    (["tenants", "nobody"], 1),
    (["tenants", "add", "chat", "hosts=a.example.com"], 1),
    (["tenants", "add", "Sales", 'hosts=["a.example.com"]', "upstream=http://10.0.0.1:3000"], 1),
    (["tenants", "add", "more", f'hosts=["{HOST}"]', "upstream=http://10.0.0.1:3000"], 1),
    (["tenants", "add", "more", 'hosts=["x.example.com"]', "upstream=tcp://10.0.0.1"], 1),
    (["switch", "chat", "green"], 1),
    (["rollback", "4711"], 1),
    (["doctor", "nobody"], 2),
    (["certs", "renew", "nobody"], 1),
    (["certs", "import", "/nowhere"], 1),
    (["token", "remove", "nobody"], 1),
    (["setup", "--upstream", "127.0.0.1:3000"], 2),
]


def test_what_is_refused_fits_too_and_is_one_line_elsewhere(troubled):
    longest = 0
    for arguments, expected in REFUSED:
        command = [BINARY, *arguments, *([] if arguments == ["stats"] else config_of(troubled))]
        text, code = typed(command, SANITIZERS)
        assert code == expected and text.startswith("owui-spoa: "), (arguments, code, text)
        assert wide_lines(text) == [], text
        done = run_agent_command(*command[1:])  # into a log, say
        assert done.returncode == expected and done.stdout == ""
        assert done.stderr.startswith("owui-spoa: ")
        assert " ".join(done.stderr.split()) == " ".join(text.split())
        longest = max(longest, *map(len, done.stderr.splitlines()))
    assert longest > COLUMNS


def test_colours_are_for_terminals(troubled):
    config = config_of(troubled)
    text, code = typed([BINARY, "status", *config], SANITIZERS)
    first, _, third = text.splitlines()[:3]
    assert code == 1 and first.endswith(": \x1b[31m1 thing to look at\x1b[0m")
    assert third == "tenant sales is broken: it is not served"
    assert "\x1b" not in typed([BINARY, "status", *config], {**SANITIZERS, "TERM": "dumb"})[0]
    for command in ("status", "doctor", "tenants", "certs"):
        assert "\x1b" not in run_agent_command(command, *config).stdout


def test_what_strangers_say_moves_no_cursor(troubled):
    """HAProxy lets a Host with an escape sequence through to be refused, and it is recorded."""
    hidden = {chr(c) for c in [*range(9), *range(11, 32), *range(127, 160)]}
    said = "ev\x1b]0;title\x07il\x1b[2J\x9b2J"
    told = "ev\\x1b]0;title\\x07il\\x1b[2J\\xc2\\x9b2J"
    for words in (
        ["explain", f"http://{said}.test/"],
        ["explain", "http://x.test/", "--from", said],
    ):
        command = [BINARY, *words, *config_of(troubled)]
        text, _ = typed(command, SANITIZERS)
        assert told in text and not set(plain(text)) & hidden, text
        raw = run_agent_command(*command[1:])  # into a file: as it is
        assert said in raw.stdout + raw.stderr


@pytest.mark.skipif(SHOTS is None, reason="OWUI_SCREENSHOTS names no folder")
def test_pictures(troubled):
    """Folders are shown as a package has them."""
    folder = pathlib.Path(SHOTS)
    named = {
        str(troubled.tenants_dir): "/etc/owui-spoa/tenants.d",
        str(troubled.config_path): "/etc/owui-spoa/owui-spoa.json",
        str(troubled.runtime_socket): "/run/haproxy/admin.sock",
        str(troubled.directory): "/var/lib/owui-spoa",
    }
    for name, shown in PICTURES.items():
        printed = []
        for arguments in shown:
            text, _ = typed([BINARY, *arguments, *config_of(troubled)], SANITIZERS)
            for path, usual in named.items():
                text = text.replace(path, usual)
            printed.append((" ".join(["owui-spoa", *arguments]), text))
        (folder / f"cli-{name}.svg").write_text(svg(printed))
