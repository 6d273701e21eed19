"""Tasks, which are jobs with a parent: made and shown as `job_tasks` in Crunch v1's attributes, or as `jobs`."""

from typing import Any

import msgspec

from coordinator import taskspec
from coordinator.jobs_state import Policy
from gateway.api import jobs, refusals
from gateway.api.collections import text_to_hash
from gateway.api.complete import complete
from gateway.api.dispatch import Handler, Object, get, row_of
from gateway.api.errors import forbidden, invalid
from gateway.api.parameters import keep_proofs
from gateway.api.render import shown
from gateway.api.request import Call
from gateway.api.resolver import resolver_of
from gateway.api.schema import JOB_TASKS, JOBS, Resource
from gateway.api.service import Caller
from readmodel import listing, registry
from schemas.claims import ChildQueued, Reported
from schemas.spec import SCRIPTS, JobSpec, TaskSpec
from schemas.tasks import TaskSubmitted
from schemas.topics import Topic

_ITS_JOBS = ("owner_uuid", "priority", "no_reuse", "share")
_OF_JOBS = ("submit_id", "description", "nondeterministic", "components")
REPORTED = ("progress", "success", "output")
ENDED = ("complete", "copied", "failed", "cancelled")
Row = dict[str, Any]


def create_job(caller: Caller, call: Call, uuid: str) -> Object:
    """A job; with a parent, one more task of that."""
    given = call.attributes(JOBS, "create")
    if given.get("parent_job_uuid") is None:
        return jobs.create(caller, call, uuid)
    refusals.check_new(JOBS, call, refusals.FRESH_JOB)
    for name in _OF_JOBS:
        if given.get(name) not in (None, {}):
            raise invalid(f"{name}: a task has none: say it of its job")
    for name in sorted((given.get("runtime_constraints") or {}).keys() - jobs.CONSTRAINTS):
        raise invalid(f"runtime_constraints.{name[:80]}: is nothing that a task is run by: leave it out")
    made = jobs.code_and_constraints(given)
    made |= {"parameters": given.get("script_parameters") or {}, "job_parameters": jobs.job_parameters(given, [])}
    return _submit(JOBS, caller, call, given | {"job_uuid": given["parent_job_uuid"]}, made)


def create(caller: Caller, call: Call, _: str) -> Object:
    """A task of Crunch v1: it runs its job's script. Without a word on purity it may depend on all job parameters."""
    given = call.attributes(JOB_TASKS, "create")
    refusals.check_new(JOB_TASKS, call, {"state": "todo", "progress": 0})
    named = jobs.job_parameters(given, "all" if given.get("is_pure") is None else [])
    made = {"parameters": given.get("parameters") or {}, "job_parameters": named}
    return _submit(JOB_TASKS, caller, call, given, made)


def _submit(resource: Resource, caller: Caller, call: Call, given: Row, made: Row) -> Object:
    job = _job(caller, given.get("job_uuid"))
    for name in _ITS_JOBS:
        if given.get(name) not in (None, job[name]):
            raise invalid(f"{name}: a task has its job's: leave it out")
    creator = _creator(caller, job, given.get("created_by_job_task_uuid"))
    made |= {"sequence": given.get("sequence") or 0, "is_pure": bool(given.get("is_pure"))}
    parent = msgspec.json.decode(job["parameters"], type=JobSpec).task
    spec = taskspec.build(made, resolver=resolver_of(caller), defaults=parent)
    keep_proofs(caller, job["owner_uuid"], made["parameters"])
    uuid = caller.new_uuid(call, JOBS.infix)
    claim = _claim(caller, creator) if creator is not None else None
    if creator is not None and claim is not None:
        caller.service.ask(Topic.CLAIMS, ChildQueued(**claim, child=uuid, spec=spec))
        return _queued(resource, caller, job, creator, uuid, spec)
    spec = Policy.of(parent).applied_to(spec)
    created_by = creator["uuid"] if creator else ""
    caller.service.ask(Topic.TASKS, TaskSubmitted(root=job["uuid"], task=uuid, created_by=created_by, spec=spec))
    return get(resource, caller, call, uuid)


def _is_own(caller: Caller, row: Row) -> bool:
    return caller.task is not None and row["uuid"] == caller.task.scope.task


def _claim(caller: Caller, row: Row) -> Row | None:
    """What fences the words of a running task; None: it does not run.

    A task's own token speaks for its execution, which may go on for another job where its own was cancelled.
    """
    if caller.task is not None and _is_own(caller, row):
        return {"fingerprint": caller.task.fingerprint, "token": caller.task.scope.execution}
    if row["state"] != "running":
        return None
    return {"fingerprint": row["fingerprint"], "token": row["running_token"]}


def _queued(resource: Resource, caller: Caller, job: Row, creator: Row, uuid: str, spec: TaskSpec) -> Object:
    """What was queued under the claim of the running task that queues it: it joins the job when that has succeeded, and
    is copied with it. Until then there is only this reply."""
    row: Row = dict.fromkeys(one.name for one in resource.attributes)
    row |= {name: job[name] for name in (*_ITS_JOBS, "root")}
    row |= {"uuid": uuid, "created_by_job_task_uuid": creator["uuid"], "sequence": spec.sequence}
    row |= {"job_uuid": job["uuid"], "parent_job_uuid": job["uuid"], "is_pure": spec.is_pure, "running": False}
    row |= {"state": "Queued" if resource is JOBS else "todo", "repository": spec.repository or None}
    row |= {"script": spec.script.removeprefix(SCRIPTS), "script_version": spec.commit or spec.code}
    row |= {"task": msgspec.json.encode(spec), "said": None}
    complete(resource.name, caller, [row])
    return shown(resource, row)


def update(caller: Caller, call: Call, uuid: str) -> Object:
    """What a running task says of itself: progress, verdict, output; or purity taken back."""
    row = row_of(JOB_TASKS, caller, uuid)
    if not caller.may_write(row["owner_uuid"]):
        raise forbidden("only its owner may change it")
    given = call.attributes(JOB_TASKS, "update")
    _check_change(caller, call, row, given)
    said = {name: given[name] for name in REPORTED if given.get(name) is not None}
    if said.get("output") is not None:
        said["output"] = text_to_hash(caller, said["output"])
    reports = any(row[name] != value for name, value in said.items()) or (said and _is_own(caller, row))
    report = _checked(caller, row, said) if reports else None
    if given.get("is_pure") is not None and given["is_pure"] != row["is_pure"]:
        jobs.take_purity_back(caller, row | {"root": row["job_uuid"]}, is_pure=given["is_pure"])
    if report is not None:
        _report(caller, row, said, report)
    return get(JOB_TASKS, caller, call, uuid)


def _check_change(caller: Caller, call: Call, row: Row, given: Row) -> None:
    complete(JOB_TASKS.name, caller, [row])
    refusals.check_change(JOB_TASKS, call, shown(JOB_TASKS, row))
    for name in REPORTED:
        if name in given and given[name] is None and row[name] is not None:
            raise invalid(f"{name}: what was said can't be taken back: say it anew")


def _checked(caller: Caller, row: Row, said: Row) -> Reported:
    """What a running task says of itself, as a command. ApiError 422."""
    claim = _claim(caller, row)
    if claim is None:
        raise invalid(f"the task is {row['state']}: only a running one reports {', '.join(said)}")
    fields = dict(said)
    if "progress" in fields:
        if not 0 <= fields["progress"] <= 1:
            raise invalid("progress: must be from 0 to 1")
        fields["progress"] = round(fields["progress"] * 1000)
    return Reported(**claim, **fields)


def _report(caller: Caller, row: Row, said: Row, report: Reported) -> None:
    caller.service.ask(Topic.CLAIMS, report)
    made = {"task": row["uuid"], "token": report.token, "said": msgspec.json.encode(said).decode()}
    with caller.service.rows() as connection:
        registry.execute(connection, "add_report", made)


def delete(caller: Caller, call: Call, uuid: str) -> Object:
    """Hide a task that has ended."""
    row = row_of(JOB_TASKS, caller, uuid)
    if not caller.may_write(row["owner_uuid"]):
        raise forbidden("only its owner may remove it")
    if row["state"] not in ENDED:
        raise invalid(f"the task is {row['state']}: cancel its job")
    made = get(JOB_TASKS, caller, call, uuid)
    with caller.service.rows() as connection:
        registry.execute(connection, "delete_noted", {"uuid": uuid, "now": registry.now_ms()})
    return made


def _job(caller: Caller, uuid: str | None) -> Row:
    """The primary job that a task is for. ApiError 422 if the caller may read no such job, 403 if it is not theirs."""
    seen = caller.sight
    with caller.service.rows() as connection:
        row = listing.one(connection, "jobs", seen, caller.uuid, uuid) if uuid else None
    if row is None or row["parent_job_uuid"] is not None:
        raise invalid("job_uuid: there is no such job")
    if not caller.may_write(row["owner_uuid"]):
        raise forbidden("job_uuid: only its owner may add tasks to it")
    return row


def _creator(caller: Caller, job: Row, uuid: str | None) -> Row | None:
    if not uuid:
        return None
    seen = caller.sight
    with caller.service.rows() as connection:
        row = listing.one(connection, "job_tasks", seen, caller.uuid, uuid)
    if row is None or row["job_uuid"] != job["uuid"]:
        raise invalid("created_by_job_task_uuid: there is no such task in this job")
    return row


HANDLERS: dict[tuple[str, str], Handler] = {
    ("jobs", "create"): create_job,
    ("job_tasks", "create"): create,
    ("job_tasks", "update"): update,
    ("job_tasks", "delete"): delete,
}
