"""Keep over HTTP: blocks by locator, a part of one in memory at a time, each signed for whom it is given to."""

import asyncio
import time
from collections.abc import Iterator
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from coordinator.purity import Request as Ruled
from gateway.api.app import answering, token_of
from gateway.api.discovery import REPLICAS
from gateway.api.dispatch import Dispatcher, Handler, Object, check_scopes
from gateway.api.errors import ApiError, invalid, not_found
from gateway.api.render import listed
from gateway.api.request import Call
from gateway.api.schema import KEEP_SERVICES
from gateway.api.service import Caller
from store.blocks import BlockStore
from store.locator import EMPTY_BLOCK, parse_locator
from store.shelves import CHUNK_BYTES, MAX_BLOCK_BYTES

MD5_DIGITS = 32
BLOCK_WITHIN = 900.0  # seconds for a block to come


class Keep:
    """The routes of a Keep service over the API's store: these are its blocks."""

    def __init__(self, dispatcher: Dispatcher, blocks: BlockStore) -> None:
        self._service = dispatcher.service
        self._blocks = blocks

    def routes(self) -> list[Route]:
        """Where blocks are."""
        return [
            Route("/{block}", answering(self.put), methods=["PUT"]),
            Route("/{block}", answering(self.get), methods=["GET", "HEAD"]),
        ]

    async def put(self, asked: Request) -> Response:
        """Store a block; the reply is its locator, signed."""
        md5 = str(asked.path_params["block"]).partition("+")[0]
        if len(md5) != MD5_DIGITS or set(md5) - set("0123456789abcdef"):
            raise not_found()
        caller = await run_in_threadpool(self._caller, asked)
        _check_size(asked)
        await run_in_threadpool(caller.ask_rule, Ruled(action="create", kind="block"))
        locator = await self._received(asked, md5)
        headers = {
            "X-Keep-Replicas-Stored": str(REPLICAS),
            "X-Keep-Storage-Classes-Confirmed": f"default={REPLICAS}",
        }
        return PlainTextResponse(f"{caller.signer.locator(locator)}\n", headers=headers)

    async def get(self, asked: Request) -> Response:
        """A block, or with HEAD whether it is there."""
        text = str(asked.path_params["block"])
        if text[MD5_DIGITS : MD5_DIGITS + 1] != "+":
            raise not_found()
        caller = await run_in_threadpool(self._caller, asked)
        locator = parse_locator(text)
        if locator.stripped != EMPTY_BLOCK and not caller.is_of_a_machine:
            caller.signer.check(locator.stripped, "+".join(locator.hints), int(time.time()))
        await run_in_threadpool(caller.ask_rule, Ruled(action="read", kind="block", name=text, signed=True))
        headers = {"Content-Length": str(locator.size)}
        kind = "application/octet-stream"
        if asked.method == "HEAD":
            await run_in_threadpool(self._look, locator.stripped)
            return Response(headers=headers, media_type=kind)
        file = await run_in_threadpool(self._blocks.open, locator.stripped)
        return StreamingResponse(_parts(file), headers=headers, media_type=kind)

    def _caller(self, asked: Request) -> Caller:
        caller = self._service.caller(token_of(asked))
        check_scopes(caller, Call(asked.method, (str(asked.path_params["block"]),)))
        return caller

    def _look(self, locator: str) -> None:
        if not self._blocks.exists(locator):
            raise not_found("the block is not there")

    async def _received(self, asked: Request, md5: str) -> str:
        incoming = await run_in_threadpool(self._blocks.receive)
        try:
            async with asyncio.timeout(BLOCK_WITHIN):
                async for part in asked.stream():
                    await run_in_threadpool(self._blocks.add, incoming, part)
            return await run_in_threadpool(self._blocks.finish, incoming, md5)
        except TimeoutError:
            raise ApiError(408, f"the block did not come within {BLOCK_WITHIN:g} s") from None
        finally:
            await run_in_threadpool(self._blocks.drop, incoming)


def accessible(_: Caller, call: Call, __: str) -> Object:
    """The one Keep service there is: this server, by the name that the client knows it by."""
    host, _colon, port = call.host.rpartition(":")
    item = {
        "href": "/keep_services/zzzzz-bi6l4-000000000000000",
        "kind": KEEP_SERVICES.kind,
        "etag": "",
        "uuid": "zzzzz-bi6l4-000000000000000",
        "service_host": host.strip("[]") if port.isdigit() else call.host,
        "service_port": int(port) if port.isdigit() else 443,
        "service_ssl_flag": True,
        "service_type": "proxy",
        "read_only": False,
    }
    return listed(KEEP_SERVICES, [item], 0, 100, 1)


def _check_size(asked: Request) -> None:
    """Before a byte of it is read: who sends `Expect: 100-continue` is told in time."""
    length = asked.headers.get("content-length", "")
    if length and not length.isdigit():
        raise invalid("Content-Length: must be a number")
    if length and int(length) > MAX_BLOCK_BYTES:
        raise ApiError(413, f"a block has at most {MAX_BLOCK_BYTES} bytes")


def _parts(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while part := file.read(CHUNK_BYTES // 4):
            yield part


HANDLERS: dict[tuple[str, str], Handler] = {
    ("keep_services", "accessible"): accessible,
    ("keep_services", "list"): accessible,
}
