"""What the store has to keep: content that only one thing in the read model names, and that somebody may still need."""

from contextlib import closing

import pytest
from msgspec.structs import replace

from consumers.projector import Projector
from readmodel import queries, registry
from readmodel.connection import connect
from readmodel.references import oldest_grant, referenced
from readmodel.sight import Sight
from tests.support.office import Office, spec


def pdh(digit: str) -> str:
    return digit * 32 + "+50"


@pytest.fixture
def connection(dsn):
    with closing(connect(dsn)) as connection:
        registry.prepare(connection)
        yield connection


def project(office: Office, dsn: str) -> None:
    with closing(Projector(office.log, dsn)) as projector:
        projector.catch_up()


def test_what_only_a_jobs_own_parameters_name_stays_until_it_is_deleted(dsn, connection):
    office = Office()
    office.submit("ada", "job-1", spec("first"), {"reads": f"{pdh('a')}/x"})
    office.run()
    project(office, dsn)
    assert pdh("a") in referenced(connection)
    registry.execute(connection, "delete_noted", {"uuid": "job-1", "now": 1})
    assert pdh("a") not in referenced(connection)


def test_what_the_tasks_below_an_entry_read_stays_although_their_job_was_deleted(dsn, connection):
    office = Office()
    child = replace(spec("child", inputs="1", sequence=1, code=pdh("c")), inputs={"x": pdh("b")})
    office.children = lambda ready: [child] if b'"name":"first"' in bytes(ready.spec) else []
    office.submit("ada", "job-1", spec("first"))
    office.run()
    project(office, dsn)
    registry.execute(connection, "delete_noted", {"uuid": "job-1", "now": 1})
    assert {pdh("b"), pdh("c")} <= set(referenced(connection))
    connection.execute("update rm.tasks set status = 'invalidated'")
    assert not {pdh("b"), pdh("c")} & set(referenced(connection))


def test_what_a_running_execution_reported_stays(dsn, connection):
    project(Office(), dsn)
    said = {"task": "task-1", "token": "t1", "said": f'{{"output": "{pdh("d")}"}}'}
    registry.execute(connection, "add_report", said)
    assert pdh("d") not in referenced(connection)
    assert oldest_grant(connection) is None
    connection.execute("insert into rm.tasks (token, fingerprint, status, granted_at) values ('t1', 'f', 'running', 7)")
    assert pdh("d") in referenced(connection)
    assert oldest_grant(connection) == 7


def test_a_parameter_that_would_be_taken_for_the_viewers_sight_is_refused(connection):
    asked, viewers = {"owner": "ada"}, Sight(everything=True, owners=[])
    statement = b"select %(everything)s as everything, %(owner)s as owner"
    assert queries.select(connection, statement, viewers, asked) == [{"everything": True, "owner": "ada"}]
    for clash in viewers._fields:
        with pytest.raises(AssertionError, match="sight"):
            queries.select(connection, statement, viewers, asked | {clash: None})


def test_what_was_only_written_down_is_told_from_what_the_store_has_had(dsn, connection):
    office = Office()
    office.submit("ada", "job-1", spec("first"), {"reads": f"{pdh('a')}/x"})
    office.exits = lambda ready: {"output": pdh("b")}
    office.run()
    project(office, dsn)
    assert referenced(connection) == {pdh("a"): False, pdh("b"): True}
    registry.execute(connection, "add_report", {"task": "task-1", "token": "t1", "said": f'{{"output": "{pdh("a")}"}}'})
    connection.execute("insert into rm.tasks (token, fingerprint, status, granted_at) values ('t1', 'f', 'running', 7)")
    assert referenced(connection)[pdh("a")], "a task that runs has written it"
