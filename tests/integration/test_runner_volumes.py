"""What an image declares as its volumes, the engine would make for each container, to be written without bound."""

import json

import docker
import pytest

from consumers.runners.docker import DockerRunner
from tests.support.containers import command, supervision_of

VOLUMES = ("/data", "/run", "/tmp", "/new/place/")


@pytest.fixture
def image_with_volumes(docker_engine, python_image):
    """An image that lets anybody write into its volumes."""
    client = docker.DockerClient(base_url=docker_engine)
    open_all = "/bin/mkdir -p /data /new/place && /bin/chmod 777 /data /new/place /run"
    made = client.api.create_container(python_image, ["/bin/sh", "-c", open_all])["Id"]
    client.api.start(made)
    assert client.api.wait(made)["StatusCode"] == 0
    image = client.api.commit(made, changes=f"VOLUME {json.dumps(VOLUMES)}")["Id"]
    yield image
    client.api.remove_container(made)
    client.api.remove_image(image)
    client.close()


WRITE = "for d in /data /run /new/place /tmp; do echo > $d/x && echo $d; done 2> /dev/null; exit 0"


def test_an_images_volumes_are_no_place_to_write(tmp_path, docker_engine, image_with_volumes):
    said: list[bytes] = []
    work = command(tmp_path, image_with_volumes, "/bin/sh", "-c", WRITE)
    client = docker.DockerClient(base_url=docker_engine)
    before = client.volumes.list()
    running = DockerRunner(docker_engine).start(work, said.append)
    assert client.volumes.list() == before
    assert supervision_of(work).run(running).exit_code == 0
    assert b"".join(said) == b"/tmp\n"  # scratch space of the task's own
    client.close()


def test_it_would_be_seen_if_they_were(docker_engine, image_with_volumes):
    client = docker.DockerClient(base_url=docker_engine)
    said = client.containers.run(
        image_with_volumes, ["/bin/sh", "-c", WRITE], user="1000:1000", read_only=True, remove=True, network_mode="none"
    )
    assert said.split() == [b"/data", b"/run", b"/new/place", b"/tmp"]
    client.close()
