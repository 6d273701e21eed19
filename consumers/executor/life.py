"""The signs of life of one incarnation: when one is due, what it lists, and until when the work is the node's own.

They are not sent by the executor but beside it, so that no step of it can hold them up, however long it keeps the
interpreter to itself. But who speaks for another must know that the other lives. Three cases are told apart:

- The executor says what it holds, at least every `beat`: a sign of life lists that.
- It is silent and not able to speak (stopped, or gone): nothing is said for it. The deadline passes, and what it runs
  is killed.
- It is silent but runs: some step holds it up. It is spoken for with what it held when it was last heard, for `vouch`
  and no longer, as it may hang for ever. Meanwhile its node is `pausing`: what it were given it would not take.

A sign of life is never buffered: one is on its way at a time, and a failed one is not repeated, a new one with the
tokens of then follows. No clock, thread or log of its own; times are milliseconds on the node's monotonic clock.
"""

import msgspec

from consumers.executor.lease import Timing
from schemas.work import Alive


class Life:
    """`identity`: a sign of life that lists nothing. `sent`: when the joining was, which is durable."""

    def __init__(self, identity: Alive, timing: Timing, sent: int) -> None:
        self.timing = timing
        self.deadline = timing.deadline(sent)
        self._sign = identity
        self._heard = self._acked = sent
        self._next = sent + timing.interval
        self._sent: int | None = None  # when the one that is on its way was; `_acked`: the last that is durable

    def hear(self, tokens: tuple[str, ...], pausing: bool, now: int) -> None:
        """The executor lives, and holds this."""
        news = pausing != self._sign.pausing or self._is_silent(now) or not set(tokens) <= set(self._sign.tokens)
        self._heard = now
        self._sign = msgspec.structs.replace(self._sign, tokens=tokens, pausing=pausing)
        if news:
            self._next = min(self._next, now + self.timing.promptly)

    def retime(self, timing: Timing) -> None:
        """The dispatcher keeps to another lease from now on: what was acknowledged holds as long as that says."""
        self.deadline = min(self.deadline, timing.deadline(self._acked))
        self._next = min(self._next, self._acked + timing.interval)
        self.timing = timing

    def due(self) -> int:
        """When `tick` has something to do if nothing happens before. While a sign is on its way: the deadline."""
        return self.deadline if self._sent is not None else min(self._next, self.deadline)

    def has_passed(self, now: int) -> bool:
        """Whether the deadline is reached. Nothing is said any more, and nothing brings it back."""
        return now >= self.deadline

    def tick(self, now: int, able: bool) -> Alive | None:
        """The sign of life that is due, to be sent at once. `able`: the executor is there and not stopped."""
        if self._sent is not None or now < self._next or self.has_passed(now):
            return None
        if not able or now - self._heard > self.timing.vouch:
            self._next = now + self.timing.promptly
            return None
        self._sent, self._next = now, now + self.timing.interval
        return msgspec.structs.replace(self._sign, pausing=self._sign.pausing or self._is_silent(now))

    def acked(self, now: int) -> None:
        """It is durable: the work is the node's own for longer, unless the answer came too late."""
        assert self._sent is not None, "no sign of life is on its way"
        if not self.has_passed(now):
            self._acked = max(self._acked, self._sent)
            self.deadline = self.timing.deadline(self._acked)
        self._sent = None

    def failed(self, now: int) -> None:
        """It could not be sent; another one follows."""
        self._sent, self._next = None, now + self.timing.promptly

    def _is_silent(self, now: int) -> bool:
        return now - self._heard > self.timing.silent
