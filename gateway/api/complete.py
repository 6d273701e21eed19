"""What a row still lacks to be an object of the API: the objects and arrays that stand in its specification."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import asdict

from gateway.api.parameters import signed
from gateway.api.service import Caller
from readmodel import listing, queries
from readmodel.story import Told, sentence
from schemas.spec import Resources

Row = dict[str, Any]
NO_TASKS = {"todo": 0, "running": 0, "done": 0, "failed": 0}


def complete(resource: str, caller: Caller, rows: list[Row]) -> None:
    """Add to the rows of a resource what its attributes need."""
    if resource in _COMPLETE:
        _COMPLETE[resource](caller, rows)


def _jobs(caller: Caller, rows: list[Row]) -> None:
    with caller.service.rows() as connection:
        counts = listing.task_counts(connection, [row["root"] for row in rows if row["parent_job_uuid"] is None])
    for row in rows:
        task, said = msgspec.json.decode(row["task"]), msgspec.json.decode(row["said"] or "{}")
        row |= {
            "script_parameters": _shown_to(caller, _script_parameters(row, task)),
            "runtime_constraints": said.get("runtime_constraints", _constraints(row, task)),
            "tasks_summary": counts.get(row["uuid"], NO_TASKS if row["parent_job_uuid"] is None else {}),
            "components": said.get("components") or {},
            "node_uuids": [],
            "job_parameters": named_parameters(task),
        }


def _script_parameters(row: Row, task: Row) -> Row:
    if row["parent_job_uuid"] is not None:
        return dict(task.get("parameters", {}))
    spec = msgspec.json.decode(row["parameters"])
    return {name: one["value"] for name, one in spec.get("parameters", {}).items()}


def _shown_to(caller: Caller, parameters: Row) -> Row:
    """A pure task is shown no parameters but those that it names: its fingerprint holds no others."""
    task = caller.task
    if task is None or not task.scope.is_pure:
        return parameters
    return {name: value for name, value in parameters.items() if name in task.bound}


def _constraints(row: Row, task: Row) -> Row:
    """What it is run by: of a job what its author said, of a task in full."""
    said = task.get("resources", {}) if row["parent_job_uuid"] is None else asdict(_needs(task))
    found = {"docker_image": task.get("image_name"), "min_cores_per_node": said.get("cores")}
    found |= {"min_ram_mb_per_node": said.get("memory"), "min_scratch_mb_per_node": said.get("scratch")}
    return {name: value for name, value in found.items() if value}


def _needs(task: Row) -> Resources:
    return msgspec.convert(task.get("resources", {}), Resources)


def _tasks(caller: Caller, rows: list[Row]) -> None:
    tasks = [msgspec.json.decode(row["task"]) for row in rows]
    parameters = signed(caller, [task.get("parameters", {}) for task in tasks])
    for row, task, own in zip(rows, tasks, parameters, strict=True):
        row |= {"parameters": own, "job_parameters": named_parameters(task)}


def named_parameters(task: Row) -> list[str]:
    """Names of the job parameters that a task depends on; `["all"]`: all."""
    named = task.get("job_parameters", [])
    return ["all"] if named == "all" else list(named)


def _logs(caller: Caller, rows: list[Row]) -> None:
    """Give what the system says its words. Who may not see what a line refers to is not told its name."""
    ours = [row for row in rows if row["kind"] is not None]
    if not ours:
        return
    seen = caller.sight
    with caller.service.rows() as connection:
        sources = queries.tasks_named(connection, seen, [row["other"] for row in ours])
        tokens = queries.tokens_named(connection, seen, [row["token"] for row in ours])
    for row in ours:
        source, whose = sources.get(row["other"]), tokens.get(row["token"])
        told = Told(row["kind"], row["subject"], row["number"], row["detail"], source, whose)
        row["properties"] = {"text": sentence(told) + "\n"}


_COMPLETE: dict[str, Callable[[Caller, list[Row]], None]] = {"jobs": _jobs, "job_tasks": _tasks, "logs": _logs}
