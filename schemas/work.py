"""Topic `work`, keyed by pool of nodes: what is ready to run, and who could run it."""

from typing import Annotated, Literal

from msgspec import Meta, Raw

from schemas.fields import (
    EMPTY_OBJECT,
    MAX_SAFE_INTEGER,
    Count,
    Fingerprint,
    Locator,
    Mebibytes,
    Name,
    Record,
    Signed,
    Token,
    Uuid,
)
from schemas.log import Genesis
from schemas.settings import Forwarded

Kind = Literal["execute", "verify"]


class Ready(Record, frozen=True, tag="ready", kw_only=True):
    """Work to be done once, under this token. Written by the claims machine."""

    pool: Annotated[Name, Meta(description="pool of nodes")]
    token: Annotated[Token, Meta(description="fencing token of the grant, or of the verification")]
    kind: Annotated[Kind, Meta(description="run a task, or look whether an entry's output is all there")] = "execute"
    fingerprint: Annotated[Fingerprint, Meta(description="key of the answers in `claims`")]
    task: Annotated[str, Meta(max_length=64, description="task it runs for; empty: for nobody (refresh, verify)")] = ""
    root: Annotated[str, Meta(max_length=64, description="its primary job")] = ""
    owner: Annotated[Uuid, Meta(description="whose share of the nodes it uses")]
    priority: Annotated[Signed, Meta(description="higher first")] = 0
    cores: Annotated[Count, Meta(description="processor cores")] = 1
    memory: Annotated[Mebibytes, Meta(description="memory, MiB")] = 0
    scratch: Annotated[Mebibytes, Meta(description="scratch space, MiB")] = 0
    attempt: Annotated[Count, Meta(description="which attempt this is, from 1")] = 1
    entry: Annotated[str, Meta(max_length=160, description="verify: token of the entry")] = ""
    output: Annotated[Locator, Meta(description="verify: portable data hash of the entry's output")] = ""
    prove: Annotated[
        str,
        Meta(max_length=64, description="verify: owner whose right to read all of the spec's inputs is to be proved"),
    ] = ""
    spec: Annotated[Raw, Meta(description="the TaskSpec; verify: of who asks, if `prove` is set")] = EMPTY_OBJECT
    bound: Annotated[Raw, Meta(description="the job parameters bound into it; verify: as for `spec`")] = EMPTY_OBJECT
    qsequence: Annotated[Count, Meta(description="execute: the task's rank in its job by creation")] = 0


class Reprioritised(Record, frozen=True, tag="reprioritised", kw_only=True):
    """The best priority of all who want this work has changed. Written by the claims machine."""

    pool: Annotated[Name, Meta(description="pool of nodes")]
    token: Annotated[Token, Meta(description="which work")]
    priority: Annotated[Signed, Meta(description="higher first")]


class Cancelled(Record, frozen=True, tag="cancelled", kw_only=True):
    """Nobody wants this work any more. Written by the claims machine."""

    pool: Annotated[Name, Meta(description="pool of nodes")]
    token: Annotated[Token, Meta(description="which work")]


class Joined(Record, frozen=True, tag="joined", kw_only=True):
    """An executor offers a node. A new incarnation loses at once what the old one held and it does not adopt."""

    pool: Annotated[Name, Meta(description="pool of nodes")]
    node: Annotated[Name, Meta(description="node's name, unique in the pool")]
    incarnation: Annotated[Uuid, Meta(description="new at each start of the executor")]
    slots: Annotated[Count, Meta(description="executions at one time")]
    verify_slots: Annotated[int, Meta(ge=1, le=MAX_SAFE_INTEGER, description="verifications at one time")] = 1
    cores: Annotated[Count, Meta(description="processor cores")]
    memory: Annotated[Mebibytes, Meta(description="memory, MiB")]
    scratch: Annotated[Mebibytes, Meta(description="scratch space, MiB")]
    adopts: Annotated[
        tuple[Token, ...],
        Meta(
            max_length=8192, description="work that an earlier incarnation left running here and this one goes on with"
        ),
    ] = ()


class Alive(Record, frozen=True, tag="alive", kw_only=True):
    """Sign of life. Renews the node and the tokens it lists, and no others. Never buffered."""

    pool: Annotated[Name, Meta(description="pool of nodes")]
    node: Annotated[Name, Meta(description="node's name")]
    incarnation: Annotated[Uuid, Meta(description="the executor's incarnation")]
    tokens: Annotated[tuple[Token, ...], Meta(max_length=8192, description="every token the node holds")] = ()
    pausing: Annotated[bool, Meta(description="the node gets nothing new until a sign of life without this")] = False


class Paused(Record, frozen=True, tag="paused", kw_only=True):
    """The node gets nothing new until a sign of life that is not `pausing`.

    Stands before the report of what went wrong for the node's sake, so that it is not tried here again at once.
    """

    pool: Annotated[Name, Meta(description="pool of nodes")]
    node: Annotated[Name, Meta(description="node's name")]
    incarnation: Annotated[Uuid, Meta(description="the executor's incarnation")]


class Draining(Record, frozen=True, tag="draining", kw_only=True):
    """The node takes no new work; what it holds it finishes."""

    pool: Annotated[Name, Meta(description="pool of nodes")]
    node: Annotated[Name, Meta(description="node's name")]
    incarnation: Annotated[Uuid, Meta(description="the executor's incarnation")]


class Freed(Record, frozen=True, tag="freed", kw_only=True):
    """The slot of this token is free. Sent after the exit record's acknowledgement; idempotent."""

    pool: Annotated[Name, Meta(description="pool of nodes")]
    node: Annotated[Name, Meta(description="node's name")]
    incarnation: Annotated[Uuid, Meta(description="the executor's incarnation")]
    token: Annotated[Token, Meta(description="which work")]


class Tick(Record, frozen=True, tag="tick", kw_only=True):
    """Nothing but its append time: time passes although nobody says anything. Written by a caught-up runner."""


WorkRecord = Genesis | Forwarded | Ready | Reprioritised | Cancelled | Joined | Alive | Paused | Draining | Freed | Tick
