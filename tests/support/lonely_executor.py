"""An executor in a process of its own, with a log of its own and one task, for tests that kill or freeze it.

    python -m tests.support.lonely_executor FOLDER RUNNER ENGINE IMAGE LEASE COMMAND

Prints a line for every record it appends, and `report` when its task reports.
"""

import sys
from pathlib import Path

from consumers.executor.service import Executor, Offer
from schemas.assignments import Assigned
from schemas.claims import Reported
from schemas.codec import decode, encode
from schemas.facts import Answered
from schemas.log import Cause
from schemas.reasons import Outcome
from schemas.settings import ConfigSet
from schemas.topics import Topic
from store.blocks import BlockStore
from store.collections import CollectionStore
from streams.log import Append, Place
from streams.memory import MemoryLog
from tests.support.attempts import Bench, ready


class Told(MemoryLog):
    """Gives the first incarnation the task, tells what is appended, and answers what the task asks."""

    task = None

    def append(self, records):
        offsets = super().append(records)
        for (place, _, value), offset in zip(records, offsets, strict=True):
            body = decode(place.topic, value).body
            print(type(body).__name__, flush=True)
            if type(body).__name__ == "Joined" and self.task:
                given, Told.task = Assigned(node=body.node, incarnation=body.incarnation, work=self.task), None
                super().append([Append(Place(Topic.ASSIGNMENTS, 0), body.node, encode(given))])
            elif isinstance(body, Reported):
                answer = encode(Answered(outcome=Outcome.DONE), Cause(self.genesis(place).log_id, offset, 0))
                super().append([Append(Place(Topic.FACTS, 0), "", answer)])
        return offsets


def main(folder: str, runner: str, engine: str, image: str, lease: str, command: str) -> None:
    log = Told()
    log.create(dict.fromkeys(Topic, 1))
    lease_of = encode(ConfigSet(name="lease", value=int(lease)))
    log.append([Append(Place(Topic.SETTINGS, 0), "", lease_of)])
    collections = CollectionStore(BlockStore.create(Path(folder, "store")))
    Told.task = ready(Bench.spec(None, command, image=image), "token-1")
    offer = Offer(runner=runner, engine=engine, slots=1)
    Executor(log, collections, Path(folder, "executor"), offer).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
