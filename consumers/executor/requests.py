"""What a running task may ask for, made into commands of its claim, fenced by its token."""

import time
from collections.abc import Mapping
from typing import Any, Protocol

from coordinator import ids, taskspec
from coordinator.canonical import BadTask, canonical, parse_json
from coordinator.locators import split_reference
from coordinator.resolver import ResolvedCode, ResolvedImage
from schemas.claims import ChildQueued, Reported
from schemas.facts import Answered
from schemas.fields import Record
from schemas.reasons import Outcome
from schemas.spec import TaskSpec
from schemas.topics import Topic
from schemas.work import Ready
from store.collections import CollectionStore
from store.errors import StoreError
from store.verification import Verdict
from streams.answers import NoAnswer
from streams.log import LogError

ANSWER_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.5
MAX_REQUEST_ID = 256


class BadRequest(Exception):
    """It can't be done; one line for the task's author."""


class Asks(Protocol):
    """Appends a command and waits for its answer: `streams.answers.Answers`."""

    def append_and_wait(self, topic: Topic, body: Record, timeout: float) -> Answered:
        """The command's answer. Raises NoAnswer, LogError."""
        ...


class TaskRequests:
    """The requests of one attempt."""

    def __init__(self, ready: Ready, spec: TaskSpec, collections: CollectionStore, answers: Asks) -> None:
        self._ready = ready
        self._spec = spec
        self._collections = collections
        self._answers = answers

    def handle(self, line: bytes) -> dict[str, Any]:
        """What follows `ok` in the reply to one request. Raises BadRequest."""
        try:
            request = parse_json(line)
            if not isinstance(request, dict):
                raise BadRequest("a request is a JSON object")
            return self._queue(request) if request.get("op") == "queue" else self._report(request)
        except (BadTask, StoreError) as error:
            raise BadRequest(str(error)) from error

    def _queue(self, request: Mapping[str, Any]) -> dict[str, Any]:
        _check_keys(request, "op", "request_id", "task")
        request_id, task = request.get("request_id"), request.get("task")
        if not isinstance(request_id, str) or not 0 < len(request_id) <= MAX_REQUEST_ID:
            raise BadRequest(f"request_id: a text of at most {MAX_REQUEST_ID} characters, the same when repeated")
        if not isinstance(task, dict):
            raise BadRequest("task: an object with the keys of a job file's task")
        spec = taskspec.build(task, resolver=ParentResolver(self._spec, self._collections), defaults=self._spec)
        prefix = ids.prefix_of(self._ready.root)
        child = ids.request_uuid(self._ready.token, "queue", request_id, canonical(task), prefix)
        self._ask(ChildQueued(fingerprint=self._ready.fingerprint, token=self._ready.token, child=child, spec=spec))
        return {"child": child}

    def _report(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("op") != "report":
            raise BadRequest("op: must be queue or report")
        _check_keys(request, "op", "progress", "success", "output")
        said: dict[str, Any] = {}
        if (progress := request.get("progress")) is not None:
            said["progress"] = _permille(progress)
        if (success := request.get("success")) is not None:
            if not isinstance(success, bool):
                raise BadRequest("success: must be true or false")
            said["success"] = success
        if (output := request.get("output")) is not None:
            said["output"] = self._checked_output(output)
        if not said:
            raise BadRequest("nothing to report: give progress, success or output")
        self._ask(Reported(fingerprint=self._ready.fingerprint, token=self._ready.token, **said))
        return {}

    def _checked_output(self, output: Any) -> str:
        """Part of what the task was given: whose output it becomes may read it. What else there is, is not looked up,
        so that no reply tells of it."""
        if not isinstance(output, str):
            raise BadRequest("output: must be one of this task's inputs, or a path in one")
        pdh = ParentResolver(self._spec, self._collections).input("output", output)
        found = self._collections.verify(pdh)
        if found.verdict is not Verdict.WHOLE:
            raise BadRequest(f"output: {found.reason or f'{pdh} is not all in the store'}")
        return pdh

    def _ask(self, command: Record) -> None:
        """Append the command; return when the machine has accepted it. A repeat is the same command to it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answered = self._answers.append_and_wait(Topic.CLAIMS, command, ANSWER_SECONDS)
                break
            except (NoAnswer, LogError) as error:
                if time.monotonic() >= end:
                    raise BadRequest(f"{error}; ask again with the same request_id") from error
            time.sleep(_PAUSE_SECONDS)
        if answered.outcome is Outcome.REFUSED:
            raise BadRequest(f"refused ({answered.reason}): {answered.detail}".rstrip(": "))


class ParentResolver:
    """Resolves what a task's child names, or a task as its output: what it was given, so nothing else is looked up."""

    def __init__(self, parent: TaskSpec, collections: CollectionStore) -> None:
        self._parent = parent
        self._collections = collections

    def code(self, repository: str, commit: str) -> ResolvedCode:
        """A child runs its parent's code."""
        raise BadTask("commit" if commit else "repository", "a task's child has its task's code: leave this out")

    def image(self, name: str) -> ResolvedImage:
        """A child runs in its parent's image."""
        raise BadTask("image", "a task's child has its task's image: leave this out")

    def input(self, field: str, reference: str) -> str:
        """`<input of the parent>[/path]` or `<its portable data hash>[/path]`: a collection of just that."""
        name, _, path = reference.partition("/")
        known = split_reference(reference)
        pdh, path = known or (self._parent.inputs.get(name, ""), path)
        if pdh not in self._parent.inputs.values():
            names = ", ".join(sorted(self._parent.inputs)) or "none"
            raise BadTask(field, f"{reference[:200]!r} is none of this task's inputs, which are: {names}")
        return self._collections.subset(pdh, path)

    def path(self, field: str, reference: str) -> str:
        """One of the parent's inputs is narrowed to what the path leads to; any other hash stays as it stands."""
        pdh, _, path = reference.partition("/")
        return self._collections.pruned(pdh, path) if pdh in self._parent.inputs.values() else pdh


def _check_keys(request: Mapping[str, Any], *known: str) -> None:
    for key in request:
        if key not in known:
            raise BadRequest(f"{key[:80]}: no such key; known are {', '.join(known)}")


def _permille(progress: Any) -> int:
    if isinstance(progress, bool) or not isinstance(progress, int | float) or not 0 <= progress <= 1:
        raise BadRequest("progress: must be a number from 0 to 1")
    return round(progress * 1000)
