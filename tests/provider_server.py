"""A small HTTP server that answers as it is told, oddly if need be, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Step = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Server:
    """What is answered next: `steps` are bytes to send and things to do, in order."""

    url: str = ""
    steps: list[Step] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    _at_work: set[asyncio.Task[None] | None] = field(default_factory=set)

    def says(self, *steps: Step) -> None:
        self.steps = list(steps)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._at_work.add(asyncio.current_task())
        try:
            while line := await reader.readline():
                self.asked.append(await _read_request(line, reader))
                for step in self.steps:
                    if isinstance(step, bytes):
                        writer.write(step)
                        await writer.drain()
                    else:
                        await step(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self._at_work.discard(asyncio.current_task())

    async def end(self) -> None:
        """Hang up on everybody."""
        for task in [task for task in self._at_work if task is not None]:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _read_request(first: bytes, reader: asyncio.StreamReader) -> Asked:
    headers: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(first.split()[1].decode(), headers, json.loads(body) if body else None)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server on a free port of this machine, for as long as the block runs."""
    server = Server()
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        await server.end()


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer with a JSON body; a str is sent as text/html."""
    is_page = isinstance(body, str)
    content = (body if is_page else json.dumps(body)).encode()
    kind = "text/html" if is_page else "application/json"
    fields = {"content-type": kind, "content-length": str(len(content)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Answer\r\n{head}\r\n".encode() + content


def event_stream(*events: Any, end: bool = True) -> bytes:
    """Server-sent events in one chunked answer; each gets the name of its `type`."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(_chunk(_event(event)) for event in events) + (b"0\r\n\r\n" if end else b"")


def _event(event: Any) -> bytes:
    if isinstance(event, str):
        return f"data: {event}\n\n".encode()
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def reset(writer: asyncio.StreamWriter) -> None:
    """Reset the connection, as a crashed server does."""
    writer.transport.abort()


async def cut(writer: asyncio.StreamWriter) -> None:
    """Close the connection in the middle of the body."""
    writer.close()


async def stall(writer: asyncio.StreamWriter) -> None:
    """Say nothing more, and keep the connection open."""
    await asyncio.Event().wait()


class Lease:
    """What an adapter sees of a lease, taking notes."""

    key_id = "0123456789ab"

    def __init__(self) -> None:
        self.is_sent = False
        self.reports: list[int] = []

    def mark_sent(self) -> None:
        self.is_sent = True

    def progress(self, output_tokens: int) -> None:
        self.reports.append(output_tokens)


class Reader:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    async def push(self, text: str) -> None:
        self.pieces.append(text)
