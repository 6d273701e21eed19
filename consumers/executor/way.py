"""A running task's way to the API: its token, what stands in its environment, and where its relay leads.

Only a task that is judged by its own record, as in Crunch v1, speaks to the API, since that is where the record is.
Every other has no way to it: no token, no relay, no network at all.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from consumers.executor.redact import Redacted
from consumers.runners.port import Folders, Places
from consumers.runners.relay import Relay, Target
from coordinator import purity, tasktoken
from schemas.spec import TaskSpec
from schemas.work import Ready

HELPER = "crunch-relay"
LONGEST_SECONDS = 7 * 24 * 3600  # how long the token of a task without a timeout is good for
_SPARE_SECONDS = 300  # beyond a task's timeout, for what stands before and after its run
_LOOPBACK = "127.0.0.1"
_API_PORT = 8443
_KEEP_PORT = 25107  # Keep's usual one


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Where this node's tasks find API and Keep, and the key that their tokens are signed with.

    `insecure`: the API's certificate is not checked. `keep` None: the API says where Keep is, as a client would ask.
    """

    api: Target
    key: bytes
    keep: Target | None = None
    insecure: bool = False

    def __repr__(self) -> str:
        return f"Way(api={self.api}, keep={self.keep})"  # without the key


class TaskWay:
    """One attempt's way, or that it has none. `folders`, `places`: the attempt's; `isolated`: it has no network."""

    def __init__(
        self, way: Way | None, ready: Ready, spec: TaskSpec, folders: Folders, places: Places, *, isolated: bool
    ) -> None:
        self._way = way = way if speaks_to_api(spec) else None
        self._run = folders.run
        self._places = places
        self._isolated = isolated
        self._token = token_of(way, ready, spec, folders.root) if way else ""

    def environment(self) -> dict[str, str]:
        """Crunch v1's variables."""
        if self._way is None:
            return {}
        api, keep = self._way.api, self._way.keep
        if self._isolated:
            api, keep = Target(_LOOPBACK, _API_PORT), keep and Target(_LOOPBACK, _KEEP_PORT)
        values = {"ARVADOS_API_HOST": f"{api.host}:{api.port}", "ARVADOS_API_TOKEN": self._token}
        if self._way.insecure:
            values["ARVADOS_API_HOST_INSECURE"] = "1"
        if keep:
            values["ARVADOS_KEEP_SERVICES"] = f"http://{keep.host}:{keep.port}/"
        return values

    def wrapped(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The command behind the inner end of its relay, where it has one."""
        ways = [f"{port}={self._places.run}/{name}" for name, (port, _) in self._relayed().items()]
        return (f"{self._places.bin}/{HELPER}", *ways, "--", *argv) if ways else argv

    @contextmanager
    def serving(self, on_output: Callable[[bytes], object]) -> Iterator[Callable[[bytes], object]]:
        """The outer end of its relay is there, and what the task says comes without its token."""
        if self._way is None:
            yield on_output
            return
        redacted = Redacted(on_output, self._token.encode())
        targets = {self._run / name: target for name, (_, target) in self._relayed().items()}
        with Relay(targets), closing(redacted):
            yield redacted

    def _relayed(self) -> dict[str, tuple[int, Target]]:
        """Name of the socket to port inside, place outside."""
        if self._way is None or not self._isolated:
            return {}
        ways = {"api": (_API_PORT, self._way.api)}
        return ways | ({"keep": (_KEEP_PORT, self._way.keep)} if self._way.keep else {})


def speaks_to_api(spec: TaskSpec) -> bool:
    """Whether a task needs the API to say what became of it."""
    return spec.verdict == "record"


def token_of(way: Way, ready: Ready, spec: TaskSpec, root: Path) -> str:
    """The attempt's token. `root`: its own folder, where it is kept."""
    return _kept(root / "token", lambda: _token(way, ready, spec))


def _kept(file: Path, make: Callable[[], str]) -> str:
    """Made once: who adopts the task has to know its token, to keep it out of the log. No sandbox shows the file."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(make())
    return file.read_text()


def _token(way: Way, ready: Ready, spec: TaskSpec) -> str:
    scope = purity.Scope(
        task=ready.task,
        job=ready.root,
        execution=ready.token,
        is_pure=spec.is_pure and not spec.ineligible,
        hashes=purity.hashes_of(spec, ready.bound),
    )
    lasts = spec.timeout // 1000 + _SPARE_SECONDS if spec.timeout else LONGEST_SECONDS
    return tasktoken.sign(scope, int(time.time()) + lasts, way.key)
