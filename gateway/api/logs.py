"""Logs: lines that clients write down, beside what the system has to say of jobs (its words are complete.py's)."""

from typing import Any

import msgspec

from gateway.api.dispatch import Handler, Object, get
from gateway.api.errors import invalid
from gateway.api.request import Call
from gateway.api.schema import LOGS, RESOURCES
from gateway.api.service import Caller
from gateway.api.times import microseconds_of
from readmodel import listing, registry

LONGEST_SUMMARY = 4096  # characters
MAX_PROPERTIES = 256 * 1024  # bytes
_OWNERS = ("users", "groups")  # these are themselves whose things others may read
Row = dict[str, Any]


def create(caller: Caller, call: Call, _: str) -> Object:
    """Write a line down. Its writer's readers see it, and those of the object's owner, where the writer may read it."""
    given = call.attributes(LOGS, "create")
    if len(given.get("summary") or "") > LONGEST_SUMMARY:
        raise invalid(f"summary: longer than {LONGEST_SUMMARY} characters")
    properties = msgspec.json.encode(given.get("properties") or {})
    if len(properties) > MAX_PROPERTIES:
        raise invalid(f"properties: larger than {MAX_PROPERTIES} bytes")
    now = registry.now_ms()
    uuid = caller.new_uuid(call, LOGS.infix)
    row = {
        "uuid": uuid,
        "owner_uuid": caller.uuid,
        "now": now,
        "event_at": _moment(given.get("event_at"), now),
        "event_type": given.get("event_type") or "",
        "object_uuid": given.get("object_uuid"),
        "object_owner_uuid": _owner_of(caller, given.get("object_uuid") or ""),
        "summary": given.get("summary"),
        "properties": properties.decode(),
    }
    with caller.service.rows() as connection:
        registry.execute(connection, "add_log", row)
    return get(LOGS, caller, call, uuid)


def _moment(text: str | None, now: int) -> int:
    """Milliseconds since 1970. ApiError 422."""
    if not text:
        return now
    try:
        return microseconds_of(text) // 1000
    except (ValueError, OverflowError):
        raise invalid("event_at: must be a time like 2014-10-06T00:00:00Z") from None


def _owner_of(caller: Caller, uuid: str) -> str | None:
    """Whose object it is; None where there is none that the caller may read: the two are not told apart."""
    infix = uuid.split("-")[1] if uuid.count("-") == 2 else ""
    resource = next((one for one in RESOURCES.values() if one.infix == infix and one.name in listing.SQL), None)
    if resource is None or resource is LOGS:
        return None
    seen = caller.sight
    with caller.service.rows() as connection:
        row = listing.one(connection, resource.name, seen, caller.uuid, uuid)
    if row is None:
        return None
    return uuid if resource.name in _OWNERS else row["owner_uuid"]


HANDLERS: dict[tuple[str, str], Handler] = {("logs", "create"): create}
