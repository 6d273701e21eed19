"""The ASGI application: paths, reading a body within its limits, errors as replies. What is asked runs in threads."""

import asyncio
import logging
import re
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api import discovery, request
from gateway.api.dispatch import Dispatcher
from gateway.api.errors import ApiError, not_found, translated
from gateway.api.numbers import readable

API = "/arvados/v1/"
THREADS = 40  # requests that are answered at one time
MAX_BODY = 4 * 2**20
LARGEST = {"collections": 32 * 2**20}  # bytes of a body, for what may be more: manifests
MAX_DRAINED = 128 * 2**20  # what a client that sends too much may still send, so that it hears why
SMALL = 2**16  # a body of at most so many bytes is read from anybody
BODY_WITHIN = 120.0  # seconds for a body to come
ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_HOST = re.compile(r"[A-Za-z0-9.\-]{1,253}(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](?::[0-9]{1,5})?")
Endpoint = Callable[[Request], Awaitable[Response]]
_log = logging.getLogger(__name__)


def application(dispatcher: Dispatcher, host: str, prefix: str, *more: Route) -> ASGIApp:
    """The application. `host`: what it is called where a request doesn't say; `more`: routes of Keep and of pages.

    Requests of the API itself don't go through the framework: each of its layers costs as much as a query.
    """

    async def discover(asked: Request) -> Response:
        return reply(200, discovery.document(dispatcher.resources, f"https://{_host(asked, host)}/", prefix))

    async def nothing(_: Request) -> Response:
        raise not_found()

    others = Starlette(
        routes=[
            Route("/discovery/v1/apis/arvados/v1/rest", answering(discover)),
            *more,
            Route("/{rest:path}", answering(nothing), methods=ANY),
        ],
        exception_handlers=dict.fromkeys((404, 405), _unknown),
    )
    api = answering(_Api(dispatcher, host))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(API):
            response = await api(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await others(scope, receive, send)

    return app


class _Api:
    """The endpoint of all resources. Threads of its own answer: most of the time they wait."""

    def __init__(self, dispatcher: Dispatcher, host: str) -> None:
        self._dispatcher = dispatcher
        self._host = host
        self._threads = ThreadPoolExecutor(THREADS, "api")
        self._large = asyncio.Semaphore(1)

    async def __call__(self, asked: Request) -> Response:
        loop, token, path = asyncio.get_running_loop(), token_of(asked), asked.scope["path"]
        if not _is_small(asked):
            await loop.run_in_executor(self._threads, self._dispatcher.service.caller, token)
        raw = await body_of(asked, LARGEST.get(path.split("/")[3], MAX_BODY))
        more = {"token": token, "host": _host(asked, self._host)}

        def answer() -> Response:
            call = request.call(asked.method, path, asked.scope["query_string"], dict(asked.headers), raw, **more)
            return reply(200, self._dispatcher.answer(call))

        if len(raw) <= MAX_BODY:
            return await loop.run_in_executor(self._threads, answer)
        async with self._large:  # what is made of it is several times as large
            return await loop.run_in_executor(self._threads, answer)


def answering(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with every error made into a reply."""

    async def answer(asked: Request) -> Response:
        try:
            return await endpoint(asked)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception as error:  # noqa: BLE001 # the last handler: it is told to the client, and to the log
            return _failed(asked, error)

    return answer


async def body_of(asked: Request, most: int, within: float = BODY_WITHIN) -> bytes:
    """The body. ApiError 413 if it is larger than `most`, after the rest was passed over; 408 if it takes too long."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(within):
            async for part in asked.stream():
                size += len(part)
                if size <= most:
                    parts.append(part)
                elif size > MAX_DRAINED:
                    break
                else:
                    parts.clear()
    except TimeoutError:
        raise ApiError(408, f"the body did not come within {within:g} s") from None
    if size > most:
        raise ApiError(413, f"the body is larger than {most} bytes")
    return b"".join(parts)


def token_of(asked: Request) -> str:
    """The token of `Authorization: OAuth2 …` or `Bearer …`; empty if there is none."""
    kind, _, token = asked.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() in ("oauth2", "bearer") else ""


def reply(status: int, value: Any) -> Response:
    """A reply of JSON."""
    headers = {"Cache-Control": "no-store"}
    try:
        data = orjson.dumps(value)
    except orjson.JSONEncodeError:  # an integer that it does not write
        data = orjson.dumps(readable(value))
    return Response(data, status, headers, "application/json; charset=utf-8")


def _failed(asked: Request, error: Exception) -> Response:
    known = translated(error)
    made = known or ApiError(500, "the server failed: its log says more under this error's token")
    body = made.body()
    if known is None or made.status == 503:
        trace = "".join(traceback.format_exception(error)) if known is None else f"{type(error).__name__}: {error}"
        _log.error("%s %s: %s %s", asked.method, body["error_token"], made.status, trace)
    return reply(made.status, body)


def _is_small(asked: Request) -> bool:
    length = asked.headers.get("content-length", "0")
    return "transfer-encoding" not in asked.headers and length.isdigit() and int(length) <= SMALL


async def _unknown(_: Request, __: Exception) -> Response:
    return reply(404, not_found().body())


def _host(asked: Request, default: str) -> str:
    named = asked.headers.get("host", "")
    return named if _HOST.fullmatch(named) else default
