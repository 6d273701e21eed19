"""Simpler rules, each with the hole that the real one closes. A test that passes under one of these tests nothing.

Each is a context manager that patches the shipped code; scenarios and the simulator run under them and must fail.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import coordinator.claims_entry as claims_entry
import coordinator.claims_exit as claims_exit
import coordinator.claims_life as claims_life
import coordinator.claims_waiters as claims_waiters
import coordinator.jobs_levels as jobs_levels
import coordinator.jobs_state as jobs_state
from coordinator.claims_give import copy
from coordinator.claims_state import Claim, Execution
from coordinator.visibility import View
from schemas.tasks import TaskCreated

_SUCCEED = claims_exit._succeed
_BIND = jobs_state.bind
_BOUND: dict[str, Any] = {}


def _any_execution(claim: Claim, token: str) -> Execution | None:
    """Whatever is live for the fingerprint, under whatever token."""
    return claim.executions.get(token) or next((e for e in claim.executions.values() if e.status != "done"), None)


def no_fencing() -> AbstractContextManager[Any]:
    """Who reports under an old token is believed."""
    return _patched((claims_life, "live", _any_execution), (claims_exit, "live", _any_execution))


def visibility_ignored() -> AbstractContextManager[Any]:
    """Everybody may be shown everything."""
    return _patched((View, "can_read", lambda self, reader, owner: True))


def _copy_all(ctx: Any, claim: Claim, entry: Execution, waiters: Any) -> Iterator[Any]:
    for want in waiters:
        yield from copy(ctx, entry, want, waited=True)


def visibility_of_yesterday() -> AbstractContextManager[Any]:
    """Who was let wait is given the output, whatever they may see by then."""
    return _patched((claims_exit, "give_or_redecide", _copy_all))


def _inherit_all(ctx: Any, claim: Claim, execution: Execution) -> Iterator[Any]:
    waiters, execution.waiters = execution.waiters, {}
    heir = next(iter(waiters.values()), None)
    if heir is None:
        yield from claims_waiters.cancel(claim, execution)
        return
    claims_waiters._inherit(execution, heir)
    del waiters[heir.task]
    execution.waiters = waiters
    yield claims_waiters.Output(
        claims_waiters.FACTS,
        claims_waiters.Promoted(
            fingerprint=heir.fingerprint, token=execution.token, task=heir.task, root=heir.root, owner=heir.owner
        ),
    )


def waiters_inherited() -> AbstractContextManager[Any]:
    """When the owner changes, everybody goes on waiting on the same execution."""
    return _patched((claims_entry, "promote", _inherit_all))


def waiters_not_redecided() -> AbstractContextManager[Any]:
    """A failed execution's waiters are left where they were."""
    return _patched((claims_exit, "settle_waiters", lambda ctx, claim, execution: iter(())))


def _children_last(ctx: Any, claim: Claim, execution: Execution, record: Any) -> Iterator[Any]:
    outputs = list(_SUCCEED(ctx, claim, execution, record))
    children = [o for o in outputs if type(o.body) is TaskCreated]
    yield from (o for o in outputs if type(o.body) is not TaskCreated)
    yield from children


def children_after_the_terminal_record() -> AbstractContextManager[Any]:
    """A task's level may close before its children are known."""
    return _patched((claims_exit, "_succeed", _children_last))


def no_ancestor_check() -> AbstractContextManager[Any]:
    """A task may queue itself, and be copied with the child that is itself, for ever."""
    return _patched((jobs_levels, "has_ancestor", lambda tree, created_by, fingerprint: False))


def _bind_once(tree: Any, spec: Any) -> Any:
    key = repr(spec.components)
    return _BOUND.setdefault(key, _BIND(tree, spec))


@contextmanager
def copied_child_keeps_its_parameters() -> Iterator[None]:
    """What the first job's child was bound to goes with the copy into another job."""
    _BOUND.clear()
    with patch.object(jobs_levels, "bind", _bind_once):
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
