"""What all the attempts of one executor share: the node, its store, its runners, and where things are put."""

import hashlib
import os
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

import consumers
from consumers.executor.broom import Broom
from consumers.executor.guard import Guard
from consumers.executor.inputs import InputCache, remove_tree, shown_as
from consumers.executor.keepmount import MOUNTED, KeepMount
from consumers.executor.left import Left
from consumers.executor.owed import Owed
from consumers.executor.requests import Asks
from consumers.executor.speaker import Speaker
from consumers.executor.way import Way
from consumers.runners.choose import Runners
from consumers.runners.port import MAX_PROCESSES, MIB
from consumers.runners.supervise import GRACE_SECONDS
from schemas.spec import TaskSpec
from store.collections import CollectionStore

# What tasks find in CRUNCH_BIN: each a module of ours that runs alone, under the first Python that there is.
_HELPERS = {"crunch-task": "crunch_task.py", "crunch-relay": "crunch_relay.py"}
_HELPER_SCRIPT = """#!/bin/sh
exec "$(command -v python3 || command -v python2 || command -v python || echo python3)" \\
    -E -S "$(dirname "$0")/{module}" "$@"
"""


class FolderNotOurs(Exception):
    """Somebody else made a folder under the name of ours; one line that names it and says what to do."""


class Site:
    """Folders under `root` (the executor's own) and a short one for sockets, whose paths may have 107 bytes at most.

    `node`: the node's name. `key`: tells this node and folder from any other on the machine; what its tasks leave is
    found by it. `way`: how tasks reach the API; None: there is none. `left`: what a former executor left running, and
    whose folders stay as they are. `moment`: the file in which the present incarnation's deadline stands. `outcomes`:
    counts how executions ended here. `mounted`: MiB of what one task's parameters name that it is shown.
    """

    def __init__(
        self,
        *,
        node: str,
        root: Path,
        collections: CollectionStore,
        runners: Runners,
        guard: Guard,
        answers: Asks,
        way: Way | None = None,
        left: Collection[Left] = (),
        outcomes: Counter[str] | None = None,
        mounted: int = MOUNTED,
    ) -> None:
        self.node = node
        self.key = site_key(node, root)
        self.collections = collections
        self.runners = runners
        self.guard = guard
        self.answers = answers
        self.way = way
        self.outcomes: Counter[str] = Counter() if outcomes is None else outcomes
        self.grace_seconds = GRACE_SECONDS
        self.processes = MAX_PROCESSES  # of one task
        self.attempts = root / "attempts"
        self.sockets = socket_folder(self.key)
        self.bin = root / "bin"
        self.moments = root / "moments"
        self.moment = self.moments / "none"
        self.speaker = Speaker(collections.blocks.words)
        self._clear({name for one in left for name in (one.name, Path(one.moment).name)})
        self.broom = Broom()
        self.owed = Owed(runners, guard, self.key, self.attempts)
        self.keep_mount = KeepMount(collections, mounted * MIB)
        self.inputs = InputCache(collections, root / "inputs", spare={name for one in left for name in _shown_to(one)})

    def close(self) -> None:
        """Remove what is only of use while the executor runs."""
        self.owed.close()
        self.speaker.close()
        self.broom.close()
        remove_tree(self.sockets)
        remove_tree(self.attempts)

    def _clear(self, spare: set[str]) -> None:
        """Begin anew: what a former executor left was of attempts that are over, but for those to spare."""
        for folder in (self.attempts, self.bin, self.moments):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        for folder in (self.attempts, self.sockets, self.moments):
            for past in folder.iterdir():
                if past.name not in spare:
                    remove_tree(past)
                    self.speaker.forget(past.name)
        for name, module in _HELPERS.items():
            shutil.copyfile(Path(consumers.__file__).with_name(module), self.bin / module)
            (self.bin / name).write_text(_HELPER_SCRIPT.format(module=module))
        for file in self.bin.iterdir():
            file.chmod(0o755)


def _shown_to(left: Left) -> Iterator[str]:
    """Entries of the input cache that it has before it."""
    spec = msgspec.json.decode(left.ready.spec, type=TaskSpec)
    yield from (shown_as(pdh, executable=False) for pdh in (*spec.inputs.values(), *left.sight.shown))
    if spec.code:
        yield shown_as(spec.code, executable=True)


def site_key(node: str, root: Path) -> str:
    """12 hexadecimal digits that stand for a node's name and its executor's folder."""
    return hashlib.sha256(f"{node}\0{root.absolute()}".encode()).hexdigest()[:12]


def mark_of(key: str, name: str) -> str:
    """What the containers and processes of an attempt are marked with. `key`: its site's; `name`: its own."""
    return f"{key}.{name}"


def socket_folder(key: str) -> Path:
    """A folder of ours alone under the system's temporary one. Raises FolderNotOurs."""
    folder = Path(tempfile.gettempdir(), f"crunch-{os.getuid()}-{key}")
    folder.mkdir(mode=0o700, exist_ok=True)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) != 0o700:
        raise FolderNotOurs(
            f"{folder} is not this user's own folder: remove it, or name another temporary folder in TMPDIR"
        )
    return folder
