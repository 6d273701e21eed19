"""Names that can point to something else tomorrow: who looks them up, and where they may stand in a value.

A branch, an image's tag or a path on this machine is resolved once, when the task is created. The edge brings the
Resolver; a test brings a small one.
"""

import re
from typing import Any, NamedTuple, Protocol

from coordinator.locators import split_reference

USE_HASH = "must use portable_data_hash instead of collection uuid"  # v1's own words

_COLLECTION_UUID = re.compile(r"(?<![a-z0-9])[a-z0-9]{5}-4zz18-[a-z0-9]{15}(?![a-z0-9])")


class ResolvedCode(NamedTuple):
    """Full commit (empty: plain files), tree in the store, and the JSON value that the fingerprint takes of the two."""

    commit: str
    code: str
    component: Any
    ineligible: str = ""  # why a task with this code can't be reused


class ResolvedImage(NamedTuple):
    """Content digest (empty: the host's own environment) and the JSON value that the fingerprint takes of it."""

    digest: str
    component: Any
    ineligible: str = ""  # why a task with this image can't be reused


class Resolver(Protocol):
    """Looks up what is not content-addressed. What does not exist is a BadTask naming the field."""

    def code(self, repository: str, commit: str) -> ResolvedCode:
        """The code of a repository (empty: where the job file is) at a commit, branch or tag (empty: as it is)."""
        ...

    def image(self, name: str) -> ResolvedImage:
        """The image of this name; of the host's own environment for the empty name."""
        ...

    def input(self, field: str, reference: str) -> str:
        """Portable data hash of the collection that an input names: a folder's content, or one file under its name."""
        ...

    def path(self, field: str, reference: str) -> str:
        """Of `PDH/path`, the PDH of a collection that has what is at that path there, and nothing else."""
        ...


def collection_uuid_in(field: str, value: Any) -> str:
    """Where a collection's uuid stands in a normalised value, in a key or anywhere in a text; empty: nowhere."""
    if isinstance(value, str):
        return field if _COLLECTION_UUID.search(value) else ""
    return next((found for step, part in _parts(field, value) if (found := collection_uuid_in(step, part))), "")


def resolved_paths(field: str, value: Any, resolver: Resolver) -> Any:
    """The value, the hash of each text `PDH/path` narrowed, so that another file of that collection changes nothing.

    The path stays as it is written: scripts of Crunch v1 take it apart, and put it into their outputs.
    """
    if isinstance(value, dict):
        return {key: resolved_paths(f"{field}.{key}", item, resolver) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved_paths(f"{field}[{index}]", item, resolver) for index, item in enumerate(value)]
    reference = split_reference(value) if isinstance(value, str) else None
    if not reference or not reference[1]:
        return value
    return f"{resolver.path(field, '/'.join(reference))}/{value.partition('/')[2]}"


def _parts(field: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"{field}.{key}", part) for key, item in value.items() for part in (key, item)]
    return [(f"{field}[{index}]", item) for index, item in enumerate(value)] if isinstance(value, list) else []
