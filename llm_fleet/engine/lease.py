"""A lease as its holder sees it: which key, until when, and how it ends.

Every method may be called from any thread; what changes Redis is handed to the desk.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from .values import Need, Settlement

if TYPE_CHECKING:
    from .share.books import Charges
    from .tickets import Desk

__all__ = ["Lease"]


class Lease:
    """The right to use one API key, given by a granted ticket.

    `fence` grows with every grant of the pool (0: granted while Redis was away); `queued_s` is how long
    the ticket waited.
    Exactly one of `settle` and `cancel` takes effect, the first; the others do nothing.
    """

    def __init__(self, desk: Desk, ticket: str, need: Need, loop: asyncio.AbstractEventLoop) -> None:
        self._desk = desk
        self.ticket = ticket
        self.need = need
        self.loop = loop
        self.key_id = ""
        self.fence = 0
        self.queued_s = 0.0
        self.spacing_s = 0.0
        self.granted_at = 0.0
        self.alive_until = 0.0
        self.output_tokens = 0
        self.reported_tokens = 0
        self.is_sent = False
        self.is_lost = False
        self.is_ended = False
        self.local: Charges | None = None
        """What it took from this process's share, as long as Redis does not know of it."""

    def __repr__(self) -> str:
        return f"Lease(ticket={self.ticket!r}, key_id={self.key_id!r}, fence={self.fence})"

    async def ready(self) -> bool:
        """The last check before sending: True when the lease is alive.

        One that cannot be shown to be alive (the process was stopped, say) is renewed first.
        A grant that waited for longer than the jitter in this process is spaced at the
        domain's own rate. False: the lease is gone; take a new ticket.
        """
        if self.is_lost or self.is_ended:
            return False
        pause_s = self._desk.pace(self)
        while pause_s > 0:
            await asyncio.sleep(pause_s)
            pause_s = self._desk.pace(self, is_in_line=True)
        if time.monotonic() < self.alive_until:
            return True
        return await self._desk.renew(self)

    def mark_sent(self) -> None:
        """The request is about to leave; from here on its cost is real."""
        self.is_sent = True

    def progress(self, output_tokens: int) -> None:
        """Output tokens produced so far (cumulative); heartbeats report them."""
        self.output_tokens = max(self.output_tokens, output_tokens)

    def settle(self, settlement: Settlement) -> None:
        """End the lease with what was consumed. Never blocks; the first end counts."""
        if not self.is_ended:
            self.is_ended = True
            self._desk.submit_settle(self, settlement)

    def cancel(self) -> None:
        """End a lease whose request was never sent: all that it took goes back."""
        if not self.is_ended:
            self.is_ended = True
            self._desk.submit_cancel(self)
