"""A client of an Arvados API, found by the environment as all of Arvados' clients find it."""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
import urllib3

from gateway.problems import Problem, Refused, one_line

PATIENCE = urllib3.Timeout(connect=10, read=60)
TRIES = urllib3.Retry(total=3, backoff_factor=0.3, status_forcelist=(502, 503, 504), allowed_methods=None)
OK = 200


class Unanswered(Problem):
    """Nobody answers, or not now: to be tried again later."""


class NotDone(Problem):
    """The API said no. `status`: of HTTP."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ApiClient:
    """Asks the API that ARVADOS_API_HOST names. A creation that is sent again is the same one. Raises Refused."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._host, self._token = (_needed(environment, f"ARVADOS_API_{name}") for name in ("HOST", "TOKEN"))
        trust: dict[str, Any] = {"ca_certs": environment.get("SSL_CERT_FILE") or None}
        if environment.get("ARVADOS_API_HOST_INSECURE", "").lower() in ("1", "true", "yes"):
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            trust = {"cert_reqs": "CERT_NONE"}
        self._http = urllib3.PoolManager(timeout=PATIENCE, retries=TRIES, **trust)

    def get(self, path: str, **asked: Any) -> Any:
        """What a GET of a path below /arvados/v1/ replies. Raises NotDone, Unanswered."""
        fields = {
            name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in asked.items()
        }
        return self._ask("GET", path, fields=fields)

    def post(self, path: str, body: Any = None) -> Any:
        """What a POST of a JSON body replies."""
        return self._ask("POST", path, body=orjson.dumps(body or {}))

    def _ask(self, verb: str, path: str, **more: Any) -> Any:
        headers = {
            "Authorization": f"OAuth2 {self._token}",
            "Content-Type": "application/json",
            "X-Request-Id": f"req-{secrets.token_hex(10)}",
        }
        url = f"https://{self._host}/arvados/v1/{path}"
        try:
            reply = self._http.request(verb, url, headers=headers, **more)
            said = orjson.loads(reply.data)
        except (urllib3.exceptions.HTTPError, orjson.JSONDecodeError) as error:
            cause = getattr(error, "reason", None) or error
            raise Unanswered(f"ARVADOS_API_HOST: {self._host} gives no answer: {one_line(str(cause), 200)}") from error
        if reply.status != OK:
            raise NotDone(reply.status, f"{path}: {one_line('; '.join(said.get('errors', [str(reply.status)])))}")
        return said


def _needed(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise Refused(f"{name}: is not set: see crunch-reuse token show")
    return environment[name]
