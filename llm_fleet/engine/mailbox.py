"""Where grants and wake times arrive: one blocking pop over the mailboxes of all pools.

It waits only while a ticket of this process is queued. Lives on the I/O loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ..errors import CoordinationError
from ..store import Store
from .tickets import Desk

__all__ = ["MailboxReader"]

POP_TIMEOUT_S = 5.0
RETRY_S = 0.2


class MailboxReader:
    """Reads the mailboxes that one blocking pop may cover (on a cluster: those of one slot)."""

    def __init__(self, store: Callable[[], Store], desks: Sequence[Desk]) -> None:
        self._store = store
        self._desks = {desk.keys.mailbox(desk.process): desk for desk in desks}
        self._is_wanted = asyncio.Event()
        for desk in desks:
            desk.room.on_queued = self._is_wanted.set

    async def run(self) -> None:
        """Read for as long as the engine lives."""
        while True:
            await self._is_wanted.wait()
            if not any(desk.room.queued for desk in self._desks.values()):
                self._is_wanted.clear()
                continue
            try:
                message = await self._store().pop(list(self._desks), POP_TIMEOUT_S)
            except CoordinationError:
                await asyncio.sleep(RETRY_S)
                continue
            if message is not None:
                self._desks[message[0]].inbound.mailed(message[1])
