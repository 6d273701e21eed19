"""Whoever looks at the live views when all has come to rest: together they show what SQL says of the facts."""

import threading
import time
from contextlib import closing
from typing import Any

from readmodel.connection import connect
from readmodel.windows import windows
from tests.chaos.town import PARTITIONS
from tests.support.shown_views import shown

ANSWER = 10.0  # seconds for a worker to answer


def differing(addresses: list[str], dsn: str, seconds: float) -> str:
    """What still differs after so many seconds; empty as soon as nothing does."""
    breath = threading.Event()  # never set
    end = time.monotonic() + seconds
    while (differs := _difference(addresses, dsn)) and time.monotonic() < end:
        breath.wait(1.0)
    return differs


def _difference(addresses: list[str], dsn: str) -> str:
    try:
        partitions, found = shown(addresses, ANSWER)
    except OSError as error:
        return f"one does not answer: {error}"
    if partitions != list(range(PARTITIONS)):
        return f"they hold partitions {partitions}"
    with closing(connect(dsn)) as rows:
        return _first(found, windows(rows, 0))


def _first(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> str:
    here, there = ({tuple(row.items()) for row in rows} for rows in (found, wanted))
    return f"shown {sorted(here - there)[:2]}, wanted {sorted(there - here)[:2]}" if here != there else ""
