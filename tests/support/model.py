"""An office and the read model of it, asked as some user."""

from consumers.projector import Projector
from readmodel import queries
from readmodel.connection import connect
from readmodel.explain import explain
from readmodel.story import job_log
from tests.support.office import Office


class Model:
    """An office and the read model of it. Questions are asked as a user, of what the office has in its log then."""

    def __init__(self, dsn, office=None):
        self.office = office or Office()
        for name in ("ada", "ben", "eve"):
            self.office.user(name)
        self.office.user("root", is_admin=True)
        self.office.settle()
        self.projector = Projector(self.office.log, dsn)
        self.connection = connect(dsn)

    def ask(self, question, *about, **more):
        self.projector.catch_up()
        return question(self.connection, *about, **more)

    def task(self, viewer, root, rank=0):
        return self.ask(queries.tree, viewer, root)[rank]

    def told(self, viewer, root):
        return [line.text for line in self.ask(job_log, viewer, root)]

    def explained(self, viewer, root, rank=0):
        return self.ask(explain, viewer, self.task(viewer, root, rank).task)

    def close(self):
        self.projector.close()
        self.connection.close()


def with_children(*children):
    """What `Office.children` is to be: the first level queues these."""
    return lambda ready: list(children) if b'"sequence"' not in bytes(ready.spec) else []
