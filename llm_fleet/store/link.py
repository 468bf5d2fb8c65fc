"""One connection, with our own timeouts and no retries. Raises what redis-py raises.

redis-py's connection does the talking; its client and pools are left out: they retry ten times,
open up to a hundred connections, and cost as much again per command as the command itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import weakref
from typing import Any, cast

import hiredis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeout

from .target import Address, Target

__all__ = ["Command", "Link"]

Command = tuple[str | int | float, ...]

_PARAMETERS = inspect.signature(AbstractConnection.__init__).parameters
_QUIET = {"driver_info": None} if "driver_info" in _PARAMETERS else {"lib_name": None, "lib_version": None}
"""Leaves out CLIENT SETINFO, in the spelling of the installed redis-py."""
_LOOK = "can_read" if hasattr(AbstractConnection, "can_read") else "can_read_destructive"


class Link:
    """A connection to one server; what it asks is answered in order, one thing at a time.

    `sentinel`: log in to the sentinel that listens there, not to a server of the target.
    """

    def __init__(
        self, target: Target, address: Address, *, connect_timeout_s: float, sentinel: bool = False
    ) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._by = "" if target.tls is None else " by TLS (if it speaks that)"
        login, db = (target.sentinel_login, 0) if sentinel else (target.login, target.db)
        self._connection = _connection(
            target,
            address,
            db=db,
            username=login.username or None,
            password=login.password or None,
            socket_connect_timeout=connect_timeout_s,
        )
        _live.add(self)

    @property
    def is_open(self) -> bool:
        return bool(self._connection.is_connected)

    async def open(self) -> None:
        """Connect and log in. A link that could not be opened holds nothing."""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._connection.connect()  # type: ignore[no-untyped-call]
        except BaseException as error:
            await self.close()
            if isinstance(error, (TimeoutError, RedisTimeout)):
                within = f"{self._by} within {self._connect_timeout_s:g} s"
                raise RedisTimeout(f"could not be reached{within}") from error
            raise

    async def is_stale(self) -> bool:
        """Whether the server has closed it, or an answer nobody waits for lies in it."""
        try:
            return bool(await getattr(self._connection, _LOOK)())
        except Exception:
            return True

    async def ask(self, command: Command, timeout_s: float) -> Any:
        """Send one command and wait for its answer; closes itself when it does not get that."""
        try:
            async with asyncio.timeout(timeout_s):
                packed = hiredis.pack_command(cast(Any, command))
                await self._connection.send_packed_command(packed, check_health=False)
                return await self._connection.read_response()
        except TimeoutError:
            raise RedisTimeout(f"did not answer {command[0]} within {timeout_s:g} s") from None

    async def close(self) -> None:
        """Close it, and wait until it is closed, but not longer than for opening it."""
        with contextlib.suppress(Exception):
            await self._connection.disconnect()

    def detach(self) -> None:
        """In a forked child: let go of the socket without a word to the parent's server or loop."""
        writer = self._connection._writer
        socket = writer.get_extra_info("socket") if writer else None
        if socket is not None and socket.fileno() >= 0:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, socket.fileno(), inheritable=False)
            os.close(nowhere)


def _connection(target: Target, address: Address, **options: Any) -> AbstractConnection:
    options |= {
        "socket_timeout": None,  # ours are around whole exchanges
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        "client_name": "llm_fleet",
        "protocol": 2,
        **_QUIET,
    }
    if address.path:
        return UnixDomainSocketConnection(path=address.path, **options)
    options |= {"host": address.host, "port": address.port, "socket_keepalive": True}
    return Connection(**options) if target.tls is None else SSLConnection(**options, **target.tls)


_live: weakref.WeakSet[Link] = weakref.WeakSet()
_inherited: list[Link] = []


def _after_fork() -> None:
    """The child keeps the parent's links, never to be collected: closing one would unregister its
    socket from the event loop's epoll set, which the two processes share."""
    _inherited.extend(_live)
    _live.clear()
    for link in _inherited:
        link.detach()


os.register_at_fork(after_in_child=_after_fork)
