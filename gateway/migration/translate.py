"""From rows of an Arvados v1 cluster to the commands that import them. Nothing here is written, or asked of a machine.

A task's fingerprint needs its commit, script, image, parameters and those of its job. Where one of them is not known,
or its output is not in the store, the task is history all the same, and `ineligible` says what was missing.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import yaml

from coordinator import taskspec
from coordinator.canonical import BadTask
from coordinator.ids import derive
from gateway.migration.known import NOWHERE, Known
from gateway.migration.source import PastJob, PastTask
from schemas.settings import PureAssumed
from schemas.spec import SCRIPTS, JobSpec, TaskSpec
from schemas.tasks import ImportedState, JobImported, TaskImported
from store.locator import is_locator, portable_data_hash_of

LONGEST = 4096  # characters of a reason
ENDS: dict[str, ImportedState] = {"Complete": "complete", "Failed": "failed", "Cancelled": "cancelled"}


class NotTakenOver(Exception):
    """The job stays behind; one line that says why."""


class Story(NamedTuple):
    """A job and its tasks, ready to be appended."""

    job: JobImported
    tasks: list[TaskImported]


class Translator:
    """`owner`: who gets all; empty: each job's own. `declared`: scripts that count as pure here."""

    def __init__(self, known: Known, owner: str, declared: Sequence[PureAssumed]) -> None:
        self._known = known
        self._owner = owner
        self._declared = {(one.repository, one.script): frozenset(one.commits) for one in declared}

    def story(self, job: PastJob, tasks: Sequence[PastTask]) -> Story:
        """What to append for a job. Raises NotTakenOver."""
        state = _state(job)
        spec, reasons = self._job(job)
        made = [self._task(task, job, spec.task, reasons) for task in tasks]
        record = JobImported(
            root=job.uuid,
            owner=self._owner or job.owner_uuid or "unknown",
            request=derive("history", job.uuid),
            spec=msgspec.structs.replace(spec, task=_without_place(spec.task)),
            state=state,
            tasks=len(made),
            output=_hash_of(job.output),
            created_at=_milliseconds(job.created_at, job.started_at),
            started_at=_milliseconds(job.started_at),
            finished_at=_milliseconds(job.finished_at, job.cancelled_at, job.modified_at, job.created_at),
        )
        return Story(record, self._with_children(made))

    def is_shared(self, task: TaskSpec) -> bool:
        """Whether others may be given its output: it is pure, or counts as pure here, and all is known."""
        return not task.ineligible and self._is_pure(task)

    def _is_pure(self, task: TaskSpec) -> bool:
        return task.is_pure or task.commit in self._declared.get((task.repository, task.script), ())

    def _job(self, job: PastJob) -> tuple[JobSpec, list[str]]:
        """The job as it was asked for, and why its parameters are not what they were."""
        self._known.reasons.clear()
        parameters, reasons = _mapping("script_parameters", job.script_parameters)
        asked: dict[str, Any] = {
            "script": SCRIPTS + (job.script or ""),
            "repository": job.repository or "",
            "commit": job.script_version or "",
            "verdict": "record",
            "image": job.docker_image_locator or "",
            "is_pure": bool(job.is_pure),
        }
        try:
            spec = taskspec.job(asked | {"parameters": parameters}, resolver=self._known)
            return spec, [*reasons, *self._known.reasons]
        except BadTask as error:
            reasons.append(str(error))
        try:
            return taskspec.job(asked, resolver=self._known), reasons
        except BadTask as error:
            raise NotTakenOver(str(error)) from error

    def _task(self, task: PastTask, job: PastJob, parent: TaskSpec, reasons: list[str]) -> TaskImported:
        spec = self._described(task, parent, reasons)
        state = _task_state(task)
        output, lacking = self._output(task, spec) if state == "complete" else ("", "")
        return TaskImported(
            root=job.uuid,
            task=task.uuid,
            created_by=task.created_by_job_task_uuid or "",
            spec=_ineligible(spec, [lacking]),
            state=state,
            output=output,
            detail="" if task.success is not None else "it never said how it ended",
            created_at=_milliseconds(task.created_at, job.created_at),
            started_at=_milliseconds(task.started_at),
            finished_at=_milliseconds(task.finished_at, task.modified_at, job.finished_at, task.created_at),
        )

    def _described(self, task: PastTask, parent: TaskSpec, reasons: list[str]) -> TaskSpec:
        self._known.reasons.clear()
        parameters, unreadable = _mapping("parameters", task.parameters)
        asked: dict[str, Any] = {
            "job_parameters": "all" if task.job_parameters is None else task.job_parameters,
            "sequence": task.sequence or 0,
            "is_pure": bool(task.is_pure),
        }
        try:
            spec = taskspec.build(asked | {"parameters": parameters}, resolver=self._known, defaults=parent)
        except BadTask as error:
            unreadable.append(str(error))
            spec = taskspec.build({"job_parameters": "all", "sequence": 0}, resolver=self._known, defaults=parent)
        return _ineligible(spec, [*reasons, *unreadable, *self._known.reasons])

    def _output(self, task: PastTask, spec: TaskSpec) -> tuple[str, str]:
        """The output's hash, and why nobody can be given it. Only who would be given it has to look for it."""
        if not task.output:
            return "", "output: it named none"
        if not self.is_shared(spec):
            return _hash_of(task.output), ""
        return self._known.output(task.output)

    def _with_children(self, tasks: list[TaskImported]) -> list[TaskImported]:
        """The tasks as they are appended: who queued others needs code that these could run with again."""
        parents = {task.created_by for task in tasks}
        return [self._able_to_queue(task) if task.task in parents else _placed(task, "") for task in tasks]

    def _able_to_queue(self, task: TaskImported) -> TaskImported:
        if not self.is_shared(task.spec):
            return _placed(task, "")
        code, lacking = self._known.tree(task.spec.repository, task.spec.commit)
        reason = f"children: {lacking}" if lacking else ""
        return _placed(msgspec.structs.replace(task, spec=_ineligible(task.spec, [reason])), code)


def _placed(task: TaskImported, code: str) -> TaskImported:
    return msgspec.structs.replace(task, spec=msgspec.structs.replace(task.spec, code=code))


def _without_place(spec: TaskSpec) -> TaskSpec:
    return msgspec.structs.replace(spec, code="") if spec.code == NOWHERE else spec


def _ineligible(spec: TaskSpec, reasons: Iterable[str]) -> TaskSpec:
    lines = [" ".join(line.split()) for line in (*spec.ineligible.split("\n"), *reasons) if line]
    return msgspec.structs.replace(spec, ineligible="\n".join(dict.fromkeys(lines))[:LONGEST])


def _mapping(field: str, value: Any) -> tuple[dict[str, Any], list[str]]:
    """An object as the API shows it, or as the text that the database has: JSON, or YAML of older releases."""
    if isinstance(value, str):
        try:
            value = yaml.load(value, Loader=_Yaml) if value.startswith("---") else msgspec.json.decode(value)
            value = msgspec.json.decode(value) if isinstance(value, str) else value
        except (yaml.YAMLError, msgspec.DecodeError):
            return {}, [f"{field}: it can't be read"]
    if value is None:
        return {}, []
    return (value, []) if isinstance(value, dict) else ({}, [f"{field}: it is no mapping of names to values"])


class _Yaml(yaml.SafeLoader):
    """YAML as Ruby writes it: a mapping of a class of its own is a mapping, a date is text."""


_Yaml.add_multi_constructor("!ruby/", lambda loader, _, node: loader.construct_mapping(node, deep=True))
_Yaml.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))


def _state(job: PastJob) -> ImportedState:
    """How it ended. Releases before 2014 have no state, but the two that it is made of."""
    if job.state in ENDS:
        return ENDS[job.state]
    if job.state is None and job.cancelled_at is not None:
        return "cancelled"
    if job.state is None and job.success is not None and not job.running:
        return "complete" if job.success else "failed"
    raise NotTakenOver("it has not ended")


def _task_state(task: PastTask) -> ImportedState:
    if task.success is None:
        return "cancelled"
    return "complete" if task.success else "failed"


def _hash_of(text: str | None) -> str:
    return portable_data_hash_of(text) if text and is_locator(text) else ""


def _milliseconds(*times: str | None) -> int:
    """The first of these that there is, in ms since 1970; 0: none. Without a zone it is UTC, as Rails writes it."""
    for text in times:
        if text:
            moment = datetime.fromisoformat(text.replace(" ", "T"))
            return max(0, round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))
    return 0
