"""Manifests inside parameters: stored without signatures, given with the reader's own.

A script queues a task with a part of a manifest as parameter, and that task reads the files it names. Who put it there
has proved, by its signatures, that they may read it; that is kept, and only then it is signed again, for who may read
what the job's owner owns.
"""

import time
from collections.abc import Iterator
from typing import Any

from gateway.api.errors import ApiError
from gateway.api.service import Caller
from readmodel import registry
from store.locator import is_manifest, strip_hints
from store.manifest import portable_data_hash

MAX_SIGNED = 1_000  # manifests in one reply


def keep_proofs(caller: Caller, owner: str, value: Any) -> None:
    """Note which manifests in the value are signed for the caller throughout. `owner`: of the job."""
    signer, now = caller.signer, int(time.time())
    for text in _manifests(value):
        try:
            signer.check_manifest(text, now)
        except ApiError:
            continue  # it stays a text like any other: nobody gets it signed
        row = {"pdh": _hash(text), "owner_uuid": owner}
        with caller.service.rows() as connection:
            registry.execute(connection, "add_proof", row)


def signed(caller: Caller, values: list[Any]) -> list[Any]:
    """The values, each manifest in them signed for the caller if they may have it."""
    hashes = sorted({_hash(text) for value in values for text in _manifests(value)})[:MAX_SIGNED]
    if not hashes:
        return values
    seen = caller.sight
    with caller.service.rows() as connection:
        found = registry.fetch(connection, "proved", {**seen._asdict(), "hashes": hashes})
    proved = {row["portable_data_hash"] for row in found}
    return [_signed(caller, value, proved) for value in values]


def _signed(caller: Caller, value: Any, proved: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _signed(caller, item, proved) for key, item in value.items()}
    if isinstance(value, list):
        stream = _stream(value)
        if stream and _hash(stream) in proved:
            return caller.signer.manifest(stream).split()
        return [_signed(caller, item, proved) for item in value]
    if isinstance(value, str) and is_manifest(value) and _hash(value) in proved:
        return caller.signer.manifest(value)
    return value


def _manifests(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        stream = _stream(value)
        yield from [stream] if stream else (text for item in value for text in _manifests(item))
    elif isinstance(value, str) and is_manifest(value):
        yield value


def _stream(value: list[Any]) -> str:
    """The manifest of one line whose words these are, as the SDK's `one_task_per_input_stream` gives it; else empty."""
    if not value or not all(isinstance(item, str) and " " not in item for item in value):
        return ""
    text = " ".join(value) + "\n"
    return text if is_manifest(text) else ""


def _hash(text: str) -> str:
    return portable_data_hash(strip_hints(text))
