"""The services of docker-compose.yml on an engine of our own, where no image can be pulled."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import orjson

from streams.broker import fetch_jars, find_java
from tests.conftest import CHECKOUT
from tests.support import provision

BASE = "crunch-reuse-tests-base"
IMAGE = "crunch-reuse-tests"
PACKAGES = "python3-venv,bubblewrap,ca-certificates,libstdc++6"  # the last for Java
SCRIPTS = CHECKOUT / "tests" / "support" / "compose"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
HEALTHY_SECONDS = 300


@dataclass(frozen=True)
class Compose:
    """docker-compose on one engine, for one project."""

    engine: str
    project: str
    environment: dict[str, str]

    def run(self, *arguments: str, said: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """One call of docker-compose, which must succeed."""
        files = ["--file", "docker-compose.yml", "--file", str(SCRIPTS / "override.yml")]
        command = ["docker-compose", "--project-name", self.project, "--project-directory", str(CHECKOUT), *files]
        result = subprocess.run(
            [*command, *arguments], cwd=CHECKOUT, env=self.environment, input=said, capture_output=True, check=False
        )
        assert result.returncode == 0, (arguments, result.stdout.decode()[-3000:], result.stderr.decode()[-3000:])
        return result

    def crunch(self, service: str, *arguments: str, said: bytes | None = None) -> bytes:
        """What a command of ours prints, run in the service's container."""
        return self.run("exec", "-T", service, "crunch-reuse", *arguments, said=said).stdout

    def until_healthy(self, *services: str) -> None:
        """Wait until the engine says so of each."""
        client = docker.DockerClient(base_url=self.engine, timeout=HEALTHY_SECONDS)
        try:
            waiting = set(services)
            events = client.events(decode=True, filters={"event": "health_status"})
            for container in client.containers.list(filters={"label": f"com.docker.compose.project={self.project}"}):
                if container.attrs["State"].get("Health", {}).get("Status") == "healthy":
                    waiting.discard(container.labels["com.docker.compose.service"])
            while waiting:
                event = next(events)
                if event["status"] == "health_status: healthy":
                    waiting.discard(event["Actor"]["Attributes"]["com.docker.compose.service"])
        finally:
            client.close()


@contextmanager
def compose(engine: str) -> Iterator[Compose]:
    """The project, not yet up; in the end nothing is left of it on the engine."""
    _make_base(engine)
    fetch_jars()
    environment = os.environ | {
        "DOCKER_HOST": engine,
        "DOCKER_BUILDKIT": "0",
        "BASE": BASE,
        "CRUNCH_REUSE_IMAGE": IMAGE,
        "SCRIPTS": str(SCRIPTS),
        "JARS": str(fetch_jars().parent),
        "JAVA": str(Path(os.path.realpath(shutil.which(find_java()) or find_java())).parent.parent),
    }
    made = Compose(engine, "crunchtest", environment)
    try:
        yield made
    finally:
        print(made.run("logs", "--no-color", "--tail", "60").stdout.decode())
        made.run("down", "--volumes", "--timeout", "5")


def _make_base(engine: str) -> None:
    """A Debian with what our Dockerfile needs of its base, and this machine's way to the package index."""
    client = docker.DockerClient(base_url=engine, timeout=300)
    try:
        with provision.image_archive(PACKAGES).open("rb") as data, tempfile.TemporaryDirectory() as folder:
            client.api.import_image_from_data(data, repository=f"{BASE}-bare", tag="latest")
            shutil.copyfile(CA_BUNDLE, Path(folder) / "ca.crt")
            lines = [f"FROM {BASE}-bare", f"COPY ca.crt {CA_BUNDLE}", *_index_settings()]
            (Path(folder) / "Dockerfile").write_text("\n".join(lines))
            client.images.build(path=folder, tag=BASE)
    finally:
        client.close()


def _index_settings() -> Iterator[str]:
    """How pip reaches its index from here, but for folders, which a container has not."""
    prefixes = ("PIP_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "NO_PROXY")
    for name, value in os.environ.items():
        if name.upper().startswith(prefixes) and "LINKS" not in name:
            yield f"ENV {name}={orjson.dumps(value).decode()}"
