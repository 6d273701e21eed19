"""What every test run shares: nothing is skipped silently, in CI nothing is skipped at all, and the parts of a machine.

A test that needs something of the machine says so: `@pytest.mark.needs("docker", "git")`, or takes one of the fixtures
below. What can't be had is listed at the end and the run exits with 3; with CI=true it is a failure.
"""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from streams.broker import LocalBroker, free_port
from tests.support import provision
from tests.support.certificates import Authority

CHECKOUT = Path(__file__).resolve().parent.parent
EXIT_SOMETHING_MISSING = 3
NEEDED_BY_FIXTURE = {
    "docker_engine": "docker",
    "kafka_broker": "kafka",
    "other_python": "another-python",
    "python_image": "docker",
}

MISSING = "missing"  # a property in the report of a test that was not tried: what it needs, and why that is not there


def pytest_configure() -> None:
    # Asked to stop, we still end what we started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


# --- Needs -----------------------------------------------------------------------------------------------------------


def _needs_of(item: pytest.Item) -> list[str]:
    named = [name for mark in item.iter_markers("needs") for name in mark.args]
    implied = [NEEDED_BY_FIXTURE[name] for name in getattr(item, "fixturenames", ()) if name in NEEDED_BY_FIXTURE]
    return list(dict.fromkeys(named + implied))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in _needs_of(item):
        if reason := provision.missing(name):
            item.user_properties.append((MISSING, (name, reason)))
            pytest.skip(f"needs {name}: {reason}")


def _no_skip_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if provision.in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"In CI nothing is skipped. {why}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _no_skip_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _no_skip_in_ci(report)
    return report


def _missing(reporter: pytest.TerminalReporter) -> dict[tuple[str, str], int]:
    """How many tests were not tried, by what they need and why. Other processes send us their reports alone."""
    reports = [report for outcome in ("skipped", "failed") for report in reporter.stats.get(outcome, ())]
    named = (value for report in reports for name, value in getattr(report, "user_properties", ()) if name == MISSING)
    return Counter((what, why) for what, why in named)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing = _missing(terminalreporter)
    if missing:
        terminalreporter.section("not tried here, for want of")
    for (what, why), tests in sorted(missing.items()):
        terminalreporter.line(f"{what} ({tests} tests): {why}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.exitstatus == pytest.ExitCode.OK and reporter and _missing(reporter):
        session.exitstatus = EXIT_SOMETHING_MISSING


# --- Parts of the machine --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[str]:
    """Address of a Docker engine, for `docker.DockerClient(base_url=...)` and DOCKER_HOST."""
    with provision.docker_engine() as address:
        yield address


@pytest.fixture(scope="session")
def python_image(docker_engine: str) -> Iterator[str]:
    """Id of an image with `/usr/bin/python3` and a shell, in `docker_engine`."""
    with provision.python_image(docker_engine) as image:
        yield image


# Two more doors of the broker: one asks for a name and a password, one for a certificate, and shows its own.
GUARDED, SEALED = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
DOORS = {
    "listeners": "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
    f",SASL_PLAINTEXT://{GUARDED},SSL://{SEALED}",
    "advertised.listeners": f"PLAINTEXT://127.0.0.1:{{port}},SASL_PLAINTEXT://{GUARDED},SSL://{SEALED}",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL",
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule"
    ' required user_ann="right";',
    **{f"listener.name.ssl.ssl.{store}.type": "PEM" for store in ("keystore", "truststore")},
    "listener.name.ssl.ssl.client.auth": "required",
}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the broker's certificate, and is trusted by it."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[LocalBroker]:
    """A running Kafka broker for all tests: each gives its topics a prefix of its own, and leaves the broker alone."""
    doors = DOORS | {
        "listener.name.ssl.ssl.keystore.location": str(authority.give("broker")),
        "listener.name.ssl.ssl.truststore.location": str(authority.certificate),
    }
    broker = LocalBroker(tmp_path_factory.mktemp("kafka"), jvm=["-XX:TieredStopAtLevel=1"], properties=doors)
    broker.start()
    yield broker
    broker.kill()  # in order, it would take leave of some thousand partitions


@pytest.fixture(scope="session")
def mortal_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A broker to kill and to freeze: it has few partitions to look after when it is started again."""
    broker = LocalBroker(tmp_path_factory.mktemp("mortal-kafka"), jvm=["-XX:TieredStopAtLevel=1"])
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def sealed_kafka(kafka_broker: LocalBroker) -> str:
    """Address of the same broker where everything is encrypted, and who enters shows a certificate of `authority`."""
    assert kafka_broker.pid
    return SEALED


@pytest.fixture(scope="session")
def guarded_kafka(kafka_broker: LocalBroker) -> str:
    """Address of the same broker where `ann` may enter with the password `right`, by SASL PLAIN."""
    assert kafka_broker.pid
    return GUARDED


@pytest.fixture(scope="session")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter of another minor version than this one, with this project and what it needs installed."""
    base = provision.another_python()
    assert base, "asked for without `needs`"
    environment = tmp_path_factory.mktemp("other-python") / "venv"
    settings = os.environ | {"CRUNCH_REUSE_PYTHON": base, "CRUNCH_REUSE_VENV": str(environment)}
    subprocess.run([CHECKOUT / "run", "--help"], env=settings, check=True, capture_output=True)
    return str(environment / "bin" / "python")
