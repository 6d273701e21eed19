"""Where one runner's state is kept, and when: in memory or on this process's disk, and as snapshots for others.

Without a local store the rows are in memory, and the whole state is kept after every so many records. With one, what
has changed is committed after few changes; and where many records were taken since the last snapshot, and at least as
many as there are rows, another one is written, by a thread of its own and from the rows as they were committed: the
runner goes on meanwhile. So a snapshot costs each record the same, whatever the size of the state.
"""

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from coordinator.machine import Machine
from coordinator.rows import Rowed
from streams.checkpoints import CheckpointStore, Saved
from streams.log import Place
from streams.snapshots import SharedSnapshots, Snapshot
from streams.state import LAYOUT, EncodedRow, Header, MachineType, encoded_rows, head_of, row_decoder

if TYPE_CHECKING:  # heavy, and needed by few
    from streams.localstore import LocalState, LocalStore


class LastKept(NamedTuple):
    """What was kept last: its offset, when (seconds since 1970; None: not since the start), the newest for others."""

    offset: int
    at: float | None
    shared: int


class Keeper:
    """Keeps one partition's state. `every`: records between two states in `checkpoints`, at least.

    `log_ids`: of all partitions; `start`: lowest offset the partition still has. Raises LogError.
    """

    def __init__(
        self,
        place: Place,
        checkpoints: CheckpointStore,
        local: "LocalStore | None",
        every: int,
        log_ids: dict[str, str],
        start: int,
    ) -> None:
        self.checkpoints = checkpoints
        self._every = every
        self._local = local.open(place) if local else None
        self._writer: _Writer | None = None
        self._kept = 0
        self._kept_at: float | None = None
        self._shared = max(checkpoints.offsets(place), default=0)
        if self._local:
            self._local.check(log_ids, start)

    @property
    def kept(self) -> LastKept:
        """What was kept last."""
        return LastKept(self._kept, self._kept_at, self._shared)

    def load(self, place: Place) -> Iterator[Saved]:
        """All states that are kept, highest offset first. A snapshot is looked at only when its turn comes."""
        local = self._local if self._local and self._local.meta else None
        if local is None or any(offset > local.header.offset for offset in self.checkpoints.offsets(place)):
            for saved in self.checkpoints.load(place):
                if local is not None and local.header.offset >= saved.header.offset:
                    yield local
                    local = None
                yield saved
        if local is not None:
            yield local
            yield from (s for s in self.checkpoints.load(place) if s.header.offset <= local.header.offset)

    def begin(self, kind: MachineType, saved: Saved | None) -> Machine:
        """The machine to go on with: as it was kept, or one that has seen nothing."""
        self._kept = saved.header.offset if saved else 0
        if self._local is None:
            return saved.machine(kind) if saved else kind()
        if saved is self._local:
            return self._local.machine(kind)
        machine = self._local.fill(*_parts(kind, saved))
        if saved is not None:
            self._local.commit(saved.header, machine)
        return machine

    def is_due(self, position: int) -> bool:
        """Whether the state at this position should be kept."""
        return position - self._kept >= self._every or (self._local is not None and self._local.is_due())

    def keep(self, header: Header, machine: Machine, *, share: bool = True) -> None:
        """Keep this state; `share`: for others too, when that is due. Raises LogError."""
        if header.offset == self._kept:
            return
        if self._local is None:
            self.checkpoints.keep(header, machine)
        else:
            self._local.commit(header, machine)
            if share:
                self._share(self._local, header, machine)
        self._kept = header.offset
        self._kept_at = time.time()

    def close(self) -> None:
        """Let go of the local state."""
        if self._local:
            self._local.close()

    def _share(self, local: "LocalState", header: Header, machine: Machine) -> None:
        if self._writer and not self._writer.is_done():
            return
        if header.offset - self._shared < max(self._every, local.count()):
            return
        self._shared = header.offset
        if isinstance(self.checkpoints, SharedSnapshots):
            self._writer = _Writer(self.checkpoints, header, head_of(machine), local)
        else:
            self.checkpoints.keep(header, machine)


class _Stopped(Exception):
    """The runner has ended under the writer."""


class _Writer:
    """Writes one snapshot in a thread of its own."""

    def __init__(self, snapshots: SharedSnapshots, header: Header, head: bytes, local: "LocalState") -> None:
        self._snapshots = snapshots
        self._header = header
        self._head = head
        self._rows = local.frozen()
        self._stopping = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"snapshot of {header.topic}/{header.partition}")
        local.before_close(self.stop)
        self._thread.start()

    def is_done(self) -> bool:
        """Whether it has ended. Raises what it has failed with: LogError, if that could be foreseen."""
        if self._thread.is_alive():
            return False
        if self._problem:
            raise self._problem
        return True

    def stop(self) -> None:
        """Leave it unwritten if it is not written yet."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._snapshots.write(self._header, self._head, self._until_stopped())
        except _Stopped:
            return
        except Exception as error:  # noqa: BLE001 # handed to the runner, which stops with it
            self._problem = error
        finally:
            self._rows.close()
            del self._rows

    def _until_stopped(self) -> Iterator[EncodedRow]:
        for row in self._rows:
            if self._stopping.is_set():
                raise _Stopped
            yield row


def _parts(kind: MachineType, saved: Saved | None) -> tuple[Machine, Iterator[EncodedRow]]:
    """The machine, and its rows one by one; those of an older layout as this code writes them."""
    if not isinstance(saved, Snapshot):
        machine = saved.machine(kind) if saved else kind()
        return machine, encoded_rows(machine)
    machine = kind.restore(saved.head())
    rows = saved.rows()
    if saved.header.layout != LAYOUT and isinstance(machine, Rowed):
        decode = row_decoder(machine)
        rows = ((key, msgspec.json.encode(decode(row))) for key, row in rows)
    return machine, rows
