"""A process that projects, to be killed."""

from consumers.projector import Projector
from tests.support.traffic import busy_office


def project(dsn: str, seed: int, batch: int) -> None:
    """Project what the office of this seed has in its log, and end."""
    Projector(busy_office(seed).log, dsn, batch=batch).catch_up()
