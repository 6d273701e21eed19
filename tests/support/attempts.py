"""Running single attempts on a real runner, without a log: a site in a folder, and what its tasks ask for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from consumers.executor.attempt import Attempt
from consumers.executor.guard import Guard
from consumers.executor.site import Site
from consumers.runners.choose import Runners
from coordinator.canonical import canonical, digest
from schemas.claims import Exited
from schemas.facts import Answered
from schemas.fields import Record
from schemas.reasons import Outcome
from schemas.spec import Components, Resources, TaskSpec
from schemas.topics import Topic
from schemas.work import Ready
from store.blocks import BlockStore
from store.collections import CollectionStore
from store.environment import host_identity

NOTHING = "d41d8cd98f00b204e9800998ecf8427e+0"
ANY = "0" * 64


class Asked:
    """In place of the log: keeps what tasks ask for, and says yes unless told otherwise."""

    def __init__(self) -> None:
        self.commands: list[Record] = []
        self.answer = Answered(outcome=Outcome.DONE)

    def append_and_wait(self, topic: Topic, body: Record, timeout: float) -> Answered:
        self.commands.append(body)
        return self.answer


class Bench:
    """A site, and attempts on it. `image`: for every task, empty: none."""

    def __init__(self, site: Site, folder: Path, asked: Asked, image: str = "") -> None:
        self.site = site
        self.store = site.collections
        self.folder = folder
        self.asked = asked
        self.image = image
        self._count = 0

    def save(self, files: Mapping[str, str | bytes]) -> str:
        """A collection of these files."""
        self._count += 1
        folder = self.folder / f"saved-{self._count}"
        folder.mkdir()
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
        return self.store.save_directory(folder).portable_data_hash

    def spec(
        self, *command: str, parameters: Any = None, cores: int = 1, memory: int = 256, scratch: int = 64, **fields: Any
    ) -> TaskSpec:
        """A task; one text is a line for the shell."""
        image = fields.pop("image") if "image" in fields else self.image
        environment = digest({"host": host_identity()}) if not image else ANY
        return TaskSpec(
            command=("sh", "-c", *command) if len(command) == 1 and "script" not in fields else command,
            parameters=msgspec.Raw(canonical(parameters or {})),
            resources=Resources(cores=cores, memory=memory, scratch=scratch),
            image=image,
            components=Components(commit=ANY, script=ANY, image=environment, parameters=ANY, inputs=ANY, outputs=ANY),
            **fields,
        )

    def attempt(self, spec: TaskSpec, bound: Any = None) -> Attempt:
        """An attempt that is not run yet."""
        self._count += 1
        return Attempt(ready(spec, f"token-{self._count}", bound), self.site)

    def run(self, *command: str, bound: Any = None, **fields: Any) -> Exited:
        """An attempt, run to its end."""
        return self.attempt(self.spec(*command, **fields), bound).run()

    def output(self, report: Exited) -> dict[str, str]:
        """What was captured: path to text."""
        return {file.path: self.read(report.output, file.path) for file in self.store.files(report.output)}

    def log(self, report: Exited) -> str:
        """What it said."""
        return self.read(report.log, "stdout-stderr.txt")

    def read(self, pdh: str, path: str) -> str:
        """A file of a collection."""
        with self.store.open(pdh, path) as stream:
            return stream.read().decode(errors="replace")


def ready(spec: TaskSpec, token: str, bound: Any = None) -> Ready:
    """The work, as the claims machine would have it."""
    return Ready(
        pool="default",
        token=token,
        fingerprint=f"print-{token}",
        task="zzzzz-8i9sb-000000000000001",
        root="zzzzz-8i9sb-000000000000000",
        owner="someone",
        spec=msgspec.Raw(msgspec.json.encode(spec)),
        bound=msgspec.Raw(canonical(bound or {})),
        qsequence=5,
    )


@contextmanager
def bench(folder: Path, runner: str, engine: str = "", image: str = "", groups: str | None = None) -> Iterator[Bench]:
    """A bench in an empty folder. `groups`: why there are no control groups, to do without."""
    asked = Asked()
    guard = Guard(engine)
    try:
        site = Site(
            node="node-1",
            root=folder / "executor",
            collections=CollectionStore(BlockStore.create(folder / "store")),
            runners=Runners(runner, engine, folder / "containers", groups),
            guard=guard,
            answers=asked,
        )
        try:
            yield Bench(site, folder, asked, image)
        finally:
            site.close()
    finally:
        guard.close()
