"""Many schedules over several processes, and what came of them."""

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from tests.simulation.schedule import Schedule
from tests.simulation.story import story
from tests.support.mutations import mutated

CHUNK = 25


class Outcome(NamedTuple):
    """What came of one seed. `story`: empty if all held. `digest`: of all records that landed, in order."""

    seed: int
    story: str
    counted: Counter[str]
    records: int
    digest: str


class Campaign:
    """What came of many. `story`: the first failing seed's."""

    def __init__(self) -> None:
        self.seeds = self.records = 0
        self.failed: list[int] = []
        self.story = ""
        self.counted: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """One more seed."""
        self.seeds += 1
        self.records += outcome.records
        self.counted.update(outcome.counted)
        if outcome.story:
            self.failed.append(outcome.seed)
            self.story = self.story or outcome.story


def run_seed(seed: int, *, digest: bool = False) -> Outcome:
    """Run one schedule to its end, or to the first thing that must never be."""
    schedule, told = Schedule(seed), ""
    try:
        schedule.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the seed's outcome and is told
        told = story(schedule, error)
    model = schedule.model
    return Outcome(seed, told, schedule.counters(), model.landed_in_all, _digest(schedule) if digest else "")


def _digest(schedule: Schedule) -> str:
    landed = [
        (record.rank, str(place), record.stored)
        for place, part in schedule.model.parts.items()
        for record in part.inputs
    ]
    return sha256(repr(sorted(landed, key=lambda one: one[:2])).encode()).hexdigest()


def _run_chunk(chunk: tuple[Sequence[int], str | None]) -> list[Outcome]:
    seeds, mutation = chunk
    with mutated(mutation):
        return [run_seed(seed) for seed in seeds]


def campaign(first: int, seeds: int, jobs: int, mutation: str | None = None) -> Campaign:
    """Run the seeds from `first` on, in `jobs` processes."""
    numbers = range(first, first + seeds)
    chunks = [(numbers[start : start + CHUNK], mutation) for start in range(0, seeds, CHUNK)]
    result = Campaign()
    if jobs <= 1:
        for chunk in chunks:
            _add_all(result, _run_chunk(chunk))
        return result
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for outcomes in pool.imap(_run_chunk, chunks):
            _add_all(result, outcomes)
    return result


def _add_all(result: Campaign, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        result.add(outcome)


def first_caught(mutation: str, seeds: int) -> Outcome | None:
    """The first seed that fails under a mutation, or None if none of `seeds` does."""
    with mutated(mutation):
        for seed in range(seeds):
            outcome = run_seed(seed)
            if outcome.story:
                return outcome
    return None
