"""Numbers in JSON: taken where all who read JSON find the same one, as in a job's parameters; given whatever is stored.

What clients say is kept as text and given back. An integer beyond 2^53 would come back rounded to most of them, one
beyond 64 bits not at all.
"""

from collections.abc import Iterator
from typing import Any

from coordinator.canonical import BadTask, normalise
from schemas.fields import MAX_SAFE_INTEGER

LONGEST_PLACE = 200  # characters


class Flaw:
    """Stands where a number was that can't be taken, so that its place can be told."""

    def __init__(self, why: str) -> None:
        self.why = why


class Numbers:
    """Reads the numbers of one JSON text. `has_flaw`: whether a `Flaw` stands for one of them."""

    def __init__(self) -> None:
        self.has_flaw = False

    def integer(self, digits: str) -> Any:
        """A number without a point. Raises ValueError where it has thousands of digits."""
        return self._checked(int(digits))

    def decimal(self, text: str) -> Any:
        """A number with a point or an exponent."""
        return self._checked(float(text))

    def _checked(self, number: float) -> Any:
        if abs(number) < MAX_SAFE_INTEGER:
            return number
        try:
            normalise(number)
        except BadTask as error:
            self.has_flaw = True
            return Flaw(error.message)
        return number


def flaws(value: Any, place: str = "") -> Iterator[str]:
    """What is wrong with numbers in the value, each with its place: `properties.a[3]: …`."""
    if isinstance(value, Flaw):
        yield f"{place[:LONGEST_PLACE]}: {value.why}"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from flaws(item, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from flaws(item, f"{place}[{index}]")


def readable(value: Any) -> Any:
    """The value with no integer beyond 64 bits: as most readers would round it, or, where they could not, as text.

    Releases before took such integers from clients; and Postgres's `jsonb` makes 1e25 an integer of 26 digits.
    """
    if isinstance(value, dict):
        return {name: readable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    if not isinstance(value, int) or -(2**63) <= value < 2**64:
        return value
    try:
        return float(value)
    except OverflowError:
        return str(value)
