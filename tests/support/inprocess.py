"""The API's own parts in the process of a test, which may then change what happens between two steps of a request."""

from collections.abc import Iterator
from contextlib import contextmanager

from coordinator.canonical import BadTask
from coordinator.resolver import ResolvedImage
from gateway.api.service import Service, TaskRules
from gateway.client import Client
from gateway.content import store_of
from tests.support.api import Site


@contextmanager
def in_process(site: Site) -> Iterator[Service]:
    """On the site's log and database."""

    def no_images(name: str) -> ResolvedImage:
        raise BadTask("image", name)

    session = site.crunch.session()
    with Client(session) as client:
        store, rules = store_of(session.folders), TaskRules(b"no task's", "enforce")
        service = Service(client.log, site.dsn, store, session.folders.cache, no_images, rules, lambda _: None)
        try:
            yield service
        finally:
            service.close()
