"""What tests need of the machine: is it there, how to get it, and the parts that are started by hand.

A test says `@pytest.mark.needs("docker")`; tests/conftest.py asks `missing` and lists at the end what could not be had.
`python -m tests.support.provision` installs what it may: Debian packages, when it runs as root (or in CI by `sudo -n`).
"""

import functools
import hashlib
import os
import platform
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import platformdirs

from tests.support import arvados_client

ENGINE_START_SECONDS = 60
ENGINE_STOP_SECONDS = 30
IMAGE_PACKAGES = "python3"
IMAGE_NAME = "crunch-reuse-tests-python"


@dataclass(frozen=True, kw_only=True)
class Need:
    """One thing that a test may need beyond Python packages."""

    commands: tuple[str, ...]  # executables that have to be there
    packages: tuple[str, ...]  # Debian packages that bring them
    advice: str  # for who can't use apt-get


NEEDS = {
    "git": Need(commands=("git",), packages=("git",), advice="install git"),
    "bubblewrap": Need(
        commands=("bwrap",),
        packages=("bubblewrap",),
        advice="install bubblewrap on Linux, with user namespaces allowed",
    ),
    "docker": Need(
        commands=("dockerd", "mmdebstrap"),
        packages=("docker.io", "mmdebstrap"),
        advice="start a Docker engine that this user may speak to, or run as root on Debian",
    ),
    "root": Need(commands=(), packages=(), advice="run as root, on Linux"),
    "another-python": Need(commands=(), packages=(), advice="install a second Python of 3.11, 3.12, 3.13"),
    "arvados-client": Need(commands=(), packages=(), advice="let pip reach a package index once"),
}


@functools.cache
def missing(name: str) -> str | None:
    """Why `name` (a key of NEEDS) can't be had here, in one line that says what to do; None if it is there."""
    reason = _CHECKS[name]()
    return reason and f"{reason}; to run these, {NEEDS[name].advice}"


def _missing_git() -> str | None:
    return None if shutil.which("git") else "no git on the PATH"


def _missing_bubblewrap() -> str | None:
    if not shutil.which("bwrap"):
        return "no bwrap on the PATH"
    trial = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--dev", "/dev", "--proc", "/proc", "true"]
    result = subprocess.run(trial, capture_output=True, text=True)
    return f"bwrap does not work here: {result.stderr.strip()}" if result.returncode else None


def _missing_docker() -> str | None:
    if _running_engine():
        return None
    if platform.system() != "Linux" or os.geteuid() != 0:
        return "no Docker engine answers, and only root on Linux can start one"
    absent = [command for command in NEEDS["docker"].commands if not shutil.which(command)]
    return f"no {' and no '.join(absent)} on the PATH" if absent else None


def _missing_root() -> str | None:
    return None if platform.system() == "Linux" and os.geteuid() == 0 else "not root on Linux"


def _missing_another_python() -> str | None:
    return None if another_python() else f"no Python but {platform.python_version()} was found"


_CHECKS = {
    "git": _missing_git,
    "bubblewrap": _missing_bubblewrap,
    "docker": _missing_docker,
    "root": _missing_root,
    "another-python": _missing_another_python,
    "arvados-client": arvados_client.why_missing,
}


# --- Installing ------------------------------------------------------------------------------------------------------


def install_missing() -> None:
    """Install the Debian packages whose commands are absent, where that is allowed; says what it does in one line."""
    packages = [
        package
        for need in NEEDS.values()
        if any(not shutil.which(command) for command in need.commands)
        for package in need.packages
    ]
    prefix = _apt_get()
    if not packages or prefix is None:
        return
    print(f"run: installing for the tests: {' '.join(packages)} ...", file=sys.stderr, flush=True)
    _loud_on_failure([*prefix, "update"])
    _loud_on_failure([*prefix, "install", "--yes", "--no-install-recommends", *packages])


def _apt_get() -> list[str] | None:
    if platform.system() != "Linux" or not shutil.which("apt-get"):
        return None
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"]
    if os.geteuid() == 0:
        return command
    in_ci_with_sudo = in_ci() and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    return ["sudo", "-n", *command] if in_ci_with_sudo else None


def _loud_on_failure(command: list[str]) -> None:
    # Whether the tests can go on without it is for the tests to say: they list what they lack.
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
    return next((address for address in candidates if address.startswith("unix://") and _answers(address)), None)


def _answers(address: str) -> bool:
    # Not by the docker package: it leaves its socket open when nobody answers.
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        try:
            connection.connect(address.removeprefix("unix://"))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


@contextmanager
def docker_engine() -> Iterator[str]:
    """A Docker engine's address (`unix:///tmp/…/docker.sock`): our own where root can start one, else the user's.

    Our own lives in a temporary folder and ends with the context; it touches no firewall and has no bridge.
    """
    if _missing_root() or not shutil.which("dockerd"):
        address = _running_engine()
        if address is None:
            raise RuntimeError("no Docker engine answers: ask missing('docker') first")
        yield address
        return
    with tempfile.TemporaryDirectory(prefix="crunch-docker-") as folder, _dockerd(Path(folder)) as address:
        yield address


@contextmanager
def _dockerd(folder: Path) -> Iterator[str]:
    address = f"unix://{folder}/docker.sock"
    # It ends with us, also when we are killed.
    command = ["setpriv", "--pdeathsig", "TERM", "dockerd"]
    command += ["--host", address, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    command += ["--pidfile", f"{folder}/pid", "--iptables=false", "--ip6tables=false", "--bridge=none"]
    log = folder / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, log.open("wb") as output:
        ready.bind(f"{folder}/ready.sock")
        environment = os.environ | {"NOTIFY_SOCKET": f"{folder}/ready.sock"}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            _wait_until_ready(process, ready, log)
            yield address
        finally:
            process.terminate()
            process.wait(ENGINE_STOP_SECONDS)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: socket.socket, log: Path) -> None:
    exited = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ready, selectors.EVENT_READ)
            selector.register(exited, selectors.EVENT_READ)
            events = selector.select(ENGINE_START_SECONDS)
    finally:
        os.close(exited)
    if [key.fileobj for key, _ in events] != [ready]:
        raise RuntimeError(f"dockerd did not start:\n{log.read_text(errors='replace')[-4000:]}")


@contextmanager
def python_image(engine: str) -> Iterator[str]:
    """The id of an image with Python 3 in it (`sha256:…`), imported into `engine` and removed at the end."""
    client = docker.DockerClient(base_url=engine, timeout=300)
    try:
        if shutil.which("mmdebstrap"):
            with _image_archive().open("rb") as data:
                client.api.import_image_from_data(data, repository=IMAGE_NAME, tag="latest")
            image = client.images.get(IMAGE_NAME)
        else:
            image = client.images.pull("python", "3.12-slim")
        yield image.id
        client.images.remove(image.id, force=True)
    finally:
        client.close()


def _image_archive() -> Path:
    """A root file system with Python in it, made once (15 s) and kept in the user's cache folder."""
    key = hashlib.sha256(f"{_codename()} {platform.machine()} {IMAGE_PACKAGES}".encode()).hexdigest()[:12]
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
            f"--include={IMAGE_PACKAGES}",
            _codename(),
            str(fresh),
        ]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"mmdebstrap could not make the image:\n{result.stderr}")
        fresh.rename(archive)
    return archive


def _codename() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "bookworm")


# --- Another Python, for what has to be the same in two versions -----------------------------------------------------


@functools.cache
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
    for name in names:
        yield from map(
            str, sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/*/bin/{name}"))
        )
    if uv := shutil.which("uv"):
        listed = subprocess.run([uv, "python", "list", "--only-installed"], capture_output=True, text=True).stdout
        yield from (line.split()[1] for line in listed.splitlines() if line.startswith("cpython-3.1"))


if __name__ == "__main__":
    install_missing()
