"""Waits for a lease before each attempt and settles it afterwards, whatever happens.

Redis decides; here a refusal becomes an exception that says what bound, and an outcome becomes
the settlement that its limits count.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from ..chain import Handler
from ..config import RateLimitConfig
from ..engine.fleet import FleetPool
from ..engine.lease import Lease
from ..engine.values import Denial, Need, Settlement, Throttle
from ..errors import (
    CoordinationError,
    KeyRefused,
    LeaseLost,
    LimitError,
    NeedTooLarge,
    NoUsableKey,
    ProviderError,
    QueueFull,
    QueueTimeout,
    Throttled,
)
from ..models import Call, Response, Usage

__all__ = ["RateLimit", "RateLimitConfig"]

log = logging.getLogger(__name__)

SAYING_WHY_S, SAYING_WHY_SHARE = 0.5, 0.2
"""A wait ends this much before its call does, at most this share of what is left, so that there is time
to say what it waited for, or that Redis does not."""

UNNAMED_PAUSE_S = 1.0
"""How long a 429 without `retry-after` pauses its domain."""


class RateLimit:
    """One lease per attempt.

    `needs` says what a call takes, `counts` says what a usage means to the limits (cache
    reads may be free) and learns from it.
    """

    def __init__(
        self,
        pool: FleetPool,
        needs: Callable[[Call], Awaitable[Need]],
        counts: Callable[[Call, Usage], Settlement],
    ) -> None:
        self._pool, self._needs, self._counts = pool, needs, counts

    async def __call__(self, call: Call, call_next: Handler) -> Response:
        while True:
            lease = await self._acquire(call)
            try:
                return await self._spend(call, call_next, lease)
            except LeaseLost:
                lease.cancel()

    async def _acquire(self, call: Call) -> Lease:
        need, timeout_s = await self._needs(call), call.queue_timeout
        if call.deadline is not None:
            left_s = max(0.0, call.deadline - time.monotonic())
            timeout_s = min(timeout_s, left_s - min(SAYING_WHY_S, left_s * SAYING_WHY_SHARE))
        try:
            outcome = await self._pool.enqueue(need, timeout_s=timeout_s)
        except asyncio.CancelledError as error:
            error.add_note(f"it waited for the limits of lane {need.lane}")
            raise
        if isinstance(outcome, Denial):
            raise refusal(call.provider, need, outcome, timeout_s)
        return outcome

    async def _spend(self, call: Call, call_next: Handler, lease: Lease) -> Response:
        try:
            response = await call_next(replace(call, lease=lease))
        except LeaseLost:
            raise
        except ProviderError as error:
            error.ticket = lease.ticket
            self._settle_error(call, lease, error)
            if isinstance(error, KeyRefused):
                await self._take_out(lease.key_id, error)
            raise
        except BaseException as error:
            _settle_abandoned(call, lease)
            error.ticket = lease.ticket  # type: ignore[attr-defined]  # also of a cancellation: Logging, CallTimeout
            error.add_note(f"attempt {call.attempt} on key {lease.key_id} waited for the provider's answer")
            raise
        lease.settle(self._counts(call, response.usage))
        return replace(response, key_id=lease.key_id, ticket=lease.ticket, queued_s=lease.queued_s)

    async def _take_out(self, key_id: str, error: KeyRefused) -> None:
        """The key goes out of service; that Redis is away must not hide what the provider said."""
        try:
            await self._pool.pause_key(key_id, reason=f"{error.status or ''} {error.code or ''}".strip())
        except CoordinationError as fault:
            log.warning(
                "llm_fleet.key.kept: the fleet was not told that key %s is refused: %s", key_id, fault
            )

    def _settle_error(self, call: Call, lease: Lease, error: ProviderError) -> None:
        if not lease.is_sent:
            lease.cancel()
        elif isinstance(error, Throttled):
            pause_s = UNNAMED_PAUSE_S if error.retry_after is None else error.retry_after
            lease.settle(Settlement(0, 0, Throttle(pause_s, error.resource)))
        elif error.usage is not None:
            lease.settle(self._counts(call, error.usage))
        elif isinstance(error, KeyRefused):
            lease.settle(Settlement(0, 0))
        elif error.status is not None and call.sink is None:
            lease.settle(Settlement(None, 0))
        else:
            _settle_abandoned(call, lease)


def _settle_abandoned(call: Call, lease: Lease) -> None:
    """Nobody knows the usage: a stream costs what it produced, anything else what was predicted."""
    if lease.is_sent:
        lease.settle(Settlement(None, lease.output_tokens if call.sink is not None else None))
    else:
        lease.cancel()


def refusal(provider: str, need: Need, denial: Denial, timeout_s: float) -> LimitError:
    """The exception for a denial: what bound, by how much, and the remedy."""
    kind = _KINDS.get(denial.reason, QueueTimeout)
    parts = [f"Rate limit exceeded: provider {provider}, lane {need.lane}"]
    if denial.reason == "timeout":
        parts.append(f"no grant within {round(timeout_s, 1):g} s")
    parts.extend(_what_binds(need, denial))
    if denial.position is not None:
        parts.append(f"position {denial.position} in the queue")
    if denial.retry_after_s is not None:
        parts.append(f"try again in {denial.retry_after_s:.1f} s")
    elif denial.reason == "timeout" and denial.limit is not None:
        parts.append("nobody knows when: it comes back when calls in flight end")
    error = kind(
        f"{'; '.join(parts)}. {_remedy(need, denial)}",
        provider=provider,
        lane=need.lane,
        key_id=denial.key_id,
        resource=denial.resource,
        need=denial.need,
        level=denial.level,
        limit=denial.limit,
        position=denial.position,
        retry_after=denial.retry_after_s,
    )
    error.ticket = denial.ticket
    return error


def _what_binds(need: Need, denial: Denial) -> Iterator[str]:
    if denial.resource is None:
        return
    where = f" on key {denial.key_id}" if denial.key_id else ""
    yield f"{denial.resource}{f' of tenant {need.tenant}' if denial.is_tenants else where} binds"
    if denial.limit is None:
        return
    if denial.resource == "concurrency":
        yield f"needs {denial.need}, {denial.level} of {denial.limit} free"
    else:
        yield f"needs {denial.need}, {denial.level} there, limit {denial.limit}"


_KINDS: dict[str, type[LimitError]] = {
    "too_large": NeedTooLarge,
    "queue_full": QueueFull,
    "no_key": NoUsableKey,
}


def _remedy(need: Need, denial: Denial) -> str:
    own = f"tenants.{need.tenant}.rate_limits" if denial.is_tenants else ""
    match denial.reason:
        case "timeout" if own:
            return f"Raise queue_timeout or {own}."
        case "timeout":
            return "Raise queue_timeout or rate_limits, or add API keys."
        case "too_large":
            return f"It can never go: send less input, lower max_tokens, or raise {own or 'the limit'}."
        case "queue_full":
            return "Send less at once, or raise settings.max_queued."
        case "no_key":
            return "Every API key is out of service: see `llm-fleet keys list`, then `keys resume`."
    return "Try again."
