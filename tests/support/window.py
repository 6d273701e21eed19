"""A visitor's browser, as far as pages need one that runs no script: `Window(site, person).get("/jobs")`."""

import re
from typing import Any

import requests

from tests.support.api import Person, Site


class Window:
    """A visitor's browser, as far as it keeps a cookie."""

    def __init__(self, site: Site, person: Person | None = None) -> None:
        self.origin = f"https://{site.address}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(site.certificate)
        if person is not None:
            answered = self.post("/login", token=person.token, next="/jobs")
            assert answered.status_code == 303, answered.text

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.origin + path, allow_redirects=False, timeout=60, **options)

    def post(self, path: str, origin: str | None = "", **fields: str) -> requests.Response:
        headers = {} if origin is None else {"Origin": origin or self.origin}
        return self.session.post(self.origin + path, data=fields, headers=headers, allow_redirects=False, timeout=60)

    def mark(self, path: str) -> str:
        """What the forms of a page carry."""
        return re.findall(r'name="mark" value="([^"]+)"', self.get(path).text)[0]

    def close(self) -> None:
        self.session.close()


def tasks_of(one: Window, root: str) -> list[dict[str, Any]]:
    return one.get(f"/jobs/{root}.json").json()["tasks"]
