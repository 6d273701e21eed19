"""The commands about the topics of a log in Kafka."""

from typing import Annotated

import typer

from gateway.options import app, command
from gateway.session import Session

topics_app = typer.Typer(help="The topics of a log in Kafka.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")

Partitions = Annotated[
    list[str] | None,
    typer.Option(
        "--partitions", metavar="TOPIC=N", help="Partitions of a topic, for ever; once for each.", show_default=False
    ),
]
Replication = Annotated[
    int | None,
    typer.Option("--replication", min=1, help="Copies of each record.", show_default="three, or one for each broker"),
]


@command(topics_app, "create")
def _create(session: Session, partitions: Partitions = None, replication: Replication = None) -> None:
    """Make the topics that are missing, with the settings that they need."""
    from gateway import topics

    topics.create(session, partitions or [], replication)


@command(topics_app, "check")
def _check(session: Session) -> int:
    """Look whether the topics are there, and as they have to be."""
    from gateway import topics

    return topics.check(session)
