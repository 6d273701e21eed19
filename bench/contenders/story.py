"""The commands that every contender is given: each fingerprint is requested, completed, and requested again.

Bytes and keys are those of topic `claims`, as the jobs machine and an executor write them. A completion carries the
token that our claims machine grants at that place of that log; the others' tokens are not looked at.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from msgspec import Raw

from schemas.claims import Exited, Requested
from schemas.codec import encode
from schemas.log import Cause
from schemas.partition import partition_of

WINDOW = 200  # fingerprints of one partition that are requested before the first of them is completed
PER_FINGERPRINT = 3  # commands
SPEC = Raw(b'{"script":"crunch_scripts/count.py","repository":"examples","components":{"commit":"%b"}}' % (b"a" * 64))
OUTPUT = "d41d8cd98f00b204e9800998ecf8427e+0"
_JOBS_LOG = "1" * 32


class Command(NamedTuple):
    """One record to append to a partition of the commands' topic."""

    key: str
    value: bytes


def story(log_ids: Sequence[str], fingerprints: int, begin: int = 1) -> list[list[Command]]:
    """The commands of each partition (one log id each), the first of which will stand at offset `begin`."""
    mine: list[list[int]] = [[] for _ in log_ids]
    for number in range(fingerprints):
        mine[partition_of(fingerprint_of(number), len(log_ids))].append(number)
    return [_partition(log_id, numbers, begin) for log_id, numbers in zip(log_ids, mine, strict=True)]


def fingerprint_of(number: int) -> str:
    """A fingerprint like any other."""
    return sha256(str(number).encode()).hexdigest()


def request(number: int, which: str, cause: Cause | None) -> Command:
    """One task's request for a fingerprint."""
    fingerprint, name = fingerprint_of(number), f"{which}{number:014d}"
    body = Requested(
        fingerprint=fingerprint,
        task=f"zzzzz-8i9sb-{name}",
        root=f"zzzzz-8i9sb-{name[::-1]}",
        owner="zzzzz-tpzed-000000000000000",
        spec=SPEC,
    )
    return Command(fingerprint, encode(body, cause))


def completion(number: int, token: str) -> Command:
    """The end of the execution under this token."""
    fingerprint = fingerprint_of(number)
    return Command(
        fingerprint, encode(Exited(fingerprint=fingerprint, token=token, node="n1", exit_code=0, output=OUTPUT))
    )


def token_at(log_id: str, offset: int, value: bytes) -> str:
    """The token that the claims machine grants there (coordinator.machine.token_of)."""
    return f"{log_id}.{offset}.0.{sha256(value).hexdigest()[:16]}"


def _partition(log_id: str, numbers: Sequence[int], begin: int) -> list[Command]:
    found: list[Command] = []
    for start in range(0, len(numbers), WINDOW):
        window = numbers[start : start + WINDOW]
        tokens = []
        for number in window:
            command = request(number, "a", Cause(_JOBS_LOG, len(found), 0))
            tokens.append(token_at(log_id, begin + len(found), command.value))
            found.append(command)
        found += [completion(number, token) for number, token in zip(window, tokens, strict=True)]
        for number in window:
            found.append(request(number, "b", Cause(_JOBS_LOG, len(found), 0)))
    return found
