"""The port to where a task runs: what each runner does, and what it is given.

A runner starts one command and hands back a `Running`; how long that may go on, how much it may write, and what its end
means is the same for all and stands in `consumers.runners.supervise`.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from consumers.runners.reap import Hold
from schemas.reasons import Failure

MIB = 2**20
MAX_PROCESSES = 1024

Spared = Callable[[str], bool]
"""Whether what has this mark stays."""


def nobody(_mark: str) -> bool:
    """Nothing stays."""
    return False


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece of work may use. Bytes, whole cores, milliseconds."""

    cores: int
    memory: int
    scratch: int
    output: int
    processes: int = MAX_PROCESSES
    time: int = 0  # 0: no limit


class Folders(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parts of one piece of work lie on the host; those without a note lie under `root`.

    All exist but `scratch`, which is there only where the runner makes none of its own.
    """

    root: Path  # of this attempt alone; removed with all that is in it
    code: Path | None  # None where there is no code tree
    collections: Mapping[str, Path]  # portable data hash of each input to the directory that shows it, anywhere
    links: Path  # a link for each input name, to where the task sees its collection
    output: Path
    scratch: Path  # `work` and `tmp` in it
    run: Path  # `socket`, `parameters.json`; anywhere, under a short path
    bin: Path  # the helper `crunch-task`; anywhere


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The same parts as the task sees them: absolute paths. `code` is empty where there is none."""

    code: str
    inputs: str  # a directory with an entry for each input's name
    keep: str  # a directory with an entry for each input's portable data hash
    output: str
    work: str  # scratch space of its own, its HOME and working directory
    tmp: str
    run: str
    bin: str


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `mark` tells this attempt's processes from all others; `node` is the part that the node's share."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folders: Folders
    limits: Limits
    node: str
    mark: str
    image: str = ""  # `sha256:…`; only for a runner of images
    image_name: str = ""  # where it may be pulled from, if this node has it not


class Exit(NamedTuple):
    """How the command's first process ended. `code`: as a shell says it, 128 + n after signal n."""

    code: int
    out_of_memory: bool = False
    trouble: str = ""  # the node or engine failed, not the task: one line


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution came to."""

    exit_code: int
    failure: Failure = Failure.NONE
    reason: str = ""


class CannotRun(Exception):
    """It never started. `failure` says whose fault that is, the text says what to do."""

    def __init__(self, failure: Failure, reason: str, exit_code: int = -1) -> None:
        self.failure = failure
        self.exit_code = exit_code
        super().__init__(reason)


class Running(Protocol):
    """A command that was made ready. Nothing of it runs before `go`."""

    @property
    def hold(self) -> Hold:
        """What has to be killed if nobody else can: for the watchdog."""
        ...

    def go(self) -> None:
        """Let it run."""
        ...

    def wait(self, seconds: float) -> Exit | None:
        """How it ended, as soon as it has; None after so many seconds."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal to all its processes."""
        ...

    def processes(self) -> Iterable[int]:
        """Its processes as this node numbers them, as far as they can be found."""
        ...

    def finish(self) -> bool:
        """Kill what is left, take back what was made for it, hand on its last output. Again: no effect.

        False: its engine did not say that it is gone, so it may run on.
        """
        ...


class Runner(Protocol):
    """A kind of isolation."""

    name: str
    isolates: bool  # whether a task sees nothing but what it declared

    def trouble(self) -> str | None:
        """Why it can't be used on this node, in one line; None if it can. Looks once and remembers."""
        ...

    def places(self, folders: Folders) -> Places:
        """Where the task will see these folders."""
        ...

    def start(self, command: Command, on_output: Callable[[bytes], object]) -> Running:
        """Make the command ready. Its stdout and stderr go to `on_output`, from another thread, in order.

        Raises CannotRun.
        """
        ...

    def sweep(self, node: str, spare: Spared = nobody) -> int:
        """Kill and remove whatever is left of this node's commands but what is spared; how many there were."""
        ...

    def find(self, node: str) -> tuple[str, ...]:
        """Marks of this node's commands that a former executor let run and that can be adopted. Raises CannotRun."""
        ...

    def adopt(self, mark: str, on_output: Callable[[bytes], object]) -> Running:
        """The command that was found under this mark, running or ended; its output so far comes first, then the rest.

        `go` has no effect on it. Raises CannotRun if it is not there any more, or can't be adopted.
        """
        ...
