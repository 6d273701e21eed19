"""The runner without isolation: a process of the executor's own user, for where nothing better is to be had.

It keeps none of the promises about what a task sees; memory and processes are bounded where control groups or rlimits
allow. Its outputs are recorded as made so, and no other user is given them.
"""

from collections.abc import Callable

from consumers.runners.port import CannotRun, Command, Folders, Places, Running, Spared, nobody
from consumers.runners.spawn import Spawner
from schemas.reasons import Failure


class ProcessRunner:
    """Runs a task as it is, where it is."""

    name = "process"
    isolates = False

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner

    def trouble(self) -> str | None:
        """There is none: it needs nothing but a system with processes."""
        return None

    def places(self, folders: Folders) -> Places:
        """The folders themselves."""
        return Places(
            code=str(folders.code) if folders.code else "",
            inputs=str(folders.links),
            keep=str(folders.root / "keep"),
            output=str(folders.output),
            work=str(folders.scratch / "work"),
            tmp=str(folders.scratch / "tmp"),
            run=str(folders.run),
            bin=str(folders.bin),
        )

    def start(self, command: Command, on_output: Callable[[bytes], object]) -> Running:
        """A process in the task's scratch directory."""
        return self._spawner.start(
            command.argv,
            environment=command.environment,
            directory=command.folders.scratch / "work",
            limits=command.limits,
            mark=command.mark,
            on_output=on_output,
            contained=False,
        )

    def sweep(self, node: str, spare: Spared = nobody) -> int:
        """Kill what carries the node's mark."""
        return self._spawner.sweep(node)

    def find(self, node: str) -> tuple[str, ...]:
        """None: its output went to the executor that is gone."""
        return ()

    def adopt(self, mark: str, on_output: Callable[[bytes], object]) -> Running:
        """Never: see `find`."""
        raise CannotRun(Failure.NODE, f"{mark}: a task under process can't be adopted")
