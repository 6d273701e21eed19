"""What nothing may survive: a topic that was made anew, a log that lost its end. The last act, when all else is judged.

Work is in flight again when it happens. Then every process that rests on the log has to stop and say why, each time it
is started again too, and from then on nothing is decided any more.
"""

import re
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from confluent_kafka.admin import AdminClient

from schemas.topics import Topic
from streams.broker import LocalBroker
from streams.log import LogError, Place
from tests.chaos.resident import Resident
from tests.chaos.storm import Storm
from tests.chaos.town import PARTITIONS, Town

PATIENCE = 300.0  # seconds within which work is in flight, or all have stopped
ENDS = {"coordinator": 2, "standby": 2, "executor": 1}  # with that line: where it is 2, the next process says it too
STRUCK = Topic.CLAIMS
SAYS = {
    "topic made anew": re.compile(r"claims.* was (made anew|deleted)|topics create makes it"),
    "log truncated": re.compile(r"claims/\d .*(truncated|another record)"),
}


class Ruin:
    """`name`: one of SAYS."""

    def __init__(self, name: str, town: Town, storm: Storm) -> None:
        self.name = name
        self._town = town
        self._storm = storm
        self._breath = threading.Event()  # never set

    def strike(self) -> None:
        """Do it, and see that everything stops. Raises AssertionError for what goes on, or says something else."""
        before = self._town.starts.stat().st_size
        self._storm.ask_for_slow_work()
        self._until(lambda: self._town.starts.stat().st_size > before, "no work is in flight")
        counts = {one.name: len(one.ends) for one in self._town.residents.values()}
        {"topic made anew": self._make_anew, "log truncated": self._truncate}[self.name]()
        for resident in self._affected():
            self._until(
                lambda one=resident, since=counts[resident.name]: self._said(one, since) >= ENDS[one.kind],
                f"{resident.name} goes on after: {self.name}",
            )
        self._see_that_nothing_is_decided()

    def _affected(self) -> list[Resident]:
        """Whoever reads the claims stops when they have lost their end; when they are others, everybody does.

        An executor remembers nothing of a log: the next one waits for what nobody decides any more.
        """
        kinds = ("coordinator", "standby") if self.name == "log truncated" else ("coordinator", "standby", "executor")
        return [one for kind in kinds for one in self._town.of_kind(kind)]

    def _said(self, resident: Resident, since: int) -> int:
        return sum(end.code > 0 and bool(SAYS[self.name].search(end.line)) for end in resident.ends[since:])

    def _see_that_nothing_is_decided(self) -> None:
        first = self._ends()
        coordinators = self._town.of_kind("coordinator")
        counts = [len(one.ends) for one in coordinators]
        self._until(
            lambda: all(len(one.ends) > count for one, count in zip(coordinators, counts, strict=True)),
            "coordinators are not started again",
        )
        assert self._ends() == first, f"after {self.name} there is more in the facts: {first}, {self._ends()}"

    def _ends(self) -> dict[Place, int]:
        while True:
            try:
                with closing(self._town.log()) as log:
                    return {place: log.end(place) for place in (Place(Topic.FACTS, n) for n in range(PARTITIONS))}
            except LogError:
                self._breath.wait(0.5)

    def _until(self, so: Callable[[], bool], else_: str) -> None:
        end = time.monotonic() + PATIENCE
        while not so():
            assert time.monotonic() < end, f"{else_} ({PATIENCE:g} s)"
            self._breath.wait(0.1)

    # --- What happens -------------------------------------------------------------------------------------------------

    def _make_anew(self) -> None:
        """An operator deletes the topic, and makes it again by our own command: it is as it should be, and another."""
        admin = AdminClient({"bootstrap.servers": self._town.broker.servers, "log_level": 0})
        [deleted] = admin.delete_topics([self._name()]).values()
        deleted.result(PATIENCE)
        self._town.create_topics()

    def _truncate(self) -> None:
        """The broker's machine loses power, and its disk the last that was written of the claims."""
        broker = self._town.broker
        broker.kill()
        for partition in range(PARTITIONS):
            cut(broker, f"{self._name()}-{partition}")
        self._town.start_broker()

    def _name(self) -> str:
        return self._town.config.kafka.settings(PATIENCE).name(STRUCK)


def cut(broker: LocalBroker, partition: str) -> None:
    """Take away the second half of a partition's newest segment; the broker does not run meanwhile."""
    segment: Path = max((broker.log_file.parent / "log" / partition).glob("*.log"))
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size // 2)
