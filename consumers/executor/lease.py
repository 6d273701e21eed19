"""How long a node may believe that its work is still its own."""

import msgspec


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds on the node's monotonic clock. The lease less the margin is what the node allows itself."""

    lease: int
    margin: int
    interval: int  # between signs of life
    promptly: int  # at most this long until a new token shows in one, or a failed one is tried again
    linger: int  # how long a drained node still looks for work that was given before it said so

    @classmethod
    def of_lease(cls, lease: int) -> "Timing":
        """What follows from the lease that the dispatcher keeps to (`coordinator.config.Config.lease`)."""
        fifth = lease // 5
        return cls(lease=lease, margin=fifth, interval=fifth, promptly=min(500, lease // 10), linger=lease // 50)


class Lease:
    """When the next sign of life is due, and until when the last acknowledged one holds.

    The deadline counts from before it was sent: the dispatcher can only have seen it later than that. One is on its
    way at a time.
    """

    def __init__(self, timing: Timing) -> None:
        self.deadline: int | None = None  # None before the first acknowledgement
        self._timing = timing
        self._on_its_way: tuple[int, int] | None = None  # ref, and when it was sent
        self._next = 0

    def sent(self, ref: int, now: int) -> None:
        """A sign of life is about to be sent."""
        self._on_its_way = (ref, now)
        self._next = now + self._timing.interval

    def acked(self, ref: int) -> None:
        """An append is durable; if it was the sign of life, the lease is renewed."""
        if self._on_its_way and self._on_its_way[0] == ref:
            self.deadline = self._on_its_way[1] + self._timing.lease - self._timing.margin
            self._on_its_way = None

    def failed(self, ref: int, now: int) -> None:
        """It could not be sent; another one follows."""
        if self._on_its_way and self._on_its_way[0] == ref:
            self._on_its_way = None
            self._next = now + self._timing.promptly

    def hurry(self, now: int) -> None:
        """There is something new to say."""
        self._next = min(self._next, now + self._timing.promptly)

    def next(self) -> int | None:
        """When the next one is due; None while one is on its way, or before the node has joined."""
        return None if self._on_its_way or self.deadline is None else self._next

    def has_passed(self, now: int) -> bool:
        """Whether the deadline is reached."""
        return self.deadline is not None and now >= self.deadline
