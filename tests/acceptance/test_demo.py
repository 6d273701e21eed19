"""The demo: its figures are those of its input, and it leaves nothing, however it ends."""

import signal
import subprocess
from pathlib import Path

import pytest

from gateway.demo import FILES
from tests.support.crunch import Crunch, alive, descendants, done, one_line, until_gone
from tests.support.engine import Engine


@pytest.fixture
def crunch(tmp_path: Path) -> Crunch:
    (tmp_path / "home").mkdir()
    return Crunch(tmp_path / "home", tmp_path / "data")


def files(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"file-{number}.txt").write_text(f"{number} " * 200)
    return folder


def of_all(crunch: Crunch, tree: Path) -> dict[str, int]:
    played = crunch.run("demo", "--json", "--input", str(tree))
    assert played.code == 0, played.err
    outputs = [job["output"] for job in played.json["jobs"]]
    assert outputs[0] == outputs[1] != outputs[2]
    assert played.json["audit"]["wrong"] == 0
    return {name: played.json["all"][name] for name in ("tasks", "executed", "copied", "created_anew", "sandboxes")}


def test_its_figures_follow_from_its_input(crunch: Crunch, tmp_path: Path) -> None:
    tree = files(tmp_path / "tree", 3)
    # Two jobs of a task that looks and 2 that count, one of a task that looks and 3 that count: executed once each.
    assert of_all(crunch, tree) == {"tasks": 10, "executed": 5, "copied": 5, "created_anew": 2, "sandboxes": 5}
    files(tree, 5)
    assert of_all(crunch, tree) == {"tasks": 16, "executed": 7, "copied": 9, "created_anew": 4, "sandboxes": 7}
    assert [path.name for path in crunch.data.iterdir()] == ["crunch-reuse-data"]


def test_what_it_tells_without_options_and_what_it_keeps(crunch: Crunch) -> None:
    played = crunch.run("demo", "--keep")
    assert played.code == 0, played.err
    # Two jobs of a task that looks and FILES - 1 that count, one of a task that looks and FILES that count.
    assert f"{FILES + 2} sandboxes were started, {3 * FILES + 1} tasks finished" in played.out
    assert "the outputs of the first two jobs are the same" in played.out
    assert "nothing is wrong" in played.out.splitlines()[-1]
    [kept] = crunch.data.glob("demo-*/data")
    with Crunch(crunch.home, kept).up():
        assert len(Crunch(crunch.home, kept).run("jobs", "--json").json) == 3


def test_it_runs_in_containers(crunch: Crunch, tmp_path: Path, docker_engine: str, python_image: str) -> None:
    environment = {"DOCKER_HOST": docker_engine}
    with Engine(docker_engine) as engine:
        words = ("demo", "--json", "--runner", "docker", "--image", "crunch-reuse-tests-python")
        played = crunch.run(*words, "--input", str(files(tmp_path / "tree", 3)), environment=environment)
        assert played.code == 0, played.err
        figures = {name: played.json["all"][name] for name in ("tasks", "executed", "copied", "sandboxes")}
        assert figures == {"tasks": 10, "executed": 5, "copied": 5, "sandboxes": 5}
        assert played.json["audit"]["wrong"] == 0
        assert engine.started() == 5, "by the engine's own count"
        assert engine.left() == []
    refused = crunch.run(*words[:4], environment={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert (refused.code, "executor.runner: " in refused.err) == (1, True)


def test_a_folder_without_files_is_one_line(crunch: Crunch, tmp_path: Path) -> None:
    for folder, told in ((tmp_path / "nowhere", "there is no folder"), (files(tmp_path / "one", 1), "has 1 files")):
        refused = crunch.run("demo", "--input", str(folder))
        assert refused.code == 3
        assert told in one_line(refused)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ending_it_in_the_middle_leaves_nothing_running(crunch: Crunch, number: int) -> None:
    process = crunch.start("demo", "--keep")
    family = _in_the_middle(crunch, process)
    process.send_signal(number)
    ended = done(process)
    assert ended.code == (-number if number == signal.SIGKILL else 130)
    until_gone(family)
    assert alive(family) == set()
    if number != signal.SIGKILL:
        _nothing_is_lost(crunch)


def _in_the_middle(crunch: Crunch, process: "subprocess.Popen[str]") -> set[int]:
    """Once it tells that two processes submit: all that runs then, Postgres included."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Two processes"):
            break
    family = descendants(process.pid)
    [data] = crunch.data.glob("demo-*/data")
    postgres = int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    return family | {postgres} | descendants(postgres)


def _nothing_is_lost(crunch: Crunch) -> None:
    """What was asked before goes on when `up` is started again on what is kept."""
    [kept] = crunch.data.glob("demo-*/data")
    again = Crunch(crunch.home, kept)
    with again.up():
        for job in again.run("jobs", "--json").json:
            assert again.until_state(job["root"], "complete", "failed").state == "complete"
        assert again.run("audit", "verify").code == 0
