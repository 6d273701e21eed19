"""Answers to what running tasks ask for."""

import threading

from schemas.facts import Answered
from schemas.fields import Record
from schemas.topics import Topic
from streams.answers import Answers
from streams.log import Log, LogError


class LazyAnswers:
    """Reads the facts only once a task has asked for something, most tasks never do; and anew after the log failed."""

    def __init__(self, log: Log) -> None:
        self._log = log.clone()
        self._lock = threading.Lock()
        self._answers: Answers | None = None

    def append_and_wait(self, topic: Topic, body: Record, timeout: float) -> Answered:
        """As `Answers.append_and_wait`."""
        with self._lock:
            if self._answers is None:
                self._answers = Answers(self._log)
            answers = self._answers
        try:
            return answers.append_and_wait(topic, body, timeout)
        except LogError:
            self._give_up(answers)
            raise

    def close(self) -> None:
        """End the thread that reads, if there is one."""
        if self._answers is not None:
            self._give_up(self._answers)
        self._log.close()

    def _give_up(self, answers: Answers) -> None:
        with self._lock:
            if self._answers is not answers:
                return
            self._answers = None
        answers.close()
