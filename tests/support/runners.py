"""Fixtures: a bench for single attempts in each runner, in those that isolate, and in the one that does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.runners.cgroups import find
from tests.support.attempts import Bench, bench

IN_ANY = ["process", pytest.param("bubblewrap", marks=pytest.mark.needs("bubblewrap")), "docker"]
ISOLATED = IN_ANY[1:]
# A process may leave everything behind but its control group; where there can be none, nothing is promised.
HOLDING = ISOLATED if isinstance(find(), str) else IN_ANY


@pytest.fixture(params=IN_ANY)
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    yield from _bench(request, tmp_path)


@pytest.fixture(params=ISOLATED)
def isolated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    yield from _bench(request, tmp_path)


@pytest.fixture(params=HOLDING)
def holding(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    yield from _bench(request, tmp_path)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, "process") as made:
        yield made


def _bench(request: pytest.FixtureRequest, folder: Path) -> Iterator[Bench]:
    if request.param != "docker":
        with bench(folder, request.param) as made:
            yield made
        return
    engine, image = request.getfixturevalue("docker_engine"), request.getfixturevalue("python_image")
    with bench(folder, "docker", engine, image) as made:
        yield made
