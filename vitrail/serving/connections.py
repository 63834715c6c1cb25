"""Connections of strangers: what never ends, is huge or comes a byte a minute ends its connection, and no more."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vitrail.serving.refusals import Refusal
from vitrail.serving.replies import refused

LARGEST_HEAD = 64 * 1024
MOST_HEADERS = 100
LONGEST_ADDRESS = 8 * 1024
LINGER_SECONDS = 2.0
"""For which the rest of a refused request is read and thrown away: a client that is still sending when its connection
is reset never sees why."""

UNREAD_SECONDS = 30.0
"""For a client to take some of an answer that it asked for."""

RESERVED = 32
"""Connections beyond the most: they are told so, and whoever asks whether the server lives is answered."""

_ALWAYS = (b"/healthz", b"/readyz", b"/metrics")
_BUSY = Refusal("overloaded", "too many connections are open", retry_after=1)


@dataclass(frozen=True)
class ConnectionBounds:
    """What a connection may take.

    Attributes:
        head_seconds: for the first byte, and from there for the request line and all headers.
        body_seconds: for the body.
        most: connections that are answered at once.
    """

    head_seconds: float = 10.0
    body_seconds: float = 30.0
    most: int = 1000


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which bounds neither the size of a head nor the time that anything takes."""

    def __init__(self, *args: Any, bounds: ConnectionBounds, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bounds = bounds
        self._refusal = Refusal("bad_request", "this is no HTTP")
        self._head_bytes = 0
        self._reads_head, self._reads_body, self._is_deaf = False, False, False
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None

    # ---------------------------------------------------------------------------------------- a connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A stranger is there, and has some seconds to say what he wants."""
        super().connection_made(transport)
        self.transport = _Lingering(transport, self._close)  # type: ignore[assignment]
        if len(self.connections) > self._bounds.most + RESERVED:
            self.transport.write(_as_bytes(_BUSY))
            self.transport.close()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """He is gone."""
        for timer in (self._reading, self._writing, self._closing):
            _stop(timer)
        self._is_deaf = True
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Bytes, of however many requests."""
        if self._is_deaf:
            return
        if self._reads_head:
            if self._head_bytes > LARGEST_HEAD:
                self._refuse(Refusal("head_too_large", "the headers are too long"))
                return
            self._head_bytes += len(data)
        elif not self._reads_body and (self.cycle is None or self.cycle.response_complete):
            self._await_head()  # also an empty line before a request, at which no parser says that one begins
        super().data_received(data)

    def pause_writing(self) -> None:
        """He does not take what he asked for."""
        super().pause_writing()
        self._writing = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """He does."""
        super().resume_writing()
        _stop(self._writing)

    # ------------------------------------------------------------------------------------------- a request

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if not self._reads_head:  # a further one of the same connection
            self._await_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        super().on_url(url)
        if len(self.url) > LONGEST_ADDRESS:
            self._refusal = Refusal("address_too_long", "the address is too long")
            raise ValueError(self._refusal.message)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS:
            self._refusal = Refusal("head_too_large", "there are too many headers")
            raise ValueError(self._refusal.message)

    def on_headers_complete(self) -> None:
        """The head is whole; the body has its own time, whether or not somebody wants it."""
        self._reads_head, self._reads_body = False, True
        self._wait(self._bounds.body_seconds + LINGER_SECONDS)
        is_busy = len(self.connections) > self._bounds.most and self.url.partition(b"?")[0] not in _ALWAYS
        self.app = _busy if is_busy else self.config.loaded_app
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is whole, too."""
        self._reads_body = False
        _stop(self._reading)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called for what is no HTTP, and for what a callback above has refused."""
        self._refuse(self._refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """Answered as if no upgrade were asked for; not a matter for the log."""

    # ---------------------------------------------------------------------------------------------- its end

    def _refuse(self, refusal: Refusal) -> None:
        """An answer without a request; where an earlier request is not answered yet, that is still done."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                cycle.keep_alive, self._is_deaf = False, True
                _stop(self._reading)
                return
            cycle.disconnected = True
            cycle.message_event.set()
        if not self.transport.is_closing():
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self.transport.write(_as_bytes(refusal))
            self._reads_body = True  # of whatever it was, more may come
            self.transport.close()

    def _close(self, transport: asyncio.Transport) -> None:
        """Instead of the transport's `close`."""
        if self._closing is not None or transport.is_closing():
            return
        is_sending = self._reads_head or self._reads_body
        self._is_deaf = True
        _stop(self._reading)
        if is_sending and transport.can_write_eof():
            transport.write_eof()
            self.flow.resume_reading()
            self._closing = self.loop.call_later(LINGER_SECONDS, transport.abort)
            return
        transport.close()
        if transport.get_write_buffer_size():
            self._closing = self.loop.call_later(UNREAD_SECONDS, transport.abort)

    def _await_head(self) -> None:
        self._reads_head, self._reads_body, self._head_bytes = True, False, 0
        self._wait(self._bounds.head_seconds)

    def _wait(self, seconds: float) -> None:
        _stop(self._reading)
        self._reading = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        self._reading, self._reads_head, self._reads_body = None, False, False
        self.transport.close()


class _Lingering:
    """A transport whose closing is ours."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[asyncio.Transport], None]) -> None:
        self._transport, self._close = transport, close
        self._is_closed = False
        self.write = transport.write  # the one that is used all the time

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing should be written any more."""
        return self._is_closed or self._transport.is_closing()

    def close(self) -> None:
        """After what was written is sent."""
        self._is_closed = True
        self._close(self._transport)


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:
    await refused(_BUSY, closes=True)(scope, receive, send)


def _as_bytes(refusal: Refusal) -> bytes:
    response = refused(refusal, closes=True)
    head = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
    status = HTTPStatus(refusal.status)
    return f"HTTP/1.1 {status} {status.phrase}\r\n".encode() + head + b"\r\n" + bytes(response.body)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
