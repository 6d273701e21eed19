"""A running task's token for the API: signed, expiring, bound to its task, its execution and what its parameters name.

It is a JSON Web Token (HS256). It carries a digest of the hashes, not the hashes: a task with a thousand inputs still
fits into a header, and who checks the token has the task's record, from which they follow. It is no record and in
none: who holds the key makes it when the task starts, and it is worth nothing once the execution is over.
"""

import jwt
import msgspec
from jwt.types import Options

from coordinator.fingerprint import framed_digest
from coordinator.purity import Scope

KEY_BYTES = 32
_ALGORITHM = "HS256"
_ISSUER = "crunch-reuse/task"
_NAMES = ("iss", "exp", "sub", "job", "execution", "pure", "hashes")


class BadToken(Exception):
    """It is refused; the text says why, and holds nothing of it."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token says, once its signature and its time were checked."""

    task: str
    job: str
    execution: str
    was_pure: bool  # when it was made
    hashes: str  # digest
    expires_at: int  # seconds since 1970

    def scope(self, hashes: frozenset[str], *, is_pure: bool) -> Scope:
        """What it stands for now. `hashes`: `purity.hashes_of` the task's record. Raises BadToken if they differ."""
        if _digest(hashes) != self.hashes:
            raise BadToken("it was made for other parameters than the task has")
        return Scope(
            task=self.task,
            job=self.job,
            execution=self.execution,
            is_pure=self.was_pure and is_pure,
            hashes=hashes,
        )


def sign(scope: Scope, expires_at: int, key: bytes) -> str:
    """The token for a scope, good until `expires_at` (seconds since 1970). `key`: KEY_BYTES random bytes or more."""
    said = {
        "iss": _ISSUER,
        "exp": expires_at,
        "sub": scope.task,
        "job": scope.job,
        "execution": scope.execution,
        "pure": scope.is_pure,
        "hashes": _digest(scope.hashes),
    }
    return jwt.encode(said, key, algorithm=_ALGORITHM)


def read(text: str, now: int, key: bytes) -> Claims:
    """What a token says at `now` (seconds since 1970). Raises BadToken."""
    options: Options = {"verify_exp": False, "require": list(_NAMES)}  # the time is the caller's to say
    try:
        said = jwt.decode(text, key, algorithms=[_ALGORITHM], issuer=_ISSUER, options=options)
        claims = msgspec.convert(_renamed(said), Claims)
    except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
        raise BadToken("it is not one of ours, or was changed") from error
    if now >= claims.expires_at:
        raise BadToken("it has expired")
    return claims


def _renamed(said: dict[str, object]) -> dict[str, object]:
    names = {"sub": "task", "pure": "was_pure", "exp": "expires_at"}
    return {names.get(name, name): value for name, value in said.items() if name != "iss"}


def _digest(hashes: frozenset[str]) -> str:
    return framed_digest(("hashes", *sorted(hashes)))
