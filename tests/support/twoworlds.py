"""The same history twice: once with what some people do, once without. Who may not read them must not be able to tell.

A town has an inner and an outer circle, each with a group of its own. Inside a circle anybody may read anybody, by
grants that come and go; from the inner circle one may read the outer, never the other way round.
"""

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import msgspec
import orjson

from coordinator.fingerprint import fingerprint_of
from coordinator.ids import first_task_uuid
from readmodel import listing, queries
from readmodel.connection import Connection
from readmodel.explain import compare, explain
from readmodel.forecast import forecast
from readmodel.sight import sight
from readmodel.story import job_log
from readmodel.telling import sentences
from schemas import claims as c
from schemas.reasons import Failure
from schemas.settings import GroupSet
from schemas.spec import JobSpec, Resources, TaskSpec
from schemas.topics import Topic
from tests.support.office import Office, spec

OUTER = ("ada", "ben", "lab")
INNER = ("ivy", "jim", "den")
INPUTS = "abc"
NOW = 2**45  # ms since 1970: later than all that happens
Act = Callable[[Office], None]


class Step(NamedTuple):
    """Something that happens. `who`: whose doing it is; empty: nobody's, as a grant; it is never left out."""

    who: str
    act: Act


class Story:
    """What happens in a town, drawn from a seed. `submitted`: root to owner, inner people's jobs among them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.submitted: dict[str, str] = {}
        self.grants: list[tuple[str, str]] = []
        self.specs: list[TaskSpec] = []
        length = self.random.randrange(15, 40)
        self.steps = [*self._beginning(), *(self._step() for _ in range(length))]

    def play(self, *, without: tuple[str, ...] = ()) -> Office:
        """What comes of it; what people in `without` do is left out."""
        office = Office()
        office.exits, office.children = _exits, _children
        for step in self.steps:
            if step.who not in without:
                step.act(office)
            office.settle()
        return office

    def _beginning(self) -> Iterator[Step]:
        for name in ("ada", "ben", "ivy", "jim"):
            yield Step("", lambda office, name=name: office.user(name))
        for group, owner in (("lab", "ben"), ("den", "ivy")):
            change = GroupSet(group=group, name=group, owner=owner)
            yield Step("", lambda office, change=change: _set(office, change))

    def _step(self) -> Step:
        kinds = (
            self._submit,
            self._submit,
            self._submit,
            self._run,
            self._run,
            self._permit,
            self._cancel,
            self._judge,
        )
        return self.random.choice(kinds)()

    def _submit(self) -> Step:
        owner, root = self.random.choice(OUTER + INNER), f"job-{len(self.submitted)}"
        self.submitted[root] = owner
        rng = self.random
        fields: dict[str, Any] = {"refresh": rng.random() < 0.1, "is_pure": rng.random() < 0.9}
        fields["resources"] = Resources(cores=rng.choice((1, 1, 2)))
        fields["share"] = "visible" if owner in INNER else rng.choice(("visible", "by_inputs"))
        task = spec(rng.choice(("one", "two")), inputs=rng.choice(INPUTS), **fields)
        self.specs.append(task)
        return Step(owner, lambda office: _ignore(office.submit(owner, root, task)))

    def _run(self) -> Step:
        return Step("", lambda office: office.run())

    def _permit(self) -> Step:
        """Within a circle, or from the inner one outwards; or one of those is taken back."""
        if self.grants and self.random.random() < 0.4:
            reader, owner = self.grants.pop(self.random.randrange(len(self.grants)))
            return Step("", lambda office: office.may_not_read(reader, owner))
        inner = self.random.random() < 0.5
        reader = self.random.choice(INNER if inner else OUTER)
        owner = self.random.choice(INNER + OUTER if inner else OUTER)
        self.grants.append((reader, owner))
        return Step("", lambda office: office.may_read(reader, owner))

    def _cancel(self) -> Step:
        if not self.submitted:
            return self._run()
        root = self.random.choice(sorted(self.submitted))
        return Step(self.submitted[root], lambda office: office.cancel(root))

    def _judge(self) -> Step:
        """An operator judges some work that the outer circle has done; others may have done it too."""
        kind = self.random.choice((c.Quarantined, c.Released, c.Released, c.Invalidated))
        which = self.random.random()

        def act(office: Office) -> None:
            known = fingerprints(office)
            if known:
                office.say(Topic.CLAIMS, kind(fingerprint=known[int(which * len(known))]))

        return Step("", act)


def fingerprints(office: Office) -> list[str]:
    """Of all that people in the outer circle ever had executed, in order."""
    found = [ready.fingerprint for ready in office.read_work() if ready.task and ready.owner in OUTER]
    return [name for name in dict.fromkeys(found) if not name.startswith("impure:")]


def _exits(ready: Any) -> dict[str, Any]:
    """How a task ends follows from who it is for, not from what else happens."""
    luck = Random(f"{ready.task} {ready.attempt}").random()
    if luck < 0.1:
        return {"exit_code": 3, "failure": Failure.EXIT, "reason": "it said no", "output": ""}
    return {"output": "odd" if luck < 0.2 else f"out-{ready.fingerprint[:12]}"}


def _children(ready: Any) -> list[TaskSpec]:
    return [] if b'"sequence"' in bytes(ready.spec) else [spec("child", inputs="child", sequence=1)]


def _set(office: Office, change: Any) -> None:
    office.say(Topic.SETTINGS, change, 0)


def _ignore(_: object) -> None:
    """What a submission returns is not needed."""


# --- What one can find out ------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"log\d+\.\d+\.\d+\.[0-9a-f]{16}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d")


def probes(connection: Connection, viewer: str, story: Story) -> dict[str, Any]:
    """All that somebody finds out who asks for everything: their own, what others may have, by name and by guess."""
    found: dict[str, Any] = {"jobs": queries.jobs(connection, viewer), "counts": queries.counts(connection, viewer)}
    found["waiting"] = queries.waiting(connection, viewer)
    for root in story.submitted:
        found[f"job {root}"] = queries.job(connection, viewer, root)
        found[f"log {root}"] = [line.text for line in job_log(connection, viewer, root)]
        task = first_task_uuid(root)
        found[f"task {root}"] = told = explain(connection, viewer, task)
        found[f"why {root}"] = told and sentences(told)
    found["differs"] = compare(connection, viewer, first_task_uuid("job-0"), first_task_uuid("job-1"))
    for task in {msgspec.json.encode(task): task for task in story.specs}.values():
        fingerprint = fingerprint_of(task.components, {})
        found[f"forecast {fingerprint} {task.resources.cores}"] = forecast(connection, viewer, JobSpec(task=task), NOW)
        found[f"executions {fingerprint}"] = queries.executions_of(connection, viewer, fingerprint)
        found[f"disagreements {fingerprint}"] = queries.disagreements(connection, viewer, fingerprint)
    for resource in ("jobs", "job_tasks"):
        found[resource] = listing.page(connection, resource, sight(connection, viewer), viewer, listing.Asked())
    return found


def comparable(found: dict[str, Any]) -> str:
    """The same for two logs in which other records stand between: no times, tokens by the order in which they come."""
    tokens: dict[str, str] = {}
    text = orjson.dumps(
        _timeless(msgspec.to_builtins(found)), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2
    ).decode()
    text = _TOKEN.sub(lambda match: tokens.setdefault(match[0], f"token {len(tokens)}"), text)
    return _MOMENT.sub("then", text)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if not _is_time(key)}
    return [_timeless(item) for item in value] if isinstance(value, list | tuple) else value


def _is_time(key: str) -> bool:
    return key.endswith("_at") or key in ("since", "etag")
