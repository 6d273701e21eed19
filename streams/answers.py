"""Sending a command and waiting for its answer: the fact whose cause is the place where the command stands."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from schemas.codec import decode, encode
from schemas.facts import Answered
from schemas.fields import Record
from schemas.log import Cause
from schemas.topics import Topic
from streams.log import Append, Log, LogError, Place, Stored
from streams.routes import Routes, key_of

BATCH = 1_000
PATIENCE = 5.0  # seconds in one wait, at most


class NoAnswer(Exception):
    """The command stands in the log, but its answer did not come in time. A repeat of it will be answered."""


class Answers:
    """Sends commands for any number of threads; one thread of its own reads the facts from now on.

    One lock is held while a command is appended and while answers are handed out, so no answer comes before who waits
    for it is known.
    """

    def __init__(self, log: Log) -> None:
        self._log = log.clone()
        self._tail = log.clone()
        self._routes = Routes(log)
        self._positions = {place: log.end(place) for place in self._routes.places[Topic.FACTS]}
        self._waiting: dict[tuple[str, int], Future[Answered]] = {}
        self._lock = threading.Lock()
        self._ended: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    def append_and_wait(self, topic: Topic, body: Record, timeout: float, partition: int | None = None) -> Answered:
        """Append a command where its key belongs (or to `partition`); its answer, at most `timeout` seconds later.

        Raises NoAnswer when that time is over, LogError if the log failed: the command may then stand in it or not.
        """
        [answer] = self.append_all_and_wait(topic, [body], timeout, partition)
        return answer

    def append_all_and_wait(
        self, topic: Topic, bodies: Sequence[Record], timeout: float, partition: int | None = None
    ) -> list[Answered]:
        """Append commands together, in order, each as by `append_and_wait`; their answers. `timeout`: for all."""
        records = [self._record(topic, body, partition) for body in bodies]
        deadline = time.monotonic() + timeout
        with self._lock:
            if self._ended is not None:
                raise LogError(str(self._ended)) from self._ended
            offsets = self._log.append(records)
            places = [(record.place, offset) for record, offset in zip(records, offsets, strict=True)]
            asked = [(self._routes.log_ids[str(place)], offset) for place, offset in places]
            answers = [Future[Answered]() for _ in asked]
            self._waiting |= dict(zip(asked, answers, strict=True))
        try:
            return [answer.result(max(0.0, deadline - time.monotonic())) for answer in answers]
        except TimeoutError:
            late = (where for where, answer in zip(places, answers, strict=True) if not answer.done())
            place, offset = next(late, places[-1])
            raise NoAnswer(
                f"no answer to {place} offset {offset} within {timeout:g} s: is `up`, or a coordinator, running?"
            ) from None
        finally:
            with self._lock:
                for key in asked:
                    self._waiting.pop(key, None)

    def _record(self, topic: Topic, body: Record, partition: int | None) -> Append:
        key = key_of(body)
        place = self._routes.place(topic, key) if partition is None else Place(topic, partition)
        return Append(place, key, encode(body))

    def close(self) -> None:
        """End the thread; who still waits gets a LogError."""
        self._end(LogError("closed while waiting for an answer"))
        self._tail.close()
        self._thread.join()
        self._log.close()

    def _run(self) -> None:
        try:
            while self._ended is None:
                if not self._read_all():
                    self._tail.wait(self._positions, PATIENCE)
        except Exception as error:  # noqa: BLE001 - handed to every thread that waits, and to all that come
            self._end(error)

    def _read_all(self) -> int:
        total = 0
        for place, position in self._positions.items():
            records = self._tail.read(place, position, BATCH)
            if records:
                self._positions[place] = records[-1].offset + 1
                self._hand_out(records)
                total += len(records)
        return total

    def _hand_out(self, records: list[Stored]) -> None:
        found = [answer for record in records if (answer := _answer_in(record.value))]
        with self._lock:
            for cause, answered in found:
                waiter = self._waiting.pop((cause.log_id, cause.offset), None)
                if waiter is not None:
                    waiter.set_result(answered)

    def _end(self, error: Exception) -> None:
        with self._lock:
            if self._ended is None:
                self._ended = error
            waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            waiter.set_exception(error)


def _answer_in(value: bytes) -> tuple[Cause, Answered] | None:
    if b'"answered"' not in value:  # most facts are something else, and reading them is another's work
        return None
    fact = decode(Topic.FACTS, value)
    body, cause = getattr(fact, "body", None), getattr(fact, "cause", None)
    return (cause, body) if isinstance(body, Answered) and cause is not None else None
