"""What tests against real parts share."""

from tests.support.logs import embedded_dsn, log_dsn
from tests.support.postgres import dsn, postgres_server

__all__ = ["dsn", "embedded_dsn", "log_dsn", "postgres_server"]
