"""Three brokers that vote and keep three copies of each record, as a lab would run them; any may be killed."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from streams.broker import LocalBroker, fetch_jars, find_java, free_port, uuid

NODES = 3


class Node(LocalBroker):
    """One of them. `number`: from 1; `controllers`: ports of all; `voters`: a directory id for each."""

    def __init__(self, data: Path, number: int, controllers: list[int], cluster: str, voters: list[str]) -> None:
        properties = {
            "node.id": str(number),
            "controller.quorum.bootstrap.servers": ",".join(f"127.0.0.1:{port}" for port in controllers),
            "listeners": f"PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{controllers[number - 1]}",
            "offsets.topic.replication.factor": str(NODES),
            "log.cleaner.dedupe.buffer.size": "16777216",  # its default is half of the heap
        }
        super().__init__(data, heap="256m", jvm=["-XX:TieredStopAtLevel=1"], properties=properties)
        self.number = number
        self._directory = voters[number - 1]
        self._cluster = cluster
        self._voters = ",".join(
            f"{voter}@127.0.0.1:{port}:{directory}"
            for voter, (port, directory) in enumerate(zip(controllers, voters, strict=True), start=1)
        )

    def found(self, others: Sequence["Node"]) -> None:
        """Make this one's folder by Kafka's own tool, and the others' from it: a Java less for each of them."""
        self._configure()
        self._format(find_java(), fetch_jars())
        for other in others:
            shutil.copytree(self._data / "log", other._data / "log")
            named = other._data / "log" / "meta.properties"
            text = named.read_text().replace(self._directory, other._directory)
            named.write_text(text.replace(f"node.id={self.number}", f"node.id={other.number}"))

    def _founding(self) -> list[str]:
        return ["--initial-controllers", self._voters, "-t", self._cluster]


@contextmanager
def three_brokers(folder: Path) -> Iterator[list[Node]]:
    """They answer inside the context."""
    controllers, cluster, voters = [free_port() for _ in range(NODES)], uuid(), [uuid() for _ in range(NODES)]
    nodes = [Node(folder / str(n), n, controllers, cluster, voters) for n in range(1, NODES + 1)]
    nodes[0].found(nodes[1:])
    try:
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(Node.start, nodes))
        yield nodes
    finally:
        for node in nodes:
            node.kill()
