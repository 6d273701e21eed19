"""Single containers on a real engine, without an executor: what to run, who watches over it, what is left."""

from pathlib import Path
from typing import Any

import docker

from consumers.runners.container import NODE_LABEL
from consumers.runners.docker import Container
from consumers.runners.port import MIB, Command, Folders, Limits
from consumers.runners.space import Space
from consumers.runners.supervise import Supervision


def command(folder: Path, image: str, *argv: str) -> Command:
    """What to run, as node-7."""
    for name in ("links", "out", "scratch", "run", "bin"):
        (folder / name).mkdir(exist_ok=True)
    return Command(
        argv=argv,
        environment={"PATH": "/nowhere"},
        folders=Folders(
            root=folder, code=None, collections={}, links=folder / "links", output=folder / "out",
            scratch=folder / "scratch", run=folder / "run", bin=folder / "bin",
        ),
        limits=Limits(cores=1, memory=64 * MIB, scratch=16 * MIB, output=16 * MIB),
        node="node-7", mark="node-7.attempt", image=image,
    )  # fmt: skip


def supervision_of(work: Command) -> Supervision:
    """Who watches over it."""
    return Supervision(work.limits, Space(work.limits, work.folders.output, work.folders.scratch))


def left_behind(running: Container) -> None:
    """As if its executor were gone: without killing it."""
    running._output.close()
    for thread in running._threads:
        thread.join(60)


def labelled(engine: str, node: str = "node-7") -> list[dict[str, Any]]:
    """The node's containers, as the engine shows them."""
    client = docker.DockerClient(base_url=engine)
    try:
        return client.api.containers(all=True, filters={"label": f"{NODE_LABEL}={node}"})
    finally:
        client.close()
