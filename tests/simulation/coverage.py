"""What a campaign must have met: each fault while work was in flight, each rule deciding something, at least once."""

FAULTS = (
    "admin", "append refused", "audited", "broken client", "cancel", "client's reply lost", "clock set back",
    "clock set forward", "container failed", "container hung", "death before the floor", "delayed append",
    "duplicated append", "entries aged", "executor's ack lost", "executor's append delayed",
    "executor's append refused", "floors taken back", "grant", "inactive user", "invalidated", "lost ack", "node deaf",
    "executor lost", "node drained", "node frozen", "node held up", "node joined", "node lost",
    "old code stops", "output disagreed", "output lost",
    "partial append", "purity taken back", "quarantined", "released", "revocation", "runner frozen", "runner killed",
    "standby follows again", "standby joined", "standby leads", "store unreachable", "task added", "work trimmed",
    "zombie runner", "history taken over", "priority changed", "room made",
)  # fmt: skip
CLAIMS = (
    "granted: first", "granted: redecided", "granted: retry", "granted: refresh", "granted: conflict",
    "granted: quarantined", "proof failed", "re-executed", "waits on execution", "waits on verification",
    "waits for a proof", "reused", "given to a waiter", "given by proof", "promoted", "redecided", "waiter left",
    "completed", "child queued", "child copied", "reported", "disagreed", "look", "look lost", "verified", "lost",
    "lost fits", "unplaceable", "work cancelled", "Reprioritised", "ClaimChanged", "TaskUnclaimed",
    "execution running", "execution done", "execution failed", "execution lost", "execution cancelled",
    "execution missing", "execution removed", "gone, and its word stands", "execution invalidated", "execution impure",
    "failed: permanent_failure",
    "failed: attempts_exhausted", "failed: failure_quorum", "failed: fits_no_node", "failed: loses_nodes",
    "failed: too_many_waiters", "kept to its owner", "granted: imported", "imported",
    "given a priority: waits", "given a priority: granted", "given a priority: running",
)  # fmt: skip
ANSWERS = (
    "nothing: already", "nothing: finished", "nothing: unknown", "nothing: not_current", "refused: not_current",
    "refused: finished", "refused: unknown", "refused: children_forbidden", "refused: too_many_children",
    "refused: undecodable", "refused: wrong_key", "refused: wrong_partition",
)  # fmt: skip
JOBS = (
    "job queued", "job running", "job assembling", "job complete", "job failed", "job cancelled", "task created",
    "task claimed", "task running", "task complete", "task copied", "task failed", "task cancelled", "requested",
    "requested at a later level", "Withdrawn", "PurityDropped", "purity taken back", "task refused: own_ancestor",
    "task refused: parameter_unset", "job importing", "import ended", "prioritised",
)  # fmt: skip
WORK = (
    "adopted", "assigned: execute", "assigned: verify", "container started", "freed", "node drains", "node pauses",
    "stopped: cancelled",
    "stopped: fenced", "node turned away",
)  # fmt: skip
LOG = ("setting forwarded", "rules raised", "decided again", "truncation refused", "recreation refused")

REQUIRED = tuple(f"fault: {name}" for name in FAULTS) + tuple(
    f"rule: {name}" for name in CLAIMS + ANSWERS + JOBS + WORK + LOG
)
