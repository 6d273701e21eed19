"""Dropping repeats: a crash anywhere repeats outputs, and every reader drops them by their causes.

Keep one `Marks` for each partition that is read. One for all partitions loses records: the outputs of one step go to
several partitions, and who reads the second partition first would take what stands in the first for old.
"""

from schemas.log import Cause

Marks = dict[str, tuple[int, int]]
"""Of one partition: the highest cause read so far (offset, index), by the log id of its source."""

_NEVER = (-1, -1)


def is_new(marks: Marks, cause: Cause | None) -> bool:
    """Whether this record was not read before; marks it as read. A command from outside (no cause) is always new."""
    if cause is None:
        return True
    rank = (cause.offset, cause.index)
    if rank <= marks.get(cause.log_id, _NEVER):
        return False
    marks[cause.log_id] = rank
    return True
