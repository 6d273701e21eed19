"""From a task as people describe it to the TaskSpec that the log carries, with the digests of its components.

A job file and a running task's request for a child are the same mapping. Names that can point to something else
tomorrow (a branch, an image's tag, a path on this machine) are resolved here, at the edge, by a Resolver; what it can't
resolve leaves the task to run, but not to be reused, and the reason is kept.

In a job file `parameters` are the job's own: any of its tasks may name them in `job_parameters`. Its first task
depends on all of them unless it says otherwise. A child's `parameters` are its own, and it depends on no parameter of
its job but those it names.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from coordinator import taskfields as fields
from coordinator.canonical import BadTask, canonical, digest, normalise
from coordinator.fingerprint import COMPONENT_ORDER, framed_digest
from coordinator.resolver import USE_HASH, ResolvedCode, ResolvedImage, Resolver, collection_uuid_in, resolved_paths
from schemas.fields import MAX_SPEC_BYTES
from schemas.spec import Components, JobParameter, JobSpec, TaskSpec

__all__ = ["BadTask", "ResolvedCode", "ResolvedImage", "Resolver", "build", "job", "job_digest"]

Spec = TypeVar("Spec", TaskSpec, JobSpec)

_READERS: dict[str, fields.Reader[Any]] = {
    "name": fields.text,
    "outputs": fields.output_paths,
    "is_pure": fields.boolean,
    "job_parameters": fields.job_parameters,
    "children": fields.choice("allow", "forbid"),
    "share": fields.choice("visible", "by_inputs"),
    "verdict": fields.choice("exit_code", "record"),
    "no_reuse": fields.boolean,
    "refresh": fields.boolean,
    "sequence": lambda field, value: fields.integer(field, value, 0),
    "priority": fields.integer,
    "resources": fields.resources,
    "timeout": fields.milliseconds,
    "script": fields.path,
    "command": fields.command,
    "repository": fields.repository,
    "commit": fields.text,
}
_RESOLVED = ("image", "inputs", "parameters")
TASK_KEYS = frozenset((*_READERS, *_RESOLVED))
JOB_KEYS = TASK_KEYS - {"sequence"}

# What a child has from the task that queues it, if it does not say. Who may have the output, priority and refresh are
# the job's owner's business: a copied child is another owner's, so it takes none of them along.
_INHERITED = (
    *("script", "command", "repository", "commit", "code"),
    *("image", "image_name"),
    *("resources", "timeout", "verdict"),
)


def build(description: Mapping[str, Any], *, resolver: Resolver, defaults: TaskSpec | None = None) -> TaskSpec:
    """The task that `description` describes; keys are those of a job file. Raises BadTask.

    `defaults` is the running task that queues this one as a child: its code, image, resources and limits hold for
    what the description leaves out, and the child's level is the next one. A child that names its own `script` starts
    without the parent's arguments.
    """
    return _task(_given(description, TASK_KEYS), resolver, defaults)


def job(description: Mapping[str, Any], *, resolver: Resolver) -> JobSpec:
    """The job that a job file describes: a task's keys, with `parameters` the job's own. Raises BadTask."""
    given = _given(description, JOB_KEYS)
    parameters = _job_parameters(given.pop("parameters", {}), resolver)
    task = _task({"job_parameters": "all", **given}, resolver, None)
    unknown = next((name for name in task.job_parameters if name not in parameters), None)
    if task.job_parameters != "all" and unknown is not None:
        raise BadTask("job_parameters", f"{unknown!r} is none of this job's parameters")
    return _checked(JobSpec(name=task.name, parameters=parameters, task=task))


def job_digest(owner: str, spec: JobSpec) -> str:
    """What find_or_create takes for the same request by the same owner: 64 hex digits.

    As in v1 the repository counts, and resources, priority and the promise of purity do not.
    """
    task = spec.task
    named = ["all"] if task.job_parameters == "all" else [str(len(task.job_parameters)), *task.job_parameters]
    parts = [owner, task.repository, task.children, task.verdict, *named]
    parts += [getattr(task.components, component) for component in COMPONENT_ORDER]
    for name in sorted(spec.parameters):
        parts += [name, spec.parameters[name].digest]
    return framed_digest(("job", *parts))


def _given(description: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    given = fields.mapping("", normalise(description))
    fields.check_keys(given, known)
    return given


def _task(given: dict[str, Any], resolver: Resolver, defaults: TaskSpec | None) -> TaskSpec:
    read = {key: _READERS[key](key, value) for key, value in given.items() if key in _READERS}
    return _checked(_Builder(given, read, resolver, defaults).spec())


def components_again(spec: TaskSpec) -> Components:
    """The components worked out again from what the task carries; commit and image, resolved elsewhere, as they are."""
    return msgspec.structs.replace(
        spec.components,
        script=digest(_what_runs(msgspec.structs.asdict(spec))),
        parameters=digest(msgspec.json.decode(spec.parameters)),
        inputs=digest(spec.inputs),
        outputs=digest(list(spec.outputs)),
    )


def _what_runs(values: Mapping[str, Any]) -> dict[str, Any]:
    """The script component: the program, and the two rules by which its success and its children are judged."""
    return {
        "script": values.get("script", ""),
        "command": list(values.get("command", ())),
        "verdict": values.get("verdict", "exit_code"),
        "children": values.get("children", "allow"),
    }


class _Builder:
    """One description on its way to a TaskSpec. `read` holds the fields that need no resolving."""

    def __init__(
        self, given: dict[str, Any], read: dict[str, Any], resolver: Resolver, defaults: TaskSpec | None
    ) -> None:
        self.given = given
        self.read = read
        self.resolver = resolver
        self.defaults = defaults
        self.inherited = {name: getattr(defaults, name) for name in _INHERITED} if defaults else {}
        self.reasons: list[str] = []

    def spec(self) -> TaskSpec:
        """The whole task."""
        values = {"sequence": self.defaults.sequence + 1 if self.defaults else 0, **self.inherited, **self.read}
        if "script" in self.read and "command" not in self.read:
            values["command"] = ()
        if not values.get("script") and not values.get("command"):
            raise BadTask("script", "nothing to run: give a script, a command, or both")
        code, code_digest = self.code(values)
        values |= code
        if values.get("script") and not values.get("code"):
            raise BadTask("script", "there is no code to find it in: name a repository")
        image, image_digest = self.image()
        parameters = self.parameters()
        inputs = self.inputs()
        components = Components(
            commit=code_digest,
            script=digest(_what_runs(values)),
            image=image_digest,
            parameters=digest(parameters),
            inputs=digest(inputs),
            outputs=digest(list(values.get("outputs", ()))),
        )
        values |= {**image, "parameters": msgspec.Raw(canonical(parameters)), "inputs": inputs}
        return TaskSpec(**values, ineligible="\n".join(self.reasons)[:4096], components=components)

    def code(self, values: Mapping[str, Any]) -> tuple[dict[str, str], str]:
        """Commit and tree, and the component's digest."""
        if self.defaults and not self.read.keys() & {"repository", "commit"}:
            self.keep_reason("commit")
            return {}, self.defaults.components.commit
        repository, commit = values.get("repository", ""), self.read.get("commit", "")
        if not (values.get("script") or repository or commit):
            return {}, digest(None)
        resolved = self.resolver.code(repository, commit)
        self.add_reason("commit", resolved.ineligible)
        return {"commit": resolved.commit, "code": resolved.code}, digest(resolved.component)

    def image(self) -> tuple[dict[str, str], str]:
        """Image digest and name, and the component's digest."""
        if self.defaults and "image" not in self.given:
            self.keep_reason("image")
            return {}, self.defaults.components.image
        name = fields.text("image", self.given.get("image", ""))
        resolved = self.resolver.image(name)
        self.add_reason("image", resolved.ineligible)
        return {"image": resolved.digest, "image_name": name}, digest(resolved.component)

    def parameters(self) -> dict[str, Any]:
        """The task's own parameters, each path in a collection resolved to what it leads to."""
        value = fields.mapping("parameters", self.given.get("parameters", {}))
        if holder := collection_uuid_in("parameters", value):
            self.add_reason(holder, USE_HASH)
        resolved: dict[str, Any] = resolved_paths("parameters", value, self.resolver)
        return resolved

    def inputs(self) -> dict[str, str]:
        """Name to portable data hash."""
        given = fields.mapping("inputs", self.given.get("inputs", {}))
        inputs = {}
        for name, value in given.items():
            field = f"inputs.{fields.input_name('inputs', name)}"
            inputs[name] = self.resolver.input(field, fields.text(field, value))
        return inputs

    def add_reason(self, field: str, reason: str) -> None:
        """Keep why the task can't be reused, one line for each field."""
        if reason:
            self.reasons.append(f"{field}: {' '.join(reason.split())}")

    def keep_reason(self, field: str) -> None:
        """What is inherited can't be reused for the parent's reason either."""
        assert self.defaults is not None
        self.reasons += [line for line in self.defaults.ineligible.split("\n") if line.startswith(f"{field}: ")]


def _job_parameters(value: Any, resolver: Resolver) -> dict[str, JobParameter]:
    parameters = fields.mapping("parameters", value)
    if holder := collection_uuid_in("parameters", parameters):
        raise BadTask(holder, USE_HASH)
    return {
        name: JobParameter(value=msgspec.Raw(canonical(item)), digest=digest(item))
        for name, item in resolved_paths("parameters", parameters, resolver).items()
    }


def _checked(spec: Spec) -> Spec:
    """The spec, as the log will give it back. Raises BadTask for what the schema refuses, or what is too large."""
    data = msgspec.json.encode(spec)
    if len(data) > MAX_SPEC_BYTES:
        raise BadTask("", f"takes {len(data)} bytes, at most {MAX_SPEC_BYTES}: put large values into input files")
    try:
        return msgspec.json.decode(data, type=type(spec))
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        raise BadTask(place.strip("`").removeprefix("$.").removeprefix("task."), message) from error
