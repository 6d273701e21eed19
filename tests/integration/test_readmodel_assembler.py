"""The assembler: a job's output is its tasks' outputs in tree order, whoever joins them and however often."""

from contextlib import closing
from threading import Event, Thread

import pytest

from consumers import assembler
from consumers.assembler import Assembler, ReadModelDrifted
from consumers.projector import Projector
from readmodel import queries
from readmodel.connection import connect
from readmodel.references import referenced
from readmodel.story import job_log
from readmodel.watch import Watch
from schemas.spec import JobSpec
from schemas.tasks import JobAssembled, JobCancelled, JobImported, TaskImported
from schemas.topics import Topic
from store.blocks import BlockStore
from store.collections import CollectionStore
from streams.log import Place
from tests.support.office import Office, spec


class Bench:
    """An office whose tasks leave real outputs: `leave[name]` is path to content."""

    def __init__(self, dsn, folder):
        self.store = CollectionStore(BlockStore.create(folder / "store"))
        self.folder = folder
        self.leave = {}
        self.queue = {}
        self.office = Office()
        self.office.exits = lambda ready: {"output": self.save(self.leave.get(self.name(ready), {}))}
        self.office.children = lambda ready: self.queue.get(self.name(ready), [])
        self.projector = Projector(self.office.log, dsn)
        self.assembler = Assembler(self.office.log, dsn, self.store)
        self.connection = connect(dsn)

    def name(self, ready):
        known = {*self.leave, *self.queue}
        return next((name for name in known if f'"name":"{name}"'.encode() in bytes(ready.spec)), "")

    def save(self, files):
        paths = {}
        for rank, (path, content) in enumerate(files.items()):
            paths[path] = self.folder / f"file{rank}"
            paths[path].write_text(content)
        return self.store.save_files(paths).portable_data_hash

    def run(self):
        """Until the job's tasks are done and the read model knows it."""
        self.office.run()
        self.projector.catch_up()

    def job(self, root):
        self.run()
        return queries.job(self.connection, "ada", root)

    def said(self):
        return [b for n in (0, 1) for b in self.office.read(Place(Topic.TASKS, n)) if isinstance(b, JobAssembled)]

    def close(self):
        self.assembler.close()
        self.projector.close()
        self.connection.close()


@pytest.fixture
def bench(dsn, tmp_path):
    with closing(Bench(dsn, tmp_path)) as bench:
        yield bench


def test_outputs_are_joined_in_tree_order_whatever_order_they_came_in(bench):
    bench.queue["split"] = [spec("a", inputs="1", sequence=2), spec("b", inputs="2", sequence=1)]
    bench.leave = {"a": {"all.txt": "from a\n", "a.txt": "a"}, "b": {"all.txt": "from b\n"}}
    bench.office.submit("ada", "job-1", spec("split"))
    bench.run()
    assert bench.assembler.step() == 1
    job = bench.job("job-1")
    assert job.state == "complete"
    assert [file.path for file in bench.store.files(job.output)] == ["a.txt", "all.txt"]
    with bench.store.open(job.output, "all.txt") as file:
        assert file.read() == b"from a\nfrom b\n"
    assert bench.assembler.step() == 0


def test_a_jobs_log_tells_what_became_of_it_and_what_its_tasks_wrote(bench):
    bench.queue["split"] = [spec("a", inputs="1", sequence=1), spec("b", inputs="2", sequence=1)]
    bench.leave = {"a": {}, "b": {}}
    logs = {"split": "dividing\n", "a": "words of a\n", "b": ""}
    bench.office.exits = lambda ready: {
        "output": bench.save({}),
        "log": bench.save({"log.txt": logs[bench.name(ready)]}),
    }
    bench.office.submit("ada", "job-1", spec("split"))
    bench.run()
    bench.assembler.step()
    job = bench.job("job-1")
    assert [file.path for file in bench.store.files(job.log)] == ["job-1.log.txt"]
    assert job.log in referenced(bench.connection)
    with bench.store.open(job.log, "job-1.log.txt") as file:
        lines = file.read().decode().splitlines()
    assert lines[0].endswith(" job-1 job queued")
    assert f"job-1 the output is {job.output}" in lines
    told = lines[next(rank for rank, line in enumerate(lines) if line.startswith("---")) :]
    assert [line for line in told if not line.startswith("---")] == ["dividing", "words of a"]
    assert len(told) == 5


def test_a_cancelled_job_has_a_log_and_no_output(bench):
    bench.queue["split"] = [spec("a", inputs="1", sequence=1)]
    bench.office.exits = lambda ready: {"output": bench.save({"x": "x"}), "log": bench.save({"log.txt": "dividing\n"})}
    bench.office.submit("ada", "job-1", spec("split"))
    bench.office.say(Topic.TASKS, JobCancelled(root="job-1"))
    bench.run()
    assert bench.assembler.step() == 1
    job = bench.job("job-1")
    assert (job.state, job.output) == ("cancelled", "")
    assert job.log in referenced(bench.connection)
    with bench.store.open(job.log, "job-1.log.txt") as file:
        lines = file.read().decode().splitlines()
    assert [line for line in lines if line.endswith("job cancelled: cancelled")] != []
    assert "job-1 the output is none: the job was cancelled" in lines
    assert bench.assembler.step() == 0
    told = [line.text for line in job_log(bench.connection, "ada", "job-1")]
    assert sum(line.startswith("job cancelled") for line in told) == 1


def test_who_waits_for_an_output_does_not_wait_for_the_logs_of_cancelled_jobs(bench, monkeypatch):
    monkeypatch.setattr(assembler, "AT_ONCE", 1)
    for rank in range(3):
        bench.office.submit("ada", f"job-{rank}", spec(f"cancelled {rank}", inputs=f"{rank}"))
        bench.office.cancel(f"job-{rank}")
    bench.office.submit("ada", "job-9", spec("wanted", inputs="9"))
    bench.run()
    assert bench.assembler.step() == 4
    assert [said.root for said in bench.said()] == ["job-9"]
    for left in (3, 2, 1, 0):
        bench.run()
        assert bench.assembler.step() == left
    assert sorted(said.root for said in bench.said()) == ["job-0", "job-1", "job-2", "job-9"]


def test_a_cancelled_job_of_another_system_is_left_as_it_came(bench):
    job = JobImported(
        root="job-1", owner="ada", request="there", spec=JobSpec(task=spec("first")), state="cancelled", tasks=1
    )
    task = TaskImported(root="job-1", task="job-1-first", spec=spec("first"), state="cancelled")
    for record in (job, task):
        bench.office.say(Topic.TASKS, record)
    assert bench.job("job-1").state == "cancelled"
    assert bench.assembler.step() == 0


def test_a_jobs_log_names_nothing_of_others_and_is_made_without_what_is_gone(bench):
    for name in ("ada", "ben"):
        bench.office.user(name)
    bench.office.may_read("ben", "ada")
    gone = "0123456789abcdef0123456789abcdef+7"
    bench.office.exits = lambda ready: {"output": bench.save({}), "log": gone}
    for name, root in (("ada", "job-1"), ("ben", "job-2")):
        bench.office.submit(name, root, spec("same", inputs="1"))
        bench.run()
    bench.assembler.step()
    bench.run()
    job = queries.job(bench.connection, "ben", "job-2")
    with bench.store.open(job.log, "job-2.log.txt") as file:
        text = file.read().decode()
    assert "copied output from an earlier execution" in text
    assert "job-1" not in text
    assert f"(its log can't be read: block {gone}" in text


def test_an_assembler_that_forgot_says_the_same_again_and_nothing_follows(bench, dsn):
    bench.leave["only"] = {"x": "1"}
    bench.office.submit("ada", "job-1", spec("only"))
    bench.run()
    bench.assembler.step()
    bench.assembler.step()
    with closing(Assembler(bench.office.log, dsn, bench.store)) as another:
        another.step()
    first, second = bench.said()
    assert first == second
    assert bench.job("job-1").output == first.output


def test_outputs_that_cannot_be_joined_fail_the_job_with_the_reason(bench):
    bench.queue["split"] = [spec("a", inputs="1", sequence=1), spec("b", inputs="2", sequence=1)]
    bench.leave = {"a": {"x": "a file"}, "b": {"x/y": "below a directory of that name"}}
    bench.office.submit("ada", "job-1", spec("split"))
    bench.run()
    bench.assembler.step()
    job = bench.job("job-1")
    assert (job.state, job.reason, job.output) == ("failed", "outputs_not_joined", "")
    assert job.detail.startswith("the outputs of its tasks can't be joined: ")


def test_an_output_whose_block_is_gone_fails_the_job(bench):
    bench.office.exits = lambda ready: {"output": "0123456789abcdef0123456789abcdef+7"}
    bench.office.submit("ada", "job-1", spec("only"))
    bench.run()
    bench.assembler.step()
    assert "0123456789abcdef0123456789abcdef+7 is not in the store" in bench.job("job-1").detail


def test_a_failed_jobs_outputs_are_joined_too(bench):
    bench.queue["split"] = [spec("bad", inputs="1", sequence=1)]
    bench.leave["split"] = {"x": "1"}
    fine = bench.office.exits
    bench.office.exits = lambda ready: {"exit_code": 1} if bench.name(ready) == "" else fine(ready)
    bench.office.submit("ada", "job-1", spec("split"))
    bench.run()
    bench.assembler.step()
    job = bench.job("job-1")
    assert (job.state, job.reason) == ("failed", "permanent_failure")
    assert [file.path for file in bench.store.files(job.output)] == ["x"]


def test_it_wakes_when_a_job_comes_to_be_assembled_also_after_postgres_hung_up(bench):
    stop = Event()
    thread = Thread(target=bench.assembler.run, args=(stop,))
    thread.start()
    watch = Watch(bench.connection)
    bench.connection.execute("select pg_terminate_backend(%s)", (bench.assembler._connection.info.backend_pid,))
    bench.office.submit("ada", "job-1", spec("only"))

    def is_complete():
        bench.run()
        job = queries.job(bench.connection, "ada", "job-1")
        return job if job and job.state == "complete" else None

    # Only this thread projects what the assembler says, so nobody else wakes it when that is there.
    assert any(watch.until(is_complete, timeout=0.2) for _ in range(300))
    stop.set()
    bench.projector.catch_up()
    thread.join()


def test_a_read_model_that_lost_rows_is_not_joined(bench):
    bench.office.submit("ada", "job-1", spec("only"))
    bench.run()
    bench.connection.execute("delete from rm.job_tasks")
    with pytest.raises(ReadModelDrifted, match="job job-1 has 1 tasks, the read model has 0: rebuild it from the log"):
        bench.assembler.step()


def test_waiting_for_what_does_not_come_ends(bench):
    assert Watch(bench.connection).until(lambda: None, timeout=0.01) is None
