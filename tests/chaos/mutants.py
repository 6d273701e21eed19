"""Does the suite see anything? Every process keeps one simpler rule, and the topics have to say so.

Each mutation has a trial, in which what its real rule is there for happens often. The same trial without any mutation
comes first and has to be clean: else what is found under the mutation might be the trial's own doing. And only what the
audit, the model or the count from outside found counts: that a run broke is not enough. Where a process ended as nobody
foresaw, nothing counts: what was found then may follow from an error of the mutation's own.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.chaos.run import UNFORESEEN, Run
from tests.chaos.storm import CROWDED, FICKLE, Mood

SETTLE = 90.0  # seconds within which one more job has to end, the first one too


class Trial(NamedTuple):
    """What strikes, for how many seconds, while people are of which mood, and whether one coordinator decides alone."""

    nemeses: tuple[str, ...]
    seconds: float
    mood: Mood = FICKLE
    alone: bool = False


TRIALS = {
    "nothing strikes": Trial((), 40),
    "answers late": Trial(("answers late",), 60),
    "coordinators go": Trial(("kill coordinator", "freeze coordinator"), 60),
    # Nobody else says what the one that is killed had decided, and what it had sent never arrives.
    "decisions get lost": Trial(("requests late", "kill coordinator"), 90, alone=True),
    "minds change": Trial((), 60, CROWDED),
    "deaf node": Trial(("deaf node",), 30),
}
TRIED_IN = {
    "no_fencing": "answers late",
    "no_dedupe": "coordinators go",
    "one_mark_per_source": "nothing strikes",
    "gaps": "nothing strikes",
    "waiters_not_redecided": "nothing strikes",
    "waiters_inherited": "minds change",
    "visibility_ignored": "nothing strikes",
    "visibility_of_yesterday": "minds change",
    "alive_without_tokens": "nothing strikes",
    "alive_renews_all": "deaf node",
    "slot_freed_before_the_ack": "nothing strikes",
    "children_after_the_terminal_record": "nothing strikes",
    "checkpoint_taken_for_floor": "decisions get lost",
    "standby_drops_at_its_own_position": "coordinators go",
    "copied_child_keeps_its_parameters": "nothing strikes",
    "no_ancestor_check": "nothing strikes",
}
LEFT_OUT = {
    "process_outputs_shared": "it is about tasks that run with nothing around them, and what they start is not counted",
    "no_proof": "nobody here shares work for a proof of its inputs",
    "priority_forgotten": "nobody here gives a job another priority",
}
FOUND_BY = ("audit: ", "invariant ")


class Verdict(NamedTuple):
    """What one trial came to. `mutant`: empty for the one without. `wrong`: what was found."""

    trial: str
    mutant: str
    wrong: list[str]
    seconds: float

    @property
    def found(self) -> list[str]:
        """What counts of it."""
        return [line for line in self.wrong if line.startswith(FOUND_BY)]

    @property
    def unforeseen(self) -> list[str]:
        """What is told of processes that ended as nobody foresaw."""
        return [line for line in self.wrong if UNFORESEEN in line]

    @property
    def is_right(self) -> bool:
        """Whether the mutation was caught, and broke no process; without one: whether nothing was found at all."""
        return bool(self.found) and not self.unforeseen if self.mutant else not self.wrong

    def line(self) -> str:
        """For people."""
        said = ("NOT CAUGHT", "caught") if self.mutant else ("NOT CLEAN", "clean")
        told = (self.unforeseen or self.found or self.wrong)[:1]
        name = self.mutant or f"without any: {self.trial}"
        return f"{said[self.is_right]:<10} {name:<36} {self.seconds:>4.0f} s  {''.join(told)[:160]}"


def try_all(mutants: Sequence[str], folder: Path, seed: int, runner: str) -> bool:
    """Run the trials of these mutations, print a line for each as it ends; whether all came out as they should."""
    right = True
    for verdict in _verdicts(mutants, folder, seed, runner):
        print(verdict.line(), flush=True)
        right &= verdict.is_right
    for name in set(mutants) & LEFT_OUT.keys():
        print(f"left out   {name}: {LEFT_OUT[name]}")
    return right


def _verdicts(mutants: Sequence[str], folder: Path, seed: int, runner: str) -> Iterator[Verdict]:
    for name in TRIALS:
        tried = [mutant for mutant in mutants if TRIED_IN.get(mutant) == name]
        for mutant in ["", *tried] if tried else []:
            yield _tried(name, mutant, folder / (mutant or name.replace(" ", "-")), seed, runner)


def _tried(name: str, mutant: str, folder: Path, seed: int, runner: str) -> Verdict:
    trial, began = TRIALS[name], time.monotonic()
    folder.mkdir()
    run = Run(
        folder,
        seed,
        trial.seconds,
        runner=runner,
        mutant=mutant,
        settle=SETTLE,
        nemeses=list(trial.nemeses),
        mood=trial.mood,
        hasty=True,
        alone=trial.alone,
    )
    report = run.run()
    print(*report.lines(), sep="\n", file=sys.stderr, flush=True)
    return Verdict(name, mutant, report.wrong, time.monotonic() - began)
