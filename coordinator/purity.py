"""What a running task's token may ask of the API: the rule that lets a pure output depend on its fingerprint alone.

A pure task may read its own task and job, the collections that its parameters name by hash, and what was found in
them; it may write what is named by content, say how far it is, and queue tasks of its own. Everything else could tell
it something that its fingerprint does not hold.

Two ways to hold it to that: `enforce` denies the rest; `monitor` answers it, after the task's purity was given up in
the log. An impure task's token is bound by its user's rights alone, which are not looked at here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import md5
from typing import Any, Literal

import msgspec

from coordinator.locators import SIZED_DIGEST, is_manifest, strip_hints
from schemas.spec import TaskSpec

Verdict = Literal["allow", "deny", "degrade"]
Mode = Literal["enforce", "monitor"]
Action = Literal["read", "list", "create", "update", "delete", "other"]
Kind = Literal["task", "job", "collection", "block", "discovery", "other"]

_CONTENT = re.compile(rf"(?<![0-9A-Za-z]){SIZED_DIGEST}(?![0-9])")

REPORTED = frozenset({"progress", "success", "output"})
TELLING = frozenset({"name", "owner_uuid"})  # of a new collection: whether they are taken depends on what others did


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a token stands for. `is_pure` as it is now, not as it was when the token was made."""

    task: str  # uuid
    job: str  # uuid of its primary job
    execution: str  # the fencing token
    is_pure: bool
    hashes: frozenset[str]  # `hashes_of` its task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, in the rule's words; the API translates."""

    action: Action
    kind: Kind
    name: str = ""  # uuid; of content its locator, hints or not; creation of a collection: what it says it holds
    parent: str = ""  # creation of a task: the task that is said to queue it
    job: str = ""  # creation of a task: the job it is for
    fields: frozenset[str] = frozenset()  # creation and update: what is said
    signed: bool = False  # block: the locator bears a signature that this token was given with a manifest


def allows(scope: Scope, request: Request, mode: Mode) -> Verdict:
    """Whether it is answered; `degrade`: only after `purity lost` of the scope's execution is acknowledged."""
    if not scope.is_pure or _keeps_purity(scope, request):
        return "allow"
    return "deny" if mode == "enforce" else "degrade"


def _keeps_purity(scope: Scope, request: Request) -> bool:
    rule = _RULES.get((request.action, request.kind))
    return rule is not None and rule(scope, request)


_RULES: Mapping[tuple[Action, Kind], Callable[[Scope, Request], bool]] = {
    ("read", "discovery"): lambda scope, request: True,
    ("read", "task"): lambda scope, request: request.name == scope.task,
    ("read", "job"): lambda scope, request: request.name == scope.job,
    ("read", "collection"): lambda scope, request: strip_hints(request.name) in scope.hashes,
    ("read", "block"): lambda scope, request: request.signed or strip_hints(request.name) in scope.hashes,
    ("create", "block"): lambda scope, request: True,
    ("create", "collection"): lambda scope, request: (
        strip_hints(request.name) in scope.hashes | {""} and not request.fields & TELLING
    ),
    ("create", "task"): lambda scope, request: request.parent == scope.task and request.job == scope.job,
    ("update", "task"): lambda scope, request: request.name == scope.task and request.fields <= REPORTED,
}


def hashes_of(spec: TaskSpec, bound: msgspec.Raw) -> frozenset[str]:
    """All content that a task's parameters, those of its job that are `bound` into it, its inputs and code name.

    Of a manifest that is spelled out: its portable data hash, and its blocks.
    """
    named = {*spec.inputs.values(), spec.code} - {""}
    for parameters in (spec.parameters, bound):
        for text in texts(msgspec.json.decode(parameters)):
            named.update(_named_by(text))
    return frozenset(named)


def collections_of(spec: TaskSpec, bound: msgspec.Raw) -> dict[str, str]:
    """Portable data hashes that a task's parameters name, anywhere in a text, each with the parameter's name, in order.

    Blocks may be among them, but for those of a manifest that is spelled out, as a text or as a list of its words.
    """
    named: dict[str, str] = {}
    for parameters in (spec.parameters, bound):
        for parameter, value in msgspec.json.decode(parameters).items():
            for text in _unspelled(value):
                for pdh in _CONTENT.findall(text):
                    named.setdefault(pdh, parameter)
    return named


def inputs_of(spec: TaskSpec, bound: msgspec.Raw) -> frozenset[str]:
    """All content that may have gone into a task's output: its inputs, and what its parameters and `bound` name.

    Of a manifest that is spelled out, as a text or as a list of its words: its portable data hash alone.
    """
    named = set(spec.inputs.values())
    for parameters in (spec.parameters, bound):
        for text in texts(_with_manifests(msgspec.json.decode(parameters))):
            named.update([_hash_of(text)] if is_manifest(text) else _CONTENT.findall(text))
    return frozenset(named)


def _with_manifests(value: Any) -> Any:
    """The value with each manifest that is given as a list of its words as the text that it is."""
    if isinstance(value, dict):
        return {key: _with_manifests(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if all(isinstance(item, str) for item in value) and is_manifest(" ".join(value)):
        return " ".join(value) + "\n"
    return [_with_manifests(item) for item in value]


def _unspelled(value: Any) -> Iterator[str]:
    """As `texts`, without those that are manifests."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value) and is_manifest(" ".join(value)):
        return
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _unspelled(item)
    elif isinstance(value, str) and not is_manifest(value):
        yield value


def texts(value: Any) -> Iterator[str]:
    """All text in a value of JSON, at any depth, the names of members too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _named_by(text: str) -> Iterator[str]:
    if is_manifest(text):
        yield _hash_of(text)
    yield from _CONTENT.findall(text)


def _hash_of(manifest: str) -> str:
    plain = strip_hints(manifest).encode()
    return f"{md5(plain, usedforsecurity=False).hexdigest()}+{len(plain)}"
