"""uvicorn's HTTP with what it lacks: deadlines for the head and for a whole request, and a bound on silent connections."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_runtime.errors import InputError

LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
TEXT = b'{"detail": "got no request in time, expected its head at once; send it again"}'


class Deadlines(H11Protocol):
    """A connection. Where more than `most_silent` wait for a request, the oldest is closed if it has been silent for 1 s."""

    head_s: ClassVar[float] = 10.0
    whole_s: ClassVar[float] = 60.0
    most_silent: ClassVar[int] = 512  # of the 1024 files that a process may open in most places
    silent: ClassVar[dict[Deadlines, float]] = {}  # connections without a request, since when, the oldest first
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the head of the first request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._arm(None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Give the request its time as soon as its head is here."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._arm(self.whole_s)

    def on_response_complete(self) -> None:
        """Wait for the head of the next request."""
        self._await_head()
        super().on_response_complete()

    def _await_head(self) -> None:
        self._arm(self.head_s)
        self.silent[self] = self.loop.time()
        oldest, since = next(iter(self.silent.items()))
        if len(self.silent) > self.most_silent and self.loop.time() - since > 1:
            oldest._end()

    def _arm(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._end)
        self.silent.pop(self, None)

    def _end(self) -> None:
        """Close the connection: politely where a head is late, at once where a client does not read its answer."""
        if self in self.silent and self.conn.trailing_data[0]:
            self.transport.write(LATE % (len(TEXT), TEXT))
        self._arm(None)
        self.transport.close() if self.cycle is None or self.cycle.response_complete else self.transport.abort()


def with_deadlines(head_s: float, whole_s: float) -> type[asyncio.Protocol]:
    """Return the protocol with these deadlines, for `uvicorn.Config(http=...)`."""
    attributes: dict[str, Any] = {"head_s": head_s, "whole_s": whole_s, "silent": {}}
    return type("Deadlines", (Deadlines,), attributes)


def bind(settings: uvicorn.Config) -> socket.socket:
    """Return a socket whose connections hold nothing back: else a PNG waits 40 ms for the ACK of its head.

    Raises `InputError` where the port is taken or the host is unknown; uvicorn says so by `SystemExit`.
    """
    try:
        listening = settings.bind_socket()
    except SystemExit as error:
        raise InputError(f"got port {settings.port} of {settings.host}, expected a free one; try other --port, --host") from error
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
