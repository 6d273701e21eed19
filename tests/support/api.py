"""A whole system in this process with the API in front of it, and people who ask it over HTTPS."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import requests

from gateway import config as settings
from gateway import wiring
from gateway.api.assemble import Api
from gateway.api.server import bound
from gateway.config import Config, Data, Executor
from gateway.content import store_of
from gateway.people import user_set
from readmodel import registry
from schemas.settings import UserSet
from schemas.topics import Topic


class Person:
    """Someone with a token. `address`: `host:port`; `certificate`: what to trust."""

    def __init__(self, site: "Site", uuid: str, token: str) -> None:
        self.site, self.uuid, self.token = site, uuid, token
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy, no other certificates
        self.session.verify = str(site.certificate)
        self.session.headers["Authorization"] = f"OAuth2 {token}"

    def ask(self, verb: str, path: str, **options: Any) -> requests.Response:
        """One request below /arvados/v1/."""
        return self.session.request(verb, f"https://{self.site.address}/arvados/v1/{path}", **options)

    def get(self, path: str, **parameters: Any) -> Any:
        """What a GET replies, which must be a success; values that are no text are sent as JSON."""
        sent = {name: value if isinstance(value, str) else _json(value) for name, value in parameters.items()}
        return _good(self.ask("GET", path, params=sent))

    def post(self, path: str, **body: Any) -> Any:
        """What a POST of a flat JSON body replies."""
        return _good(self.ask("POST", path, json=body))

    def put(self, path: str, **body: Any) -> Any:
        """What a PUT of a flat JSON body replies."""
        return _good(self.ask("PUT", path, json=body))

    def delete(self, path: str) -> Any:
        """What a DELETE replies."""
        return _good(self.ask("DELETE", path))

    def environment(self, home: Path) -> dict[str, str]:
        """What Arvados' clients find their way by."""
        return {
            "ARVADOS_API_HOST": self.site.address,
            "ARVADOS_API_TOKEN": self.token,
            "SSL_CERT_FILE": str(self.site.certificate),
            "HOME": str(home),
        }


class Site:
    """The system: its API's address, its people by name."""

    def __init__(self, api: Api, folder: Path, dsn: str) -> None:
        self.api, self.dsn = api, dsn
        self.address = api.address
        self.certificate = folder / "api" / "certificate.pem"
        self._people: dict[str, Person] = {}

    def person(self, name: str, *, is_admin: bool = False) -> Person:
        """The user of this name, made when first asked for."""
        if name not in self._people:
            change = user_set(name, is_admin=is_admin)
            self.api.service.ask(Topic.SETTINGS, change)
            self._people[name] = Person(self, change.user, self.token(change.user))
        return self._people[name]

    def set_user(self, change: UserSet) -> None:
        """A change of a user."""
        self.api.service.ask(Topic.SETTINGS, change)

    def token(self, user: str, **options: Any) -> str:
        """A new token of the user with this uuid."""
        secret = registry.new_secret()
        with self.api.service.rows() as connection:
            registry.add_token(connection, secret, user, **options)
        return secret


@contextmanager
def site(*, dispatch: bool) -> Iterator[Site]:
    """A system that runs, with tasks or without."""
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-api-") as name, ExitStack() as stack:
        config = Config(data=Data(dir=name), executor=Executor(runner="process", slots=2), api=settings.Api(listen=""))
        folders = config.folders
        folders.create()
        events: SimpleQueue[Any] = SimpleQueue()
        works = stack.enter_context(wiring.running(config, folders, events, dispatch=dispatch))
        api = Api(works.log, works.dsn, store_of(folders), folders.data / "api", bound("127.0.0.1", 0))
        stack.callback(api.close)
        thread = threading.Thread(target=api.run)
        thread.start()
        stack.callback(thread.join)
        stack.callback(api.stop)
        yield Site(api, folders.data, works.dsn)


def _good(response: requests.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def _json(value: Any) -> str:
    import json

    return json.dumps(value)
