"""The parts that tests start by hand are real, and what can't be had is never passed over in silence."""

import docker
import pytest

from tests.conftest import CHECKOUT

pytest_plugins = ["pytester"]

WANTS_GIT = """
import pytest

@pytest.mark.needs("git")
def test_one(): pass

@pytest.mark.needs("git")
def test_two(): pass

def test_three(): pass
"""


@pytest.fixture
def machine_without_git(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PATH", str(pytester.mkdir("empty")))
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    pytester.makeconftest("from tests.conftest import *")
    pytester.makeini("[pytest]\nmarkers =\n  needs(*names): what it needs")
    return pytester


def test_what_is_missing_is_listed_at_the_end_and_the_exit_is_3(machine_without_git, monkeypatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    machine_without_git.makepyfile(WANTS_GIT)
    result = machine_without_git.runpytest_subprocess()
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*not tried here*", "git (2 tests): no git on the PATH; to run these, install git"])
    assert result.ret == 3


def test_in_ci_what_is_missing_is_a_failure(machine_without_git, monkeypatch) -> None:
    monkeypatch.setenv("CI", "true")
    machine_without_git.makepyfile(WANTS_GIT)
    result = machine_without_git.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    "test",
    [
        "import pytest\ndef test_one(): pytest.skip('not today')",
        "import pytest\npytest.skip('not today', allow_module_level=True)",
    ],
)
def test_in_ci_any_other_skip_is_a_failure_too(machine_without_git, monkeypatch, test: str) -> None:
    monkeypatch.setenv("CI", "true")
    machine_without_git.makepyfile(test)
    result = machine_without_git.runpytest_subprocess()
    result.stdout.fnmatch_lines(["*In CI nothing is skipped.*not today*"])
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def test_a_container_runs_python_in_the_engine_we_started(docker_engine: str, python_image: str) -> None:
    client = docker.DockerClient(base_url=docker_engine)
    try:
        command = ["python3", "-c", "import json, hashlib; print(json.dumps(6 * 7))"]
        output = client.containers.run(python_image, command, network_mode="none", remove=True)
    finally:
        client.close()
    assert output == b"42\n"
