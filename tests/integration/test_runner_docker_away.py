"""A Docker engine that ends, or goes away, while a task runs: that is the node's trouble, and nothing is forgotten."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import docker
import pytest
from docker.errors import NotFound

from consumers.runners.docker import Container, DockerRunner
from consumers.runners.port import CannotRun, Outcome
from schemas.reasons import Failure
from tests.support.attempts import bench
from tests.support.containers import command, labelled, left_behind, supervision_of
from tests.support.dockerd import LocalEngine, local_engine
from tests.support.engine import Relay
from tests.support.registry import small_image

# Docker's client leaves the socket of a question open when the engine goes away before it has answered.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
WAITS = ("/bin/sh", "-c", "echo waits; read -r said < /out/go")
WENT_AWAY = "the Docker engine went away while the task ran"


@pytest.fixture(autouse=True)
def closed_sockets() -> Iterator[None]:
    """No later test finds those of this one."""
    yield
    gc.collect()


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with local_engine() as made:
        yield made


def waiting(folder: Path, engine: str, image: str) -> Container:
    """A container that waits for a line that nobody writes."""
    waits = threading.Event()
    made = DockerRunner(engine).start(command(folder, image, *WAITS), lambda data: waits.set())
    os.mkfifo(folder / "out" / "go")
    (folder / "out" / "go").chmod(0o666)
    made.go()
    assert waits.wait(60)
    assert isinstance(made, Container)
    return made


def outcome_when(done: Callable[[], object], folder: Path, running: Container) -> Outcome:
    """What is said of it when this is done while it runs."""
    outcomes: list[Outcome] = []
    supervision = supervision_of(command(folder, ""))
    thread = threading.Thread(target=lambda: outcomes.append(supervision.run(running, adopted=True)), daemon=True)
    thread.start()
    done()
    thread.join(60)
    [outcome] = outcomes
    return outcome


@pytest.mark.needs("docker", "root")
@pytest.mark.parametrize("end", [LocalEngine.stop, LocalEngine.kill], ids=["stopped", "killed"])
def test_an_engine_that_ends_is_the_nodes_trouble(tmp_path, engine, end):
    with closing(docker.DockerClient(engine.address)) as client:
        image = small_image(client, "ends")
    running = waiting(tmp_path, engine.address, image)
    try:
        outcome = outcome_when(lambda: end(engine), tmp_path, running)
    finally:
        engine.start()
    assert (outcome.failure, outcome.exit_code) == (Failure.NODE, -1)
    assert outcome.reason.startswith(WENT_AWAY)
    assert not running.finish(), "nobody was there to say that it is gone"
    assert DockerRunner(engine.address).sweep("node-7") == 1


@pytest.mark.needs("docker", "root")
def test_what_an_engine_ended_before_it_was_started_again_is_not_the_tasks_own_end(tmp_path, engine):
    with closing(docker.DockerClient(engine.address)) as client:
        image = small_image(client, "again")
    left = waiting(tmp_path, engine.address, image)
    engine.stop()
    left_behind(left)
    engine.start()
    adopted = DockerRunner(engine.address).adopt("node-7.attempt", print)
    outcome = supervision_of(command(tmp_path, "")).run(adopted, adopted=True)
    assert outcome.failure is Failure.NODE
    assert outcome.reason.startswith(f"{WENT_AWAY} (it was restarted")
    assert labelled(engine.address) == []


@pytest.mark.needs("docker", "root")
def test_what_the_engine_does_not_find_is_the_nodes_trouble_and_not_a_missing_program(tmp_path, engine):
    with closing(docker.DockerClient(engine.address)) as client:
        image = small_image(client, "finds")
    work = command(tmp_path, image, "/bin/sh")
    work.folders.links.rmdir()  # what only the engine itself sees, and not what it starts
    work.folders.links.symlink_to(f"/proc/self/task/{Path(engine.address[7:]).with_name('pid').read_text().strip()}")
    made = DockerRunner(engine.address).start(work, print)
    with pytest.raises(CannotRun, match="no such file or directory") as refused:
        supervision_of(work).run(made)
    assert refused.value.failure is Failure.NODE
    assert labelled(engine.address) == []


def test_what_somebody_has_the_engine_stop_has_not_ended_by_itself(tmp_path, docker_engine, python_image):
    running = waiting(tmp_path, docker_engine, python_image)
    with closing(docker.DockerClient(docker_engine)) as client:
        outcome = outcome_when(lambda: client.api.stop(running.hold.container), tmp_path, running)
    assert outcome.failure is Failure.NODE
    assert outcome.reason.startswith(f"{WENT_AWAY} (it ended the container")


@pytest.mark.parametrize("by", ["the executor", "its watchdog"])
def test_what_an_engine_did_not_remove_while_it_was_away_goes_when_it_answers(
    tmp_path, docker_engine, python_image, by
):
    reports = []
    with ExitStack() as later, closing(docker.DockerClient(docker_engine)) as client:
        with bench(tmp_path, "docker", f"unix://{tmp_path}/engine", python_image) as made:
            with Relay(tmp_path / "engine", docker_engine) as relay:
                attempt = made.attempt(made.spec("sleep 1000"))
                thread = threading.Thread(target=lambda: reports.append(attempt.run()), daemon=True)
                thread.start()
                assert relay.awaited.wait(60)
            thread.join(60)
            assert [report.failure for report in reports] == [Failure.NODE]
            [runs_on] = labelled(docker_engine, made.site.key)
            assert runs_on["State"] == "running"
            if by == "its watchdog":  # where the executor ends before the engine answers
                made.site.owed.close()
            later.enter_context(Relay(tmp_path / "engine", docker_engine))
            if by == "the executor":
                with suppress(NotFound):
                    client.api.wait(runs_on["Id"], condition="removed", timeout=60)
        assert labelled(docker_engine, made.site.key) == []
