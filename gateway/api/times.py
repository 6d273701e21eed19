"""Times as Arvados writes them: UTC, nine digits behind the second."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


@lru_cache(10_000)
def text_of(milliseconds: int | None) -> str | None:
    """A time in ms since 1970 as `2014-10-06T00:00:00.000000000Z`; None stays None.

    One before the year 1 or after 9999, as a release before took it from clients, is the first or last that there is.
    """
    if milliseconds is None:
        return None
    moment = _EPOCH + min(max(milliseconds, _FIRST), _LAST) * _MILLISECOND
    return f"{moment.isoformat(timespec='microseconds')[:26]}000Z"


def microseconds_of(text: str) -> int:
    """The time that text stands for, microseconds since 1970; without a zone it is UTC.

    Raises ValueError; OverflowError where it is before the year 1, or after 9999, in UTC.
    """
    moment = datetime.fromisoformat(text.strip().replace(" UTC", "Z"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
