"""Commands of the API and their answers, where Postgres is not always there."""

import threading
from contextlib import closing

import psycopg

from gateway.api import commands
from gateway.api.commands import Commands
from readmodel.connection import reconnect
from schemas.reasons import Outcome
from schemas.settings import UserSet
from schemas.topics import Topic

SOON = 20.0


def test_it_is_heard_again_however_long_postgres_was_away(model, dsn, postgres_server, monkeypatch):
    tries, away = [], threading.Event()

    def trying(where, _patience):
        tries.append(where)
        if len(tries) == 3:
            away.set()
        return reconnect(where, 0)

    def projected(_command):
        model.office.settle()
        model.projector.catch_up()

    monkeypatch.setattr(commands, "reconnect", trying)
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(postgres_server, autocommit=True) as server, closing(Commands(model.office.log, dsn)) as asked:
        server.execute(f'alter database "{name}" with allow_connections false')
        server.execute("select pg_terminate_backend(%s)", (asked._listening.info.backend_pid,))
        assert away.wait(SOON), "it gave up"
        server.execute(f'alter database "{name}" with allow_connections true')
        answer = asked.ask(Topic.SETTINGS, UserSet(user="zoe", name="zoe"), projected)
        assert answer.outcome == Outcome.DONE
