"""A TCP proxy before a real server that spoils what comes back: cut, held up, split, replaced."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from llm_fleet.embedded import PrivateServer

__all__ = [
    "FaultProxy",
    "Spoil",
    "byte_by_byte",
    "cut_after",
    "instead",
    "late",
    "once",
    "proxy_to",
    "silent",
    "whole",
]

Spoil = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""What is done with bytes that the server sent: some of them, or others, are written on."""


async def whole(data: bytes, writer: asyncio.StreamWriter) -> None:
    """Pass everything on."""
    writer.write(data)


async def byte_by_byte(data: bytes, writer: asyncio.StreamWriter) -> None:
    """Every byte in a packet of its own."""
    for byte in data:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)


def cut_after(count: int) -> Spoil:
    """Pass on `count` bytes, then close the connection."""

    async def cut(data: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data[:count])
        writer.close()

    return cut


def once(proxy: FaultProxy, spoil: Spoil) -> Spoil:
    """Spoil the next bytes, and pass on everything after them."""

    async def spoil_next(data: bytes, writer: asyncio.StreamWriter) -> None:
        proxy.spoil = whole
        await spoil(data, writer)

    return spoil_next


def instead(other: bytes) -> Spoil:
    """Pass on something else."""

    async def replace(data: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(other)

    return replace


async def silent(data: bytes, writer: asyncio.StreamWriter) -> None:
    """Pass nothing on any more over this connection, though it stays open. (No line loses bytes in its midst.)"""
    while not writer.is_closing():
        await asyncio.sleep(0.01)


def late(delay_s: float) -> Spoil:
    """Pass everything on, in order, each after a while."""

    async def pass_on(data: bytes, writer: asyncio.StreamWriter) -> None:
        asyncio.get_running_loop().call_later(delay_s, writer.write, data)

    return pass_on


class FaultProxy:
    """Lives on the loop of its test. `spoil` may be changed at any time; `hold` stops all answers."""

    def __init__(self, server: PrivateServer) -> None:
        self._server = server
        self.port = 0
        self.spoil: Spoil = whole
        self.asked = bytearray()
        self.connections = 0
        self.flows = asyncio.Event()
        self.flows.set()
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return self._server.url.replace(f":{self._server.port}/", f":{self.port}/")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server.port)
        self._writers += [writer, to_server]
        with contextlib.suppress(OSError):
            await asyncio.gather(self._ask(reader, to_server), self._answer(from_server, writer))

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.asked += data
            writer.write(data)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self.flows.wait()
            await self.spoil(data, writer)
        writer.close()

    def cut(self) -> None:
        """Close all connections that are open now."""
        for writer in self._writers:
            writer.close()

    def close(self) -> None:
        self.flows.set()
        self.cut()


@asynccontextmanager
async def proxy_to(server: PrivateServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultProxy]:
    """A proxy to `server`; with `tls` it speaks that to its callers."""
    proxy = FaultProxy(server)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
        proxy.close()
        await asyncio.sleep(0.01)
