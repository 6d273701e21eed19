"""How old what a page shows is: how far the read model is behind the log."""

import time
from typing import Literal

import msgspec

from readmodel import board
from readmodel.connection import Connection
from schemas.topics import Topic
from streams.log import Log, Place

SILENT = 10.0  # seconds without an answer of the log, after which nothing is claimed
FACTS = "ends of the facts"
Standing = Literal["current", "behind", "unknown"]


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """`standing`: current, behind, or unknown (the log does not answer). Times in ms since 1970.

    `at`: when this was found. `as_of`: append time of the newest fact that is surely in what is shown; null: none.
    """

    standing: Standing
    at: int
    as_of: int | None
    about: str


def ends_of_facts(log: Log) -> dict[int, int]:
    """For each partition of the facts the offset that its next one will get. Raises LogError."""
    return {number: log.end(Place(Topic.FACTS, number)) for number in range(log.partitions(Topic.FACTS))}


def age(connection: Connection, ends: dict[int, int] | None, read_at: float, trouble: str) -> Age:
    """`ends`: of the facts, as read at `read_at` (seconds since 1970). Raises ReadModelError."""
    known = {one.partition: one for one in board.projected(connection)}
    now = int(time.time() * 1000)
    newest = max((one.as_of for one in known.values() if one.as_of), default=None)
    if ends is None or trouble or time.time() - read_at > SILENT:
        about = "whether there is anything newer is not known: the log does not answer"
        return Age(standing="unknown", at=now, as_of=newest, about=about)
    behind = [number for number, end in ends.items() if number not in known or known[number].next_offset < end]
    if not behind:
        return Age(standing="current", at=now, as_of=newest, about="all that the log says is shown")
    sure = min((known[number].as_of if number in known else 0 for number in behind), default=0)
    return Age(standing="behind", at=now, as_of=sure or None, about="the log says more than is shown yet")
