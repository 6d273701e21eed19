"""find_or_create, by v1's own rules: a job that somebody asked for in the same words, and whose output can be given.

Candidates are what search.py says, have the same script_parameters, are readable, and not said to be nondeterministic.
A complete one needs an output that is there; if the outputs of the complete ones differ, none of them is used. Else
one of the same owner's that runs, or else is queued, and is not bound to fail. Two racing requests of one owner land on
one job: its uuid is derived from what is asked, and the second to come is answered with the first's job.
"""

from typing import Any, NamedTuple

import msgspec

from coordinator import ids, taskspec
from gateway.api.complete import complete
from gateway.api.schema import JOBS
from gateway.api.service import Caller
from readmodel import listing
from readmodel.listing import Asked, Term
from schemas.spec import SCRIPTS, JobSpec

MOST = 1_000  # candidates that are looked at, oldest first
TOLD = 20  # candidates that are told of
_WHY_NOT = (
    "there is none like it",
    "the output of those that are complete is not whole in the store",
    "the outputs of those that are complete differ",
)
_SHORT = ("it has no output", "its output is not whole in the store", "its output is not that of the others")
_OTHER = {"script_version": "script_version", "docker_image_locator": "image"}
CERTAIN = Term("nondeterministic", "<>", True, "boolean")
Row = dict[str, Any]
Reasons = list[dict[str, str]]  # the uuid of a job, and why it is given or not


class Found(NamedTuple):
    """The job that would be given; None: none. `why`: one line. `candidates`: the newest, each with its `why`.
    `all`: uuids of all that were looked at."""

    row: Row | None
    why: str
    candidates: Reasons
    all: frozenset[str]


def find(caller: Caller, owner: str, spec: JobSpec, terms: list[Term]) -> Found:
    """The job that a request for `spec` would be given. `terms`: what it must be like, see search.py."""
    candidates = _candidates(caller, terms)
    rows = [row for row in candidates if _parameters(row) == _digests(spec)]
    done = [row for row in rows if row["state"] == "Complete" and row["output"]]
    outputs = {row["output"] for row in done}
    is_there = len(outputs) == 1 and caller.service.store.verify(done[0]["output"]).verdict == "whole"
    given, why = (done[0], "it is complete") if is_there else _live(rows, owner, _WHY_NOT[min(len(outputs), 2)])
    newest = candidates[-TOLD:][::-1]
    told = [
        {"uuid": row["uuid"], "why": _became(row, given, spec, owner, _SHORT[min(len(outputs), 2)])} for row in newest
    ]
    return Found(given, why, told, frozenset(row["uuid"] for row in candidates))


def left_out(caller: Caller, spec: JobSpec, terms: list[Term], found: Found) -> Reasons:
    """The newest jobs of the same script that are no candidates, and what they differ in."""
    task = spec.task
    alike = {"repository": task.repository, "script": task.script.removeprefix(SCRIPTS)}
    others = [Term("uuid", "not in", sorted(found.all), "string")]
    others += [Term(name, "=", value, "string") for name, value in alike.items()]
    rows = _jobs(caller, others, [("created_at", True), ("uuid", False)], TOLD)
    if len(found.all) == MOST:  # there may be more that are like it, and were not looked at
        these = Term("uuid", "in", [row["uuid"] for row in rows], "string")
        further = {row["uuid"] for row in _jobs(caller, [*terms, CERTAIN, these], [("uuid", False)], TOLD)}
        rows = [row for row in rows if row["uuid"] not in further]
    return [{"uuid": row["uuid"], "why": _left_out(row, terms)} for row in rows]


def _left_out(row: Row, terms: list[Term]) -> str:
    if row["nondeterministic"]:
        return "it is said to be nondeterministic"
    wanted = {one.column: [one.operand] for one in terms if one.operator == "="}
    wanted |= {one.column: one.operand for one in terms if one.operator == "in"}
    for column, words in _OTHER.items():
        if column in wanted and row[column] not in wanted[column]:
            return f"other {words}: {row[column] or 'none'}"
    return "the filters leave it out"


def _live(rows: list[Row], owner: str, otherwise: str) -> tuple[Row | None, str]:
    """One of the owner's own that has not ended and is not bound to fail."""
    for state in ("Running", "Queued"):
        for row in rows:
            if row["state"] == state and row["owner_uuid"] == owner and not row["tasks_summary"]["failed"]:
                return row, f"it is {state.lower()}"
    return None, otherwise


def _became(row: Row, given: Row | None, spec: JobSpec, owner: str, no_use: str) -> str:
    """Why a candidate is given, or is not. `no_use`: what is to be said of a complete one if none is given."""
    if given is not None and row["uuid"] == given["uuid"]:
        return "it is given"
    mine, its = _digests(spec), _parameters(row)
    if mine != its:
        other = [name for name in sorted(mine.keys() | its.keys()) if mine.get(name) != its.get(name)]
        return f"other script_parameters: {', '.join(other)}"[:1000]
    if row["state"] == "Complete":
        return "it has no output" if not row["output"] else "another was found first" if given else no_use
    if row["state"] in ("Failed", "Cancelled"):
        return f"it is {row['state'].lower()}"
    if row["owner_uuid"] != owner:
        return f"it is {row['state'].lower()}, and not yours"
    return "tasks of it have failed" if row["tasks_summary"]["failed"] else "another was found first"


def uuid_for(caller: Caller, owner: str, spec: JobSpec) -> str:
    """The uuid of the job that is made where none is found: the first that this request has not used yet.

    To be asked before `find`: a job that was not there then, and is not found, has this uuid, so that two become one.
    """
    digest, unusable = taskspec.job_digest(owner, spec), 0
    with caller.service.rows() as connection:
        while listing.is_used(connection, ids.job_uuid(owner, digest, unusable)):
            unusable += 1
    return ids.job_uuid(owner, digest, unusable)


def _candidates(caller: Caller, terms: list[Term]) -> list[Row]:
    rows = _jobs(caller, [*terms, CERTAIN], [("created_at", False), ("uuid", False)], MOST)
    complete(JOBS.name, caller, rows)
    return rows


def _jobs(caller: Caller, terms: list[Term], order: list[tuple[str, bool]], limit: int) -> list[Row]:
    primary = Term("parent_job_uuid", "=", None, "string")
    asked, seen = Asked([*terms, primary], order, limit, counted=False), caller.sight
    with caller.service.rows() as connection:
        return listing.page(connection, JOBS.name, seen, caller.uuid, asked)[0]


def _parameters(row: Row) -> dict[str, str]:
    return _digests(msgspec.json.decode(row["parameters"], type=JobSpec))


def _digests(spec: JobSpec) -> dict[str, str]:
    return {name: parameter.digest for name, parameter in spec.parameters.items()}
