"""A node on which work fails for the node's own sake pauses: longer each time, never for ever."""

FIRST = 2_000
LONGEST = 60_000


class Backoff:
    """Milliseconds on the node's monotonic clock. Work that did not fail so ends the series."""

    def __init__(self) -> None:
        self.until = 0  # 0: it does not pause
        self._failures = 0

    def failed(self, now: int) -> None:
        """One more. What began before a pause and fails within it says nothing new."""
        if not self.pauses(now):
            self.until = now + min(FIRST * 2**self._failures, LONGEST)
            self._failures += self.until - now < LONGEST

    def succeeded(self) -> None:
        """The node can work."""
        self.until = self._failures = 0

    def pauses(self, now: int) -> bool:
        """Whether nothing new should be taken now."""
        if now >= self.until:
            self.until = 0
        return self.until > 0
