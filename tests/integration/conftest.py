"""What tests against real parts share."""

from tests.support.postgres import dsn, postgres_server

__all__ = ["dsn", "postgres_server"]
