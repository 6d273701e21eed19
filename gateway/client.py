"""What a process needs to talk to the system: commands go to the log, their effect is read in the read model."""

import getpass
import os
import re
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Self

from gateway import reach, runtime
from gateway.folders import APP
from gateway.problems import Problem, Refused
from gateway.session import Session
from readmodel import queries
from readmodel.connection import Connection, connect
from readmodel.rows import User
from readmodel.watch import Watch
from schemas.facts import Answered
from schemas.fields import Record
from schemas.reasons import Outcome
from schemas.topics import Topic

if TYPE_CHECKING:
    from streams.answers import Answers
    from streams.log import Log

PATIENCE = 30.0  # seconds for an answer
GLANCE = 1.0  # seconds without news after which we look whether `up` is still there


class Client:
    """A connection to the log and read model that the session leads to. Raises NotRunning where it leads nowhere.

    `running`: the `up` on the session's data folder; None: there is none, others run the parts.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reach = reach.find(session)
        self.running = self._reach.running

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("answers", "log", "rows"):
            if name in self.__dict__:
                self.__dict__[name].close()

    @property
    def dsn(self) -> str:
        """Connection string of the read model."""
        return self._reach.dsn

    @cached_property
    def log(self) -> "Log":
        """The log."""
        return reach.open_log(self._reach.config, self.dsn)

    @cached_property
    def answers(self) -> "Answers":
        """Sends commands."""
        from streams.answers import Answers

        return Answers(self.log)

    @cached_property
    def rows(self) -> Connection:
        """The read model."""
        return connect(self.dsn)

    def ask(self, topic: Topic, body: Record) -> Answered:
        """Append a command and wait for its answer. Refused where it is refused, naming the reason."""
        answer = self.answers.append_and_wait(topic, body, PATIENCE)
        if answer.outcome is Outcome.REFUSED:
            raise Refused(f"refused ({answer.reason}): {answer.detail or 'no more is known'}")
        return answer

    def user(self, name: str | None) -> User:
        """The user to act as: by login name or uuid; None: the configured one, else that of the operating system."""
        wanted = name or self._session.config.submit.user or local_login()
        found = queries.user_named(self.rows, wanted)
        if found is None:
            found = next((user for user in queries.users(self.rows) if user.uuid == wanted), None)
        if found is None:
            raise Refused(f"user: there is no {wanted!r}: make one with: {APP} user add {wanted}")
        return found

    def news(self, *, also_without: bool = False) -> Iterator[None]:
        """Yield now, and again each time the read model may have changed; `also_without`: and each second in between.

        Problem if `up` ends meanwhile.
        """
        with connect(self.dsn) as listener:
            watch = Watch(listener)
            yield
            while True:
                if watch.wait(GLANCE):
                    yield
                elif self.running and not runtime.is_held(self._session.folders):
                    raise Problem("`up` has stopped: nothing is lost, and all goes on when it is started again")
                elif also_without:
                    yield


def local_login() -> str:
    """The login name of who runs this; one that is made of letters, digits and _ . @ - only."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in many containers
        name = f"uid-{os.getuid()}"
    return re.sub(r"[^A-Za-z0-9_.@-]", "_", name).lstrip(".@-")[:64] or "user"
