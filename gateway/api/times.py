"""Times as Arvados writes them: UTC, nine digits behind the second."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(10_000)
def text_of(milliseconds: int | None) -> str | None:
    """A time in ms since 1970 as `2014-10-06T00:00:00.000000000Z`; None stays None."""
    if milliseconds is None:
        return None
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return f"{moment.isoformat(timespec='microseconds')[:26]}000Z"


def microseconds_of(text: str) -> int:
    """The time that text stands for, microseconds since 1970; without a zone it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip().replace(" UTC", "Z"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)
