"""One HTTP exchange over ASGI: read the body, reply, stream, wait for the client to leave, break.

Knows no provider. Written by hand: starlette's routing and responses cost a stream 0.13 ms of CPU
more, which is what everything else here costs together, and know no way to break a connection.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .dialect import Headers

__all__ = ["Exchange", "Message", "Receive", "Reply", "Scope", "Send"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_LINGER_NOT = struct.pack("ii", 1, 0)
_ARRIVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in one piece; it goes out after `after_s` seconds."""

    status: int
    body: Any
    headers: Headers = field(default_factory=list)
    after_s: float = 0.0


class Exchange:
    """A request and the way back to its client."""

    __slots__ = ("_receive", "_send", "headers", "method", "path", "query")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive
        self._send = send

    async def body(self) -> bytes:
        body = bytearray()
        more = True
        while more:
            message = await self._receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return bytes(body)

    async def reply(self, reply: Reply) -> None:
        if reply.after_s and not await self.pause(reply.after_s):
            return
        body = json.dumps(reply.body).encode()
        await self._start(reply.status, [_JSON, (b"content-length", b"%d" % len(body)), *reply.headers])
        await self.write(body, last=True)

    async def open_stream(self, headers: Headers) -> None:
        await self._start(200, _EVENTS + headers)

    async def write(self, data: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def pause(self, seconds: float | None) -> bool:
        """Wait (None: for ever) while the client is there; False as soon as it has left."""
        if seconds is not None and seconds <= 0:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._client_leaves()
        except TimeoutError:
            return True
        return False

    async def drop(self) -> None:
        """Close the connection with the answer unfinished."""
        self._transport().close()
        await self._client_leaves()

    async def reset(self) -> None:
        """Reset the connection (RST), once what was written has had the time to arrive."""
        if await self.pause(_ARRIVAL_S):
            transport = self._transport()
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            transport.abort()
            await self._client_leaves()

    async def _start(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _client_leaves(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _transport(self) -> asyncio.Transport:
        """ASGI has no word for breaking a connection, so this reaches into uvicorn's."""
        transport: asyncio.Transport = self._send.__self__.transport  # type: ignore[attr-defined]
        return transport
