"""What the model remembers of one fingerprint, put together from the log: executions, looks at entries, who waits."""

from collections.abc import Iterable, Iterator
from typing import Any

from schemas.claims import Exited, Requested
from schemas.reasons import Failure
from tests.simulation.sight import Broken, Sight

DEFAULTS = {"failure_quorum": 2, "max_attempts": 3, "quarantine_losses": 5, "verify_rate": 0, "max_waiters": 100_000}
TEMPORARY = (Failure.TEMPORARY, Failure.NODE, Failure.STORE, Failure.HANDED_OVER)
COUNTED = (Failure.NONE, Failure.EXIT, Failure.OUTPUT)


class Run:
    """One execution. `holders`: owner and task of all who have it, first the one it runs for."""

    def __init__(self, token: str, want: Requested, task: str, attempt: int = 1) -> None:
        self.token = token
        self.want = want
        self.task = task
        self.attempt = attempt
        self.holders: list[tuple[str, str]] = [(want.owner, want.task)]
        self.status = "granted"
        self.impure = False
        self.private = False
        self.unable = False
        self.children: list[Any] = []
        self.keys: dict[str, None] = {}
        self.success: bool | None = None
        self.named = ""
        self.output = ""
        self.exit: Exited | None = None
        self.replaced: list[str] = []
        self.late: dict[str, str] = {}
        self.rivals: list[Run] = []  # of one that went without a judgement: whose outputs differed from its own then
        self.verified_at = 0
        self.urgency = 0  # the priority that dispatch was last told

    @property
    def is_live(self) -> bool:
        return self.status in ("granted", "running")

    @property
    def is_open(self) -> bool:
        """Whether it is for whoever is proved to read its inputs, or was when it departed."""
        shared = not (self.impure or self.private or self.children)
        return self.status == "done" and self.want.by_inputs and shared

    def holds(self, want: Requested) -> bool:
        """Whether a live execution is large enough for a request, and no less able to run than it."""
        mine = self.want
        enough = mine.cores >= want.cores and mine.memory >= want.memory and mine.scratch >= want.scratch
        same = (mine.cores, mine.memory, mine.scratch) == (want.cores, want.memory, want.scratch)
        return self.is_live and mine.pool == want.pool and enough and (same or not self.unable)

    def counted(self) -> bool:
        """Whether its end counts as an attempt: an executor that was told to stop says nothing of the work."""
        return self.exit is not None and self.exit.failure is not Failure.HANDED_OVER

    def verdict(self, exited: Exited) -> str:
        """Its own word over its exit code; 111 and trouble of node or store are temporary; a kill never succeeds."""
        if exited.failure in TEMPORARY:
            return "temporary"
        if exited.failure not in (Failure.NONE, Failure.EXIT):
            return "permanent"
        by_code = exited.exit_code == 0 and not self.want.by_record
        if self.success is True or (self.success is None and by_code):
            return "success"
        return "temporary" if exited.exit_code == 111 else "permanent"


class Look:
    """One look whether an entry's output is there; `prove`: for one owner, with a look at what they may read."""

    def __init__(self, token: str, entry: Run, prove: str) -> None:
        self.token = token
        self.entry = entry
        self.prove = prove


class Wait:
    """One task that waits at a place."""

    __slots__ = ("place", "rank", "want")

    def __init__(self, want: Requested, place: "Run | Look", rank: int) -> None:
        self.want = want
        self.place = place
        self.rank = rank


class Claim:
    """One fingerprint. `waiting`: in order of arrival."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.runs: dict[str, Run] = {}
        self.departed: list[Run] = []
        self.looks: dict[str, Look] = {}
        self.waiting: dict[str, Wait] = {}
        self.arrivals = 0
        self.quarantined = False
        self.settled: set[str] = set()
        self.losses: list[str] = []
        self.failures: list[tuple[Run, int]] = []

    def live(self, token: str) -> Run | None:
        """The live execution of this token."""
        run = self.runs.get(token)
        return run if run is not None and run.is_live else None

    def runs_for(self, task: str) -> Run | None:
        """The execution that runs, or ran, for this task."""
        return next((run for run in self.runs.values() if run.task == task), None)

    def seen(self, sight: Sight, reader: str, proof: str = "") -> list[Run]:
        """Executions the reader may be given."""
        return [r for r in self.runs.values() if not r.impure and (r.token == proof or may_see(sight, reader, r))]

    def is_disputed(self, sight: Sight, reader: str, proof: str = "") -> bool:
        """Whether what the reader sees has outputs that differ and that nobody has settled.

        What departed is seen too, but tells something only to who sees one of its rivals. A proof is one of the inputs
        that all have, so whoever made it sees all that is open.
        """
        counts = [*self.seen(sight, reader), *(run for run in self.runs.values() if proof and run.is_open)]
        ghosts = [run for run in self.departed if may_see(sight, reader, run) or (proof and run.is_open)]
        return self.differ([*counts, *(g for g in ghosts if any(rival in [*counts, *ghosts] for rival in g.rivals))])

    def differ(self, runs: list[Run]) -> bool:
        """Whether finished ones among them have different outputs that nobody has settled."""
        outputs = self.outputs(runs)
        return len(outputs) > 1 and not outputs <= self.settled

    def rivals_of(self, run: Run) -> list[Run]:
        """The others that have an output with which this one's can't stand."""
        others = [other for other in [*self.runs.values(), *self.departed] if other is not run]
        return [other for other in others if other.status == "done" and self.differ([run, other])]

    def depart(self, run: Run) -> None:
        """It is no entry any more, and nobody has judged it."""
        del self.runs[run.token]
        run.rivals = self.rivals_of(run)
        self.departed += [run] if run.rivals else []

    def end(self, run: Run) -> None:
        """It counts no more; what departed beside it differs from here on from whatever there is that does."""
        self.runs.pop(run.token, None)
        self.departed = [other for other in self.departed if other is not run]
        for other in self.departed:
            if run in other.rivals:
                other.rivals = self.rivals_of(other)

    def current(self, token: str) -> Run | None:
        """The execution of this token, also if it departed and its word stands."""
        return self.runs.get(token) or next((run for run in self.departed if run.token == token), None)

    def outputs(self, runs: Iterable[Run]) -> set[str]:
        """What finished ones have, or an attempt before them turned out to have."""
        return {out for run in runs if run.status == "done" for out in (run.output, *run.late.values())}

    def successor(self, token: str) -> Run | None:
        """The attempt after the one that was given up under this token."""
        return next((run for run in self.runs.values() if token in run.replaced), None)

    def waits_at(self, place: Run | Look) -> Iterator[Wait]:
        """Who waits there, in order of arrival."""
        return (wait for wait in self.waiting.values() if wait.place is place)

    def urgency_of(self, run: Run) -> int:
        """The best priority of all who want what it does."""
        return max([run.want.priority, *(wait.want.priority for wait in self.waits_at(run))])

    def put(self, want: Requested, place: Run | Look) -> None:
        """It waits from here on."""
        if want.task in self.waiting:
            raise Broken(5, f"{want.task} waits at two places", self.fingerprint)
        self.arrivals += 1
        self.waiting[want.task] = Wait(want, place, self.arrivals)


def may_see(sight: Sight, reader: str, run: Run) -> bool:
    """Whether anybody who has it is one whose things the reader may be shown; what nothing isolated is its owner's."""
    if run.private:
        return reader == run.holders[0][0]
    return any(sight.reads(reader, owner) for owner, _ in run.holders)
