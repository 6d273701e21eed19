"""`$TASK_KEEPMOUNT/HASH`: what a parameter names by its hash is there, where the task's token may read it."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from consumers.executor.keepmount import KeepMount, Sight
from consumers.executor.left import Left
from consumers.executor.site import _shown_to
from consumers.runners.port import MIB
from consumers.runners.relay import Target
from schemas.claims import Exited
from schemas.reasons import Failure
from tests.support.api import Person, Site
from tests.support.attempts import Bench, ready
from tests.support.authority import NO_REPLY, Readable, readable
from tests.support.scripts import Scripts
from tests.support.sdk import run_sdk

LOOK = "cd $TASK_KEEPMOUNT 2>/dev/null && for one in *; do cat $one/* 2>/dev/null; done; exit $TASK_PARAMETER_CODE"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Readable]:
    (tmp_path / "authority").mkdir()
    with readable(tmp_path / "authority") as server:
        yield server


@pytest.fixture
def asking(process: Bench, api: Readable) -> Bench:
    process.site.way = api.way
    return process


def look(bench: Bench, code: int = 0, bound: object = None, **parameters: object) -> Exited:
    """A task of Crunch v1 that says what it sees, and ends with this code."""
    return bench.run(LOOK, parameters={"code": code, **parameters}, bound=bound, verdict="record")


def test_what_parameters_name_is_there_for_whose_token_may_read_it(runner: Bench, api: Readable) -> None:
    runner.site.way = api.way
    mine, jobs, deep, theirs = (runner.save({"file": f"{who}\n"}) for who in ("mine", "the job's", "deep", "theirs"))
    api.may = dict.fromkeys((mine, jobs, deep), (200,))
    report = look(runner, input=mine, deep=[{"a": f"cat $(file {deep}/file)"}], no=theirs, bound={"reference": jobs})
    assert sorted(runner.log(report).splitlines()) == ["deep", "mine", "the job's"]
    [token] = api.tokens
    assert token.startswith("OAuth2 ")
    assert api.asked[theirs] == 1


def test_it_is_read_only(isolated: Bench, api: Readable) -> None:
    isolated.site.way = api.way
    pdh = isolated.save({"file": "content"})
    api.may = {pdh: (200,)}
    script = (
        f"(echo x > $TASK_KEEPMOUNT/{pdh}/file; touch $TASK_KEEPMOUNT/{pdh}/new; rm -f $TASK_KEEPMOUNT/{pdh}/file) 2>&1"
    )
    said = isolated.log(isolated.run(f"{script} | grep -c 'ead-only'", parameters={"input": pdh}, verdict="record"))
    assert said == "3\n"


def test_a_task_that_fails_is_told_which_parameter_names_what_it_could_not_see(asking: Bench) -> None:
    theirs = asking.save({"file": "theirs"})
    failed = look(asking, 3, reference=theirs)
    assert (
        failed.reason
        == f"exit code 3; parameter reference names {theirs}, which is no collection that its owner may read"
    )
    assert "parameter reference names" in asking.log(failed)
    assert look(asking, 0, reference=theirs).reason == ""


def test_what_is_too_large_is_left_to_the_sdk(asking: Bench, api: Readable) -> None:
    small, large = asking.save({"file": "1234\n"}), asking.save({"file": "12345\n"})
    api.may = dict.fromkeys((small, large), (200,))
    asking.site.keep_mount = KeepMount(asking.store, 10)
    failed = look(asking, 1, a=small, b=large)
    assert asking.log(failed).splitlines()[0] == "1234"
    assert f"parameter b names {large}, whose 6 bytes are beyond executor.keep_mount" in failed.reason


def test_nothing_is_shown_nor_asked_where_nothing_may_be(asking: Bench, api: Readable) -> None:
    pdh = asking.save({"file": "content\n"})
    api.may = {pdh: (200,)}
    asking.site.keep_mount = KeepMount(asking.store, 0)
    assert (asking.log(look(asking, input=pdh)), api.asked) == ("", {})


def test_the_api_may_hear_of_the_grant_a_little_later(asking: Bench, api: Readable) -> None:
    pdh = asking.save({"file": "content\n"})
    api.may = {pdh: (401, 401, 200)}
    assert asking.log(look(asking, input=pdh)) == "content\n"


@pytest.mark.parametrize("troubles", [(503,), (NO_REPLY,), (502, NO_REPLY, 401)])
def test_an_api_that_comes_back_costs_no_attempt(asking: Bench, api: Readable, troubles: tuple[int, ...]) -> None:
    pdh = asking.save({"file": "content\n"})
    api.may = {pdh: (*troubles, 200)}
    report = look(asking, input=pdh)
    assert (report.failure, asking.log(report)) == (Failure.NONE, "content\n")
    assert api.asked[pdh] == len(troubles) + 1


@pytest.mark.parametrize("status", [500, 503])
def test_an_api_that_does_not_say_is_trouble_of_the_node(asking: Bench, api: Readable, status: int) -> None:
    asking.site.keep_mount = KeepMount(asking.store, MIB, patience=0.0)
    pdh = asking.save({"file": "content"})
    api.may = {pdh: (status,)}
    report = look(asking, input=pdh)
    assert (report.failure, report.exit_code) == (Failure.NODE, -1)
    assert report.reason == f"the API does not say what the task may read: it replied {status}"


def test_an_api_that_is_not_there_is_trouble_of_the_node(asking: Bench) -> None:
    asking.site.keep_mount = KeepMount(asking.store, MIB, patience=0.0)
    asking.site.way = msgspec.structs.replace(asking.site.way, api=Target("127.0.0.1", 1))
    report = look(asking, input=asking.save({"file": "content"}))
    assert report.failure is Failure.NODE
    assert report.reason.startswith("the API can't be asked what the task may read: ")


@pytest.mark.parametrize("rank", [0, 1], ids=["manifest", "data"])
def test_a_collection_whose_block_is_gone_is_named_with_its_parameter(asking: Bench, api: Readable, rank: int) -> None:
    pdh = asking.save({"file": "content"})
    api.may = {pdh: (200,)}
    block = asking.store.locators(pdh)[rank]
    asking.store.load(asking.save({}))  # the one read last is remembered
    asking.store.blocks.remove(block)
    report = look(asking, input=pdh)
    assert report.failure is Failure.STORE
    assert report.reason.startswith("parameter input: ")
    assert block in report.reason


def test_nothing_is_asked_for_a_task_that_does_not_speak_to_the_api(asking: Bench, api: Readable) -> None:
    pdh = asking.save({"file": "content"})
    report = asking.run("ls $TASK_KEEPMOUNT", parameters={"input": pdh})
    assert (asking.log(report), api.asked) == ("", {})


def test_what_is_declared_is_there_without_asking(asking: Bench, api: Readable) -> None:
    pdh = asking.save({"file": "content\n"})
    report = asking.run(LOOK, parameters={"code": 0, "input": pdh}, inputs={"in": pdh}, verdict="record")
    assert (asking.log(report), api.asked) == ("content\n", {})


def test_who_goes_on_with_a_task_leaves_it_what_it_sees(process: Bench) -> None:
    sight = Sight({"a" * 32 + "+1": "input"}, ("parameter b names …",))
    work = ready(process.spec("true"), "token-1")
    left = Left(ready=work, moment="none", boot="", began=1, started_at=1, container="c", sight=sight)
    again = msgspec.json.decode(msgspec.json.encode(left), type=Left)
    assert again.sight == sight
    assert list(_shown_to(again)) == ["a" * 32 + "+1"]


# --- The whole system -------------------------------------------------------------------------------------------------

SAVE = """
    import arvados.collection, json, sys
    made = arvados.collection.Collection()
    for name, text in json.loads(sys.argv[1]).items():
        with made.open(name, "w") as f:
            f.write(text)
    made.save_new()
    print(json.dumps(made.portable_data_hash()))
"""
READ = """
    import arvados, json, sys
    reader = arvados.CollectionReader(sys.argv[1])
    print(json.dumps({name: reader.open(name).read() for name in reader}))
"""


@pytest.mark.needs("git", "arvados-client")
def test_a_script_that_reads_below_the_mount_sees_what_its_user_may_read(api_site: Site, scripts: Scripts) -> None:
    mona, nina = api_site.person("mona-of-the-mount"), api_site.person("nina-of-the-mount")
    pdh = run_sdk(mona, SAVE, json.dumps({"a/one.txt": "one\n", "two.txt": "two\n"}))
    done = scripts.ended(mona, scripts.job(mona, {"input": pdh}, script="below-the-mount")["uuid"])
    assert done["state"] == "Complete", _log_of(mona, done)
    assert run_sdk(mona, READ, done["output"]) == {"names.txt": "a/one.txt\ntwo.txt\n", "one.txt": "one\n"}
    pure = scripts.ended(mona, scripts.job(mona, {"input": pdh}, script="below-the-mount", is_pure=True)["uuid"])
    assert (pure["state"], pure["output"]) == ("Complete", done["output"])
    refused = scripts.ended(nina, scripts.job(nina, {"input": pdh}, script="below-the-mount")["uuid"])
    assert refused["state"] == "Failed"
    [task] = nina.get("job_tasks", filters=[["job_uuid", "=", refused["uuid"]]])["items"]
    unseen = f"parameter input names {pdh}, which is no collection that its owner may read"
    assert unseen in task["failed_because"]
    assert unseen in str(_log_of(nina, refused))


def _log_of(person: Person, job: dict[str, str]) -> object:
    return run_sdk(person, READ, job["log"])
