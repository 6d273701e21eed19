"""What tests need of the machine: is it there, how to get it, and the parts that are started by hand.

A test says `@pytest.mark.needs("docker")`; tests/conftest.py asks `missing` and lists at the end what could not be had.
`python -m tests.support.provision` installs what it may: Debian packages, when it runs as root (or in CI by `sudo -n`).
"""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import platformdirs

from streams.broker import BrokerError, fetch_jars, find_java
from tests.support import arvados_sdks
from tests.support.dockerd import PROGRAMS, answers, local_engine

IMAGE_PACKAGES = "python3"
SECOND_PYTHON = "3.12" if sys.version_info[1] != 12 else "3.13"
IMAGE_NAME = "crunch-reuse-tests-python"


@dataclass(frozen=True, kw_only=True)
class Need:
    """One thing that a test may need beyond this project's Python packages."""

    why_missing: Callable[[], str | None]  # one line, or None if it is there
    advice: str  # what to do about it
    packages: tuple[str, ...] = ()  # Debian packages that bring it


@functools.cache
def missing(name: str) -> str | None:
    """Why `name` (a key of NEEDS) can't be had here, in one line that says what to do; None if it is there."""
    need = NEEDS[name]
    reason = need.why_missing()
    return reason and f"{reason}; to run these, {need.advice}"


def _no_git() -> str | None:
    return None if shutil.which("git") else "no git on the PATH"


def _no_bubblewrap() -> str | None:
    if not shutil.which("bwrap"):
        return "no bwrap on the PATH"
    trial = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--dev", "/dev", "--proc", "/proc", "true"]
    result = subprocess.run(trial, capture_output=True, text=True)
    return f"bwrap does not work here: {result.stderr.strip()}" if result.returncode else None


def _no_docker() -> str | None:
    if _running_engine():
        return None
    if _no_root():
        return "no Docker engine answers, and only root on Linux can start one"
    absent = [command for command in ("dockerd", "mmdebstrap") if not shutil.which(command, path=PROGRAMS)]
    return f"no {' and no '.join(absent)} found" if absent else None


def _no_compose() -> str | None:
    return _no_docker() or (None if shutil.which("docker-compose") else "no docker-compose on the PATH")


def _no_kafka() -> str | None:
    try:
        find_java()
        fetch_jars()
    except BrokerError as error:
        return str(error)
    return None


def _no_curl() -> str | None:
    absent = [program for program in ("curl", "jq") if not shutil.which(program)]
    return f"no {' and no '.join(absent)} on the PATH" if absent else None


def _no_chromium() -> str | None:
    return None if shutil.which("chromium") else "no chromium on the PATH"


def _no_faketime() -> str | None:
    return None if shutil.which("faketime") else "no faketime on the PATH"


def _no_postgresql() -> str | None:
    return None if any(Path("/usr/lib/postgresql").glob("*/bin/postgres")) else "no server under /usr/lib/postgresql"


def _no_root() -> str | None:
    return None if platform.system() == "Linux" and os.geteuid() == 0 else "not root on Linux"


def _no_other_python() -> str | None:
    return None if another_python() else f"no Python but {platform.python_version()} was found"


NEEDS = {
    "git": Need(why_missing=_no_git, packages=("git",), advice="install git"),
    "bubblewrap": Need(
        why_missing=_no_bubblewrap,
        packages=("bubblewrap",),
        advice="install bubblewrap on Linux, with user namespaces allowed",
    ),
    "docker": Need(
        why_missing=_no_docker,
        packages=("docker.io", "mmdebstrap"),
        advice="start a Docker engine that this user may speak to, or run as root on Debian",
    ),
    "compose": Need(
        why_missing=_no_compose,
        packages=("docker-compose",),
        advice="install docker-compose, and run as root on Debian",
    ),
    "kafka": Need(
        why_missing=_no_kafka,
        packages=("openjdk-17-jre-headless", "maven"),
        advice="let Maven reach a repository once",
    ),
    "faketime": Need(
        why_missing=_no_faketime,
        packages=("faketime",),
        advice="install Debian's faketime",
    ),
    "curl": Need(why_missing=_no_curl, packages=("curl", "jq"), advice="install curl and jq"),
    "chromium": Need(
        why_missing=_no_chromium,
        packages=("chromium", "fonts-dejavu-core"),
        advice="install Debian's chromium",
    ),
    "postgresql": Need(why_missing=_no_postgresql, packages=("postgresql",), advice="install Debian's postgresql"),
    "root": Need(why_missing=_no_root, advice="run as root, on Linux"),
    "another-python": Need(why_missing=_no_other_python, advice="install a second one of Python 3.11, 3.12, 3.13"),
    "arvados-client": Need(
        why_missing=lambda: arvados_sdks.why_missing(arvados_sdks.JOBS),
        advice="let pip reach a package index once",
    ),
    "arvados-clients": Need(
        why_missing=lambda: arvados_sdks.why_missing(*arvados_sdks.VERSIONS),
        advice="let pip reach a package index once",
    ),
}


# --- Installing ------------------------------------------------------------------------------------------------------


def install_missing() -> None:
    """Install what is missing and may be installed, saying so in one line; what is still missing, the tests list."""
    packages = [package for need in NEEDS.values() if need.packages and need.why_missing() for package in need.packages]
    apt_get = _apt_get()
    if packages and apt_get:
        print(f"run: installing for the tests: {' '.join(packages)} ...", file=sys.stderr, flush=True)
        _loud_on_failure([*apt_get, "update"])
        _loud_on_failure([*apt_get, "install", "--yes", "--no-install-recommends", *packages])
    if not another_python():
        print(f"run: installing for the tests: Python {SECOND_PYTHON} ...", file=sys.stderr, flush=True)
        _loud_on_failure([sys.executable, "-m", "uv", "python", "install", "--no-bin", SECOND_PYTHON])


def _apt_get() -> list[str] | None:
    if platform.system() != "Linux" or not shutil.which("apt-get"):
        return None
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"]
    if os.geteuid() == 0:
        return command
    in_ci_with_sudo = in_ci() and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    return ["sudo", "-n", *command] if in_ci_with_sudo else None


def _loud_on_failure(command: list[str]) -> None:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        sys.stderr.buffer.write(result.stdout)


def in_ci() -> bool:
    """Whether nothing may be skipped."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


# --- A Docker engine of our own --------------------------------------------------------------------------------------


def _running_engine() -> str | None:
    """The address of an engine that runs already and that this user may use; only local ones are looked for."""
    candidates = [os.environ.get("DOCKER_HOST", ""), "unix:///var/run/docker.sock"]
    candidates.append(f"unix://{Path.home()}/.docker/run/docker.sock")
    return next((address for address in candidates if address.startswith("unix://") and answers(address)), None)


@contextmanager
def docker_engine() -> Iterator[str]:
    """A Docker engine's address (`unix:///tmp/…/docker.sock`): our own where root can start one, else the user's.

    Our own lives in a temporary folder and ends with the context; it touches no firewall and has no bridge.
    """
    if _no_root() or not shutil.which("dockerd", path=PROGRAMS):
        address = _running_engine()
        if address is None:
            raise RuntimeError("no Docker engine answers: ask missing('docker') first")
        yield address
        return
    with local_engine() as engine:
        yield engine.address


@contextmanager
def python_image(engine: str) -> Iterator[str]:
    """The id of an image with Python 3 in it (`sha256:…`), imported into `engine` and removed at the end."""
    client = docker.DockerClient(base_url=engine, timeout=300)
    try:
        if shutil.which("mmdebstrap"):
            with image_archive().open("rb") as data:
                client.api.import_image_from_data(data, repository=IMAGE_NAME, tag="latest")
            image = client.images.get(IMAGE_NAME)
        else:
            image = client.images.pull("python", "3.12-slim")
        yield image.id
        client.images.remove(image.id, force=True)
    finally:
        client.close()


def image_archive(packages: str = IMAGE_PACKAGES) -> Path:
    """A Debian root file system with these packages, made once (15 s) and kept in the user's cache folder."""
    key = hashlib.sha256(f"{_codename()} {platform.machine()} {packages}".encode()).hexdigest()[:12]
    archive = platformdirs.user_cache_path("crunch-reuse") / "tests" / f"python-image-{key}.tar"
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        fresh = Path(folder) / "image.tar"
        command = [
            "mmdebstrap",
            "--quiet",
            "--variant=essential",
            f"--include={packages}",
            _codename(),
            str(fresh),
        ]
        environment = os.environ | {"PATH": PROGRAMS}
        result = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"mmdebstrap could not make the image:\n{result.stderr}")
        fresh.rename(archive)
    return archive


def _codename() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "bookworm")


# --- Another Python, for what has to be the same in two versions -----------------------------------------------------


def another_python() -> str | None:
    """A working interpreter of another supported minor version than this one, by its real path."""
    for candidate in _interpreters():
        probe = "import os, sys; print(sys.version_info[1], os.path.realpath(sys._base_executable))"
        result = subprocess.run([candidate, "-c", probe], capture_output=True, text=True)
        minor, _, path = result.stdout.strip().partition(" ")
        if result.returncode == 0 and minor in ("11", "12", "13") and int(minor) != sys.version_info[1]:
            return path
    return None


def _interpreters() -> Iterator[str]:
    names = ("python3.13", "python3.12", "python3.11")
    yield from filter(None, map(shutil.which, names))
    # Beside our own, as pyenv and uv keep them: versions/3.12.1/bin/python3.12.
    versions = Path(os.path.realpath(sys._base_executable)).parents[2]
    yield from (str(found) for name in names for found in sorted(versions.glob(f"*/bin/{name}")))
    listing = [sys.executable, "-m", "uv", "python", "list", "--only-installed", "--managed-python"]
    listed = subprocess.run(listing, capture_output=True, text=True).stdout
    yield from (line.split()[1] for line in listed.splitlines())


if __name__ == "__main__":
    install_missing()
