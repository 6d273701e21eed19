"""The runner with a Docker engine: each task in a container of its own. The one file that imports `docker`.

An image is pinned by its content digest. The container has no network, a read-only root, no capability and no way to
one, a user that is not root, bounded memory, processors, processes and scratch; it sees its code and its declared
inputs read-only, and its output directory. Its labels say whose it is, so that what an executor left can be found.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound
from docker.types import LogConfig, Mount, Ulimit
from docker.utils.socket import frames_iter

from consumers.runners.port import CannotRun, Command, Exit, Folders, Limits, Places, Running
from consumers.runners.reap import Hold, in_namespace_of
from consumers.runners.sandbox import HOSTNAME, SANDBOX, SHARED_MEMORY, USER, places_in_sandbox
from schemas.reasons import Failure

NODE_LABEL = "crunch-reuse.node"
MARK_LABEL = "crunch-reuse.mark"

_ENGINE_SECONDS = 60
_END_SECONDS = 60.0  # for the end of a container that was killed
_PERIOD_US = 100_000
_STARTED = ("running", "paused", "exited")
# Read only by an executor that adopts the container. About as much as a task's log holds.
_KEPT_OUTPUT = {"max-size": "8m", "max-file": "2", "compress": "false"}


class DockerRunner:
    """Runs each task in a container. `engine`: the engine's address; empty: as the environment says."""

    name = "docker"
    isolates = True

    def __init__(self, engine: str = "") -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._client: docker.DockerClient | None = None

    def trouble(self) -> str | None:
        """Why there is no engine to be used, asked each time: one may be started later."""
        try:
            self._connected().ping()
        except (DockerException, requests.RequestException) as error:
            self._forget()
            return f"no Docker engine answers ({_line(error)})"
        return None

    def places(self, folders: Folders) -> Places:
        """The same as in every sandbox."""
        return places_in_sandbox(folders)

    def start(self, command: Command, on_output: Callable[[bytes], object]) -> Running:
        """A container that is created, and not started yet."""
        with _translated():
            client = self._connected()
            image = _image(client, command.image)
            created = client.api.create_container(**_configuration(client, image, command))["Id"]
            address = address_of(self._engine)
            try:
                return Container(client.api, address, created, command.mark, on_output)
            except BaseException:
                _unless_gone(address, lambda: client.api.remove_container(created, v=True, force=True))
                raise

    def sweep(self, node: str, spare: Collection[str] = ()) -> int:
        """Remove the containers that carry the node's label."""
        with _translated():
            api = self._connected().api
            found = [one for one in _labelled(api, NODE_LABEL, node) if one["Labels"][MARK_LABEL] not in spare]
            for container in found:
                api.remove_container(container["Id"], v=True, force=True)
            return len(found)

    def find(self, node: str) -> tuple[str, ...]:
        """The node's containers that were started: they run, or have ended and still tell how."""
        with _translated():
            found = _labelled(self._connected().api, NODE_LABEL, node)
            return tuple(one["Labels"][MARK_LABEL] for one in found if one["State"] in _STARTED)

    def adopt(self, mark: str, on_output: Callable[[bytes], object]) -> Running:
        """Follow it from its first word on: the engine kept what it said, within the bounds of its log."""
        with _translated():
            api = self._connected().api
            for one in _labelled(api, MARK_LABEL, mark):
                return Container(api, address_of(self._engine), one["Id"], mark, on_output, adopted=True)
            raise CannotRun(Failure.NODE, f"the container of {mark} is gone")

    def _connected(self) -> docker.DockerClient:
        with self._lock:
            if self._client is None:
                self._client = connect(self._engine)
            return self._client

    def _forget(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None


class Container:
    """A `Running` in an engine. Its output is followed from before it starts, so that nothing is missed.

    `adopted`: it was started by a former executor.
    """

    def __init__(
        self,
        api: docker.APIClient,
        address: str,
        container: str,
        mark: str,
        on_output: Callable[[bytes], object],
        adopted: bool = False,
    ) -> None:
        self._address = address
        self.hold = Hold(mark=mark, container=container)
        self._api = api
        self._id = container
        self._ended = threading.Event()
        self._exit = Exit(-1, trouble="the engine did not say how it ended")
        self._finished = False
        self._started = False
        self._process = 0
        self._output = _kept(api, container) if adopted else _attached(api, container)
        self._threads = [
            threading.Thread(target=self._pump, args=(on_output,), name="container", daemon=True),
            threading.Thread(target=self._await, name="container", daemon=True),
        ]
        if adopted:
            self._attend()

    def go(self) -> None:
        """Start it, once. Raises CannotRun where its program can't be."""
        if self._started:
            return
        with _translated():
            self._api.start(self._id)
        self._attend()

    def _attend(self) -> None:
        self._started = True
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> Exit | None:
        """How its first process ended."""
        return self._exit if self._ended.wait(seconds) else None

    def signal(self, number: int) -> None:
        """Send a signal to its first process; the engine reaches no other."""
        _unless_gone(self._address, lambda: self._api.kill(self._id, signal=int(number)))

    def processes(self) -> list[int]:
        """Where the engine's processes are this node's too."""
        if not self._process:
            with suppress(DockerException, requests.RequestException):  # the engine is gone: `_await` says so
                self._process = int(self._api.inspect_container(self._id)["State"]["Pid"])
        return list(in_namespace_of(self._process)) if self._process else []

    def finish(self) -> None:
        """Kill and remove it. If the engine is gone, what is left of it is removed when the node joins again."""
        if self._finished:
            return
        self._finished = True
        _unless_gone(self._address, lambda: self._api.kill(self._id))
        if self._started:
            patience = time.monotonic() + _END_SECONDS  # an engine that hangs answers no more, and says nothing
            for thread in self._threads:
                thread.join(max(0.0, patience - time.monotonic()))
        self._output.close()
        _unless_gone(self._address, lambda: self._api.remove_container(self._id, v=True, force=True))

    def _pump(self, on_output: Callable[[bytes], object]) -> None:
        with suppress(OSError, ValueError):  # the engine is gone (`_await` says so), or `finish` has closed it
            for data in self._output.pieces:
                on_output(data)

    def _await(self) -> None:
        try:
            _check_listening(self._address)
            code = int(self._api.wait(self._id)["StatusCode"])
            state = self._api.inspect_container(self._id)["State"]
            self._exit = Exit(code, bool(state.get("OOMKilled")), _start_error(state))
        except (DockerException, requests.RequestException) as error:
            self._exit = Exit(-1, trouble=f"the Docker engine went away while the task ran ({_line(error)})")
        finally:
            self._ended.set()


class _Output(NamedTuple):
    """What a container says, until it ends or `close` is called."""

    pieces: Iterator[bytes]
    close: Callable[[], object]


# The SDK closes these connections nowhere, and keeps them where only it should look.


def _attached(api: docker.APIClient, container: str) -> _Output:
    socket = api.attach_socket(container, params={"stdout": 1, "stderr": 1, "stream": 1})
    frames = frames_iter(socket, tty=False)  # type: ignore[no-untyped-call]
    return _Output((data for _, data in frames), socket._response.close)  # noqa: SLF001


def _kept(api: docker.APIClient, container: str) -> _Output:
    stream = api.logs(container, stdout=True, stderr=True, stream=True, follow=True)
    return _Output(iter(stream), stream._response.close)  # type: ignore[attr-defined]  # noqa: SLF001


def address_of(engine: str) -> str:
    """Where the engine listens: as given, as the environment says, or where it usually does."""
    desktop = Path.home() / ".docker/run/docker.sock"
    usual = f"unix://{desktop}" if desktop.exists() else "unix:///var/run/docker.sock"
    return engine or os.environ.get("DOCKER_HOST", "") or usual


def connect(engine: str = "") -> docker.DockerClient:
    """A client of the engine at this address; empty: see `address_of`. DockerException if none answers."""
    address = address_of(engine)
    _check_listening(address)
    if engine or "DOCKER_HOST" not in os.environ:
        return docker.DockerClient(base_url=address, version="auto", timeout=_ENGINE_SECONDS)
    return docker.from_env(version="auto", timeout=_ENGINE_SECONDS)


def _check_listening(address: str) -> None:
    """The SDK leaks a socket each time it finds nobody listening, so ask first."""
    if not address.startswith("unix://"):
        return
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.connect(address.removeprefix("unix://"))
        except OSError as error:
            raise DockerException(f"{address}: {error.strerror or error}") from error


def resolve_image(name: str, engine: str = "") -> str:
    """The content digest (`sha256:…`) of the image that this name stands for now. Raises CannotRun."""
    with _translated():
        return str(_image(connect(engine), name).id)


def kill_containers(engine: str, containers: Iterable[str]) -> None:
    """Kill these containers at once; one that is gone is no matter."""
    api, address = connect(engine).api, address_of(engine)
    for container in containers:
        _unless_gone(address, partial(api.kill, container))


def _labelled(api: docker.APIClient, label: str, value: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.containers(all=True, filters={"label": f"{label}={value}"})
    return found


def _configuration(client: docker.DockerClient, image: Any, command: Command) -> dict[str, Any]:
    user = _user(command.folders)
    return {
        "image": image.id,
        "entrypoint": list(command.argv),
        "environment": dict(command.environment) | _path(image),
        "working_dir": SANDBOX.work,
        "user": user,
        "hostname": HOSTNAME,
        "network_disabled": True,
        "use_config_proxy": False,
        "labels": {NODE_LABEL: command.node, MARK_LABEL: command.mark},
        "host_config": client.api.create_host_config(
            network_mode="none",
            read_only=True,
            init=True,  # the task as process 1 could not be sent a signal that it does not handle
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mounts=list(_mounts(command.folders)),
            tmpfs=_tmpfs(user, command.limits),
            log_config=LogConfig(type="local", config=_KEPT_OUTPUT),
            **_limits(command.limits),
        ),
    }


def _limits(limits: Limits) -> dict[str, Any]:
    largest_file = max(limits.output, limits.scratch)
    return {
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,
        "cpu_period": _PERIOD_US,
        "cpu_quota": limits.cores * _PERIOD_US,
        "pids_limit": limits.processes,
        "shm_size": SHARED_MEMORY,
        "ulimits": [
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="fsize", soft=largest_file, hard=largest_file),
        ],
    }


def _tmpfs(user: str, limits: Limits) -> dict[str, str]:
    uid, gid = user.split(":")
    options = f"rw,exec,nosuid,nodev,size={max(limits.scratch, 1)},uid={uid},gid={gid}"
    return {SANDBOX.work: f"{options},mode=0755", SANDBOX.tmp: f"{options},mode=1777"}


def _mounts(folders: Folders) -> Iterator[Mount]:
    shown = {f"{SANDBOX.keep}/{pdh}": path for pdh, path in folders.collections.items()}
    shown |= {SANDBOX.inputs: folders.links, SANDBOX.bin: folders.bin, SANDBOX.run: folders.run}
    if folders.code:
        shown[SANDBOX.code] = folders.code
    for target, source in shown.items():
        yield Mount(target, str(source), type="bind", read_only=True)
    yield Mount(SANDBOX.output, str(folders.output), type="bind")


def _user(folders: Folders) -> str:
    """Never root: a fixed user where we are root and can give it the output directory, else ourselves."""
    if os.geteuid() != 0:
        return f"{os.geteuid()}:{os.getegid()}"
    os.chown(folders.output, USER, USER)
    return f"{USER}:{USER}"


def _path(image: Any) -> dict[str, str]:
    """The image's own search path: it knows where its programs are."""
    settings = dict(item.split("=", 1) for item in image.attrs.get("Config", {}).get("Env") or [] if "=" in item)
    return {"PATH": f"{SANDBOX.bin}:{settings['PATH']}"} if settings.get("PATH") else {}


def _image(client: docker.DockerClient, name: str) -> Any:
    try:
        return client.images.get(name)
    except ImageNotFound as error:
        reason = f"image {name} is not on this node: pull or load it there (docker pull, docker load)"
        raise CannotRun(Failure.NODE, reason) from error


def _start_error(state: dict[str, Any]) -> str:
    return f"the engine could not run the container: {state['Error']}" if state.get("Error") else ""


@contextmanager
def _translated() -> Iterator[None]:
    """The one place where the engine's errors become ours."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        for told, code in (("executable file not found", 127), ("no such file", 127), ("permission denied", 126)):
            if isinstance(error, APIError) and told in str(error.explanation):
                raise CannotRun(Failure.EXIT, f"its program can't be started: {_line(error)}", code) from error
        raise CannotRun(Failure.NODE, f"the Docker engine can't run it: {_line(error)}") from error


def _unless_gone(address: str, call: Callable[[], object]) -> None:
    """For what is to be taken away: a container that has ended, or an engine that has, needs no more of it."""
    with suppress(DockerException, OSError):
        _check_listening(address)
        call()


def _line(error: Exception) -> str:
    told = error.explanation if isinstance(error, APIError) and error.explanation else error
    return " ".join(str(told).split())[:500]
