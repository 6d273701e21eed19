"""Blocks in a Keep cluster, over HTTP: an Arvados cluster's own, or the Keep of another of our machines.

Which services there are is asked of the cluster's API. Each block has an order of services of its own (rendezvous
hashing, as all of Keep's clients do it): writes go to the first that takes them, until enough copies are stored, reads
ask one after another. A block is missing only when every service has answered that it is not there.

A real cluster wants to see that a block may be read: with the cluster's signing key locators are signed here, for our
token. Between machines of ours a token of scope `store` reads all blocks, and none is signed.
"""

import hashlib
import hmac
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Self

import orjson
import urllib3

from store.errors import BlockCorrupt, BlockMissing, StoreFull, StoreUnreachable
from store.locator import EMPTY_BLOCK, Locator, locator_of, parse_locator, strip_hints
from store.port import Data
from store.shelves import checked
from store.words import Words, decode, encode

LISTED_FOR = 300.0  # seconds after which it is asked again which services there are, and for what it refused
SIGNED_FOR = 3600  # seconds
PATIENCE = urllib3.Timeout(connect=10, read=120)
TRIES = urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=(502, 504), raise_on_status=False)
OK, UNAUTHORIZED, FORBIDDEN = 200, 401, 403
GONE = (404, 410)
NOT_ALLOWED = 405
NO_ROOM = (503, 507)


class Cluster(NamedTuple):
    """Where it is, and what opens it. `api`: `https://host:port`; `certificate`: file with those to trust, empty: the
    system's. `signing_key`, `signing_ttl` (seconds): the cluster's own, by which its locators are signed; empty: none.
    `replicas`: copies of a block that are wanted."""

    api: str
    token: str
    certificate: str = ""
    signing_key: bytes = b""
    signing_ttl: int = 14 * 24 * 3600
    replicas: int = 1


class Service(NamedTuple):
    """A Keep service."""

    uuid: str
    url: str
    read_only: bool


class KeepBlocks:
    """The `Blocks` of a cluster. For any number of threads. `clock`: seconds since 1970, for signatures."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.time) -> None:
        self._cluster = cluster
        self._clock = clock
        trusted = cluster.certificate or None
        self._http = urllib3.PoolManager(timeout=PATIENCE, retries=TRIES, maxsize=8, ca_certs=trusted)
        self._words = RemoteWords(cluster, self._request)
        self._lock = threading.Lock()
        self._services: list[Service] = []
        self._listed = 0.0

    def put(self, data: Data, *, md5: str = "") -> str:
        """See `Blocks`."""
        locator = checked(data, md5)
        if locator.size:
            self._store(locator, bytes(data))
        return locator.stripped

    def together(self) -> AbstractContextManager[Self]:
        """See `Blocks`. One by one: what syncs them is elsewhere."""
        return nullcontext(self)

    def get(self, locator: str) -> bytes:
        """See `Blocks`. A collection of the cluster that stands in no block is asked of its API."""
        wanted = parse_locator(locator)
        if wanted.stripped == EMPTY_BLOCK:
            return b""
        found = ""
        for data in self._found("GET", wanted):
            if (found := locator_of(data).stripped) == wanted.stripped:
                return data
        if found:
            raise BlockCorrupt(wanted.stripped, found)
        return self._manifest(wanted)

    def exists(self, locator: str) -> bool:
        """See `Blocks`."""
        wanted = parse_locator(locator)
        if wanted.stripped == EMPTY_BLOCK or any(True for _ in self._found("HEAD", wanted)):
            return True
        try:
            self._manifest(wanted)
        except BlockMissing:
            return False
        return True

    def check(self, locator: str) -> None:
        """See `Blocks`."""
        self.get(locator)

    @property
    def words(self) -> "RemoteWords":
        """See `Blocks`."""
        return self._words

    def trouble(self) -> str | None:
        """Why the cluster can't be used now, in one line; None if it answers."""
        try:
            self._list()
        except StoreUnreachable as error:
            return str(error)
        return None

    def _found(self, verb: str, wanted: Locator) -> Iterator[bytes]:
        """What services have under this name, nothing for HEAD. StoreUnreachable if one of them could not say."""
        trouble = None
        for service in self._order(wanted.md5):
            try:
                reply = self._request(verb, f"{service.url}/{wanted.stripped}{self._signature(wanted)}")
            except StoreUnreachable as error:
                trouble = error
                continue
            if reply.status == OK and reply.headers.get("Content-Length") == str(wanted.size):
                yield reply.data
            elif reply.status not in (OK, *GONE):
                trouble = StoreUnreachable(service.url, _said(reply))
        if trouble:
            raise trouble

    def _store(self, locator: Locator, data: bytes) -> None:
        copies, trouble, is_full = 0, "no service takes blocks", True
        for service in self._order(locator.md5):
            if service.read_only:
                continue
            try:
                headers = {"X-Keep-Desired-Replicas": str(self._cluster.replicas)}
                reply = self._request("PUT", f"{service.url}/{locator.md5}", body=data, headers=headers)
            except StoreUnreachable as error:
                trouble, is_full = str(error), False
                continue
            if reply.status == OK:
                copies += int(reply.headers.get("X-Keep-Replicas-Stored", "1"))
                if copies >= self._cluster.replicas:
                    return
            else:
                trouble, is_full = _said(reply), is_full and reply.status in NO_ROOM
        told = f"{copies} of {self._cluster.replicas} copies were stored: {trouble}"
        if is_full and not copies:
            raise StoreFull(self._cluster.api, told)
        raise StoreUnreachable(self._cluster.api, told)

    def _manifest(self, wanted: Locator) -> bytes:
        """A collection's manifest, from the API. A token of scope `store` may not ask: there it is always a block."""
        reply = self._request("GET", f"{self._cluster.api}/arvados/v1/collections/{wanted.stripped}")
        if reply.status == OK:
            data = strip_hints(str(_parsed(self._cluster.api, reply)["manifest_text"])).encode()
            if locator_of(data).stripped == wanted.stripped:
                return data
        elif reply.status not in (*GONE, FORBIDDEN):
            raise StoreUnreachable(self._cluster.api, _said(reply))
        raise BlockMissing(wanted.stripped)

    def _signature(self, wanted: Locator) -> str:
        """As Arvados' API signs: by hash, token, time and the time that signatures are good for."""
        if not self._cluster.signing_key:
            return ""
        token = self._cluster.token.rpartition("/")[2]
        expires = f"{int(self._clock()) + SIGNED_FOR:08x}"
        message = f"{wanted.md5}@{token}@{expires}@{self._cluster.signing_ttl:x}"
        return f"+A{hmac.new(self._cluster.signing_key, message.encode(), hashlib.sha1).hexdigest()}@{expires}"

    def _order(self, md5: str) -> list[Service]:
        """All services, in this block's order. Source: Arvados' KeepClient."""
        with self._lock:
            if not self._services or time.monotonic() - self._listed > LISTED_FOR:
                self._services, self._listed = self._list(), time.monotonic()
            services = self._services
        return sorted(services, key=lambda one: _weight(md5, one), reverse=True)

    def _list(self) -> list[Service]:
        reply = self._request("GET", f"{self._cluster.api}/arvados/v1/keep_services/accessible")
        if reply.status != OK:
            raise StoreUnreachable(self._cluster.api, _said(reply))
        return [_service(item) for item in _parsed(self._cluster.api, reply)["items"]]

    def _request(self, verb: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"OAuth2 {self._cluster.token}", **options.pop("headers", {})}
        try:
            return self._http.request(verb, url, headers=headers, **options)
        except urllib3.exceptions.HTTPError as error:
            cause = getattr(error, "reason", None) or error
            raise StoreUnreachable(url.rpartition("/")[0], " ".join(str(cause).split())) from error


class RemoteWords:
    """See `SpokenWords`: in the folder of another of our machines. An Arvados cluster keeps no words of tasks.

    Nothing is sent to one whose signing key we have, nor for LISTED_FOR seconds to one that would not take them.
    """

    def __init__(self, cluster: Cluster, request: Callable[..., urllib3.BaseHTTPResponse]) -> None:
        self._api = cluster.api
        self._request = request
        self._silent_until = math.inf if cluster.signing_key else 0.0

    def put(self, name: str, words: Words) -> None:
        """See `SpokenWords`."""
        reply = self._ask("PUT", name, body=encode(words))
        if reply is not None and reply.status != OK:
            self._silent_until = time.monotonic() + LISTED_FOR

    def get(self, name: str) -> Words | None:
        """See `SpokenWords`."""
        reply = self._ask("GET", name)
        return decode(reply.data) if reply is not None and reply.status == OK else None

    def remove(self, name: str) -> None:
        """See `SpokenWords`."""
        self._ask("DELETE", name)

    def _ask(self, verb: str, name: str, **options: Any) -> urllib3.BaseHTTPResponse | None:
        """OK, or that it has or keeps nothing of the kind; None: it was not asked."""
        if time.monotonic() < self._silent_until:
            return None
        reply = self._request(verb, f"{self._api}/words/{name}", **options)
        if reply.status not in (OK, *GONE, NOT_ALLOWED):
            raise StoreUnreachable(self._api, _said(reply))
        return reply


def _weight(md5: str, service: Service) -> str:
    return hashlib.md5(f"{md5}{service.uuid[-15:]}".encode(), usedforsecurity=False).hexdigest()


def _service(item: Any) -> Service:
    scheme = "https" if item["service_ssl_flag"] else "http"
    url = f"{scheme}://{item['service_host']}:{item['service_port']}"
    return Service(item["uuid"], url, bool(item.get("read_only")))


def _parsed(api: str, reply: urllib3.BaseHTTPResponse) -> Any:
    try:
        return orjson.loads(reply.data)
    except orjson.JSONDecodeError as error:
        raise StoreUnreachable(api, "what answers there is no Arvados API") from error


def _said(reply: urllib3.BaseHTTPResponse) -> str:
    if reply.status in (UNAUTHORIZED, FORBIDDEN):
        return f"it refuses our token ({reply.status})"
    return f"it answers {reply.status}"
