"""What nodes say that they hold, held against what they said that they have started: by the topics alone."""

from typing import Any

from schemas import assignments as a
from schemas import claims as c
from schemas import work as w
from tests.simulation.sight import Broken

MISSES = 2  # in a row: one sign of life may have been on its way while the work was started


class Signs:
    """Every sign of life lists what its incarnation has started and not yet ended."""

    def __init__(self) -> None:
        self._runs: dict[str, str] = {}  # token to the incarnation that started it
        self._missed: dict[str, int] = {}
        self._over: set[str] = set()

    def landed(self, body: Any) -> None:
        """A record, in the order of all topics. Raises Broken."""
        match body:
            case c.Started(token=token, incarnation=incarnation) if token not in self._over:
                self._runs[token] = incarnation
            case c.Exited(token=token) | c.Lost(token=token) | a.Stopped(token=token) | w.Freed(token=token):
                self._over.add(token)
                self._runs.pop(token, None)
            case w.Joined(incarnation=incarnation, adopts=adopts):
                self._runs |= {token: incarnation for token in adopts if token in self._runs}
            case w.Alive():
                self._look(body)

    def _look(self, sign: w.Alive) -> None:
        for token, incarnation in self._runs.items():
            if incarnation != sign.incarnation:
                continue
            self._missed[token] = 0 if token in sign.tokens else self._missed.get(token, 0) + 1
            if self._missed[token] == MISSES:
                raise Broken(11, f"{sign.node} has started {token}, and {MISSES} signs of life don't list it")
