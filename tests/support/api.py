"""A whole system in a process with the API in front of it, and people who ask it over HTTPS."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from gateway import runtime
from gateway.client import Client, local_login
from gateway.people import user_set
from readmodel import queries, registry
from readmodel.connection import connect
from schemas.settings import UserSet
from schemas.topics import Topic
from tests.support.crunch import Crunch, Up, done


class Person:
    """Someone with a token. `address`: `host:port` of the API process they speak to."""

    def __init__(self, site: "Site", uuid: str, token: str, address: str = "") -> None:
        self.site, self.uuid, self.token = site, uuid, token
        self.address = address or site.address
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy, no other certificates
        self.session.verify = str(site.certificate)
        self.session.headers["Authorization"] = f"OAuth2 {token}"

    def ask(self, verb: str, path: str, **options: Any) -> requests.Response:
        """One request below /arvados/v1/."""
        return self.session.request(verb, f"https://{self.address}/arvados/v1/{path}", **options)

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

    def __init__(self, crunch: Crunch, up: Up) -> None:
        self.crunch, self.up = crunch, up
        self.address: str = up.ready["api"]
        self.certificate = crunch.data / "api" / "certificate.pem"
        self.dsn = runtime.find(crunch.session().folders).dsn
        self._people: dict[str, Person] = {}
        self._secrets: list[str] = []

    def person(self, name: str, *, is_admin: bool = False) -> Person:
        """The user of this name, made when first asked for. Who runs the tests is nobody's to give rights to."""
        assert name != local_login(), f"{name!r} runs the tests: all commands without --as would have its rights"
        if name not in self._people:
            change = user_set(name, is_admin=is_admin)
            self.set_user(change)
            self._people[name] = Person(self, change.user, self.token(change.user))
        return self._people[name]

    def set_user(self, change: UserSet) -> None:
        """A change of a user, in effect when this returns."""

        def is_there(client: Client) -> bool | None:
            found = queries.user_named(client.rows, change.name)
            standing = (change.user, change.name, change.is_admin, change.is_active)
            return (found and (found.uuid, found.name, found.is_admin, found.is_active) == standing) or None

        with Client(self.crunch.session()) as client:
            client.ask(Topic.SETTINGS, change)
        self.crunch.until(is_there)

    def close(self) -> None:
        """End the connections."""
        for person in self._people.values():
            person.session.close()

    def token(self, user: str, **options: Any) -> str:
        """A new token of the user with this uuid."""
        secret = registry.new_secret()
        with closing(connect(self.dsn)) as rows:
            registry.add_token(rows, secret, user, **options)
        self._secrets.append(secret)
        return secret

    def end(self) -> None:
        """Stop it. Whatever was asked of it, no token stands in what it had to say."""
        self.close()
        ended = self.up.stop()
        assert "up stopping reason=SIGTERM" in ended.err
        assert [secret for secret in self._secrets if secret in ended.err + ended.out] == []


@contextmanager
def site(
    *options: str,
    runner: str = "process",
    environment: Mapping[str, str] = {},
    settings: Mapping[str, str] = {},
) -> Iterator[Site]:
    """A system that runs, in a process of its own. `options`: more of `up`; `settings`: keys of the configuration."""
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-api-") as name:
        crunch = Crunch(Path(name) / "home", Path(name) / "data", settings)
        crunch.home.mkdir()
        with crunch.up("--runner", runner, "--slots", "2", *options, environment=environment) as up:
            made = Site(crunch, up)
            yield made
            made.end()


@contextmanager
def another_api(made: Site, *launcher: str) -> Iterator[tuple[str, int]]:
    """One more API process beside the system: its address and process id. `launcher`: if not as it is shipped."""
    with made.crunch.start("api", "--json", launcher=launcher or ("gateway.cli",)) as process:
        assert process.stdout
        lines = (json.loads(line) for line in process.stdout)
        ready = next(line["detail"] for line in lines if line["action"] == "ready")
        try:
            yield ready.removeprefix("https://"), process.pid
        finally:
            process.terminate()
        assert done(process).code == 0


def _good(response: requests.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def _json(value: Any) -> str:
    return json.dumps(value)
