"""Commands to the log, answered when the answer is in the read model: who wrote sees what they wrote."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from gateway.api.news import News
from readmodel import queries
from readmodel.connection import ReadModelError, ReadModelUnreachable, connect, reconnect
from readmodel.rows import Answer
from readmodel.watch import Watch
from schemas.codec import encode
from schemas.fields import Record
from schemas.topics import Topic
from streams.answers import NoAnswer
from streams.log import Append, Log, LogError
from streams.routes import Routes, key_of

PATIENCE = 8.0  # seconds for an answer: Arvados' SDK hangs up after ten
TOGETHER = 0.004  # seconds after news in which more of it is left to come, to be looked at once
GLANCE = 0.5  # seconds without news, or without Postgres, after which it looks whether it should end

Command = tuple[str, int]  # log id and offset


class Commands:
    """Sends commands for any number of threads; one thread of its own hears what is projected, and tells `news`."""

    def __init__(self, log: Log, dsn: str) -> None:
        self.news = News()
        self._dsn = dsn
        self._log = log.clone()
        self._routes = Routes(log)
        self._listening = connect(dsn)
        self._waiting: dict[Command, Future[Answer]] = {}
        self._appending = threading.Lock()
        self._lock = threading.Lock()
        self._rounds = 0  # in which answers were handed out
        self._closed = threading.Event()
        self._ended: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="projected answers", daemon=True)
        self._thread.start()

    def ask(self, topic: Topic, body: Record, look: Callable[[Command], Answer | None]) -> Answer:
        """Append a command; its answer, once it and all that came with it can be read. `look`: whether it is there now.

        Raises NoAnswer when that takes too long, LogError if the log or the read model failed: the command may then
        stand in the log or not, and a repeat of it is harmless.
        """
        if self._ended is not None:
            raise LogError(str(self._ended)) from self._ended
        key = key_of(body)
        place = self._routes.place(topic, key)
        record, before = Append(place, key, encode(body)), self._rounds
        with self._appending:
            [offset] = self._log.append([record])
        command = (self._routes.log_ids[str(place)], offset)
        waiting: Future[Answer] = Future()
        with self._lock:
            self._waiting[command] = waiting
            has_missed_one = self._rounds != before
        try:
            return (look(command) if has_missed_one else None) or waiting.result(PATIENCE)
        except TimeoutError:
            raise NoAnswer(f"no answer to {place} offset {offset} within {PATIENCE:g} s: is `up` running?") from None
        finally:
            with self._lock:
                self._waiting.pop(command, None)

    def log_id_of(self, topic: Topic) -> str:
        """Of the topic's first partition."""
        return self._routes.log_ids[str(self._routes.places[topic][0])]

    def close(self) -> None:
        """End the thread; who still waits gets a LogError."""
        self._closed.set()
        self._thread.join()
        self._log.close()

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                self._listen()
        except Exception as error:  # noqa: BLE001 - handed to every thread that waits, and to all that come
            self._ended = error
        finally:
            self._listening.close()
            self._give_up(self._ended or LogError("closed while waiting for an answer"))

    def _listen(self) -> None:
        """Hand out answers until Postgres goes away, or the end."""
        try:
            watch = Watch(self._listening)
            self._hand_out()
            self.news.ring()
            while not self._closed.is_set():
                if watch.wait(GLANCE):
                    self._hand_out()
                    self.news.ring()
                    self._closed.wait(TOGETHER)
        except ReadModelError:
            self._listening.close()
            self._reconnect()

    def _reconnect(self) -> None:
        """For as long as it takes: who asks meanwhile is told so, and who asks later is heard."""
        while not self._closed.is_set():
            try:
                self._listening = reconnect(self._dsn, GLANCE)
                return
            except ReadModelUnreachable:
                continue

    def _hand_out(self) -> None:
        with self._lock:
            self._rounds += 1
            waiting = dict(self._waiting)
        if not waiting:
            return
        for command, answer in queries.answers(self._listening, list(waiting)).items():
            if not waiting[command].done():
                waiting[command].set_result(answer)

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            for waiter in self._waiting.values():
                if not waiter.done():
                    waiter.set_exception(error)
