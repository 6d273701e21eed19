"""The fingerprint: the digest of everything that a pure task's output may depend on.

It is a digest of digests. The edge computes the digest of each component once, from canonical JSON, and the record
carries it; binding a job's parameters to a task then needs SHA-256 and nothing else, so no library's upgrade can move
a decision. Memory, cores, priority and names are no component: they may differ and the output is the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from schemas.spec import Components

FINGERPRINT_VERSION = 1
COMPONENT_ORDER = ("commit", "script", "image", "parameters", "inputs", "outputs")

_HEAD = f"crunch-reuse fingerprint {FINGERPRINT_VERSION}"
_IMPURE = "impure:"


def fingerprint_of(components: Components, bound: Mapping[str, str]) -> str:
    """The fingerprint, 64 hex digits, of a pure task with these components.

    `bound` holds what the task names of its job's parameters: name to SHA-256 of the value's canonical JSON.
    """
    return framed_digest(_strings(components, bound))


def impure_fingerprint(task: str) -> str:
    """A fingerprint that only the task of this uuid can have: impure work takes the same road and shares nothing."""
    return _IMPURE + task


def is_impure(fingerprint: str) -> bool:
    """Whether it names one task's own impure work."""
    return fingerprint.startswith(_IMPURE)


def framed_digest(strings: Iterable[str]) -> str:
    """SHA-256, 64 hex digits, of strings as netstrings: each says its length, so no string can imitate two others."""
    digest = sha256()
    for string in strings:
        data = string.encode()
        digest.update(b"%d:%b," % (len(data), data))
    return digest.hexdigest()


def _strings(components: Components, bound: Mapping[str, str]) -> Iterator[str]:
    yield _HEAD
    for name in COMPONENT_ORDER:
        yield name
        yield getattr(components, name)
    for name in sorted(bound):
        yield name
        yield bound[name]
