"""Which executions are meant: one set of options for all that judges them."""

from typing import NamedTuple


class Which(NamedTuple):
    """The options that say which executions are meant, as they were given. `commits`: `A..B`, or one."""

    task: str | None
    fingerprint: str | None
    node: str | None
    script: str | None
    repository: str | None
    commits: str | None
    image: str | None
    since: str | None
    until: str | None
