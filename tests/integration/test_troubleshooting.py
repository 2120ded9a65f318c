"""README's "When something is wrong": each symptom that has a word of ours is made to happen, and the
commands that the table names tell what it says."""

import re

import pytest

from support.clients import request
from support.processes import free_port, wait_until
from support.stack import REPOSITORY, run_agent_command
from test_admin import Admin

HANDSHAKE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
]
SOCKET = "/ws/socket.io/?EIO=4&transport=websocket"


def table():
    """What one sees, of each row."""
    text = (REPOSITORY / "README.md").read_text()
    part = text.split("\n### When something is wrong\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")]
    return rows[1:]


@pytest.fixture(scope="module")
def stack(new_module_stack, upstreams):
    stack = new_module_stack()
    gamma = upstreams["gamma"].url  # whose own CORS_ALLOW_ORIGIN is another host's
    plain = {"https": "off"}
    stack.write_tenants(
        {
            "good": {"hosts": ["good.test"], "upstream": upstreams["alpha"].url, **plain},
            "gone": {"hosts": ["gone.test"], "upstream": "http://no-such.invalid:3000", **plain},
            "dead": {
                "hosts": ["dead.test"],
                "upstream": f"http://127.0.0.1:{free_port()}",
                **plain,
            },
            "other": {"hosts": ["other.test"], "upstream": gamma, **plain},
            "few": {
                "hosts": ["few.test"],
                "upstream": upstreams["alpha"].url,
                "limits": {"requests_per_10s": 1},
                **plain,
            },
        }
    )
    return stack.start()


def told(stack, *arguments):
    """What a command prints, in one line."""
    return " ".join(Admin(stack).run(*arguments)[1].split())


def seen(stack, host, path="/api/version", headers=()):
    answer = request(stack.http_port, path, host, headers=list(headers))
    return answer.status, answer.header("X-Refused")


def unresolved(stack):
    assert seen(stack, "gone.test") == (503, "upstream-unresolved")
    assert "no-such.invalid has no address" in told(stack, "status")
    assert "resolve_failed name=no-such.invalid" in stack.agents[0].log()


def dead(stack):
    assert seen(stack, "dead.test") == (503, None)
    assert "nobody listens there" in told(stack, "doctor", "dead")


def unknown_host(stack):
    assert seen(stack, "nobody.test") == (404, "unknown-host")
    assert "reason unknown-host" in told(stack, "explain", "http://nobody.test/")
    assert "nobody.test" not in told(stack, "tenants")


def scanner(stack):
    assert seen(stack, "good.test", "/wp-login.php") == (404, "scanner")


def two_parsers(stack):
    assert seen(stack, "good.test", "/a/%2e%2e/b")[1].startswith("path-")
    status, word = seen(stack, "good_test..")
    assert status == 400 and word.startswith("host-")


def limit(stack):
    wait_until(lambda: seen(stack, "few.test") == (429, "requests"), "it is over its limit", 30)


def origin(stack):
    stranger = [*HANDSHAKE, ("Origin", "http://stranger.test")]
    assert seen(stack, "good.test", SOCKET, stranger) == (403, "origin")


def cors(stack):
    own = [*HANDSHAKE, ("Origin", "http://other.test")]
    status, word = seen(stack, "other.test", SOCKET, own)
    assert status in (400, 403) and word is None
    assert "CORS_ALLOW_ORIGIN=http://other.test" in told(stack, "tenants", "other")


def kept(stack):
    stack.write_tenants({"good": {"hosts": ["good.test"], "upstrem": "x"}}, "later.json")
    wait_until(lambda: 'unknown key "upstrem"' in told(stack, "status"), "it is told", 30)
    done = run_agent_command("check", "-c", stack.config_path)
    assert 'did you mean "upstream"?' in done.stdout + done.stderr
    (stack.tenants_dir / "later.json").unlink()


def no_agent(stack):
    stack.agents[0].stop()
    wait_until(lambda: seen(stack, "good.test") == (503, "no-agent"), "HAProxy says so", 30)
    assert Admin(stack).run("status")[0] == 2
    stack.start_agent()
    wait_until(lambda: seen(stack, "good.test")[0] == 200, "it is there again", 30)


# None: other tests make it happen (test_doctor.py, test_certificates.py).
TRIED = {
    "503, `X-Refused: no-agent`": no_agent,
    "503, `X-Refused: upstream-unresolved`": unresolved,
    "503 without `X-Refused`": dead,
    "404, `X-Refused: unknown-host`": unknown_host,
    "404, `X-Refused: scanner`": scanner,
    "400, `X-Refused: host-...` or `path-...`": two_parsers,
    "429, `X-Refused: requests`, `signin` or `websockets`": limit,
    "pages load, chat does not answer; 403, `X-Refused: origin`": origin,
    "pages load, chat does not answer; no `X-Refused`": cors,
    "login ends on http://": None,
    "no certificate, or the wrong one": None,
    "a change is not in force": kept,
}


def test_every_symptom_is_tried():
    assert table() == list(TRIED)


@pytest.mark.parametrize("symptom", [name for name, trial in TRIED.items() if trial])
def test_a_symptom(stack, symptom):
    TRIED[symptom](stack)


def test_the_commands_that_are_named_are_there():
    text = (REPOSITORY / "README.md").read_text()
    part = text.split("\n### When something is wrong\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`(?:sudo )?owui-spoa ([a-z]+)", part))
    listed = run_agent_command("--help").stdout
    assert named and all(f"\n  {name} " in listed for name in named), named
