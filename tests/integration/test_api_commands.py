"""Commands of the API and their answers, where Postgres is not always there."""

import threading
from contextlib import closing

import psycopg
import pytest

from gateway.api import commands
from gateway.api.commands import Commands
from readmodel import queries
from readmodel.connection import connect, reconnect
from schemas.reasons import Outcome
from schemas.settings import UserSet
from schemas.topics import Topic

SOON = 20.0


class Hasty:
    """A log whose records are decided and projected before who appended them hears where they stand."""

    def __init__(self, model):
        self.model, self.is_heard = model, threading.Event()

    def clone(self):
        return self

    def close(self):
        pass

    def append(self, records):
        offsets = self.model.office.log.append(records)
        self.model.office.settle()
        self.model.projector.catch_up()
        assert self.is_heard.wait(SOON)
        return offsets

    def __getattr__(self, name):
        return getattr(self.model.office.log, name)


@pytest.fixture
def look(dsn):
    """Whether an answer is there, by another connection."""
    with closing(connect(dsn)) as rows:
        yield lambda command: queries.answer(rows, *command)


def test_it_is_heard_again_however_long_postgres_was_away(model, dsn, postgres_server, monkeypatch, look):
    tries, away = [], threading.Event()

    def trying(where, _patience):
        tries.append(where)
        if len(tries) == 3:
            away.set()
        return reconnect(where, 0)

    hasty = Hasty(model)
    hasty.is_heard.set()
    monkeypatch.setattr(commands, "reconnect", trying)
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(postgres_server, autocommit=True) as server, closing(Commands(hasty, dsn)) as asked:
        server.execute(f'alter database "{name}" with allow_connections false')
        server.execute("select pg_terminate_backend(%s)", (asked._listening.info.backend_pid,))
        assert away.wait(SOON), "it gave up"
        server.execute(f'alter database "{name}" with allow_connections true')
        answer = asked.ask(Topic.SETTINGS, UserSet(user="zoe", name="zoe"), look)
        assert answer.outcome == Outcome.DONE


def test_an_answer_that_is_there_before_anybody_waits_for_it_is_found(model, dsn, monkeypatch, look):
    hasty = Hasty(model)
    with closing(Commands(hasty, dsn)) as asked:
        handed = asked._hand_out

        def hand_out():
            handed()
            hasty.is_heard.set()

        monkeypatch.setattr(asked, "_hand_out", hand_out)
        monkeypatch.setattr(commands, "PATIENCE", SOON)
        answer = asked.ask(Topic.SETTINGS, UserSet(user="zoe", name="zoe"), look)
        assert answer.outcome == Outcome.DONE
        assert not asked._waiting
