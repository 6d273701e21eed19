"""A running task as a caller: who its token stands for, and what a pure one may ask (`coordinator/purity.py`)."""

import time
from typing import Literal

import msgspec

from coordinator import tasktoken
from coordinator.purity import Action, Kind, Request, Scope, Verdict, allows, hashes_of
from coordinator.signedtoken import BadToken
from gateway.api.errors import forbidden, unauthorized
from gateway.api.request import Call
from gateway.api.schema import Resource
from readmodel import registry
from readmodel.census import People
from readmodel.connection import Connection
from readmodel.registry import Token
from schemas.claims import PurityLost
from schemas.spec import TaskSpec

Mode = Literal["enforce", "monitor"]
_KINDS: dict[str, Kind] = {
    "job_tasks": "task",
    "jobs": "job",
    "collections": "collection",
    "keep_services": "discovery",
}
_ACTIONS: dict[str, Action] = {
    "get": "read",
    "list": "list",
    "index": "list",
    "create": "create",
    "update": "update",
    "delete": "delete",
    "accessible": "read",
}


class TaskStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What a task's token stands for now. `bound`: the job parameters that the task is shown."""

    scope: Scope
    fingerprint: str
    bound: frozenset[str]


def standing(connection: Connection, people: People, secret: str, key: bytes) -> tuple[Token, TaskStanding]:
    """Whom a task's token speaks for. ApiError 401 where it is none, its execution is over, or its user shut out."""
    now = int(time.time())
    try:
        claims = tasktoken.read(secret, now, key)
        row = registry.execution(connection, claims.job, claims.task, claims.execution)
        if row is None:
            raise unauthorized()
        user = people.standing(row["grantee"])
        if user is not None and not user.is_active:  # None: a group
            raise unauthorized()
        bound = msgspec.Raw(row["bound"].encode())
        hashes = hashes_of(msgspec.json.decode(row["spec"], type=TaskSpec), bound)
        scope = claims.scope(hashes, is_pure=row["is_pure"])
    except BadToken:
        raise unauthorized() from None
    made = {"uuid": f"task {claims.execution}", "user_uuid": row["grantee"], "created_at": now * 1000}
    token = Token(label="task", scopes=registry.ALL, **made)
    names = frozenset(msgspec.json.decode(bound) or {})
    return token, TaskStanding(scope=scope, fingerprint=row["fingerprint"], bound=names)


def request_of(task: Scope, resource: Resource, method: str, call: Call, uuid: str) -> Request:
    """A call in the words of the rule. A task asked for as a job is that task. ApiError 422."""
    kind, action = _KINDS.get(resource.name, "other"), _ACTIONS.get(method, "other")
    if kind == "job" and uuid == task.task:
        kind = "task"
    said = call.said(resource)
    holds = said.get("portable_data_hash") if (action, kind) == ("create", "collection") else None
    return Request(
        action=action,
        kind=kind,
        name=str(holds or uuid),
        parent=str(said.get("created_by_job_task_uuid") or ""),
        job=str(said.get("job_uuid") or ""),
        fields=frozenset(said) - {"alt"},
    )


def decide(task: TaskStanding, request: Request, mode: Mode) -> PurityLost | None:
    """None: it is answered. A command: only after that is acknowledged. ApiError 403: it is not."""
    verdict: Verdict = allows(task.scope, request, mode)
    if verdict == "allow":
        return None
    what = f"{request.action} {request.kind} {request.name}".strip()[:200]
    if verdict == "deny":
        raise forbidden(f"a pure task may read only what its parameters name: {what} is not part of that")
    return PurityLost(fingerprint=task.fingerprint, token=task.scope.execution, access=what)
