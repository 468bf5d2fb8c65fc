"""What the engine is asked for and what it answers: plain values, no I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..models import BANDS

__all__ = [
    "RESOURCES",
    "RULES",
    "TENANT_DOMAIN",
    "Bucket",
    "Denial",
    "DomainLimits",
    "LaneLimits",
    "Need",
    "PoolLimits",
    "Settlement",
    "TenantLimits",
    "Throttle",
    "check_ticket",
    "denial_of",
    "resource_name",
]

RESOURCES = ("requests", "input_tokens", "output_tokens", "tokens")
RULES = ("at_start", "at_start_adjust", "as_produced")

TENANT_DOMAIN = "tenant:"
"""What the name of a tenant's domain begins with."""
_FORBIDDEN = re.compile(r'[|"\\\x00-\x1f]')


def _check_name(kind: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{kind} {value!r}: use text, not {type(value).__name__}")
    if len(value) > 128 or _FORBIDDEN.search(value):
        raise ConfigError(f"{kind} {value[:40]!r}: use at most 128 characters, no |, quotes or backslashes")


def check_ticket(ticket: object) -> None:
    """Refuse what cannot be the id of a ticket.

    Raises:
        ConfigError: it is empty, or no text of an id.
    """
    _check_name("ticket", ticket)
    if not str(ticket).strip():
        raise ConfigError(
            "ticket '': use an id, such as 54e6eee4-37; logs, errors and `llm-fleet status` have them"
        )


def resource_name(code: str | int, tick_ms: int = 1) -> str | None:
    """The name of a resource code of the scripts; a day's resource says so."""
    if str(code).isdigit() and 1 <= int(code) <= len(RESOURCES):
        return RESOURCES[int(code) - 1] + ("_per_day" if tick_ms > 1 else "_per_minute")
    return str(code) or None


@dataclass(frozen=True, slots=True)
class Need:
    """What an attempt wants to take: estimated input and the most output, in tokens."""

    lane: str
    input_tokens: int
    max_output_tokens: int
    band: str = "normal"
    tenant: str = "default"
    tag: str = ""
    affinity: str = ""

    def __post_init__(self) -> None:
        for kind, value in (("lane", self.lane), ("tenant", self.tenant), ("tag", self.tag)):
            _check_name(kind, value)
        if not isinstance(self.affinity, str):
            raise ConfigError(f"affinity {self.affinity!r}: use text, not {type(self.affinity).__name__}")
        if self.band not in BANDS:
            raise ConfigError(f"priority {self.band!r}: use one of {', '.join(BANDS)}")
        for kind, amount in (("input_tokens", self.input_tokens), ("max_tokens", self.max_output_tokens)):
            if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount < 10**11:
                raise ConfigError(f"{kind} {amount!r}: use a whole number of tokens, 0 or more")


@dataclass(frozen=True, slots=True)
class Denial:
    """A ticket that may not go: why, what binds, and in how many seconds to try again.

    `reason` is too_large, timeout, queue_full, no_key or closed. `need`, `level` and `limit` are
    amounts of the binding resource; `position` 0 is the head of the queue; None is not known.
    Where the binding limit is the tenant's own there is no `key_id`.
    """

    reason: str
    retry_after_s: float | None = None
    resource: str | None = None
    need: int | None = None
    level: int | None = None
    limit: int | None = None
    position: int | None = None
    key_id: str | None = None
    ticket: str | None = None

    @property
    def is_tenants(self) -> bool:
        """A limit of the tenant's own binds: it belongs to no key."""
        return self.limit is not None and self.key_id is None


def denial_of(refusal: Sequence[Any]) -> Denial:
    """A script's refusal: {reason, wait ms, resource, key, need, level, most, tick, position}."""
    reason, wait_ms, resource, key, need, level, most, tick, position = refusal
    is_limited = int(most) > 0
    return Denial(
        reason,
        retry_after_s=int(wait_ms) / 1000 if int(wait_ms) >= 0 else None,
        resource=resource_name(resource, tick),
        need=int(need) if is_limited else None,
        level=int(level) if is_limited else None,
        limit=int(most) if is_limited else None,
        position=int(position),
        key_id=key or None,
    )


@dataclass(frozen=True, slots=True)
class Throttle:
    """A 429: the domain pauses for the whole fleet; the resource is known when the provider named it."""

    retry_after_s: float
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an attempt consumed, as its limits count it; None is unknown: what was reserved stays charged."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    throttle: Throttle | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit of one lane: an amount per period, how deep, how jittery, and its charge rule."""

    resource: str
    amount: int
    period_ms: int = 60_000
    burst_ms: int = 60_000
    jitter_ms: int = 500
    window_ms: int = 0
    rule: str = "at_start"

    def wire(self) -> list[int]:
        """The numbers in which a script gets the limit."""
        code, rule = RESOURCES.index(self.resource) + 1, RULES.index(self.rule)
        return [code, self.amount, self.period_ms, self.burst_ms, self.jitter_ms, self.window_ms, rule]


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """The limits of a lane; `*` are those that all lanes share, and the slots."""

    lane: str
    buckets: tuple[Bucket, ...] = ()
    concurrency: int = 0


@dataclass(frozen=True, slots=True)
class DomainLimits:
    """The limits of one account; `lanes` begins with `*`."""

    name: str
    lanes: tuple[LaneLimits, ...]


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """A tenant: its share of the queue, in thousandths of an unknown tenant's, and limits of its own."""

    name: str
    weight_milli: int = 1000
    lane: LaneLimits | None = None

    @property
    def domain(self) -> DomainLimits | None:
        """Its limits as one more domain; None where it has none."""
        return DomainLimits(TENANT_DOMAIN + self.name, (self.lane,)) if self.lane else None


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """A pool as one process is configured: its keys, their domains, and the domains' limits.

    A lower band whose oldest ticket has waited longer than `aging_ms` gets every eighth grant.
    """

    pool: str
    keys: tuple[tuple[str, tuple[str, ...]], ...]
    domains: tuple[DomainLimits, ...]
    version: int | None = None
    source: str = "file"
    force: bool = False
    max_queued: int = 100_000
    jitter_s: float = 0.5
    tenants: tuple[TenantLimits, ...] = ()
    aging_ms: int = 30_000

    @property
    def every_domain(self) -> Sequence[DomainLimits]:
        """The domains of the keys, then those of the tenants that have limits."""
        return [*self.domains, *(tenant.domain for tenant in self.tenants if tenant.domain)]

    @property
    def key_ids(self) -> Sequence[str]:
        """The key ids that this process holds, sorted."""
        return sorted(key for key, _ in self.keys)
