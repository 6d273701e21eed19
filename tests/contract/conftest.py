"""What contract suites share: the adapters that they run on."""

from tests.support.logs import debian_dsn, embedded_dsn, logs

__all__ = ["debian_dsn", "embedded_dsn", "logs"]
