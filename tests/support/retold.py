"""Facts of one log, for another of as many partitions: each names the same cause, by that one's log id."""

from msgspec.structs import replace

from schemas.codec import Envelope, decode, encode
from schemas.topics import Topic
from streams.log import Log, Place


class Retold:
    """Tells the facts of `source` as if the machines of `target` had said them."""

    def __init__(self, source: Log, target: Log) -> None:
        places = [Place(topic, number) for topic in Topic for number in range(source.partitions(topic))]
        self._ids = {source.genesis(place).log_id: target.genesis(place).log_id for place in places}

    def __call__(self, value: bytes) -> bytes:
        """The same fact there."""
        envelope = decode(Topic.FACTS, value)
        assert isinstance(envelope, Envelope)
        assert envelope.cause is not None
        return encode(envelope.body, replace(envelope.cause, log_id=self._ids[envelope.cause.log_id]))
