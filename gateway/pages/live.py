"""Live pages: a stream of server-sent events that carries the page's changed parts, at most one each second.

A client that does not read costs a connection and what its socket holds: a part that it does not take within a while
ends the stream. Whose token was revoked, who was shut out, or who signed out, in whichever tab, hears nothing more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.news import News

BEAT = 5.0  # seconds without news after which the stream says how old the page is
GROWING = 2.0  # the same of a page on which something is that comes without news: what a running task says
PAUSE = 1.0  # seconds between two parts
TAKEN_WITHIN = 20.0  # seconds for a client to take one
LONGEST = 15 * 60.0  # seconds; the client then asks again
STREAMS = 200  # at one time, of all visitors

Said = dict[str, object]
Say = Callable[[], Awaitable[Said]]


class Streams:
    """How many there are."""

    def __init__(self, most: int = STREAMS) -> None:
        self._left = most

    def enter(self) -> bool:
        """Take a place; whether there was one."""
        if self._left <= 0:
            return False
        self._left -= 1
        return True

    def leave(self) -> None:
        """Give it back."""
        self._left += 1


class Stream(Response):
    """What `say` says, whenever `news` rings and it says something else than before. Ends when that says `over`.

    `taken_within`: seconds for the client to take a part; `pause`: seconds between two.
    """

    def __init__(
        self, say: Say, news: News, streams: Streams, *, taken_within: float = TAKEN_WITHIN, pause: float = PAUSE
    ) -> None:
        super().__init__(media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._say, self._news, self._streams = say, news, streams
        self._within, self._pause = taken_within, pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client is gone, or takes nothing any more: then the server closes the connection."""
        gone = asyncio.ensure_future(_gone(receive))
        sending = asyncio.ensure_future(self._send(send))
        try:
            await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            sending.cancel()
            ended = await asyncio.gather(gone, sending, return_exceptions=True)
            self._streams.leave()
        if isinstance(ended[1], Exception) and not isinstance(ended[1], TimeoutError):
            raise ended[1]

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for event in self._events():
            async with asyncio.timeout(self._within):
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self) -> AsyncIterator[bytes]:
        end = time.monotonic() + LONGEST
        before: object = None
        with self._news.heard() as news:
            while time.monotonic() < end and not self._news.is_over:
                news.clear()
                said = await self._say()
                beat = GROWING if said.pop("is_growing", False) else BEAT
                yield _event(said, before)
                if said.get("over"):
                    return
                before = said.get("parts", before)
                await asyncio.sleep(self._pause)
                with suppress(TimeoutError):
                    async with asyncio.timeout(beat - self._pause):
                        await news.wait()


def _event(said: Said, before: object) -> bytes:
    """The whole of what is said, or where its parts are as before, the rest alone."""
    shown = {name: value for name, value in said.items() if name != "parts" or value != before}
    return b"event: said\ndata: " + orjson.dumps(shown) + b"\n\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
