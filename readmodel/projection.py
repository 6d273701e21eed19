"""What one fact does to the read model: which statements, with which parameters.

Facts of one job stand in one partition, in one order; those of one fingerprint too. Where facts of several partitions
speak of one row, either each has columns of its own (an execution's grant, its status) or the later cause wins (its
holder). So partitions may be projected in any interleaving, with the same rows in the end.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from schemas import facts as f
from schemas.fields import NULL
from schemas.log import Cause
from schemas.settings import Change, ConfigSet, GrantRemoved, GrantSet, GroupSet, PureAssumed, RulesSet, UserSet
from schemas.spec import JobSpec, TaskSpec


class Fact(NamedTuple):
    """One fact and its place: partition and position (offset) in `facts`, append time in ms, cause, the record."""

    partition: int
    position: int
    time: int
    cause: Cause
    body: Any


Fields = dict[str, Any]
ENDED = ("complete", "copied", "failed", "cancelled")


class Effect(NamedTuple):
    """A statement of projection.sql, and the fields that a row of it is made from: the fact's, its place's, others."""

    statement: str
    fields: Fields


class UnknownFact(Exception):
    """There is no projection for this record: guessing would let the tables drift from the log."""


def effects(fact: Fact) -> Iterator[Effect]:
    """What a fact does, in order. Raises UnknownFact, and msgspec.DecodeError where what it carries can't be read."""
    projection = PROJECTIONS.get(type(fact.body))
    if projection is None:
        raise UnknownFact(f"no projection for {type(fact.body).__name__}")
    own = msgspec.structs.asdict(fact.body)
    own |= {"partition": fact.partition, "position": fact.position}
    own["time"] = getattr(fact.body, "at", 0) or fact.time  # what is imported happened before it came here
    own |= {"cause_log_id": fact.cause.log_id, "cause_offset": fact.cause.offset, "cause_index": fact.cause.index}
    for statement, more in projection(fact.body):
        yield Effect(statement, own | more)


Statements = Iterator[tuple[str, Fields]]  # a statement's name, and what it needs beside the fact's own fields


# --- Jobs and their tasks ---------------------------------------------------------------------------------------------


def _job_changed(fact: f.JobChanged) -> Statements:
    if fact.spec != NULL:
        yield "job_described", {"name": msgspec.json.decode(fact.spec, type=JobSpec).name}
    yield "job_changed", {}
    if fact.state == "cancelled" and fact.log:
        return  # that it was cancelled is said already
    yield _said(fact.state, other=fact.task, detail=fact.detail or fact.reason)


def _priority_changed(fact: f.PriorityChanged) -> Statements:
    yield "priority_changed", {}
    yield _said("prioritised", number=fact.priority)


def _task_changed(fact: f.TaskChanged) -> Statements:
    is_first = fact.spec != NULL
    if is_first:
        is_pure = False if fact.is_pure is msgspec.UNSET else fact.is_pure
        yield "task_described", {"name": msgspec.json.decode(fact.spec, type=TaskSpec).name, "is_pure": is_pure}
        yield "task_reads", {}
    if not is_first or fact.state != "todo":
        yield "task_changed", {}
    if is_first or fact.state in ENDED:
        yield "counted", {"created": int(is_first)}
    if fact.is_pure is not msgspec.UNSET and not is_first:
        yield "purity_changed", {}
    if fact.is_pure is False and not is_first:
        yield _said("impure", task=fact.task)
    elif fact.state in ENDED:
        if fact.state in ("complete", "copied"):
            yield "task_found_alike", {}
        yield _said(
            f"task_{fact.state}",
            task=fact.task,
            token=fact.token,
            other=fact.source,
            number=fact.children,
            detail=fact.detail or fact.reason,
        )


# --- The claims machine's word ----------------------------------------------------------------------------------------


def _granted(fact: f.Granted) -> Statements:
    yield "execution_granted", {}
    yield "execution_held", {}
    if fact.root:
        yield _decided("granted", why=fact.why, attempt=fact.attempt, running_token=fact.token)
        yield _said("granted", task=fact.task, token=fact.token, number=fact.attempt, detail=fact.why)


def _waiting(fact: f.Waiting) -> Statements:
    yield _decided("waiting", waiting_on=fact.token, waiting_kind=fact.kind, waited=True)
    yield _said("waiting", task=fact.task, token=fact.token, detail=fact.kind)


def _promoted(fact: f.Promoted) -> Statements:
    yield "execution_held", {}
    yield _decided("promoted", running_token=fact.token, waited=True)
    yield _said("promoted", task=fact.task, token=fact.token)


def _reused(fact: f.Reused) -> Statements:
    yield _decided("reused", waited=fact.waited)


def _redecided(fact: f.Redecided) -> Statements:
    yield _decided("redecided")
    yield _said("redecided", task=fact.task, token=fact.token)


def _decided(decision: str, **more: Any) -> tuple[str, Fields]:
    nothing_said = {"why": "", "attempt": 0, "running_token": "", "waiting_on": "", "waiting_kind": "", "waited": False}
    return "task_decided", nothing_said | {"decision": decision} | more


def _said(
    kind: str, *, task: str = "", token: str = "", other: str = "", number: int = 0, detail: str = ""
) -> tuple[str, Fields]:
    line = {"kind": kind, "task": task, "token": token, "other": other, "number": number, "detail": str(detail)}
    return "said", line


# --- Executions and claims --------------------------------------------------------------------------------------------


def _disagreed(fact: f.Disagreed) -> Statements:
    earlier, later = fact.tokens
    earlier_output, later_output = fact.outputs
    yield (
        "disagreed",
        {"earlier": earlier, "later": later, "earlier_output": earlier_output, "later_output": later_output},
    )


def _only(name: str) -> Callable[[Any], Statements]:
    """A fact whose own fields are all that its one statement needs."""
    return lambda _: iter([(name, {})])


# --- Settings ---------------------------------------------------------------------------------------------------------

SETTINGS: dict[type, str] = {
    UserSet: "user_set",
    GroupSet: "group_set",
    GrantSet: "grant_set",
    GrantRemoved: "grant_removed",
    ConfigSet: "number_set",
    PureAssumed: "pure_assumed",
    RulesSet: "number_set",
}


def _setting_changed(fact: f.SettingChanged) -> Statements:
    change = msgspec.json.decode(fact.change, type=Change)
    if isinstance(change, RulesSet):
        yield "number_set", {"name": "rules_version", "value": change.version}
        yield "rules_set", {"version": change.version}
    else:
        yield SETTINGS[type(change)], msgspec.structs.asdict(change)


PROJECTIONS: dict[type, Callable[[Any], Statements]] = {
    f.Answered: _only("answered"),
    f.Granted: _granted,
    f.Doubled: _only("doubled"),
    f.Waiting: _waiting,
    f.Promoted: _promoted,
    f.Reused: _reused,
    f.Redecided: _redecided,
    f.Disagreed: _disagreed,
    f.Kept: _only("kept"),
    f.ExecutionChanged: _only("execution_changed"),
    f.ClaimChanged: _only("claim_changed"),
    f.JobChanged: _job_changed,
    f.PriorityChanged: _priority_changed,
    f.TaskChanged: _task_changed,
    f.SettingChanged: _setting_changed,
}
