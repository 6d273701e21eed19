"""A program of root's in the task's own image, with its bit set: it runs as whoever starts it."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from consumers.runners.docker import DockerRunner
from tests.support.containers import command, supervision_of

WHO = ("/as-root", "-u")


@pytest.fixture
def image(docker_engine: str, python_image: str) -> Iterator[str]:
    client = docker.DockerClient(base_url=docker_engine)
    script = "cp /usr/bin/id /as-root && chmod 4755 /as-root"
    made = client.api.create_container(python_image, ["/bin/sh", "-c", script])
    client.api.start(made["Id"])
    assert client.api.wait(made["Id"])["StatusCode"] == 0
    image = client.api.commit(made["Id"])["Id"]
    yield image
    client.api.remove_container(made["Id"])
    client.api.remove_image(image)
    client.close()


def test_it_does_not_make_the_task_root(tmp_path: Path, docker_engine: str, image: str) -> None:
    said: list[bytes] = []
    work = command(tmp_path, image, *WHO)
    running = DockerRunner(docker_engine).start(work, said.append)
    assert supervision_of(work).run(running).exit_code == 0
    assert b"".join(said) == b"1000\n"


def test_it_would_be_seen_if_it_did(docker_engine: str, image: str) -> None:
    client = docker.DockerClient(base_url=docker_engine)
    said = client.containers.run(image, list(WHO), user="1000:1000", remove=True, network_mode="none")
    assert said == b"0\n"
    client.close()
