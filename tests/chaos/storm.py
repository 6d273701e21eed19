"""Who asks: users that see each other or don't, identical and overlapping jobs, and changes of mind, all at once."""

import threading
import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from coordinator import ids
from gateway.people import group_uuid, user_set
from schemas.codec import encode
from schemas.fields import Record
from schemas.settings import GrantRemoved, GrantSet, GroupSet
from schemas.spec import JobSpec
from schemas.tasks import JobCancelled, JobSubmitted
from schemas.topics import Topic
from streams.log import Append, Log, LogError, Place
from streams.routes import Routes, key_of
from tests.chaos.jobs import NUMBERS, Catalogue
from tests.chaos.watch import Watch

NAMES = ("ada", "ben", "cyd", "dan")
OPEN = 24  # jobs that have not ended, at which nobody asks for more
SLOW = 4  # jobs
PATIENCE = 600.0  # seconds: on a busy machine a broker takes minutes to start again


class Mood(NamedTuple):
    """What share of all that happens is a grant or its end, and a cancel; how many of the grants are an end.

    `crowds`: at what share of the rest all ask for the same slow work, so that many wait while much changes.
    """

    permits: float = 0.15
    cancels: float = 0.10
    revocations: float = 0.25
    crowds: float = 0.0


EVEN = Mood()
FICKLE = Mood(permits=0.25, cancels=0.25, revocations=0.5)
CROWDED = Mood(permits=0.35, cancels=0.2, revocations=0.4, crowds=0.5)


class Storm:
    """One thread that asks. `acknowledged`: place and offset of each append that was. `jobs`: all, in order."""

    def __init__(
        self, opened: Callable[[], Log], catalogue: Catalogue, watch: Watch, seed: int, mood: Mood = EVEN
    ) -> None:
        self._opened = opened
        self._catalogue = catalogue
        self._watch = watch
        self._random = Random(seed)
        self._mood = mood
        self._log: Log | None = None
        self._stopping = threading.Event()
        self._breath = threading.Event()  # never set
        self._thread = threading.Thread(target=self._run, name="storm", daemon=True)
        self._granted: list[tuple[str, str]] = []
        self.owners = [user_set(name).user for name in NAMES]
        self.acknowledged: list[tuple[Place, int]] = []
        self.jobs: list[str] = []
        self.repeated = 0
        self.failure: BaseException | None = None

    def introduce(self) -> None:
        """The users, a group, and what they may see at first."""
        for name in NAMES:
            self.say(Topic.SETTINGS, user_set(name))
        lab = group_uuid("lab")
        self.say(Topic.SETTINGS, GroupSet(group=lab, name="lab", owner=self.owners[0]))
        self._grant(self.owners[1], self.owners[0])
        self._grant(self.owners[0], self.owners[1])
        self.owners.append(lab)

    def introduce_admin(self) -> str:
        """One more, who asks for nothing and may see everything; their uuid."""
        admin = user_set("eve", is_admin=True)
        self.say(Topic.SETTINGS, admin)
        return admin.user

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """No more; raises what it failed with."""
        self._stopping.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def ask_for_slow_work(self) -> None:
        """When all is over: some jobs more, none of which was asked for before."""
        for number in range(SLOW):
            self._submit(self.owners[0], self._catalogue.slow(len(self.jobs) + number * NUMBERS))

    def close(self) -> None:
        """Hang up."""
        if self._log is not None:
            self._log.close()

    # --- What happens -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._happen()
                self._stopping.wait(self._random.expovariate(2.0))
        except BaseException as error:  # noqa: BLE001 # handed to who stops us
            self.failure = error

    def _happen(self) -> None:
        drawn = self._random.random()
        if drawn < self._mood.cancels:
            self._cancel()
        elif drawn < self._mood.cancels + self._mood.permits:
            self._permit()
        else:
            self._burst()

    def _burst(self) -> None:
        """Several ask for the same at the same moment."""
        if len(self._watch.open_jobs(self.jobs)) >= OPEN:
            return
        is_crowd = self._random.random() < self._mood.crowds
        drawn = len(self.jobs)
        spec = self._catalogue.slow(drawn) if is_crowd else self._catalogue.draw(self._random, drawn)
        number = len(self.owners) if is_crowd else self._random.choice((1, 2, 3))
        for owner in self._random.sample(self.owners, number):
            self._submit(owner, spec)

    def _submit(self, owner: str, spec: JobSpec) -> None:
        root = ids.request_uuid(owner, "chaos", str(len(self.jobs)), b"")
        self.jobs.append(root)
        self.say(Topic.TASKS, JobSubmitted(root=root, owner=owner, request=root, spec=spec))

    def _permit(self) -> None:
        if self._granted and self._random.random() < self._mood.revocations:
            subject, thing = self._granted.pop(self._random.randrange(len(self._granted)))
            self.say(Topic.SETTINGS, GrantRemoved(subject=subject, object=thing))
        else:
            self._grant(*self._random.sample(self.owners, 2))

    def _grant(self, subject: str, thing: str) -> None:
        if (subject, thing) not in self._granted:
            self._granted.append((subject, thing))
            self.say(Topic.SETTINGS, GrantSet(subject=subject, object=thing))

    def _cancel(self) -> None:
        open_jobs = self._watch.open_jobs(self.jobs)
        if open_jobs:
            self.say(Topic.TASKS, JobCancelled(root=self._random.choice(open_jobs)))

    # --- Saying it ----------------------------------------------------------------------------------------------------

    def say(self, topic: Topic, body: Record, patience: float = PATIENCE) -> None:
        """Append a command until that is acknowledged: who hears nothing says the same again."""
        end = time.monotonic() + patience
        while True:
            try:
                if self._log is None:
                    self._log = self._opened()
                place = Routes(self._log).place(topic, key_of(body))
                [offset] = self._log.append([Append(place, key_of(body), encode(body))])
            except LogError:
                if time.monotonic() > end:
                    raise
                self.repeated += 1
                self._hang_up()
                self._breath.wait(0.2)
            else:
                self.acknowledged.append((place, offset))
                return

    def _hang_up(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close()
