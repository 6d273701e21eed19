"""Which mutations are tried, what counts as caught, and that one is what it says where states stand on a disk."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from schemas.topics import Topic
from streams.localstore import LocalStore
from streams.log import Append, LogUnreachable, Place
from streams.memory import MemoryLog
from tests.chaos.mutants import LEFT_OUT, TRIALS, TRIED_IN, Verdict
from tests.chaos.nemeses import NEMESES
from tests.chaos.run import UNFORESEEN
from tests.support.log_world import World, finish, request
from tests.support.mutations import MUTATIONS, mutated

ENDED = f"standby {UNFORESEEN}: crunch-reuse: unexpected KeyError: 7"


def test_each_mutation_is_tried_or_left_out_for_a_reason() -> None:
    assert sorted([*TRIED_IN, *LEFT_OUT]) == sorted(MUTATIONS)
    assert set(TRIED_IN.values()) == set(TRIALS)
    assert {name for trial in TRIALS.values() for name in trial.nemeses} <= NEMESES.keys()


@pytest.mark.parametrize(
    ("mutant", "wrong", "is_right", "said"),
    [
        ("gaps", ["audit: claims/0 7: not there"], True, "caught"),
        ("gaps", ["a hand failed: no room", "invariant 10: 1 job has not ended"], True, "caught"),
        ("gaps", ["invariant 10: 1 job has not ended", ENDED], False, "NOT CAUGHT"),
        ("gaps", ["a hand failed: no room"], False, "NOT CAUGHT"),
        ("gaps", [], False, "NOT CAUGHT"),
        ("", [], True, "clean"),
        ("", [ENDED], False, "NOT CLEAN"),
        ("", ["a hand failed: no room"], False, "NOT CLEAN"),
    ],
)
def test_only_what_the_topics_say_counts_against_a_mutation_and_anything_against_the_real_rules(
    mutant: str, wrong: list[str], is_right: bool, said: str
) -> None:
    verdict = Verdict("deaf node", mutant, wrong, 61.0)
    assert verdict.is_right is is_right
    assert verdict.line().startswith(said)


class Cut(MemoryLog):
    """The same records as `log`, from a process that the broker no longer hears."""

    def __init__(self, log: MemoryLog) -> None:
        vars(self).update(vars(log))

    def append(self, records: Sequence[Append]) -> list[int]:
        raise LogUnreachable("the broker hears nothing")


def decided(world: World) -> list[int]:
    """Offsets of partition 0 from which something follows in the log."""
    log_id = world.log.genesis(Place(Topic.CLAIMS, 0)).log_id
    said = [cause for outputs in world.accepted().values() for cause, _ in outputs]
    return sorted({cause.offset for cause in said if cause.log_id == log_id})


@pytest.mark.parametrize(("mutant", "lost"), [(None, []), ("checkpoint_taken_for_floor", [4, 5, 6])])
def test_a_checkpoint_taken_for_the_floor_loses_what_a_killed_process_had_in_hand(
    tmp_path: Path, mutant: str | None, lost: list[int]
) -> None:
    """With the state on a disk of its own, as the town's processes have it."""
    world = World([request(number, same=1) for number in range(9)])
    with mutated(mutant):
        with closing(LocalStore(tmp_path / "local")) as local:
            world.runner(local=local).poll(4)
            with pytest.raises(LogUnreachable):
                world.runner(local=local, log=Cut(world.log)).poll(3)
        with closing(LocalStore(tmp_path / "local")) as local:
            finish(world.runner(local=local))
    assert decided(world) == [offset for offset in range(1, 10) if offset not in lost]
