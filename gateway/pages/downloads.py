"""Files to save: what a job or task left, what a task wrote to its log, what it was given."""

from collections.abc import Callable

import msgspec
from starlette.responses import StreamingResponse

from gateway.api import collections
from gateway.api.errors import not_found
from gateway.pages import content
from gateway.pages.look import Look
from gateway.pages.views import known
from readmodel import board
from schemas.spec import TaskSpec
from store.errors import PathMissing
from store.locator import EMPTY_BLOCK

Find = Callable[[Look], StreamingResponse]


def job_output(look: Look) -> StreamingResponse:
    """A file of a job's output. ApiError 404."""
    with look.rows() as connection:
        found = board.job(connection, look.viewer, look.names["uuid"])
    return _file(look, found.output if found else "", look.names["path"])


def task_output(look: Look) -> StreamingResponse:
    """A file of a task's output. ApiError 404."""
    with look.rows() as connection:
        return _file(look, known(connection, look).output, look.names["path"])


def task_log(look: Look) -> StreamingResponse:
    """A task's log as a whole. ApiError 404."""
    with look.rows() as connection:
        log = known(connection, look).log
    first = next((one.path for one in look.service.store.files(log)), "") if log not in ("", EMPTY_BLOCK) else ""
    return _file(look, log, first)


def task_input(look: Look) -> StreamingResponse:
    """A file of what a task was given, where the viewer may read that by its hash. ApiError 404."""
    with look.rows() as connection:
        spec = msgspec.json.decode(known(connection, look).spec, type=TaskSpec)
    pdh = spec.inputs.get(look.names["name"], "")
    return _file(look, pdh if collections.may_read_content(look.caller, pdh) else "", look.names["path"])


def _file(look: Look, pdh: str, path: str) -> StreamingResponse:
    if pdh in ("", EMPTY_BLOCK):
        raise not_found()
    try:
        return content.download(look.service.store, pdh, path)
    except PathMissing:
        raise not_found() from None


FILES: dict[str, Find] = {
    "/jobs/{uuid}/output/{path:path}": job_output,
    "/tasks/{uuid}/output/{path:path}": task_output,
    "/tasks/{uuid}/log": task_log,
    "/tasks/{uuid}/inputs/{name}/{path:path}": task_input,
}
