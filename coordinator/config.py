"""The numbers that decisions depend on: their names, units, defaults and limits. Changed by records, never by files."""

from collections.abc import Mapping
from typing import NamedTuple, get_args

import msgspec

from schemas.fields import MAX_SAFE_INTEGER
from schemas.settings import ConfigName, ConfigSet


class Config(msgspec.Struct):
    """Configuration as the log has it so far; `NUMBERS` says what each number means."""

    failure_quorum: int = 2
    max_attempts: int = 3
    quarantine_losses: int = 5
    verify_rate: int = 0
    max_children: int = 10_000
    max_depth: int = 32
    max_tasks: int = 100_000
    max_waiters: int = 100_000
    lease: int = 15_000
    ack_ticks: int = 5
    tick: int = 1_000
    max_step: int = 5_000
    unplaceable: int = 600_000
    starve: int = 30_000
    keep_days: int = 0
    keep_unused_days: int = 0


class Number(NamedTuple):
    """What a number means, in one line, and the least and the most that it may be."""

    about: str
    least: int = 0
    most: int = MAX_SAFE_INTEGER


NUMBERS: Mapping[ConfigName, Number] = {
    "failure_quorum": Number("independent permanent failures with one exit code that fail a user's present waiters", 1),
    "max_attempts": Number("executions of one request before a temporary failure is final", 1),
    "quarantine_losses": Number("nodes lost under one fingerprint before it is executed no more"),
    "verify_rate": Number("reuses that are executed again to look for disagreement, of each 10,000", 0, 10_000),
    "max_children": Number("tasks that one task may queue"),
    "max_depth": Number("generations of tasks below a job's first"),
    "max_tasks": Number("tasks in one job"),
    "max_waiters": Number("tasks waiting on one execution"),
    "lease": Number("ms that a node keeps its work without a sign of life, of dispatch's own clamped clock", 1),
    "ack_ticks": Number("ticks after which an assignment that no sign of life lists is lost", 1),
    "tick": Number("ms of silence after which a caught-up runner appends a tick", 1),
    "max_step": Number("ms that one record may advance dispatch's clock", 1),
    "unplaceable": Number("ms that work which fits no node waits for one that does"),
    "starve": Number("ms after which work that fits no free slot reserves the next node it fits"),
    "keep_days": Number("days after which an entry is given no more; 0: for ever", 0, 100_000),
    "keep_unused_days": Number("days without use after which an entry is given no more; 0: for ever", 0, 100_000),
}

assert set(get_args(ConfigName)) == set(Config.__struct_fields__) == set(NUMBERS)


def apply(config: Config, change: ConfigSet) -> None:
    """Set one number in place."""
    setattr(config, change.name, change.value)


def of(changed: Mapping[str, int]) -> Config:
    """The numbers, of which these are not at their defaults; names that are none of them are passed over."""
    return Config(**{name: value for name, value in changed.items() if name in Config.__struct_fields__})
