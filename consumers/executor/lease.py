"""How long a node may believe that its work is still its own."""

import msgspec


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds on the node's monotonic clock. The lease less the margin is what the node allows itself."""

    lease: int
    margin: int
    interval: int  # between signs of life
    promptly: int  # at most this long until a new token shows in one, or a failed one is tried again
    linger: int  # how long a drained node still looks for work that was given before it said so
    silent: int  # the node of an executor that says nothing for so long gets nothing new
    vouch: int  # so long it is spoken for all the same, if it runs

    @classmethod
    def of_lease(cls, lease: int) -> "Timing":
        """What follows from the lease that the dispatcher keeps to (`coordinator.config.Config.lease`)."""
        fifth = lease // 5
        return cls(
            lease=lease,
            margin=fifth,
            interval=fifth,
            promptly=min(500, lease // 10),
            linger=lease // 50,
            silent=2 * fifth,
            vouch=4 * lease,
        )

    def deadline(self, sent: int) -> int:
        """Until when a node may go on that sent an acknowledged sign of life at this time.

        From before it was sent: the dispatcher can only have seen it later than that.
        """
        return sent + self.lease - self.margin
