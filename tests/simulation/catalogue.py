"""The few kinds of work of one schedule, so that jobs overlap. A task's children are written in its parameters."""

from random import Random
from typing import Any

import msgspec

from schemas.spec import Components, Resources, TaskSpec

OLD_SCRIPT = {"repository": "old", "script": "old.py"}
OLD_COMMIT = "c" * 40


def digest(text: str) -> str:
    """A stand-in for a component's digest: 64 characters that say what they stand for."""
    return text.rjust(64, "0")


def specs(random: Random) -> list[TaskSpec]:
    """What the schedule's jobs consist of."""
    leaves = [spec(f"leaf{n}", **_leaf(random)) for n in range(random.randrange(1, 4))]
    kinds = [
        spec(f"split{n}", random.sample(leaves, random.randrange(len(leaves) + 1)), **_odd(random))
        for n in range(random.choice((1, 1, 2)))
    ]
    drawn = random.random()
    if drawn < 0.04:
        kinds.append(spec("ouroboros", [spec("ouroboros", [spec("ouroboros")])]))
    elif drawn < 0.08:
        kinds.append(spec("lost", job_parameters=("no such",)))
    elif drawn < 0.13:
        kinds.append(spec("alone", leaves, children="forbid"))
    return kinds


def _leaf(random: Random) -> dict[str, Any]:
    return {"sequence": random.choice((1, 1, 2))} | _odd(random)


def _odd(random: Random) -> dict[str, Any]:
    drawn = random.randrange(40)
    if drawn < 4:
        return {"is_pure": False} | (OLD_SCRIPT | {"commit": OLD_COMMIT} if drawn < 3 else {})
    if drawn < 9:
        return {"job_parameters": ("genome",)}
    if drawn < 11:
        return {"job_parameters": "all"}
    if drawn < 15:
        return {"share": "by_inputs"}
    if drawn < 17:
        return {"verdict": "record"}
    if drawn < 19:
        return {"resources": Resources(cores=random.choice((2, 16)))}
    return {}


def spec(name: str, queues: list[TaskSpec] | None = None, **fields: Any) -> TaskSpec:
    """A pure task that is told from others by its name alone."""
    same = digest("")
    components = Components(commit=same, script=digest(name), image=same, parameters=same, inputs=same, outputs=same)
    parameters = msgspec.Raw(msgspec.json.encode({"children": queues or []}))
    return TaskSpec(name=name, components=components, parameters=parameters, **({"is_pure": True} | fields))
