"""The executor's service on a log in memory; the test is the dispatcher. What it runs is real."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from consumers.executor.service import Executor, Offer, Replaced
from consumers.executor.site import site_key
from consumers.runners.choose import Choice, choose_runner
from consumers.runners.port import CannotRun
from consumers.runners.reap import MARK
from schemas.assignments import Assigned, Stopped
from schemas.claims import Exited, OutputMissing, Reported, Started, Verified
from schemas.codec import decode, encode
from schemas.facts import Answered
from schemas.log import Cause
from schemas.reasons import Failure, Outcome
from schemas.settings import ConfigSet
from schemas.topics import Topic
from schemas.work import Alive, Draining, Freed, Joined, Ready
from store.blocks import BlockStore
from store.collections import CollectionStore
from store.errors import StoreFull
from store.port import Data, Putting
from streams.log import Append, Place
from streams.memory import MemoryLog
from tests.support.attempts import Bench, ready

PATIENCE = 60.0


class Desk:
    """A log, an executor on it, and the test in the dispatcher's place."""

    def __init__(self, folder: Path, offer: Offer, lease: int) -> None:
        self.folder = folder
        self.log = MemoryLog()
        self.log.create(dict.fromkeys(Topic, 1))
        self.set_lease(lease)
        self.store = CollectionStore(BlockStore.create(folder / "store"))
        self.executor = Executor(self.log, self.store, folder / "executor", offer)
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.joined = self.wait_for(Joined)

    def _run(self) -> None:
        try:
            self.executor.run()
        except BaseException as error:  # noqa: BLE001 - looked at when the test ends
            self.failure = error

    def set_lease(self, milliseconds: int) -> None:
        self.log.append([Append(Place(Topic.SETTINGS, 0), "", encode(ConfigSet(name="lease", value=milliseconds)))])

    def said(self, *topics: Topic) -> list[Any]:
        """What the executor has said so far."""
        return [
            decode(topic, record.value).body
            for topic in topics or (Topic.WORK, Topic.CLAIMS)
            for record in self.log.read(Place(topic, 0), 1, 10_000)
        ]

    def wait_for(self, kind: type, such: Callable[[Any], bool] = lambda body: True, count: int = 1) -> Any:
        """The `count`-th record of this type, as soon as it is there."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            ends = {place: self.log.end(place) for place in (Place(Topic.WORK, 0), Place(Topic.CLAIMS, 0))}
            found = [body for body in self.said() if isinstance(body, kind) and such(body)]
            if len(found) >= count:
                return found[count - 1]
            self.log.wait(ends, PATIENCE)
        raise AssertionError(f"no {kind.__name__}: {self.said()}")

    def tell(self, body: Any) -> None:
        self.log.append([Append(Place(Topic.ASSIGNMENTS, 0), body.node, encode(body))])

    def assign(self, work: Ready) -> None:
        self.tell(Assigned(node=self.joined.node, incarnation=self.joined.incarnation, work=work))

    def run(self, token: str, *command: str, **fields: Any) -> Exited:
        """A task, from its assignment to its freed slot."""
        self.assign(ready(Bench.spec(None, *command, **{"image": "", **fields}), token))
        self.wait_for(Freed, lambda body: body.token == token)
        return self.wait_for(Exited, lambda body: body.token == token)

    def verify(self, token: str, output: str) -> None:
        self.assign(
            Ready(pool="default", token=token, kind="verify", fingerprint="f", owner="o", entry="e", output=output)
        )

    def answer_reports(self) -> None:
        """Answer the next report, as the claims machine would."""
        report = self.wait_for(Reported)
        offset = next(
            stored.offset
            for stored in self.log.read(Place(Topic.CLAIMS, 0), 1, 1000)
            if decode(Topic.CLAIMS, stored.value).body == report
        )
        cause = Cause(self.log.genesis(Place(Topic.CLAIMS, 0)).log_id, offset, 0)
        self.log.append([Append(Place(Topic.FACTS, 0), "", encode(Answered(outcome=Outcome.DONE), cause))])


@contextmanager
def desk(folder: Path, lease: int = 15_000, **offer: Any) -> Iterator[Desk]:
    made = Desk(folder, Offer(**{"runner": "process", "slots": 2, **offer}), lease)
    try:
        yield made
    finally:
        made.executor.stop()
        made.thread.join(PATIENCE)
        assert not made.thread.is_alive()
    assert made.failure is None, made.failure


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def test_it_offers_what_the_machine_has(node):
    joined = node.joined
    assert (joined.node, joined.pool, joined.slots, joined.verify_slots) == ("local", "default", 2, 2)
    assert joined.cores >= 1
    assert joined.memory > 100
    assert joined.scratch > 100


def test_a_task_from_its_grant_to_its_free_slot(node):
    report = node.run("t", "echo hello > $TASK_OUTPUT/file")
    assert (report.exit_code, report.failure) == (0, Failure.NONE)
    with node.store.open(report.output, "file") as stream:
        assert stream.read() == b"hello\n"
    assert [type(body) for body in node.said(Topic.CLAIMS)] == [Started, Exited]
    started = node.said(Topic.CLAIMS)[0]
    assert (started.runner, started.incarnation) == ("process", node.joined.incarnation)
    assert started.environment
    assert [body.token for body in node.said(Topic.WORK) if isinstance(body, Freed)] == ["t"]


def test_signs_of_life_list_what_is_held(tmp_path):
    with desk(tmp_path, lease=10_000) as node:
        node.assign(ready(Bench.spec(None, "sleep 1000", image=""), "t"))
        node.wait_for(Alive, lambda body: body.tokens == ("t",), count=2)


def test_another_lease_in_the_settings_is_followed(tmp_path):
    with desk(tmp_path, lease=3_600_000) as node:
        node.set_lease(10_000)
        node.wait_for(Alive, count=3)


def test_tasks_run_beside_each_other_up_to_the_slots(node):
    first = "cd ../../..; mkfifo a-b b-a; crunch-task report --progress 0; echo hi > a-b; cat b-a"
    second = "cd ../../..; cat a-b; echo ho > b-a"
    node.assign(ready(Bench.spec(None, first, image=""), "first"))
    node.answer_reports()
    node.assign(ready(Bench.spec(None, second, image=""), "second"))
    for token in ("first", "second"):
        assert node.wait_for(Exited, lambda body, token=token: body.token == token).exit_code == 0


def test_verifications_have_slots_of_their_own(node):
    saved = node.store.save_directory(_folder(node.folder / "in", {"a": "b"})).portable_data_hash
    for number in range(3):
        node.assign(ready(Bench.spec(None, "sleep 1000", image=""), f"long-{number}"))
    node.verify("v", saved)
    assert node.wait_for(Verified) == Verified(fingerprint="f", entry="e", token="v")
    node.wait_for(Freed, lambda body: body.token == "v")


def test_a_missing_block_is_reported(node):
    saved = node.store.save_directory(_folder(node.folder / "in", {"a": "content"})).portable_data_hash
    [_, block] = node.store.locators(saved)
    node.store.blocks.remove(block)
    node.verify("v", saved)
    assert node.wait_for(OutputMissing).block == block


def test_an_unreachable_store_is_asked_again(node):
    saved = node.store.save_directory(_folder(node.folder / "in", {"a": "content"})).portable_data_hash
    (node.folder / "store").rename(node.folder / "away")
    node.verify("v", saved)
    node.wait_for(Alive, lambda body: body.tokens == ("v",))
    (node.folder / "away").rename(node.folder / "store")
    assert node.wait_for(Verified).token == "v"
    assert not [body for body in node.said() if isinstance(body, OutputMissing)]


def test_fenced_work_is_killed_and_not_spoken_of(node):
    node.assign(ready(Bench.spec(None, "crunch-task report --progress 0; sleep 1000", image=""), "t"))
    node.wait_for(Reported)
    node.tell(Stopped(node="local", incarnation=node.joined.incarnation, token="t", cause="fenced"))
    node.run("after", "true")
    assert [body.token for body in node.said() if isinstance(body, Exited | Freed)] == ["after", "after"]


def test_a_cancelled_task_is_freed_without_a_report(node):
    node.assign(ready(Bench.spec(None, "crunch-task report --progress 0; sleep 1000", image=""), "t"))
    node.answer_reports()
    node.tell(Stopped(node="local", incarnation=node.joined.incarnation, token="t", cause="cancelled"))
    node.wait_for(Freed)
    assert not [body for body in node.said() if isinstance(body, Exited)]


def test_a_drained_executor_finishes_what_it_has(tmp_path):
    with desk(tmp_path) as node:
        go = tmp_path / "go"
        node.assign(ready(Bench.spec(None, f"mkfifo {go}; crunch-task report --progress 0; cat {go}", image=""), "t"))
        node.answer_reports()
        node.executor.drain()
        node.wait_for(Draining)
        go.write_text("now")
        node.thread.join(PATIENCE)
        assert node.wait_for(Exited).exit_code == 0
        assert node.wait_for(Freed)


def test_a_stopped_executor_gives_its_work_back(tmp_path):
    with desk(tmp_path) as node:
        node.assign(ready(Bench.spec(None, "crunch-task report --progress 0; sleep 1000", image=""), "t"))
        node.wait_for(Reported)
        node.executor.stop()
        node.thread.join(PATIENCE)
        report = node.wait_for(Exited)
        assert (report.exit_code, report.failure, report.reason) == (
            -1,
            Failure.HANDED_OVER,
            "the executor was stopped",
        )


def test_a_node_that_was_given_up_joins_anew(node):
    node.tell(Stopped(node="local", incarnation=node.joined.incarnation, token="", cause="fenced"))
    again = node.wait_for(Joined, count=2)
    assert again.incarnation != node.joined.incarnation
    node.joined = again
    assert node.run("t", "true").exit_code == 0


def test_another_executor_of_the_same_name_ends_it_and_it_says_so(node):
    assert node.run("t", "true").exit_code == 0
    node.tell(Assigned(node="local", incarnation="another", work=ready(Bench.spec(None, "true", image=""), "t2")))
    node.thread.join(PATIENCE)
    ended, node.failure = node.failure, None
    assert isinstance(ended, Replaced)
    assert str(ended).startswith("node local was joined anew by another")


def test_a_former_executors_folders_are_cleared(tmp_path):
    with desk(tmp_path) as node:
        node.run("t", "true")
        (tmp_path / "executor/attempts/left/out").mkdir(parents=True)
    with desk(tmp_path) as node:
        node.run("t", "true")
        assert not (tmp_path / "executor/attempts/left").exists()


def test_what_a_former_executor_left_running_is_killed_before_it_joins(tmp_path):
    mark = f"{site_key('local', tmp_path / 'executor')}.left"
    left = subprocess.Popen(["sleep", "1000"], env={MARK: mark}, start_new_session=True)
    with desk(tmp_path):
        assert left.wait(0) == -signal.SIGKILL


# --- What goes wrong, in words ---------------------------------------------------------------------------------------


def test_an_input_that_is_gone(node):
    report = node.run("t", "true", inputs={"in": "0" * 32 + "+7"})
    assert (report.failure, report.reason) == (Failure.STORE, f"block {'0' * 32}+7 is not in the store")


def test_a_store_that_is_gone(node):
    (node.folder / "store").rename(node.folder / "away")
    report = node.run("t", "true")
    assert report.failure is Failure.STORE
    assert "can't be reached" in report.reason


def test_another_environment_than_the_fingerprints(node):
    spec = Bench.spec(None, "true", image="", is_pure=True)
    wrong = type(spec.components)(**dict.fromkeys(spec.components.__struct_fields__, "1" * 64))
    node.assign(ready(msgspec.structs.replace(spec, components=wrong), "t"))
    report = node.wait_for(Exited)
    assert report.failure is Failure.NODE
    assert report.reason.startswith("the task was made for another environment than this node's")


def test_a_task_that_only_newer_code_understands(node):
    work = ready(Bench.spec(None, "true", image=""), "t")
    node.assign(msgspec.structs.replace(work, spec=msgspec.Raw(b'{"brand_new":1}')))
    report = node.wait_for(Exited)
    assert (report.failure, report.exit_code) == (Failure.NODE, -1)
    assert "upgrade it" in report.reason
    node.wait_for(Freed)


@pytest.mark.parametrize(
    "fields",
    [
        {"inputs": {"/tmp/elsewhere": "d41d8cd98f00b204e9800998ecf8427e+0"}},
        {"inputs": {"../up": "d41d8cd98f00b204e9800998ecf8427e+0"}},
        {"inputs": {"in": "../../up"}},
        {"code": "../../up", "script": "x"},
        {"script": "../../../bin/true"},
    ],
)
def test_a_record_that_leads_elsewhere(node, fields):
    report = node.run("t", *(() if "script" in fields else ("true",)), **fields)
    assert report.failure in (Failure.EXIT, Failure.STORE)
    assert report.exit_code == -1


def test_an_image_without_an_engine(tmp_path):
    with desk(tmp_path, runner="auto", engine="unix:///nowhere.sock") as node:
        report = node.run("t", "true", image="sha256:" + "1" * 64)
    assert report.failure is Failure.NODE
    assert report.reason.startswith("the task names an image, and no Docker engine answers")


def test_an_image_that_is_not_there(tmp_path, docker_engine):
    with desk(tmp_path, runner="auto", engine=docker_engine) as node:
        report = node.run("t", "true", image="sha256:" + "1" * 64)
    assert report.failure is Failure.NODE
    assert report.reason.startswith(f"image sha256:{'1' * 64} is not on this node")


def test_a_full_disk(tmp_path):
    with desk(tmp_path) as node:
        together = node.store.blocks.together

        def put(batch: Putting, data: Data) -> str:
            if len(data) > 1_000_000:
                raise StoreFull(str(tmp_path), "no room")
            return batch.put(data)

        @contextmanager
        def full() -> Iterator[Any]:
            with together() as batch:
                yield SimpleNamespace(put=partial(put, batch))

        node.store.blocks.together = full
        report = node.run("t", "head -c 2000000 /dev/urandom > $TASK_OUTPUT/file")
    assert report.failure is Failure.STORE
    assert "is full" in report.reason


# --- Which runner ----------------------------------------------------------------------------------------------------

FINE: dict[str, str | None] = {"docker": None, "bubblewrap": None, "process": None}


@pytest.mark.parametrize(
    ("image", "forced", "broken", "name", "why"),
    [
        (True, "auto", {}, "docker", "the task names an image, and a Docker engine answers"),
        (False, "auto", {}, "bubblewrap", "the task names no image, and bubblewrap works here"),
        (
            False, "auto", {"bubblewrap": "bwrap can't be started"}, "process",
            "the task names no image, and bwrap can't be started: nothing isolates it",
        ),
        (False, "process", {}, "process", "it was asked for"),
    ],
)  # fmt: skip
def test_which_runner_and_why(image, forced, broken, name, why):
    assert choose_runner(image, forced, (FINE | broken).get) == Choice(name, why)


@pytest.mark.parametrize(
    ("image", "forced", "broken", "why"),
    [
        (True, "process", {}, "the task names an image, and this node is to use process, which runs none"),
        (False, "docker", {}, "this node is to use docker, and the task names no image: give it one"),
        (False, "bubblewrap", {"bubblewrap": "no"}, "this node is to use bubblewrap, and can't: no"),
        (True, "auto", {"docker": "none"}, "the task names an image, and none: start one on this node"),
    ],
)
def test_no_runner_and_why(image, forced, broken, why):
    with pytest.raises(CannotRun, match=why):
        choose_runner(image, forced, (FINE | broken).get)


def _folder(path: Path, files: dict[str, str]) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_text(content)
    return path
