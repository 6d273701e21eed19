"""What stands around every page: headers, the same-origin rule for forms, errors as pages or JSON."""

import logging
import traceback
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.api.errors import ApiError, translated
from gateway.pages import render
from gateway.pages.session import COOKIE, NotForPages, StaleForm

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
DOWNLOAD = {"Content-Security-Policy": "default-src 'none'; sandbox"}
TITLES = {
    401: "Sign in",
    403: "Not allowed",
    404: "Nothing here",
    409: "The form is out of date",
    413: "Too large",
    422: "That was refused",
    429: "Too often",
    503: "Not now",
}
AGAIN = 5  # seconds after which a page that could not be made is asked for again
_log = logging.getLogger(__name__)


class TooMany(Exception):
    """Too many of something, as the words say; `wait`: seconds until there may be one more."""

    def __init__(self, wait: float, words: str) -> None:
        super().__init__(words)
        self.wait = int(wait) + 1


def guarded(response: Response) -> Response:
    """The response with the headers that every page has."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def check_origin(asked: Request) -> None:
    """ApiError 403 for a form that another site sent, or a browser that does not say which site it was."""
    host = asked.headers.get("host")
    if not host or asked.headers.get("origin") != f"https://{host}":
        raise ApiError(403, "the form was not sent by this site")


def failed(asked: Request, error: Exception, *, as_json: bool) -> Response:
    """The reply to an error: what is known of it, in words."""
    status, words = _known(asked, error)
    if status == 401 and not as_json:
        return _to_login(asked)
    headers = {"Retry-After": str(_again(error))} if status in (429, 503) else {}
    if as_json:
        return Response(orjson.dumps({"errors": words}), status, headers, "application/json")
    again = AGAIN if status == 503 and asked.method == "GET" else None
    values = {"status": status, "title": TITLES.get(status, "That failed"), "messages": words, "again": again}
    return HTMLResponse(render.page("error.html", values), status, headers)


def _again(error: Exception) -> int:
    return error.wait if isinstance(error, TooMany) else AGAIN


def _known(asked: Request, error: Exception) -> tuple[int, list[str]]:
    if isinstance(error, StaleForm):
        return 409, ["The form is too old, or from before you signed in. Nothing was done: go back, reload, repeat."]
    if isinstance(error, NotForPages):
        return 403, ["This token opens less than the whole API, so it opens no pages: make one without --scope."]
    if isinstance(error, TooMany):
        return 429, [f"{error}: wait {error.wait} s."]
    made = translated(error)
    if made is not None:
        if made.status == 503:
            _log.error("%s pages: 503 %s: %s", asked.method, type(error).__name__, error)
        return made.status, made.messages
    body: dict[str, Any] = ApiError(500).body()
    trace = "".join(traceback.format_exception(error))
    _log.error("%s pages %s: 500 %s", asked.method, body["error_token"], trace)
    return 500, [f"The server failed; its log says more under {body['error_token']}."]


def _to_login(asked: Request) -> Response:
    path = asked.url.path if asked.method == "GET" else "/"
    query = f"?{asked.url.query}" if asked.url.query and asked.method == "GET" else ""
    response = RedirectResponse(f"/login?next={render.segment(path + query)}", 303)
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
    return response
