"""What the limits of a provider come to, domain by domain. Pure: config in, rows out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .config_fields import Resource
from .config_models import ProviderConfig
from .config_rates import SHARED_LANE, LimitConfig, TenantConfig, limit_name
from .errors import ConfigError

__all__ = [
    "ConcurrencyLimit",
    "EffectiveRow",
    "ResolvedLimit",
    "ResolvedTenant",
    "effective_rows",
    "is_one_each",
    "resolve_concurrency",
    "resolve_limits",
    "resolve_tenants",
]


@dataclass(frozen=True, slots=True)
class ResolvedLimit:
    """One bucket to be: `amount` of `resource` per `period_s` (60 or 86400) in a domain's lane.

    A full bucket holds `amount * burst_s / period_s`, before jitter. `window_s` is None unless
    `enforced_as` is "window". `source` is the place in the config, or "code[0]".
    """

    domain: str
    lane: str
    resource: Resource
    amount: int
    period_s: int
    burst_s: float
    jitter_s: float
    enforced_as: str
    window_s: float | None
    source: str

    @property
    def name(self) -> str:
        """As in the config: `requests_per_minute`, `tokens_per_day`."""
        return limit_name(self.resource, self.period_s)


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """How many calls of a domain may be in flight at once, over all its lanes."""

    domain: str
    amount: int
    source: str


@dataclass(frozen=True, slots=True)
class ResolvedTenant:
    """A tenant to be: its share of the queue, and limits of its own; `source` is its place in the config."""

    name: str
    weight: float
    limits: tuple[ResolvedLimit, ...]
    concurrency: ConcurrencyLimit | None
    source: str


@dataclass(frozen=True, slots=True)
class EffectiveRow:
    """A line of the effective table: what one key meets in one lane. No limit at all: `limit` None."""

    provider: str
    key_id: str
    account: str | None
    lane: str
    limit: ResolvedLimit | ConcurrencyLimit | None


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of `rate_limits` with its place in the config."""

    limits: LimitConfig
    source: str


def resolve_limits(provider: ProviderConfig) -> list[ResolvedLimit]:
    """The rate limits of every domain, in the order of the keys.

    Each entry of `rate_limits` holds for each domain; as many entries as keys, none with
    `models` and no account shared, are one each. An account's own entry takes the place of the
    provider's for the same lane, resource and period.

    Raises: ConfigError when two entries limit the same thing, or share a lane and not its models.
    """
    _refuse_unclear_lanes(provider)
    rows: list[ResolvedLimit] = []
    for domain, entries, own in _domains(provider):
        general = _rows(domain, entries)
        rows += ({**general, **_rows(domain, own)}).values()
    return rows


def resolve_tenants(provider: ProviderConfig) -> list[ResolvedTenant]:
    """The tenants of a provider with what limits them, by name."""
    return [
        _tenant(name, tenant, source) for name, (tenant, source) in sorted(provider.every_tenant().items())
    ]


def _tenant(name: str, tenant: TenantConfig, source: str) -> ResolvedTenant:
    entries = _entries(tenant.rate_limits, f"{source}.rate_limits")
    limits = tuple(_rows(name, entries).values())
    return ResolvedTenant(name, tenant.weight, limits, _lowest(name, entries), source)


def resolve_concurrency(provider: ProviderConfig) -> dict[str, int]:
    """Domain -> calls in flight at once: the account's own limit, else the lowest of the entries."""
    return {domain: limit.amount for domain, limit in _concurrency(provider).items()}


def _concurrency(provider: ProviderConfig) -> dict[str, ConcurrencyLimit]:
    limits: dict[str, ConcurrencyLimit] = {}
    for domain, entries, own in _domains(provider):
        found = _lowest(domain, own) or _lowest(domain, entries)
        if found:
            limits[domain] = found
    return limits


def effective_rows(provider: ProviderConfig) -> list[EffectiveRow]:
    """Key by key, what it meets: the table that `config check` prints."""
    limits: list[ResolvedLimit | ConcurrencyLimit] = [*resolve_limits(provider)]
    limits += _concurrency(provider).values()
    by_domain: dict[str, list[ResolvedLimit | ConcurrencyLimit | None]] = {}
    for limit in limits:
        by_domain.setdefault(limit.domain, []).append(limit)
    return [
        EffectiveRow(provider.name, key.key_id, key.account, _lane_of(limit), limit)
        for key in provider.api_keys
        for limit in by_domain.get(key.domain, [None])
    ]


def _lane_of(limit: ResolvedLimit | ConcurrencyLimit | None) -> str:
    return limit.lane if isinstance(limit, ResolvedLimit) else SHARED_LANE


def is_one_each(provider: ProviderConfig) -> bool:
    """Are the entries dealt out, the first to the first key and so on?"""
    entries, domains = provider.rate_limits, {key.domain for key in provider.api_keys}
    return (
        len(entries) > 1
        and len(entries) == len(provider.api_keys) == len(domains)
        and not any(entry.models for entry in entries)
    )


def _domains(provider: ProviderConfig) -> Iterator[tuple[str, list[_Entry], list[_Entry]]]:
    """Each domain once, with the provider's entries that hold for it and the account's own."""
    general = _entries(provider.rate_limits, provider.limits_source)
    dealt = is_one_each(provider)
    seen: set[str] = set()
    for index, key in enumerate(provider.api_keys):
        if key.domain in seen:
            continue
        seen.add(key.domain)
        account = provider.accounts.get(key.account) if key.account else None
        source = f"providers.{provider.name}.accounts.{key.account}.rate_limits"
        own = _entries(account.rate_limits, source) if account else []
        yield key.domain, [general[index]] if dealt else general, own


def _entries(limits: Sequence[LimitConfig], source: str) -> list[_Entry]:
    return [_Entry(entry, f"{source}[{index}]") for index, entry in enumerate(limits)]


def _rows(domain: str, entries: list[_Entry]) -> dict[tuple[str, str, int], ResolvedLimit]:
    rows: dict[tuple[str, str, int], ResolvedLimit] = {}
    for entry in entries:
        for resource, period_s in entry.limits.amounts():
            row = _row(domain, entry, resource, period_s)
            place = (row.lane, resource, period_s)
            if place in rows:
                raise ConfigError(_twice_message(rows[place], row))
            rows[place] = row
    return rows


def _row(domain: str, entry: _Entry, resource: Resource, period_s: int) -> ResolvedLimit:
    limits = entry.limits
    return ResolvedLimit(
        domain=domain,
        lane=limits.lane,
        resource=resource,
        amount=limits.amounts()[resource, period_s],
        period_s=period_s,
        burst_s=limits.burst(resource, period_s),
        jitter_s=limits.jitter_seconds,
        enforced_as=limits.enforced_as,
        window_s=limits.window(period_s) if limits.enforced_as == "window" else None,
        source=entry.source,
    )


def _twice_message(first: ResolvedLimit, second: ResolvedLimit) -> str:
    return (
        f"{second.source}: limits {second.name} of lane {second.lane!r} again, as {first.source} does; keep"
        " one, or write as many entries as keys (one each, without `models`), or give them other `models`"
    )


def _lowest(domain: str, entries: list[_Entry]) -> ConcurrencyLimit | None:
    found = [
        ConcurrencyLimit(domain, entry.limits.max_concurrent_requests, entry.source)
        for entry in entries
        if entry.limits.max_concurrent_requests is not None
    ]
    return min(found, key=lambda limit: limit.amount, default=None)


def _refuse_unclear_lanes(provider: ProviderConfig) -> None:
    lanes: Mapping[str, list[str]] = provider.patterns()
    for entry in provider.entries():
        if entry.models and entry.models != lanes[entry.lane]:
            raise ConfigError(
                f"providers.{provider.name}: two entries of limits begin with the model {entry.lane!r},"
                " so they are one lane, but their `models` differ; write the same list in both"
            )
