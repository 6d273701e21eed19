"""Checkpoints: a machine's state at an offset, as a cache of the log. Losing one costs a replay, never a decision."""

from collections.abc import Iterator
from typing import Protocol, Self

from msgspec import Raw
from msgspec.structs import asdict

from coordinator.machine import Machine
from streams.log import Place
from streams.state import Header, MachineType


class Checkpoint(Header, frozen=True, kw_only=True):
    """State of one partition's machine, with its header. `state`: the machine's snapshot."""

    state: Raw

    @classmethod
    def of(cls, header: Header, machine: Machine) -> Self:
        """The machine as it is now."""
        return cls(**asdict(header), state=Raw(machine.snapshot()))

    @property
    def header(self) -> Header:
        """All but the state."""
        return Header(**{name: getattr(self, name) for name in Header.__struct_fields__})

    def machine(self, kind: MachineType) -> Machine:
        """The machine whose state it is."""
        return kind.restore(bytes(self.state))


class Saved(Protocol):
    """A state that was kept, of whatever form."""

    @property
    def header(self) -> Header:
        """What it is of."""
        ...

    def machine(self, kind: MachineType) -> Machine:
        """The machine whose state it is."""
        ...


class CheckpointStore(Protocol):
    """Where states are kept. What is kept may be lost, but never comes back changed."""

    def keep(self, header: Header, machine: Machine) -> None:
        """Keep a machine's state, durably. Raises LogError if that can't be done."""
        ...

    def load(self, place: Place) -> Iterator[Saved]:
        """The partition's states, highest offset first."""
        ...

    def offsets(self, place: Place) -> list[int]:
        """Their offsets, highest first, without a look at the states."""
        ...


class MemoryCheckpoints:
    """Checkpoints in this process: the newest `keep` of each partition."""

    def __init__(self, keep: int = 3) -> None:
        self._keep = keep
        self.at: dict[Place, list[Checkpoint]] = {}

    def keep(self, header: Header, machine: Machine) -> None:
        """Keep a machine's state."""
        self.save(Checkpoint.of(header, machine))

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep it."""
        place = Place(checkpoint.topic, checkpoint.partition)
        others = [other for other in self.at.get(place, []) if other.offset != checkpoint.offset]
        self.at[place] = sorted([checkpoint, *others], key=lambda one: -one.offset)[: self._keep]

    def load(self, place: Place) -> Iterator[Checkpoint]:
        """The partition's checkpoints, highest offset first."""
        return iter(self.at.get(place, []))

    def offsets(self, place: Place) -> list[int]:
        """Their offsets, highest first."""
        return [checkpoint.offset for checkpoint in self.at.get(place, [])]
