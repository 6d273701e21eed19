"""`./run` on machines with next to nothing: what it needs, what it leaves, and what two of them do to each other."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.support import machines
from tests.support.certificates import Authority

PROJECT = """
[project]
name = "small"
version = "1"
dependencies = ["crunchdependency==1.0"]
optional-dependencies.dev = []
"""
COMMAND_LINE = """
import json, os, sys
import crunchdependency
print(json.dumps([sys.argv[1:], os.getcwd(), sys.prefix, sys.version_info[1]]))
sys.exit(7 if "fail" in sys.argv else 0)
"""
SETTING_UP = "run: setting up"


@dataclass(frozen=True)
class Machine:
    """A checkout of a small project, and the environment of who uses it."""

    checkout: Path
    environment: dict[str, str]

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.checkout / "run", *arguments],
            cwd=cwd or self.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, cwd=cwd)
        out, err = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def having(self, **changes: str) -> "Machine":
        return replace(self, environment=self.environment | changes)

    def asking(self, index: str, **changes: str) -> "Machine":
        """One whose packages come from an index, not from a folder."""
        own = {name: value for name, value in self.environment.items() if not name.startswith("PIP_")}
        return replace(self, environment=own | {"PIP_INDEX_URL": f"{index}/simple"} | changes)

    def installer(self) -> str:
        packages = (self.checkout / ".venv").glob("lib/*/site-packages")
        return (next(packages) / "crunchdependency-1.0.dist-info" / "INSTALLER").read_text().strip()


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return machines.bare_python(tmp_path_factory.mktemp("bare") / "prefix")


@pytest.fixture
def machine(tmp_path: Path, bare_python: Path) -> Machine:
    checkout = tmp_path / "a checkout"  # the space is meant
    (checkout / "gateway").mkdir(parents=True)
    shutil.copy2(CHECKOUT / "run", checkout / "run")
    (checkout / "pyproject.toml").write_text(PROJECT)
    (checkout / "constraints.txt").write_text("")
    (checkout / "gateway" / "__init__.py").write_text("")
    (checkout / "gateway" / "cli.py").write_text(COMMAND_LINE)
    (tmp_path / "home").mkdir()
    mirror = machines.wheelhouse(tmp_path / "mirror", "crunchdependency")
    environment = {
        "PATH": machines.path_of(tmp_path / "bin", python3=bare_python),
        "HOME": str(tmp_path / "home"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{tmp_path}/absent {mirror}",
    }
    return Machine(checkout, environment)


@pytest.fixture
def quick_machine(machine: Machine, tmp_path: Path) -> Machine:
    """The same with uv, for what is not about installing."""
    (tmp_path / "bin" / "uv").symlink_to(_real_uv())
    return machine


def test_pip_alone_is_enough(machine: Machine) -> None:
    """No uv, no git, no venv module, no ensurepip, externally managed, an empty home, a mirror instead of the index."""
    first = machine.run("job", "a b", "--json")
    assert first.stderr.startswith(SETTING_UP), first.stderr
    assert first.stderr.count("\n") == 1
    arguments, _, prefix, _ = json.loads(first.stdout)
    assert (arguments, prefix) == (["job", "a b", "--json"], str(machine.checkout / ".venv"))
    second = machine.run("job")
    assert (second.returncode, second.stderr) == (0, "")


def test_the_caller_s_folder_and_exit_status_pass_through(quick_machine: Machine, tmp_path: Path) -> None:
    decoy = tmp_path / "elsewhere" / "gateway"
    decoy.mkdir(parents=True)
    (decoy / "cli.py").write_text("raise SystemExit('the wrong gateway')")
    result = quick_machine.run("fail", cwd=decoy.parent)
    assert result.returncode == 7, result.stderr
    assert json.loads(result.stdout)[1] == str(decoy.parent)


def test_a_link_to_it_works_from_anywhere(quick_machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("a checkout/run")
    result = subprocess.run(
        [tmp_path / "link", "job"], env=quick_machine.environment, cwd="/", capture_output=True, text=True
    )
    assert json.loads(result.stdout)[1] == "/", result.stderr


def test_uv_is_used_where_it_is_there_with_the_mirrors_meant_for_pip(quick_machine: Machine) -> None:
    result = quick_machine.run("job")
    assert result.returncode == 0, result.stderr
    assert quick_machine.installer() == "uv"


def test_pip_brings_uv_for_the_setup_and_leaves_none_behind(machine: Machine, tmp_path: Path) -> None:
    machines.wheelhouse(tmp_path / "mirror", "uv", script=_real_uv())
    result = machine.run("job")
    assert result.returncode == 0, result.stderr
    assert machine.installer() == "uv"
    assert list((machine.checkout / ".venv").rglob("uv")) == []
    assert list((tmp_path / "home").rglob("uv")) == []


def _real_uv() -> Path:
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert found is not None, "uv is one of this project's dev requirements"
    return Path(found).resolve()


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_an_index_with_a_certificate_of_the_lab_s_own(machine: Machine, tmp_path: Path, installer: str) -> None:
    """It is trusted where the setting says so, and nowhere else."""
    if installer == "uv":
        (tmp_path / "bin" / "uv").symlink_to(_real_uv())
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    with machines.index_of(tmp_path / "mirror", "crunchdependency", authority.give("index")) as index:
        refused = machine.asking(index, PIP_CERT=str(other.certificate)).run("job")
        assert (refused.returncode, "certificate" in refused.stderr.lower()) == (2, True)
        trusting = machine.asking(index, PIP_CERT=str(authority.certificate)).run("job")
    assert trusting.returncode == 0, trusting.stderr
    assert machine.installer() == installer


@pytest.mark.parametrize("installer", ["pip", "uv"])
@pytest.mark.parametrize("setting", ["PIP_PROXY", "http_proxy"])
def test_an_index_behind_a_proxy(machine: Machine, tmp_path: Path, installer: str, setting: str) -> None:
    """Its name says nothing to anybody but the proxy."""
    if installer == "uv":
        (tmp_path / "bin" / "uv").symlink_to(_real_uv())
    with machines.index_of(tmp_path / "mirror", "crunchdependency") as proxy:
        behind = machine.asking("http://packages.invalid", PIP_TRUSTED_HOST="packages.invalid", **{setting: proxy})
        result = behind.run("job")
    assert result.returncode == 0, result.stderr
    assert machine.installer() == installer


def test_pip_steps_in_where_uv_fails(machine: Machine, tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "uv"
    broken.write_text("#!/bin/sh\necho 'uv: out of order' >&2\nexit 1\n")
    broken.chmod(0o755)
    assert machine.run("job").returncode == 0
    assert machine.installer() == "pip"


def test_changed_requirements_are_installed(quick_machine: Machine) -> None:
    quick_machine.run("job")
    (quick_machine.checkout / "pyproject.toml").write_text(PROJECT + "# changed\n")
    assert SETTING_UP in quick_machine.run("job").stderr
    assert quick_machine.run("job").stderr == ""


def test_another_interpreter_gets_its_own_environment(quick_machine: Machine) -> None:
    assert quick_machine.run("job").returncode == 0
    chosen = os.path.realpath(sys._base_executable)
    other = quick_machine.having(CRUNCH_REUSE_PYTHON=chosen)
    assert SETTING_UP in other.run("job").stderr
    assert os.path.realpath(quick_machine.checkout / ".venv" / "bin" / "python") == chosen
    assert other.run("job").stderr == ""
    assert quick_machine.run("job").stderr == "", "nobody asked for another one"


def test_a_wrong_interpreter_is_refused_by_name(quick_machine: Machine) -> None:
    result = quick_machine.having(CRUNCH_REUSE_PYTHON="/bin/false").run("job")
    assert result.returncode == 2
    assert result.stderr == "run: CRUNCH_REUSE_PYTHON: /bin/false is not a working Python 3.11 or later\n"


def test_a_setup_that_was_killed_is_begun_anew(machine: Machine, tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    os.mkfifo(reached)
    hanging = tmp_path / "bin" / "uv"
    hanging.write_text(f"#!/bin/sh\n[ $1 = pip ] || exit 1\necho here >'{reached}'\ncat '{reached}'\n")
    hanging.chmod(0o755)
    process = machine.start("job")
    assert reached.read_text() == "here\n"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (machine.checkout / ".venv" / "left-over").touch()
    hanging.unlink()
    hanging.symlink_to(_real_uv())
    result = machine.run("job")
    assert result.returncode == 0, result.stderr
    assert not (machine.checkout / ".venv" / "left-over").exists()


def test_four_at_once_set_up_once(quick_machine: Machine) -> None:
    processes = [quick_machine.start("job") for _ in range(4)]
    results = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], results
    assert sum(SETTING_UP in err for _, err in results) == 1


def test_a_folder_of_someone_else_s_is_left_alone(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    result = machine.having(CRUNCH_REUSE_VENV=str(tmp_path / "home")).run("job")
    assert result.returncode == 2
    assert "was not made by this script" in result.stderr
    assert [entry.name for entry in (tmp_path / "home").iterdir()] == ["thesis.tex"]


def test_the_environment_can_be_elsewhere(quick_machine: Machine, tmp_path: Path) -> None:
    result = quick_machine.having(CRUNCH_REUSE_VENV=str(tmp_path / "cache" / "env")).run("job")
    assert json.loads(result.stdout)[2] == str(tmp_path / "cache" / "env")
    assert not (quick_machine.checkout / ".venv").exists()


def test_a_failed_installation_is_shown_in_full(machine: Machine, tmp_path: Path) -> None:
    result = machine.having(PIP_FIND_LINKS=str(tmp_path / "absent")).run("job")
    assert result.returncode == 2
    assert "No matching distribution found for crunchdependency" in result.stderr
    assert result.stderr.endswith(f"run: could not set up {machine.checkout}/.venv\n")


def test_no_python_is_said_in_one_line(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "bin" / "python3").unlink()
    result = machine.run("job")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "run: needs Python 3.11 or later; looked for python3.13, python3.12, python3.11, python3\n"


def test_on_windows_it_points_to_wsl2(machine: Machine, tmp_path: Path) -> None:
    uname = tmp_path / "bin" / "uname"
    uname.unlink()
    uname.write_text("#!/bin/sh\necho MINGW64_NT-10.0\n")
    uname.chmod(0o755)
    result = machine.run("job")
    assert result.returncode == 2
    assert result.stderr.startswith("run: on Windows, run this inside WSL2: ")


def test_without_arguments_it_explains_itself_and_makes_nothing(machine: Machine) -> None:
    result = machine.run()
    assert "./run demo" in result.stdout
    assert not (machine.checkout / ".venv").exists()


def test_an_unknown_benchmark_names_those_there_are(machine: Machine) -> None:
    (machine.checkout / "bench").mkdir()
    (machine.checkout / "bench" / "rules.py").write_text("")
    result = machine.run("bench", "rulez")
    assert result.returncode == 2
    assert result.stderr == "run: bench: name one of: rules\n"


def test_this_very_checkout_sets_itself_up_and_plays_its_demo_with_pip_alone(machine: Machine, tmp_path: Path) -> None:
    """A fresh copy, an empty home, and of the caller's settings only those that lead to a package index."""
    ignore = shutil.ignore_patterns(".*", "__pycache__", "tests", "build", "dist")
    shutil.copytree(CHECKOUT, tmp_path / "fresh", ignore=ignore)
    prefixes = ("PIP_", "UV_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "NO_PROXY", "ALL_PROXY")
    settings = {name: value for name, value in os.environ.items() if name.upper().startswith(prefixes)}
    home = {"PATH": machine.environment["PATH"], "HOME": machine.environment["HOME"]}
    fresh = Machine(tmp_path / "fresh", settings | home)
    first = fresh.run("--help")
    assert first.returncode == 0, first.stderr
    assert "demo" in first.stdout
    second = fresh.run("--help")
    assert (second.returncode, second.stderr) == (0, "")
    played = fresh.run("demo", "--json")
    assert played.returncode == 0, played.stderr
    shown = json.loads(played.stdout)
    assert (shown["all"]["executed"] < shown["all"]["tasks"], shown["audit"]["wrong"]) == (True, 0)
