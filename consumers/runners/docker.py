"""The runner with a Docker engine: each task in a container of its own. The one file that imports `docker`.

An image is pinned by its content digest. The container has no network, a read-only root, no capability and no way to
one, a user that is not root, bounded memory, processors, processes and scratch; it sees its code and its declared
inputs read-only, and its output directory. Its labels say whose it is, so that what an executor left can be found.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound, StreamParseError
from docker.utils.socket import frames_iter
from urllib3.exceptions import HTTPError

from consumers.runners.cgroups import group_of
from consumers.runners.container import MARK_LABEL, NODE_LABEL, configuration
from consumers.runners.containerend import WENT_AWAY, engines_doing, is_by_signal, start_error
from consumers.runners.port import CannotRun, Command, Exit, Folders, Places, Running, Spared, nobody
from consumers.runners.reap import Hold, in_cgroups
from consumers.runners.sandbox import places_in_sandbox
from schemas.reasons import Failure

_ENGINE_SECONDS = 60
_REMOVAL_SECONDS = 10  # what takes longer is asked for again
_END_SECONDS = 60.0  # for the end of a container that was killed
_STARTED = ("running", "paused", "exited")
_TROUBLE = (DockerException, StreamParseError, requests.RequestException, HTTPError)


class DockerRunner:
    """Runs each task in a container. `engine`: its address; empty: as the environment says. `logins`: see `Images`."""

    name = "docker"
    isolates = True

    def __init__(self, engine: str = "", logins: str = "") -> None:
        self._engine = engine
        self._images = Images(logins)
        self._lock = threading.Lock()
        self._client: docker.DockerClient | None = None

    def trouble(self) -> str | None:
        """Why there is no engine to be used, asked each time: one may be started later."""
        try:
            self._connected().ping()
        except _TROUBLE as error:
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
            created = self._created(client, command)
            address = address_of(self._engine)
            try:
                return Container(client.api, address, created, command.mark, on_output)
            except BaseException:
                _unless_gone(address, lambda: client.api.remove_container(created, v=True, force=True))
                raise

    def _created(self, client: docker.DockerClient, command: Command) -> str:
        try:
            return self._create(client, command)
        except ImageNotFound:
            self._images.forget(command.image)
            return self._create(client, command)

    def _create(self, client: docker.DockerClient, command: Command) -> str:
        image = self._images.pinned(client, command.image, command.image_name)
        settings = configuration(image.id, image.attrs, command)
        host = client.api.create_host_config(**settings.pop("host_config"))
        return str(client.api.create_container(**settings, host_config=host)["Id"])

    def sweep(self, node: str, spare: Spared = nobody) -> int:
        """Remove the containers that carry the node's label."""
        with _translated():
            api = self._connected().api
            found = [one for one in _labelled(api, NODE_LABEL, node) if not spare(one["Labels"][MARK_LABEL])]
        left, trouble = _removed(api, [one["Id"] for one in found])
        if left:
            raise CannotRun(Failure.NODE, f"the Docker engine does not remove {', '.join(left)}: {trouble}")
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
        self._finished = self._is_gone = False
        self._signalled = False  # by us
        self._started = False
        self._group: tuple[str, ...] = ()
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
        self._signalled = True
        _unless_gone(self._address, lambda: self._api.kill(self._id, signal=int(number)))

    def processes(self) -> Iterator[int]:
        """Where the engine's processes are this node's too."""
        if not self._group:
            with suppress(*_TROUBLE):  # the engine is gone: `_await` says so
                self._group = group_of(int(self._api.inspect_container(self._id)["State"]["Pid"]))
        return in_cgroups(self._group)

    def finish(self) -> bool:
        """Kill and remove it. False: the engine did not answer, so who called has to see to it."""
        if self._finished:
            return self._is_gone
        self._finished = self._signalled = True
        _unless_gone(self._address, lambda: self._api.kill(self._id))
        if self._started:
            patience = time.monotonic() + _END_SECONDS  # an engine that hangs answers no more, and says nothing
            for thread in self._threads:
                thread.join(max(0.0, patience - time.monotonic()))
        self._output.close()
        with suppress(*_TROUBLE):
            _check_listening(self._address)
            self._is_gone = not _removed(self._api, [self._id])[0]
        return self._is_gone

    def _pump(self, on_output: Callable[[bytes], object]) -> None:
        with suppress(OSError, ValueError):  # the engine is gone (`_await` says so), or `finish` has closed it
            for data in self._output.pieces:
                on_output(data)

    def _await(self) -> None:
        try:
            _check_listening(self._address)
            code = int(self._api.wait(self._id)["StatusCode"])
            _check_listening(self._address)  # an engine that is stopped closes its door before it ends what it runs
            state = self._api.inspect_container(self._id)["State"]
            trouble = start_error(state) or self._engines_doing(code, state)
            self._exit = Exit(code, bool(state.get("OOMKilled")), trouble)
        except _TROUBLE as error:
            self._exit = Exit(-1, trouble=f"{WENT_AWAY} ({_line(error)})")
        finally:
            self._ended.set()

    def _engines_doing(self, code: int, state: dict[str, Any]) -> str:
        if self._signalled or not is_by_signal(code, state):
            return ""
        wanted = {"type": "container", "container": self._id, "event": ["kill", "die"]}
        api: Any = self._api
        return engines_doing(code, state, lambda a, b: api.events(since=a, until=b, filters=wanted, decode=True))


class Images:
    """An engine's images, each looked up once.

    `logins`: a file as Docker's client keeps it, for registries that want to know who asks: what it holds, or the
    helpers that it names, are asked for the moment of a pull and kept nowhere. Empty: this user's own, if there is one.
    """

    def __init__(self, logins: str = "") -> None:
        self._logins = logins
        self._known: dict[str, Any] = {}

    def pinned(self, client: docker.DockerClient, digest: str, name: str) -> Any:
        """The image of this content. `name`: where it may be pulled from, if it still stands for it there."""
        if digest not in self._known:
            self._known[digest] = self._found(client, digest, name)
        return self._known[digest]

    def forget(self, digest: str) -> None:
        """Look again: it was removed meanwhile."""
        self._known.pop(digest, None)

    def named(self, client: docker.DockerClient, name: str) -> Any:
        """The image that this name stands for here, or else in its registry."""
        try:
            return client.images.get(name)
        except ImageNotFound:
            return self._pulled(client, name)

    def _found(self, client: docker.DockerClient, digest: str, name: str) -> Any:
        try:
            return client.images.get(digest)
        except ImageNotFound:
            image = self._pulled(client, name or digest)
        if image.id != digest:
            reason = f"image {name} is now another ({image.id}) than the task was made for ({digest}): submit it anew"
            raise CannotRun(Failure.NODE, reason)
        return image

    def _pulled(self, client: docker.DockerClient, name: str) -> Any:
        if not _is_name(name):
            raise CannotRun(Failure.NODE, f"image {name} is not on this node: load it there (docker load)")
        if self._logins:
            if not os.access(self._logins, os.R_OK):
                raise CannotRun(Failure.NODE, f"executor.registry_logins: {self._logins} can't be read")
            client.api.reload_config(self._logins)
        try:
            return _pull(client, name)
        except DockerException as error:
            reason = f"image {name} is not on this node, and can't be pulled ({_line(error)}): load it there, or"
            raise CannotRun(Failure.NODE, f"{reason} name the registry's logins in executor.registry_logins") from error


def _pull(client: docker.DockerClient, name: str) -> Any:
    """What goes wrong in mid pull is told in what the engine streams, which the SDK's own `images.pull` passes over."""
    troubles = [said["error"] for said in client.api.pull(name, stream=True, decode=True) if "error" in said]
    if troubles:
        raise DockerException(troubles[-1])
    return client.images.get(name)


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


def connect(engine: str = "", seconds: int = _ENGINE_SECONDS) -> docker.DockerClient:
    """A client of the engine at this address; empty: see `address_of`. DockerException if none answers in time."""
    address = address_of(engine)
    _check_listening(address)
    if engine or "DOCKER_HOST" not in os.environ:
        return docker.DockerClient(base_url=address, version="auto", timeout=seconds)
    return docker.from_env(version="auto", timeout=seconds)


def _check_listening(address: str) -> None:
    """The SDK leaks a socket each time it finds nobody listening, so ask first."""
    if not address.startswith("unix://"):
        return
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.connect(address.removeprefix("unix://"))
        except OSError as error:
            raise DockerException(f"{address}: {error.strerror or error}") from error


def resolve_image(name: str, engine: str = "", logins: str = "") -> str:
    """The content digest (`sha256:…`) of the image that this name stands for, pulled if need be. Raises CannotRun."""
    with _translated():
        return str(Images(logins).named(connect(engine), name).id)


def remove_containers(engine: str, containers: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Kill and remove these containers, started or not: those of which the engine did not say that they are gone, and
    why not the last of these."""
    try:
        client = connect(engine, _REMOVAL_SECONDS)
    except _TROUBLE as error:
        return tuple(containers), _line(error)
    with closing(client):
        return _removed(client.api, containers)


def _removed(api: docker.APIClient, containers: Sequence[str]) -> tuple[tuple[str, ...], str]:
    left, trouble = [], ""
    for container in containers:
        try:
            api.remove_container(container, v=True, force=True)
        except NotFound:
            continue
        except _TROUBLE as error:
            left.append(container)
            trouble = _line(error)
    return tuple(left), trouble


def _labelled(api: docker.APIClient, label: str, value: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.containers(all=True, filters={"label": f"{label}={value}"})
    return found


def _is_name(text: str) -> bool:
    """Whether a registry could know it: a bare digest is only this engine's own."""
    return text != "" and not text.startswith("sha256:")


@contextmanager
def _translated() -> Iterator[None]:
    """The one place where the engine's errors become ours: the node's trouble, whatever the engine did not find.

    A program that is not there is none of its errors: the init in the container looks for it, and exits with 127.
    """
    try:
        yield
    except _TROUBLE as error:
        raise CannotRun(Failure.NODE, f"the Docker engine can't run it: {_line(error)}") from error


def _unless_gone(address: str, call: Callable[[], object]) -> None:
    """For what is to be taken away: a container that has ended, or an engine that has, needs no more of it."""
    with suppress(DockerException, OSError):
        _check_listening(address)
        call()


def _line(error: Exception) -> str:
    told = error.explanation if isinstance(error, APIError) and error.explanation else error
    return " ".join(str(told).split())[:500]
