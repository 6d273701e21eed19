"""What the users of the storm ask for: few kinds of work, so that jobs are the same or overlap."""

import json
import shlex
from pathlib import Path
from random import Random
from typing import Any

from coordinator import taskspec
from coordinator.resolver import ResolvedImage
from gateway.resolve import FileResolver
from schemas.spec import JobSpec
from store.collections import CollectionStore

SMALL = {"memory": "64MiB", "scratch": "16MiB"}
NUMBERS = 4  # of each kind that are asked for at one time
LASTS = 40  # jobs after which others are asked for: else all would be known after a while


def leaf(number: int) -> dict[str, Any]:
    """Makes a file."""
    return {"command": f"sleep 0.3; echo leaf {number} > $TASK_OUTPUT/leaf-{number}", "name": f"leaf {number}"}


def tree(number: int) -> dict[str, Any]:
    """Queues leaves, of which others queue some too."""
    queue = _queue(*(leaf(number + n) | {"is_pure": True} for n in range(2)))
    command = f"{queue} && crunch-task report --progress 0.5; echo tree > $TASK_OUTPUT/tree-{number}"
    return {"command": command, "name": f"tree {number}"}


def bound(number: int) -> dict[str, Any]:
    """The same work in jobs that differ in a parameter, which the leaf that it queues depends on."""
    command = f"sleep 0.3; echo leaf of $JOB_PARAMETER_GENOME > $TASK_OUTPUT/bound-{number // 2}"
    child = {"command": command, "job_parameters": ["genome"], "is_pure": True}
    genome = {"parameters": {"genome": f"hg{18 + number % 2}"}, "job_parameters": []}
    return genome | {"command": _queue(child), "name": f"bound {number}"}


def ring(number: int) -> dict[str, Any]:
    """Queues itself."""
    return {"command": f"{_queue({'is_pure': True})}; echo {number}", "name": f"ring {number}"}


def _queue(*tasks: dict[str, Any]) -> str:
    return f"printf '%s\\n' {' '.join(shlex.quote(json.dumps(task)) for task in tasks)} | crunch-task queue"


def slow(number: int) -> dict[str, Any]:
    """Takes its time."""
    return {
        "command": f"sleep {4 + number % NUMBERS}; echo slow > $TASK_OUTPUT/slow-{number}",
        "name": f"slow {number}",
    }


def fails(number: int) -> dict[str, Any]:
    """Fails for good."""
    return {"command": f"sleep 0.2; exit {3 + number % NUMBERS}", "name": f"fails {number}"}


def again(number: int) -> dict[str, Any]:
    """Fails for the moment, each time."""
    return {"command": f"echo {number}; exit 111", "name": f"again {number}"}


def odd(number: int) -> dict[str, Any]:
    """Promises purity, and makes another output each time."""
    return {"command": f"cat /proc/sys/kernel/random/uuid > $TASK_OUTPUT/odd-{number}", "name": f"odd {number}"}


def impure(number: int) -> dict[str, Any]:
    """Promises nothing."""
    return leaf(number) | {"is_pure": False, "name": f"impure {number}"}


KINDS = [*[leaf] * 4, *[tree] * 4, bound, bound, slow, slow, fails, again, odd, impure, ring]


class Catalogue:
    """Job specifications, each resolved once. `image`: digest of what they all run in; empty: they name none."""

    def __init__(self, store: CollectionStore, folder: Path, image: str = "") -> None:
        self._resolver = FileResolver(store, folder / "job.json", folder / "cache", _known_image, lambda _f, _n: None)
        self._image = {"image": image} if image else {}
        self._known: dict[str, JobSpec] = {}

    def draw(self, random: Random, drawn: int) -> JobSpec:
        """One of the kinds. `drawn`: how many were drawn before."""
        kind, number = random.choice(KINDS), drawn // LASTS + random.randrange(NUMBERS)
        return self._resolved(kind(number) | ({"refresh": True} if random.random() < 0.05 else {}))

    def slow(self, number: int) -> JobSpec:
        """One that takes its time."""
        return self._resolved(slow(number))

    def _resolved(self, task: dict[str, Any]) -> JobSpec:
        description = {"is_pure": True, "resources": SMALL} | self._image | task
        key = json.dumps(description, sort_keys=True)
        if key not in self._known:
            self._known[key] = taskspec.job(description, resolver=self._resolver)
        return self._known[key]


def _known_image(digest: str) -> ResolvedImage:
    return ResolvedImage(digest=digest, component={"image": digest})
