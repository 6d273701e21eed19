"""How often somebody may try: a bucket of tries for each who does, that fills again with time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

KNOWN = 10_000  # remembered at one time; who tried longest ago is forgotten first


class _Bucket(NamedTuple):
    tries: float
    at: float


class Limit:
    """`tries` at once for each who tries, and one more every `seconds`. `clock`: seconds, rising."""

    def __init__(self, tries: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._tries, self._seconds, self._clock = tries, seconds, clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, who: str) -> float:
        """Use one try; 0.0, or the seconds until there is one."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.pop(who, _Bucket(self._tries, now))
            left = min(self._tries, bucket.tries + (now - bucket.at) / self._seconds)
            allowed = left >= 1
            self._buckets[who] = _Bucket(left - 1 if allowed else left, now)
            if len(self._buckets) > KNOWN:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1 - left) * self._seconds

    def give_back(self, who: str) -> None:
        """The last try was none: it does not count."""
        with self._lock:
            bucket = self._buckets.get(who)
            if bucket is not None:
                self._buckets[who] = bucket._replace(tries=min(self._tries, bucket.tries + 1))
