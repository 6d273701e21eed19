"""Where outputs went, against a closure worked out the slow way from the log: copy by copy, input by input."""

from contextlib import closing
from hashlib import md5
from random import Random

import msgspec
import pytest

from consumers.projector import Projector
from readmodel import spread as spreads
from readmodel.connection import connect
from schemas import tasks as t
from schemas.facts import JobChanged, TaskChanged
from schemas.fields import NULL
from schemas.spec import TaskSpec
from schemas.topics import Topic
from streams.log import Place
from tests.support.office import COUNTS, Office, digest, spec

DEPTH = 5
PEOPLE = [f"user{n}" for n in range(DEPTH + 1)]
GENERATIONS = DEPTH + 2  # not every one is made from the one before


def content(text):
    return f"{md5(text.encode()).hexdigest()}+{len(text)}"


class Village:
    """People in a row, each may read the one before; what they ask for is made from what there is."""

    def __init__(self, seed):
        self.random, self.office = Random(seed), Office()
        for name in PEOPLE:
            self.office.user(name)
        for reader, owner in zip(PEOPLE[1:], PEOPLE, strict=False):
            self.office.may_read(reader, owner)
        self.office.exits = lambda ready: {"output": content(ready.fingerprint)}
        self.jobs, self.asked = [], []

    def generation(self, outputs):
        """Each asks for something made from an output, or for what another asked for."""
        for rank in range(6):
            if rank and self.asked and self.random.random() < 0.5:
                task = self.random.choice(self.asked)
            else:
                inputs = (
                    {"in": self.random.choice(outputs)} if outputs and (not rank or self.random.random() < 0.8) else {}
                )
                task = spec(inputs=digest(f"{inputs}{self.random.randrange(2)}"), name=str(len(self.jobs)))
                task = msgspec.structs.replace(task, inputs=inputs)
                self.asked.append(task)
            self.asks(self.random.choice(PEOPLE), task)

    def hands_down(self, name):
        """Each asks in turn for the same, and is given it by the one before."""
        for owner in PEOPLE:
            self.asks(owner, spec(inputs=name))

    def asks(self, owner, task):
        root = f"job-{len(self.jobs)}"
        self.jobs.append(root)
        self.office.submit(owner, root, task)
        self.office.run()
        self.office.assembled(root, content(root))
        self.office.run()

    def records(self, topic):
        return [body for n in range(COUNTS[topic]) for body in self.office.read(Place(topic, n))]


class Closure:
    """All that an execution's output reached, one edge at a time."""

    def __init__(self, village):
        self.output, self.inputs, self.root, self.copies, self.made_by = {}, {}, {}, {}, {}
        for fact in village.records(Topic.FACTS):
            self._hear(fact)
        for record in village.records(Topic.TASKS):
            self._read(record)

    def _hear(self, fact):
        if isinstance(fact, TaskChanged):
            self.root[fact.task] = fact.root
            if fact.spec != NULL:
                self.inputs[fact.task] = set(msgspec.json.decode(fact.spec, type=TaskSpec).inputs.values())
        elif isinstance(fact, JobChanged) and fact.output:
            self.output["job", fact.root] = fact.output

    def _read(self, record):
        if isinstance(record, t.TaskCompleted):
            self.made_by[record.token] = record.task
        if isinstance(record, t.TaskCopied):
            self.copies.setdefault(record.source, set()).add(record.task)
        if isinstance(record, t.TaskCompleted | t.TaskCopied):
            self.output["task", record.task] = record.output

    def of(self, token):
        """Tasks and jobs reached from an execution."""
        ahead = [("task", self.made_by[token])]
        reached = set()
        while ahead:
            thing = ahead.pop()
            if thing not in reached:
                reached.add(thing)
                ahead += self.next(*thing)
        return reached

    def next(self, kind, name):
        read = self.output.get((kind, name))
        yield from (("task", task) for task, inputs in self.inputs.items() if read in inputs)
        if kind == "task":
            yield "job", self.root[name]
            yield from (("task", task) for task in self.copies.get(name, ()))

    def copied_on(self, task):
        """How many copies of copies follow each other from this task on."""
        return max((1 + self.copied_on(copy) for copy in self.copies.get(task, ())), default=0)


@pytest.mark.parametrize("seed", range(3))
def test_all_that_received_an_output_is_found_and_nothing_else(dsn, seed):
    village = Village(seed)
    village.hands_down("early")
    outputs = sorted(Closure(village).output.values())
    for _ in range(GENERATIONS):
        before = set(Closure(village).output.values())
        village.generation(outputs)
        outputs = sorted(set(Closure(village).output.values()) - before)
    closure = Closure(village)
    sizes, depths = [], []
    with closing(Projector(village.office.log, dsn)) as projector, closing(connect(dsn)) as connection:
        projector.catch_up()
        for token in closure.made_by:
            found = spreads.spread(connection, [token])
            reached = {("task", one.task.task) for one in found.tasks} | {("job", one.root) for one in found.jobs}
            assert reached == closure.of(token)
            sizes.append(len(reached))
            depths.append(max(one.depth for one in found.tasks))
    assert max(depths) >= DEPTH
    assert max(map(closure.copied_on, closure.made_by.values())) >= DEPTH
    assert len(set(sizes)) > 3


def test_several_executions_together_are_their_union(dsn):
    village = Village(99)
    for _ in range(3):
        village.generation(sorted(Closure(village).output.values()))
    closure = Closure(village)
    tokens = sorted(closure.made_by)[:3]
    with closing(Projector(village.office.log, dsn)) as projector, closing(connect(dsn)) as connection:
        projector.catch_up()
        found = spreads.spread(connection, tokens)
    reached = {("task", one.task.task) for one in found.tasks} | {("job", one.root) for one in found.jobs}
    assert reached == set().union(*map(closure.of, tokens))
    assert set(found.tokens[:3]) == set(tokens)


# --- Which executions -------------------------------------------------------------------------------------------------


@pytest.fixture
def judged(model):
    """Two executions on different nodes' terms: another script, another commit, another image."""
    office = model.office
    one = msgspec.structs.replace(spec("one"), script="crunch_scripts/align.py", commit="a" * 40, image="sha256:1")
    two = msgspec.structs.replace(spec("two", script="x"), script="sort.py", commit="b" * 40, image_name="python")
    office.submit("ada", "job-1", one)
    office.run()
    office.submit("ada", "job-2", two)
    office.run()
    office.submit("eve", "job-3", spec("mine", is_pure=False, inputs="z"))
    office.run()
    return model


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"script": "align.py"}, ["job-1"]),
        ({"script": "crunch_scripts/align.py", "commits": ("a" * 40, "c" * 40)}, ["job-1"]),
        ({"script": "align.py", "commits": ("b" * 40,)}, []),
        ({"commits": ("b" * 40,)}, ["job-2"]),
        ({"image": "python"}, ["job-2"]),
        ({"image": "sha256:1"}, ["job-1"]),
        ({"node": "n1"}, ["job-1", "job-2", "job-3"]),
        ({"node": "n2"}, []),
        ({"since": 2**45}, []),
        ({"until": 0}, []),
        ({"since": 0, "until": 2**45, "node": "n1"}, ["job-1", "job-2", "job-3"]),
    ],
)
def test_executions_are_selected_by_all_that_is_given(judged, asked, found):
    assert [one.root for one in judged.ask(spreads.chosen, spreads.Selection(**asked))] == found


def test_executions_are_selected_by_task_fingerprint_and_a_window_of_time(judged):
    task = judged.task("ada", "job-2")
    [one] = judged.ask(spreads.chosen, spreads.Selection(task=task.task))
    assert one.root == "job-2"
    assert judged.ask(spreads.chosen, spreads.Selection(fingerprint=task.fingerprint)) == [one]
    window = spreads.Selection(since=one.running_at, until=one.ended_at)
    assert [chosen.root for chosen in judged.ask(spreads.chosen, window)] == ["job-2"]


def test_who_waits_will_receive_it(model):
    model.office.submit("ada", "job-1", spec("one"))
    model.office.settle()
    model.office.submit("ada", "job-2", spec("two"))
    model.office.settle()
    [one] = model.ask(spreads.chosen, spreads.Selection(node=None, task=model.task("ada", "job-1").task))
    found = model.ask(spreads.spread, [one.token])
    assert [(each.task.root, each.how) for each in found.tasks] == [("job-2", "waits")]


def test_empty_outputs_lead_nowhere(model):
    model.office.exits = lambda ready: {"output": spreads.NOTHING[1]}
    model.office.submit("ada", "job-1", spec("one"))
    model.office.run()
    reads = msgspec.structs.replace(spec("two", inputs="e"), inputs={"in": spreads.NOTHING[1]})
    model.office.submit("ada", "job-2", reads)
    model.office.run()
    found = model.ask(spreads.spread, [model.task("ada", "job-1").token])
    assert [one.root for one in found.jobs] == ["job-1"]
