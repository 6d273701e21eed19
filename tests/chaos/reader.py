"""Somebody who asks the API all the while how jobs are: what it has said of a job's end stays so."""

import json
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import requests

from readmodel import registry
from readmodel.connection import connect
from tests.chaos.watch import Patience

ENDED = {"Complete": "complete", "Failed": "failed", "Cancelled": "cancelled"}
FEW = 50  # jobs that are asked for at one time: as many that have not ended, and that have
PAUSE = 0.2  # seconds between two questions
LONGEST = 60.0  # seconds for an answer
OK, UNKNOWN, AWAY = 200, 401, 503  # unknown: who asks is not projected yet; away: the log or Postgres are


class Reader:
    """One thread, as the user with this uuid. `jobs`: all there are, as they come to be; `answers`: good ones so far.

    `states`: of jobs that it was told have ended, in the facts' words. `wrong`: what it should not have been told.
    """

    def __init__(self, dsn: str, address: str, certificate: Path, user: str, jobs: Sequence[str]) -> None:
        self._dsn = dsn
        self._where = f"https://{address}/arvados/v1/jobs"
        self._certificate = certificate
        self._user = user
        self._jobs = jobs
        self._random = Random(0)
        self._header: dict[str, str] = {}
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self.states: dict[str, str] = {}
        self.wrong: list[str] = []
        self.answers = 0
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        """Begin, by a token that is made now."""
        secret = registry.new_secret()
        with closing(connect(self._dsn)) as rows:
            registry.prepare(rows)
            registry.add_token(rows, secret, self._user)
        self._header = {"Authorization": f"OAuth2 {secret}"}
        self._thread.start()

    def stop(self) -> None:
        """No more. Again: no effect."""
        self._stopping.set()
        self._thread.join()

    def until_told(self, seconds: float) -> list[str]:
        """Jobs that it was not told the end of when for so long it was told of none; empty as soon as it was of all."""
        patience = Patience(seconds)
        with self._changed:
            while (left := self._open()) and patience.lasts(len(left), time.monotonic()):
                self._changed.wait(0.5)
        return left

    def _open(self) -> list[str]:
        return [root for root in list(self._jobs) if root not in self.states]

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no other certificates
            while not self._stopping.wait(PAUSE):
                known = list(self.states)
                asked = [*self._open()[:FEW], *self._random.sample(known, min(FEW, len(known)))]
                try:
                    self._ask(session, asked)
                except OSError:  # it was killed, or has not made its certificate yet
                    continue

    def _ask(self, session: requests.Session, roots: list[str]) -> None:
        sought = {"filters": json.dumps([["uuid", "in", roots]]), "limit": str(len(roots) + 1)}
        said = session.get(
            self._where, params=sought, headers=self._header, verify=str(self._certificate), timeout=LONGEST
        )
        self.hear(said.status_code, said.text)

    def hear(self, status: int, body: str) -> None:
        """An answer. Once it was known who asks, that they are not is wrong."""
        if status == OK:
            self.answers += 1
            self._note({item["uuid"]: item["state"] for item in json.loads(body)["items"]})
        elif status != AWAY and (self.answers or status != UNKNOWN):
            self.wrong.append(f"the API answers {status}: {body[:200]}")

    def _note(self, found: dict[str, str]) -> None:
        for root, state in found.items():
            known, ended = self.states.get(root), ENDED.get(state, "")
            if known not in (None, ended):
                self.wrong.append(f"invariant 4: the API said that {root} is {known}, and then that it is {state}")
            elif ended:
                self.states[root] = ended
        with self._changed:
            self._changed.notify_all()
