"""The simulator in CI: no seed breaks an invariant, every simpler rule does, and everything was met on the way."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.campaign import Campaign, campaign, first_caught
from tests.simulation.coverage import REQUIRED
from tests.support.mutations import MUTATIONS

CHECKOUT = Path(__file__).resolve().parent.parent.parent
CHUNKS, SEEDS = 4, 500
SEEDS_PER_MUTATION = 600
DIGESTS = """
from tests.simulation.campaign import run_seed
for seed in range(30):
    outcome = run_seed(seed, digest=True)
    assert not outcome.story, outcome.story
    print(seed, outcome.records, outcome.digest)
"""


@functools.cache
def _chunk(number: int) -> Campaign:
    return campaign(number * SEEDS, SEEDS, os.cpu_count() or 1)


@pytest.mark.parametrize("number", range(CHUNKS))
def test_no_seed_breaks_an_invariant(number: int) -> None:
    result = _chunk(number)
    assert result.seeds == SEEDS
    assert not result.failed, f"seeds {result.failed} failed; the first one's story:\n{result.story}"


def test_every_fault_struck_and_every_rule_decided() -> None:
    counted = sum((_chunk(number).counted for number in range(CHUNKS)), start=_chunk(0).counted.__class__())
    assert [name for name in REQUIRED if not counted[name]] == []


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_simpler_rule_is_caught(mutation: str) -> None:
    caught = first_caught(mutation, SEEDS_PER_MUTATION)
    assert caught, f"{SEEDS_PER_MUTATION} seeds hold all invariants under {mutation}: the simulator does not see it"
    assert f"./run simulate --seed {caught.seed}" in caught.story


def test_a_failing_seed_replays_by_its_number_and_tells_its_story() -> None:
    caught = first_caught("no_fencing", SEEDS_PER_MUTATION)
    assert caught
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(caught.seed), "--mutation", "no_fencing"]
    again = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert again.returncode == 1, again.stderr
    assert again.stdout.strip() == caught.story.strip()
    healthy = subprocess.run(command[:-2], cwd=CHECKOUT, capture_output=True, text=True)
    assert (healthy.returncode, healthy.stdout) == (0, f"Seed {caught.seed} holds all invariants.\n"), healthy.stderr


def _digests(python: str, hash_seed: str) -> str:
    settings = os.environ | {"PYTHONHASHSEED": hash_seed}
    run = subprocess.run([python, "-c", DIGESTS], cwd=CHECKOUT, env=settings, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_same_bytes_under_two_hash_seeds() -> None:
    assert _digests(sys.executable, "1") == _digests(sys.executable, "2")


@pytest.mark.needs("another-python")
def test_the_same_bytes_under_two_versions_of_python(other_python: str) -> None:
    assert _digests(sys.executable, "1") == _digests(other_python, "3")
