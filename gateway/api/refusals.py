"""What a client says that is not a client's to say: refused, unless it is so already.

Crunch v1 let clients write nearly every attribute. Here most of them follow from the log. A write that is answered
with 200 and changes nothing would be a lie; so it is answered with what it is that stands in the way.
"""

from collections.abc import Mapping
from typing import Any

from coordinator.canonical import normalise
from gateway.api.errors import ApiError, invalid
from gateway.api.request import Call
from gateway.api.schema import COMMON, Attribute, Resource

# As in v1: clients send back what they have read, and the server says these itself whatever is sent.
PASSED_OVER = frozenset(one.name for one in COMMON if one.write == "no")
FRESH_JOB: dict[str, Any] = {"state": "Queued", "running": False, "queue_position": 0, "node_uuids": []}
_RUNS_ITSELF = "a new one is queued, and goes on by itself: leave it out"
_WHY_NEW = {
    **dict.fromkeys(("state", "running", "success", "cancelled_at"), _RUNS_ITSELF),
    **dict.fromkeys(("progress", "output", "started_at", "finished_at", "log", "tasks_summary"), _RUNS_ITSELF),
    "qsequence": "tasks are ranked in the order in which they are queued: leave it out",
    "is_locked_by_uuid": "POST jobs/UUID/lock locks a job",
    "arvados_sdk_version": "the image says which SDK there is: leave it out",
    "docker_image_locator": "runtime_constraints.docker_image names the image",
}
_WHY_LATER = {
    "is_locked_by_uuid": "POST jobs/UUID/lock locks a job",
    **dict.fromkeys(("output", "log", "started_at", "finished_at"), "crunch-job says how a job goes on"),
}


def check_new(resource: Resource, call: Call, fresh: Mapping[str, Any]) -> None:
    """ApiError 422 for what a new object can't begin with. `fresh`: what can be said, as it is going to be."""
    for one, value in call.beside(resource, "create"):
        if value is not None and one.name not in PASSED_OVER and (one.name not in fresh or value != fresh[one.name]):
            raise _refused(one, _WHY_NEW.get(one.name, "the server says it: leave it out"))


def check_change(resource: Resource, call: Call, shown: Mapping[str, Any]) -> None:
    """ApiError 422 for what can't be changed and is not so already.

    Who sends back a whole object, with its `uuid`, may be late in what the server says of it: its `etag` shows that.
    """
    said = call.said(resource)
    is_late = said.get("uuid") == shown["uuid"] and said.get("etag") not in (None, shown["etag"])
    for one, value in call.beside(resource, "update"):
        if one.name in PASSED_OVER or _is_same(value, shown[one.name]) or (is_late and one.write == "no"):
            continue
        why = "it can't be changed" if one.write == "create" else "the server says it: leave it out"
        raise _refused(one, _WHY_LATER.get(one.name, why))


def _is_same(value: Any, shown: Any) -> bool:
    """Signatures come and go; what they stand on is the same."""
    return value == shown or bool(normalise(value) == normalise(shown))


def _refused(one: Attribute, why: str) -> ApiError:
    return invalid(f"{one.name}: {why}")
