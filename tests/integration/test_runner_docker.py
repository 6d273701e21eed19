"""What only an engine does: images by digest, containers that are found again, and an engine that goes away."""

import threading
from contextlib import closing

import docker
import msgspec
import pytest

from consumers.executor.guard import Guard
from consumers.executor.owed import Owed
from consumers.runners.choose import Runners
from consumers.runners.container import MARK_LABEL
from consumers.runners.docker import DockerRunner, resolve_image
from consumers.runners.port import CannotRun
from consumers.watchdog import Note, Watch, milliseconds
from schemas.reasons import Failure
from tests.support.containers import command, labelled, left_behind, supervision_of
from tests.support.engine import Relay
from tests.support.registry import PASSWORD, Served, small_image


def test_containers_of_a_node_are_found_and_removed(tmp_path, docker_engine, python_image):
    forgotten = DockerRunner(docker_engine).start(command(tmp_path, python_image, "/bin/sleep", "1000"), print)
    forgotten.go()
    [found] = labelled(docker_engine)
    assert found["Labels"][MARK_LABEL] == "node-7.attempt"
    assert DockerRunner(docker_engine).sweep("node-7") == 1
    assert labelled(docker_engine) == []
    forgotten.finish()


def test_what_was_left_is_removed_late_and_what_runs_now_is_not(tmp_path, docker_engine, python_image):
    runners = Runners("docker", f"unix://{tmp_path}/engine", tmp_path / "note")
    runner, work = DockerRunner(docker_engine), command(tmp_path, python_image, "/bin/sleep", "1000")
    (tmp_path / "attempts" / "now").mkdir(parents=True)
    now, past = (runner.start(msgspec.structs.replace(work, mark=f"node-7.{name}"), print) for name in ("now", "past"))
    runners.will_make_container()
    assert (runners.find("node-7"), runners.sweep("node-7"), bool(runners.owing)) == ((), 0, True)
    with (
        closing(Guard()) as guard,
        closing(Owed(runners, guard, "node-7", tmp_path / "attempts")) as owed,
        closing(docker.DockerClient(docker_engine)) as client,
    ):
        owed.start()
        with Relay(tmp_path / "engine", docker_engine):
            client.api.wait(past.hold.container, condition="removed", timeout=60)
        assert [one["Id"] for one in labelled(docker_engine)] == [now.hold.container]
    for container in (now, past):
        container.finish()


@pytest.mark.parametrize("started", [True, False])
def test_a_watchdog_asks_a_silent_engine_again(tmp_path, docker_engine, python_image, started):
    running = DockerRunner(docker_engine).start(command(tmp_path, python_image, "/bin/sleep", "1000"), print)
    if started:
        running.go()
    door = tmp_path / "engine"
    watch = Watch()
    watch.take(Note(engine=f"unix://{door}", key="attempt", hold=running.hold))
    watch.kill()
    left = watch.left(now := milliseconds())
    assert left is not None
    assert len(labelled(docker_engine)) == 1
    door.symlink_to(docker_engine.removeprefix("unix://"))
    watch.tick(now + left)
    assert labelled(docker_engine) == []
    assert watch.left(now) is None
    running.finish()


def test_a_container_that_runs_is_adopted_with_all_it_has_said(tmp_path, docker_engine, python_image):
    first, said = threading.Event(), []
    work = command(
        tmp_path, python_image, "/bin/sh", "-c", "echo before; until [ -e /out/go ]; do /bin/sleep 0.05; done; exit 7"
    )
    left = DockerRunner(docker_engine).start(work, lambda data: first.set())
    assert DockerRunner(docker_engine).find("node-7") == (), "it was not started"
    left.go()
    assert first.wait(60)
    runner = DockerRunner(docker_engine)
    assert runner.find("node-7") == ("node-7.attempt",)
    assert runner.sweep("node-7", lambda mark: mark == "node-7.attempt") == 0
    adopted = runner.adopt("node-7.attempt", said.append)
    (tmp_path / "out" / "go").touch()
    outcome = supervision_of(work).run(adopted)
    assert (outcome.exit_code, b"".join(said)) == (7, b"before\n")
    assert labelled(docker_engine) == []
    left_behind(left)


def test_a_container_that_ended_meanwhile_is_adopted_too(tmp_path, docker_engine, python_image):
    said: list[bytes] = []
    work = command(tmp_path, python_image, "/bin/sh", "-c", "echo all; exit 3")
    left = DockerRunner(docker_engine).start(work, lambda data: None)
    left.go()
    assert left.wait(60)
    adopted = DockerRunner(docker_engine).adopt("node-7.attempt", said.append)
    assert supervision_of(work).run(adopted).exit_code == 3
    assert b"".join(said) == b"all\n"
    left_behind(left)
    with pytest.raises(CannotRun, match="the container of node-7"):
        DockerRunner(docker_engine).adopt("node-7.attempt", print)


def test_nothing_of_a_container_stays_when_it_has_ended(tmp_path, docker_engine, python_image):
    said: list[bytes] = []
    work = command(tmp_path, python_image, "/bin/echo", "done")
    outcome = supervision_of(work).run(DockerRunner(docker_engine).start(work, said.append))
    assert (outcome.exit_code, b"".join(said)) == (0, b"done\n")
    assert labelled(docker_engine) == []


@pytest.mark.parametrize("grace", [True, False])
def test_a_container_that_is_stopped_before_it_started(tmp_path, docker_engine, python_image, grace):
    work = command(tmp_path, python_image, "/bin/echo", "done")
    supervision = supervision_of(work)
    supervision.stop(grace)
    made, outcomes = DockerRunner(docker_engine).start(work, print), []
    thread = threading.Thread(target=lambda: outcomes.append(supervision.run(made)), daemon=True)
    thread.start()
    thread.join(60)
    assert [outcome.failure for outcome in outcomes] == [Failure.SIGNAL]
    assert labelled(docker_engine) == []


def test_an_adopted_container_that_was_told_to_stop_before_gets_its_signals(tmp_path, docker_engine, python_image):
    waits = threading.Event()
    script = "trap 'exit 9' INT; echo waits; while :; do /bin/sleep 0.05; done"
    work = command(tmp_path, python_image, "/bin/sh", "-c", script)
    left = DockerRunner(docker_engine).start(work, lambda data: waits.set())
    left.go()
    assert waits.wait(60)
    supervision = supervision_of(work)
    supervision.stop(grace=True)
    assert supervision.run(DockerRunner(docker_engine).adopt("node-7.attempt", print), adopted=True).exit_code == 9
    left_behind(left)


@pytest.mark.parametrize(("program", "code"), [("/nowhere/program", 127), ("/etc/passwd", 126)])
def test_a_program_that_can_not_be_started_is_the_tasks_own_failure(
    tmp_path, docker_engine, python_image, program, code
):
    work = command(tmp_path, python_image, program)
    outcome = supervision_of(work).run(DockerRunner(docker_engine).start(work, print))
    assert (outcome.exit_code, outcome.failure) == (code, Failure.EXIT)


def test_an_images_own_search_path_counts(tmp_path, docker_engine, python_image):
    client = docker.DockerClient(base_url=docker_engine)
    made = client.api.create_container(python_image, ["true"])["Id"]
    image = client.api.commit(made, changes="ENV PATH=/opt/tools:/usr/bin:/bin\nENV TOOL=yes")["Id"]
    said: list[bytes] = []
    work = command(tmp_path, image, "sh", "-c", "echo $PATH $TOOL")
    supervision_of(work).run(DockerRunner(docker_engine).start(work, said.append))
    client.api.remove_container(made)
    client.api.remove_image(image)
    client.close()
    assert b"".join(said) == b"/opt/crunch:/opt/tools:/usr/bin:/bin yes\n"


def test_a_name_is_resolved_to_a_digest(docker_engine, python_image):
    client = docker.DockerClient(base_url=docker_engine)
    client.api.tag(python_image, "crunch-reuse-tests-name", "v1")
    assert resolve_image("crunch-reuse-tests-name:v1", docker_engine) == python_image
    client.api.remove_image("crunch-reuse-tests-name:v1")
    client.close()
    with pytest.raises(CannotRun, match=r"image 127\.0\.0\.1:1/name:v1 is not on this node, and can't be pulled"):
        resolve_image("127.0.0.1:1/name:v1", docker_engine)


def test_a_missing_image_is_pulled_with_a_login_that_stands_nowhere(tmp_path, docker_engine, pushed):
    name, image, logins = pushed
    said: list[bytes] = []
    work = msgspec.structs.replace(command(tmp_path, image, "/bin/sh", "-c", "echo pulled"), image_name=name)
    with pytest.raises(CannotRun, match="is not on this node, and can't be pulled") as refused:
        DockerRunner(docker_engine).start(work, said.append)
    assert (refused.value.failure, PASSWORD in str(refused.value)) == (Failure.NODE, False)
    outcome = supervision_of(work).run(DockerRunner(docker_engine, str(logins)).start(work, said.append))
    assert (outcome.exit_code, b"".join(said)) == (0, b"pulled\n")
    assert resolve_image(name, docker_engine) == image


def test_a_pull_that_breaks_off_is_told_in_the_engines_own_words(tmp_path, docker_engine, served: Served):
    largest = max(served.registry.blobs, key=lambda digest: len(served.registry.blobs[digest]))
    del served.registry.blobs[largest]
    work = msgspec.structs.replace(command(tmp_path, served.image, "/bin/sh"), image_name=served.name)
    with pytest.raises(CannotRun, match=r"can't be pulled \(.*(unknown|404)") as refused:
        DockerRunner(docker_engine, str(served.logins)).start(work, print)
    assert "No such image" not in str(refused.value)


def test_a_name_that_stands_for_another_image_now_is_not_run(tmp_path, docker_engine, pushed):
    name, image, logins = pushed
    work = msgspec.structs.replace(command(tmp_path, f"sha256:{'0' * 64}", "/bin/true"), image_name=name)
    with pytest.raises(CannotRun, match=f"is now another .{image}. than the task was made for"):
        DockerRunner(docker_engine, str(logins)).start(work, print)


def test_logins_that_can_not_be_read_are_named(tmp_path, docker_engine):
    work = msgspec.structs.replace(command(tmp_path, f"sha256:{'0' * 64}", "/bin/true"), image_name="127.0.0.1:1/x")
    with pytest.raises(CannotRun, match=r"executor.registry_logins: /nowhere/config.json can't be read"):
        DockerRunner(docker_engine, "/nowhere/config.json").start(work, print)


def test_an_image_that_was_removed_meanwhile_is_looked_for_again(tmp_path, docker_engine):
    client = docker.DockerClient(base_url=docker_engine)
    runner = DockerRunner(docker_engine)
    image = small_image(client, "removed")
    saved = b"".join(client.images.get(image).save())
    runner.start(command(tmp_path, image, "/bin/sh"), print).finish()
    client.images.remove(image, force=True)
    with pytest.raises(CannotRun, match="is not on this node: load it there"):
        runner.start(command(tmp_path, image, "/bin/sh"), print)
    client.images.load(saved)
    runner.start(command(tmp_path, image, "/bin/sh"), print).finish()
    client.images.remove(image, force=True)
    client.close()


def test_an_engine_that_goes_away_is_the_nodes_trouble(tmp_path, docker_engine, python_image):
    running = threading.Event()
    outcomes = []
    work = command(tmp_path, python_image, "/bin/sh", "-c", "echo started; exec /bin/sleep 1000")
    with Relay(tmp_path / "engine", docker_engine) as relay:
        started = DockerRunner(relay.address).start(work, lambda data: running.set())
        supervision = supervision_of(work)
        thread = threading.Thread(target=lambda: outcomes.append(supervision.run(started)))
        thread.start()
        assert running.wait(60)
        assert relay.awaited.wait(60)
    thread.join(60)
    [outcome] = outcomes
    assert outcome.failure is Failure.NODE
    assert outcome.reason.startswith("the Docker engine went away while the task ran")
    assert DockerRunner(docker_engine).sweep("node-7") == 1


def test_a_container_that_can_not_be_listened_to_is_removed(tmp_path, docker_engine, python_image):
    work = command(tmp_path, python_image, "/bin/sleep", "1000")
    with Relay(tmp_path / "engine", docker_engine, refused=b"/attach?") as relay:
        runner = DockerRunner(relay.address)
        with pytest.raises(CannotRun, match="the Docker engine can't run it"):
            runner.start(work, print)
        runner._forget()
    assert labelled(docker_engine) == []


def test_an_engine_that_never_tells_the_end_does_not_hold_up_the_node(
    tmp_path, docker_engine, python_image, monkeypatch
):
    monkeypatch.setattr("consumers.runners.docker._END_SECONDS", 0.5)
    work = command(tmp_path, python_image, "/bin/sleep", "1000")
    with Relay(tmp_path / "engine", docker_engine, muted=b"/wait HTTP") as relay:
        runner = DockerRunner(relay.address)
        running = runner.start(work, print)
        running.go()
        assert relay.awaited.wait(60)
        finishing = threading.Thread(target=running.finish, daemon=True)
        finishing.start()
        finishing.join(60)
        assert not finishing.is_alive()
        assert labelled(docker_engine) == []
