"""find_or_create, by v1's own rules: a job that somebody asked for in the same words, and whose output can be given.

Candidates have the same repository, script, commit, image and script_parameters, are readable, and not said to be
nondeterministic. A complete one needs an output; if the outputs of the complete ones differ, none of them is used. Else
one of the same owner's that runs, or else is queued, and is not bound to fail. Two racing requests of one owner land on
one job: its uuid is derived from what is asked, and the second to come is answered with the first's job.
"""

from typing import Any, NamedTuple

import msgspec

from coordinator import ids, taskspec
from gateway.api.complete import complete
from gateway.api.errors import invalid
from gateway.api.request import Call
from gateway.api.schema import JOBS
from gateway.api.service import Caller
from readmodel import listing
from readmodel.listing import Asked, Term
from schemas.spec import JobSpec

MOST = 1_000  # candidates that are looked at, oldest first
_NOT_HERE = ("minimum_script_version", "filters")
Row = dict[str, Any]


class Found(NamedTuple):
    """The job that would be given; None: none. `why`: one line."""

    row: Row | None
    why: str


def refuse_unknown(call: Call) -> None:
    """ApiError 422 for what would widen the search: giving less than was asked for must not look like an answer."""
    for name in _NOT_HERE:
        if call.option(name) not in (None, "", []):
            raise invalid(f"{name}: find_or_create takes exact versions only")


def find(caller: Caller, owner: str, spec: JobSpec, excluded: list[str]) -> Found:
    """The job that a request for `spec` would be given. `excluded`: commits that are not wanted."""
    if spec.task.commit in excluded:
        return Found(None, "its script_version is among exclude_script_versions")
    rows = [row for row in _candidates(caller, spec) if _parameters(row) == _digests(spec)]
    done = [row for row in rows if row["state"] == "Complete" and row["output"]]
    outputs = {row["output"] for row in done}
    if len(outputs) == 1:
        return Found(done[0], "it is complete")
    for state in ("Running", "Queued"):
        for row in rows:
            if row["state"] == state and row["owner_uuid"] == owner and not row["tasks_summary"]["failed"]:
                return Found(row, f"it is {state.lower()}")
    return Found(None, "the outputs of those that are complete differ" if outputs else "there is none like it")


def uuid_for(caller: Caller, owner: str, spec: JobSpec) -> str:
    """The uuid of the job that is made where none was found: the first that this request has not used yet."""
    digest, unusable = taskspec.job_digest(owner, spec), 0
    with caller.service.rows() as connection:
        while listing.is_used(connection, ids.job_uuid(owner, digest, unusable)):
            unusable += 1
    return ids.job_uuid(owner, digest, unusable)


def _candidates(caller: Caller, spec: JobSpec) -> list[Row]:
    task = spec.task
    same = {
        "parent_job_uuid": None,
        "repository": task.repository,
        "script": task.script.removeprefix("crunch_scripts/"),
        "script_version": task.commit,
        "docker_image_locator": task.image or None,
    }
    terms = [Term(name, "=", value, "string") for name, value in same.items()]
    terms.append(Term("nondeterministic", "<>", True, "boolean"))
    asked = Asked(terms, [("created_at", False), ("uuid", False)], MOST, counted=False)
    seen = caller.sight
    with caller.service.rows() as connection:
        rows, _ = listing.page(connection, JOBS.name, seen, caller.uuid, asked)
    complete(JOBS.name, caller, rows)
    return rows


def _parameters(row: Row) -> dict[str, str]:
    return _digests(msgspec.json.decode(row["parameters"], type=JobSpec))


def _digests(spec: JobSpec) -> dict[str, str]:
    return {name: parameter.digest for name, parameter in spec.parameters.items()}
