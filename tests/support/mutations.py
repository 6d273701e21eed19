"""Simpler rules, each with the hole that the real one closes. A test that passes under one of these tests nothing.

Each is a context manager that patches the shipped code; scenarios and the simulator run under them and must fail.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import consumers.executor.core as core
import coordinator.claims as claims
import coordinator.claims_conflict as claims_conflict
import coordinator.claims_decide as claims_decide
import coordinator.claims_entry as claims_entry
import coordinator.claims_exit as claims_exit
import coordinator.claims_life as claims_life
import coordinator.claims_state as claims_state
import coordinator.claims_waiters as claims_waiters
import coordinator.dispatch as dispatch
import coordinator.dispatch_nodes as dispatch_nodes
import coordinator.jobs_changes as jobs_changes
import coordinator.jobs_levels as jobs_levels
import coordinator.jobs_state as jobs_state
import readmodel.differences as differences
import readmodel.explain as explain
import streams.loop as loop
from coordinator.claims_give import copy
from coordinator.claims_state import Claim, Execution
from coordinator.machine import nothing
from coordinator.visibility import View
from readmodel import queries
from readmodel.sight import Sight
from schemas.claims import Invalidated
from schemas.facts import Waiting
from schemas.reasons import Reason
from schemas.tasks import TaskCreated
from schemas.work import Alive
from streams.faults import FaultyLog
from streams.log import Floor, LogUnreachable

_SUCCEED = claims_exit._succeed
_EXPLAIN = explain.explain
_WAIT, _DECIDE_AMONG = claims_decide._wait, claims_decide._decide_among
_BIND = jobs_state.bind
_BOUND: dict[str, Any] = {}
_BEGIN = loop.Runner._begin
_ACKNOWLEDGE = loop.Runner._acknowledge
_FIND_START = loop.find_start
_TAKE_OVER = loop.Runner._take_over
_ENDED = core.ExecutorCore.ended
_COMMON: dict[str, Any] = {}  # log id of a topic's first partition -> the marks that all its runners share
_GAPS: list[int] = []
LOOKS = 6  # that a leak takes at what is not to be shown


def _any_execution(claim: Claim, token: str) -> Execution | None:
    """Whatever is live for the fingerprint, under whatever token."""
    return claim.executions.get(token) or next((e for e in claim.executions.values() if e.status != "done"), None)


def no_fencing() -> AbstractContextManager[Any]:
    """Who reports under an old token is believed."""
    return _patched((claims_life, "live", _any_execution), (claims_exit, "live", _any_execution))


def visibility_ignored() -> AbstractContextManager[Any]:
    """Everybody may be shown everything."""
    return _patched((View, "can_read", lambda self, reader, owner: True))


def no_proof() -> AbstractContextManager[Any]:
    """What is shared by inputs is given to whoever asks for the same work, whatever became of the proof."""
    return _patched((claims_entry, "_give_to_prover", lambda *a, give=claims_entry._give_to_prover: give(*a[:4], True)))


def proofs_shared_by_owners() -> AbstractContextManager[Any]:
    """One look is enough for all who ask, whoever's right to read the inputs it proves."""
    any_look = lambda claim, entry, prove: next(claims_state.verifications_of(claim, entry.token), None)  # noqa: E731
    return _patched((claims_decide, "_open_look", any_look))


def judgements_told_to_all() -> AbstractContextManager[Any]:
    """Who asks for work that an operator judged is told so, whether or not they see any of it."""
    return _patched((claims_decide, "visible", lambda view, reader, claim, proof="": [*claim.executions.values()]))


def entries_never_looked_at() -> AbstractContextManager[Any]:
    """An entry counts until somebody removes it."""
    given = lambda ctx, claim, entry, want: copy(ctx, entry, want, waited=False)  # noqa: E731
    return _patched((claims_decide, "_reuse", given))


def nobody_waits() -> AbstractContextManager[Any]:
    """Only what is done is reused."""
    return _patched((claims_decide, "can_wait", lambda execution, want: False))


def _wait_silently(ctx: Any, execution: Execution, want: Any) -> list[Any]:
    return [output for output in _WAIT(ctx, execution, want) if not isinstance(output.body, Waiting)]


def waiting_in_silence() -> AbstractContextManager[Any]:
    """Who waits on another's work is told no more than that it is queued."""
    return _patched((claims_decide, "_wait", _wait_silently))


def _decide_among_equals(ctx: Any, claim: Claim, want: Any, why: str, proof: str) -> list[Any]:
    sizes = {(one.cores, one.memory, one.scratch) for one in (want, *(e.want for e in claim.executions.values()))}
    return (
        _DECIDE_AMONG(ctx, claim, want, why, proof) if len(sizes) == 1 else claims_decide.grant(ctx, claim, want, why)
    )


def resources_must_match() -> AbstractContextManager[Any]:
    """What was done with other resources is other work."""
    return _patched((claims_decide, "_decide_among", _decide_among_equals))


def judgements_ignored() -> AbstractContextManager[Any]:
    """What ended well is good for ever."""
    ignored = lambda ctx, claim, record: [nothing(record.fingerprint, Reason.UNKNOWN)]  # noqa: E731
    return _patched_item(claims.HANDLERS, Invalidated, ignored)


def only_digests_told() -> AbstractContextManager[Any]:
    """Of two tasks it is known that they are not the same, and not what differs."""
    return _patched((differences, "_within", lambda component, mine, other: iter(())))


def _explain_then_ask(connection: Any, viewer: str, uuid: str) -> Any:
    # One look is seen too (a share of 0.8 through the API), but not so surely on a busy machine.
    found = [_EXPLAIN(connection, viewer, uuid) for _ in range(LOOKS)]
    return found[0] if queries.task(connection, viewer, uuid) is not None else None


def explained_before_asked() -> AbstractContextManager[Any]:
    """What became of a task is worked out first, some times, and then it is asked whether the viewer may see it."""
    everything = lambda connection, viewer: Sight(everything=True, owners=[])  # noqa: E731
    return _patched((explain, "sight", everything), (explain, "explain", _explain_then_ask))


def work_is_its_first_askers() -> AbstractContextManager[Any]:
    """An execution ends when who asked for it first wants it no more."""
    return _patched((claims_waiters, "may_see", lambda view, reader, execution: False))


def any_output_will_do() -> AbstractContextManager[Any]:
    """Of several outputs the first is given."""
    return _patched((claims_decide, "disagree", lambda view, reader, claim, executions, *, proved: False))


def lost_outputs_say_nothing() -> AbstractContextManager[Any]:
    """Of two outputs the one is right whose blocks are still there."""
    return _patched((claims_entry, "lose", lambda claim, entry: claim.executions.pop(entry.token)))


def lost_outputs_speak_to_all() -> AbstractContextManager[Any]:
    """An output that is lost while it stands against another's stands against everybody's."""
    everything = lambda view, reader, claim, executions, proved: [gone.execution for gone in claim.gone]  # noqa: E731
    return _patched((claims_conflict, "_standing", everything))


def _copy_to(ctx: Any, claim: Claim, entry: Execution, want: Any) -> list[Any]:
    return copy(ctx, entry, want, waited=True)


def proofs_of_one_entry() -> AbstractContextManager[Any]:
    """Who was proved to read all inputs is given the entry that was looked at, whatever others that are open say."""
    among = lambda *seen, proved=False: claims_conflict.disagree(*seen)  # noqa: E731
    return _patched((claims_decide, "disagree", among))


def process_outputs_shared() -> AbstractContextManager[Any]:
    """What ran with nothing around it is given away like all else."""
    return _patched((claims_life, "UNSHARED", frozenset()))


def visibility_of_yesterday() -> AbstractContextManager[Any]:
    """Who was let wait is given the output, whatever they may see by then."""
    return _patched((claims_exit, "give_or_redecide", _copy_to))


def _inherit_all(ctx: Any, claim: Claim, execution: Execution) -> Iterator[Any]:
    waiters, execution.waiters = execution.waiters, {}
    heir = next(iter(waiters.values()), None)
    if heir is None:
        yield from claims_waiters.cancel(claim, execution)
        return
    claims_waiters._inherit(execution, heir)
    del waiters[heir.task]
    execution.waiters = waiters
    told = {"token": execution.token, "task": heir.task, "root": heir.root, "owner": heir.owner}
    yield claims_waiters.Output(claims_waiters.FACTS, claims_waiters.Promoted(fingerprint=heir.fingerprint, **told))


def waiters_inherited() -> AbstractContextManager[Any]:
    """When the owner changes, everybody goes on waiting on the same execution."""
    return _patched((claims_entry, "promote", _inherit_all))


def waiters_not_redecided() -> AbstractContextManager[Any]:
    """A failed execution's waiters are left where they were."""
    return _patched((claims_exit, "settle_waiters", lambda ctx, claim, execution: iter(())))


def _children_last(ctx: Any, claim: Claim, execution: Execution, record: Any) -> list[Any]:
    return sorted(_SUCCEED(ctx, claim, execution, record), key=lambda output: type(output.body) is TaskCreated)


def children_after_the_terminal_record() -> AbstractContextManager[Any]:
    """A task's level may close before its children are known."""
    return _patched((claims_exit, "_succeed", _children_last))


def no_ancestor_check() -> AbstractContextManager[Any]:
    """A task may queue itself, and be copied with the child that is itself, for ever."""
    return _patched((jobs_levels, "has_ancestor", lambda tree, created_by, fingerprint: False))


def _bind_once(tree: Any, spec: Any) -> Any:
    return _BOUND.setdefault(repr(spec.components), _BIND(tree, spec))


@contextmanager
def copied_child_keeps_its_parameters() -> Iterator[None]:
    """What the first job's child was bound to goes with the copy into another job."""
    _BOUND.clear()
    with patch.object(jobs_levels, "bind", _bind_once):
        yield


# --- What the loop, the executor and the dispatcher must not forget ---------------------------------------------------


def no_dedupe() -> AbstractContextManager[Any]:
    """Repeats are taken for new."""
    return _patched((loop, "is_new", lambda marks, cause: True), (core, "is_new", lambda marks, cause: True))


def _begin_with_common_marks(runner: Any, machine: Any, start: Any) -> None:
    _BEGIN(runner, machine, start)
    place = runner.place
    common = _COMMON.setdefault(runner._routes.log_ids[f"{place.topic}/0"], {})
    common.update(start.marks)
    runner._marks = common


def one_mark_per_source() -> AbstractContextManager[Any]:
    """A process that reads several partitions keeps one mark for each source, whatever the partition."""
    _COMMON.clear()
    return _patched((loop.Runner, "_begin", _begin_with_common_marks))


def _with_gaps(append: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def append_with_gaps(log: Any, records: Any) -> Any:
        """Idempotence without order: the first record of a batch fails, the others land; it is sent again later."""
        _GAPS.append(len(records))
        if len(records) < 3 or len(_GAPS) % 5 != 1:
            return append(log, records)
        append(log, records[1:])
        raise LogUnreachable("one record of the batch was not acknowledged")

    return append_with_gaps


def gaps() -> AbstractContextManager[Any]:
    """Appends skip: what follows a record that failed lands all the same."""
    from streams.kafka import KafkaLog  # heavy, and most who come here need none

    _GAPS.clear()
    return _patched(*((log, "append", _with_gaps(log.append)) for log in (FaultyLog, KafkaLog)))


def _acknowledge_state_first(runner: Any) -> None:
    runner._usable, floor, runner.floor = True, runner.floor, runner.position
    runner.checkpoint()
    runner._usable, runner.floor = False, floor
    _ACKNOWLEDGE(runner)


def _start_at_the_checkpoint(log: Any, reader: str, place: Any, routes: Any, checkpoints: Any, rules: int) -> Any:
    start = _FIND_START(log, reader, place, routes, checkpoints, rules)
    newest = next((one for one in checkpoints.load(place) if one.header.rules <= rules), None)
    if newest is None:
        return start
    kept = newest.header
    at = Floor(kept.offset, kept.digest, kept.log_id)
    return start._replace(offset=at.offset, digest=at.digest, marks=dict(kept.marks), state=newest, floor=at)


def checkpoint_taken_for_floor() -> AbstractContextManager[Any]:
    """The state is kept before the outputs are acknowledged, and whoever starts from it emits only what follows."""
    return _patched(
        (loop.Runner, "_acknowledge", _acknowledge_state_first), (loop, "find_start", _start_at_the_checkpoint)
    )


def _drop_all(runner: Any, standby: Any) -> None:
    standby.hand.drop(runner.position)
    _TAKE_OVER(runner, standby)


def standby_drops_at_its_own_position() -> AbstractContextManager[Any]:
    """Where a standby's state has come to, there its outputs must be in the log."""
    return _patched((loop.Runner, "_take_over", _drop_all))


def alive_without_tokens() -> AbstractContextManager[Any]:
    """A sign of life says that the node lives, not what it holds."""
    return _patched((core.ExecutorCore, "tokens", lambda self: ()))


def _alive_renews_all(state: Any, board: Any, body: Any) -> Iterator[Any]:
    if dispatch_nodes._is_present(board, body):
        dispatch_nodes._renew(state, board, body.node)
        for token in board.room.berths[body.node].held:
            board.pool.unlisted.pop(token, None)
    else:
        yield from dispatch_nodes._turn_away(board, body)


def alive_renews_all() -> AbstractContextManager[Any]:
    """A sign of life renews all that the node was ever given, also what it never got."""
    return _patched_item(dispatch._RULES, Alive, _alive_renews_all)


def _ended_and_freed(executor: Any, token: str, report: Any, now: int) -> list[Any]:
    held = executor._held.get(token)
    actions = _ENDED(executor, token, report, now)
    if held is not None and held.phase == "reporting" and not executor.stopped:
        return [executor._free(held), *actions]
    return actions


def slot_freed_before_the_ack() -> AbstractContextManager[Any]:
    """The slot is given back at once, not when the exit record is acknowledged."""
    return _patched((core.ExecutorCore, "ended", _ended_and_freed))


# --- By name ----------------------------------------------------------------------------------------------------------


def priority_forgotten() -> AbstractContextManager[Any]:
    """Who gives a job another priority is answered, and its tasks ask as before."""
    return _patched((jobs_changes, "_prioritise", lambda tree, task: ()))


MUTATIONS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    mutation.__name__: mutation
    for mutation in (
        no_fencing,
        no_dedupe,
        one_mark_per_source,
        gaps,
        waiters_not_redecided,
        waiters_inherited,
        visibility_ignored,
        visibility_of_yesterday,
        no_proof,
        process_outputs_shared,
        alive_without_tokens,
        alive_renews_all,
        slot_freed_before_the_ack,
        children_after_the_terminal_record,
        checkpoint_taken_for_floor,
        standby_drops_at_its_own_position,
        copied_child_keeps_its_parameters,
        no_ancestor_check,
        priority_forgotten,
    )
}


def mutated(name: str | None) -> AbstractContextManager[Any]:
    """The simpler rule of this name; None: the real ones."""
    return MUTATIONS[name]() if name else nullcontext()


def flushing_every(outputs: int) -> AbstractContextManager[Any]:
    """No simpler rule: the loop appends after so many outputs, in the middle of a step, as it does in large ones."""
    return _patched((loop, "BATCH", outputs))


@contextmanager
def _patched_item(table: dict[Any, Any], key: Any, new: Any) -> Iterator[None]:
    with patch.dict(table, {key: new}):
        yield


@contextmanager
def _patched(*patches: tuple[Any, str, Any]) -> Iterator[None]:
    running = [patch.object(owner, name, new) for owner, name, new in patches]
    for one in running:
        one.start()
    try:
        yield
    finally:
        for one in running:
            one.stop()
