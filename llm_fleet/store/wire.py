"""Commands out, answers in: everything is written at once, and answered in order.

asyncio's protocol and hiredis's reader, with nothing between. Knows no address and no login.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from typing import Any, NamedTuple, cast

import hiredis
from redis.exceptions import AuthenticationError, InvalidResponse, NoScriptError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

__all__ = ["Argument", "Command", "Wire"]

Argument = str | bytes | int | float
Command = tuple[Argument, ...]

AUTHENTICATION = ("WRONGPASS", "NOAUTH", "ERR AUTH", "ERR invalid password", "ERR Client sent AUTH")
CLOSED = "the connection was closed"
CROWDED = "ERR max number of clients"
READ_BYTES = 65_536


class _Asked(NamedTuple):
    """A command that is on its way; `deadline` by the loop's clock."""

    answer: asyncio.Future[Any]
    deadline: float
    name: str
    timeout_s: float


class Wire(asyncio.Protocol):
    """One connection's protocol. Who asked waits for a future of the one queue of those in flight.

    A command that is not answered within its time closes the wire: answers come in order, so
    whatever is behind it would come late too. Whoever is in flight when it closes gets the error.
    A cancelled command keeps its place, so its answer is never taken for another's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=answer_error,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._asked: deque[_Asked] = deque()
        self._unsent: list[bytes] = []
        self._watch: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None
        self.transport: asyncio.Transport | None = None
        self.closed = loop.create_future()

    @property
    def is_open(self) -> bool:
        return self.transport is not None and self._failure is None and not self.transport.is_closing()

    @property
    def is_idle(self) -> bool:
        """Nothing is in flight."""
        return not self._asked

    def ask(self, command: Command, timeout_s: float) -> asyncio.Future[Any]:
        """Send a command; its answer, or what went wrong. Never blocks."""
        packed = hiredis.pack_command(cast(Any, command))
        answer = self._loop.create_future()
        if not self.is_open:
            answer.set_exception(_again(self._failure or RedisConnectionError(CLOSED)))
            return answer
        deadline = self._loop.time() + timeout_s
        is_alone = not self._asked
        self._asked.append(_Asked(answer, deadline, str(command[0]), timeout_s))
        if self._watch is None or deadline < self._watch.when():
            self._watch_until(deadline)
        self._write(packed, is_alone)
        return answer

    def _write(self, data: bytes, is_alone: bool) -> None:
        """Send at once what is alone, and the rest of a crowd together: a system call is dear."""
        if is_alone and self.transport is not None:
            self.transport.write(data)
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if self.is_open and self.transport is not None:
            self.transport.write(data)

    def _watch_until(self, deadline: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        """One timer for all that is in flight: it is set again when it finds nobody late."""
        self._watch = None
        if not self._asked:
            return
        first = min(self._asked, key=lambda asked: asked.deadline)
        if first.deadline <= self._loop.time():
            self.fail(RedisTimeout(f"did not answer {first.name} within {first.timeout_s:g} s"))
        else:
            self._watch_until(first.deadline)

    def fail(self, error: Exception) -> None:
        """Close it at once: whoever is in flight gets an error like this one."""
        self._failure = self._failure or error
        if self._watch is not None:
            self._watch.cancel()
        if self.transport is not None:
            self.transport.abort()
        asked, self._asked = self._asked, deque()
        for one in asked:
            if not one.answer.done():
                one.answer.set_exception(_again(error))

    # -- what asyncio calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                self._answered(answer)
        except InvalidResponse as error:
            self.fail(InvalidResponse(f"what answers there is no Redis ({error})"))

    def _answered(self, answer: Any) -> None:
        if not self._asked:
            self.fail(answer if isinstance(answer, Exception) else InvalidResponse("an answer to nothing"))
            return
        waiting = self._asked.popleft().answer
        if waiting.done():
            return
        if isinstance(answer, Exception):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(error, OSError):
            self._hear_last_words()
        self.fail(RedisConnectionError(str(error or CLOSED)))
        if not self.closed.done():
            self.closed.set_result(None)

    def _hear_last_words(self) -> None:
        """Take what came before a write of ours failed: a server that refuses us says why, and closes
        before it has read anything; asyncio tells of the failed write and reads no more."""
        transport = self.transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return
        with contextlib.suppress(OSError):
            while words := os.read(transport.get_extra_info("socket").fileno(), READ_BYTES):
                self.data_received(words)


def _again(error: Exception) -> Exception:
    """One like it: an exception belongs to the one who raises it."""
    return type(error)(*error.args)


def answer_error(text: str) -> Exception:
    """The exception for an error that a server answered, with its words."""
    if text.startswith("NOSCRIPT"):
        return NoScriptError(text)
    if text.startswith(AUTHENTICATION):
        return AuthenticationError(text)
    if text.startswith(CROWDED):
        return RedisConnectionError(text)
    return ResponseError(text.removeprefix("ERR "))
