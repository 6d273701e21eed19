"""The verifier asks the API for each input by hash, under a token for just these; without a word nothing is proved."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from consumers.executor.prover import MOST, proves
from consumers.executor.way import Way
from consumers.runners.relay import Target
from coordinator import prooftoken
from coordinator.canonical import canonical
from schemas.work import Ready
from store.locator import EMPTY_BLOCK
from tests.support.authority import KEY, NO_REPLY, Readable, readable
from tests.support.scene import task_spec

MINE, THEIRS = "a" * 32 + "+1", "b" * 32 + "+2"
BOB = "zzzzz-tpzed-d9tiejq69daie8f"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Readable]:
    with readable(tmp_path) as server:
        yield server


def ready(**fields: object) -> Ready:
    """A look with a proof for Bob; the fields are of the task."""
    parameters = msgspec.Raw(canonical(fields.pop("parameters", {})))
    bound = msgspec.Raw(canonical(fields.pop("bound", {})))
    described = msgspec.structs.replace(task_spec(), parameters=parameters, **fields)
    spec = msgspec.Raw(msgspec.json.encode(described))
    known = {"pool": "p", "token": "v", "kind": "verify", "fingerprint": "f", "entry": "e", "output": THEIRS}
    return Ready(**known, owner=BOB, prove=BOB, spec=spec, bound=bound)


def told(api: Readable) -> list[prooftoken.Proof]:
    """What the tokens said that the API was shown."""
    now = int(time.time())
    return [prooftoken.read(text.removeprefix("OAuth2 "), now, KEY) for text in api.tokens]


def test_each_input_is_asked_for_under_a_token_for_the_owner_and_just_these(api: Readable) -> None:
    deep, of_job = "c" * 32 + "+3", "d" * 32 + "+4"
    api.may = dict.fromkeys((MINE, deep, of_job), (200,))
    work = ready(inputs={"in": MINE}, parameters={"x": [f"{deep}/f"]}, bound={"r": of_job}, repository="/not/asked")
    assert proves(api.way, work)
    assert api.asked == dict.fromkeys((MINE, deep, of_job), 1)
    [proof] = told(api)
    assert (proof.owner, proof.repository, proof.hashes) == (BOB, "", (MINE, deep, of_job))
    assert 0 < proof.expires_at - time.time() <= prooftoken.LASTS


@pytest.mark.parametrize("status", [403, 404])
def test_one_that_may_not_be_read_is_enough(api: Readable, caplog: pytest.LogCaptureFixture, status: int) -> None:
    api.may = {MINE: (200,), THEIRS: (status,)}
    with caplog.at_level(logging.INFO):
        assert not proves(api.way, ready(inputs={"a": MINE, "b": THEIRS}))
    assert caplog.messages == []


def test_it_is_asked_anew_each_time(api: Readable) -> None:
    api.may = {MINE: (200, 404, 200)}
    assert [proves(api.way, ready(inputs={"a": MINE})) for _ in range(3)] == [True, False, True]


@pytest.mark.parametrize("status", [500, 503, 401, NO_REPLY])
def test_an_api_that_does_not_say_proves_nothing_and_is_not_waited_for(
    api: Readable, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    api.may = {MINE: (status,)}
    assert not proves(api.way, ready(inputs={"a": MINE}))
    assert api.asked[MINE] == 1
    [said] = caplog.messages
    assert said.startswith("right to read inputs not proved, so their output is not given: the API ")
    assert MINE not in said
    assert BOB not in said


@pytest.mark.parametrize("way", [None, Way(api=Target("127.0.0.1", 1), key=KEY)], ids=["none", "away"])
def test_without_an_api_nothing_is_proved(way: Way | None, caplog: pytest.LogCaptureFixture) -> None:
    assert not proves(way, ready(inputs={"a": MINE}))
    assert len(caplog.messages) == 1


def test_an_api_that_takes_too_long_for_all_of_them_is_told_of(api: Readable, caplog: pytest.LogCaptureFixture) -> None:
    api.may = {MINE: (200,)}
    assert not proves(api.way, ready(inputs={"a": MINE}), seconds=-1.0)
    [said] = caplog.messages
    assert said.endswith("no answer to all 1 inputs came within -1 s")


def test_a_task_that_names_nothing_is_asked_about_too(api: Readable) -> None:
    api.may = {EMPTY_BLOCK: (404, 200)}
    assert [proves(api.way, ready()) for _ in range(2)] == [False, True]


def test_a_repository_by_its_name_at_the_api_is_part_of_the_proof(api: Readable) -> None:
    api.may = {MINE: (200,)}
    assert proves(api.way, ready(inputs={"a": MINE}, verdict="record", repository="of-ada"))
    assert [proof.repository for proof in told(api)] == ["of-ada"]


def test_many_inputs_are_asked_for_under_several_tokens_and_too_many_not_at_all(api: Readable) -> None:
    named = {f"{number:032x}+1": str(number) for number in range(prooftoken.MOST + 1)}
    api.may = dict.fromkeys(named, (200,))
    assert proves(api.way, ready(inputs={number: pdh for pdh, number in named.items()}))
    proofs = told(api)
    assert sorted(len(proof.hashes) for proof in proofs) == [1, prooftoken.MOST]
    assert {pdh for proof in proofs for pdh in proof.hashes} == set(named)
    before = api.asked.total()
    assert not proves(api.way, ready(inputs={str(number): f"{number:032x}+1" for number in range(MOST + 1)}))
    assert api.asked.total() == before


def test_a_task_that_is_not_understood_proves_nothing(api: Readable, caplog: pytest.LogCaptureFixture) -> None:
    assert not proves(api.way, msgspec.structs.replace(ready(), spec=msgspec.Raw(b'{"from":"the future"}')))
    assert len(caplog.messages) == 1
