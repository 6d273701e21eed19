"""Which runner a task gets, and why."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple, TypeVar

from consumers.runners.bubblewrap import BubblewrapRunner
from consumers.runners.cgroups import Groups, find
from consumers.runners.port import CannotRun, Runner, Spared
from consumers.runners.process import ProcessRunner
from consumers.runners.spawn import Spawner
from schemas.reasons import Failure

T = TypeVar("T")
AUTO = "auto"
ETC = "sandbox-etc"  # folder beside the note
NAMES = ("docker", "bubblewrap", "process")
_WITHOUT_GROUPS = "each process of a task is held to its memory, all of them together are not, and cores are not held"


class Choice(NamedTuple):
    """A runner's name, and one line for people that says why it is this one."""

    name: str
    why: str


def choose_runner(image_named: bool, forced: str, trouble_of: Callable[[str], str | None]) -> Choice:
    """The runner for a task. `forced`: a runner's name, or `auto`. `trouble_of`: why a runner can't be used here.

    An image runs in an engine or not at all: with the host's programs it would be another computation. So a node
    that can't do what the task needs raises CannotRun, and another node may.
    """
    if image_named:
        return _for_image(forced, trouble_of)
    if forced == "docker":
        raise CannotRun(Failure.NODE, "this node is to use docker, and the task names no image: give it one")
    if forced != AUTO:
        if trouble := trouble_of(forced):
            raise CannotRun(Failure.NODE, f"this node is to use {forced}, and can't: {trouble}")
        return Choice(forced, "it was asked for")
    if trouble := trouble_of("bubblewrap"):
        return Choice("process", f"the task names no image, and {trouble}: nothing isolates it")
    return Choice("bubblewrap", "the task names no image, and bubblewrap works here")


def _for_image(forced: str, trouble_of: Callable[[str], str | None]) -> Choice:
    if forced not in (AUTO, "docker"):
        raise CannotRun(Failure.NODE, f"the task names an image, and this node is to use {forced}, which runs none")
    if trouble := trouble_of("docker"):
        raise CannotRun(Failure.NODE, f"the task names an image, and {trouble}: start one on this node")
    return Choice("docker", "the task names an image, and a Docker engine answers")


class Runners:
    """The runners of one node, each made when it is first needed: Docker's library is heavy, and few nodes use it.

    `engine`: address of the Docker engine; empty: as the environment says. `note`: a file that says that containers
    were made, for the next start to look for what is left of them. `groups`: where control groups can be made, or why
    none can; None: look. `without_groups`: why none can. `logins`: for registries of images, see
    `consumers.runners.docker.Images`.
    """

    def __init__(
        self, forced: str, engine: str, note: Path, groups: Groups | str | None = None, logins: str = ""
    ) -> None:
        self.engine = engine
        self._forced = forced
        self._note = note
        self._logins = logins
        groups = find() if groups is None else groups
        self.without_groups = groups if isinstance(groups, str) else ""
        spawner = Spawner(None if isinstance(groups, str) else groups)
        self.owing = ""  # why the engine could not be asked what a former executor left; empty: it was, or need not be
        self._made: dict[str, Runner] = {
            "process": ProcessRunner(spawner),
            "bubblewrap": BubblewrapRunner(spawner, note.with_name(ETC)),
        }

    def choose(self, image_named: bool) -> Choice:
        """The runner for a task with or without an image. Raises CannotRun."""
        choice = choose_runner(image_named, self._forced, lambda name: self.get(name).trouble())
        if choice.name == "docker" or not self.without_groups:
            return choice
        return Choice(choice.name, f"{choice.why}; {self.without_groups}: {_WITHOUT_GROUPS}")

    def get(self, name: str) -> Runner:
        """The runner of this name."""
        if name == "docker" and name not in self._made:
            from consumers.runners.docker import DockerRunner

            self._made[name] = DockerRunner(self.engine, self._logins)
        return self._made[name]

    def sweep(self, node: str, spare: Collection[str] = ()) -> int:
        """Remove whatever a former executor of this node left running but what has a mark of `spare`; how many."""
        left = self._made["process"].sweep(node)
        if self._note.exists() and not self.owing:
            left += self.sweep_engine(node, spare.__contains__)
            if not spare and not self.owing:
                self._note.unlink()
        return left

    def sweep_engine(self, node: str, spare: Spared) -> int:
        """The same, in the engine alone; see `owing`."""
        return self._of_engine(lambda engine: engine.sweep(node, spare), 0)

    def find(self, node: str) -> tuple[str, ...]:
        """Marks of what a former executor of this node left and the docker runner's `adopt` takes; see `owing`."""
        return self._of_engine(lambda engine: engine.find(node), ()) if self._note.exists() else ()

    def _of_engine(self, ask: Callable[[Runner], T], otherwise: T) -> T:
        try:
            told = ask(self.get("docker"))
        except CannotRun as error:
            self.owing = str(error)
            return otherwise
        self.owing = ""
        return told

    def will_make_container(self) -> None:
        """Remember it, also across a crash."""
        self._note.touch()
