"""Short words for scenarios of the claims machine: who asks, what their executor says, and what became of each task."""

from typing import Any

from coordinator.claims import Claims
from schemas import claims as c
from schemas.facts import Answered, Granted, Promoted, Reused, Waiting
from schemas.reasons import Failure, Outcome, Reason
from schemas.settings import ConfigSet, Forwarded, GrantRemoved, GrantSet, UserSet
from schemas.spec import Components, TaskSpec
from schemas.tasks import TaskCompleted, TaskCopied, TaskCreated, TaskFailed, TaskUnclaimed
from schemas.work import Ready
from tests.support.given import Given

FP = "f" * 64
_FATES = {
    Granted: "granted",
    Waiting: "waiting",
    TaskCopied: "copied",
    TaskCompleted: "completed",
    TaskFailed: "failed",
    TaskUnclaimed: "unclaimed",
    Promoted: "promoted",
}


def digest(letter: str) -> str:
    """A stand-in for a component's digest."""
    return letter * 64


def task_spec(inputs: str = "a", **fields: Any) -> TaskSpec:
    """A pure task whose only distinguishing component is its inputs."""
    same = digest("0")
    components = Components(commit=same, script=same, image=same, parameters=same, inputs=digest(inputs), outputs=same)
    return TaskSpec(components=components, **({"is_pure": True} | fields))


class Scene:
    """A claims machine with users. `fates`: task to what was said of it, in order; `tokens`: task to its execution."""

    def __init__(self, machine: Claims | None = None, **config: int) -> None:
        self.given = Given(machine or Claims())
        self.fates: dict[str, list[str]] = {}
        self.tokens: dict[str, str] = {}
        self.sent: list[Any] = []
        self._settings = 0
        for name, value in config.items():
            self.setting(ConfigSet(name=name, value=value))  # type: ignore[arg-type]

    def setting(self, change: Any) -> "Scene":
        self._settings += 1
        return self.when(Forwarded(change=change, position=self._settings))

    def users(self, *names: str) -> "Scene":
        for name in names:
            self.setting(UserSet(user=name, name=name))
        return self

    def may_read(self, reader: str, owner: str) -> "Scene":
        return self.setting(GrantSet(subject=reader, object=owner))

    def may_not_read(self, reader: str, owner: str) -> "Scene":
        return self.setting(GrantRemoved(subject=reader, object=owner))

    def asks(self, owner: str, task: str, **fields: Any) -> "Scene":
        return self.when(
            c.Requested(**({"fingerprint": FP, "task": task, "root": f"job-{task}", "owner": owner} | fields))
        )

    def starts(self, task: str, node: str = "n1", runner: str = "bubblewrap") -> "Scene":
        return self.when(c.Started(fingerprint=FP, token=self.tokens[task], node=node, incarnation="i", runner=runner))

    def queues(self, task: str, key: str, spec: TaskSpec | None = None) -> "Scene":
        return self.when(c.ChildQueued(fingerprint=FP, token=self.tokens[task], child=key, spec=spec or task_spec(key)))

    def exits(self, task: str, code: int = 0, output: str = "out", **fields: Any) -> "Scene":
        token = fields.pop("token", None) or self.tokens[task]
        return self.when(
            c.Exited(fingerprint=FP, token=token, node="n1", exit_code=code, output="" if code else output, **fields)
        )

    def loses(self, task: str, failure: Failure = Failure.NODE) -> "Scene":
        return self.when(c.Lost(fingerprint=FP, token=self.tokens[task], node="n1", failure=failure))

    def withdraws(self, task: str, **fields: Any) -> "Scene":
        return self.when(c.Withdrawn(fingerprint=FP, task=task, root=f"job-{task}", **fields))

    def when(self, *bodies: Any) -> "Scene":
        self.given.when(*bodies)
        self.sent = [output.body for output in self.given.outputs]
        for body in self.sent:
            self._note(body)
        return self

    def _note(self, body: Any) -> None:
        task = getattr(body, "task", "")
        if task and type(body) in _FATES:
            self.fates.setdefault(task, []).append(_FATES[type(body)])
        if task and type(body) in (Granted, Promoted):
            self.tokens[task] = body.token

    def fate(self, task: str) -> str:
        """What was last said of the task."""
        return self.fates[task][-1]

    def all(self, kind: type) -> list[Any]:
        """The records of this type that the last step led to."""
        return [body for body in self.sent if type(body) is kind]

    def verification(self) -> Ready:
        """The one verification that the last step asked for."""
        (ready,) = [ready for ready in self.all(Ready) if ready.kind == "verify"]
        return ready

    def answer(self) -> tuple[Outcome, Reason]:
        """The last step's answer."""
        (answer,) = self.all(Answered)
        return answer.outcome, answer.reason


__all__ = ["FP", "Reused", "Scene", "TaskCreated", "digest", "task_spec"]
