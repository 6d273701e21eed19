"""`projector rebuild` and `audit drift`: the read model made anew from the log, to serve or to be compared."""

import sys
from collections.abc import Callable
from contextlib import closing

from gateway import reach, wiring_parts
from gateway.pictures import safe
from gateway.problems import FAILED
from gateway.session import Session


def rebuild(session: Session) -> int:
    """Make the read model anew while the present one serves, and exchange them."""
    found = reach.find(session)
    with closing(reach.open_log(found.config, found.dsn)) as log:
        read = wiring_parts.rebuild(log, found.dsn, teller(session))
    if session.as_json:
        session.result({"records": read})
    session.say(f"the read model is made anew from {read} facts, and serves")
    return 0


def drift(session: Session) -> int:
    """Compare the read model with what the log says; exit code 1 where they differ."""
    found = reach.find(session)
    with closing(reach.open_log(found.config, found.dsn)) as log:
        tables = wiring_parts.drift(log, found.dsn, teller(session))
    if session.as_json:
        session.result({table: {"rows": number, "first": rows} for table, (number, rows) in tables.items()})
    for table, (number, rows) in tables.items():
        session.say(f"[red]{table}[/red]: {number} rows are in one alone; the first (+: as the log says, -: as shown):")
        for row in rows:
            session.say(f"  {safe(row)}")
    if tables:
        session.say("[red]the read model has drifted[/red]: crunch-reuse projector rebuild makes it anew")
        return FAILED
    session.say("[green]the read model is what the log says[/green]")
    return 0


def teller(session: Session) -> Callable[[int], None]:
    """Says how far it is, where somebody looks."""
    if session.as_json or not sys.stderr.isatty():
        return lambda read: None
    return lambda read: print(f"\r{read} facts", end="", file=sys.stderr, flush=True)
