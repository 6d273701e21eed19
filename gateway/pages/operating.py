"""The pages about the system: conflicts side by side, fingerprints, nodes, partitions. Each returns what it shows."""

import msgspec

from coordinator.fingerprint import COMPONENT_ORDER
from gateway.api.errors import not_found
from gateway.pages import content
from gateway.pages.look import PAGE, Data, Look, View, paged
from readmodel import board, queries
from readmodel.board import Conflict
from schemas.spec import TaskSpec

PAIRS = 10  # conflicts of a page
COMPARED = 5  # conflicts of a page whose outputs are compared file by file
CONTAINERS = 100  # of all nodes


def conflicts(look: Look) -> Data:
    """Executions of the same work with different outputs, each pair side by side."""
    with look.rows() as connection:
        found = board.conflicts(connection, look.viewer, PAIRS + 1, (look.number - 1) * PAIRS)
    shape = paged(look, found, PAIRS)
    return shape | {"rows": _side_by_side(look, shape["rows"]), "may_judge": look.caller.is_admin}


def fingerprint(look: Look) -> Data:
    """One fingerprint: what it is made of, its executions, its tasks, and what was decided about it."""
    wanted = look.names["fingerprint"]
    with look.rows() as connection:
        executions = queries.executions_of(connection, look.viewer, wanted)
        tasks = board.tasks_of_fingerprint(connection, look.viewer, wanted, PAGE + 1, look.offset)
        if not executions and not tasks:
            raise not_found()
        pairs = board.conflicts(connection, look.viewer, PAIRS, fingerprint=wanted)
        told = queries.quarantine(connection, look.viewer, wanted)
        sample = board.task(connection, look.viewer, tasks[0].task) if tasks else None
    components = msgspec.json.decode(sample.spec, type=TaskSpec).components if sample else None
    return paged(look, tasks) | {
        "fingerprint": wanted,
        "executions": executions,
        "components": {name: getattr(components, name) for name in COMPONENT_ORDER} if components else {},
        "bound": sample.bound if sample else "{}",
        "conflicts": _side_by_side(look, pairs),
        "quarantine": told,
        "may_judge": look.caller.is_admin,
    }


def _side_by_side(look: Look, pairs: list[Conflict]) -> list[Data]:
    """Each pair, the first ones with their files compared: that reads two manifests each."""
    store = look.service.store
    return [
        {
            "pair": pair,
            "files": content.compared(store, pair.earlier.output, pair.later.output) if rank < COMPARED else None,
        }
        for rank, pair in enumerate(pairs)
    ]


def nodes(look: Look) -> Data:
    """Nodes and their slots, and what runs on them. Who may not see everything sees their own work alone."""
    reading = look.scout.latest("nodes")
    everything = look.caller.sight.everything
    with look.rows() as connection:
        running = board.in_flight(connection, look.viewer, CONTAINERS + 1)
    found = reading.value.nodes if reading.value else ()
    if not everything:
        found = tuple(msgspec.structs.replace(node, held=0) for node in found)
    return {
        "nodes": found,
        "read_at": int(reading.at * 1000) or None,
        "trouble": "the log does not answer" if reading.trouble else "",
        "behind": bool(reading.value and reading.value.behind),
        "containers": running[:CONTAINERS],
        "more": len(running) > CONTAINERS,
        "everything": everything,
    }


def partitions(look: Look) -> Data:
    """How far each partition of the log is decided, projected and kept. For who may see everything."""
    look.for_operators()
    reading = look.scout.latest("partitions")
    with look.rows() as connection:
        projected = {one.partition: one for one in board.projected(connection)}
    return {
        "parts": reading.value or (),
        "projected": projected,
        "read_at": int(reading.at * 1000) or None,
        "trouble": "the log does not answer" if reading.trouble else "",
    }


VIEWS = (
    View("/conflicts", "conflicts.html", "Conflicts", conflicts),
    View("/fingerprints/{fingerprint}", "fingerprint.html", "Fingerprint", fingerprint, "/conflicts"),
    View("/nodes", "nodes.html", "Nodes", nodes),
    View("/partitions", "partitions.html", "Partitions", partitions),
)
