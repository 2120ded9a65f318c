"""What is made from the program's own words: man pages and completions. They cannot drift from the
program, and they are complete."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from support.stack import BINARY, REPOSITORY, run_agent_command

GENERATE = REPOSITORY / "packaging" / "generate"
sys.path.insert(0, str(GENERATE))
import commands  # noqa: E402


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    for script, arguments in (("man.py", ["1.2.3", "2026-01-31"]), ("completions.py", [])):
        subprocess.run(
            [sys.executable, GENERATE / script, BINARY, *arguments, folder], check=True, timeout=60
        )
    return folder


@pytest.fixture(scope="module")
def every_command():
    return commands.read(str(BINARY))


def test_help_tells_people_what_it_tells_programs(every_command):
    for command in every_command:
        done = subprocess.run([BINARY, command.name, "--help"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        text, words = done.stdout, " ".join(done.stdout.split())
        assert all(len(line) <= 80 for line in text.splitlines())
        assert command.usage and all(f" {form}\n" in text for form in command.usage)
        for form in command.usage:  # behind "--" there are no options
            assert form.split(" [-- ")[0].endswith("[OPTION...]"), form
        assert command.about in words and command.examples
        assert all(f"  {example}\n" in text for example in command.examples)
        for option in command.options:
            value = f" {option.value}" if option.value else ""
            assert f"{option.long}{value} {option.text} " in words, (command.name, option.long)


def test_options_that_all_commands_have_come_last(every_command):
    common = ["--config", "--socket", "--json", "--help"]
    for command in every_command:
        names = [option.long for option in command.options]
        own = [name for name in names if name not in common]
        assert names == own + [name for name in common if name in names], command.name


def test_the_page_of_the_program_has_every_option(docs, every_command):
    page = (docs / "owui-spoa.8").read_text()
    assert every_command
    for command in every_command:
        part = page.split(f".Ss {command.name}\n")[1].split(".Ss ")[0]
        for option in command.options:
            if option.long != "--help":
                assert option.long in part, f"{command.name} {option.long}"
    assert "this is version 1.2.3" in page and "January 31, 2026" in page


def keys_of(schema):
    for name, value in schema.get("properties", {}).items():
        yield name
        if isinstance(value, dict):
            yield from keys_of(value)
    for part in [*schema.get("definitions", {}).values(), *filter(None, [schema.get("then")])]:
        yield from keys_of(part)


def test_the_page_of_the_configuration_has_every_key(docs):
    page = (docs / "owui-spoa.json.5").read_text()
    listed = set(re.findall(r"^\.It Ic (\S+)", page.split(".Sh ALL KEYS")[1], re.M))
    names = {path.split(".")[-1].removesuffix("[]") for path in listed}
    for name in ("owui-spoa.schema.json", "tenants.schema.json"):
        schema = json.loads((REPOSITORY / "docs/schema" / name).read_text())
        missing = set(keys_of(schema)) - names - {"$schema"}
        assert not missing, f"{name}: {missing}"
    assert "any value" not in page.lower()


def run_mandoc(*arguments):
    if not shutil.which("mandoc"):
        pytest.skip("needs mandoc")
    return subprocess.run(["mandoc", *arguments], capture_output=True, text=True).stdout


@pytest.mark.parametrize("page", ["owui-spoa.8", "owui-spoa.json.5"])
def test_the_pages_are_well_formed(docs, page):
    told = run_mandoc("-T", "lint", "-W", "warning", docs / page)
    # Where a sentence ends is a guess, of ours and of mandoc's.
    said = [line for line in told.splitlines() if "new sentence" not in line]
    assert said == []


@pytest.mark.parametrize("page", ["owui-spoa.8", "owui-spoa.json.5"])
def test_the_pages_fit_a_terminal(docs, page):
    """Examples are not broken into lines."""
    told = run_mandoc("-T", "utf8", "-O", "width=80", docs / page)
    lines = re.sub("(?s).\b", "", told).splitlines()
    assert len(lines) > 100 and [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("page", ["owui-spoa.8", "owui-spoa.json.5"])
def test_words_with_hyphens_stay_whole(docs, page):
    """A line of the source that ends with one would be told with a blank behind it."""
    lines = (docs / page).read_text().splitlines()
    assert [line for line in lines if re.search(r"[a-z]-$", line)] == []


def complete_in_bash(docs, *words):
    script = f"""
        . {docs}/owui-spoa.bash
        COMP_WORDS=({' '.join(f"'{word}'" for word in words)})
        COMP_CWORD={len(words) - 1}
        _owui_spoa
        printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, cwd=docs, timeout=20
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_bash_completes_commands_verbs_options_and_files(docs, every_command):
    names = {command.name for command in every_command}
    assert names <= set(complete_in_bash(docs, "owui-spoa", ""))
    assert complete_in_bash(docs, "owui-spoa", "certs", "rollb") == ["rollback"]
    for command in every_command:
        offered = set(complete_in_bash(docs, "owui-spoa", command.name, "--"))
        assert offered == {option.long for option in command.options}
    assert complete_in_bash(docs, "owui-spoa", "check", "-c", "owui-spoa.f") == ["owui-spoa.fish"]
    assert complete_in_bash(docs, "owui-spoa", "token", "--role", "") == ["read", "admin"]
    assert complete_in_bash(docs, "owui-spoa", "help", "stat") == ["status"]


def test_fish_completes(docs, every_command):
    if not shutil.which("fish"):
        pytest.skip("needs fish")

    def complete(words):
        done = subprocess.run(
            ["fish", "--no-config", "-c"]
            + [f"source owui-spoa.fish; complete -C 'owui-spoa {words}'"],
            capture_output=True,
            text=True,
            cwd=docs,
        )
        assert done.stderr == ""
        return {line.split("\t")[0] for line in done.stdout.splitlines()}

    for command in every_command:
        assert {option.long for option in command.options} <= complete(f"{command.name} --")
    for words in ("diff", "replay", "tenants add chat", "certs import"):
        assert "owui-spoa.fish" in complete(f"{words} owui-spoa.f"), words
    assert complete("reload owui-spoa.f") == set()
    assert complete("help stat") == {"status"}


def test_zsh_takes_its_completion(docs, every_command):
    if not shutil.which("zsh"):
        pytest.skip("needs zsh")
    done = subprocess.run(["zsh", "-n", docs / "_owui-spoa"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    text = (docs / "_owui-spoa").read_text()
    assert all(f"    {command.name})\n" in text for command in every_command)


LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def dead_links(folder):
    """Links of documents to what is not there; packages have them where the sources have them."""
    for document in folder.rglob("*.md"):
        for link in LINK.findall(document.read_text()):
            if not (document.parent / link).exists():
                yield f"{document.name}: {link}"


def test_what_is_installed_links_to_what_is_installed(tmp_path):
    build = BINARY.parents[2]
    if not (build / "cmake_install.cmake").exists():
        pytest.skip("needs a build to install from")
    subprocess.run(
        ["cmake", "--install", build, "--prefix", "/usr"],
        env={**os.environ, "DESTDIR": str(tmp_path)},
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
    documents = tmp_path / "usr/share/doc/owui-spoa"
    assert (documents / "docs/ADMIN.md").exists() and (documents / "docs/images").is_dir()
    assert list(dead_links(documents)) == []


EXAMPLE_CONFIGURATION = {
    "tenants": {
        "chat": {"hosts": ["chat.example.com"], "upstream": "http://10.0.0.1:3000"},
        "owui": {
            "hosts": ["owui.example.com"],
            "paths": [{"host": "example.com", "prefix": "/owui", "mode": "redirect"}],
            "upstream": "http://10.0.0.2:3000",
        },
    },
}
# What is answered without a daemon, and changes nothing.
OFFLINE = ("check", "explain", "haproxy-config")


def invocations(example):
    """The program's own arguments in a line of a shell."""
    words = shlex.shlex(example.replace("\\\n", " "), posix=True, punctuation_chars="|&")
    words.whitespace_split = True
    arguments = []
    for word in [*words, "|"]:
        if set(word) <= set("|&"):
            if "owui-spoa" in arguments[:2]:  # behind sudo, maybe
                yield arguments[arguments.index("owui-spoa") + 1 :]
            arguments = []
        else:
            arguments.append(word)


def test_examples_of_the_page_work(docs, every_command, tmp_path):
    page = (docs / "owui-spoa.8").read_text()
    path = tmp_path / "owui-spoa.json"
    path.write_text(json.dumps(EXAMPLE_CONFIGURATION))
    tried = 0
    for command in every_command:
        assert "Examples:\n" in page.split(f".Ss {command.name}\n")[1].split(".Ss ")[0]
        for arguments in (part for text in command.examples for part in invocations(text)):
            ours = arguments[: (arguments + ["--"]).index("--")]
            helped = run_agent_command(*ours, "--help")  # it is told when all else is understood
            assert (helped.returncode, helped.stderr) == (0, ""), arguments
            if arguments[0] in OFFLINE and "--out" not in arguments:
                done = run_agent_command(*arguments, "-c", path, cwd=tmp_path)
                assert done.returncode == 0, (arguments, done.stdout, done.stderr)
                tried += 1
    assert tried > 5


TENANT = {"hosts": ["own.example.com"], "upstream": "http://10.0.0.1:3000"}
INSTEAD_OF_AN_UPSTREAM = {"replicas", "versions", "upstream_map"}


def documents_of(example):
    """What may be meant: a whole file, or members of one, of its tenants, or of one tenant."""
    text = example.strip()
    part = json.loads(text if text.startswith("{") else "{" + text + "}")
    one = {**TENANT, **part}
    if INSTEAD_OF_AN_UPSTREAM & set(part):
        del one["upstream"]
    yield {"tenants": {"chat": TENANT}, **part}
    yield {"tenants": part}
    yield {"tenants": {"chat": one, "beta": {**TENANT, "hosts": ["beta.example.com"]}}}


def test_examples_of_the_guide_are_right(tmp_path):
    """docs/CONFIGURATION.md, which is owui-spoa.json(5) too. "..." is what it leaves out."""
    guide = (REPOSITORY / "docs/CONFIGURATION.md").read_text()
    (tmp_path / "fleet.csv").write_text("acme,http://10.1.0.11:3000\n")
    path = tmp_path / "owui-spoa.json"
    blocks = re.findall(r"(?:^ {4,}.*\n)+", guide, re.M)
    examples = [text for text in blocks if text.lstrip()[0] in '{"' and " ..." not in text]
    assert len(examples) > 12
    for example in examples:
        said = []
        for document in documents_of(example):
            path.write_text(json.dumps(document))
            done = run_agent_command("check", "--elsewhere", "-c", path)
            said.append(done.stdout)
            if done.returncode == 0:
                break
        else:
            pytest.fail("\n".join([example, *said]))


@pytest.mark.parametrize(
    "name", ["README.md", "docs/ADMIN.md", "docs/CONFIGURATION.md", "docs/PRODUCTION.md"]
)
def test_commands_in_documents_are_there(every_command, name):
    text = (REPOSITORY / name).read_text()
    options = {command.name: {o.long for o in command.options} for command in every_command}
    found = re.findall(r"(?:`|^ {4}\S* ?)owui-spoa ([a-z-]+)([^`\n]*)", text, re.M)
    assert len(found) > 5
    for command, rest in found:
        assert command in options, command
        ours = rest.split("&&")[0].split("|")[0].split(" -- ")[0]
        for option in re.findall(r" (--[a-z-]+)", ours):
            assert option in options[command], f"{command} {option}"


def test_what_a_document_names_is_there(every_command):
    """docs/HAPROXY-MANAGER.md: its tests, commands, paths of the API and keys."""
    text = (REPOSITORY / "docs/HAPROXY-MANAGER.md").read_text()
    tests = REPOSITORY / "tests"
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", text)
    assert len(named) > 20
    for file, test in named:
        assert f"def {test}(" in (tests / "integration" / file).read_text(), f"{file}::{test}"
    for file in re.findall(r"`unit/(test_\w+\.c)`", text):
        assert (tests / "unit" / file).exists(), file
    options = {option.long for command in every_command for option in command.options}
    verbs = {command.name: command.verbs for command in every_command}
    for command, rest in re.findall(r"`owui-spoa ([a-z-]+)([^`]*)`", text):
        assert command in verbs, command
        for word in rest.split():
            assert (
                word in options
                or word in verbs[command]
                or not word[0].isalpha()
                and (not word.startswith("--"))
            ), f"{command} {word}"
    described = json.loads((REPOSITORY / "docs/openapi.json").read_text())["paths"]
    known = {re.sub(r"\{\w+\}", "NAME", path) for path in described}
    for path in re.findall(r"(/v1/[\w/]+|/metrics)`", text):
        assert path in known, path
    schemas = "".join(
        (REPOSITORY / "docs/schema" / f"{name}.schema.json").read_text()
        for name in ("owui-spoa", "tenants")
    )
    for key in (
        "cidrs_file",
        "certbot_live",
        "refuse_scanners",
        "deny_ips",
        "admin_http",
        "tunnel",
    ):
        assert key in text and f'"{key}"' in schemas, key


def proof(heading):
    """One section of docs/PROOF.md."""
    text = (REPOSITORY / "docs/PROOF.md").read_text()
    return text.split(f"## {heading}")[1].split("\n## ")[0]


def integration_tests():
    """(file, name), both without "test_"."""
    return {
        (path.stem.removeprefix("test_"), name)
        for path in (REPOSITORY / "tests/integration").glob("test_*.py")
        for name in re.findall(r"^def test_(\w+)\(", path.read_text(), re.M)
    }


def test_every_test_that_the_proof_names_is_there():
    named = set(re.findall(r"\b([a-z_]+)::([a-z0-9_]+)", proof("Routing:")))
    assert len(named) > 50 and named <= integration_tests(), named - integration_tests()


def test_every_case_of_a_trap_is_there():
    """Names, and a file in brackets where it is not the usual one, "too" where it is both."""
    rows = proof("Four versions of HAProxy").split("| trap |")[1].split("\n\n")[0].splitlines()[2:]
    named = set()
    for row in rows:
        cases = row.split(" | ")[3]
        assert cases.count("`") >= 2, row
        for names, file, too in re.findall(
            r"((?:`\w+`(?:, )?)+)(?: \(test_(\w+)\.py(, too)?\))?", cases
        ):
            files = [file or "version_traps", *(["version_traps"] if too else [])]
            named |= {(file, name) for name in re.findall(r"\w+", names) for file in files}
    assert len(named) > 35 and named <= integration_tests(), named - integration_tests()


def test_every_test_of_certificates_that_the_proof_names_is_there():
    table = proof("Certificates: what goes wrong")
    named = set(re.findall(r"`(\w+)(?:\.py)?::(?:test_)?(\w+)`", table))
    short = {"answers": "acme_answers", "client": "acme_client"}
    named = {(short.get(file, file).removeprefix("test_"), name) for file, name in named}
    unit = {
        test
        for path in (REPOSITORY / "tests/unit").rglob("test_acme_*.c")
        for test in re.findall(r"^Test\((\w+), (\w+)", path.read_text(), re.M)
    }
    there = integration_tests() | unit
    assert len(named) > 30 and named <= there, named - there
