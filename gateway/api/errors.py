"""Errors as Arvados' clients expect them: a status, and `{"errors": [...], "error_token": ...}`.

Never 409 (clients repeat it), and no path, query or trace in any of them.
"""

import secrets
import time
from typing import Any

from coordinator.canonical import BadTask
from gateway.problems import Refused, one_line
from readmodel.connection import ReadModelConflict, ReadModelMissing, ReadModelUnreachable
from store.errors import BlockCorrupt, BlockMissing, BlockTooLarge, LocatorInvalid, ManifestInvalid, StoreError
from streams.answers import NoAnswer
from streams.log import LogError

LONGEST = 500  # characters of one message


class ApiError(Exception):
    """A request can't be answered as asked: HTTP status, and one line for each thing that is wrong."""

    def __init__(self, status: int, *messages: str) -> None:
        super().__init__(*messages)
        self.status = status
        self.messages = [one_line(message, LONGEST) for message in messages]

    def body(self) -> dict[str, Any]:
        """What the reply holds. The token tells one error from another, in the server's log too."""
        return {"errors": self.messages, "error_token": f"{int(time.time())}+{secrets.token_hex(4)}"}


def unauthorized() -> ApiError:
    """Nobody, or nobody any more, is known by this token."""
    return ApiError(401, "Not logged in")


def forbidden(why: str = "Forbidden") -> ApiError:
    """The token is good, and does not reach so far."""
    return ApiError(403, why)


def not_found(what: str = "Path not found") -> ApiError:
    """It is not there, or the caller may not see it: the answer is the same."""
    return ApiError(404, what)


def invalid(why: str) -> ApiError:
    """What was sent can't be taken."""
    return ApiError(422, why)


_STATUS: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((BlockMissing,), 404),
    ((BlockTooLarge,), 413),
    ((BlockCorrupt, LocatorInvalid, ManifestInvalid, BadTask, Refused), 422),
)
_ELSEWHERE: tuple[tuple[type[Exception], str], ...] = (
    (StoreError, "the content store can't do it now"),
    (ReadModelUnreachable, "the database can't be reached now"),
    (ReadModelConflict, "others were in the way in the database: repeat the request with the same X-Request-Id"),
    (ReadModelMissing, "the read model is not there yet: its projector has not begun"),
    (LogError, "the log can't be reached now: repeat the request with the same X-Request-Id"),
    (NoAnswer, "no answer yet: repeat the request with the same X-Request-Id"),
)


def translated(error: Exception) -> ApiError | None:
    """The reply to an error of another part; None for one that nobody foresaw.

    What people sent wrong is told in the words of whoever found it; what failed on this side is 503, without details.
    """
    if isinstance(error, ApiError):
        return error
    for kinds, status in _STATUS:
        if isinstance(error, kinds):
            return ApiError(status, str(error))
    return next((ApiError(503, words) for kind, words in _ELSEWHERE if isinstance(error, kind)), None)
