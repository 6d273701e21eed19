"""Uuids that are derived, never drawn: whoever repeats a creation names the same thing again.

They look like Arvados's: the cluster's prefix of five letters, `8i9sb` for a job (a task is a job), 15 base-36 digits;
here the digits are 77 bits of a SHA-256 over what the thing is made from.
"""

import re
from hashlib import sha256

from coordinator.fingerprint import framed_digest

DEFAULT_PREFIX = "zzzzz"
JOB_INFIX = "8i9sb"

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 15
_PREFIX = re.compile(r"[a-z0-9]{5}(?=-)")


def derive(kind: str, *parts: str, prefix: str = DEFAULT_PREFIX) -> str:
    """The uuid that belongs to these parts for ever. `kind` keeps things of different sorts apart."""
    number = int(framed_digest((kind, *parts)), 16)
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return f"{prefix}-{JOB_INFIX}-{''.join(digits)}"


def prefix_of(uuid: str) -> str:
    """The cluster's prefix that an Arvados uuid starts with; the default for a name of another form."""
    match = _PREFIX.match(uuid)
    return match.group() if match else DEFAULT_PREFIX


def first_task_uuid(root: str) -> str:
    """The first task of the primary job `root`."""
    return derive("first task", root, prefix=prefix_of(root))


def child_uuid(creating_task: str, rank: int) -> str:
    """The `rank`-th task (from 0) that a task queued, or that its copy was given."""
    return derive("child", creating_task, str(rank), prefix=prefix_of(creating_task))


def job_uuid(owner: str, digest: str, earlier_unusable: int) -> str:
    """The job that find_or_create means: two who ask for the same at one moment land on one uuid.

    `digest` is what was asked (taskspec.job_digest); `earlier_unusable` counts the failed and cancelled ones before it.
    """
    return derive("job", owner, digest, str(earlier_unusable), prefix=prefix_of(owner))


def request_uuid(token: str, path: str, request_id: str, body: bytes, prefix: str = DEFAULT_PREFIX) -> str:
    """The thing that one creation request makes; a repeat of the request after a lost reply is the same one.

    `token` identifies who asks (a token's own uuid, never its secret part), `request_id` is the client's X-Request-Id.
    """
    return derive("request", token, path, request_id, sha256(body).hexdigest(), prefix=prefix)
