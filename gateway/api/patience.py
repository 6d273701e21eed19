"""How long a client is waited for: who is silent, or stops reading, takes no place from others for ever.

uvicorn bounds the pause after a reply, and nothing else: a connection that never says what it wants, says it a byte at
a time or without end, or does not read what it asked for would stay. Bodies have bounds of their own where they are
read; what may follow them (trailers, which uvicorn keeps as it keeps headers) is bounded as heads are.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Patient(HttpToolsProtocol):
    """HTTP with an end to waiting. `head`: seconds for a request's head to come whole, from the connection or from its
    first byte on; `most`: its bytes, and those of trailers; `unread`: seconds for a client to read on, where a reply
    waits for that."""

    head = 20.0
    most = 2**16
    unread = 60.0
    _waiting: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _has_come_on = False  # whether a packet began or ended a head, or held some of a body
    _said = 0  # bytes of all packets since the last that did

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """It is expected to say something."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(self.head, self.give_up)

    def data_received(self, data: bytes) -> None:
        """Wait for more while that is not yet a request."""
        self._has_come_on = False
        super().data_received(data)
        self._said = 0 if self._has_come_on else self._said + len(data)
        if self._said > self.most:
            self.give_up()
            return
        is_asked = bool(self.cycle) and not self.cycle.response_complete  # there is none before the first request
        if is_asked and self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        elif not is_asked and self._waiting is None:
            self._waiting = self.loop.call_later(self.head, self.give_up)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._has_come_on = True

    def on_headers_complete(self) -> None:
        """It is whole."""
        self._has_come_on = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of what follows it."""
        self._has_come_on = True
        super().on_body(body)

    def on_response_complete(self) -> None:
        """From here on uvicorn waits, until there is a byte of the next request."""
        super().on_response_complete()
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def pause_writing(self) -> None:
        """The client is slower than we are."""
        self.flow.pause_writing()
        self._unread = self.loop.call_later(self.unread, self.give_up)

    def resume_writing(self) -> None:
        """It has read on."""
        self.flow.resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for."""
        for timer in (self._waiting, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Hang up."""
        self.transport.abort()
