"""What would become of a job if it were asked for now, for each task that is known now; nothing is asked or claimed.

The claims machine decides when a task's level is reached, by what is true then; this says what it would decide at this
moment, from what the viewer sees. Known are the first task and, where one would be copied, the tasks that it queued.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from coordinator.claims_state import LOSSES_TOLD
from coordinator.config import Config
from coordinator.fingerprint import is_impure
from coordinator.ids import child_uuid
from coordinator.jobs_state import Policy, Task, Tree, assumed_pure, bind, fingerprint_for, has_ancestor
from readmodel import queries
from readmodel.connection import Connection
from readmodel.explain import CLAIMS, FINISHED, GIVEN_UP, NONE_EARLIER, Why, is_private, own_reasons, useless
from readmodel.nearest import Nearest, Work, nearest_to
from readmodel.rows import Execution, Named, Row
from readmodel.sight import Sight, sight
from schemas.settings import PureAssumed
from schemas.spec import JobSpec, Resources, TaskSpec

MOST = 1_000  # tasks that are looked at
Would = Literal["execute", "wait", "reuse", "refuse"]
Found = dict[str, Any]


class Forecast(Row, frozen=True):
    """One task. `depth`: 0 for the first. `source`: whose output it would be given, or on whose it would wait.

    `why`: why it would be executed, or refused. `nearest`: only where nothing visible has the same fingerprint.
    """

    would: Would
    name: str = ""
    depth: int = 0
    source: Named | None = None
    why: tuple[Why, ...] = ()
    nearest: tuple[Nearest, ...] = ()


class _Known(NamedTuple):
    uuid: str
    created_by: str
    depth: int
    spec: TaskSpec


def forecast(connection: Connection, owner: str, spec: JobSpec, now: int) -> list[Forecast]:
    """What would become of this job of this owner. `now`: ms since 1970. Raises ReadModelError."""
    return list(_Forecaster(connection, owner, spec, now).tasks())


class _Forecaster:
    """The tree as it would grow, and what is looked up for it."""

    def __init__(self, connection: Connection, owner: str, spec: JobSpec, now: int) -> None:
        self.connection, self.owner, self.first, self.now = connection, owner, spec.task, now
        self.seen: Sight = sight(connection, owner)
        self.assumed = [msgspec.convert(row, PureAssumed) for row in queries.fetch(connection, "assumed", None, {})]
        self.tree = Tree(root="", owner=owner, request="", parameters=spec.parameters, policy=Policy.of(spec.task))
        self.losses = queries.numbers(connection).get("quarantine_losses", Config().quarantine_losses)

    def tasks(self) -> Iterator[Forecast]:
        """In the order in which they would be asked for."""
        ahead = deque([_Known("first", "", 0, assumed_pure(self.first, self.assumed))])
        while ahead and len(self.tree.tasks) < MOST:
            known = ahead.popleft()
            told = self._of(known)
            yield msgspec.structs.replace(told, name=known.spec.name, depth=known.depth)
            if told.would == "reuse" and told.source is not None:
                ahead.extend(self._children(known, told.source))

    def _of(self, known: _Known) -> Forecast:
        spec = known.spec
        bound = bind(self.tree, spec)
        if isinstance(bound, str):
            return _refused("parameter_unset", f"job_parameters names `{bound}`, which the job does not have")
        fingerprint = fingerprint_for(known.uuid, spec, spec.is_pure, bound)
        if has_ancestor(self.tree, known.created_by, fingerprint):
            return _refused("own_ancestor", "the same work is among the tasks that led to it, so it would never end")
        self.tree.tasks[known.uuid] = _in_tree(known, fingerprint)
        if is_impure(fingerprint) or spec.refresh:
            return Forecast(would="execute", why=tuple(own_reasons(spec, spec.is_pure)))
        values = msgspec.json.encode({name: parameter.value for name, parameter in bound.items()})
        return self._shared(spec, Work(msgspec.json.encode(spec).decode(), values.decode(), fingerprint, self.now))

    def _shared(self, spec: TaskSpec, work: Work) -> Forecast:
        """What would become of work that others may have done."""
        rows = queries.fetch(self.connection, "candidates", self.seen, {"fingerprint": work.fingerprint})
        known = [msgspec.convert(row, Execution) for row in queries.masked(rows)]
        usable = [e for e in known if not e.is_impure and (e.owner == self.owner or not is_private(e))]
        large = {row["token"] for row in rows if _holds(row, spec)}
        told = self._judged(work.fingerprint, known, usable)
        if told is not None:
            return told
        for would, status in _WOULD:
            for execution in usable:
                if execution.status in status and (would == "reuse" or execution.token in large):
                    return Forecast(would=would, source=self._named(execution.token))
        if known:
            return Forecast(would="execute", why=tuple(useless(one, self.owner) for one in known))
        return Forecast(would="execute", why=(NONE_EARLIER,), nearest=nearest_to(self.connection, self.seen, work))

    def _judged(self, fingerprint: str, known: list[Execution], usable: list[Execution]) -> Forecast | None:
        """What operators, lost nodes and outputs that differ make of it."""
        judged = queries.fetch(self.connection, "judged", None, {"fingerprint": fingerprint})
        released = max((row["changed_at"] for row in judged if not row["quarantined"]), default=-1)
        lost = [one for one in known if one.status == "lost" and (one.ended_at or 0) > released]
        if len(lost) >= self.losses:
            return _refused("loses_nodes", "this work has lost too many nodes; ask an operator to release it")
        if usable and any(row["quarantined"] and not row["reason"].endswith(LOSSES_TOLD) for row in judged):
            return _executed("quarantined")
        said = self._said(fingerprint, usable)
        settled = {output for output, said_at in said if said_at <= released}
        outputs = {output for output, _ in said}
        return _executed("conflict") if len(outputs) > 1 and not outputs <= settled else None

    def _said(self, fingerprint: str, usable: list[Execution]) -> list[tuple[str, int]]:
        """Outputs that count, each with when it was said.

        Of entries, of what went without a judgement beside one that it stood against, and what attempts before these
        said too late, where nobody has kept the later one.
        """
        finished = {one.token: one for one in usable if one.status in FINISHED}
        if not finished:
            return []
        pairs = queries.disagreements(self.connection, self.owner, fingerprint)
        told = {token for p in pairs if {p.earlier, p.later} <= finished.keys() for token in (p.earlier, p.later)}
        standing = {token: one for token, one in finished.items() if one.status == "done" or token in told}
        given_up = {one.token for one in usable if one.status in GIVEN_UP}
        late = [p for p in pairs if p.earlier in given_up and p.later in standing and p.kept_at is None]
        words = [(one.output, one.ended_at or 0) for one in standing.values()]
        return words + [(pair.earlier_output, pair.told_at) for pair in late]

    def _named(self, token: str) -> Named | None:
        return queries.tokens_named(self.connection, self.seen, [token]).get(token)

    def _children(self, known: _Known, source: Named) -> Iterator[_Known]:
        """The tasks that the source queued, as they would be created under a copy of it in this job."""
        rows = queries.fetch(self.connection, "children", self.seen, {"root": source.root, "task": source.task})
        queued = {child_uuid(source.task, rank) for rank in range(len(rows))}
        for row in rows:
            if row["task"] in queued:
                spec = self.tree.policy.applied_to(msgspec.json.decode(row["spec"], type=TaskSpec))
                uuid = f"{known.uuid} {row['task']}"
                yield _Known(uuid, known.uuid, known.depth + 1, assumed_pure(spec, self.assumed))


_WOULD: tuple[tuple[Would, tuple[str, ...]], ...] = (("reuse", ("done",)), ("wait", ("granted", "running")))


def _refused(code: str, text: str) -> Forecast:
    return Forecast(would="refuse", why=(Why(code=code, text=text),))


def _executed(code: str) -> Forecast:
    return Forecast(would="execute", why=(Why(code=code, text=CLAIMS[code]),))


def _holds(row: Found, spec: TaskSpec) -> bool:
    """Whether an execution is large enough to be waited on."""
    has = msgspec.json.decode(row["resources"] or "{}", type=Resources)
    sizes = ((getattr(has, name), getattr(spec.resources, name)) for name in Resources.__struct_fields__)
    return all(one >= other for one, other in sizes)


def _in_tree(known: _Known, fingerprint: str) -> Task:
    return Task(
        uuid=known.uuid,
        created_by=known.created_by,
        depth=known.depth,
        sequence=0,
        qsequence=0,
        is_pure=known.spec.is_pure,
        fingerprint=fingerprint,
        spec=known.spec,
    )
