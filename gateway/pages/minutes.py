"""What happened minute by minute: from the live views where some are named, else from the read model."""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import urllib3

from gateway.pages import plots
from gateway.pages.look import Data, Look, View
from gateway.pages.scout import ProbeFailed
from readmodel.windows import windows
from schemas.topics import Topic
from streams.log import Log
from streams.windows import MINUTE, merged, window_of

SHOWN = 60  # minutes
MOST = 20  # fingerprints, nodes and images that are named
WITHIN = urllib3.Timeout(1.0)  # seconds for a worker to answer
LARGEST = 32 * 1024 * 1024  # bytes of an answer
VIEWS = "views"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one thing happened in the minute that begins at `window` (ms since 1970); see streams/windows.py."""

    window: int
    kind: str
    label: str
    count: int
    amount: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, newest minute first. `missing`: partitions of the facts that are in no worker's rows now."""

    rows: tuple[Row, ...]
    missing: tuple[int, ...] = ()


class Minute(NamedTuple):
    """Tasks that ended in a minute."""

    executed: int
    copied: int
    failed: int


class _Answer(msgspec.Struct):
    """What a worker's web view says."""

    partitions: list[int]
    rows: list[Row]


_ANSWERS = msgspec.json.Decoder(_Answer)


class Workers:
    """The live views' workers. `urls`: of their web views, as http://host:port."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls = tuple(urls)
        self._web = urllib3.PoolManager(retries=False, timeout=WITHIN)

    def look(self, log: Log) -> Seen:
        """The rows of all of them. ProbeFailed where one does not answer, or two show the same partition."""
        since = _since(int(time.time() * 1000))
        answers = [self._ask(url, since) for url in self._urls]
        shown = [number for answer in answers for number in answer.partitions]
        if len(set(shown)) < len(shown):
            raise ProbeFailed("partitions go from one worker of the live views to another")
        rows = merged((r.window, r.kind, r.label, r.count, r.amount) for answer in answers for r in answer.rows)
        missing = sorted(set(range(log.partitions(Topic.FACTS))) - set(shown))
        return Seen(rows=msgspec.convert(rows, tuple[Row, ...]), missing=tuple(missing))

    def _ask(self, url: str, since: int) -> _Answer:
        try:
            with self._web.request("GET", f"{url}/views?since={since}", preload_content=False) as reply:
                said = reply.read(LARGEST)
            if reply.status != 200:
                raise ProbeFailed(f"the live views at {url} answer {reply.status}")
            return _ANSWERS.decode(said)
        except urllib3.exceptions.HTTPError as error:
            raise ProbeFailed(f"the live views at {url} do not answer") from error
        except msgspec.DecodeError as error:
            raise ProbeFailed(f"what answers at {url} is no live view ({error})") from error


def minutes(look: Look) -> Data:
    """The last hour in minutes. For who may see everything: the rows are of everybody's work."""
    look.for_operators()
    now = int(time.time() * 1000)
    since, until = _since(now), window_of(now)
    told = _told(look, since)
    rows: list[Row] = told.pop("rows")
    ended = {state: sum(row.count for row in _of(rows, "ended", state)) for state in ("complete", "copied", "failed")}
    waits = list(_of(rows, "waited"))
    begun = sum(row.count for row in waits)
    done = ended["complete"] + ended["copied"]
    return told | {
        "ended": ended,
        "rate": round(100 * ended["copied"] / done, 1) if done else 0.0,
        "saved": sum(row.amount for row in _of(rows, "ended", "copied")),
        "waited": sum(row.amount for row in waits) // begun if begun else None,
        "executed": _most(rows, "executed"),
        "failed_on_node": _most(rows, "failed_on_node"),
        "failed_with_image": _most(rows, "failed_with_image"),
        "plot": plots.stacked(_by_minute(rows), Minute._fields, since, until, is_time=False, step=MINUTE),
    }


def _told(look: Look, since: int) -> Data:
    """Rows of minutes from `since` on, and where they are from; `read_at`: ms since 1970."""
    if not look.scout.knows(VIEWS):
        with look.rows() as connection:
            found = msgspec.convert(windows(connection, since), list[Row])
        return {"rows": found, "source": "read model", "read_at": None, "trouble": "", "missing": ()}
    reading = look.scout.latest(VIEWS)
    rows = [row for row in reading.value.rows if row.window >= since] if reading.value else []
    return {
        "rows": rows,
        "source": "live views",
        "read_at": int(reading.at * 1000) or None,
        "trouble": reading.trouble,
        "missing": reading.value.missing if reading.value else (),
    }


def _since(now: int) -> int:
    return window_of(now) - (SHOWN - 1) * MINUTE


def _of(rows: list[Row], kind: str, label: str | None = None) -> Iterator[Row]:
    return (row for row in rows if row.kind == kind and label in (None, row.label))


def _most(rows: list[Row], kind: str) -> list[tuple[str, int]]:
    """The labels of a kind that were counted most, and how often."""
    sums: dict[str, int] = {}
    for row in _of(rows, kind):
        sums[row.label] = sums.get(row.label, 0) + row.count
    return sorted(sums.items(), key=lambda one: (-one[1], one[0]))[:MOST]


def _by_minute(rows: list[Row]) -> dict[int, Minute]:
    made: dict[int, dict[str, int]] = {}
    for row in _of(rows, "ended"):
        made.setdefault(row.window, {})[row.label] = row.count
    return {
        window: Minute(ends.get("complete", 0), ends.get("copied", 0), ends.get("failed", 0))
        for window, ends in made.items()
    }


PAGE = View("/minutes", "minutes.html", "Minute by minute", minutes)
