"""A running task's token for the API: signed, expiring, bound to its task, its execution and what its parameters name.

It is a JSON Web Token (HS256). It carries a digest of the hashes, not the hashes: a task with a thousand inputs still
fits into a header, and who checks the token has the task's record, from which they follow. It is no record and in
none: who holds the key makes it when the task starts, and it is worth nothing once the execution is over.
"""

import msgspec

from coordinator import signedtoken
from coordinator.fingerprint import framed_digest
from coordinator.purity import Scope
from coordinator.signedtoken import BadToken

_ISSUER = "crunch-reuse/task"
_NAMES = {
    "exp": "expires_at",
    "sub": "task",
    "job": "job",
    "execution": "execution",
    "pure": "was_pure",
    "hashes": "hashes",
}


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
        "sub": scope.task,
        "job": scope.job,
        "execution": scope.execution,
        "pure": scope.is_pure,
        "hashes": _digest(scope.hashes),
    }
    return signedtoken.sign(_ISSUER, said, expires_at, key)


def read(text: str, now: int, key: bytes) -> Claims:
    """What a token says at `now` (seconds since 1970). Raises BadToken."""
    return signedtoken.read(text, _ISSUER, Claims, _NAMES, now, key)


def _digest(hashes: frozenset[str]) -> str:
    return framed_digest(("hashes", *sorted(hashes)))
