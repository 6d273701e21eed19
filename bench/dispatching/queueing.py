"""Arrivals, and how long each would wait in a queue without any cost of its own."""

import heapq
import random
from collections.abc import Sequence
from typing import NamedTuple


class Arrival(NamedTuple):
    """Work that comes `at` seconds after the beginning and takes `seconds`."""

    at: float
    seconds: float


def arrivals(seed: int, seconds: float, rates: tuple[float, float], lengths: tuple[float, float]) -> list[Arrival]:
    """Two Poisson streams over so many seconds: so many a second, of these lengths (seconds)."""
    chance = random.Random(seed)
    found = []
    for rate, length in zip(rates, lengths, strict=True):
        at = chance.expovariate(rate) if rate else seconds
        while at < seconds:
            found.append(Arrival(at, length))
            at += chance.expovariate(rate)
    return sorted(found)


def ideal_waits(work: Sequence[Arrival], slots: int) -> list[float]:
    """Seconds that each waits, first come first served, where a slot goes from one to the next in no time."""
    free = [0.0] * slots
    waits = []
    for at, seconds in work:
        start = max(at, heapq.heappop(free))
        heapq.heappush(free, start + seconds)
        waits.append(start - at)
    return waits
