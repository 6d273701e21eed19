"""What people do on pages: cancel a job; judge a fingerprint. Each is a command to the log, and returns where to go."""

from collections.abc import Callable

from gateway.api.errors import forbidden, not_found
from gateway.pages.look import Look
from gateway.pages.render import segment
from readmodel import board, queries
from schemas.claims import Invalidated, Quarantined, Released
from schemas.tasks import JobCancelled
from schemas.topics import Topic

Fields = dict[str, str]
Act = Callable[[Look, Fields], str]
LONGEST = 500  # characters of a reason


def cancel(look: Look, _: Fields) -> str:
    """Cancel a job that is the visitor's to change."""
    with look.rows() as connection:
        found = board.job(connection, look.viewer, look.names["uuid"])
    if found is None:
        raise not_found()
    if not look.caller.may_write(found.owner):
        raise forbidden("only its owner may cancel it")
    look.service.ask(Topic.TASKS, JobCancelled(root=found.root))
    return f"/jobs/{found.root}"


def release(look: Look, _: Fields) -> str:
    """The disagreement is settled: what is left may be given again."""
    wanted = _judged(look)
    look.service.ask(Topic.CLAIMS, Released(fingerprint=wanted))
    return f"/fingerprints/{segment(wanted)}"


def invalidate(look: Look, fields: Fields) -> str:
    """One execution's output was wrong: it is given to nobody any more."""
    wanted = _judged(look)
    with look.rows() as connection:
        found = queries.execution(connection, look.viewer, fields.get("token", ""))
    if found is None or found.fingerprint != wanted:
        raise not_found()
    reason = fields.get("reason", "")[:LONGEST]
    look.service.ask(Topic.CLAIMS, Invalidated(fingerprint=wanted, token=found.token, reason=reason))
    return f"/fingerprints/{segment(wanted)}"


def quarantine(look: Look, fields: Fields) -> str:
    """Nothing of it is given to anybody until it is released."""
    wanted = _judged(look)
    look.service.ask(Topic.CLAIMS, Quarantined(fingerprint=wanted, reason=fields.get("reason", "")[:LONGEST]))
    return f"/fingerprints/{segment(wanted)}"


def _judged(look: Look) -> str:
    """The fingerprint. ApiError 404 for one that the visitor does not see, 403 for who is no operator."""
    wanted = look.names["fingerprint"]
    with look.rows() as connection:
        if not queries.executions_of(connection, look.viewer, wanted):
            raise not_found()
    if not look.caller.is_admin:
        raise forbidden("an operator's rights are needed: crunch-reuse user add NAME --admin gives them")
    return wanted


def name_of(look: Look) -> str:
    """The visitor's login name."""
    with look.rows() as connection:
        return next((user.name for user in queries.users(connection) if user.uuid == look.viewer), look.viewer)


FORMS: dict[str, Act] = {
    "/jobs/{uuid}/cancel": cancel,
    "/fingerprints/{fingerprint}/release": release,
    "/fingerprints/{fingerprint}/invalidate": invalidate,
    "/fingerprints/{fingerprint}/quarantine": quarantine,
}
