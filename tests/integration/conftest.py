"""Fixtures: upstreams once per run, the common stack once per run, own stacks where a test needs
to break something."""

import contextlib
import pathlib
import shutil
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support.acme import CHALLTESTSRV, PEBBLE, Pebble  # noqa: E402
from support.certificates import Authority  # noqa: E402
from support.certified import CertifiedStack  # noqa: E402
from support.names import NameServer  # noqa: E402
from support.processes import has_ipv6  # noqa: E402
from support.stack import BINARY, HAPROXY, Stack, Upstream  # noqa: E402
from support.wire import Wire  # noqa: E402
from support import tenants  # noqa: E402

_running = []  # stacks whose logs tell why a test failed


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the long forms too")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes; runs with --slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))
    missing = [str(program) for program in (BINARY,) if not program.exists()]
    if HAPROXY is None:
        missing.append("haproxy")
    if missing:
        raise pytest.UsageError(f"missing: {', '.join(missing)}; tests/run integration builds it")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for stack in _running:
            for name, log in stack.logs():
                report.sections.append((f"{name} ({stack.directory})", log[-2500:]))


@pytest.fixture(scope="session")
def folder():
    """A short path: unix sockets have to fit into 108 bytes."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="owui."))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def authority(folder):
    return Authority(folder)


@pytest.fixture(scope="session")
def upstreams(folder, authority):
    """By name: three plain ones, one with TLS and one on IPv6, if there is any, which has the other
    parser."""
    certificate = authority.issue(["secure.internal"], folder / "upstream.pem")
    started = [
        Upstream("alpha", folder, env={"WEBUI_AUTH_TRUSTED_EMAIL_HEADER": "X-User-Email"}),
        Upstream("beta", folder),
        Upstream("gamma", folder, env={"CORS_ALLOW_ORIGIN": "https://chat.gamma.test"}),
        Upstream("secure", folder, certificate=certificate),
        Upstream("six", folder, host="::1" if has_ipv6() else "127.0.0.1", parser="h11"),
    ]
    for upstream in started:
        upstream.start()
    for upstream in started:
        upstream.wait()
    yield {upstream.name: upstream for upstream in started}
    for upstream in started:
        upstream.stop()


@pytest.fixture(scope="session")
def stack(folder, authority, upstreams):
    """The stack of support/tenants.py, for tests that leave it as it was."""
    common = Stack(
        folder / "common",
        upstreams,
        authority,
        changes=tenants.settings(),
        haproxy_changes=tenants.haproxy_settings(upstreams),
    )
    common.write_tenants(tenants.tenants(upstreams))
    for names in tenants.CERTIFICATES:
        common.issue(*names)
    _running.append(common)
    try:
        yield common.start()
    finally:
        _running.remove(common)
        common.stop()


def _stacks(folder, make_one):
    """A maker of stacks, each in a folder of its own: make_one(path, what it is called with)."""
    # All of them are stopped, also when one of them says on that occasion that something is wrong.
    with contextlib.ExitStack() as at_end:

        def make(*arguments, **options):
            path = pathlib.Path(tempfile.mkdtemp(prefix="t.", dir=folder))
            path.chmod(0o755)
            one = make_one(path, *arguments, **options)
            _running.append(one)
            at_end.callback(one.stop)
            at_end.callback(_running.remove, one)
            return one

        yield make


def _plain_stacks(folder, authority, upstreams):
    yield from _stacks(folder, lambda path, **options: Stack(path, upstreams, authority, **options))


@pytest.fixture
def new_stack(folder, authority, upstreams):
    """Makes stacks that a test may break: new_stack(**options), not started."""
    yield from _plain_stacks(folder, authority, upstreams)


@pytest.fixture(scope="module")
def new_module_stack(folder, authority, upstreams):
    """The same for stacks that a file's tests share."""
    yield from _plain_stacks(folder, authority, upstreams)


@pytest.fixture
def ipv6():
    if not has_ipv6():
        pytest.skip("needs ::1")


@pytest.fixture
def wire():
    if shutil.which("nsenter") is None or shutil.which("ip") is None:
        pytest.skip("needs nsenter and ip")
    try:
        made = Wire().__enter__()
    except OSError as error:
        pytest.skip(f"needs the right to make network namespaces and TUN devices: {error}")
    yield made
    made.__exit__()


@pytest.fixture
def new_ca(folder, authority):
    """Makes pebbles of one's own: new_ca(**options), started."""
    made = []

    def make(**options):
        one = Pebble(pathlib.Path(tempfile.mkdtemp(prefix="ca.", dir=folder)), authority, **options)
        made.append(one)
        return one.start()

    if PEBBLE is None or CHALLTESTSRV is None:
        pytest.skip("needs pebble and pebble-challtestsrv")
    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="session")
def ca(folder, authority):
    """The pebble of most tests."""
    if PEBBLE is None or CHALLTESTSRV is None:
        pytest.skip("needs pebble and pebble-challtestsrv")
    path = folder / "ca"
    path.mkdir()
    one = Pebble(path, authority).start()
    yield one
    one.stop()


@pytest.fixture
def new_certified(folder, authority, upstreams, ca):
    """Makes stacks that get their certificates by themselves, not started. One at a time: they share
    the port where the CA looks for challenges."""

    def make_one(path, pebble=None, **options):
        return CertifiedStack(path, upstreams, authority, pebble or ca, **options)

    yield from _stacks(folder, make_one)


@pytest.fixture
def http(stack):
    return stack.http_port


@pytest.fixture
def https(stack):
    return stack.https_port


@pytest.fixture
def names():
    """A name server that says what the test has it say."""
    server = NameServer()
    yield server
    server.stop()
