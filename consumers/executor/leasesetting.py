"""The lease, as the settings in the log have it: an executor keeps to the one that the dispatcher keeps to."""

from coordinator.config import Config, apply
from schemas.codec import Undecodable, decode
from schemas.settings import ConfigSet
from schemas.topics import Topic
from streams.log import Log, Place

_PLACE = Place(Topic.SETTINGS, 0)
_READ = 1_000
_MARK = b'"config_set"'  # most settings are something else: users, groups, grants


class LeaseSetting:
    """Read from the beginning of `settings`, which is kept for ever."""

    def __init__(self) -> None:
        self._config = Config()
        self._offset: int | None = None

    @property
    def lease(self) -> int:
        """Milliseconds, as far as it was read."""
        return self._config.lease

    def position(self) -> dict[Place, int]:
        """Where it goes on."""
        return {_PLACE: self._offset or 0}

    def catch_up(self, log: Log) -> int:
        """Read what is new; the lease after that. Raises LogError."""
        if self._offset is None:
            self._offset = log.start(_PLACE)
        while records := log.read(_PLACE, self._offset, _READ):
            for stored in records:
                if _MARK in stored.value:
                    self._take(stored.value)
                self._offset = stored.offset + 1
        return self.lease

    def _take(self, value: bytes) -> None:
        envelope = decode(Topic.SETTINGS, value)
        if not isinstance(envelope, Undecodable) and isinstance(envelope.body, ConfigSet):
            apply(self._config, envelope.body)
