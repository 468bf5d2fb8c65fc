"""One connection: opened, logged in, watched by our own timeouts; nothing is ever tried again here.

Raises what redis-py and the network raise. redis-py's own connections are left out: they answer
one command at a time, and cost many times as much as the command itself.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import weakref
from collections.abc import Mapping
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from .target import Address, Target
from .wire import Command, Wire

__all__ = ["Command", "Link"]

REQUIREMENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class Link:
    """A connection to one server, for any number of commands at once.

    `sentinel`: log in to the sentinel that listens there, not to a server of the target.
    """

    def __init__(
        self, target: Target, address: Address, *, connect_timeout_s: float, sentinel: bool = False
    ) -> None:
        self._target, self._address, self._is_sentinel = target, address, sentinel
        self._connect_timeout_s = connect_timeout_s
        self._wire: Wire | None = None
        _live.add(self)

    @property
    def is_open(self) -> bool:
        return self._wire is not None and self._wire.is_open

    @property
    def was_opened(self) -> bool:
        return self._wire is not None

    @property
    def is_idle(self) -> bool:
        """Open, and nothing is in flight."""
        return self._wire is not None and self._wire.is_open and self._wire.is_idle

    async def open(self) -> None:
        """Connect and log in. A link that could not be opened holds nothing."""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._connect()
                await self._log_in()
        except BaseException as error:
            await self.close()
            if isinstance(error, (TimeoutError, RedisTimeout)):
                by = "" if self._target.tls is None else " by TLS (if it speaks that)"
                raise RedisTimeout(
                    f"could not be reached{by} within {self._connect_timeout_s:g} s"
                ) from error
            raise

    async def ask(self, *commands: Command, timeout_s: float) -> Any:
        """Send commands with nothing between them; the answer of the last.

        A command that is not answered in time closes the link, with all that is in flight.
        """
        if self._wire is None:
            raise RedisConnectionError("the connection was never opened")
        *before, answer = [self._wire.ask(command, timeout_s) for command in commands]
        for unwanted in before:
            unwanted.cancel()  # keeps its place on the wire
        return await answer

    async def close(self) -> None:
        """Close it, and wait until it is closed; what is in flight fails."""
        wire = self._wire
        if wire is None or wire.closed.get_loop().is_closed():
            return
        wire.fail(RedisConnectionError("the connection was closed"))
        if wire.transport is not None:
            await asyncio.wait([wire.closed], timeout=self._connect_timeout_s)

    def detach(self) -> None:
        """In a forked child: let go of the socket without a word to the parent's server or loop."""
        transport = self._wire.transport if self._wire else None
        open_socket = transport.get_extra_info("socket") if transport else None
        if open_socket is not None and open_socket.fileno() >= 0:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, open_socket.fileno(), inheritable=False)
            os.close(nowhere)

    async def _connect(self) -> None:
        loop, address, tls = asyncio.get_running_loop(), self._address, self._target.tls
        wire = self._wire = Wire(loop)
        if address.path:
            await loop.create_unix_connection(lambda: wire, address.path)
            return
        context = None if tls is None else _tls_context(tls)
        transport, _ = await loop.create_connection(lambda: wire, address.host, address.port, ssl=context)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def _log_in(self) -> None:
        target, commands = self._target, list[Command]()
        login = target.sentinel_login if self._is_sentinel else target.login
        if login.password or login.username:
            words = (login.username, login.password) if login.username else (login.password,)
            commands.append(("AUTH", *words))
        if target.db and not self._is_sentinel:
            commands.append(("SELECT", target.db))
        commands.append(("CLIENT", "SETNAME", "llm_fleet"))
        await self._ask_each(commands)

    async def _ask_each(self, commands: list[Command]) -> None:
        assert self._wire is not None
        answers = [self._wire.ask(command, self._connect_timeout_s) for command in commands]
        said = await asyncio.gather(*answers, return_exceptions=True)
        for command, answer in zip(commands, said, strict=True):
            is_needed = command[0] != "CLIENT" or not isinstance(answer, ResponseError)
            if isinstance(answer, BaseException) and is_needed:
                raise answer


def _tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    requirement = options.get("ssl_cert_reqs", "required")
    context = ssl.create_default_context()
    unreadable = _load_files(context, options)
    if unreadable:
        raise RedisConnectionError(f"the files of its ssl_… options cannot be used ({unreadable})")
    context.check_hostname = requirement == "required" and options["ssl_check_hostname"]
    context.verify_mode = REQUIREMENTS[requirement]
    return context


def _load_files(context: ssl.SSLContext, options: Mapping[str, Any]) -> OSError | None:
    try:
        if authorities := options.get("ssl_ca_certs"):
            context.load_verify_locations(authorities)
        if certificate := options.get("ssl_certfile"):
            context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    except OSError as error:
        return error
    return None


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
