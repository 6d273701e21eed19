"""The command line and the machine: what it finds there, what it leaves, what it says when it is used wrongly."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from consumers.executor.service import CONTAINERS_NOTE
from gateway.cli import run
from tests.support.crunch import Crunch, alive, one_line, until_gone

NAMESPACE = ("unshare", "--mount", "--map-root-user", "--", "sh", "-c", "echo inside; exec sleep infinity")


@pytest.fixture
def crunch(tmp_path: Path) -> Crunch:
    (tmp_path / "home").mkdir()
    return Crunch(tmp_path / "home", tmp_path / "data")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["submti"], "No such command 'submti'"),
        (["submit"], "Missing argument 'FILE'"),
        (["submit", "--as"], "requires an argument"),
        (["up", "--slots", "-1"], "--slots"),
        (["up", "--runner", "podman"], "'podman' is not one of"),
        (["jobs", "--limit", "many"], "--limit"),
    ],
)
def test_a_wrong_command_line_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert told in said.err
    assert said.err.count("\n") == 1


def test_help_needs_neither_the_database_nor_the_engine() -> None:
    heavy = ("psycopg", "docker", "yaml", "dulwich", "consumers", "streams", "readmodel", "asyncio")
    look = f"import sys, gateway.cli; gateway.cli.run(['--help']); print(set(sys.modules) & set({heavy}))"
    listed = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert listed.stdout.splitlines()[-1] == "set()"


def test_an_error_that_nobody_foresaw_is_one_line_with_a_trace_to_look_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.session.Session.loaded", property(lambda _: 1 / 0))
    assert run(["config", "show"]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "unexpected ZeroDivisionError: division by zero; details: " in line
    trace = Path(line.split("details: ")[1].strip())
    assert "ZeroDivisionError" in trace.read_text()
    trace.unlink()


def test_doctor_says_what_works_here(crunch: Crunch) -> None:
    looked = crunch.run("doctor", "--json")
    found = {finding["what"]: finding["status"] for finding in looked.json}
    assert looked.code == 0
    assert (found["Python"], found["Postgres"], found["process"]) == ("ok", "ok", "ok")
    crunch.data.chmod(0o755)
    open_to_all = crunch.run("doctor")
    assert open_to_all.code == 1
    assert f"others may look into it: chmod 700 {crunch.data}" in open_to_all.out


def test_uninstall_lists_and_removes_what_was_made(crunch: Crunch, tmp_path: Path) -> None:
    outputs = tmp_path / "job.yaml"
    outputs.write_text("command: mkdir $TASK_OUTPUT/a; echo x > $TASK_OUTPUT/a/b\n")
    with crunch.up() as up:
        assert crunch.run("submit", str(outputs)).code == 0
        running = crunch.run("uninstall", "--yes")
        assert running.code == 1
        assert "`up` runs on" in one_line(running)
        family = up.family()
        up.stop(signal.SIGKILL)
    until_gone(family - {up.process.pid})
    listed = crunch.run("uninstall", "--dry-run", "--json").json
    assert [thing["where"] for thing in listed["things"] if thing["what"] == "data folder"] == [str(crunch.data)]
    assert crunch.run("uninstall").code == 2
    assert crunch.data.exists()
    (crunch.data / "work" / CONTAINERS_NOTE).touch()
    done = crunch.run("uninstall", "--yes", environment={"DOCKER_HOST": f"unix://{tmp_path}/no-engine"})
    assert done.code == 0
    assert "containers of node local may still run: " in done.err
    assert not crunch.data.exists()
    assert alive(family) == set()
    assert crunch.run("uninstall", "--yes", "--json").json["things"] == []


# --- A full disk ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OnSmallDisk(Crunch):
    """The same in a mount namespace of its own, in which a small disk is mounted at `data`'s parent."""

    namespace: int = 0

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Begin a command inside."""
        return super().start(*arguments, prefix=self.inside(), **options)

    def inside(self) -> list[str]:
        """The words that lead into the namespace."""
        return ["nsenter", "--target", str(self.namespace), "--user", "--mount", "--preserve-credentials", "--"]

    def do(self, script: str) -> None:
        """Run a line of shell inside."""
        subprocess.run([*self.inside(), "sh", "-c", script], check=True, capture_output=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[OnSmallDisk]:
    (tmp_path / "home").mkdir()
    disk = tmp_path / "disk"
    disk.mkdir()
    with subprocess.Popen(NAMESPACE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"inside\n"
            crunch = OnSmallDisk(tmp_path / "home", disk / "data", namespace=holder.pid)
            crunch.do(f"mount -t tmpfs -o size=120m none {disk}")
            yield crunch
        finally:
            holder.kill()


@pytest.mark.needs("bubblewrap")
def test_a_full_disk_is_one_line_and_nothing_is_lost(small: OnSmallDisk, tmp_path: Path) -> None:
    file = tmp_path / "home" / "job.yaml"
    file.write_text("command: echo $TASK_UUID > $TASK_OUTPUT/x\nresources: {scratch: 1MiB, memory: 64MiB}\n")
    with small.up() as up:
        assert small.run("submit", str(file)).code == 0
        small.do(f"cat /dev/zero > {small.data.parent}/filler || true")
        refused = next(done for _ in range(200) if (done := small.run("submit", "--no-wait", str(file))).code)
        assert refused.code in (1, 2)  # 2: `up` has ended before
        assert one_line(refused)
        up.process.terminate()
        ended = up.end()
        assert ended.code == 0 or "No space left on device" in one_line(ended)
    small.do(f"rm {small.data.parent}/filler")
    with small.up():
        jobs = small.run("jobs", "--json", "--limit", "1000").json
        assert len(jobs) >= 1
        for one in jobs:
            assert small.run("job", one["root"], "--follow").code == 0
        assert small.run("audit", "verify").code == 0
