"""What pages are made of: readings, text that steers nothing, limits, streams, plots and pictures, nodes."""

import asyncio
from contextlib import closing
from itertools import chain, pairwise, repeat
from threading import Semaphore

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.news import News
from gateway.pages import plots, scout
from gateway.pages.content import plain
from gateway.pages.fleet import Fleet, heard_at
from gateway.pages.limit import KNOWN, Limit
from gateway.pages.lineage_picture import BOX_HEIGHT, picture
from gateway.pages.live import Stream, Streams
from gateway.pages.web import own_path
from readmodel.board import HOUR, Held, Hour
from readmodel.lineage import Input, Lineage
from readmodel.rows import Execution
from schemas.codec import encode
from schemas.topics import Topic
from schemas.work import Alive, Draining, Joined, Paused
from streams.log import Append, Log, Place
from tests.support.office import COUNTS, memory_log

# --- What is read beside them -----------------------------------------------------------------------------------------


def test_a_reading_that_fails_as_nobody_foresaw_is_told_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scout, "PAUSE", 0.0)
    answers, asked = iter([1, ValueError("odd"), ValueError("odd")]), Semaphore(0)

    def probe(_: Log) -> int:
        asked.release()
        answer = next(answers, 2)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    told: list[scout.Reading] = []
    with closing(scout.Scout(memory_log(), {"it": probe})) as reads:
        for _ in range(6):  # what is told is of one of the last two times that it was asked
            told.append(reads.latest("it"))
            assert asked.acquire(timeout=60)
    known = dict.fromkeys((one.value, one.trouble) for one in told if one != scout.NOTHING)
    assert list(known) == [(1, ""), (1, scout.UNFORESEEN), (2, "")]
    assert [record.message.count("ValueError: odd") for record in caplog.records] == [1]


# --- Text -------------------------------------------------------------------------------------------------------------


@given(st.text())
def test_text_of_others_steers_neither_a_terminal_nor_how_it_is_read(text: str) -> None:
    shown = plain(text)
    assert not set(shown) & set("\x1b\x00\x07\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    assert plain(shown) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("abc\u202egnp", "abc\ufffdgnp"),
        ("naïve 雪 🧬", "naïve 雪 🧬"),
    ],
)
def test_colours_go_and_words_stay(raw: str, shown: str) -> None:
    assert plain(raw) == shown


@pytest.mark.parametrize(
    "text", ["//evil.example", "/\\evil.example", "https://evil.example", "", "jobs", "/jobs\r\nX: y"]
)
def test_after_signing_in_nobody_is_sent_elsewhere(text: str) -> None:
    assert own_path(text) == "/"


def test_after_signing_in_one_goes_where_one_was_going() -> None:
    assert own_path("/jobs/a?below=b") == "/jobs/a?below=b"


# --- Limits -----------------------------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_tries_are_few_and_come_back_with_time() -> None:
    clock = Clock()
    limit = Limit(3, 10.0, clock)
    assert [limit.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limit.take("a") == 10.0
    assert limit.take("b") == 0.0
    clock.now = 4.0
    assert limit.take("a") == pytest.approx(6.0)
    clock.now = 10.5
    assert limit.take("a") == 0.0
    clock.now = 1_000.0
    assert [limit.take("a") == 0.0 for _ in range(4)] == [True, True, True, False]


def test_a_try_that_was_none_does_not_count() -> None:
    limit = Limit(1, 10.0, Clock())
    assert limit.take("a") == 0.0
    limit.give_back("a")
    limit.give_back("a")
    assert [limit.take("a") for _ in range(2)] == [0.0, 10.0]


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    limit = Limit(1, 10.0, Clock())
    for number in range(KNOWN + 10):
        limit.take(str(number))
    assert limit.take("0") == 0.0  # forgotten, as the oldest
    assert limit.take(str(KNOWN + 9)) > 0


# --- Streams ----------------------------------------------------------------------------------------------------------


def test_a_client_that_never_reads_costs_a_while_and_no_more() -> None:
    streams = Streams(1)

    async def say() -> dict[str, object]:
        return {"parts": {"main": "x" * 100_000}, "trouble": ""}

    async def receive() -> dict[str, str]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    taken = []

    async def send(message: dict[str, object]) -> None:
        taken.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()  # its socket is full

    async def run() -> None:
        assert streams.enter()
        assert not streams.enter()
        await asyncio.wait_for(Stream(say, News(), streams, taken_within=0.05)({}, receive, send), 30)

    asyncio.run(run())
    assert taken == ["http.response.start", "http.response.body"]
    assert streams.enter()


def test_a_stream_says_what_changed_and_ends_with_its_visitor() -> None:
    said = chain([{"parts": 1, "age": 1}, {"parts": 1, "age": 2}], repeat({"parts": 2, "age": 3}))
    streams, news, bodies, gone = Streams(1), News(), [], asyncio.Event()

    async def say() -> dict[str, object]:
        return dict(next(said))

    async def receive() -> dict[str, str]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])
            news.ring()
            if len(bodies) == 3:
                gone.set()

    async def run() -> None:
        assert streams.enter()
        await asyncio.wait_for(Stream(say, news, streams, pause=0.0)({}, receive, send), 30)

    asyncio.run(run())
    assert [b"parts" in body for body in bodies[:3]] == [True, False, True]
    assert streams.enter()


# --- Pictures ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=30))
def test_bars_are_as_high_as_their_values_and_stay_inside(values: list[tuple[int, int]]) -> None:
    hours = [
        Hour(hour=rank * HOUR, executed=one, copied=other, failed=0, saved=0, spent=0)
        for rank, (one, other) in enumerate(values)
    ]
    known = {hour.hour: hour for hour in hours}
    plot = plots.stacked(known, ("executed", "copied"), 0, (len(values) - 1) * HOUR, is_time=False)
    assert len(plot.columns) == len(values)
    for column in plot.columns:
        for bar in column.bars:
            assert plots.TOP - 0.2 <= bar.y <= bar.y + bar.height <= plot.base + 0.2
            assert plot.left <= bar.x < bar.x + bar.width <= plot.width
        for lower, upper in pairwise(column.bars):
            assert upper.y + upper.height == pytest.approx(lower.y, abs=0.2)
    assert [column.values for column in plot.columns] == [tuple(value) for value in values]


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(0, "0 ms"), (999, "999 ms"), (1_500, "1.5 s"), (90_000, "1.5 min"), (5_400_000, "1.5 h")],
)
def test_lengths_of_time_in_words(milliseconds: int, words: str) -> None:
    assert plots.length(milliseconds) == words


def execution() -> Execution:
    empty = dict.fromkeys(
        ("owner", "task", "root", "replaces", "why", "incarnation", "environment", "detail", "access")
    )
    times = dict.fromkeys(("granted_at", "running_at", "ended_at"))
    numbers = {"attempt": 1, "exit_code": 0, "progress": 0, "node_started_at": 0, "node_finished_at": 0}
    texts = {"token": "t", "fingerprint": "f", "runner": "process", "failure": "", "output": "o", "log": ""}
    return Execution(status="done", is_impure=False, node="n1", **empty, **times, **numbers, **texts)


@given(st.lists(st.booleans(), max_size=8), st.integers(0, 8), st.booleans())
def test_boxes_do_not_overlap_and_lines_join_them(makers: list[bool], holders: int, runs: bool) -> None:
    inputs = tuple(
        Input(
            name=f"in {rank}",
            content="c+1",
            maker=Held(task=f"m{rank}", root="j", name="", state="complete") if made else None,
        )
        for rank, made in enumerate(makers)
    )
    own = Held(task="own", root="j", name="own", state="copied")
    held = tuple(Held(task=f"h{rank}", root="j", name="a" * 50, state="copied") for rank in range(holders))
    found = Lineage(
        own=own,
        queued_by=None,
        inputs=inputs,
        more_inputs=False,
        execution=execution() if runs else None,
        holders=held,
        more_holders=False,
        children=0,
    )
    drawn = picture(found)
    assert sum(box.is_own for box in drawn.boxes) == 1
    places = {(box.x, box.y) for box in drawn.boxes}
    assert len(places) == len(drawn.boxes)
    for box in drawn.boxes:
        assert 0 < box.x < drawn.width
        assert 0 < box.y <= drawn.height - BOX_HEIGHT
    assert len(drawn.lines) == sum(makers) + (len(makers) + holders + 1 if runs else 0)


# --- Nodes ------------------------------------------------------------------------------------------------------------


def test_nodes_are_as_they_said_last() -> None:
    log = memory_log()
    log.create(COUNTS)
    place = Place(Topic.WORK, 0)

    def say(*records: object) -> None:
        log.append([Append(place, "default", encode(record)) for record in records])

    fleet = Fleet()
    about = {"pool": "default", "incarnation": "i1"}
    say(
        Joined(**about, node="n1", slots=4, cores=8, memory=1_000, scratch=10), Alive(**about, node="n2", tokens=("t",))
    )
    one, two = fleet.look(log).nodes
    assert (one.name, one.slots, one.held, one.is_paused) == ("n1", 4, 0, False)
    assert (two.name, two.slots, two.held) == ("n2", None, 1)
    say(Alive(**about, node="n1", tokens=("a", "b"), pausing=True), Draining(**about, node="n2"))
    log.append([Append(place, "default", b"garbage")])
    one, two = fleet.look(log).nodes
    assert (one.held, one.is_paused, two.is_draining) == (2, True, True)
    say(
        Alive(**about, node="n1"),
        Paused(**about, node="n1"),
        Joined(**about, node="n2", slots=1, cores=1, memory=1, scratch=1),
    )
    seen = fleet.look(log)
    assert [(node.is_paused, node.is_draining) for node in seen.nodes] == [(True, False), (False, False)]
    assert seen.behind == 0
    latest = Fleet(newest=1).look(log)
    assert [node.name for node in latest.nodes] == ["n2"]
    assert heard_at(latest, "n2") == latest.nodes[0].alive_at > 0
    assert heard_at(latest, "n1") is heard_at(None, "n2") is None
