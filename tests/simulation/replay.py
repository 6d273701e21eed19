"""Replay by the shipped audit: from zero, from every checkpoint, and by the live process, the same to the byte.

The audit also brings checkers of its own. They are shipped code under test like the rest: on what the model lets pass
they must find nothing.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from streams.audit import verify
from streams.checkpoints import Checkpoint, MemoryCheckpoints
from streams.kept import kept_in_memory
from tests.simulation.processes import Process
from tests.simulation.sight import Broken
from tests.simulation.world import MACHINES, NEWEST_RULES, Code, World
from tests.support.audits import WITH_STAND_INS


class _AllStates(MemoryCheckpoints):
    """Checkpoints of all rules versions there are: the audit believes that it runs on version 1."""

    def __init__(self) -> None:
        super().__init__(keep=1_000)

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(replace(checkpoint, rules=1))


def audit(world: World, processes: Sequence[Process]) -> int:
    """Let every command so far be decided again; how many were. Raises Broken for the first thing that is wrong."""
    states = _AllStates()
    for kept in world.checkpoints.at.values():
        for checkpoint in kept:
            states.save(checkpoint)
    for process in processes:
        if process.runner is not None and not process.retired:
            keeper = process.runner._keeper
            keeper.checkpoints, usual = states, keeper.checkpoints
            process.runner.checkpoint()
            keeper.checkpoints = usual
    report = verify(
        world.log, [Code(topic, NEWEST_RULES) for topic in MACHINES], kept_in_memory(states), checkers=WITH_STAND_INS
    )
    for found in report.differences:
        raise Broken(found.invariant, f"audit: {found.place} offset {found.offset}: {found.text}")
    return report.commands
