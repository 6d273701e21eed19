"""The pages about work: jobs, tasks, claims in flight, what is copied most, savings. Each returns what it shows."""

import time
from typing import Any, get_args

import msgspec

from gateway.api import collections
from gateway.api.errors import not_found
from gateway.pages import content, lineage_picture, plots
from gateway.pages.look import PAGE, Data, Look, View, paged
from readmodel import board, explain, queries, story, telling
from readmodel.board import HOUR
from readmodel.connection import Connection
from readmodel.lineage import lineage
from readmodel.rows import Task
from schemas.spec import TaskSpec

TREE = 200  # tasks that are drawn as one tree; of larger jobs a page shows what one task queued
LINES = 200  # of a job's log
DAYS = {"1": 24, "3": 72, "7": 168}  # hours that the plots of savings show
HOTTEST = 50


def jobs(look: Look) -> Data:
    """Jobs, newest first."""
    shown: Any = look.query.get("show", "all")
    shown = shown if shown in get_args(board.Shown) else "all"
    with look.rows() as connection:
        found = board.jobs(connection, look.viewer, shown, PAGE + 1, look.offset)
    return paged(look, found) | {"show": shown}


def job(look: Look) -> Data:
    """A job and its tree, or where that is large, what one task of it queued."""
    with look.rows() as connection:
        found = board.job(connection, look.viewer, look.names["uuid"])
        if found is None:
            raise not_found()
        shape = _tasks_of(connection, look, found)
        lines = story.job_log(connection, look.viewer, found.root, limit=LINES)
    has_output = found.state in ("complete", "failed")
    output = content.listed(look.service.store, found.output if has_output else "")
    return shape | {"job": found, "log": lines, "output": output, "can_cancel": look.caller.may_write(found.owner)}


def _tasks_of(connection: Connection, look: Look, its_job: board.Job) -> Data:
    """The whole tree in its order, or of a large one a page of what one task queued, and how many those queued."""
    root, parent = its_job.root, look.query.get("below")
    if its_job.tasks <= TREE and parent is None:
        tree = queries.tree(connection, look.viewer, root)
        return {"tasks": tree, "is_whole": True, "queued": {}, "below": None, "page": 1, "has_more": False}
    shape = paged(look, board.children(connection, look.viewer, root, parent or "", PAGE + 1, look.offset))
    tasks: list[Task] = shape.pop("rows")
    queued = board.queued_by(connection, root, [one.task for one in tasks])
    below = board.task(connection, look.viewer, parent) if parent else None
    return shape | {"tasks": tasks, "is_whole": False, "queued": queued, "below": below}


def task(look: Look) -> Data:
    """A task: what became of it and why, where its output came from, what it wrote and left."""
    with look.rows() as connection:
        found = known(connection, look)
        explained = explain.explain(connection, look.viewer, found.task)
        if explained is None:
            raise not_found()
        origin = lineage(connection, look.viewer, found)
        lines = story.job_log(connection, look.viewer, found.root, task=found.task, limit=LINES)
        queued = board.children(connection, look.viewer, found.root, found.task, PAGE + 1, look.offset)
        its_job = board.job(connection, look.viewer, found.root)
    explained = explain.with_signs_of_life(explained, look.service.heard)
    spec = msgspec.json.decode(found.spec, type=TaskSpec)
    return paged(look, queued) | {
        "task": found,
        "job_name": its_job.name if its_job else "",
        "spec": spec,
        "parameters": bytes(spec.parameters).decode(),
        "explained": explained,
        "sentences": telling.sentences(explained),
        "lineage": origin,
        "picture": lineage_picture.picture(origin),
        "story": lines,
        "log": content.said(look.service.store, found),
        "is_growing": found.state == "running",
        "output": content.listed(look.service.store, found.output),
        "inputs": inputs_of(look, spec),
    }


def known(connection: Connection, look: Look) -> Task:
    """The task that the path names. ApiError 404."""
    found = board.task(connection, look.viewer, look.names["uuid"])
    if found is None:
        raise not_found()
    return found


def inputs_of(look: Look, spec: TaskSpec) -> list[Data]:
    """What a task is given, with its files where the viewer may read them by their hash, as through the API."""
    made = []
    for name, pdh in sorted(spec.inputs.items()):
        is_readable = collections.may_read_content(look.caller, pdh)
        files = content.listed(look.service.store, pdh) if is_readable else content.Listed(content=pdh)
        made.append({"name": name, "is_readable": is_readable, "content": files})
    return made


def flights(look: Look) -> Data:
    """Executions that are granted or run, and who waits on them."""
    with look.rows() as connection:
        found = board.in_flight(connection, look.viewer, PAGE + 1, look.offset)
        waiting = queries.waiting(connection, look.viewer, limit=PAGE + 1)
    return paged(look, found) | {"waiting": waiting[:PAGE], "more_waiting": len(waiting) > PAGE}


def hot(look: Look) -> Data:
    """The work that was copied most."""
    with look.rows() as connection:
        return {"rows": board.hot(connection, look.viewer, HOTTEST), "latest": board.LATEST}


def savings(look: Look) -> Data:
    """What was executed and what was copied in each hour, and the time that copying saved."""
    days = look.query.get("days", "1")
    days = days if days in DAYS else "1"
    until = int(time.time() * 1000) // HOUR * HOUR
    since = until - (DAYS[days] - 1) * HOUR
    with look.rows() as connection:
        found = board.hours(connection, look.viewer, since)
    known = {hour.hour: hour for hour in found}
    executed, copied = sum(hour.executed for hour in found), sum(hour.copied for hour in found)
    return {
        "days": days,
        "hours": found,
        "executed": executed,
        "copied": copied,
        "saved": sum(hour.saved for hour in found),
        "spent": sum(hour.spent for hour in found),
        "rate": round(100 * copied / (executed + copied), 1) if executed + copied else 0.0,
        "tasks": plots.stacked(known, ("executed", "copied", "failed"), since, until, is_time=False),
        "time": plots.stacked(known, ("spent", "saved"), since, until, is_time=True),
    }


VIEWS = (
    View("/jobs", "jobs.html", "Jobs", jobs),
    View("/jobs/{uuid}", "job.html", "Job", job, "/jobs"),
    View("/tasks/{uuid}", "task.html", "Task", task, "/jobs"),
    View("/claims", "claims.html", "In flight", flights),
    View("/hot", "hot.html", "Most copied", hot),
    View("/savings", "savings.html", "Savings", savings),
)
