"""The fixed lists of outcomes and reasons. A machine refuses with one of these or not at all."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a command."""

    DONE = "done"
    NOTHING = "nothing"
    REFUSED = "refused"


class Reason(StrEnum):
    """Why a command was refused, had no effect, or why a task failed."""

    NONE = ""
    UNDECODABLE = "undecodable"
    WRONG_KEY = "wrong_key"
    WRONG_PARTITION = "wrong_partition"
    TOO_LARGE = "too_large"
    ALREADY = "already"
    NOT_CURRENT = "not_current"
    OTHER_OUTPUT = "other_output"
    FINISHED = "finished"
    UNKNOWN = "unknown"
    UUID_TAKEN = "uuid_taken"
    TOO_MANY_CHILDREN = "too_many_children"
    TOO_MANY_TASKS = "too_many_tasks"
    TOO_MANY_WAITERS = "too_many_waiters"
    TOO_DEEP = "too_deep"
    OWN_ANCESTOR = "own_ancestor"
    CHILDREN_FORBIDDEN = "children_forbidden"
    PURITY_ONLY_FALLS = "purity_only_falls"
    PARAMETER_UNSET = "parameter_unset"
    PERMANENT_FAILURE = "permanent_failure"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    FAILURE_QUORUM = "failure_quorum"
    LOSES_NODES = "loses_nodes"
    CANCELLED = "cancelled"
    JOB_FAILED = "job_failed"
    OUTPUTS_NOT_JOINED = "outputs_not_joined"
    FITS_NO_NODE = "fits_no_node"
    OUT_OF_RANGE = "out_of_range"


class Failure(StrEnum):
    """How an execution ended, when it did not succeed; decided at the edge from what the runner saw."""

    NONE = ""
    EXIT = "exit"
    TEMPORARY = "temporary"
    NODE = "node"
    STORE = "store"
    HANDED_OVER = "handed_over"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    SIGNAL = "signal"
    OUTPUT = "output"
    FITS_NO_NODE = "fits_no_node"
