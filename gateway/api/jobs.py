"""Jobs: what users ask, as commands to the log; what they read is the read model's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from coordinator import taskspec
from coordinator.ids import first_task_uuid
from gateway.api import filters, refusals, render, reuse, search
from gateway.api.complete import complete
from gateway.api.dispatch import Handler, Object, asked_page, get, row_of
from gateway.api.errors import ApiError, forbidden, invalid
from gateway.api.request import Call
from gateway.api.resolver import resolver_of
from gateway.api.schema import JOBS
from gateway.api.service import Caller
from readmodel import listing, registry
from readmodel.listing import Term
from schemas.fields import MAX_SAFE_INTEGER
from schemas.spec import SCRIPTS
from schemas.tasks import JobCancelled, JobPrioritised, JobSubmitted, PurityTakenBack
from schemas.topics import Topic

REQUIRED = ("script", "script_version", "repository", "script_parameters")
_NOTED_LATER = ("description", "nondeterministic", "components")
_NOTED = (*_NOTED_LATER, "runtime_constraints")
_RESOURCES = {"min_cores_per_node": "cores", "min_ram_mb_per_node": "memory", "min_scratch_mb_per_node": "scratch"}
_CODE = {"script": "script", "repository": "repository", "script_version": "commit"}
_OF_TASKS = ("created_by_job_task_uuid", "sequence")
_POLICY = ("is_pure", "priority", "no_reuse", "share")
_NO_SDK = "no SDK is put into an image here: name one that has it, and leave this out"
_SUCCESS = {"Complete": True, "Failed": False, "Cancelled": False}
CONSTRAINTS = frozenset({"docker_image", "docker_image_tag", *_RESOURCES})
ENDED = ("Complete", "Failed", "Cancelled")
UNANSWERED_MS = 3_600_000  # a command that is in the log has been decided on by then
REFUSED = 422
Row = dict[str, Any]


def create(caller: Caller, call: Call, _: str) -> Object:
    """Submit a job. One with a parent is a task of that: see tasks.py."""
    given = call.attributes(JOBS, "create")
    _check_new(call, given)
    owner = given.get("owner_uuid") or caller.uuid
    if not caller.may_write(owner):
        raise forbidden("owner_uuid: this is not yours to give things to")
    _require(given)
    spec = taskspec.job(description(given), resolver=resolver_of(caller))
    uuid = request = caller.new_uuid(call, JOBS.infix)
    finds = _finds(call, given)
    if finds:
        uuid = reuse.uuid_for(caller, owner, spec)  # before it looks: what appears after this is the job of this uuid
        found = reuse.find(caller, owner, spec, search.terms(caller, call, spec)).row
        if found is not None:
            return get(JOBS, caller, call, found["uuid"])
    noted = {name: given[name] for name in _NOTED if given.get(name) is not None}
    noted |= {"supplied_script_version": given["script_version"]}
    asked = JobSubmitted(root=uuid, owner=owner, request=request, find=finds, spec=spec)
    with _noted_first(caller, uuid, noted, given.get("submit_id")):
        caller.service.ask(Topic.TASKS, asked)
    return get(JOBS, caller, call, uuid)


@contextmanager
def _noted_first(caller: Caller, uuid: str, words: Row, submit_id: str | None) -> Iterator[None]:
    """Keep what is said of a job that is asked for inside, and its submit_id. Words of before, of a repeat, stay.

    ApiError 422 where the submit_id is another's. One that was kept for a job of which there was no answer, and which
    is not there in an hour, is free again.
    """
    now = registry.now_ms()
    given = {"uuid": uuid, "said": _json(words), "submit_id": submit_id, "now": now, "before": now - UNANSWERED_MS}
    with caller.service.rows() as connection, registry.alone(connection, f"submit_id {submit_id or uuid}"):
        if submit_id is not None:
            registry.execute(connection, "free_submit_id", given)
            if registry.fetch(connection, "submit_id_taken", given):
                raise invalid("submit_id: another job has it")
        registry.execute(connection, "note_new", given)
    try:
        yield
    except ApiError as error:
        if error.status == REFUSED:
            with caller.service.rows() as connection:
                registry.execute(connection, "drop_unanswered", given)
        raise
    if submit_id is not None:
        with caller.service.rows() as connection:
            registry.execute(connection, "note_answered", given)


def _check_new(call: Call, given: Row) -> None:
    refusals.check_new(JOBS, call, refusals.FRESH_JOB | {"supplied_script_version": given.get("script_version")})
    for name in _OF_TASKS:
        if given.get(name) is not None:
            raise invalid(f"{name}: only a task has one: name its job in parent_job_uuid")


def reusable(caller: Caller, call: Call, _: str) -> Object:
    """What find_or_create would give for these attributes, and why; it makes nothing."""
    given = call.attributes(JOBS, "create")
    _require(given)
    spec = taskspec.job(description(given), resolver=resolver_of(caller))
    terms = search.terms(caller, call, spec)
    found = reuse.find(caller, given.get("owner_uuid") or caller.uuid, spec, terms)
    job = render.shown(JOBS, found.row) if found.row else None
    left_out = reuse.left_out(caller, spec, terms, found)
    return {"job": job, "why": found.why, "candidates": found.candidates, "left_out": left_out}


def _finds(call: Call, given: Row) -> bool:
    """Whether to look for one first. v1's old way to say so is `no_reuse` in the job that a body wraps."""
    if given.get("no_reuse") is not None and (given["no_reuse"] or call.is_wrapped(JOBS)):
        return not given["no_reuse"]
    return call.flag("find_or_create")


def _require(given: Row) -> None:
    for name in REQUIRED:
        if given.get(name) in (None, ""):
            raise invalid(f"{name} can't be blank")


def description(given: Row) -> Row:
    """The job as a job file would describe it. Crunch v1's rules: the task's own record is its verdict."""
    made = {
        **code_and_constraints(given),
        "parameters": given["script_parameters"],
        "verdict": "record",
        "job_parameters": job_parameters(given, "all"),
    }
    return made | {name: given[name] for name in _POLICY if given.get(name) is not None}


def code_and_constraints(given: Row) -> Row:
    """What is said of where the program is, what it runs in and what it needs."""
    made = {ours: given[name] for name, ours in _CODE.items() if given.get(name) is not None}
    if "script" in made:
        made["script"] = SCRIPTS + made["script"]
    return made | _constraints(given.get("runtime_constraints") or {})


def job_parameters(given: Row, default: str | list[str]) -> str | list[str]:
    """Names, or `all`."""
    named = given.get("job_parameters")
    if named is None:
        return default
    return "all" if named == ["all"] else list(named)


def _constraints(given: Row) -> Row:
    if given.get("arvados_sdk_version") is not None:
        raise invalid(f"runtime_constraints.arvados_sdk_version: {_NO_SDK}")
    made: Row = {"image": _image(given)} if given.get("docker_image") else {}
    resources: Row = {}
    for name, ours in _RESOURCES.items():
        value = given.get(name)
        if value is not None:
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise invalid(f"runtime_constraints.{name}: must be a whole number from 1")
            resources[ours] = value if ours == "cores" else f"{value}MiB"
    return made | ({"resources": resources} if resources else {})


def _image(given: Row) -> str:
    name, tag = given["docker_image"], given.get("docker_image_tag")
    return f"{name}:{tag}" if tag else name


def update(caller: Caller, call: Call, uuid: str) -> Object:
    """Cancel it, take purity back, give it another priority, or say something for people. What crunch-job sets can't be
    set by others."""
    row = _own(caller, uuid)
    complete(JOBS.name, caller, [row])
    shown = render.shown(JOBS, row)
    refusals.check_change(JOBS, call, shown)
    changed = {name: value for name, value in call.attributes(JOBS, "update").items() if value != shown[name]}
    state = _state_asked(changed, row)
    _check_state(changed, row, state)
    if "priority" in changed:
        _check_priority(row, changed["priority"])
    cancels = state == "Cancelled" and row["state"] != "Cancelled"
    if cancels:
        _check_cancel(row)
    _change(caller, row, changed)
    if cancels:
        caller.service.ask(Topic.TASKS, JobCancelled(root=row["root"]))
    return get(JOBS, caller, call, uuid)


def _change(caller: Caller, row: Row, changed: Row) -> None:
    """What may be refused comes first, so that nothing is done then; purity, which never comes back, after it."""
    if changed.get("is_pure"):
        take_purity_back(caller, row, is_pure=True)
    if "priority" in changed:
        caller.service.ask(Topic.TASKS, JobPrioritised(root=row["root"], priority=changed["priority"]))
    if changed.get("is_pure") is False:
        take_purity_back(caller, row, is_pure=False)
    noted: Row = {name: changed[name] for name in _NOTED_LATER if name in changed}
    if noted:
        with caller.service.rows() as connection:
            given = {"uuid": row["uuid"], "said": _json(noted), "now": registry.now_ms()}
            registry.execute(connection, "note", given)


def _state_asked(changed: Row, row: Row) -> str:
    """The state that a client wants, which older ones say by other attributes; else the one that it is in."""
    if changed.get("state") is not None:
        return str(changed["state"])
    if changed.get("cancelled_at") is not None:
        return "Cancelled"
    if changed.get("success") is not None:
        return "Complete" if changed["success"] else "Failed"
    return "Running" if changed.get("running") else str(row["state"])


def _check_state(changed: Row, row: Row, state: str) -> None:
    """Nobody but its owner's cancel changes a state, and all that is said of it says the same."""
    if state not in (row["state"], "Cancelled"):
        raise invalid(f"state: can't go from {row['state']} to {state[:40]}: crunch-job says how a job goes on")
    wanted = {"state": state, "running": state == "Running", "success": _SUCCESS.get(state)}
    for name, value in wanted.items():
        if name in changed and changed[name] != value:
            raise invalid(f"{name}: {_text(changed[name])} is not so of a job that is {state}: leave it out")
    if "cancelled_at" in changed and (changed["cancelled_at"] is not None) is not (state == "Cancelled"):
        raise invalid(f"cancelled_at: what is said of a job that is {state} can't be taken back: leave it out")


def _text(value: Any) -> str:
    return _json(value)[:40]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _check_priority(row: Row, priority: int | None) -> None:
    if priority is None:
        raise invalid("priority: can't be null")
    if row["parent_job_uuid"] is not None:
        raise invalid(f"priority: a task has its job's: change that of {row['parent_job_uuid']}")
    if abs(priority) > MAX_SAFE_INTEGER:
        raise invalid("priority: beyond 2^53")


def cancel(caller: Caller, call: Call, uuid: str) -> Object:
    """Cancel a job; again on a cancelled one has no effect."""
    row = _own(caller, uuid)
    if row["state"] != "Cancelled":
        _cancel(caller, row)
    return get(JOBS, caller, call, uuid)


def delete(caller: Caller, call: Call, uuid: str) -> Object:
    """Hide it for ever; one that has not ended is cancelled first. Its record in the log stays."""
    row = _own(caller, uuid)
    if row["state"] not in ENDED:
        _cancel(caller, row)
    shown = get(JOBS, caller, call, uuid)
    with caller.service.rows() as connection:
        registry.execute(connection, "delete_noted", {"uuid": uuid, "now": registry.now_ms()})
    return shown


def lock(caller: Caller, call: Call, uuid: str) -> Object:
    """Mark a queued job as the caller's."""
    row = _own(caller, uuid)
    if row["state"] != "Queued":
        raise invalid(f"state: only a queued job can be locked, this is {row['state']}")
    mark = msgspec.json.encode({"is_locked_by_uuid": caller.uuid}).decode()
    with caller.service.rows() as connection:
        if not registry.fetch(connection, "lock", {"uuid": uuid, "said": mark, "now": registry.now_ms()}):
            raise invalid("is_locked_by_uuid: it is locked already")
    return get(JOBS, caller, call, uuid)


def queue(caller: Caller, call: Call, _: str) -> Object:
    """Queued primary jobs that the caller may read, highest priority first, then oldest."""
    asked, seen = asked_page(JOBS, call), caller.sight
    queued = [Term("state", "=", "Queued", "string"), Term("parent_job_uuid", "=", None, "string")]
    order = asked.order if call.option("order") else [("priority", True), ("created_at", False), ("uuid", False)]
    asked = asked._replace(terms=[*asked.terms, *queued], order=order)
    with caller.service.rows() as connection:
        rows, total = listing.page(connection, JOBS.name, seen, caller.uuid, asked)
    complete(JOBS.name, caller, rows)
    select = filters.select(JOBS, call.option("select"))
    return render.listed(JOBS, [render.shown(JOBS, row, select) for row in rows], asked.offset, asked.limit, total)


def queue_size(caller: Caller, _: Call, __: str) -> Object:
    """How many of the jobs that the caller may read are queued."""
    seen = caller.sight
    with caller.service.rows() as connection:
        return {"queue_size": listing.queue_size(connection, seen)}


# --- Shared with tasks ------------------------------------------------------------------------------------------------


def take_purity_back(caller: Caller, row: Row, *, is_pure: bool) -> None:
    """True to false; the other way is refused by the jobs machine. `row`: of a job or of a task."""
    task = row["uuid"] if row["uuid"] != row["root"] else first_task_uuid(row["root"])
    caller.service.ask(Topic.TASKS, PurityTakenBack(root=row["root"], task=task, is_pure=is_pure))


def _own(caller: Caller, uuid: str) -> Row:
    """The row of a job that the caller may change. ApiError 404, 403."""
    row = row_of(JOBS, caller, uuid)
    if not caller.may_write(row["owner_uuid"]):
        raise forbidden("only its owner may change it")
    return row


def _cancel(caller: Caller, row: Row) -> None:
    _check_cancel(row)
    caller.service.ask(Topic.TASKS, JobCancelled(root=row["root"]))


def _check_cancel(row: Row) -> None:
    if row["parent_job_uuid"] is not None:
        raise invalid("a task can't be cancelled by itself: cancel its job")


HANDLERS: dict[tuple[str, str], Handler] = {
    ("jobs", "update"): update,
    ("jobs", "delete"): delete,
    ("jobs", "cancel"): cancel,
    ("jobs", "lock"): lock,
    ("jobs", "reusable"): reusable,
    ("jobs", "queue"): queue,
    ("jobs", "queue_size"): queue_size,
}
