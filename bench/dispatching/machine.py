"""What a freed slot costs the dispatch machine alone, with much queued behind it: no log, no executors."""

from time import process_time

from coordinator.dispatch import Dispatch
from coordinator.machine import Output, Seen
from schemas.fields import Record
from schemas.work import Freed, Joined, Ready

NODES, SLOTS, FREED = 8, 4, 500


def freed_slot(needs: int) -> float:
    """Seconds of processor time from a slot's end to the next one's assignment, with so many different needs queued."""
    machine, held = Dispatch(), list[Output]()
    offset = 0

    def say(body: Record) -> None:
        nonlocal offset
        offset += 1
        held.extend(machine.step(Seen("0" * 32, offset, 0, b"", body)))

    for node in range(NODES):
        room = NODES * needs
        say(Joined(pool="p", node=f"n{node}", incarnation="i", slots=SLOTS, cores=SLOTS, memory=room, scratch=room))
    for number in range(needs + FREED):
        say(Ready(pool="p", token=f"t{number}", fingerprint="f", owner="u", memory=number % needs, scratch=1))
    begin = process_time()
    for number in range(FREED):
        given = held[number].body
        say(Freed(pool="p", node=given.node, incarnation="i", token=given.work.token))  # type: ignore[attr-defined]
    return (process_time() - begin) / FREED
