"""Why a task was executed, waited or was given an output, and in what it differs from another: for clients."""

from typing import Any

import msgspec

from coordinator.ids import first_task_uuid
from gateway.api.dispatch import Handler, Object
from gateway.api.errors import not_found
from gateway.api.request import Call
from gateway.api.service import Caller
from readmodel import explain, queries, registry, telling
from readmodel.connection import Connection


def explained(caller: Caller, call: Call, uuid: str) -> Object:
    """The explanation of a task, of a job that of its first one; with `diff`, its differences from another one.

    ApiError 404, also for what the caller may not see.
    """
    other = call.option("diff")
    return _compared(caller, uuid, str(other)) if other else _explained(caller, uuid)


def _explained(caller: Caller, uuid: str) -> Object:
    with caller.service.rows() as connection:
        found = explain.explain(connection, caller.uuid, _task_of(connection, caller, uuid))
        if found is None:
            raise not_found()
        marks = [_plain(one) for one in registry.marks_of(connection, found.task.root, found.task.task)]
    found = explain.with_signs_of_life(found, caller.service.heard)
    return {"kind": "arvados#explanation", **_plain(found), "marks": marks, "text": telling.sentences(found)}


def _compared(caller: Caller, uuid: str, other: str) -> Object:
    with caller.service.rows() as connection:
        mine, its = (_task_of(connection, caller, one) for one in (uuid, other))
        found = explain.compare(connection, caller.uuid, mine, its)
    if found is None:
        raise not_found()
    different = [_plain(one) for one in found.different]
    return {"kind": "arvados#comparison", "different": different, "text": telling.comparison(found)}


def _task_of(connection: Connection, caller: Caller, uuid: str) -> str:
    """The uuid itself where it is that of a task, else that of the first task of the job that it may be."""
    return uuid if queries.task(connection, caller.uuid, uuid) is not None else first_task_uuid(uuid)


def _plain(value: msgspec.Struct) -> Any:
    return msgspec.to_builtins(value)


HANDLERS: dict[tuple[str, str], Handler] = {("job_tasks", "explain"): explained, ("jobs", "explain"): explained}
