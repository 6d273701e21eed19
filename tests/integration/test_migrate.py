"""History of an Arvados v1 cluster: what is taken over, what is given to others, and what a killed migration leaves."""

import json
import signal
from collections import Counter

import msgspec
import pytest

from coordinator import taskspec
from coordinator.ids import first_task_uuid
from coordinator.resolver import ResolvedCode, ResolvedImage
from gateway.client import Client
from gateway.content import store_of
from gateway.migration.known import NOWHERE
from gateway.migration.source import open_history
from gateway.problems import Problem
from readmodel import queries
from readmodel.sight import view
from schemas.tasks import JobSubmitted
from schemas.topics import Topic
from store.words import FOLDER
from tests.support.arvados_cluster import COMMIT, IMAGE_ID, Cluster
from tests.support.crunch import Crunch, one_line


@pytest.fixture(scope="module")
def crunch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("migrate")
    (folder / "home").mkdir()
    made = Crunch(folder / "home", folder / "data")
    with made.up("--no-dispatch"):
        yield made


@pytest.fixture
def cluster(dsn):
    made = Cluster(dsn)
    yield made
    made.close()


@pytest.fixture
def saved(crunch, tmp_path):
    """Puts a text into the store; the portable data hash of the collection that holds it."""

    def save(text):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "out.txt").write_text(text)
        return store_of(crunch.session().folders).save_directory(folder).portable_data_hash

    return save


def migrate(crunch, source, *options):
    return crunch.run("migrate", str(source), "--json", *options)


def everything(crunch):
    """All that a dry run could change: the log, the read model, the store."""
    with Client(crunch.session()) as client:
        log = [client.log.end(place) for place in places(client.log)]
        jobs = client.rows.execute("select count(*) from rm.jobs").fetchall()
    found = crunch.session().folders.store.rglob("*")
    files = sorted(str(path) for path in found if FOLDER not in path.parts)  # words of tasks come and go
    caches = sorted(str(path) for path in crunch.session().folders.cache.rglob("*"))
    return log, jobs, files, caches


def places(log):
    from streams.replaying import places_of

    return [place for topic in Topic for place in places_of(log, topic)]


class Lab:
    """Names as the lab's jobs give them, resolved to what the cluster had."""

    def code(self, _repository, commit):
        return ResolvedCode(commit, NOWHERE, {"commit": commit})

    def image(self, _name):
        return ResolvedImage(IMAGE_ID, {"image": IMAGE_ID})

    def input(self, _field, reference):
        return reference

    def path(self, _field, reference):
        return reference.partition("/")[0]


def submitted(crunch, **fields):
    """The same job, asked for here; its first task once it is decided."""
    described = {"script": "crunch_scripts/hash.py", "repository": "lab", "commit": COMMIT, "verdict": "record"}
    spec = taskspec.job(described | {"image": "lab/tools", "is_pure": True} | fields, resolver=Lab())
    root = taskspec.job_digest("here", spec)[:20]
    with Client(crunch.session()) as client:
        owner = client.user(None).uuid
        client.ask(Topic.TASKS, JobSubmitted(root=root, owner=owner, request=root, spec=spec))

        def decided(one):
            task = queries.task(one.rows, owner, first_task_uuid(root))
            return task if task and (task.state == "copied" or task.decision == "granted") else None

    return crunch.until(decided)


def me(crunch):
    with Client(crunch.session()) as client:
        return client.user(None).name


def count(crunch, sql, *values):
    with Client(crunch.session()) as client:
        [[number]] = client.rows.execute(sql, values).fetchall()
    return number


@pytest.fixture
def pure(cluster):
    """The cluster knows purity: it ran with the proposal's column."""
    with cluster._connection.cursor() as cursor:
        cursor.execute("alter table job_tasks add column is_pure boolean not null default false")
    return cluster


def test_a_dry_run_says_what_would_come_of_it_and_changes_nothing(crunch, pure, saved):
    image, output = pure.image(), saved("dry")
    job = pure.job(docker_image_locator=image, script_parameters={"genome": "dry"})
    pure.task(job, {"n": 1}, output, is_pure=True)
    pure.task(job, {"n": 2}, f". {'d' * 32}+3 0:3:gone.txt\n", is_pure=True)
    pure.job("Running")
    before = everything(crunch)
    report = migrate(crunch, pure.dsn, "--dry-run").json
    assert everything(crunch) == before
    assert (report["jobs"], report["imported"], report["left"]) == (2, 1, {"it has not ended": 1})
    assert (report["tasks"], report["reusable"], report["reasons"]) == ({"complete": 2}, 1, {"output": 1})


def test_finished_pure_tasks_are_given_to_who_asks_for_the_same(crunch, pure, saved):
    image, output = pure.image(), saved("one")
    job = pure.job(docker_image_locator=image, script_parameters={"genome": "hg19"}, output=output)
    task = pure.task(job, {}, output, is_pure=True)
    report = migrate(crunch, pure.dsn, "--owner", me(crunch)).json
    assert (report["imported"], report["reusable"], report["owners"]) == (1, 1, {})
    copied = submitted(crunch, parameters={"genome": "hg19"})
    assert (copied.state, copied.output, copied.reused_from.task) == ("copied", output, task)
    assert submitted(crunch, parameters={"genome": "hg38"}).state == "claimed"
    shown = crunch.run("job", job).out
    assert "complete" in shown
    assert task in crunch.run("explain", task).out
    again = migrate(crunch, pure.dsn, "--owner", me(crunch)).json
    assert (again["imported"], again["before"]) == (0, 1)


def test_the_rest_is_history_and_keeps_its_reason(crunch, pure, saved):
    image, output = pure.image(), saved("rest")
    old = pure.image("e" * 32 + "+100", "f" * 64 + ".tar")
    jobs = {
        "image": pure.job(),
        "image ": pure.job(docker_image_locator=old),
        "image  ": pure.job(docker_image_locator="9" * 32 + "+9"),
        "commit": pure.job(docker_image_locator=image, script_version="master"),
        "script_parameters": pure.job(docker_image_locator=image, script_parameters="--- !not [ yaml"),
        "output": pure.job(docker_image_locator=image),
        "parameters.input": pure.job(docker_image_locator=image),
        "children": pure.job(docker_image_locator=image, script_parameters={"genome": "children"}),
    }
    for what, job in jobs.items():
        gone = "8" * 32 + "+8"
        parameters = {"input": f"{gone}/reads.fastq"} if what.startswith("parameters") else {}
        first = pure.task(job, parameters, gone if what == "output" else output, is_pure=True)
        if what == "children":
            pure.task(job, {"n": 1}, output, is_pure=True, sequence=1, created_by_job_task_uuid=first)
    said = migrate(crunch, pure.dsn, "--owner", me(crunch))
    assert said.code == 0
    assert said.json["reasons"] == {**Counter(what.strip() for what in jobs)}
    assert said.json["reusable"] == 1
    for what, job in jobs.items():
        [kept] = [t.ineligible for t in crunch.tasks(job) if not t.created_by]
        assert kept.startswith(f"{what.strip()}: "), kept


def test_how_jobs_ended_and_when_is_as_it_was(crunch, cluster):
    jobs = {state: cluster.job(state) for state in ("Complete", "Failed", "Cancelled")}
    old = cluster.job(
        None, success=True, script_parameters="--- !ruby/hash:ActiveSupport::HashWithIndifferentAccess\na: 1\n"
    )
    for job in jobs.values():
        cluster.task(job, "---\nn: 1\n", "")
    cluster.task(jobs["Failed"], success=False, output=None)
    cluster.task(jobs["Cancelled"], success=None, output=None, finished_at=None)
    report = migrate(crunch, cluster.dsn).json
    assert report["tasks"] == {"complete": 3, "failed": 1, "cancelled": 1}
    assert list(report["owners"].values()) == [4]
    with Client(crunch.session()) as client:
        found = client.rows.execute(
            "select root, state, started_at, finished_at, created_at from rm.jobs where root = any(%s)",
            ([*jobs.values(), old],),
        ).fetchall()
    moment = 1_425_211_200_000
    assert {root: (state, *times) for root, state, *times in found} == {
        old: ("complete", moment, moment, moment),
        **{uuid: (state.lower(), moment, moment, moment) for state, uuid in jobs.items()},
    }


def test_an_export_is_as_good_as_the_database_and_what_disagrees_is_a_conflict(crunch, pure, saved, tmp_path):
    image = pure.image()
    for text in ("this", "that"):
        job = pure.job(docker_image_locator=image, script_parameters={"genome": "conflict"})
        pure.task(job, {}, saved(text), is_pure=True)
    report = migrate(crunch, pure.export(tmp_path / "cluster.jsonl"), "--owner", me(crunch)).json
    assert (report["imported"], report["reusable"], report["conflicts"]) == (2, 2, 1)
    asked = submitted(crunch, parameters={"genome": "conflict"})
    assert (asked.state, asked.why) == ("claimed", "conflict")
    assert migrate(crunch, pure.dsn).json["before"] == 2


def test_a_script_that_is_assumed_pure_is_so_for_what_it_made_before(crunch, cluster, saved):
    from schemas.settings import PureAssumed

    commit = "d" * 40
    with Client(crunch.session()) as client:
        declared = PureAssumed(repository="lab", script="crunch_scripts/old.py", commits=(commit,))
        client.ask(Topic.SETTINGS, declared)
    crunch.until(lambda one: queries.fetch(one.rows, "assumed", None, {}) or None)
    output = saved("assumed")
    job = cluster.job(script="old.py", script_version=commit, docker_image_locator=cluster.image())
    task = cluster.task(job, {}, output)
    assert migrate(crunch, cluster.dsn, "--owner", me(crunch)).json["reusable"] == 1
    asked = {"script": "crunch_scripts/old.py", "commit": commit, "parameters": {"genome": "hg19"}, "is_pure": False}
    assert submitted(crunch, **asked).reused_from.task == task


def test_a_migration_that_is_killed_goes_on_when_it_is_run_again(crunch, cluster):
    jobs = [cluster.job() for _ in range(200)]
    for job in jobs:
        for number in range(3):
            cluster.task(job, {"n": number}, "")
    running = crunch.start("migrate", cluster.dsn)
    ended = "select count(*) from rm.jobs where root = any(%s) and state = 'complete'"

    def some_are_here(client):
        [[number]] = client.rows.execute(ended, (jobs,)).fetchall()
        return number >= 5 or None

    crunch.until(some_are_here)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert 5 <= count(crunch, ended, jobs) < len(jobs), "it was not killed midway"
    report = migrate(crunch, cluster.dsn).json
    assert report["imported"] + report["before"] == len(jobs) == count(crunch, ended, jobs)
    assert count(crunch, "select count(*) from rm.job_tasks where root = any(%s) and state = 'complete'", jobs) == 600
    audit = crunch.run("audit", "verify")
    assert audit.code == 0, audit.out


# --- Whom it belongs to -----------------------------------------------------------------------------------------------


def readers(crunch, job):
    """Login names of who may read a job here, admins aside."""
    with Client(crunch.session()) as client:
        [[owner]] = client.rows.execute("select owner from rm.jobs where root = %s", (job,)).fetchall()
        known = view(client.rows)
        ordinary = [user for user in queries.users(client.rows) if not user.is_admin]
        return {user.name for user in ordinary if known.can_read(user.uuid, owner)}


def test_history_is_read_here_by_who_read_it_there(crunch, cluster):
    people = {name: cluster.user(name) for name in ("ann", "bea", "cem", "dan", "eli")}
    root = cluster.user(None, uuid="zzzzz-tpzed-000000000000000", is_admin=True)
    project = cluster.group(people["ann"])
    inner = cluster.group(project, "inner")
    team = cluster.group(root, "team")  # whose owner reads what it was granted
    trashed = cluster.group(people["ann"], "old", is_trashed=True)
    cluster.group(trashed, "within")
    cluster.link(people["bea"], "can_read", team)
    cluster.link(team, "can_write", project)
    cluster.link(people["cem"], "can_manage", people["bea"])
    cluster.link(people["dan"], "can_read", people["ann"])  # sees the name, and nothing that is hers
    cluster.link(people["dan"], "can_read", "zzzzz-4zz18-000000000000001")
    cluster.link(people["dan"], "can_login", "zzzzz-2x53u-000000000000001")
    cluster.link(people["eli"], "can_read", project, link_class="tag")
    owners = {"ann": people["ann"], "bea": people["bea"], "project": project, "inner": inner, "old": trashed}
    jobs = {name: cluster.job(owner_uuid=owner) for name, owner in owners.items()}
    before = everything(crunch)
    would = migrate(crunch, cluster.dsn, "--dry-run").json
    assert everything(crunch) == before
    report = migrate(crunch, cluster.dsn).json
    assert report["people"] == would["people"]
    told = report["people"]
    assert (told["users"], told["groups"], told["grants"]) == (6, 3, 3)
    assert told["left"] == {
        "links that open nothing that a user or group owns": 3,
        "groups in the trash": 1,
        "groups whose owner is not known": 1,
    }
    assert told["admins"] == [root]
    assert report["owners"] == would["owners"] == {trashed: 1}
    assert {name: readers(crunch, job) for name, job in jobs.items()} == {
        "ann": {"ann"},
        "bea": {"bea", "cem"},
        "project": {"ann", "bea", root},
        "inner": {"ann", "bea", root},
        "old": set(),
    }
    assert jobs["project"] in crunch.run("jobs", "--as", "bea", "--json").out
    assert jobs["project"] not in crunch.run("jobs", "--as", "dan", "--json").out


def test_what_was_changed_here_since_is_left_as_it_is(crunch, cluster, tmp_path):
    fred, gina = cluster.user("fred"), cluster.user("gina", is_active=False)
    cluster.link(fred, "can_manage", gina)
    first = migrate(crunch, cluster.export(tmp_path / "people.jsonl")).json["people"]
    assert (first["users"], first["grants"], first["before"]) == (2, 1, 0)
    assert crunch.run("grant", "remove", "fred", "gina").code == 0
    assert crunch.run("user", "disable", "fred").code == 0
    hugo = cluster.user("hugo")
    cluster.link(hugo, "can_manage", gina)
    again = migrate(crunch, cluster.dsn).json["people"]
    assert (again["users"], again["grants"], again["before"]) == (1, 1, 3)
    with Client(crunch.session()) as client:
        crunch.until(lambda one: queries.user_named(one.rows, "hugo"))
        known = view(client.rows)
        assert [known.can_read(user, gina) for user in (fred, hugo)] == [False, True]
        assert not known.users[fred].is_active
        assert not known.users[gina].is_active


def test_nobody_is_taken_for_another_and_nobody_is_made_an_admin_unasked(crunch, cluster):
    assert crunch.run("user", "add", "iris").code == 0
    theirs = cluster.user("iris", is_admin=True)
    job = cluster.job(owner_uuid=theirs)
    to_one = migrate(crunch, cluster.dsn, "--owner", me(crunch), "--dry-run").json
    assert (to_one["people"], to_one["owners"]) == (None, {})
    shown = crunch.run("migrate", cluster.dsn)
    assert "iris is iris.zzzzz, as somebody else here is iris" in shown.out
    assert "1 were admins there and are not here: iris.zzzzz" in shown.out
    crunch.until(lambda one: queries.user_named(one.rows, "iris.zzzzz"))
    assert readers(crunch, job) == {"iris.zzzzz"}
    chief = cluster.user("not a login name", is_admin=True)
    migrate(crunch, cluster.dsn, "--admins")
    found = crunch.until(lambda one: queries.user_named(one.rows, chief))
    assert found.is_admin


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "line 1"),
        (json.dumps({"kind": "arvados#human"}), "known are arvados#job"),
        (json.dumps({"kind": "arvados#job", "uuid": 5, "script": []}), "line 1"),
        (json.dumps({"kind": "arvados#job", "uuid": "zzzzz-8i9sb-0", "script": []}), "job zzzzz-8i9sb-0"),
    ],
)
def test_an_export_that_is_none_is_refused_by_line(crunch, tmp_path, content, says):
    path = tmp_path / "export.jsonl"
    path.write_text(content + "\n")
    refused = migrate(crunch, path)
    assert refused.code == 3
    assert says in one_line(refused)


def test_a_source_that_is_none_is_refused(crunch, dsn, tmp_path):
    assert "is it that of an Arvados API server" in one_line(migrate(crunch, dsn))
    assert "No such file" in one_line(migrate(crunch, tmp_path / "missing.jsonl"))
    assert one_line(migrate(crunch, "postgresql://127.0.0.1:1/none")).startswith("crunch-reuse: source: ")


def test_a_source_that_goes_away_is_named(cluster):
    with open_history(cluster.dsn) as history:
        cluster.hang_up()
        for ask in (history.count, lambda: list(history.jobs()), lambda: list(history.users())):
            with pytest.raises(Problem, match=r"^source: .*: see that it answers, and run it again$"):
                ask()


def test_a_job_that_nothing_can_be_made_of_is_left_behind_and_named(crunch, cluster):
    cluster.job(script=None, repository="https://ada:secret@git.example.org/lab")
    said = migrate(crunch, cluster.dsn)
    assert said.code == 1
    [reason] = said.json["left"]
    assert "login" in reason
    assert "secret" not in said.out


def test_times_and_reasons_fit_their_records():
    from gateway.migration.translate import _milliseconds

    assert _milliseconds(None, "2014-10-06T00:00:00.000000000Z") == 1_412_553_600_000
    assert _milliseconds("2014-10-06 00:00:00") == _milliseconds("2014-10-06T02:00:00+02:00")
    assert _milliseconds(None) == 0
    assert msgspec.json.encode(_milliseconds("1969-01-01T00:00:00")) == b"0"
