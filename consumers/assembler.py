"""The assembler: joins the outputs of a job's tasks, in tree order, into the job's output, saves its log, and says so.

Of a job that was cancelled only the log is saved, as crunch-job does.

It keeps nothing. What is to be done stands in the read model (jobs that are `assembling`, or cancelled without a log),
the joined collection has the same name whoever joins it, and the jobs machine takes the first word: so a crash
anywhere, or a second assembler, only repeats. A job whose outputs can't be joined fails, with the reason.
"""

import logging
from threading import Event

import msgspec

from consumers.joblog import save_job_log
from readmodel import queries
from readmodel.connection import ReadModelUnreachable, connect, reconnect
from readmodel.rows import Assembling
from readmodel.watch import Watch
from schemas.codec import encode
from schemas.tasks import JobAssembled
from schemas.topics import Topic
from store.collections import CollectionStore
from store.errors import BlockCorrupt, BlockMissing, LocatorInvalid, ManifestInvalid, StoreUnreachable
from streams.log import Append, Log, LogUnreachable
from streams.routes import Routes

LOGGER = logging.getLogger(__name__)
PATIENCE = 15.0  # seconds in which a Postgres that went away may come back
RESTARTS = 5  # how often it may go away again at once
STORE_PAUSE = 5.0  # seconds between two tries while the store can't be reached
IDLE = 0.25  # seconds without news after which the stop signal is looked at
AT_ONCE = 100  # jobs, between two looks at that signal and at what has come meanwhile


class ReadModelDrifted(Exception):
    """The read model does not have the tasks that the job says it has; one line that says what to do."""


class Assembler:
    """Reads the read model at `dsn`, joins in `store`, appends to `tasks` of `log`. Used by one thread."""

    def __init__(self, log: Log, dsn: str, store: CollectionStore) -> None:
        self._log = log
        self._dsn = dsn
        self._store = store
        self._routes = Routes(log, (Topic.TASKS,))
        self._connection = connect(dsn)
        self._watch = Watch(self._connection)
        self._said: set[str] = set()

    def run(self, stop: Event) -> None:
        """Assemble until `stop` is set.

        When Postgres goes away and comes back, it goes on; for the store it waits. Raises what else `step` raises.
        """
        failures = 0
        while not stop.is_set():
            try:
                self.step()
                self._watch.wait(IDLE)
                failures = 0
            except StoreUnreachable as error:
                LOGGER.warning("%s; jobs wait for their outputs until it is back", error)
                stop.wait(STORE_PAUSE)
            except (ReadModelUnreachable, LogUnreachable):
                failures += 1
                if failures > RESTARTS:
                    raise
                self._reconnect()

    def step(self) -> int:
        """Assemble jobs that wait for it, at most AT_ONCE; how many there were. Cancelled ones are last: nobody waits.

        Raises LogError, ReadModelError, ReadModelDrifted, StoreUnreachable, StoreFull.
        """
        waiting = {job.root: job for job in queries.assembling(self._connection)}
        self._said &= waiting.keys()
        unsaid = [job for job in waiting.values() if job.root not in self._said]
        for job in sorted(unsaid, key=lambda job: job.is_cancelled)[:AT_ONCE]:
            self._assemble(job)
            self._said.add(job.root)
        return len(waiting)

    def close(self) -> None:
        """Release the connection to Postgres."""
        self._connection.close()

    def _reconnect(self) -> None:
        self.close()
        self._connection = reconnect(self._dsn, PATIENCE)
        self._watch = Watch(self._connection)

    def _assemble(self, job: Assembling) -> None:
        left = queries.left_in_tree_order(self._connection, job.root)
        if len(left) != job.tasks:
            raise ReadModelDrifted(
                f"job {job.root} has {job.tasks} tasks, the read model has {len(left)}: rebuild it from the log"
            )
        if job.is_cancelled:
            said, last = JobAssembled(root=job.root, output=""), "the output is none: the job was cancelled"
        else:
            said = self._joined(job.root, [task.output for task in left if task.output])
            last = said.detail or f"the output is {said.output}"
        said = msgspec.structs.replace(said, log=save_job_log(self._store, self._connection, job, left, last))
        self._log.append([Append(self._routes.place(Topic.TASKS, job.root), job.root, encode(said))])

    def _joined(self, root: str, outputs: list[str]) -> JobAssembled:
        try:
            return JobAssembled(root=root, output=self._store.join(outputs))
        except (ManifestInvalid, BlockMissing, BlockCorrupt, LocatorInvalid) as error:
            return JobAssembled(root=root, output="", detail=f"the outputs of its tasks can't be joined: {error}")
