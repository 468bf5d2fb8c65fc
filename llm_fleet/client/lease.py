"""Leases for code that calls a provider its own way: an API key, and the duty to settle."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from ..engine.fleet import FleetPool
from ..engine.lease import Lease
from ..engine.values import Denial, Need, Settlement, Throttle
from ..errors import LeaseLost
from ..middleware.rate_limiter import UNNAMED_PAUSE_S, refusal
from ..models import Usage

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = ["KeyLease", "Leases"]


class Leases:
    """Takes leases in one pool. `keys` are its API keys by id, `counts` what the limits see of a usage."""

    def __init__(
        self,
        pool: Callable[[], FleetPool],
        keys: Mapping[str, SecretStr],
        counts: Callable[[Usage], Settlement],
    ) -> None:
        self._pool, self.keys, self.counts = pool, keys, counts

    async def take(self, need: Need, timeout_s: float) -> Lease:
        """A lease that is alive; waits for it `timeout_s` seconds at most.

        Raises:
            LimitError: the limits did not let it pass.
            CoordinationError: Redis did not answer.
        """
        pool, deadline = self._pool(), time.monotonic() + timeout_s
        while True:
            outcome = await pool.enqueue(need, timeout_s=max(0.0, deadline - time.monotonic()))
            if isinstance(outcome, Denial):
                raise refusal(pool.name, need, outcome, timeout_s)
            try:
                is_ready = await outcome.ready()
            except BaseException:
                outcome.cancel()
                raise
            if is_ready:
                return outcome
            outcome.cancel()


class KeyLease:
    """The right to use `api_key` inside an `async with`; made by `client.lease`.

    Say how the request ended: `settle(usage)`, `throttled(retry_after)` for a 429, `cancel()`
    when nothing was sent. The first counts. A block that ends without, be it by an error or by
    cancellation, gives the slot back and leaves charged what was reserved: it may have been spent.
    """

    def __init__(self, leases: Leases, need: Need, timeout_s: float) -> None:
        self._leases, self._need, self._timeout_s = leases, need, timeout_s
        self._lease: Lease | None = None

    def __repr__(self) -> str:
        return f"KeyLease({self._lease!r})"

    async def __aenter__(self) -> KeyLease:
        if self._lease is not None:
            raise LeaseLost("a lease is taken once: call client.lease(…) for another")
        self._lease = await self._leases.take(self._need, self._timeout_s)
        self._lease.mark_sent()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the block: end the lease if nothing has ended it. Never blocks, any thread."""
        if self._lease is not None:
            self._lease.settle(Settlement(None, self._lease.output_tokens or None))

    @property
    def _held(self) -> Lease:
        if self._lease is None or self._lease.is_ended:
            raise LeaseLost(
                "this lease has ended, or not begun: use it inside its `with`, until it is settled"
            )
        return self._lease

    @property
    def api_key(self) -> str:
        """The key to call with; LeaseLost before and after the lease."""
        return self._leases.keys[self._held.key_id].get_secret_value()

    @property
    def key_id(self) -> str:
        """The key's name, which may be shown."""
        return self._lease.key_id if self._lease is not None else ""

    @property
    def ticket(self) -> str:
        """Its id, as `llm-fleet explain` knows it."""
        return self._lease.ticket if self._lease is not None else ""

    @property
    def queued_s(self) -> float:
        """How long it was waited for, in seconds."""
        return self._lease.queued_s if self._lease is not None else 0.0

    def progress(self, output_tokens: int) -> None:
        """Output tokens produced so far, cumulative: for streams, so that the fleet sees them early."""
        self._held.progress(output_tokens)

    async def settle(self, usage: Usage) -> None:
        """End it with what the provider says it consumed."""
        if self._lease is not None:
            self._lease.settle(self._leases.counts(usage))

    async def throttled(self, retry_after: float | None = None, *, resource: str | None = None) -> None:
        """End it after a 429: nothing was consumed, and the account pauses for the whole fleet.

        `retry_after` in seconds, as the provider said; `resource` is the limit that it named.
        """
        pause_s = UNNAMED_PAUSE_S if retry_after is None else retry_after
        if self._lease is not None:
            self._lease.settle(Settlement(0, 0, Throttle(pause_s, resource)))

    async def cancel(self) -> None:
        """End it because nothing was sent: all that was reserved goes back."""
        if self._lease is not None:
            self._lease.cancel()
