"""What people write for a moment of the log: a time, how long ago, or a record."""

import re
import time
from datetime import datetime
from typing import NamedTuple

from gateway.problems import Refused
from streams.archive import place_named
from streams.log import Place

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGO = re.compile(r"-?(\d{1,9})([smhd])(?: ago)?")
_OFFSET = re.compile(r"\d{1,18}")
_RECORD = re.compile(r"([a-z]+/\d{1,6}):(\d{1,18})")


class Until(NamedTuple):
    """A moment: a time in ms since 1970; or an offset, in one place or (no place) in each."""

    moment: int | None = None
    place: Place | None = None
    offset: int = 0


def until(text: str | None) -> Until:
    """The moment that is meant; None: now. Refused says how to write one."""
    if text is None:
        return Until(_now())
    if ago := _AGO.fullmatch(text):
        return Until(_now() - int(ago[1]) * SECONDS[ago[2]] * 1000)
    if _OFFSET.fullmatch(text):
        return Until(offset=int(text))
    try:
        if record := _RECORD.fullmatch(text):
            return Until(place=place_named(record[1]), offset=int(record[2]))
        return Until(int(datetime.fromisoformat(text).astimezone().timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise Refused(
            f"--until: {text[:40]!r} is no moment: write a time (2030-01-31T12:00:00), how long ago (10m, 2h, 3d),"
            " a record (claims/0:120) or an offset (120)"
        ) from error


def time_of(option: str, text: str | None, otherwise: str) -> int | None:
    """The time that `option` was given, ms since 1970; None where it was not. A record is refused as `otherwise`."""
    if text is None:
        return None
    moment = until(text).moment
    if moment is None:
        raise Refused(f"{option}: {text[:40]!r} is {otherwise}")
    return moment


def _now() -> int:
    return time.time_ns() // 1_000_000
