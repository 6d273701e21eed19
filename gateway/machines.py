"""The four machines, as whoever runs or replays them makes them."""

from coordinator.claims import Claims
from coordinator.dispatch import Dispatch
from coordinator.jobs import Jobs
from coordinator.machine import Machine
from coordinator.proof import Heard, WatchedClaimsType
from coordinator.settings import FORWARDED_TO, Settings
from schemas.topics import Topic
from streams.log import Log
from streams.loop import MachineType


def machines(log: Log, granted: Heard | None = None) -> tuple[MachineType, ...]:
    """In the order in which their records flow. `granted`: hears of grants. Raises LogMismatch without topics."""
    claims = WatchedClaimsType(granted) if granted else Claims
    return (_SettingsMachines(log), Jobs, claims, Dispatch)


class _SettingsMachines:
    """Makes the settings machine, which has to know how many partitions there are to forward to."""

    topic = Topic.SETTINGS

    def __init__(self, log: Log) -> None:
        self._partitions = {topic: log.partitions(topic) for topic in FORWARDED_TO}

    def __call__(self) -> Machine:
        return Settings(self._partitions)

    def restore(self, snapshot: bytes) -> Machine:
        return Settings.restore(snapshot)
