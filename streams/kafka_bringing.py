"""Bringing an archive of the log back into Kafka: the same records at the same offsets, with the times they had.

Causes, tokens and floors name a record by the log id of its partition and its offset. Both are the archive's again, so
all of them stay true; what is decided from then on follows on the last record.

Topics are made to take the writer's times while this goes on, and are refused by all processes until it is over. Where
a partition was trimmed, empty records take the place of those that are gone, and are trimmed too. Begun again after it
was interrupted, it goes on after the last record that is there.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from threading import Event

import msgspec
from confluent_kafka import TopicPartition

from schemas.codec import encode
from schemas.topics import Topic
from streams.archive import ArchiveLog
from streams.archiving import chunks
from streams.audit import Progress
from streams.caused import records
from streams.kafka_cluster import Cluster
from streams.kafka_metrics import Metrics
from streams.kafka_notes import Notes, NoteWriter
from streams.kafka_reader import SPARSE, Reader
from streams.kafka_settings import KafkaSettings
from streams.kafka_topics import LARGEST_REFUSED, brought_into, finish, make_topics
from streams.kafka_watch import Watch
from streams.kafka_writer import Writer
from streams.log import Append, LogMismatch, Place, Stored
from streams.replaying import places_of

REMEDY = "remove the topics, or name others with kafka.prefix"


def bring(archive: ArchiveLog, settings: KafkaSettings, progress: Progress = lambda _what, _count: None) -> int:
    """Make the topics of an archive; how many records were written. What is there already is left.

    Raises LogMismatch, with nothing written, where topics hold anything else; ArchiveDamaged, LogError.
    """
    with closing(_Bringing(archive, settings, progress)) as bringing:
        return bringing.run()


class _Bringing:
    def __init__(self, archive: ArchiveLog, settings: KafkaSettings, progress: Progress) -> None:
        larger = {**settings.options, "message.max.bytes": str(LARGEST_REFUSED)}  # others may have written such
        settings = msgspec.structs.replace(settings, options=larger)
        closed, metrics = Event(), Metrics(settings)
        self._archive = archive
        self._progress = progress
        self._cluster = Cluster(settings)
        self._writer = Writer(self._cluster, closed, metrics)
        self._reader = Reader(self._cluster, closed, metrics, Watch(self._cluster, {}), {}, SPARSE)
        self._notes = Notes(self._cluster)

    def run(self) -> int:
        counts = {topic: self._archive.partitions(topic) for topic in Topic}
        places = [place for topic in Topic for place in places_of(self._archive, topic)]
        made = make_topics(self._cluster, counts, bringing=True)
        begun = brought_into(self._cluster, set(Topic) - made)
        # Brokers need not know yet of those that were made just now.
        ends = {place: 0 if place.topic in made else self._known_end(place, place.topic in begun) for place in places}
        written = sum([self._write(place, ends[place]) for place in places])
        for place in places:
            if self._bounds(place)[1] != self._archive.end(place):
                raise LogMismatch(f"{place}: somebody else writes there too: {REMEDY}, and restore anew")
            self._trim(place)
        self._move_floors(places)
        finish(self._cluster)
        return written

    def close(self) -> None:
        self._writer.close()
        self._reader.close()
        self._notes.close()

    def _known_end(self, place: Place, takes_times: bool) -> int:
        """Where the partition ends, of which all is the archive's. Raises LogMismatch where something is not."""
        (start, end), first, last = self._bounds(place), self._archive.start(place), self._archive.end(place)
        is_ours = start in (0, first) and end <= last
        if not is_ours or (end > start and not self._is_same(place, end - 1)):
            raise LogMismatch(f"{place} is there, and holds something else than the archive: {REMEDY}")
        if end < last and not takes_times:
            raise LogMismatch(f"{place} is there, and was not made for an archive: {REMEDY}")
        return end

    def _is_same(self, place: Place, offset: int) -> bool:
        [there] = self._reader.read(place, offset, 1)
        if offset < self._archive.start(place):
            return not there.value
        return there == self._archive.read(place, offset, 1)[0]

    def _write(self, place: Place, end: int) -> int:
        written = 0
        for chunk in chunks(self._missing(place, end)):
            offsets = self._writer.append(
                [Append(place, record.key, record.value) for record in chunk],
                [{"timestamp": record.time} for record in chunk],
            )
            if (offsets[0], offsets[-1]) != (chunk[0].offset, chunk[-1].offset):
                raise LogMismatch(f"{place}: somebody else writes there too: {REMEDY}, and restore anew")
            written += len(chunk)
            self._progress(f"writing {place}", len(chunk))
        return written

    def _missing(self, place: Place, end: int) -> Iterator[Stored]:
        """What is to be written from this offset on: empty records where there are none any more."""
        first = self._archive.start(place)
        for offset in range(end, first):
            yield Stored(offset, 1, "", b"")
        yield from records(self._archive, place, max(end, first), self._archive.end(place))

    def _trim(self, place: Place) -> None:
        before = self._archive.start(place)
        if before <= self._bounds(place)[0]:
            return
        name = self._cluster.settings.name(place.topic)
        notes = NoteWriter(self._cluster, self._notes, self._writer)
        notes.keep_genesis(self._cluster.describe([name])[name].id, place, encode(self._archive.genesis(place)))
        self._writer.settle()
        self._cluster.delete({name: (place.partition, before)})

    def _move_floors(self, places: Sequence[Place]) -> None:
        notes = NoteWriter(self._cluster, self._notes, self._writer)
        for place in places:
            reader = f"{place.topic}-machine"
            floor = self._archive.floor(reader, place)
            if floor is not None:
                notes.move_floor(reader, place, floor)
        self._writer.settle()

    def _bounds(self, place: Place) -> tuple[int, int]:
        partition = TopicPartition(self._cluster.settings.name(place.topic), place.partition)
        return self._cluster.bounds([partition])[partition]
