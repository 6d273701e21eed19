"""The numbers that decisions depend on: their names, units and defaults. Changed by records, never by files."""

from typing import get_args

import msgspec

from schemas.settings import ConfigName, ConfigSet


class Config(msgspec.Struct):
    """Configuration as the log has it so far. Milliseconds are of dispatch's own clamped clock."""

    failure_quorum: int = 2  # independent permanent failures with one exit code that fail a user's present waiters
    max_attempts: int = 3  # executions of one request before a temporary failure is final
    quarantine_losses: int = 5  # nodes lost under one fingerprint before it is executed no more
    verify_rate: int = 0  # reuses re-executed to look for disagreement, per 10,000
    max_children: int = 10_000  # tasks that one task may queue
    max_depth: int = 32  # generations of tasks below a job's first
    max_tasks: int = 100_000  # tasks in one job
    max_waiters: int = 100_000  # tasks waiting on one execution
    lease: int = 15_000  # ms a node keeps its work without a sign of life
    ack_ticks: int = 5  # ticks after which an assignment that no `alive` lists is lost
    tick: int = 1_000  # ms of silence after which a caught-up runner appends a tick
    max_step: int = 5_000  # ms that one record may advance dispatch's clock
    unplaceable: int = 600_000  # ms that work which fits no node waits for one that does
    starve: int = 30_000  # ms after which work that fits no free slot reserves the next node it fits


assert set(get_args(ConfigName)) == set(Config.__struct_fields__)


def apply(config: Config, change: ConfigSet) -> None:
    """Set one number in place."""
    setattr(config, change.name, change.value)
